"""The journal read back by a router that starts: what was under way when it stopped. All of it is `stream`'s."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

import orjson

from router.errors import JournalError
from router.journal.records import DecisionRecord, parse_record
from router.journal.rotation import COMPRESSED, each_once, rotated_files

# A record takes about a kilobyte, and a trace of a hundred rules ten; what is longer is not ours.
MAX_LINE_BYTES: Final = 1024 * 1024
# About 60,000 calls: hours of a busy centre, read in half a second.
TAIL_BYTES: Final = 64 * 1024 * 1024
# Decompressing takes a second for so much, and a router that starts is waited for.
MOST_UNPACKED_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no record."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def journal_files(path: Path) -> list[Path]:
    """A journal and what was rotated away from it, newest first; of a file that is being compressed the plain one.

    `PATH.20261126T000000Z.gz` as by the router itself, `PATH.1` and `PATH-20261126.gz` as by logrotate.
    """
    is_there = os.path.exists(path)  # noqa: PTH110 - of what may not be looked at: no
    return ([path] if is_there else []) + [each.path for each in each_once(rotated_files(path))]


def refuse_unseen(path: Path) -> None:
    """Tell a journal that is not there from one that may not be looked at; both are listed as nothing.

    Raises:
        JournalError: It may not be looked at.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_be_read(path, error) from error


def cannot_be_read(file: Path, error: OSError) -> JournalError:
    """What is to be told of a file that cannot be opened, with what to do."""
    why = f"{file}: cannot be read: {error.strerror or error}"
    return JournalError(
        f"{why}; do this as root, or as the router's user" if isinstance(error, PermissionError) else why
    )


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

    Looks at the last `max_bytes` of the journal and, where that leaves room, of what was rotated away last, whoever
    did it, also if it is compressed with gzip. A file that is missing or unreadable holds nothing, and lines that are
    no records are passed over: a router must be able to start.
    """
    pending: dict[tuple[str, str], bytes] = {}
    told: set[tuple[str, str]] = set()
    for file, start in reversed(list(_last_files(path, max_bytes))):
        try:
            with _opened(file) as stream:
                _gather(stream, start, pending, told)
        except (OSError, EOFError, zlib.error):
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


def _last_files(path: Path, max_bytes: int) -> Iterator[tuple[Path, int]]:
    """The newest files of a journal, newest first, up to so many bytes, and where in each to begin."""
    for file in journal_files(path):
        if max_bytes <= 0:
            return
        size = _unpacked_size(file)
        if size is None:
            return  # what is older would be put before what is newer and was not seen
        yield file, max(0, size - max_bytes)
        max_bytes -= size


def _unpacked_size(file: Path) -> int | None:
    """How many bytes a file holds; None of one that cannot be read here and now."""
    try:
        if file.suffix not in COMPRESSED:
            return file.stat().st_size
        if file.suffix != ".gz":
            return None
        with file.open("rb") as stream:
            # RFC 1952: the last four bytes tell the size before compression.
            stream.seek(-4, os.SEEK_END)
            size = int.from_bytes(stream.read(4), "little")
            # More than a thousandfold is not to be had, so less than a thousandth is of more than 4 GiB.
            return size if stream.tell() // 1000 <= size <= MOST_UNPACKED_BYTES else None
    except OSError:
        return None


def _opened(file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")


def _gather(stream: BinaryIO, start: int, pending: dict[tuple[str, str], bytes], told: set[tuple[str, str]]) -> None:
    """Keep the lines of decisions and drop those whose outcome follows."""
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
