from __future__ import annotations

from structlog.testing import capture_logs

from router.journal.records import Record
from router.journal.telling import TellingJournal

from .samples import DECISION, OUTCOME


class Lines:
    def __init__(self, *, full: bool = False) -> None:
        self.records: list[Record] = []
        self.full = full

    def write(self, record: Record) -> bool:
        self.records.append(record)
        return not self.full


def test_a_record_is_in_the_journal_before_others_are_told() -> None:
    lines, seen = Lines(), list[int]()
    journal = TellingJournal(lines, [lambda _: seen.append(len(lines.records))])
    assert journal.write(DECISION)
    assert seen == [1]


def test_others_are_told_of_a_record_that_was_lost_too() -> None:
    told: list[Record] = []
    assert not TellingJournal(Lines(full=True), [told.append]).write(OUTCOME)
    assert told == [OUTCOME]


def test_a_listener_that_fails_keeps_nobody_else_from_hearing() -> None:
    told: list[Record] = []
    journal = TellingJournal(Lines(), [lambda record: record.nonsense, told.append])  # type: ignore[union-attr]  # it fails
    with capture_logs() as logs:
        assert journal.write(DECISION)
        assert journal.write(OUTCOME)
    assert told == [DECISION, OUTCOME]
    assert [entry["event"] for entry in logs] == ["record not told of"] * 2
