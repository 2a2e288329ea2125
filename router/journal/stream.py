"""The records of whole journals, in one pass, for what looks at days of calls: a block in memory at a time.

Journals are read as they lie about: plain or compressed (gzip, bzip2 and xz, told by their first bytes), rotated or
still being written, from files or from a pipe. What is no record is counted and told of by its line; other records
are passed over without being read. Fields are not validated here: whoever takes a decision refuses one that it cannot
use.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import orjson

from router.errors import JournalError
from router.journal.reader import MAX_LINE_BYTES, BadLine, cannot_be_read
from router.journal.records import SCHEMA_VERSION
from router.journal.rotation import rotated_files

STDIN: Final = Path("-")
CHUNK_BYTES: Final = 1024 * 1024
# Enough to see what is wrong with them; a file that is no journal has millions.
MOST_BAD_LINES_KEPT: Final = 5

_DECISION = b'{"record":"decision",'
_KINDS = ("decision", "outcome", "promotion", "condition")
_TRACE, _AFTER_TRACE = b',"trace":[', b'],"target":"'
_ZSTD = b"\x28\xb5\x2f\xfd"
_SNIFFED_BYTES = 6


class _Counting:
    """A stream of which is known how much was read, and whose beginning can be looked at first."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.head = stream.read(_SNIFFED_BYTES)
        self._unread = self.head
        self.bytes_read = len(self.head)

    def read(self, size: int) -> bytes:
        if self._unread:
            head, self._unread = self._unread[:size], self._unread[size:]
            return head
        chunk = self._stream.read(size)
        self.bytes_read += len(chunk)
        return chunk


@dataclass(slots=True)
class Read:
    """What has been read so far. `bad_lines` holds the first of the `bad` ones; `warnings` are for people.

    `others` are records of kinds that were not asked for.
    """

    decisions: int = 0
    outcomes: int = 0
    others: int = 0
    bad: int = 0
    bytes_read: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """What is to be told of what was read, a line each."""
        if not self.bad:
            return self.warnings
        first = f"; the first {len(self.bad_lines)}" if self.bad > len(self.bad_lines) else ""
        lines = "1 line is no record and does" if self.bad == 1 else f"{self.bad:,} lines are no records and do"
        return [*self.warnings, f"{lines} not count{first}:", *map(str, self.bad_lines)]


