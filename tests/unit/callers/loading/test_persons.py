from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from lab.feeds import MadeFeed
from lab.registry import BANDS
from router.callers.generation import SHARED
from router.callers.loading.persons import Counts, Part, estimated, numbered, read_ahead
from router.errors import RegistryError


def test_callers_are_counted_by_band_whether_shared_or_not() -> None:
    counts = Counts()
    feed = MadeFeed(
        np.arange(6, dtype=np.uint32), np.frombuffer(bytes(36), "V6"), np.array([1, 2, 2, 4, 4 | SHARED, 3], np.uint8)
    )
    for part in feed.persons():
        counts.add(part)
    assert counts.callers == 6
    assert counts.by_band(BANDS) == {"minor": 1, "adult": 2, "senior": 1, "elder": 2}
    assert counts.by_code() == {1: 1, 2: 2, 3: 1, 4: 2}


def test_the_first_parts_tell_how_many_callers_there_are() -> None:
    parts: list[Part] = list(MadeFeed.random(50_000).persons())
    assert estimated(parts[:3], 50_000) == 50_000, "exactly, as nobody is repeated"
    twice: list[Part] = [replace(part, repeated=len(part.place)) for part in MadeFeed.random(50_000).persons()]
    assert estimated(twice[:3], 100_000) == 50_000
    assert estimated(parts, 123) == 50_000, "all parts are counted, not estimated"
    assert estimated([], 10) == 0


async def all_of(items: Iterator[int]) -> list[int]:
    async with read_ahead(items) as ahead:
        return [item async for item in ahead]


async def test_parts_are_read_one_ahead_in_another_thread() -> None:
    here, threads = threading.get_ident(), set[int]()
    ahead_of = [threading.Event() for _ in range(5)]

    def items() -> Iterator[int]:
        for number in range(5):
            threads.add(threading.get_ident())
            ahead_of[number].set()
            yield number

    seen = []
    async with read_ahead(items()) as ahead:
        async for number in ahead:
            assert await asyncio.to_thread(ahead_of[min(number + 1, 4)].wait, 5.0)
            assert not any(later.is_set() for later in ahead_of[number + 2 :])
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]
    assert here not in threads


async def test_whoever_stops_waits_for_the_thread_and_hears_its_error() -> None:
    ended = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        ended.set()
        raise ValueError("the disk")

    async with read_ahead(items()) as ahead:
        async for _ in ahead:
            break
    assert ended.is_set()
    with pytest.raises(ValueError, match="the disk"):
        await all_of(items())


async def test_parts_of_another_number_than_tags_are_refused() -> None:
    parts = list(MadeFeed.random(10).persons())[:63]
    async with read_ahead(iter(parts)) as ahead:
        with pytest.raises(RegistryError, match="read into 63 parts, not 64"):
            assert [number async for number, _ in numbered(ahead, 0)] == []
