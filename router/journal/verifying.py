"""Whether a journal is whole: every line a record, every record there once, every call decided and ended.

Records are taken one after the other, oldest file first, and what is remembered is bounded: the calls under way, and of
the latest that ended that they did. What was written before records had `run` and `seq` is not asked for them.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from router.errors import JournalError
from router.journal.reader import MAX_LINE_BYTES, journal_files
from router.journal.records import ConditionRecord, DecisionRecord, OutcomeRecord, Record, parse_record
from router.journal.stream import STDIN, JournalBlocks

# Enough to see what is wrong; where a day was lost there are millions.
MOST_TOLD_OF_A_KIND: Final = 50
# Longer than people talk: a call that was decided before is not under way.
LONGEST_CALL: Final = timedelta(hours=4)
# An hour and a half of 245 calls/s, each under way all the while: some 150 MB.
MOST_OPEN: Final = 500_000
# Calls whose outcome is remembered, between once and twice so many: some 100 MB.
MOST_ENDED: Final = 500_000
# Numbers that are missing, kept in case that they turn up later.
_MOST_GAPS: Final = 1000


class Kind(StrEnum):
    """What can be wrong."""

    NO_RECORD = "is no record"
    CUT_OFF = "is cut off"
    UNREADABLE = "cannot be read"
    BEGINS_LATE = "begins late"
    MISSING = "records are missing"
    TWICE = "is there twice"
    OUT_OF_ORDER = "is out of order"
    NO_OUTCOME = "has no outcome"
    NO_DECISION = "has no decision"
    TWO_OUTCOMES = "has two outcomes"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, and where; line 0 is the file as a whole."""

    kind: Kind
    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


@dataclass(slots=True)
class Verified:
    """What was found.

    Attributes:
        files: What was read, oldest first.
        lines: How many lines; `records` how many of each kind.
        first: The earliest time of a record; `last` the latest.
        under_way: Calls decided not long before the end whose outcome is still to come.
        counts: How many findings of each kind; `findings` has the first of them, `notes` what is no finding.
        missing: How many records were written, by their numbers, and are not there.
    """

    files: tuple[str, ...] = ()
    lines: int = 0
    records: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None
    under_way: int = 0
    missing: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts


@dataclass(slots=True)
class _Run:
    """A router's run: its number before, and which are missing."""

    last: int
    gaps: list[_Gap] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Gap:
    """Numbers that were not there; `is_missing` if they were told to be."""

    low: int
    high: int
    is_missing: bool


@dataclass(frozen=True, slots=True)
class _Open:
    """A call that was decided: where its first decision is."""

    file: str
    line: int
    time: datetime


def files_and_living(path: Path) -> tuple[list[Path], BinaryIO | None]:
    """A journal with all that was rotated away from it, oldest first, and the journal itself, opened.

    They go together: a rotation afterwards takes nothing out of what these hold, nor puts it there twice. None where
    the journal is not there, or may not be read. Whoever asks closes it.
    """
    while True:
        try:
            opened = path.open("rb")
        except OSError:
            return journal_files(path)[::-1], None
        files = journal_files(path)[::-1]
        with suppress(OSError):
            if os.path.samestat(os.fstat(opened.fileno()), path.stat()):
                return files, opened
        opened.close()  # rotated while names were read


def verify(
    files: Sequence[Path],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    living: Path | None = None,
    opened: BinaryIO | None = None,
    on_read: Callable[[int], object] = lambda _: None,
) -> Verified:
    """Look through journals.

    Args:
        files: Oldest first; `-` is standard input. One that cannot be read is a finding, and the others are read.
        since: What is wrong before is not told of, though it is read; aware.
        until: The same from then on.
        living: The journal that may still be written to, whose last line may be half there.
        opened: The same, opened (`files_and_living`): it may have been rotated by the time that it is its turn.
        on_read: Told now and then how many bytes have been read.
    """
    verifier = Verifier(since, until)
    before = 0

    def count(done: int) -> None:
        on_read(before + done)

    for file in files:
        blocks = None
        if opened is not None and file != living and _is_open_as(file, opened):
            continue  # it has got this name in the moment in which names were read
        try:
            if opened is not None and file == living:
                blocks = JournalBlocks((STDIN,), stdin=opened, stdin_name=str(file), on_read=count)
            else:
                blocks = JournalBlocks((file,), stdin=sys.stdin.buffer, on_read=count)
            for lines in blocks:
                verifier.block(blocks.file, blocks.line, lines)
        except JournalError as error:
            verifier.unreadable(str(file), str(error))
        if blocks is not None:
            before += blocks.read.bytes_read
            for warning in blocks.read.warnings:
                verifier.cut_off(str(file), warning.removeprefix(f"{blocks.file}: "))
            if blocks.unfinished and not blocks.read.warnings and file not in (living, STDIN):
                verifier.cut_off(blocks.file, "ends in the middle of a line")
    return verifier.close()