class JournalBlocks:
    """The lines of some journals, in the order given, a block of whole lines at a time.

    Attributes:
        file: The name of the journal that is being read.
        line: How many of its lines came before the block in hand.
        unfinished: Of the journal read last, how many bytes at its end are no whole line: it is being written, or was
            cut off.
        read: What has been read so far; whoever takes the lines counts them there.
        bytes_total: The size of all of them; None where that is not known beforehand.

    Args:
        files: The journals; `-` stands for `stdin`.
        stdin: Where `-` is read from.
        on_read: Told now and then how many bytes have been read, compressed ones as they lie on disk.
        stdin_name: What `-` is called in what is told.

    Raises:
        JournalError: One of the files cannot be read, or is there twice; told before any of them is read.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        stdin: BinaryIO,
        on_read: Callable[[int], object] = lambda _: None,
        stdin_name: str = "standard input",
    ) -> None:
        self._files = tuple(map(_by_its_name_now, files))
        self._stdin = stdin
        self._stdin_name = stdin_name
        self._on_read = on_read
        self.file = ""
        self.line = 0
        self.unfinished = 0
        self.read = Read()
        sizes = [_size(file) for file in self._files]
        # A name that a router has only just taken for what it rotates away in this moment: by the time it is its turn,
        # another one's lines are there.
        self._empty = {file for file, size in zip(self._files, sizes, strict=True) if size == 0}
        self._inodes = _each_once(self._files)
        self.bytes_total = None if None in sizes else sum(size or 0 for size in sizes)

    def __iter__(self) -> Iterator[list[bytes]]:
        for file in self._files:
            self.file, self.line, self.unfinished = str(file), 0, 0
            if file == STDIN:
                self.file = self._stdin_name
                yield from self._blocks(_Counting(self._stdin))
                continue
            if file in self._empty:
                continue
            try:
                with _as_it_is_called_now(file, self._inodes[file]).open("rb") as stream:
                    yield from self._blocks(_Counting(stream))
            except OSError as error:
                raise cannot_be_read(file, error) from error

    def _blocks(self, stream: _Counting) -> Iterator[list[bytes]]:
        before = self.read.bytes_read
        rest = b""
        for chunk in self._chunks(stream):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            if len(rest) > MAX_LINE_BYTES:
                rest = rest[: MAX_LINE_BYTES + 1]
            yield lines
            self.line += len(lines)
            self.read.bytes_read = before + stream.bytes_read
            self._on_read(self.read.bytes_read)
        if _is_json(rest):  # else it is being written, or was when the file was taken away
            yield [rest]
        else:
            self.unfinished = len(rest)

    def _chunks(self, stream: _Counting) -> Iterator[bytes]:
        """What the stream holds, decompressed. One that ends too soon is read as far as it goes."""
        read = _reader(stream, self.file)
        try:
            while chunk := read(CHUNK_BYTES):
                yield chunk
        except EOFError:
            self.read.warnings.append(
                f"{self.file}: its compressed data end too soon, as while it is being written; "
                "what comes before that counts"
            )
        except (zlib.error, lzma.LZMAError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # not the data's fault
            raise JournalError(
                f"{self.file}: its compressed data are damaged after line {self.line} ({error}); "
                "take a good copy, or leave the file out"
            ) from error


class RecordStream:
    """Every record of some kinds out of some journals, in their order, as the fields of its JSON.

    A decision comes without its trace, which few ask for and which is most of it, unless `trace_if` stands in its line.

    Args and raises as `JournalBlocks`, and:
        kinds: `decision`, `outcome` or both.
        trace_if: Bytes of a line that ask for its trace.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        stdin: BinaryIO,
        kinds: Collection[str],
        trace_if: bytes | None = None,
        on_read: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._blocks = JournalBlocks(files, stdin=stdin, on_read=on_read)
        self._kinds = frozenset(kinds)
        self._passed_over = tuple(f'{{"record":"{kind}",'.encode() for kind in _KINDS if kind not in self._kinds)
        self._trace_if = trace_if
        self._line = 0
        self._is_decision = False
        self.read = self._blocks.read
        self.bytes_total = self._blocks.bytes_total

    def refuse(self, reason: str) -> None:
        """Count the record that came last among the lines that are bad after all."""
        self._count(-1)
        self._bad(reason)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for lines in self._blocks:
            first = self._blocks.line + 1
            for self._line, raw in enumerate(lines, first):
                if raw.startswith(self._passed_over):
                    self.read.others += 1
                elif (fields := self._fields(raw)) is not None:
                    self._is_decision = fields["record"] == "decision"
                    self._count(1)
                    yield fields

    def _count(self, records: int) -> None:
        if self._is_decision:
            self.read.decisions += records
        else:
            self.read.outcomes += records

    def _fields(self, raw: bytes) -> dict[str, Any] | None:
        """A line's fields, if it is of a kind asked for; what is no record at all is counted among the bad."""
        if len(raw) > MAX_LINE_BYTES:
            self._bad(f"is longer than {MAX_LINE_BYTES} bytes")
            return None
        is_cut = raw.startswith(_DECISION) and (self._trace_if is None or self._trace_if not in raw)
        try:
            fields = orjson.loads(_without_trace(raw) if is_cut else raw)
        except orjson.JSONDecodeError as error:
            if raw.strip():
                self._bad(f"is no JSON: {error.msg}")
            return None
        if not isinstance(fields, dict) or not isinstance(kind := fields.get("record"), str):
            self._bad("is no record of a journal")
        elif kind not in self._kinds:
            self.read.others += 1
        elif (version := fields.get("schema_version")) != SCHEMA_VERSION:
            self._bad(f"has the schema_version {str(version)[:20]}; here {SCHEMA_VERSION} is read")
        else:
            return fields
        return None

    def _bad(self, reason: str) -> None:
        self.read.bad += 1
        if len(self.read.bad_lines) < MOST_BAD_LINES_KEPT:
            self.read.bad_lines.append(BadLine(self._blocks.file, self._line, reason))


