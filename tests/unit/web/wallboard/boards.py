"""A board of a test's own: what is seen is what the test puts there, and time stands still until it is moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lab.places import PROJECT
from router.calls.call import Call
from router.journal.conditions import ActiveCondition, AsteriskState
from router.journal.records import DecisionRecord, OutcomeRecord
from router.journal.settings import ServiceLevel
from router.rules.book import RuleBook, load_rules
from router.web.wallboard.board import Board, Picture, Seen
from tests.unit.journal.samples import decision, outcome
from tests.unit.journal.test_tally import NOON

BOOK = load_rules(PROJECT / "config" / "routing.yaml")
LEVEL = ServiceLevel(percent=80, within_s=20)
UP = AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0.5)


@dataclass
class Centre:
    """What a board looks at."""

    seen: list[Seen] = field(default_factory=list)
    conditions: list[ActiveCondition] = field(default_factory=list)
    book: RuleBook = BOOK
    now: datetime = NOON
    monotonic_s: float = 1000.0

    def board(self, *, is_whole: bool = True) -> Board:
        return Board(
            lambda: self.seen,
            lambda: self.book,
            lambda: self.conditions,
            LEVEL,
            is_whole=is_whole,
            now=lambda: self.now.timestamp(),  # noqa: PLW0108 - as it is then
            monotonic=lambda: self.monotonic_s,
        )

    def call(self, uniqueid: str, waited_s: float | None, band: str | None = "elder", **changed: Any) -> Call:  # noqa: ANN401
        joined_at = None if waited_s is None else self.monotonic_s - waited_s
        is_protected = band in self.book.protected
        return Call(
            *("pbx1", uniqueid, uniqueid, 1, self.monotonic_s - 500),
            band=band,
            is_protected=is_protected,
            joined_at=joined_at,
            **changed,
        )


def drawn(board: Board) -> Picture:
    """A picture, made at once."""
    return board.picture()


def begun(uniqueid: str, **changed: Any) -> DecisionRecord:  # noqa: ANN401
    return decision(uniqueid).model_copy(update={"time": NOON, "age_band": "elder", "protected": True} | changed)


def over(uniqueid: str, **changed: Any) -> OutcomeRecord:  # noqa: ANN401
    return outcome(uniqueid).model_copy(update={"time": NOON + timedelta(minutes=3)} | changed)
