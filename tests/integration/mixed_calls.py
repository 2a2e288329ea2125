"""Two hundred calls of every kind, and how Asterisk's own queue log and pyst2 count them.

Nothing here asks the router. A call's kind is the number that it dials, which the witness sees as the extension of its
new channel; who joined a queue, was answered and gave up is in the queue log, to the second, and among the witness's
events, to the millisecond.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.centre import Centre
from lab.phones import Call, Key, Placed, place
from lab.queue_log import QueueLog, read_queue_log
from tests.integration.witness import Witness

AGENTS = tuple(f"agent{number}" for number in range(1, 13))
TALK_MS = 700
MIDDLING_S = 16.5
"""Between the trade's 15 s and the usual service level's 20 s, by more than what is reckoned after a restart of the
router may be off: Asterisk tells it in whole seconds how long callers have waited."""
LATER_S = 5.0

# Made up. Nobody calls twice who asks for a person: they would be remembered, and be put straight through.
ELDERS = tuple(f"139000010{number:02d}" for number in range(20))
SENIORS = tuple(f"139000020{number:02d}" for number in range(20))
OLDER = tuple(number for pair in zip(ELDERS, SENIORS, strict=True) for number in pair)
ADULTS = tuple(f"139000030{number:02d}" for number in range(40))
NOBODY = tuple(f"139000040{number:02d}" for number in range(10))


def callers_file() -> str:
    """Who they are, as a feed of callers."""
    bands = (("elder", ELDERS), ("senior", SENIORS), ("adult", ADULTS))
    return "number,age_band\n" + "".join(f"{number},{band}\n" for band, numbers in bands for number in numbers)


@dataclass(frozen=True, slots=True)
class Kind:
    """Calls of one kind: how many, who, what they do."""

    called: str
    calls: int
    callers: tuple[str, ...]
    hold_ms: int
    keys: tuple[Key, ...] = ()
    rate_per_s: float = 10.0

    def placed(self) -> list[Call]:
        """The calls."""
        return [Call(self.callers[number % len(self.callers)], self.called) for number in range(self.calls)]


LATE = Kind("95501", 5, OLDER, 60_000)
MIDDLING = Kind("95509", 5, OLDER, 60_000)
GONE = Kind("95502", 20, OLDER, 12_000, rate_per_s=20)
SOON = Kind("95503", 70, OLDER, 40_000, rate_per_s=6)
SERVED = Kind("95504", 40, ADULTS, 2_000, (Key(1_500, "1"),))
EARLY = Kind("95505", 20, ADULTS, 2_000)
ZERO = Kind("95506", 20, ADULTS, 40_000, (Key(1_500, "0"),), rate_per_s=6)
UNKNOWN = Kind("95507", 10, NOBODY, 2_000)
FELL_BACK = Kind("95508", 10, OLDER, 60_000)
KINDS = (LATE, MIDDLING, GONE, SOON, SERVED, EARLY, ZERO, UNKNOWN, FELL_BACK)
CALLS = sum(kind.calls for kind in KINDS)


@dataclass(slots=True)
class Counted:
    """What Asterisk saw: uniqueids of each kind, by the number dialled; waits in seconds, by uniqueid."""

    of_kind: dict[str, frozenset[str]] = field(default_factory=dict)
    waited_s: dict[str, float] = field(default_factory=dict)
    abandoned: frozenset[str] = frozenset()
    answered_by: dict[str, str] = field(default_factory=dict)
    queue: dict[str, str] = field(default_factory=dict)

    def calls(self, *kinds: Kind) -> frozenset[str]:
        """The calls of some kinds."""
        return frozenset().union(*(self.of_kind[kind.called] for kind in kinds))

    def within(self, limit_s: float, among: Iterable[str]) -> int:
        """How many of some calls were answered within a time."""
        return sum(self.waited_s[uniqueid] <= limit_s for uniqueid in among if uniqueid in self.answered_by)

    def waits_of_answered(self, among: Iterable[str]) -> list[float]:
        """The waits of those of some calls that were answered, in order."""
        return sorted(self.waited_s[uniqueid] for uniqueid in among if uniqueid in self.answered_by)


async def place_all(centre: Centre, witness: Witness) -> list[Placed]:
    """Place all calls: first nobody answers, then the router is away for some seconds, then all goes well."""
    await _pause(witness, paused=True)
    tasks = [_start(centre, LATE)]
    await witness.wait_for("QueueCallerJoin", LATE.calls)
    over_first = [_start(centre, kind) for kind in (GONE, SERVED, EARLY, UNKNOWN)]
    await asyncio.sleep(LATER_S)
    tasks.append(_start(centre, MIDDLING))
    joined = LATE.calls + GONE.calls + MIDDLING.calls
    await witness.wait_for("QueueCallerJoin", joined)
    answer_at = time.monotonic() + MIDDLING_S
    await asyncio.gather(*over_first)
    await witness.wait_for("QueueCallerAbandon", GONE.calls)
    await centre.router.wait_for_records("outcome", sum(kind.calls for kind in (GONE, SERVED, EARLY, UNKNOWN)))
    await centre.router.stop(signal.SIGKILL)
    await asyncio.sleep(4.5)  # until its last heartbeat is stale to the dialplan
    tasks.append(_start(centre, FELL_BACK))
    await witness.wait_for("QueueCallerJoin", joined + FELL_BACK.calls)
    await centre.router.start()
    await asyncio.sleep(max(0.0, answer_at - time.monotonic()))
    await _pause(witness, paused=False)
    tasks += [_start(centre, kind) for kind in (SOON, ZERO)]
    return list(await asyncio.gather(*over_first, *tasks))


def count(centre: Centre, witness: Witness) -> Counted:
    """What Asterisk's queue log and the witness say; they must agree."""
    counted = Counted()
    of_kind: dict[str, set[str]] = {kind.called: set() for kind in KINDS}
    for channel in witness.events("Newchannel"):
        if (called := channel.headers.get("Exten", "")) in of_kind:
            of_kind[called].add(channel.uniqueid)
    counted.of_kind = {called: frozenset(uniqueids) for called, uniqueids in of_kind.items()}
    joined: dict[str, float] = {}
    for seen in witness.events("QueueCallerJoin"):
        joined.setdefault(seen.uniqueid, seen.at)
        counted.queue[seen.uniqueid] = seen.headers["Queue"]
    for seen in witness.events("AgentConnect"):
        counted.waited_s.setdefault(seen.uniqueid, seen.at - joined[seen.uniqueid])
        counted.answered_by.setdefault(seen.uniqueid, seen.headers["MemberName"])
    gone = witness.events("QueueCallerAbandon")
    for seen in gone:
        counted.waited_s[seen.uniqueid] = seen.at - joined[seen.uniqueid]
    counted.abandoned = frozenset(seen.uniqueid for seen in gone)
    log = read_queue_log(centre.asterisk.directory / "log" / "queue_log")
    _agree(counted, log)
    return counted