class DecisionStream(RecordStream):
    """Every decision of some journals, without its trace. Args and raises as `JournalBlocks`."""

    def __init__(
        self, files: Sequence[Path], *, stdin: BinaryIO, on_read: Callable[[int], object] = lambda _: None
    ) -> None:
        super().__init__(files, stdin=stdin, kinds=("decision",), on_read=on_read)


def _by_its_name_now(file: Path) -> Path:
    """A journal's path; if it was compressed since it was listed, what it is called now."""
    packed = file.with_name(f"{file.name}.gz")
    is_gone = file != STDIN and not os.path.lexists(file) and os.path.lexists(packed)
    return packed if is_gone else file


def _as_it_is_called_now(file: Path, inode: tuple[int, int]) -> Path:
    """The same of a file that may have been rotated away as well, while those before it were read."""
    with suppress(OSError):
        if _inode(file.stat()) == inode:
            return file
    for each in rotated_files(file):
        with suppress(OSError):
            if _inode(each.path.stat()) == inode:
                return each.path
    return _by_its_name_now(file)


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reader(stream: _Counting, file: str) -> Callable[[int], bytes]:
    """What reads a stream's plain content: some of it at a time, at most so many bytes, nothing at its end."""
    # `read1` and not `read`, which loses what it has gathered when the compressed data end too soon.
    compressed = cast("BinaryIO", stream)
    if stream.head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=compressed).read1
    if stream.head.startswith(b"BZh"):
        return bz2.BZ2File(compressed).read1
    if stream.head.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(compressed).read1
    if stream.head.startswith(_ZSTD):
        raise JournalError(f"{file}: is compressed with zstd, which is not read here; pipe it: zstdcat FILE | … -")
    return stream.read


def _without_trace(raw: bytes) -> bytes:
    """The line of a decision without its trace, which nothing here asks for and which is most of it.

    The bytes looked for stand in no text, where a quotation mark has a backslash before it. In a line that a router
    did not write they may be missing; such a line stays whole.
    """
    begin = raw.find(_TRACE)
    end = raw.find(_AFTER_TRACE, begin) if begin > 0 else -1
    return raw[:begin] + raw[end + 1 :] if end > 0 else raw


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _each_once(files: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """The inodes of files, but for standard input's. Calls that are read twice would count twice.

    Raises:
        JournalError: A file, by whatever name, is there twice.
    """
    seen: dict[object, Path] = {}
    inodes: dict[Path, tuple[int, int]] = {}
    for file in files:
        try:
            status = file.stat() if file != STDIN else None
        except OSError as error:
            raise cannot_be_read(file, error) from error
        which: object = STDIN
        if status:
            which = inodes[file] = _inode(status)
        if which in seen:
            what = f"the same file as {seen[which]}" if seen[which] != file else "named twice"
            raise JournalError(f"{file}: is {what}; its calls would count twice, so name it once")
        seen[which] = file
    return inodes


def _size(file: Path) -> int | None:
    """A file's size in bytes; None where that is not known beforehand.

    Raises:
        JournalError: It cannot be read.
    """
    if file == STDIN:
        return None
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            return None  # a pipe, which cannot be opened twice
        with file.open("rb"):
            return status.st_size
    except OSError as error:
        raise cannot_be_read(file, error) from error
