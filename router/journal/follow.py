"""The lines of a journal from a moment on, those that are still to be written included.

Where a journal goes on is found anew each time the file in hand is at its end, by what lies in the folder just then:
it may have been rotated by renaming, by copying and truncating, more than once, compressed meanwhile, or be gone. A
file is known again by its inode, and by how its first line begins where it is a copy or compressed: that names a call
and a millisecond. Nothing is waited for in here; whoever reads asks again a little later.

What the lines say is for others (`joining`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from router.errors import JournalError
from router.journal.reader import MAX_LINE_BYTES, journal_files
from router.journal.rotation import COMPRESSED
from router.journal.stream import STDIN, JournalBlocks

# A line that fills it is too long to be a record.
CHUNK_BYTES: Final = MAX_LINE_BYTES + 1
LOOK_BACK_BYTES: Final = 16 * 1024 * 1024
"""About 16,000 calls: the screenful before, and whoever has been waiting for some minutes."""

# Where a decision tells of its caller, which may be rewritten when that one is to be forgotten.
_CALLER: Final = b',"caller":'
_HEAD_BYTES: Final = 512
_TIME: Final = re.compile(rb'"time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z)"')
# Records are written a little after the time that they tell of: a decision when Asterisk has confirmed it.
_OUT_OF_ORDER: Final = timedelta(seconds=60)
_NEAR_ENOUGH_BYTES: Final = 512 * 1024
# Files are renamed in the very moment in which they are looked at; not for ever.
_TRIES: Final = 20

_FileId: TypeAlias = tuple[int, int]
_Listed: TypeAlias = tuple[Path, os.stat_result]


class _GoneError(Exception):
    """A file is no longer where it was listed a moment ago."""


@dataclass(slots=True)
class _Source:
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
    file_id: _FileId
    head: bytes
    blocks: Iterator[list[bytes]] | None
    changed_ns: int
    offset: int = 0
    too_long: bytes = b""

    def close(self) -> None:
        self.stream.close()


class Following:
    """The lines of one journal, each once, in the order in which they were written.

    Args:
        path: The journal; it need not be there yet.
        since: Lines from then on are wanted. Some earlier ones come as well, for files and parts of files are passed
            over only as a whole. None: the last ones, at least `look_back_bytes` of them where there are so many.
        look_back_bytes: See there.
    """

    def __init__(self, path: Path, *, since: datetime | None = None, look_back_bytes: int = LOOK_BACK_BYTES) -> None:
        self._path = path
        self._since = since
        self._look_back_bytes = look_back_bytes
        self._source: _Source | None = None
        # Where nothing was there to read, or no longer is: what has been written to since, in ns, is read from its
        # beginning. None before the first look.
        self._new_after_ns: int | None = None
        self._warnings: list[str] = []

    @property
    def is_there(self) -> bool:
        """Whether anything has been found to read yet."""
        return self._source is not None

    def read(self) -> list[bytes]:
        """The next whole lines, without their ends: about a MiB of them at most, none when there are none for now.

        Raises:
            JournalError: A file cannot be read.
        """
        try:
            if self._source is None:
                self._source = self._begin()
            while self._source is not None:
                if lines := self._more(self._source):
                    return lines
                if self._truncated(self._source):
                    self._after_truncation(self._source)
                    continue
                following = self._successor(self._source)
                if following is None:
                    return []
                # Whoever writes has turned to the next file, so nothing is added to this one any more.
                if lines := self._more(self._source):
                    following.close()
                    return lines
                cut_off = _cut_off(self._source)
                self._source.close()
                self._source = following
                if cut_off:
                    return [cut_off]
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return []

    def complaints(self) -> list[str]:
        """What is to be told of files that could not be read to their end; each is told once."""
        told, self._warnings[:] = list(self._warnings), []
        return told

    def close(self) -> None:
        """Close the file in hand."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _begin(self) -> _Source | None:
        """The file that holds the first line wanted, at that line or before it."""
        for _ in range(_TRIES):
            try:
                files = _listed(self._path)
                for file, there in files:
                    if not stat.S_ISREG(there.st_mode):
                        raise JournalError(f"{file}: is no file; name the journal itself")
                files = [each for each in files if each[1].st_size and self._is_new(*each)]
                while files:
                    source = self._oldest_wanted(files)
                    if source.head or source.blocks is not None:
                        return source
                    source.close()  # not even its first line is whole
                    files = [each for each in files if each[0] != source.path]
            except _GoneError:
                continue
            if self._new_after_ns is None:
                self._new_after_ns = 0
            return None
        return None

    def _is_new(self, file: Path, there: os.stat_result) -> bool:
        return self._new_after_ns is None or file == self._path or there.st_mtime_ns > self._new_after_ns

    def _oldest_wanted(self, files: list[_Listed]) -> _Source:
        if self._new_after_ns is not None:
            return self._open(*files[-1])
        if self._since is not None:
            since_ns = int(self._since.timestamp() * 1e9)
            wanted = [files[0], *(each for each in files[1:] if each[1].st_mtime_ns >= since_ns)]
            source = self._open(*wanted[-1])
            if source.blocks is None:
                _seek_time(source, self._since.astimezone(UTC) - _OUT_OF_ORDER)
            return source
        left = self._look_back_bytes
        found = files[0]
        for found in files:
            if _is_compressed(found[0]):
                break
            left -= found[1].st_size
            if left <= 0:
                break
        source = self._open(*found)
        if source.blocks is None and left < 0:
            _seek_line(source, -left)
        return source

    def _open(self, path: Path, listed: os.stat_result) -> _Source:
        """Open a file that was listed.

        Raises:
            _GoneError: Its name leads elsewhere by now.
        """
        try:
            stream = path.open("rb", buffering=0)
        except FileNotFoundError as error:
            raise _GoneError from error
        there = os.fstat(stream.fileno())
        try:
            head = _head_of(stream, listed)
        except BaseException:
            stream.close()
            raise
        blocks = self._blocks(path, stream) if _is_packed(stream) else None
        return _Source(path, stream, _id(there), head, blocks, there.st_mtime_ns)

    def _blocks(self, path: Path, stream: BinaryIO) -> Iterator[list[bytes]]:
        """The lines of a compressed file."""
        # By its open file, and not by its name, which may lead elsewhere in a moment.
        found = JournalBlocks((STDIN,), stdin=stream)
        try:
            yield from found
        except JournalError as error:
            self._warnings.append(f"{path}: cannot be read to its end: {error}")
        self._warnings += [f"{path}: {each.partition(': ')[2] or each}" for each in found.read.warnings]

    def _more(self, source: _Source) -> list[bytes]:
        """The next lines of a file; none at its end."""
        if source.blocks is not None:
            for lines in source.blocks:
                source.offset += sum(len(line) + 1 for line in lines)
                if lines:
                    return lines
            return []
        descriptor = source.stream.fileno()
        while True:
            there = os.fstat(descriptor)
            chunk = os.pread(descriptor, CHUNK_BYTES, source.offset)
            # Looked at after reading: what has been truncated and written anew begins with another line.
            if not chunk or not _begins_as_before(source):
                return []
            source.changed_ns = there.st_mtime_ns
            *lines, half = chunk.split(b"\n")
            if not lines and len(chunk) < CHUNK_BYTES:
                return []  # it is being written; what a full disk cut off is even taken back
            if not lines:
                source.too_long = source.too_long or chunk
                source.offset += len(chunk)
                continue
            source.offset += len(chunk) - len(half)
            if source.too_long:
                lines[0], source.too_long = source.too_long, b""
            return lines

    def _truncated(self, source: _Source) -> bool:
        """Whether the file has been emptied, to be written anew, since it was read."""
        if source.blocks is not None:
            return False
        return os.fstat(source.stream.fileno()).st_size < source.offset or not _begins_as_before(source)

    def _after_truncation(self, source: _Source) -> None:
        """Turn to the copy that was made before, where there is one; what had not been read is in there."""
        for _ in range(_TRIES):
            files = _listed(self._path)
            try:
                for file, there in files:
                    if there.st_size and _id(there) != source.file_id:
                        copy = self._open(file, there)
                        if copy.head == source.head:
                            _skip(copy, source)
                            source.close()
                            self._source = copy
                            return
                        copy.close()
                newer = [each for each in files if each[1].st_mtime_ns > source.changed_ns and self._head(*each)]
                following = self._open(*newer[-1]) if newer else None
            except _GoneError:
                continue
            source.close()
            self._source = following
            self._new_after_ns = source.changed_ns
            return

    def _successor(self, source: _Source) -> _Source | None:
        """The file that was begun after this one, opened; None while it is the last or the next has nothing in it."""
        try:
            if _id(self._path.stat()) == source.file_id:
                return None
        except FileNotFoundError:
            pass
        for _ in range(_TRIES):
            try:
                newer = self._newer_than(source)
                return self._open(*newer[-1]) if newer else None
            except _GoneError:
                continue
        return None

    def _newer_than(self, source: _Source) -> list[_Listed]:
        """Files with something in them that were begun after this one, newest first."""
        files = _listed(self._path)
        newer: list[_Listed] = []
        for file, there in files:
            if _id(there) == source.file_id:
                return newer
            if not there.st_size or not (head := self._head(file, there)):
                continue  # nothing has been written to it yet
            if head == source.head:
                return newer
            newer.append((file, there))
        # It is nowhere any more. What was written to since it was cannot be older.
        return [(file, there) for file, there in newer if there.st_mtime_ns > source.changed_ns]

    def _head(self, path: Path, listed: os.stat_result) -> bytes:
        source = self._open(path, listed)
        source.close()
        return source.head


