"""What the wallboard costs calls: decisions of one daemon at 245 calls/s while nobody looks, and while 50 screens do.

The daemon is the real one, with Redis, rules and journal, and thousands of callers waiting; only Asterisk is a
stand-in. Viewers are connections of another process that read every picture. Blocks with and without them alternate.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console

from bench.added_latency import quantile
from bench.journal_tally import JournalTally
from bench.machine import cpu_s, pin
from bench.markdown import table
from bench.population import store
from bench.replay import DAEMON_CORE, OTHER_CORE, OUTSTANDING, RULES, WARM_UP_CALLS, Bench
from bench.replay_server import Replay
from bench.replayed_router import ReplayedRouter
from bench.stream import RecordedCalls

VIEWERS: Final = 50
CALLS_PER_S: Final = 245
BURST: Final = 5
"""Calls that come at once, 49 times a second: real ones come in no better order."""
IN_HAND: Final = 10_000
"""Callers who wait meanwhile: each picture looks at every one of them."""
ORDER: Final = "0vv00vv0"
"""Blocks without and with viewers."""

_PATIENCE_S: Final = 30.0


@dataclass(slots=True)
class Watched:
    """All blocks of one kind: the router's own time for each decision in ms, by its journal; what viewers were sent."""

    times_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    took_s: float = 0.0
    pictures: int = 0
    picture_bytes: int = 0

    @property
    def core(self) -> float:
        """The part of one core that the daemon used."""
        return self.cpu_s / self.took_s


@dataclass(frozen=True, slots=True)
class Viewers:
    """Without and with viewers."""

    alone: Watched
    watched: Watched


class WatchedBench(Bench):
    """A bench whose daemon serves its wallboard."""

    async def _start(self) -> None:
        await self._stack.enter_async_context(self._redis)
        await store(self.residents, self._redis.url, self._directory / "router" / "registry.secrets")
        self._stack.callback(self._server.kill)
        self._server.start()
        port = await asyncio.to_thread(self._answer)
        assert isinstance(port, int)
        self.router = ReplayedRouter(self._directory / "router", RULES, self._redis.url, port)
        self.router.supervised = True
        self._stack.push_async_callback(self.router.stop)
        await self.router.start()
        assert self._server.pid is not None
        pin(self.router.pid, DAEMON_CORE)
        pin(self._redis.child.pid, OTHER_CORE)
        pin(self._server.pid, OTHER_CORE)
        self._tally = JournalTally(self.router.journal)

    async def warm_up(self) -> None:
        """Have every part of it used once."""
        await self._order(Replay(self.residents, WARM_UP_CALLS, OUTSTANDING))
        await self._tally.wait_for(decisions=WARM_UP_CALLS)

    async def paced(self, seconds: float) -> float:
        """Replay calls at the rate; returns how long it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        bursts = int(seconds * CALLS_PER_S / BURST)
        decided = self._tally.decisions + bursts * BURST
        for number in range(bursts):
            await asyncio.sleep(max(0.0, began + number * BURST / CALLS_PER_S - loop.time()))
            await self._order(Replay(self.residents, BURST, BURST))
        took_s = loop.time() - began
        await self._tally.wait_for(decisions=decided)
        return took_s


def look(orders: Connection[Any, Any], url: str, viewers: int) -> None:
    """Look at the wallboard so many times at once until told to stop; answers with pictures and bytes that came."""
    asyncio.run(_look(orders, url, viewers))


async def _look(orders: Connection[Any, Any], url: str, viewers: int) -> None:
    counts = [0, 0]
    ready = asyncio.Barrier(viewers + 1)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=2**20) as session:
        looking = [asyncio.create_task(_view(session, url, counts, ready)) for _ in range(viewers)]
        await asyncio.wait_for(ready.wait(), _PATIENCE_S)
        orders.send("ready")
        await asyncio.to_thread(orders.recv)
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
    orders.send(tuple(counts))


async def _view(session: aiohttp.ClientSession, url: str, counts: list[int], ready: asyncio.Barrier) -> None:
    async with session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as answer:
        answer.raise_for_status()
        await ready.wait()
        async for line in answer.content:
            if line.startswith(b"data: "):
                counts[0] += 1
                counts[1] += len(line)


async def measure_viewers(
    directory: Path, recorded: RecordedCalls, console: Console, *, block_s: float = 10.0, in_hand: int = IN_HAND
) -> Viewers:
    """Replay blocks of calls with and without viewers in turn."""
    console.print("[bold]==>[/] wallboard: decisions while screens look on")
    found = {"0": Watched(), "v": Watched()}
    bench = WatchedBench(directory, recorded)
    async with bench:
        await bench.warm_up()
        await bench.hold(in_hand)
        for kind in ORDER:
            await _block(bench, found[kind], VIEWERS if kind == "v" else 0, block_s)
            console.print(f"    {VIEWERS if kind == 'v' else 0} viewers: {_told(found[kind])}")
    return Viewers(found["0"], found["v"])


async def _block(bench: WatchedBench, into: Watched, viewers: int, block_s: float) -> None:
    url = f"http://127.0.0.1:{bench.router.wallboard_port}/events"
    spawn = multiprocessing.get_context("spawn")
    orders, theirs = spawn.Pipe()
    process = spawn.Process(target=look, args=(theirs, url, viewers), daemon=True)
    if viewers:
        process.start()
        assert process.pid is not None
        pin(process.pid, OTHER_CORE)
        await asyncio.to_thread(_said, orders)
    start = bench.router.journal.stat().st_size
    before_s = cpu_s(bench.router.pid)
    into.took_s += await bench.paced(block_s)
    into.cpu_s += cpu_s(bench.router.pid) - before_s
    with bench.router.journal.open("rb") as journal:
        journal.seek(start)
        into.times_ms += [ms for line in journal if (ms := _own_ms(line)) is not None]
    if viewers:
        orders.send("stop")
        pictures, sent_bytes = await asyncio.to_thread(_said, orders)
        into.pictures += pictures
        into.picture_bytes += sent_bytes
        await asyncio.to_thread(process.join, _PATIENCE_S)


def _said(orders: Connection[Any, Any]) -> Any:  # noqa: ANN401
    if not orders.poll(_PATIENCE_S):
        raise TimeoutError("the viewers did not answer")
    return orders.recv()


def _own_ms(line: bytes) -> float | None:
    """The router's own time for one decision, None for another record or the beginning of one."""
    if not line.startswith(b'{"record":"decision"') or not line.endswith(b"\n"):
        return None
    record = json.loads(line)
    return sum(record[part] or 0.0 for part in ("lookup_ms", "decide_ms", "apply_ms"))


