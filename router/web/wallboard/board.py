"""What the wallboard shows, gathered: a picture of this moment, made of plain values for JSON.

    take      told of each record as it is written: today's figures, the last decisions
    look      asked once a second: who waits, agents, what is wrong, and those

It is bounded and does no I/O. Shares are worked out by the page; numbers of calls are told here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from router.calls.agents import AgentCounts, Agents
from router.calls.call import Call
from router.journal.conditions import ActiveCondition, AsteriskState
from router.journal.records import DecisionRecord, OutcomeRecord, Record
from router.journal.settings import ServiceLevel
from router.journal.tally import Counts, Day, Tally, day_of
from router.rules.book import RuleBook
from router.rules.model import QueueState

MOST_LAST: Final = 50
"""Decisions shown, the newest: more than any screen has lines."""

MOST_FOLLOWED: Final = 2_000
"""Decisions kept so that the end of a call, which comes minutes later, is shown with one of the last."""

MOST_ROWS: Final = 100
"""Queues, conditions and Asterisks shown, of each."""

SLICE: Final = 1_000
"""Calls looked at before others have their turn: 0.4 ms."""

LONGEST_TEXT: Final = 200
"""Characters of a text that are shown."""

Picture = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of one Asterisk now.

    Attributes:
        state: How it stands with it.
        calls: In hand, as its desk has them.
        queues: As QueueSummary tells of them; empty while that is not known.
        agents: None while they are not known.
    """

    state: AsteriskState
    calls: Mapping[str, Call]
    queues: Mapping[str, QueueState] = field(default_factory=dict)
    agents: Agents | None = None


@dataclass(slots=True)
class _Waiting:
    waiting: int = 0
    longest_s: float = 0.0

    def add(self, wait_s: float) -> None:
        self.waiting += 1
        self.longest_s = max(self.longest_s, wait_s)


