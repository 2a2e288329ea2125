"""Loading callers: with `elder-router callers import`, and beside it one key a caller without the router."""

from __future__ import annotations

import asyncio
import csv
import resource
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import redis
from redis.asyncio import Redis
from rich.console import Console

from bench.apart import Apart, Stop
from bench.machine import cpu_s
from bench.registry_feed import HEADER, ROW_BYTES, append_row, compress, write_feed, write_protocol
from bench.registry_results import Loaded, LoadedDirectly
from bench.registry_watch import Watched, settled_bytes, wait_until, watching
from lab.centre import ELDER_ROUTER
from lab.places import PROJECT
from lab.processes import Child, LabError
from lab.redis import RedisServer
from router.callers.generation import Generation, read_generation
from router.callers.keys import REGISTRY_KEY
from router.callers.secret_ring import load_or_create_ring
from router.rules.book import load_rules

RULES: Final = PROJECT / "config" / "routing.yaml"
REDIS_PY: Final = "redis-py, pipelines of 1,000 SET"
MASS_INSERTION: Final = "`redis-cli --pipe`, SET"
_PIPELINE: Final = 1_000
_FEW: Final = 1_000
_SLOWEST_PER_S: Final = 20_000
"""An import slower than this has stopped."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed of made-up callers: indices from 0."""

    file: Path
    callers: int
    made_s: float


@dataclass(frozen=True, slots=True)
class Imported:
    """One run of the importer."""

    watched: Watched
    ended: float
    cpu_s: float
    redis_cpu_s: float


class Importer:
    """`elder-router callers import` with settings of its own. Its files lie in `folder`."""

    def __init__(self, folder: Path, server: RedisServer, console: Console) -> None:
        folder.mkdir(parents=True)
        self.secret_file = folder / "registry.secrets"
        load_or_create_ring(self.secret_file)
        self._folder = folder
        self._server = server
        self._console = console
        self._work = folder / "work"
        self._settings = folder / "elder-router.yaml"
        self._settings.write_text(
            f"asterisk: [{{name: pbx1, secret_file: ami.secret}}]\nrules: {RULES}\n"
            "journal: {file: journal.jsonl, secret_file: callers.key}\n"
            f"callers:\n  redis: {server.url}\n  secret_file: {self.secret_file}\n  work_folder: {self._work}\n"
        )
        (folder / "ami.secret").write_text("none\n")

    async def run(self, file: Path, callers: int, say: str) -> Imported:
        """Load a feed.

        Raises:
            LabError: It did not end well, or did not end.
        """
        client = Redis.from_url(self._server.url)
        before_s, redis_before_s = _children_cpu_s(), cpu_s(self._server.child.pid)
        command = [ELDER_ROUTER, "--config", str(self._settings), "callers", "import", str(file)]
        child = await Child.start("elder-router callers import", command, self._folder / "import.log")
        try:
            async with client, watching(client, child.pid, self._work, self._console, say) as watched:
                patience_s = 300 + callers / _SLOWEST_PER_S
                await wait_until(f"`{' '.join(command[3:5])}` of {callers:,}", patience_s, lambda: not child.running)
                ended = time.monotonic()
                await asyncio.sleep(0.2)  # for a last look
            if await child.process.wait() != 0:
                raise LabError(f"the import ended with {child.process.returncode}; its last words:\n{child.tail()}")
            if not watched.switched:
                raise LabError(f"the import ended, but no registry is in force; its last words:\n{child.tail()}")
        finally:
            await child.stop()
        return Imported(watched, ended, _children_cpu_s() - before_s, cpu_s(self._server.child.pid) - redis_before_s)

    async def generation(self) -> Generation:
        """What is in force."""
        async with Redis.from_url(self._server.url) as client:
            text = await client.get(REGISTRY_KEY)
        assert isinstance(text, bytes)
        return read_generation(text)