def _told(watched: Watched) -> str:
    times = sorted(watched.times_ms)
    return (
        f"{len(times)} decisions, p50 {quantile(times, 0.5):.2f} ms, p99 {quantile(times, 0.99):.2f} ms, "
        f"longest {times[-1]:.1f} ms; the daemon used {watched.core:.0%} of its core; {watched.pictures} pictures"
    )


def wallboard_section(found: Viewers) -> str:
    """What docs/benchmarks.md says of it."""
    rows = []
    for name, one in (("0", found.alone), (str(VIEWERS), found.watched)):
        times = sorted(one.times_ms)
        marks = (quantile(times, 0.5), quantile(times, 0.99), times[-1])
        rows.append((name, f"{len(times):,}", *(f"{mark:.2f}" for mark in marks), f"{one.core:.0%}"))
    alone, watched = (sorted(one.times_ms) for one in (found.alone, found.watched))
    p50, p99 = (quantile(watched, share) / quantile(alone, share) for share in (0.5, 0.99))
    size = found.watched.picture_bytes / max(1, found.watched.pictures)
    return f"""\
## What the wallboard costs calls

One daemon decides {CALLS_PER_S} calls/s, in bursts of {BURST}, while {IN_HAND:,} older callers wait and while so many
screens look at its wallboard; blocks of both alternate ({" ".join(ORDER.replace("v", "V"))}; V is with screens). Times
are the router's own for one decision, in ms, by its journal. A screen is sent a picture of {size / 1024:.0f} KiB every
second. The screens' own work is done on the core of Redis and of the stand-in for Asterisk, which slows their answers.

{table(("screens", "decisions", "p50", "p99", "longest", "of its core"), rows)}

With {VIEWERS} screens the median is {p50:.2f} times and the 99th percentile {p99:.2f} times that without."""
