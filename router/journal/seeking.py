"""One call, or one caller's calls near a moment, out of journals that hold days; and the records around them.

Lines are looked through for a few bytes, and only those that have them are read as JSON: a day of two million calls
takes seconds. It goes forward through journals, oldest first, so that a pipe can be read too, and keeps the blocks that
it has just left, because what was wrong before a call stands before it. Which journals those are is `choosing`'s.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from router.errors import JournalError
from router.journal.conditions import ASTERISK_NOT_LINKED, CALLS_NOT_ROUTED, ROUTER_AWAY
from router.journal.minute import AROUND, ConditionsSeen, Minute, can_be, minute_of, moment_decided
from router.journal.records import (
    ConditionRecord,
    DecisionRecord,
    Ending,
    OutcomeRecord,
    PromotionRecord,
    Record,
    parse_record,
)

MOST_CALLS: Final = 20
"""Calls of one caller that are told of, those nearest to the moment."""

MOST_LASTING: Final = timedelta(hours=24)
"""How long after a call was decided its outcome is looked for."""

_CONDITION: Final = b'{"record":"condition",'
_TIME: Final = re.compile(rb'"time":"([^"\\]{10,40})"')
_MOST_KEPT: Final = 256  # a quarter of a gigabyte: at ten times the calls of a big centre, ten minutes
_KEPT: Final = 2 * AROUND
_BLOCKS_BEHIND: Final = 2
_TOLD_LATE: Final = frozenset({ASTERISK_NOT_LINKED, CALLS_NOT_ROUTED})
_LATE: Final = timedelta(minutes=10)  # until all that fell back in the meantime is written, thousands of calls at most


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for: a call by its `uniqueid`, or the calls of a `caller_key` decided near a moment `at`."""

    uniqueid: str = ""
    caller_key: str = ""
    at: datetime | None = None
    within: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class _Block:
    begins: datetime | None
    lines: list[bytes]


@dataclass(slots=True)
class _Window:
    """The blocks around one decision, up to `ends`."""

    moment: datetime
    ends: datetime
    blocks: list[_Block]


@dataclass(slots=True)
class CallFound:
    """The records of one call, in their order; a decision also as its line has it."""

    node: str
    uniqueid: str
    decisions: list[tuple[dict[str, Any], DecisionRecord]] = field(default_factory=list)
    outcomes: list[OutcomeRecord] = field(default_factory=list)
    promotions: list[PromotionRecord] = field(default_factory=list)
    windows: list[_Window] = field(default_factory=list)
    end_window: _Window | None = None

    @property
    def moment(self) -> datetime | None:
        """When it asked first."""
        return moment_decided(self.decisions[0][1]) if self.decisions else None


