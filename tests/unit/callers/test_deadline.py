"""A deadline that is kept, and that is not held against the other side when it was the loop that came late."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from router.callers.deadline import LAST_LOOK_S, LATE_S, Deadline, Timer


async def test_it_ends_what_takes_too_long() -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with pytest.raises(TimeoutError):
        async with Deadline(0.02):
            await asyncio.Event().wait()
    assert 0.019 < loop.time() - began_s < 0.2


async def test_it_leaves_what_is_done_in_time_alone() -> None:
    async with Deadline(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)  # the time at which it would have ended something


async def test_an_answer_that_came_in_time_counts_though_the_loop_looks_late() -> None:
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=here)
    async with Deadline(0.02):
        there.send(b"x")
        time.sleep(0.02 + 2 * LATE_S)  # noqa: ASYNC251 - the loop that is kept from running
        assert await reader.readexactly(1) == b"x"
    there.close()
    writer.close()
    await writer.wait_closed()


async def test_after_that_last_look_it_ends_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    woke_s = 0.0

    async def waits_after_a_long_turn() -> None:
        nonlocal woke_s
        async with Deadline(0.01):
            time.sleep(0.01 + 2 * LATE_S)  # noqa: ASYNC251 - the loop that is kept from running
            woke_s = loop.time()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await waits_after_a_long_turn()
    assert loop.time() - woke_s < LAST_LOOK_S + 0.1


@pytest.mark.parametrize("late", [False, True])
async def test_a_timer_that_is_cancelled_does_not_come(late: bool) -> None:
    loop = asyncio.get_running_loop()
    came: list[float] = []
    timer = Timer(loop, loop.time() + 0.005, lambda: came.append(loop.time()))
    if late:
        time.sleep(0.005 + 2 * LATE_S)  # noqa: ASYNC251 - the loop that is kept from running
        await asyncio.sleep(0)  # it was due, and took a last look
    timer.cancel()
    await asyncio.sleep(LAST_LOOK_S + 0.01)
    assert came == []


async def test_a_timer_comes_once_and_not_before_its_time() -> None:
    loop = asyncio.get_running_loop()
    came: list[float] = []
    due_s = loop.time() + 0.01
    Timer(loop, due_s, lambda: came.append(loop.time()))
    await asyncio.sleep(0.04)
    assert len(came) == 1
    assert came[0] >= due_s - 0.001
