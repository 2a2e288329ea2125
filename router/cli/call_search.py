"""Calls of the past, looked for in journals: which of those are read, and what is told of those that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from router.cli.tracing import reading_bar
from router.errors import JournalError
from router.journal.choosing import begin_with, can_be_chosen
from router.journal.minute import Minute, began_at
from router.journal.seeking import CallFound, Seeker, Sought
from router.journal.stream import JournalBlocks


@dataclass(frozen=True, slots=True)
class Found:
    """What journals hold of what was sought; for each call `minutes`, one a decision, and that of an unseen end.

    Of a caller's calls, the nearest come first, and only the first has minutes.

    `complaints` are for people. Where `is_all` is false, some journal was not read to its end.
    """

    calls: tuple[CallFound, ...]
    minutes: tuple[tuple[Minute, ...], ...]
    ends: tuple[Minute | None, ...]
    complaints: tuple[str, ...]
    is_all: bool


def look_for(sought: Sought, journals: Sequence[Path]) -> Found:
    """Look for a call, or for a caller's calls, in journals that are named oldest first.

    Where all of them are files, only those are read that can hold it, as far as its time is known. A journal that
    cannot be read is told of.
    """
    search = _Search(sought)
    if not can_be_chosen(journals):
        return search.through(journals)
    moment = sought.at - sought.within if sought.at is not None else began_at(sought.uniqueid)
    start = len(journals) if moment is None else begin_with(journals, moment)
    found = search.through(journals[start:])
    if found.calls or sought.at is not None:
        return _whole(found, journals) if sought.at is not None else found
    # Its name does not tell its time, or tells it wrongly. A call over midnight is in two of them.
    for index in reversed(range(start)):
        if search.is_named_in(journals[index]):
            return search.through(journals[max(0, index - 1) :])
    return search.found()


def _whole(found: Found, journals: Sequence[Path]) -> Found:
    """With all of the nearest call: of one that was transferred, the beginning may lie before the time looked at."""
    if not found.calls or found.calls[0].decisions[0][1].ask == 1:
        return found
    nearest = found.calls[0]
    again = look_for(Sought(uniqueid=nearest.uniqueid), journals)
    for call, minutes, end in zip(again.calls, again.minutes, again.ends, strict=True):
        if call.node == nearest.node:
            calls, rest = (call, *found.calls[1:]), found.minutes[1:]
            return replace(found, calls=calls, minutes=(minutes, *rest), ends=(end, *found.ends[1:]))
    return found


class _Search:
    """Goes through journals, and keeps by the journal what there is to complain of."""

    def __init__(self, sought: Sought) -> None:
        self._sought = sought
        self._seeker = Seeker(sought)
        self._unread: dict[Path, list[str]] = {}
        self._damaged: dict[Path, int] = {}

    def through(self, journals: Sequence[Path]) -> Found:
        """Look through some, one after the other, until nothing that comes can matter."""
        seeker = self._seeker = Seeker(self._sought)
        for file in journals:
            damaged_before = seeker.damaged
            for lines in self._blocks(file):
                seeker.take(lines)
                if seeker.is_done:
                    break
            self._damaged[file] = seeker.damaged - damaged_before
            if seeker.is_done:
                break
        return self.found()

    def is_named_in(self, file: Path) -> bool:
        """Whether a journal has a line with the name of what is sought."""
        return any(self._seeker.names(lines) for lines in self._blocks(file))

    def found(self) -> Found:
        """What was found by the last search, and complaints of all."""
        complaints = []
        for file in sorted(self._unread.keys() | self._damaged.keys(), key=str):
            complaints += self._unread.get(file, [])
            if damaged := self._damaged.get(file):
                which = "1 line that names it" if damaged == 1 else f"{damaged:,} lines that name it"
                complaints.append(f"{file}: {which} cannot be read as a record")
        calls = tuple(self._seeker.calls())
        minutes = tuple(tuple(self._seeker.minutes(call)) for call in calls)
        ends = tuple(map(self._seeker.minute_of_end, calls))
        return Found(calls, minutes, ends, tuple(complaints), not any(self._unread.values()))

    def _blocks(self, file: Path) -> Iterator[list[bytes]]:
        complaints: list[str] = []
        try:
            with reading_bar(f"looking into {file.name}") as update:
                blocks = JournalBlocks((file,), stdin=sys.stdin.buffer, on_read=lambda done: update(completed=done))
                update(total=blocks.bytes_total)
                yield from blocks
                complaints += blocks.read.warnings
        except JournalError as error:
            complaints.append(str(error))
        self._unread[file] = complaints