def _is_open_as(file: Path, opened: BinaryIO) -> bool:
    with suppress(OSError):
        return os.path.samestat(file.stat(), os.fstat(opened.fileno()))
    return False


class Verifier:
    """Takes the lines of journals in their order. Arguments as of `verify`."""

    def __init__(self, since: datetime | None = None, until: datetime | None = None) -> None:
        self._since = since
        self._until = until
        self._files: dict[str, None] = {}
        self._found = Verified()
        self._time: datetime | None = None
        self._runs: dict[str, _Run] = {}
        self._open: dict[tuple[str, str], _Open] = {}
        # The file and the run of the record before.
        self._latest = "", ""
        self._has_told_of_turns = False
        self._ended: set[int] = set()
        self._ended_before: set[int] = set()

    def block(self, file: str, before: int, lines: Sequence[bytes]) -> None:
        """Take some lines of a file, before which come `before` others."""
        self._files[file] = None
        for number, raw in enumerate(lines, before + 1):
            if not raw.strip():
                continue
            self._found.lines += 1
            if len(raw) > MAX_LINE_BYTES:
                self._tell(Kind.NO_RECORD, file, number, f"is no record: longer than {MAX_LINE_BYTES} bytes")
                continue
            try:
                record = parse_record(raw)
            except JournalError as error:
                self._tell(Kind.NO_RECORD, file, number, f"is no record: {error}")
                continue
            self._take(file, number, record)

    def cut_off(self, file: str, why: str) -> None:
        """Tell of a file that ends too soon."""
        self._tell(Kind.CUT_OFF, file, 0, why)

    def unreadable(self, file: str, why: str) -> None:
        """Tell of a file that could not be read, or not to its end, whenever its records are of."""
        self._count(Finding(Kind.UNREADABLE, file, 0, why.removeprefix(f"{file}: ")))

    def close(self) -> Verified:
        """What was found, when all has been taken."""
        found = self._found
        found.files = tuple(self._files)
        for (node, uniqueid), call in self._open.items():
            if found.last is not None and call.time >= found.last - LONGEST_CALL:
                found.under_way += 1
            else:
                self._no_outcome(node, uniqueid, call)
        return found

    def _take(self, file: str, line: int, record: Record) -> None:
        found, self._time = self._found, record.time
        found.records[record.record] += 1
        found.first = min(found.first or record.time, record.time)
        found.last = max(found.last or record.time, record.time)
        if record.seq is not None and record.run:
            self._number(file, line, record.run, record.seq)
        if isinstance(record, DecisionRecord):
            self._decided(file, line, record)
        elif isinstance(record, OutcomeRecord):
            self._ended_now(file, line, record)
        elif isinstance(record, ConditionRecord):
            return

    def _number(self, file: str, line: int, name: str, seq: int) -> None:
        run = self._runs.get(name)
        if run is None:
            before = [] if seq == 1 else [_Gap(1, seq - 1, self._begins_late(file, line, name, seq))]
            self._runs[name] = _Run(seq, before)
            self._latest = file, name
            return
        if seq == run.last + 1:
            run.last = seq
            self._note_turns(file, line, name)
        elif seq > run.last:
            number = seq - run.last - 1
            which = f"{run.last + 1}" if number == 1 else f"{run.last + 1} to {seq - 1}"
            self._found.missing += number if self._is_told(self._time) else 0
            self._tell(Kind.MISSING, file, line, f"before this, {which} of the run {name} {_are(number)} missing")
            if len(run.gaps) < _MOST_GAPS:
                run.gaps.append(_Gap(run.last + 1, seq - 1, is_missing=True))
            run.last = seq
        elif gap := next((gap for gap in run.gaps if gap.low <= seq <= gap.high), None):
            run.gaps.remove(gap)
            parts = replace(gap, high=seq - 1), replace(gap, low=seq + 1)
            run.gaps += [part for part in parts if part.low <= part.high]
            is_less = gap.is_missing and self._found.missing and self._is_told(self._time)
            self._found.missing -= 1 if is_less else 0
            self._tell(Kind.OUT_OF_ORDER, file, line, f"{seq} of the run {name} is here, after {run.last}")
        else:
            self._tell(Kind.TWICE, file, line, f"{seq} of the run {name} is there twice")

    def _note_turns(self, file: str, line: int, name: str) -> None:
        """Note, once, that a run goes on behind another one in the same file."""
        if self._latest == (file, name):
            return
        before, other = self._latest
        self._latest = file, name
        if before == file and not self._has_told_of_turns:
            self._has_told_of_turns = True
            self._found.notes.append(
                f"{file}:{line}: the runs {other} and {name} take turns: two routers write this journal; "
                "give each one its own"
            )

    def _begins_late(self, file: str, line: int, name: str, seq: int) -> bool:
        """Tell of a run whose beginning is not there; whether that is a finding."""
        before = f"the {seq - 1:,} records before" if seq > 2 else "the record before"  # noqa: PLR2004 - of 1
        if not self._runs and len(self._files) == 1:
            are = "are" if seq > 2 else "is"  # noqa: PLR2004
            self._found.notes.append(
                f"{file}:{line}: the run {name} begins with number {seq:,}: {before} {are} in no file here"
            )
            return False
        self._found.missing += seq - 1 if self._is_told(self._time) else 0
        why = f"the run {name} begins with number {seq:,}: {before} {'are' if seq > 2 else 'is'} missing"  # noqa: PLR2004
        self._tell(Kind.BEGINS_LATE, file, line, why)
        return True

    def _decided(self, file: str, line: int, record: DecisionRecord) -> None:
        call = record.node, record.uniqueid
        if call in self._open:
            return  # asked again
        self._open[call] = _Open(file, line, record.time)
        if len(self._open) > MOST_OPEN:
            (node, uniqueid), oldest = next(iter(self._open.items()))
            del self._open[node, uniqueid]
            self._no_outcome(node, uniqueid, oldest)

    def _ended_now(self, file: str, line: int, record: OutcomeRecord) -> None:
        call = record.node, record.uniqueid
        known = hash(call)
        shown = f"{record.node} {record.uniqueid}"
        if self._open.pop(call, None) is None:
            if known in self._ended or known in self._ended_before:
                self._tell(Kind.TWO_OUTCOMES, file, line, f"the call {shown} has an outcome before")
            elif not self._may_be_before(record):
                self._tell(Kind.NO_DECISION, file, line, f"the call {shown} has no decision before")
        self._ended.add(known)
        if len(self._ended) >= MOST_ENDED:
            self._ended, self._ended_before = set(), self._ended

    def _may_be_before(self, record: OutcomeRecord) -> bool:
        """Whether the call may have been decided before the first record that is there."""
        lasted = LONGEST_CALL if record.duration_s is None else timedelta(seconds=record.duration_s + 1)
        return self._found.first is None or record.time - lasted <= self._found.first

    def _no_outcome(self, node: str, uniqueid: str, call: _Open) -> None:
        if self._is_told(call.time):
            why = f"the call {node} {uniqueid} has no outcome"
            self._count(Finding(Kind.NO_OUTCOME, call.file, call.line, why))

    def _tell(self, kind: Kind, file: str, line: int, what: str) -> None:
        """Tell of something at the record in hand, or behind it."""
        if self._is_told(self._time):
            self._count(Finding(kind, file, line, what))

    def _count(self, finding: Finding) -> None:
        self._files[finding.file] = None
        self._found.counts[finding.kind] += 1
        if self._found.counts[finding.kind] <= MOST_TOLD_OF_A_KIND:
            self._found.findings.append(finding)

    def _is_told(self, time: datetime | None) -> bool:
        if time is None:
            return True
        return (self._since is None or time >= self._since) and (self._until is None or time < self._until)


def moment_text(moment: datetime | None) -> str | None:
    """A time as records have it, to the second."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