def _listed(path: Path) -> list[_Listed]:
    """A journal's files that are there, newest first.

    A file that is renamed while names are read may be missed, or be there twice: they are read until they are the
    same twice.
    """
    before: list[tuple[Path, _FileId]] = []
    found: list[_Listed] = []
    for _ in range(_TRIES):
        found = []
        for file in journal_files(path):
            with suppress(FileNotFoundError):
                found.append((file, file.stat()))
        now = [(file, _id(there)) for file, there in found]
        if now == before:
            break
        before = now
    return found


def _is_compressed(path: Path) -> bool:
    return path.suffix in COMPRESSED


def _id(there: os.stat_result) -> _FileId:
    return there.st_dev, there.st_ino


def _is_packed(stream: BinaryIO) -> bool:
    begin = os.pread(stream.fileno(), 6, 0)
    return begin.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))


def _head_of(stream: BinaryIO, listed: os.stat_result) -> bytes:
    """How the first line of an open file begins.

    Raises:
        _GoneError: It is not the one that was listed.
    """
    if _id(os.fstat(stream.fileno())) != _id(listed):
        raise _GoneError
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


def _begins_as_before(source: _Source) -> bool:
    return _cut(os.pread(source.stream.fileno(), _HEAD_BYTES, 0)) == source.head


