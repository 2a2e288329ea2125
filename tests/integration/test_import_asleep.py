"""A machine that sleeps while it imports, and wakes when others have imported or begun to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.redis import RedisServer
from router.callers.keys import IMPORT_KEY
from router.callers.loading import full, settled
from router.callers.loading.job import Outcome, import_feed
from router.callers.loading.lines import Lines
from router.callers.loading.steps import Step
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


Imports = tuple[asyncio.Task[Outcome], asyncio.Task[Outcome], asyncio.Event]


@pytest.fixture
async def imports(
    server: RedisServer, redis: Redis, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Imports:
    """One that sleeps, one that has begun meanwhile and has removed what that had loaded, and what wakes the first."""
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

    order = order_for(feed_of(tmp_path, "elder"), tmp_path / "there", rate=2 * CALLERS, allow_change_percent=100.0)
    other = asyncio.create_task(import_feed(servers, RING, order, watch))
    async with asyncio.timeout(30):
        await begun.wait()
    return sleeping, other, sleeper.wakes


async def all_are(redis: Redis, band: str) -> bool:
    now = await generation_in(redis)
    return await stored_in(redis) == wanted(dict.fromkeys(range(CALLERS), CODES[band]), now.buckets)


async def test_while_another_imports_nothing_is_switched(redis: Redis, imports: Imports) -> None:
    sleeping, other, wakes = imports
    wakes.set()
    with pytest.raises(RegistryError, match="has taken over the import; this one stops and has switched nothing"):
        await sleeping
    assert await all_are(redis, "adult")
    await other
    assert await all_are(redis, "elder")


async def test_after_another_gave_up_what_it_removed_is_loaded_again(redis: Redis, imports: Imports) -> None:
    sleeping, other, wakes = imports
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert not await redis.exists(IMPORT_KEY)
    wakes.set()
    await sleeping
    assert await all_are(redis, "senior")
