"""Decisions a second of one daemon, and its memory, fed by recorded calls over loopback.

The daemon is the real one, with Redis, rules and journal; only Asterisk is a stand-in. Where there are two cores the
daemon has one for itself, and everything else is on the other.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import pstats
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from rich.console import Console

from bench.journal_tally import JournalTally
from bench.machine import cpu_s, pin, rss_bytes
from bench.plan import Plan
from bench.population import OLDER, population, store
from bench.replay_server import Replay, Replayed, serve
from bench.replayed_router import ReplayedRouter
from bench.stream import RecordedCalls
from lab.places import PROJECT
from lab.processes import LabError
from lab.redis import RedisServer

RULES = PROJECT / "config" / "routing.yaml"
DAEMON_CORE, OTHER_CORE = 0, 1
WARM_UP_CALLS = 2_000
OUTSTANDING = 64
PROFILED_LINES = 45
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """One replay: how it went, what it cost each process, and what the journal says of it."""

    calls: int
    outstanding: int
    replayed: Replayed
    daemon_cpu_s: float
    redis_cpu_s: float
    decisions: int
    applied: int
    outcomes: int
    lookups_failed: int
    journal_bytes: int

    @property
    def per_s(self) -> float:
        """Decisions a second."""
        return self.calls / self.replayed.took_s

    @property
    def us_per_call(self) -> float:
        """Processor time of the daemon for one call from request to outcome, in µs."""
        return self.daemon_cpu_s / self.calls * 1e6

    def share_of_core(self, used_s: float) -> float:
        """The part of one core that processor time used meanwhile comes to."""
        return used_s / self.replayed.took_s

    def __str__(self) -> str:
        shares = (self.daemon_cpu_s, self.replayed.server_cpu_s, self.redis_cpu_s)
        daemon, server, redis = (f"{self.share_of_core(used_s):.0%}" for used_s in shares)
        return (
            f"{self.per_s:.0f} decisions/s with {self.outstanding} outstanding, {self.us_per_call:.0f} µs each "
            f"(daemon {daemon} of its core, stand-in {server}, Redis {redis}); journal: {self.decisions} decisions, "
            f"{self.applied} applied, {self.outcomes} outcomes of {self.calls}; lookups failed {self.lookups_failed}"
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """The daemon's resident memory: calls in hand → bytes; and a replay with none and with all of them in hand."""

    rss_bytes: dict[int, int]
    empty: Run
    full: Run


