"""A machine that sleeps while it imports, and wakes when others have imported or begun to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.redis import RedisServer
from router.callers.keys import IMPORT_KEY
from router.callers.loading import full, settled
from router.callers.loading.full import Step
from router.callers.loading.job import import_feed
from router.callers.loading.lines import Lines
from router.callers.servers import Servers, open_servers
from router.callers.settings import RedisSettings
from router.errors import RegistryError
from tests.integration.feeds import (
    CODES,
    RING,
    generation_in,
    order_for,
    run,
    stored_in,
    unwatched,
    wanted,
    write_feed,
)

pytestmark = pytest.mark.integration
CALLERS = 2000


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def servers(server: RedisServer) -> AsyncIterator[Servers]:
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        yield servers


class Sleeper:
    """The first import that has come to the wait for replicas sleeps there; its lock expires."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asleep, self.wakes = asyncio.Event(), asyncio.Event()
        self._followed = settled.followed_by_replicas
        monkeypatch.setattr(full, "followed_by_replicas", self._sleeps)

    async def _sleeps(self, lines: Lines) -> list[str]:
        found = await self._followed(lines)
        if not self.asleep.is_set():
            self.asleep.set()
            await self.wakes.wait()
        return found


def feed_of(folder: Path, band: str) -> Path:
    return write_feed(folder / f"{band}.csv", [(index, band) for index in range(CALLERS)])


async def test_while_another_imports_nothing_is_switched(
    server: RedisServer, redis: Redis, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(server.url, order_for(feed_of(tmp_path, "adult"), tmp_path / "here"))
    sleeper = Sleeper(monkeypatch)
    order = order_for(feed_of(tmp_path, "senior"), tmp_path / "here", allow_change_percent=100.0)
    sleeping = asyncio.create_task(import_feed(servers, RING, order, unwatched))
    async with asyncio.timeout(30):
        await sleeper.asleep.wait()
    await redis.delete(IMPORT_KEY)
    begun = asyncio.Event()

    def watch(step: Step) -> None:
        if step.doing == "loading":
            begun.set()

    other = order_for(feed_of(tmp_path, "elder"), tmp_path / "there", rate=2 * CALLERS, allow_change_percent=100.0)
    others = asyncio.create_task(import_feed(servers, RING, other, watch))
    async with asyncio.timeout(30):
        await begun.wait()  # it has removed what the sleeping one had loaded
    sleeper.wakes.set()
    with pytest.raises(RegistryError, match="has taken over the import; this one stops and has switched nothing"):
        await sleeping
    await others
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted(dict.fromkeys(range(CALLERS), CODES["elder"]), now.buckets)


async def test_after_another_gave_up_what_it_removed_is_loaded_again(
    server: RedisServer, redis: Redis, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(server.url, order_for(feed_of(tmp_path, "adult"), tmp_path / "here"))
    sleeper = Sleeper(monkeypatch)
    order = order_for(feed_of(tmp_path, "senior"), tmp_path / "here", allow_change_percent=100.0)
    sleeping = asyncio.create_task(import_feed(servers, RING, order, unwatched))
    async with asyncio.timeout(30):
        await sleeper.asleep.wait()
    await redis.delete(IMPORT_KEY)
    begun = asyncio.Event()

    def watch(step: Step) -> None:
        if step.doing == "loading":
            begun.set()

    other = order_for(feed_of(tmp_path, "elder"), tmp_path / "there", rate=2 * CALLERS, allow_change_percent=100.0)
    others = asyncio.create_task(import_feed(servers, RING, other, watch))
    async with asyncio.timeout(30):
        await begun.wait()
    others.cancel()
    with pytest.raises(asyncio.CancelledError):
        await others
    assert not await redis.exists(IMPORT_KEY)
    sleeper.wakes.set()
    await sleeping
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted(dict.fromkeys(range(CALLERS), CODES["senior"]), now.buckets)
    await run(server.url, replace(other, rate=None))
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted(dict.fromkeys(range(CALLERS), CODES["elder"]), now.buckets)