def make_feed(file: Path, callers: int, console: Console) -> Feed:
    """Make a feed of so many."""
    file.parent.mkdir(exist_ok=True)
    began = told = time.monotonic()

    def progress(rows: int) -> None:
        nonlocal told
        if (now := time.monotonic()) > told + 10:
            told = now
            console.print(f"    {rows:,} rows, {rows / (now - began) / 1e6:.1f} million a second")

    write_feed(file, callers, progress)
    made = Feed(file, callers, time.monotonic() - began)
    console.print(f"    a feed of {callers:,} callers made in {made.made_s:.1f} s")
    return made


async def measure_least(folder: Path, console: Console) -> float:
    """Seconds to load a thousand callers into a Redis of its own: what any load takes."""
    feed = make_feed(folder / "few.csv", _FEW, console)
    async with RedisServer(folder / "redis") as server:
        imported = await Importer(folder / "importer", server, console).run(feed.file, _FEW, f"import of {_FEW:,}")
    return imported.watched.switched - imported.watched.began


async def measure_load(feed: Feed, least_s: float, importer: Importer, server: RedisServer, console: Console) -> Loaded:
    """Load it into a Redis that is empty; then have Redis dump it."""
    async with Redis.from_url(server.url) as client:
        base_bytes, _ = await settled_bytes(client)
        imported = await importer.run(feed.file, feed.callers, f"import of {feed.callers:,}")
        in_force = await importer.generation()
        if in_force.callers != feed.callers:
            raise LabError(f"{in_force.callers:,} callers are in the registry, of {feed.callers:,} in the feed")
        now_bytes, rss_bytes = await settled_bytes(client)
        rdb_bytes, rdb_s = await _dump(client, server.directory)
    watched = imported.watched
    loaded = Loaded(
        callers=feed.callers,
        feed_bytes=feed.file.stat().st_size,
        feed_s=feed.made_s,
        gzip_s=None,
        took_s=watched.switched - watched.began,
        least_s=least_s,
        reading_s=watched.came - watched.began,
        whole_s=imported.ended - watched.began,
        importer_cpu_s=imported.cpu_s,
        redis_cpu_s=imported.redis_cpu_s,
        peak_pss_bytes=watched.peak_pss_bytes,
        peak_anonymous_bytes=watched.peak_anonymous_bytes,
        spool_bytes=watched.spool_bytes,
        redis_bytes=now_bytes - base_bytes,
        redis_rss_bytes=rss_bytes,
        rdb_bytes=rdb_bytes,
        rdb_s=rdb_s,
        buckets=in_force.buckets,
        largest_bucket=in_force.largest_bucket,
    )
    console.print(
        f"    loaded in {loaded.took_s:.1f} s, {loaded.per_s:,.0f} callers/s; "
        f"{loaded.redis_bytes / loaded.callers:.2f} bytes a caller"
    )
    return loaded


async def measure_gzip(feed: Feed, folder: Path, console: Console) -> float:
    """Seconds to load the same compressed, into a Redis of its own."""
    compressed = feed.file.with_suffix(".csv.gz")
    await asyncio.to_thread(compress, feed.file, compressed)
    try:
        async with RedisServer(folder / "redis") as server:
            imported = await Importer(folder / "importer", server, console).run(
                compressed, feed.callers, "import of the same as .gz"
            )
    finally:
        compressed.unlink()
    took_s = imported.watched.switched - imported.watched.began
    console.print(f"    as .gz loaded in {took_s:.1f} s")
    return took_s


