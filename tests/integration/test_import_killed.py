"""An import that is killed again and again, and then finished, leaves what an undisturbed one leaves: to the byte."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.places import PROJECT
from lab.redis import RedisServer
from lab.redis_groups import RedisCluster
from lab.registry import BANDS
from router.callers.keys import IMPORT_KEY
from router.callers.loading.checkpoint import FULL, FullCheckpoint, read_checkpoint
from router.callers.settings import RedisSettings
from tests.integration.feeds import (
    comparable,
    generation_in,
    keys_in,
    oldest_of,
    order_for,
    run,
    stored_in,
    wanted,
    write_feed,
)

pytestmark = pytest.mark.integration

CALLERS = 20_000
KILLED_WITHIN = 0.6
"""Of the time that an undisturbed one takes: so they come some way, and end seldom."""
PATIENCE_S = 60.0


class Killable:
    """Imports in processes that can be killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self) -> int:
        """Begin one; returns its process id."""
        assert self._process.stdin
        self._process.stdin.write(b"go\n")
        return int(await self._line())

    async def ended(self) -> int:
        """Wait for its end; returns its exit status, below 0 for a signal."""
        return int((await self._line()).removeprefix("ended "))

    async def _line(self) -> str:
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        assert line, "the importer has ended; its last words are above"
        return line.decode().strip()


@asynccontextmanager
async def killable(feed: Path, folder: Path, *servers: str) -> AsyncIterator[Killable]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.killable_import", str(feed), str(folder), *servers),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
    )
    try:
        yield Killable(process)
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


async def undisturbed(feed: Path, folder: Path, *servers: str) -> float:
    """Let one come to its end; returns how long it took, in seconds."""
    async with killable(feed, folder, *servers) as importer:
        began_s = time.monotonic()
        await importer.begin()
        assert await importer.ended() == 0
        return time.monotonic() - began_s


def rows_of(seed: int) -> list[tuple[int, str]]:
    chance = random.Random(seed)  # noqa: S311 - the same every time
    return [(chance.randrange(CALLERS), chance.choice(BANDS.names)) for _ in range(CALLERS)]


def reached(folder: Path) -> str:
    """Where the last one was killed."""
    checkpoint = read_checkpoint(folder, FULL, FullCheckpoint)
    if checkpoint is None:
        return "reading"
    return "removing" if checkpoint.switched_at else "loading"


async def kill_and_finish(
    feed: Path, folder: Path, servers: tuple[str, ...], kills: int, takes_s: float, seed: int
) -> Counter[str]:
    """Kill it so many times, let it end, and tell where it was killed."""
    chance = random.Random(seed)  # noqa: S311 - it shall be possible to have the same again
    where: Counter[str] = Counter()
    async with killable(feed, folder, *servers) as importer:
        done = 0
        while done < kills:
            process_id = await importer.begin()
            await asyncio.sleep(chance.uniform(0.0, KILLED_WITHIN * takes_s))  # where it is then is what is tried
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
            if await importer.ended() == -signal.SIGKILL:
                where[reached(folder)] += 1
                done += 1
        await importer.begin()
        assert await importer.ended() == 0
    return where


async def test_killed_twenty_times_anywhere_it_ends_like_an_undisturbed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_feed(tmp_path / "old.csv", rows_of(1))
    rows = rows_of(2)
    new = write_feed(tmp_path / "new.csv", rows)
    async with RedisServer(tmp_path / "a") as calm, RedisServer(tmp_path / "b") as killed:
        for server in (calm, killed):
            await run(server.url, order_for(old, tmp_path / f"work-{server.port}"))
        takes_s = await undisturbed(new, tmp_path / "work-calm", calm.url)
        seed = random.SystemRandom().randrange(1 << 32)
        where = await kill_and_finish(new, tmp_path / "work-killed", (killed.url,), 20, takes_s, seed)
        with capsys.disabled():
            print(f"\nseed {seed}: killed while {dict(where)}")  # noqa: T201 - for who has to find out
        async with Redis.from_url(calm.url) as one, Redis.from_url(killed.url) as other:
            wanted_bytes, found_bytes = await comparable(one), await comparable(other)
            assert found_bytes.keys() == wanted_bytes.keys()
            assert found_bytes == wanted_bytes
            assert await stored_in(other) == wanted(oldest_of(rows), (await generation_in(other)).buckets)
            assert await other.exists(IMPORT_KEY) == 0
    assert where["loading"] > 0
    assert list((tmp_path / "work-killed").iterdir()) == [tmp_path / "work-killed" / "lock"]


async def test_in_a_cluster_too(tmp_path: Path) -> None:
    rows = rows_of(3)
    old, new = write_feed(tmp_path / "old.csv", rows_of(1)), write_feed(tmp_path / "new.csv", rows)
    async with RedisCluster(tmp_path / "cluster") as cluster:
        names = tuple(server.server for server in cluster.primaries)
        await run(RedisSettings(cluster=names), order_for(old, tmp_path / "work"))
        await kill_and_finish(new, tmp_path / "work-killed", names, 6, 1.0, 1)
        held: dict[bytes, bytes | None] = {}
        for server in cluster.primaries:
            async with Redis.from_url(server.url) as redis:
                held |= await comparable(redis)
                assert [key for key in await keys_in(redis) if b"}:1:" in key] == [], "the old ones are removed"
    async with RedisServer(tmp_path / "one") as one:
        await run(one.url, order_for(new, tmp_path / "work-one"))
        async with Redis.from_url(one.url) as redis:
            assert held == await comparable(redis)
