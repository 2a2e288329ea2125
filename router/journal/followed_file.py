"""One of a journal's files, while a journal is followed: its lines from a place on, those still to be written included.

A plain file is read by its open descriptor, whatever becomes of its name; a compressed one in one go. Which file is to
be read is `follow`'s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from router.errors import JournalError
from router.journal.reader import MAX_LINE_BYTES
from router.journal.stream import STDIN, JournalBlocks

# A line that fills it is too long to be a record.
CHUNK_BYTES: Final = MAX_LINE_BYTES + 1
# Where a decision tells of its caller, which may be rewritten when that one is to be forgotten.
_CALLER: Final = b',"caller":'
_HEAD_BYTES: Final = 512
_TIME: Final = re.compile(rb'"time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z)"')
# Records are written a little after the time that they tell of: a decision when Asterisk has confirmed it.
_OUT_OF_ORDER: Final = timedelta(seconds=60)
_NEAR_ENOUGH_BYTES: Final = 512 * 1024

FileId: TypeAlias = tuple[int, int]


class GoneError(Exception):
    """A file is no longer where it was listed a moment ago."""


@dataclass(slots=True)
class FollowedFile:
    """A file being read.

    Attributes:
        head: How its first line begins; empty while that is not known.
        blocks: Its lines, where it is compressed; a plain one is read by `offset`.
        offset: Where the first line begins that has not been read, in its content as it is without compression.
        too_long: The beginning of a line that is no record for its length alone, while its end is looked for.
        changed_ns: When it was last written to, as far as it has been read.
    """

    path: Path
    stream: BinaryIO
    file_id: FileId
    head: bytes
    blocks: Iterator[list[bytes]] | None
    changed_ns: int
    offset: int = 0
    too_long: bytes = b""

    @classmethod
    def opened(cls, path: Path, listed: os.stat_result, complaints: list[str]) -> FollowedFile:
        """Open a file that was listed.

        Args:
            path: Its name.
            listed: What it was then.
            complaints: Told of what cannot be read of it.

        Raises:
            GoneError: Its name leads elsewhere by now.
            OSError: It cannot be opened.
        """
        try:
            stream = path.open("rb", buffering=0)
        except FileNotFoundError as error:
            raise GoneError from error
        try:
            head = _head_of(stream, listed)
        except BaseException:
            stream.close()
            raise
        blocks = _blocks(path, stream, complaints) if _is_packed(stream) else None
        return cls(path, stream, file_id(listed), head, blocks, os.fstat(stream.fileno()).st_mtime_ns)

    @property
    def has_begun(self) -> bool:
        """Whether its first line is there, as far as it is known again by it."""
        return bool(self.head) or self.blocks is not None

    @property
    def is_truncated(self) -> bool:
        """Whether it has been emptied, to be written anew, since it was read."""
        if self.blocks is not None:
            return False
        return os.fstat(self.stream.fileno()).st_size < self.offset or not self._begins_as_before()

    def close(self) -> None:
        """Close it."""
        self.stream.close()

    def more(self) -> list[bytes]:
        """The next whole lines; none at its end, as it is for now."""
        if self.blocks is not None:
            for lines in self.blocks:
                self.offset += sum(len(line) + 1 for line in lines)
                if lines:
                    return lines
            return []
        descriptor = self.stream.fileno()
        while True:
            there = os.fstat(descriptor)
            chunk = os.pread(descriptor, CHUNK_BYTES, self.offset)
            # Looked at after reading: what has been truncated and written anew begins with another line.
            if not chunk or not self._begins_as_before():
                return []
            self.changed_ns = there.st_mtime_ns
            *lines, half = chunk.split(b"\n")
            if not lines and len(chunk) < CHUNK_BYTES:
                return []  # it is being written; what a full disk cut off is even taken back
            if not lines:
                self.too_long = self.too_long or chunk
                self.offset += len(chunk)
                continue
            self.offset += len(chunk) - len(half)
            if self.too_long:
                lines[0], self.too_long = self.too_long, b""
            return lines

    def cut_off(self) -> bytes:
        """A last line without an end, of a file that nothing is added to any more."""
        if self.blocks is not None:
            return b""
        return self.too_long or os.pread(self.stream.fileno(), CHUNK_BYTES, self.offset)

    def go_on_after(self, original: FollowedFile) -> None:
        """Go on, in a copy, where the original was left."""
        if self.blocks is None:
            self.offset, self.too_long = original.offset, original.too_long
            return
        skipped: list[bytes] = []
        while self.offset < original.offset:
            skipped = next(self.blocks, [])
            if not skipped:
                return
            self.offset += sum(len(line) + 1 for line in skipped)
        surplus = self.offset - original.offset
        kept: list[bytes] = []
        while surplus > 0 and skipped:
            kept.insert(0, skipped.pop())
            surplus -= len(kept[0]) + 1
        self.blocks = chain([kept], self.blocks)

    def seek_line(self, offset: int) -> None:
        """Go to the first line that begins at `offset` or after it."""
        descriptor = self.stream.fileno()
        at = offset - 1
        while chunk := os.pread(descriptor, CHUNK_BYTES, at):
            end = chunk.find(b"\n")
            if end >= 0:
                self.offset = at + end + 1
                return
            at += len(chunk)
        self.offset = 0  # one line only

    def seek_time(self, since: datetime) -> None:
        """Go to a line before the first one of that moment, and not far before it."""
        descriptor = self.stream.fileno()
        wanted = (since.astimezone(UTC) - _OUT_OF_ORDER).strftime("%Y-%m-%dT%H:%M:%S.").encode() + b"000Z"
        low, high = 0, os.fstat(descriptor).st_size
        while high - low > _NEAR_ENOUGH_BYTES:
            middle = (low + high) // 2
            _, _, after = os.pread(descriptor, _NEAR_ENOUGH_BYTES // 4, middle).partition(b"\n")
            found = _TIME.search(after)
            if found is not None and found[1] < wanted:
                low = middle
            else:
                high = middle  # or nothing to go by is there: better too early
        if low:
            self.seek_line(low)

    def _begins_as_before(self) -> bool:
        return _cut(os.pread(self.stream.fileno(), _HEAD_BYTES, 0)) == self.head


def head_of(path: Path, listed: os.stat_result) -> bytes:
    """How the first line of a listed file begins, which tells it from others; empty while that is not known.

    Raises:
        GoneError: Its name leads elsewhere by now.
        OSError: It cannot be opened.
    """
    source = FollowedFile.opened(path, listed, [])
    source.close()
    return source.head


def file_id(there: os.stat_result) -> FileId:
    """What tells a file from others that are there at the same time."""
    return there.st_dev, there.st_ino


def _blocks(path: Path, stream: BinaryIO, complaints: list[str]) -> Iterator[list[bytes]]:
    """The lines of a compressed file."""
    # By its open file, and not by its name, which may lead elsewhere in a moment.
    found = JournalBlocks((STDIN,), stdin=stream)
    try:
        yield from found
    except JournalError as error:
        complaints.append(f"{path}: cannot be read to its end: {error}")
    complaints += [f"{path}: {each.partition(': ')[2] or each}" for each in found.read.warnings]


def _is_packed(stream: BinaryIO) -> bool:
    begin = os.pread(stream.fileno(), 6, 0)
    return begin.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))


def _head_of(stream: BinaryIO, listed: os.stat_result) -> bytes:
    """How the first line of an open file begins.

    Raises:
        GoneError: It is not the one that was listed.
    """
    if file_id(os.fstat(stream.fileno())) != file_id(listed):
        raise GoneError
    if not _is_packed(stream):
        return _cut(os.pread(stream.fileno(), _HEAD_BYTES, 0))
    with open(f"/dev/fd/{stream.fileno()}", "rb") as another:  # noqa: PTH123 - the same file, read from its beginning
        try:
            lines = next(iter(JournalBlocks((STDIN,), stdin=another)), [])
        except JournalError:
            return b""  # damaged, which is told of when it is read
    return _cut((lines[0] + b"\n")[:_HEAD_BYTES]) if lines else b""


def _cut(begin: bytes) -> bytes:
    """How a first line begins; empty while too little of it is there to know it again."""
    line, end, _ = begin.partition(b"\n")
    known, caller, _ = line.partition(_CALLER)
    return (known or end) if end or caller or len(begin) == _HEAD_BYTES else b""
