"""What was wrong with our own systems around the moment of a call, out of the records around it.

Pure: it is handed records, and reads no journal. Which records those are is `seeking`'s.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from router.journal.conditions import ROUTER_AWAY
from router.journal.records import ConditionRecord, DecisionRecord

AROUND: Final = timedelta(seconds=60)
"""How long before and after a call it is looked at."""

SLOW_MS: Final = 500.0
"""A decision that took longer is told as trouble: callers hear nothing meanwhile, and the dialplan waits 1.9 s."""

_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_FELL_BACK_LATE: Final = timedelta(days=7)
_MOST_OVER: Final = 2000  # conditions that are over: something that comes and goes each second, for half an hour
_EPOCH: Final = re.compile(r"(?:.*-)?([0-9]{10})\.[0-9]+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A condition: what was wrong, from when to when; `until` is None where it was over later than was read."""

    node: str
    what: str
    why: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Away:
    """A time without a router, from the last sign of one run to the first of the next; None where none is known.

    `was_stopped` says that it was ended orderly, and did not crash.
    """

    since: datetime | None
    until: datetime | None
    was_stopped: bool


@dataclass(frozen=True, slots=True)
class Minute:
    """What was wrong around a call; the calls counted are those of its Asterisk.

    Attributes:
        begins: From when it was looked at.
        ends: Until when.
        calls: How many calls were decided, the one itself among them.
        fell_back: How many of them the dialplan sent to people by itself, by its reason.
        not_applied: How many were decided and yet not routed so, for another reason.
        lookups_failed: Of how many callers the registry could not be asked.
        slowest_ms: The longest that one waited for its decision; None where nothing was measured.
        lost: Records that are missing.
        away: When the router was not there.
        wrong: Conditions of that Asterisk, or of all of them.
        known_since: What began before and went on is not known; None where all is.
    """

    begins: datetime
    ends: datetime
    calls: int = 0
    fell_back: Mapping[str, int] = field(default_factory=dict)
    not_applied: int = 0
    lookups_failed: int = 0
    slowest_ms: float | None = None
    lost: int = 0
    away: tuple[Away, ...] = ()
    wrong: tuple[Wrong, ...] = ()
    known_since: datetime | None = None

    @property
    def is_well(self) -> bool:
        """Whether nothing is known to have been wrong."""
        slow = self.slowest_ms is not None and self.slowest_ms > SLOW_MS
        counted = self.fell_back or self.not_applied or self.lookups_failed or self.lost
        return not (counted or slow or self.away or self.wrong)


def can_be(time: datetime) -> bool:
    """Whether a router can have written a time; those at the ends of what Python counts have none in other zones."""
    return time.tzinfo is not None and _FIRST_YEAR <= time.year <= _LAST_YEAR


def began_at(uniqueid: str) -> datetime | None:
    """When Asterisk made a channel: its `uniqueid` is the epoch second and a count, after the system's name if any."""
    match = _EPOCH.fullmatch(uniqueid)
    return datetime.fromtimestamp(int(match[1]), UTC) if match else None


def moment_of(fields: Mapping[str, Any]) -> datetime:
    """When a call of a decision record asked to be routed.

    A call that fell back while the router was away has its record from when it was there again. Where that does not
    tell `at`, as records of earlier versions do not, its channel's name does, though that may be older than the asking.

    Raises:
        KeyError, TypeError, ValueError: The fields are not those of a decision.
    """
    at = fields.get("at")
    return _moment(
        datetime.fromisoformat(fields["time"]),
        datetime.fromisoformat(at) if at else None,
        fields["uniqueid"] if fields.get("fallback") else "",
    )


def moment_decided(record: DecisionRecord) -> datetime:
    """The same of a record."""
    return _moment(record.time, record.at, record.uniqueid if record.fallback else "")


def _moment(written: datetime, at: datetime | None, fell_back: str) -> datetime:
    if at is not None:
        return at
    began = began_at(fell_back)
    return began if began is not None and timedelta(0) <= written - began <= _FELL_BACK_LATE else written