class Bench:
    """Redis, the stand-in and the daemon; an async context manager."""

    def __init__(self, directory: Path, recorded: RecordedCalls, *, profile: Path | None = None) -> None:
        self.residents = population()
        self._directory = directory
        self._recorded = recorded
        self._profile = profile
        self._redis = RedisServer(directory / "redis")
        self._stack = AsyncExitStack()
        spawn = multiprocessing.get_context("spawn")
        self._orders, theirs = spawn.Pipe()
        self._server = spawn.Process(target=serve, args=(theirs, recorded), daemon=True)

    async def __aenter__(self) -> Bench:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _start(self) -> None:
        await self._stack.enter_async_context(self._redis)
        await store(self.residents, self._redis.url, self._directory / "router" / "registry.secrets")
        self._stack.callback(self._server.kill)
        self._server.start()
        port = await asyncio.to_thread(self._answer)
        assert isinstance(port, int)
        self.router = ReplayedRouter(self._directory / "router", RULES, self._redis.url, port, profile=self._profile)
        self._stack.push_async_callback(self.router.stop)
        await self.router.start()
        assert self._server.pid is not None
        self._redis_pid = self._redis.child.pid
        pin(self.router.pid, DAEMON_CORE)
        pin(self._redis_pid, OTHER_CORE)
        pin(self._server.pid, OTHER_CORE)
        self._tally = JournalTally(self.router.journal)

    async def run(self, calls: int, outstanding: int) -> Run:
        """Replay calls from beginning to end, and wait until the journal has all their records."""
        before = replace(self._tally)
        daemon_before_s, redis_before_s = cpu_s(self.router.pid), cpu_s(self._redis_pid)
        replayed = await self._order(Replay(self.residents, calls, outstanding))
        daemon_cpu_s = cpu_s(self.router.pid) - daemon_before_s
        redis_cpu_s = cpu_s(self._redis_pid) - redis_before_s
        await self._tally.wait_for(decisions=before.decisions + calls, outcomes=before.outcomes + calls)
        return Run(
            calls=calls,
            outstanding=outstanding,
            replayed=replayed,
            daemon_cpu_s=daemon_cpu_s,
            redis_cpu_s=redis_cpu_s,
            decisions=self._tally.decisions - before.decisions,
            applied=self._tally.applied - before.applied,
            outcomes=self._tally.outcomes - before.outcomes,
            lookups_failed=self._tally.lookups_failed - before.lookups_failed,
            journal_bytes=self._tally.size_bytes - before.size_bytes,
        )

    async def hold(self, calls: int) -> None:
        """Have so many calls more decided, of older callers who then wait in a queue for ever."""
        decided = self._tally.decisions + calls
        older = [who for who in self.residents if who.band in OLDER]
        await self._order(Replay(older, calls, OUTSTANDING, hold=True))
        await self._tally.wait_for(decisions=decided)

    async def _order(self, replay: Replay) -> Replayed:
        self._orders.send(replay)
        replayed = await asyncio.to_thread(self._answer)
        assert isinstance(replayed, Replayed)
        return replayed

    def _answer(self) -> object:
        """What the stand-in says next."""
        if not self._orders.poll(_PATIENCE_S):
            raise LabError(f"the stand-in for Asterisk did not answer within {_PATIENCE_S:.0f} s")
        answer: object = self._orders.recv()
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()


async def measure_replay(directory: Path, recorded: RecordedCalls, plan: Plan, console: Console) -> list[Run]:
    """Replay with different numbers of requests outstanding, all of them in turn, several times."""
    console.print("[bold]==>[/] replaying recorded calls into one daemon")
    runs = []
    async with Bench(directory, recorded) as bench:
        await bench.run(WARM_UP_CALLS, OUTSTANDING)
        for _ in range(plan.replay_runs):
            for outstanding, calls in plan.replays.items():
                runs.append(await bench.run(calls, outstanding))
                console.print(f"    {runs[-1]}")
    return runs


async def measure_memory(directory: Path, recorded: RecordedCalls, plan: Plan, console: Console) -> Memory:
    """Look at the daemon's memory as calls in hand grow, and whether deciding grows slower with them."""
    console.print("[bold]==>[/] memory")
    rss = {}
    async with Bench(directory, recorded) as bench:
        # Every caller once, so that what is remembered of callers is not taken for memory of calls.
        await bench.run(len(bench.residents), OUTSTANDING)
        empty = await bench.run(plan.extra_calls, OUTSTANDING)
        rss[0] = rss_bytes(bench.router.pid)
        for calls in plan.memory_calls:
            await bench.hold(calls - max(rss))
            rss[calls] = rss_bytes(bench.router.pid)
            console.print(f"    {calls} calls in hand: {rss[calls] / 2**20:.1f} MiB resident")
        full = await bench.run(plan.extra_calls, OUTSTANDING)
        for run in (empty, full):
            console.print(f"    {run}")
    return Memory(rss, empty, full)


async def profile_replay(directory: Path, recorded: RecordedCalls, plan: Plan, console: Console) -> None:
    """Print where the daemon's time goes; cProfile makes it about twice as slow."""
    console.print("[bold]==>[/] profile")
    file = directory / "daemon.profile"
    async with Bench(directory, recorded, profile=file) as bench:
        console.print(f"    {await bench.run(plan.extra_calls, OUTSTANDING)}")
    for order in ("tottime", "cumulative"):
        pstats.Stats(str(file)).sort_stats(order).print_stats(PROFILED_LINES)
