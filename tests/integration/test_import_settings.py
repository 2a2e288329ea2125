"""A load that was stopped is gone on with by the same settings, or begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

import pytest
from redis.asyncio import Redis

from lab.redis import RedisServer
from router.callers.loading.job import Order, import_feed
from router.callers.loading.steps import Step
from router.callers.servers import open_servers
from router.callers.settings import RedisSettings
from tests.integration.feeds import CODES, FEED, RING, generation_in, number, order_for, run, stored_in, wanted

pytestmark = pytest.mark.integration


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


async def stopped_when(server: RedisServer, order: Order, enough: Callable[[Step], bool]) -> None:
    """Begin an import, and stop it at a step."""
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        reached = asyncio.Event()

        def watch(step: Step) -> None:
            if enough(step):
                reached.set()

        task = asyncio.create_task(import_feed(servers, RING, order, watch))
        async with asyncio.timeout(30):
            await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_full_load_is_not_gone_on_with_by_other_words_for_bands(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    path = tmp_path / "full.csv"
    path.write_text("number,age_band\n" + "".join(f"{number(index)},old\n" for index in range(10_000)))
    wrong = replace(FEED, bands=MappingProxyType({"old": "adult"}))
    order = order_for(path, tmp_path / "work", feed=wrong, rate=10_000.0)
    await stopped_when(server, order, lambda step: step.doing == "loading" and step.done > 3000)
    right = replace(FEED, bands=MappingProxyType({"old": "elder"}))
    await run(server.url, replace(order, feed=right, rate=None))
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted(dict.fromkeys(range(10_000), CODES["elder"]), now.buckets)
    assert now.by_band == {"minor": 0, "adult": 0, "senior": 0, "elder": 10_000}


async def test_a_delta_is_not_gone_on_with_on_another_day(server: RedisServer, redis: Redis, tmp_path: Path) -> None:
    full = tmp_path / "full.csv"
    full.write_text("number,age_band\n" + "".join(f"{number(index)},minor\n" for index in range(3000)))
    await run(server.url, order_for(full, tmp_path / "work"))
    path = tmp_path / "delta.csv"
    path.write_text("number,birth_date,removed\n" + "".join(f"{number(i)},1966-11-26,\n" for i in range(3000)))
    order = order_for(path, tmp_path / "work", delta=True, allow_change_percent=100.0, as_of=date(2026, 11, 25))
    slow = replace(order, rate=3000.0)
    await stopped_when(server, slow, lambda step: step.doing == "applying" and step.done > 1000)
    outcome = await run(server.url, replace(order, as_of=date(2026, 11, 26)))
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted(dict.fromkeys(range(3000), CODES["senior"]), now.buckets)
    assert now.by_band == {"minor": 0, "adult": 0, "senior": 3000, "elder": 0}
    assert outcome.warnings == []