def another_feed(feed: Feed) -> None:
    """Make it another feed, so that loading it is not nothing: one caller more."""
    append_row(feed.file, (feed.file.stat().st_size - len(HEADER)) // ROW_BYTES)


async def measure_redis_py(feed: Feed, server: RedisServer, console: Console) -> LoadedDirectly:
    """What one would write without knowing the router: csv, redis-py's pipeline, one key a caller."""

    async def load() -> float:
        apart.begin()
        return await apart.answer()

    async with Apart(REDIS_PY, load_with_redis_py, feed.file, server.url) as apart:
        return await _directly(REDIS_PY, feed.callers, server, load, console)


async def measure_mass_insertion(callers: int, scratch: Path, server: RedisServer, console: Console) -> LoadedDirectly:
    """Redis's own way to insert many: a stream of commands, made before the clock starts."""
    stream = scratch / "callers.resp"

    async def load() -> float:
        before_s = _children_cpu_s()
        command = ["sh", "-c", 'exec redis-cli -p "$0" --pipe < "$1"', str(server.port), str(stream)]
        child = await Child.start("redis-cli --pipe", command, scratch / "redis-cli.log")
        try:
            await wait_until(child.name, 300 + callers / _SLOWEST_PER_S, lambda: not child.running)
        finally:
            await child.stop()
        if f"errors: 0, replies: {callers}" not in child.tail():
            raise LabError(f"redis-cli --pipe did not load all; its last words:\n{child.tail()}")
        return _children_cpu_s() - before_s

    try:
        await asyncio.to_thread(write_protocol, stream, callers, lambda _rows: None)
        return await _directly(MASS_INSERTION, callers, server, load, console)
    finally:
        stream.unlink(missing_ok=True)


async def _directly(
    way: str, callers: int, server: RedisServer, load: Callable[[], Awaitable[float]], console: Console
) -> LoadedDirectly:
    """Measure a load; `load` returns the client's seconds of processor time."""
    async with Redis.from_url(server.url) as client:
        base_bytes, _ = await settled_bytes(client)
        redis_before_s, began = cpu_s(server.child.pid), time.monotonic()
        client_cpu_s = await load()
        took_s, redis_cpu_s = time.monotonic() - began, cpu_s(server.child.pid) - redis_before_s
        now_bytes, rss_bytes = await settled_bytes(client)
    console.print(f"    {way}: {took_s:.1f} s, {callers / took_s:,.0f} callers/s")
    return LoadedDirectly(
        way=way,
        callers=callers,
        took_s=took_s,
        client_cpu_s=client_cpu_s,
        redis_cpu_s=redis_cpu_s,
        redis_bytes=now_bytes - base_bytes,
        redis_rss_bytes=rss_bytes,
    )


def load_with_redis_py(stop: Stop, file: Path, url: str) -> float:
    """Read, find the band, SET. Returns the seconds of processor time it took."""
    bands, today = load_rules(RULES).bands, date.today()  # noqa: DTZ011 - any day will do
    code = {name: str(number) for number, name in enumerate(bands.names, 1)}
    began = time.process_time()
    with file.open(newline="") as stream, redis.Redis.from_url(url) as client:
        pipeline = client.pipeline(transaction=False)
        for row in csv.DictReader(stream):
            pipeline.set(f"elder:{row['number']}", code[bands.of_birth(date.fromisoformat(row["birth_date"]), today)])
            if len(pipeline) == _PIPELINE:
                pipeline.execute()
                if stop:
                    break
        pipeline.execute()
    return time.process_time() - began


def needed_bytes(callers: int, plain_keys: int) -> int:
    """The room on the disk for the files of one size: the feed, the spool, a dump; or one of plain keys' streams."""
    return callers * (ROW_BYTES + 16 + 14) + plain_keys * (48 + 12)


async def _dump(client: Redis, folder: Path) -> tuple[int, float]:
    """Have Redis dump what it holds: bytes and seconds. The dump is removed again."""
    file = folder / "dump.rdb"
    began = time.monotonic()
    await client.bgsave()
    try:
        state = await client.info("persistence")
        while state["rdb_bgsave_in_progress"]:
            await asyncio.sleep(0.05)
            state = await client.info("persistence")
        if state["rdb_last_bgsave_status"] != "ok":
            raise LabError(f"Redis could not dump into {folder}; is the disk full?")
        return file.stat().st_size, time.monotonic() - began
    finally:
        with suppress(OSError):
            file.unlink()


def _children_cpu_s() -> float:
    """Processor time of all children that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
