"""Whatever a day is made of, rotations, restarts, compression, retention, forgetting, every record is there once."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import PhoneNumber, masked
from router.errors import JournalError
from router.journal.erasing import ERASED, Erasing
from router.journal.forgetting import erase_caller
from router.journal.hashing import caller_key
from router.journal.keeping import keep
from router.journal.reader import journal_files, journal_tail
from router.journal.records import DecisionRecord, OutcomeRecord, Record, parse_record
from router.journal.settings import RotationSettings
from router.journal.verifying import verify
from router.journal.writer import JournalWriter
from tests.unit.journal.samples import decision, outcome

SECRET = b"s" * 32
CALLERS = [PhoneNumber(f"+861390000000{digit}") for digit in (1, 2, 3)]

operations = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 2)),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("later"), st.integers(1, 30 * 60)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("look"), st.just(0)),
        st.tuples(st.just("keep"), st.just(0)),
        st.tuples(st.just("forget"), st.integers(0, 2)),
    ),
    max_size=60,
)
rotations = st.builds(
    RotationSettings,
    every=st.sampled_from([None, "hour", "day", "week"]),
    size_bytes=st.sampled_from([None, 1, 3_000, 20_000]),
    compress=st.booleans(),
)


class History:
    """A journal, what is done to it, and what must be in it."""

    def __init__(self, folder: Path, rotation: RotationSettings) -> None:
        self.path = folder / "journal.jsonl"
        self.rotation = rotation
        self.at = datetime(2026, 11, 25, 22, tzinfo=UTC)
        self.expected: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.calls = 0
        self.writer = self.started()

    def started(self) -> JournalWriter:
        return JournalWriter(self.path, rotation=self.rotation, zone=lambda: UTC, now=lambda: self.at, clock=self.clock)

    def clock(self) -> float:
        return self.at.timestamp()

    def write(self, record: DecisionRecord | OutcomeRecord) -> None:
        assert self.writer.write(record.model_copy(update={"time": self.at}))
        shown = record.caller_key if isinstance(record, DecisionRecord) else ""
        self.expected.append((record.record, record.uniqueid, shown))

    def call(self, number: int) -> None:
        caller = CALLERS[number]
        key = caller_key(SECRET, caller.e164)
        self.calls += 1
        self.open.append(f"{self.calls}.0")
        self.write(decision(self.open[-1]).model_copy(update={"caller": masked(caller), "caller_key": key}))

    def end(self, number: int) -> None:
        if self.open:
            self.write(outcome(self.open.pop(number % len(self.open))))

    def later(self, minutes: int) -> None:
        self.at += timedelta(minutes=minutes)

    def restart(self, _: int) -> None:
        self.writer.close()
        assert sorted(uniqueid for _, uniqueid in journal_tail(self.path).open) == sorted(self.open)
        self.writer = self.started()

    def look(self, _: int) -> None:
        self.writer.rotate_if_due()

    def keep(self, _: int) -> None:
        keep(self.path, self.rotation, now_s=self.at.timestamp)

    def forget(self, number: int) -> None:
        key = caller_key(SECRET, CALLERS[number].e164)
        done = erase_caller([self.path], Erasing(CALLERS[number], key))
        assert done.left == []
        assert done.lines == sum(shown == key for _, _, shown in self.expected)
        self.expected = [(kind, call, "" if shown == key else shown) for kind, call, shown in self.expected]


def records_in(file: Path) -> list[Record]:
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    try:
        return [parse_record(line) for line in content.splitlines()]
    except JournalError as error:
        raise AssertionError(file) from error


@given(operations, rotations)
def test_every_record_is_there_once_and_in_its_place(done: list[tuple[str, int]], rotation: RotationSettings) -> None:
    with TemporaryDirectory() as folder:
        history = History(Path(folder), rotation)
        for name, number in done:
            getattr(history, name)(number)
        history.writer.close()
        files = list(reversed(journal_files(history.path)))
        records = [record for file in files for record in records_in(file)]
        read = [
            (record.record, record.uniqueid, record.caller_key if isinstance(record, DecisionRecord) else "")
            for record in records
            if isinstance(record, DecisionRecord | OutcomeRecord)
        ]
        assert read == history.expected
        shown = {record.caller_key: record.caller for record in records if isinstance(record, DecisionRecord)}
        assert shown.get("", ERASED) == ERASED
        verified = verify(files, living=history.path)
        assert [kind for kind in verified.counts if kind.name not in {"NO_OUTCOME", "NO_DECISION"}] == []
        assert verified.missing == 0
        assert verified.under_way + verified.counts.total() >= len(history.open)
        assert not [file for file in Path(folder).iterdir() if file not in files]