def _cut_off(source: _Source) -> bytes:
    """A last line without an end, of a file that nothing is added to any more."""
    if source.blocks is not None:
        return b""
    return source.too_long or os.pread(source.stream.fileno(), CHUNK_BYTES, source.offset)


def _skip(copy: _Source, source: _Source) -> None:
    """Go on in a copy where the truncated file was left."""
    if copy.blocks is None:
        copy.offset, copy.too_long = source.offset, source.too_long
        return
    skipped: list[bytes] = []
    while copy.offset < source.offset:
        skipped = next(copy.blocks, [])
        if not skipped:
            return
        copy.offset += sum(len(line) + 1 for line in skipped)
    surplus = copy.offset - source.offset
    kept: list[bytes] = []
    while surplus > 0 and skipped:
        kept.insert(0, skipped.pop())
        surplus -= len(kept[0]) + 1
    blocks = copy.blocks
    copy.blocks = _chained(kept, blocks)


def _chained(first: list[bytes], blocks: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    yield first
    yield from blocks


def _seek_line(source: _Source, offset: int) -> None:
    """Go to the first line that begins at `offset` or after it."""
    descriptor = source.stream.fileno()
    at = offset - 1
    while chunk := os.pread(descriptor, CHUNK_BYTES, at):
        end = chunk.find(b"\n")
        if end >= 0:
            source.offset = at + end + 1
            return
        at += len(chunk)
    source.offset = 0  # one line only


def _seek_time(source: _Source, since: datetime) -> None:
    """Go to a line before the first one of that moment, and not far before it."""
    descriptor = source.stream.fileno()
    wanted = since.strftime("%Y-%m-%dT%H:%M:%S.").encode() + b"000Z"
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
        _seek_line(source, low)


def _unreadable(path: Path, error: OSError) -> JournalError:
    name = error.filename or path
    why = f"{name}: cannot be read: {error.strerror or error}"
    if isinstance(error, PermissionError):
        why += "; do this as root, or as the router's user"
    return JournalError(why)