class ConditionsSeen:
    """Conditions out of a journal, in its order: what was wrong when."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[str, Wrong]] = {}
        self._over: deque[Wrong] = deque(maxlen=_MOST_OVER)

    def take(self, record: ConditionRecord) -> None:
        """Take the next one. What was wrong in an earlier run is over with it."""
        for key in [key for key, (run, _) in self._open.items() if run != record.run]:
            self._close(key, record.time)
        key = record.node, record.what
        if record.what == ROUTER_AWAY:
            return  # told by the silence between two runs, of which one that crashed has no beginning
        if record.state == "ended":
            self._close(key, record.time)
        elif key not in self._open:
            self._open[key] = record.run, Wrong(record.node, record.what, record.why, record.time, None)

    def _close(self, key: tuple[str, str], at: datetime) -> None:
        if (known := self._open.pop(key, None)) is not None:
            wrong = known[1]
            self._over.append(Wrong(wrong.node, wrong.what, wrong.why, wrong.since, at))

    def during(self, begins: datetime, ends: datetime, *, node: str, run: str) -> tuple[Wrong, ...]:
        """What was wrong in a span for one Asterisk, what began first before others; `run` is the last one in it."""
        still = [wrong for owner, wrong in self._open.values() if owner == run]
        found = [
            wrong
            for wrong in (*self._over, *still)
            if wrong.node in {"", node} and wrong.since <= ends and (wrong.until is None or wrong.until >= begins)
        ]
        return tuple(sorted(found, key=lambda wrong: wrong.since))


def minute_of(
    moment: datetime,
    node: str,
    records: Iterable[Mapping[str, Any]],
    conditions: ConditionsSeen,
    *,
    known_since: datetime | None = None,
) -> Minute:
    """What was wrong around a moment, for the calls of one Asterisk.

    Args:
        moment: When the call asked.
        node: The Asterisk.
        records: The records from before the span to behind it, as their lines have them and without a gap; those that
            tell nothing are passed over.
        conditions: All conditions of before and since.
        known_since: See `Minute`.
    """
    seen = _Seen(moment - AROUND, moment + AROUND, node)
    for fields in records:
        try:
            time = datetime.fromisoformat(fields["time"])
            if can_be(time):
                seen.take(fields, time)
        except (KeyError, TypeError, ValueError):
            continue
    return seen.told(conditions, known_since)


class _Seen:
    """What the records around a moment tell, one after the other."""

    def __init__(self, begins: datetime, ends: datetime, node: str) -> None:
        self._begins, self._ends, self._node = begins, ends, node
        self._decided: set[str] = set()
        self._fell_back: dict[str, str] = {}
        self._not_applied: set[str] = set()
        self._lookups_failed: set[str] = set()
        self._slowest_ms: float | None = None
        self._lost = 0
        self._away: list[Away] = []
        self._run = self._run_in_span = ""
        self._seq: int | None = None
        self._time: datetime | None = None
        self._stopped_at: datetime | None = None

    def take(self, fields: Mapping[str, Any], time: datetime) -> None:
        self._follow(fields, time)
        if fields.get("node") != self._node:
            return
        match fields["record"]:
            case "decision" if self._begins <= moment_of(fields) <= self._ends:
                self._decision(fields)
            case "outcome" if fields.get("fallback") and fields["uniqueid"] in self._decided:
                self._fell_back.setdefault(fields["uniqueid"], str(fields["fallback"]))

    def _decision(self, fields: Mapping[str, Any]) -> None:
        uniqueid = fields["uniqueid"]
        self._decided.add(uniqueid)
        if fallback := fields.get("fallback"):
            self._fell_back[uniqueid] = str(fallback)
        elif not fields["applied"]:
            self._not_applied.add(uniqueid)
        if fields["band_source"] == "lookup_failed":
            self._lookups_failed.add(uniqueid)
        took = [ms for name in ("lookup_ms", "decide_ms", "apply_ms") if (ms := fields.get(name)) is not None]
        if took:
            self._slowest_ms = max(self._slowest_ms or 0.0, sum(took))

    def _follow(self, fields: Mapping[str, Any], time: datetime) -> None:
        """Runs and numbers: silences between two runs, and records that are missing."""
        run, seq = fields.get("run", ""), fields.get("seq")
        is_away = fields["record"] == "condition" and fields["what"] == ROUTER_AWAY
        if run != self._run:
            starts = is_away and fields["state"] == "ended"
            if (self._time is not None and run and self._run) or starts:
                self._silent(self._time, time)
            self._run, self._seq = run, 0 if self._time is not None else None
        if run and isinstance(seq, int):
            if self._seq is not None and seq > self._seq + 1 and time >= self._begins and self._before_end():
                self._lost += seq - self._seq - 1
            self._seq = seq
        self._time = time
        self._stopped_at = time if is_away and fields["state"] == "began" else None
        if time <= self._ends:
            self._run_in_span = run

    def _before_end(self) -> bool:
        return self._time is None or self._time <= self._ends

    def _silent(self, since: datetime | None, until: datetime | None) -> None:
        if (since is None or since <= self._ends) and (until is None or until >= self._begins):
            self._away.append(Away(since, until, was_stopped=self._stopped_at is not None))

    def told(self, conditions: ConditionsSeen, known_since: datetime | None) -> Minute:
        if self._stopped_at is not None:
            self._silent(self._stopped_at, None)
        return Minute(
            begins=self._begins,
            ends=self._ends,
            calls=len(self._decided),
            fell_back=dict(Counter(self._fell_back.values())),
            not_applied=len(self._not_applied - self._fell_back.keys()),
            lookups_failed=len(self._lookups_failed),
            slowest_ms=self._slowest_ms,
            lost=self._lost,
            away=tuple(self._away),
            wrong=conditions.during(self._begins, self._ends, node=self._node, run=self._run_in_span),
            known_since=known_since,
        )
