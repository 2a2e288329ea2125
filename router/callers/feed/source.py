"""Files of callers, cut into blocks: CSV, also compressed or alone in a ZIP, and Parquet.

What a file is, its content says, not its name. A block of a CSV file is whole lines; of one longer than a row may be,
no more is kept than tells it is. So memory does not grow with the file, whatever is in it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import pyarrow as pa

from router.callers.feed.header import header_line, wrong_feed
from router.callers.feed.rows import MAX_LINE_BYTES, Columns
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError

BLOCK_BYTES: Final = 16 * 1024 * 1024
"""Some 600,000 rows, a second's work."""
_LEAST_BLOCK_BYTES: Final = 1024 * 1024
_MAGIC_BYTES: Final = 16
_PARQUET: Final = b"PAR1"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"
_CANNOT: Final = (
    *(OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, UnicodeError),
    NotImplementedError,  # a ZIP compressed as Python does not know
)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a feed.

    Attributes:
        data: Whole lines, each with its end; or rows as an Arrow stream.
        first: The line or row that it begins with, from 1.
        rows: How many lines or rows it has.
        end: What `Source.blocks` goes on from behind it.
    """

    data: bytes
    first: int
    rows: int
    end: int


class Source(Protocol):
    """A feed that has been opened, and its header understood. `close` it.

    Attributes:
        unit: What its rows are counted in, `line` or `row`.
        columns: Where the columns of a line stand; None where blocks come in columns, named by what they are for.
        size_bytes: Of the file.
        date_form: How its dates are written, where that is not what the settings say.
        dated: Whether it has dates of birth.
    """

    unit: str
    columns: Columns | None
    size_bytes: int
    date_form: str | None
    dated: bool

    def blocks(self, start: int, first: int) -> Iterator[Block]:
        """The blocks from a place on, 0 for all; `first` is the line or row there, if `start` is not 0.

        Raises:
            ConfigurationError: The file cannot be read to its end.
        """

    def done_bytes(self) -> int:
        """How much of the file has been read."""

    def close(self) -> None:
        """Close the file."""


def open_source(path: Path, feed: FeedSettings, *, delta: bool) -> Source:
    """Open a file of callers and read its header.

    Raises:
        ConfigurationError: It is not there or no file, of no known kind, or its header lacks a column.
    """
    with reading(path):
        raw = open_regular(path)
        try:
            magic = raw.read(_MAGIC_BYTES)
            raw.seek(0)
            if magic.startswith(_PARQUET):
                # Here, not above: few feeds are Parquet.
                from router.callers.feed.parquet import ParquetSource  # noqa: PLC0415

                parquet: Source = ParquetSource(path, raw, feed, delta=delta)
                return parquet
            return LinesSource(path, raw, _plain_stream(path, raw, magic), feed, delta=delta)
        except BaseException:
            raw.close()
            raise


def open_regular(path: Path) -> BinaryIO:
    """Open a file, and nothing that would have to be waited for.

    Raises:
        ConfigurationError: It is no regular file.
        OSError: It cannot be opened.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise wrong_feed(path, f"cannot be read: this is {what}; name a file of callers")
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with reading the file is told as such.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        yield
    except ConfigurationError:
        raise
    except _CANNOT as error:
        why = (error.strerror if isinstance(error, OSError) else None) or f"{str(error) or type(error).__name__}"[:200]
        if isinstance(error, EOFError):
            why = "the file ends before it should; copy it anew, whole"
        elif isinstance(error, PermissionError):
            why += "; let the router's user read it, or do this as root"
        raise wrong_feed(path, f"cannot be read: {why}") from error