class Seeker:
    """Takes the lines of journals, block by block, and keeps what is sought.

    Attributes:
        damaged: Lines that name what is sought and are no records.
        conditions: Everything that was wrong, as far as it was read.
    """

    def __init__(self, sought: Sought) -> None:
        self.sought = sought
        self.conditions = ConditionsSeen()
        self.damaged = 0
        self._calls: dict[tuple[str, str], CallFound] = {}
        self._needles: list[bytes] = []
        self._recent: deque[_Block] = deque()
        self._open: list[_Window] = []
        self._first: tuple[datetime, str, int | None] | None = None
        self._now: datetime | None = None
        self._behind = 0
        self._gaps: dict[tuple[str, str], datetime] = {}
        self._late_until: datetime | None = None
        self._needle()

    def names(self, lines: list[bytes]) -> bool:
        """Whether one of some lines has the name of what is sought."""
        return any(self._needles[0] in raw for raw in lines)

    def take(self, lines: list[bytes]) -> None:
        """Take the next lines, whole ones."""
        if not lines:
            return
        begins = self._begin_of(lines)
        self._now = begins or self._now
        self._keep(_Block(begins, lines))
        for raw in lines:
            if self._needles[0] in raw or (len(self._needles) > 1 and any(needle in raw for needle in self._needles)):
                self._hit(raw)
            if raw.startswith(_CONDITION):
                self._condition(raw)
        if self._is_behind():
            self._behind += 1

    @property
    def is_done(self) -> bool:
        """Whether nothing that comes later can matter."""
        if self._now is None or any(self._now <= window.ends for window in self._open):
            return False
        decided = [call for call in self._calls.values() if call.decisions]
        if self.sought.at is not None and self._behind < _BLOCKS_BEHIND:
            return False
        if self.sought.at is None and not decided:
            return False
        return all(call.outcomes or self._now > call.decisions[-1][1].time + MOST_LASTING for call in decided)

    def calls(self) -> list[CallFound]:
        """The calls found; those of a caller nearest first, else in the order in which they were decided."""
        found = [call for call in self._calls.values() if call.decisions]
        if self.sought.at is not None:
            found.sort(key=self._distance)
        return found

    def minutes(self, call: CallFound) -> list[Minute]:
        """What was wrong around each decision of a call, the nearest one of a caller."""
        return [self._minute(call, window) for window in call.windows]

    def minute_of_end(self, call: CallFound) -> Minute | None:
        """The same around an end that nobody saw, as far as it is known when that was; None for another end."""
        return self._minute(call, call.end_window) if call.end_window is not None else None

    def _minute(self, call: CallFound, window: _Window) -> Minute:
        since = None
        if self._first is not None and self._first[1] and self._first[2] != 1:
            since = self._first[0] if self._first[1] == call.decisions[0][1].run else None
        return minute_of(window.moment, call.node, _records(window.blocks), self.conditions, known_since=since)

    def _needle(self) -> None:
        """Look for what is sought, and for the calls found that are not over."""
        self._needles = [_quoted(self.sought.uniqueid or self.sought.caller_key)]
        if self.sought.caller_key:
            self._needles += [_quoted(call.uniqueid) for call in self._calls.values() if not call.outcomes]

    def _begin_of(self, lines: list[bytes]) -> datetime | None:
        for raw in lines:
            if (match := _TIME.search(raw)) is not None:
                try:
                    begins = datetime.fromisoformat(match[1].decode())
                except ValueError:
                    continue
                if not can_be(begins):
                    continue
                if self._first is None:
                    fields = _fields(raw) or {}
                    self._first = begins, str(fields.get("run", "")), fields.get("seq")
                return begins
        return None

    def _keep(self, block: _Block) -> None:
        if block.begins is not None:
            for window in [window for window in self._open if block.begins > window.ends]:
                self._open.remove(window)
        for window in self._open:
            if len(window.blocks) < 2 * _MOST_KEPT:
                window.blocks.append(block)
        self._recent.append(block)
        # The last of the old ones stays: the router's being away leaves a gap in time, and not in the file.
        while len(self._recent) > 1 and (len(self._recent) > _MOST_KEPT or self._is_old(self._recent[1])):
            self._recent.popleft()

    def _is_old(self, block: _Block) -> bool:
        return self._now is None or block.begins is None or block.begins < self._now - _KEPT

    def _is_behind(self) -> bool:
        """Whether calls of the time looked at are written no more."""
        if self.sought.at is None or self._now is None:
            return False
        end = self.sought.at + self.sought.within + AROUND
        if self._now <= end or self._now > end + MOST_LASTING:
            return self._now > end
        is_gap_open = any(since <= end for since in self._gaps.values())
        return not is_gap_open and (self._late_until is None or self._now > self._late_until)

    def _condition(self, raw: bytes) -> None:
        record = _record(raw)
        if isinstance(record, ConditionRecord):  # what is none is not of the call asked about; `journal verify` tells
            self.conditions.take(record)
            self._gap(record)

    def _gap(self, record: ConditionRecord) -> None:
        """A call of while the router was away, or not linked, is written when it is there again, however late."""
        if self._behind or record.what not in {*_TOLD_LATE, ROUTER_AWAY}:
            return
        if record.state == "began":
            if record.what in _TOLD_LATE:
                self._gaps.setdefault((record.node, record.what), record.time)
            return
        if record.what == ROUTER_AWAY:
            self._gaps.clear()  # of the run before; what still holds is told anew
        self._gaps.pop((record.node, record.what), None)
        self._late_until = record.time + _LATE

    def _hit(self, raw: bytes) -> None:
        record, fields = _record(raw), _fields(raw)
        if record is None or fields is None:
            self.damaged += 1
            return
        if isinstance(record, ConditionRecord):
            return
        call = self._calls.get((record.node, record.uniqueid))
        if call is None:
            if not self._is_sought(record):
                return
            call = self._calls[record.node, record.uniqueid] = CallFound(record.node, record.uniqueid)
        match record:
            case DecisionRecord():
                self._decided(call, fields, record)
            case OutcomeRecord():
                call.outcomes.append(record)
                self._needle()
                if call.windows and record.ended is Ending.UNSEEN:
                    call.end_window = self._window(record.time, record.time)
            case PromotionRecord():
                call.promotions.append(record)

    def _is_sought(self, record: DecisionRecord | OutcomeRecord | PromotionRecord) -> bool:
        if self.sought.at is None:
            return record.uniqueid == self.sought.uniqueid
        if not isinstance(record, DecisionRecord) or record.caller_key != self.sought.caller_key:
            return False
        return abs(moment_decided(record) - self.sought.at) <= self.sought.within

    def _decided(self, call: CallFound, fields: dict[str, Any], record: DecisionRecord) -> None:
        call.decisions.append((fields, record))
        is_new = len(call.decisions) == 1
        if is_new and self.sought.at is not None:
            if len(self._calls) > MOST_CALLS:
                farthest = max(self._calls.values(), key=self._distance)
                del self._calls[farthest.node, farthest.uniqueid]
            self._needle()
        if self.sought.at is not None and min(self._calls.values(), key=self._distance) is not call:
            return  # its minute is not told
        if is_new and self.sought.at is not None:
            for other in self._calls.values():
                other.windows.clear()
                other.end_window = None
            self._open.clear()
        call.windows.append(self._window(moment_decided(record), record.time))

    def _window(self, moment: datetime, written: datetime) -> _Window:
        window = _Window(moment, max(moment, written) + AROUND, list(self._recent))
        self._open.append(window)
        return window

    def _distance(self, call: CallFound) -> timedelta:
        at, moment = self.sought.at, call.moment
        return timedelta.max if at is None or moment is None else abs(moment - at)


def _quoted(text: str) -> bytes:
    """A text as JSON has it: in its quotation marks, or 1.1 would be found in 21.10."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _record(raw: bytes) -> Record | None:
    """A line's record; None where it is none, or of a time that no router lives in."""
    try:
        record = parse_record(raw)
    except (JournalError, OverflowError):  # times at the ends of what Python counts have none in UTC
        return None
    at = record.at if isinstance(record, DecisionRecord) else None
    return record if can_be(record.time) and can_be(at or record.time) else None


def _fields(raw: bytes) -> dict[str, Any] | None:
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def _records(blocks: Sequence[_Block]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        for raw in block.lines:
            if (fields := _fields(raw)) is not None:
                yield fields
