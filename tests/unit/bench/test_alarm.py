"""Calls at given times, closer than an event loop keeps them."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from bench.alarm import at_each


async def test_everything_is_called_once_in_order_and_not_before_its_time() -> None:
    start = time.monotonic() + 0.01
    times = [start + 0.0005 * index for index in range(100)]
    called: list[tuple[int, float]] = []
    await at_each(times, lambda index: called.append((index, time.monotonic())))
    assert [index for index, _ in called] == list(range(100))
    assert all(at >= times[index] for index, at in called)


async def test_what_is_overdue_is_called_at_once() -> None:
    called: list[int] = []
    await asyncio.wait_for(at_each([0.0, time.monotonic() - 1.0], called.append), 5)
    assert called == [0, 1]


async def test_nothing_to_call_ends_at_once() -> None:
    await asyncio.wait_for(at_each([], lambda _index: pytest.fail("nothing was due")), 5)


async def test_cancelled_it_calls_no_more_and_closes_its_timer() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    task = asyncio.ensure_future(at_each([time.monotonic() + 3600], lambda _index: pytest.fail("too early")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
