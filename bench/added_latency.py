"""What the router adds to a real call: the same calls with a plain Goto and through the router.

One Asterisk, one target context, whose first step answers. SIPp calls one of two numbers; the time from INVITE to
200 OK is read off the wire. Blocks of calls of both ways alternate.
"""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.journal_tally import JournalTally
from bench.machine import cpu_s
from bench.plan import Plan
from bench.population import Resident, population, write_csv
from bench.wire_clock import WireClock
from lab.centre import Centre
from lab.phones import Call, Placed, place

DIRECT, ROUTED = "96600", "95500"
WAYS = {"d": DIRECT, "r": ROUTED}
STAY_S = 0.5
"""How long a call stays in the target context: at 245 calls/s some 120 are up at once."""
HOLD_MS = 5_000
"""A caller hangs up by themselves after this long: those who fell back and wait for people do."""

DIALPLAN = f"""
[from-callers](+)
exten => {DIRECT},1,Goto(bench-target,s,1)

[bench-target]
exten => s,1,Answer(,i)
 same => n,Wait({STAY_S})
 same => n,Hangup()
"""

# The shipped rules, but that everybody ends in the same context; the variables set are as many.
RULES = """\
timezone: Asia/Shanghai
age_bands:
  - {name: minor,  from: 0}
  - {name: adult,  from: 18}
  - {name: senior, from: 60}
  - {name: elder,  from: 75}
protected: []
speech:
  standard:  {rate: 1.0}
  unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s, gain_db: 3}
targets:
  people: {queue: agents}
  bench:  {context: bench-target}
rules:
  - name: callers of 75 and over
    when: {age_band: elder}
    then: {to: bench, head_start: 8m, speech: unhurried, agent_label: "75+"}
  - name: callers of 60 and over
    when: {age_band: senior}
    then: {to: bench, head_start: 5m, speech: unhurried, agent_label: "60+"}
  - name: everyone else
    then: {to: bench}
fallback: {to: people}
"""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of calls of one way.

    `times_ms` are sorted, from INVITE to 200 OK; `answer_ms` is the router's own part of them, by its journal.
    Processor time is that of the whole block, start and end included.
    """

    calls: int
    times_ms: list[float]
    answer_ms: list[float]
    failed: int
    fell_back: int
    router_cpu_s: float
    asterisk_cpu_s: float
    took_s: float


@dataclass(slots=True)
class Way:
    """All blocks of one way at one rate."""

    blocks: list[Block] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(block.calls for block in self.blocks)

    @property
    def failed(self) -> int:
        return sum(block.failed for block in self.blocks)

    @property
    def fell_back(self) -> int:
        return sum(block.fell_back for block in self.blocks)

    @property
    def times_ms(self) -> list[float]:
        return sorted(itertools.chain.from_iterable(block.times_ms for block in self.blocks))

    @property
    def answer_ms(self) -> list[float]:
        return sorted(itertools.chain.from_iterable(block.answer_ms for block in self.blocks))

    @property
    def router_us_per_call(self) -> float:
        return sum(block.router_cpu_s for block in self.blocks) / self.calls * 1e6

    @property
    def asterisk_us_per_call(self) -> float:
        return sum(block.asterisk_cpu_s for block in self.blocks) / self.calls * 1e6

    @property
    def router_core_share(self) -> float:
        """The part of one core that the router took."""
        return sum(block.router_cpu_s for block in self.blocks) / sum(block.took_s for block in self.blocks)


@dataclass(frozen=True, slots=True)
class AtRate:
    """Both ways at one rate."""

    rate: int
    direct: Way
    routed: Way


def quantile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the sorted values lie (nearest rank); NaN of none."""
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, round(share * len(ordered)))]


async def measure_latency(directory: Path, plan: Plan, console: Console) -> list[AtRate]:
    """Place all blocks of calls at all rates."""
    rules = directory / "routing.yaml"
    residents = population()
    callers = write_csv(residents, directory / "callers.csv")
    rules.write_text(RULES)
    found = []
    async with Centre(directory / "centre", rules=rules, callers=callers, extra_dialplan=DIALPLAN) as centre:
        meter = _Meter(centre, itertools.cycle(residents), directory)
        console.print("[bold]==>[/] added latency: warming up")
        for way in ("d", "r"):
            await meter.block(way, 50, 2.0)
        for rate, block_s in plan.rates.items():
            ways = {"d": Way(), "r": Way()}
            for way in plan.order:
                block = await meter.block(way, rate, block_s)
                ways[way].blocks.append(block)
                console.print(_line(rate, way, block))
            found.append(AtRate(rate, ways["d"], ways["r"]))
    return found


class _Meter:
    def __init__(self, centre: Centre, callers: itertools.cycle[Resident], directory: Path) -> None:
        self._centre = centre
        self._callers = callers
        self._directory = directory
        self._router = centre.router.child.pid
        self._asterisk = centre.asterisk.child.pid
        self._tally = JournalTally(centre.router.journal)
        self._blocks = 0

    async def block(self, way: str, rate: int, seconds: float) -> Block:
        """Place one block of calls and wait until the router knows that all of them are over."""
        self._blocks += 1
        calls = [Call(next(self._callers).e164, WAYS[way]) for _ in range(round(rate * seconds))]
        expected = self._tally.outcomes + (len(calls) if way == "r" else 0)
        fallbacks_before = await self._fallbacks()
        cpu_before = cpu_s(self._router), cpu_s(self._asterisk)
        answered_before = len(self._tally.answer_ms)
        began = time.monotonic()
        with WireClock(self._centre.asterisk.sip_port) as clock:
            placed = await place(
                self._directory / f"block{self._blocks}",
                self._centre.asterisk.sip_port,
                calls,
                hold_ms=HOLD_MS,
                rate_per_s=rate,
            )
        await self._tally.wait_for(outcomes=expected)
        return Block(
            calls=len(calls),
            times_ms=clock.response_times_ms(),
            answer_ms=self._tally.answer_ms[answered_before:],
            failed=_failed(placed, len(calls)),
            fell_back=await self._fallbacks() - fallbacks_before,
            router_cpu_s=cpu_s(self._router) - cpu_before[0],
            asterisk_cpu_s=cpu_s(self._asterisk) - cpu_before[1],
            took_s=time.monotonic() - began,
        )

    async def _fallbacks(self) -> int:
        """Asterisk's own count of calls that went on without the router."""
        said = await self._centre.asterisk.cli("dialplan show globals")
        found = re.search(r"\bELDER_FALLBACKS=(\d+)", said)
        return int(found[1]) if found else 0


def _failed(placed: Placed, calls: int) -> int:
    """SIPp's count of calls that did not go as its scenario says."""
    found = re.search(r"Successful call\s*\|[^|]*\|\s*(\d+)", placed.output)
    return calls - int(found[1]) if found else calls


def _line(rate: int, way: str, block: Block) -> str:
    name = "router" if way == "r" else "direct"
    return (
        f"    {rate:3d}/s {name}: {block.calls} calls, p50 {quantile(block.times_ms, 0.5):.2f} ms, "
        f"p99 {quantile(block.times_ms, 0.99):.2f} ms, failed {block.failed}, fell back {block.fell_back}"
    )