def _agree(counted: Counted, log: QueueLog) -> None:
    """The two witnesses, of whom one is Asterisk itself, tell the same."""
    assert counted.answered_by == log.answered_by
    assert counted.abandoned == frozenset(log.abandoned_after_s)
    for uniqueid, wait_s in {**log.answered_after_s, **log.abandoned_after_s}.items():
        # The log has whole seconds, each of the two moments cut off.
        assert abs(counted.waited_s[uniqueid] - wait_s) <= 1.1, (uniqueid, counted.waited_s[uniqueid], wait_s)


def by_queue(counted: Counted, among: Iterable[str]) -> Counter[str]:
    """How many of some calls waited last in each queue."""
    return Counter(counted.queue[uniqueid] for uniqueid in among if uniqueid in counted.queue)


def _start(centre: Centre, kind: Kind) -> asyncio.Task[Placed]:
    directory = centre.directory / f"callers-{kind.called}"
    placing = place(
        directory, centre.asterisk.sip_port, kind.placed(), hold_ms=kind.hold_ms, keys=kind.keys,
        rate_per_s=kind.rate_per_s,
    )  # fmt: skip
    return asyncio.create_task(placing)


async def _pause(witness: Witness, *, paused: bool) -> None:
    for agent in AGENTS:
        said = await witness.action(Action="QueuePause", Interface=f"PJSIP/{agent}", Paused=str(paused).lower())
        assert "Success" in said, said
