"""The records of a journal as they come, joined to calls: one is told of when it is decided, and when it has ended.

Calls that nobody asked for are not kept. Where lines come from is `follow`'s, what is shown of them the command's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from sys import intern
from typing import Final, TypeAlias

from router.errors import JournalError
from router.journal.reader import MAX_LINE_BYTES
from router.journal.records import (
    ConditionRecord,
    DecisionRecord,
    OutcomeRecord,
    PromotionRecord,
    parse_record,
)

MOST_UNDER_WAY: Final = 100_000
"""Of more calls at once, or of so many whose ends nobody wrote, those decided first are given up."""


@dataclass(slots=True)
class JoinedCall:
    """A call: how it was first decided, and how it ended. There may be many at once, so it is kept short.

    Attributes:
        caller: Masked, or whole where numbers are recorded so.
        age_band: None where it was not known.
        is_protected: None in what older routers wrote.
        took_ms: Looking up, deciding and setting variables together, as far as they were measured.
        line: The first decision as it stands in the journal; empty unless lines were asked for.
        sent_on: Where a later decision sent the call, when it came back; empty if it did not.
        outcome: None while it is under way.
    """

    node: str
    uniqueid: str
    decided_at: datetime
    caller: str
    age_band: str | None
    is_protected: bool | None
    rule: str
    target: str
    queue: str
    speech: str
    took_ms: float | None
    not_applied_why: str
    decision_fallback: str
    line: bytes
    sent_on: str = ""
    outcome: OutcomeRecord | None = None

    @classmethod
    def of(cls, decision: DecisionRecord, line: bytes) -> JoinedCall:
        """The call that a decision is of."""
        parts_ms = [ms for ms in (decision.lookup_ms, decision.decide_ms, decision.apply_ms) if ms is not None]
        return cls(
            node=intern(decision.node),
            uniqueid=decision.uniqueid,
            decided_at=decision.time,
            caller=decision.full_caller or decision.caller,
            age_band=intern(decision.age_band) if decision.age_band is not None else None,
            is_protected=decision.protected,
            rule=intern(decision.rule),
            target=intern(decision.target),
            queue=intern(decision.queue),
            speech=intern(decision.speech),
            took_ms=sum(parts_ms) if parts_ms else None,
            not_applied_why=(
                "" if decision.applied or decision.fallback else intern(decision.not_applied_why or "not known why")
            ),
            decision_fallback=intern(decision.fallback),
            line=line,
        )

    @property
    def fallback(self) -> str:
        """Why the dialplan sent it to people by itself; empty if it did not."""
        return self.decision_fallback or (self.outcome.fallback if self.outcome else "")


class Happened(Enum):
    """What has become of a call."""

    DECIDED = "decided"
    SENT_ON = "sent_on"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Told:
    """A call of which something is new; `line` is the record that says so, if lines were asked for."""

    happened: Happened
    call: JoinedCall
    line: bytes


News: TypeAlias = Told | ConditionRecord | PromotionRecord


class JoinedCalls:
    """Joins records, line by line.

    Args:
        wanted: Whether a call is, by its first decision.
        since: What was decided, or happened, before is passed over; None: nothing is.
        keep_lines: Whether to keep the lines of decisions, which take some memory.
        most_under_way: Calls kept until their outcome comes.

    Attributes:
        bad: How many lines were no records.
        first_bad: What was wrong with the first of them; empty if there is none.
        given_up: Calls whose end will not be told, because there were too many.
    """

    def __init__(
        self,
        wanted: Callable[[DecisionRecord], bool] = lambda _: True,
        *,
        since: datetime | None = None,
        keep_lines: bool = False,
        most_under_way: int = MOST_UNDER_WAY,
    ) -> None:
        self._wanted = wanted
        self._since = since
        self._keep_lines = keep_lines
        self._most_under_way = most_under_way
        self._under_way: dict[tuple[str, str], JoinedCall] = {}
        self.bad = 0
        self.first_bad = ""
        self.given_up = 0

    @property
    def under_way(self) -> int:
        """How many of the calls that were asked for have not ended."""
        return len(self._under_way)

    def take(self, line: bytes) -> News | None:
        """What a line tells; None if that is nothing, or of a call that nobody asked for."""
        if not line.strip():
            return None
        try:
            if len(line) > MAX_LINE_BYTES:
                raise JournalError(f"is longer than {MAX_LINE_BYTES} bytes")  # noqa: TRY301 - as any other bad line
            record = parse_record(line)
        except JournalError as error:
            self.bad += 1
            self.first_bad = self.first_bad or str(error)
            return None
        match record:
            case DecisionRecord():
                return self._decided(record, line)
            case OutcomeRecord():
                call = self._under_way.pop((record.node, record.uniqueid), None)
                if call is None:
                    return None
                call.outcome = record
                return Told(Happened.ENDED, call, line)
            case _:
                return record if self._since is None or record.time >= self._since else None

    def _decided(self, decision: DecisionRecord, line: bytes) -> Told | None:
        key = (decision.node, decision.uniqueid)
        if (known := self._under_way.get(key)) is not None:
            known.sent_on = intern(decision.target)
            return Told(Happened.SENT_ON, known, line)
        if (self._since is not None and decision.time < self._since) or not self._wanted(decision):
            return None
        while len(self._under_way) >= self._most_under_way:
            del self._under_way[next(iter(self._under_way))]
            self.given_up += 1
        call = JoinedCall.of(decision, line if self._keep_lines else b"")
        self._under_way[key] = call
        return Told(Happened.DECIDED, call, line)
