"""The journal read back by a router that starts: what was under way when it stopped. All of it is `stream`'s."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from router.errors import JournalError
from router.journal.records import DecisionRecord, parse_record

# A record takes about a kilobyte, and a trace of a hundred rules ten; what is longer is not ours.
MAX_LINE_BYTES: Final = 1024 * 1024
# About 60,000 calls: hours of a busy centre, read in half a second.
TAIL_BYTES: Final = 64 * 1024 * 1024
_ROTATED: Final = re.compile(r"\.[0-9]{1,4}(?:\.(?:gz|bz2|xz|zst))?")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no record."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def journal_files(path: Path) -> list[Path]:
    """A journal and what was rotated away from it (`PATH.1`, `PATH.2.gz`), newest first."""
    rotated = (file for file in path.parent.glob(f"{path.name}.*") if _ROTATED.fullmatch(file.name[len(path.name) :]))
    by_age = sorted(rotated, key=lambda file: int(file.name[len(path.name) + 1 :].partition(".")[0]))
    return [path, *by_age] if os.path.exists(path) else by_age  # noqa: PTH110 - of what may not be looked at: no


@dataclass(frozen=True, slots=True)
class Tail:
    """What the end of a journal tells of, for a router that starts. Calls are known by node and uniqueid.

    `open` holds the decisions whose outcome is not there, of several for a call the last; `told` all calls that
    have either record.
    """

    open: dict[tuple[str, str], DecisionRecord]
    told: frozenset[tuple[str, str]]

    def open_on(self, node: str) -> list[DecisionRecord]:
        """The open decisions of one Asterisk."""
        return [decision for (on, _), decision in self.open.items() if on == node]

    def told_of(self, node: str) -> frozenset[str]:
        """The uniqueids of one Asterisk's calls that have any record."""
        return frozenset(uniqueid for on, uniqueid in self.told if on == node)


def journal_tail(path: Path, max_bytes: int = TAIL_BYTES) -> Tail:
    """What the end of a journal tells of.

    Looks at the last `max_bytes` of the journal and, where that leaves room, of the file that was rotated away
    last (`PATH.1`). A file that is missing or unreadable holds nothing, and lines that are no records are passed
    over: a router must be able to start.
    """
    pending: dict[tuple[str, str], bytes] = {}
    told: set[tuple[str, str]] = set()
    current_bytes = min(_size(path), max_bytes)
    rotated = path.with_name(path.name + ".1")
    for file, tail_bytes in ((rotated, max_bytes - current_bytes), (path, current_bytes)):
        try:
            with file.open("rb") as stream:
                _gather(stream, tail_bytes, pending, told)
        except OSError:
            continue
    found: dict[tuple[str, str], DecisionRecord] = {}
    for key, raw in pending.items():
        try:
            record = parse_record(raw)
        except JournalError:
            continue
        if isinstance(record, DecisionRecord):
            found[key] = record
    return Tail(found, frozenset(told))


def _gather(
    stream: BinaryIO, tail_bytes: int, pending: dict[tuple[str, str], bytes], told: set[tuple[str, str]]
) -> None:
    """Keep the lines of decisions and drop those whose outcome follows."""
    start = max(0, stream.seek(0, 2) - tail_bytes)
    stream.seek(max(0, start - 1))
    if start > 0:
        # Up to the end of the line that the tail begins in; nothing, if it begins with a line.
        next(lines_of(stream), None)
    for raw in lines_of(stream):
        try:
            # Only what is needed here; the few that stay open are validated in full afterwards.
            fields = orjson.loads(raw)
            key = (str(fields["node"]), str(fields["uniqueid"]))
            kind = fields["record"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
        if kind == "decision":
            pending[key] = raw
        elif kind == "outcome":
            pending.pop(key, None)
        else:
            continue  # a promotion tells neither how a call was decided nor that it is over
        told.add(key)


def lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one that is too long its beginning, a byte over the limit."""
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        rest = raw
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
        yield raw


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
