"""The nightly job after a night in which it was killed or refused: what it had left behind is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.redis import RedisServer
from router.callers.loading.checkpoint import FULL, FullCheckpoint, read_checkpoint, write_checkpoint
from router.callers.loading.job import Order, import_feed
from router.callers.loading.nightly import Updated, update
from router.callers.loading.refusal import TooMuchChangedError
from router.callers.loading.steps import Step
from router.callers.servers import open_servers
from router.callers.settings import RedisSettings
from tests.integration.feeds import RING, generation_in, keys_in, number, order_for, run, unwatched, write_delta

pytestmark = pytest.mark.integration
DAY, NEXT_DAY = date(2026, 11, 25), date(2026, 11, 26)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


def feed_in(folder: Path, birth_date: str, callers: int = 200) -> Path:
    path = folder / "feed.csv"
    path.write_text("number,birth_date\n" + "".join(f"{number(index)},{birth_date}\n" for index in range(callers)))
    return path


async def updated(server: RedisServer, order: Order) -> Updated:
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        return await update(servers, RING, order, unwatched)


async def stopped_behind_the_switch(server: RedisServer, order: Order) -> None:
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        switched = asyncio.Event()

        def watch(step: Step) -> None:
            if "in force" in step.note + step.doing:
                switched.set()

        task = asyncio.create_task(import_feed(servers, RING, order, watch))
        async with asyncio.timeout(30):
            await switched.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def buckets_of(redis: Redis, generation: int) -> int:
    return sum(b"}:%x:" % generation in key for key in await keys_in(redis))


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"lock"}


async def test_with_nothing_due_it_still_removes_what_a_killed_load_had_replaced(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    order = order_for(feed_in(tmp_path, "1950-01-01"), folder, as_of=DAY)
    await run(server.url, order)
    feed_in(tmp_path, "1990-01-01")
    await stopped_behind_the_switch(server, replace(order, kept_s=1000.0, allow_change_percent=100.0))
    assert await buckets_of(redis, 1) > 0
    assert (await updated(server, order)).outcome is None
    assert await buckets_of(redis, 1) == 0
    assert await buckets_of(redis, 2) > 0
    assert left_in(folder) == set()


async def test_a_switch_that_was_not_noted_still_leaves_the_old_callers_for_a_while(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    order = order_for(feed_in(tmp_path, "1950-01-01"), folder, as_of=DAY)
    await run(server.url, order)
    feed_in(tmp_path, "1990-01-01")
    await stopped_behind_the_switch(server, replace(order, kept_s=1000.0, allow_change_percent=100.0))
    checkpoint = read_checkpoint(folder, FULL, FullCheckpoint)
    assert checkpoint is not None
    write_checkpoint(folder, FULL, checkpoint.model_copy(update={"switched_at": None}))
    delta = order_for(write_delta(tmp_path / "delta.csv", [(1, "elder")]), folder, delta=True, kept_s=1000.0)
    await stopped_behind_the_switch(server, delta)
    assert await buckets_of(redis, 1) > 0


@pytest.mark.parametrize("new_feed", [True, False])
async def test_no_list_of_birthdays_outlives_the_next_run(
    server: RedisServer, redis: Redis, tmp_path: Path, new_feed: bool
) -> None:
    folder = tmp_path / "work"
    order = order_for(feed_in(tmp_path, "1966-11-26"), folder, as_of=DAY)
    await run(server.url, order)
    for name in ("due-2026-11-24-2026-11-25-01234567.csv", ".due-2026-11-24-2026-11-25-01234567.csv.89abcdef"):
        (folder / name).write_text("number,age_band\n+8613900000001,senior\n")
    if new_feed:
        feed_in(tmp_path, "1966-11-25", callers=201)
    await updated(server, replace(order, allow_change_percent=101.0))
    assert left_in(folder) == set()
    assert (await generation_in(redis)).generation == (2 if new_feed else 1)


async def test_a_list_of_birthdays_that_is_refused_does_not_stay(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    order = order_for(feed_in(tmp_path, "1966-11-26"), folder, as_of=DAY)
    await run(server.url, order)
    with pytest.raises(TooMuchChangedError):
        await updated(server, replace(order, as_of=NEXT_DAY))
    assert [name for name in left_in(folder) if "due-" in name] == []
    await updated(server, replace(order, as_of=NEXT_DAY, allow_change_percent=100.0))
    assert (await generation_in(redis)).by_band["senior"] == 200
    assert left_in(folder) == set()