class LinesSource:
    """A CSV file; `stream` is it without its compression."""

    unit: str = "line"
    date_form: str | None = None

    def __init__(self, path: Path, raw: BinaryIO, stream: BinaryIO, feed: FeedSettings, *, delta: bool) -> None:
        self._path = path
        self._raw = raw
        self._stream = stream
        self.size_bytes = path.stat().st_size
        # A small file in several parts too, so that all processes have some of it, even if each row takes long.
        self._block_bytes = min(BLOCK_BYTES, max(_LEAST_BLOCK_BYTES, self.size_bytes // 8))
        header = stream.readline(MAX_LINE_BYTES + 2)
        if header.startswith(_UTF16):
            raise wrong_feed(path, "the file is UTF-16; save it as CSV UTF-8", line=1)
        columns = header_line(path, header, feed, delta=delta)
        self.columns: Columns | None = columns
        self.dated = columns.birth_date is not None
        self._header_bytes = len(header)

    def blocks(self, start: int, first: int) -> Iterator[Block]:
        """See `Source`. `start` counts bytes after the header, without the compression."""
        with reading(self._path):
            self._skip(start)
            yield from self._blocks(start, first if start else 2)

    def done_bytes(self) -> int:
        """See `Source`."""
        return self._raw.tell()

    def close(self) -> None:
        """See `Source`."""
        self._stream.close()
        self._raw.close()

    def _skip(self, start: int) -> None:
        if self._stream is self._raw:
            self._raw.seek(self._header_bytes + start)
            return
        while start > 0:
            passed = self._stream.read(min(start, BLOCK_BYTES))
            if not passed:
                raise EOFError
            start -= len(passed)

    def _blocks(self, at: int, line: int) -> Iterator[Block]:
        rest = b""
        while chunk := self._stream.read(self._block_bytes):
            at += len(chunk)
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                # Within one line. What is over the limit is enough of it to be rejected for that.
                rest = (rest + chunk[: MAX_LINE_BYTES + 1])[: max(len(rest), MAX_LINE_BYTES + 1)]
                continue
            data = rest + chunk[:cut]
            rest = chunk[cut:]
            rows = data.count(b"\n")
            yield Block(data, line, rows, at - len(rest))
            line += rows
        if rest:
            yield Block(rest + b"\n", line, 1, at)


def _plain_stream(path: Path, raw: BinaryIO, magic: bytes) -> BinaryIO:
    """What a file holds, without its compression."""
    if magic.startswith(_OLD_EXCEL):
        raise wrong_feed(path, "this is a spreadsheet's own format; save it as CSV UTF-8", line=1)
    opened: dict[bytes, Callable[[], object]] = {
        b"\x1f\x8b": lambda: gzip.GzipFile(fileobj=raw, mode="rb"),
        b"BZh": lambda: bz2.BZ2File(raw),
        b"\xfd7zXZ\x00": lambda: lzma.LZMAFile(raw),  # noqa: SIM115 - whoever asked for it closes it
        b"\x28\xb5\x2f\xfd": lambda: _arrow_stream(raw, "zstd"),
        b"\x04\x22\x4d\x18": lambda: _arrow_stream(raw, "lz4"),
        # Longer than PK, with which the name of a first column may begin.
        b"PK\x03\x04": lambda: _only_member(path, raw),
        b"PK\x05\x06": lambda: _only_member(path, raw),  # without a file in it
    }
    return next((cast("BinaryIO", opens()) for begins, opens in opened.items() if magic.startswith(begins)), raw)


def _arrow_stream(raw: BinaryIO, compression: str) -> BinaryIO:
    stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression)
    return cast("BinaryIO", io.BufferedReader(_Readable(stream), BLOCK_BYTES))


class _Readable(io.RawIOBase):
    """An Arrow stream as one of Python's, which tells an end that comes too early."""

    def __init__(self, stream: pa.CompressedInputStream) -> None:
        self._from = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._from.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _only_member(path: Path, raw: BinaryIO) -> BinaryIO:
    archive = zipfile.ZipFile(raw)
    names = [member.filename for member in archive.infolist()]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise wrong_feed(path, "this is a spreadsheet's own format; save it as CSV UTF-8", line=1)
    files = [member for member in archive.infolist() if not member.is_dir()]
    if len(files) != 1:
        raise wrong_feed(path, f"the ZIP holds {len(files)} files; it must hold one CSV file and nothing else")
    if files[0].flag_bits & 1:
        raise wrong_feed(path, "the ZIP is locked by a password; unpack it first")
    return cast("BinaryIO", archive.open(files[0]))