class Board:
    """The wallboard's own view of the centre.

    Args:
        asterisks: Says what is seen of each.
        rules: Says which are in force.
        conditions: Says what is wrong now.
        level: The service level that is promised.
        is_whole: Whether there is nothing to count of earlier runs; else `counted` or `not_counted` is to come.
        now: Epoch seconds.
        monotonic: Seconds of the clock that calls are timed by.
    """

    def __init__(
        self,
        asterisks: Callable[[], Sequence[Seen]],
        rules: Callable[[], RuleBook],
        conditions: Callable[[], Sequence[ActiveCondition]],
        level: ServiceLevel,
        *,
        is_whole: bool = False,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asterisks = asterisks
        self._rules = rules
        self._conditions = conditions
        self._level = level
        self._now = now
        self._monotonic = monotonic
        self._started_s = now()
        self._state: Literal["counting", "counted", "partly"] = "counted" if is_whole else "counting"
        self._tally = Tally(
            self._day(self._started_s),
            protected_now=rules().protected,
            within_s=level.within_s,
            is_whole=is_whole,
        )
        self._last = _Last()

    @property
    def day(self) -> Day:
        """The day whose figures are shown."""
        return self._tally.day

    def uncounted(self) -> Tally:
        """An empty tally for what earlier runs wrote of this day, to be filled and handed to `counted`."""
        return Tally(self.day, protected_now=self._rules().protected, within_s=self._level.within_s)

    def take(self, record: Record) -> None:
        """Take a record of this run, from its first on; never blocks."""
        if not isinstance(record, DecisionRecord | OutcomeRecord):
            return
        self._turn(record.time.timestamp())
        self._tally.take(record)
        self._last.take(record)

    def counted(self, earlier: Tally) -> None:
        """Take what earlier runs wrote of the day."""
        if earlier.day != self.day:  # midnight came meanwhile; the calls under way are of use all the same
            earlier = earlier.next_day(self.day, protected_now=self._rules().protected)
        self._tally.join(earlier)
        self._state = "counted"

    def not_counted(self) -> None:
        """What earlier runs wrote of the day is not to be had: figures are those of this run, and the page says so."""
        self._tally.join(self.uncounted())
        self._state = "partly"

    def look(self) -> Generator[None, None, Picture]:
        """Make a picture of this moment; yields after each `SLICE` calls, for others to have their turn."""
        now_s = self._now()
        self._turn(now_s)
        rules, seen = self._rules(), self._asterisks()
        waiting = yield from self._waiting(seen)
        return {
            "at_s": round(now_s, 3),
            "zone": rules.timezone,
            "rules": rules.version,
            "waiting": _waiting_told(waiting, rules),
            "today": self._today(rules),
            "queues": _queues_told(seen, rules),
            "agents": _agents_told(seen),
            "conditions": [
                {"node": _cut(one.node), "what": one.what, "why": _cut(one.why), "since_s": one.since.timestamp()}
                for one in islice(self._conditions(), MOST_ROWS)
            ],
            "links": [_link_told(one.state) for one in islice(seen, MOST_ROWS)],
            "last": self._last.told(),
        }

    def picture(self) -> Picture:
        """All of `look` at once."""
        looking = self.look()
        while True:
            try:
                next(looking)
            except StopIteration as done:
                picture: Picture = done.value
                return picture

    def _day(self, at_s: float) -> Day:
        return day_of(at_s, ZoneInfo(self._rules().timezone))

    def _turn(self, at_s: float) -> None:
        """Begin a new day if it is another; clocks that are set back begin none."""
        if at_s < self._tally.day.end_s:
            return
        self._tally = self._tally.next_day(self._day(at_s), protected_now=self._rules().protected)
        if self._state == "partly":
            self._state = "counted"  # all of the new day is

    def _waiting(self, seen: Sequence[Seen]) -> Generator[None, None, dict[tuple[str | None, bool], _Waiting]]:
        found: dict[tuple[str | None, bool], _Waiting] = {}
        for one in seen:
            calls = list(one.calls.values())
            now = self._monotonic()
            for begin in range(0, len(calls), SLICE):
                for call in calls[begin : begin + SLICE]:
                    # What has happened meanwhile counts: a call that was answered since then is not waiting.
                    if (since := call.waiting_since) is not None:
                        group = (call.band, call.is_protected)
                        found.setdefault(group, _Waiting()).add(max(0.0, now - since))
                yield
        return found

    def _today(self, rules: RuleBook) -> Picture:
        tally = self._tally
        told: Picture = {
            "state": self._state,
            "date": tally.day.date,
            "start_s": tally.day.start_s,
            "since_s": self._started_s if self._state == "partly" else tally.day.start_s,
            "percent": self._level.percent,
            "within_s": self._level.within_s,
            "not_counted": tally.not_counted,
        }
        if self._state == "counting":
            return told
        by_band = tally.by_band()
        return told | {
            "all": _counts_told(tally.of_all()),
            "protected": _counts_told(tally.of_protected()),
            "bands": [
                {"band": band, "protected": band in rules.protected, **_counts_told(by_band.get(band, Counts()))}
                for band in _oldest_first(rules, by_band)
            ],
            "fallback": tally.fallback,
            "unknown": tally.unknown,
        }


class _Last:
    """The last decisions, with what became of them."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[str, str], Picture] = OrderedDict()

    def take(self, record: DecisionRecord | OutcomeRecord) -> None:
        call = (record.node, record.uniqueid)
        if isinstance(record, DecisionRecord):
            self._lines[call] = _decision_told(record)
            self._lines.move_to_end(call)
            if len(self._lines) > MOST_FOLLOWED:
                self._lines.popitem(last=False)
        elif (line := self._lines.get(call)) is not None:
            line["ended"], line["wait_s"], line["by"] = record.ended, record.wait_s, _cut(record.answered_by)
            line["fallback"] = line["fallback"] or _cut(record.fallback)

    def told(self) -> list[Picture]:
        return list(islice(reversed(self._lines.values()), MOST_LAST))


def _decision_told(record: DecisionRecord) -> Picture:
    taken = [ms for ms in (record.lookup_ms, record.decide_ms, record.apply_ms) if ms is not None]
    return {
        "at_s": record.time.timestamp(),
        "node": _cut(record.node),
        "call": _cut(record.uniqueid),
        "caller": _cut(record.caller),
        "called": _cut(record.called),
        "band": record.age_band,
        "protected": bool(record.protected),
        "rule": _cut(record.rule),
        "target": _cut(record.target),
        "ms": round(sum(taken), 1) if taken else None,
        "fallback": _cut(record.fallback),
        "wrong": "" if record.applied or record.fallback else _cut(record.not_applied_why),
        "ended": None,
        "wait_s": None,
        "by": "",
    }


def _waiting_told(waiting: Mapping[tuple[str | None, bool], _Waiting], rules: RuleBook) -> Picture:
    return {
        "protected": asdict(_together(one for (_, is_protected), one in waiting.items() if is_protected)),
        "all": asdict(_together(waiting.values())),
        "bands": [
            {
                "band": band,
                "protected": band in rules.protected,
                **asdict(_together(one for (of, _), one in waiting.items() if of == band)),
            }
            for band in _oldest_first(rules, [band for band, _ in waiting])
        ],
    }


def _oldest_first(rules: RuleBook, met: Iterable[str | None]) -> list[str | None]:
    """The age bands of the rules, then others that were met, which the rules no longer have; None, unknown, is last."""
    names = rules.bands.names[::-1]
    return [*names, *sorted({band for band in met if band is not None and band not in names}), None]


def _together(parts: Iterable[_Waiting]) -> _Waiting:
    total = _Waiting()
    for part in parts:
        total.waiting += part.waiting
        total.longest_s = max(total.longest_s, part.longest_s)
    total.longest_s = round(total.longest_s, 1)
    return total


def _queues_told(seen: Sequence[Seen], rules: RuleBook) -> list[Picture]:
    """Queues of the rules, over all Asterisks; one that none has is not told of."""
    told = []
    for name in islice(sorted(rules.queues), MOST_ROWS):
        states = [one.queues[name] for one in seen if name in one.queues]
        if not states:
            continue
        members = [one.agents.by_queue.get(name, AgentCounts()) for one in seen if one.agents is not None]
        told.append(
            {
                "queue": name,
                "waiting": sum(state.waiting for state in states),
                "longest_s": max(state.longest_wait_s for state in states),
                "free": sum(state.agents_free for state in states),
                "logged_in": sum(one.logged_in for one in members) if members else None,
            }
        )
    return told


def _agents_told(seen: Sequence[Seen]) -> Picture | None:
    """All agents, by what they do; one who is a member on two Asterisks counts on each."""
    known = [one.agents for one in seen if one.agents is not None]
    if not known:
        return None
    total = AgentCounts()
    for agents in known:
        total.add(agents.all)
    return asdict(total)


def _link_told(state: AsteriskState) -> Picture:
    return {"name": _cut(state.name), "linked": state.is_linked, "link": state.link, "why": _cut(state.why_not_routed)}


def _counts_told(counts: Counts) -> Picture:
    return asdict(counts) | {"offered": counts.offered, "under_way": counts.under_way}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
