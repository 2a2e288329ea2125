"""The files that are counted, opened once and handed to the engine by their descriptors.

An engine takes names of files for patterns (`*`, `[`) and endings for kinds of file; a descriptor is neither. It is the
same file still when the router rotates it away meanwhile. What the engine cannot read (bzip2, xz, standard input,
compressed data that end too soon) is read by `router.journal.stream`, as everywhere else, and laid down for it.
"""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self, TypeAlias

import orjson

from router.errors import JournalError
from router.journal.counting.figures import Span
from router.journal.opening import opened_at_once
from router.journal.reader import MAX_LINE_BYTES, BadLine
from router.journal.stream import MOST_BAD_LINES_KEPT, STDIN, JournalBlocks, Read

Compression: TypeAlias = Literal["uncompressed", "gzip"]
COMPRESSIONS: Final[tuple[Compression, ...]] = ("uncompressed", "gzip")

LONGEST_CALL: Final = timedelta(days=1)
"""Outcomes are looked for in files that begin so long after the span has ended."""
_GZIP: Final = b"\x1f\x8b"
_NOT_BY_ENGINE: Final = (b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Source:
    """What the engine reads as `path`; `file` is the journal that it is, whatever it is called meanwhile."""

    file: Path
    path: str
    compression: Compression


class Sources:
    """Some journals, open; a context manager.

    Attributes:
        files: The journals.
        opened: What is to be read.
        left_out: Files of which nothing can belong to the spans.
        ended_before: When the last of them that end before the spans was last written; None if there is none.
        begins_after: When the first of them that begin after the spans begins.
        read: What is to be told of the reading.

    Args:
        journals: In any order, `-` standing for `stdin`; or one, with which all is read that was rotated away from it.
        spans: What is counted.
        scratch: An empty folder, for what must be laid down.
        stdin: Where `-` is read from.

    Raises:
        JournalError: One of the files cannot be read, or is there twice.
    """

    def __init__(
        self, journals: Sequence[Path] | Path, spans: Sequence[Span], scratch: Path, *, stdin: BinaryIO
    ) -> None:
        self._scratch = scratch
        self._stdin = stdin
        self.files: tuple[Path, ...] = ()
        self._open = ExitStack()
        self._laid_down = 0
        self._begin, self._end = min(span.begin for span in spans), max(span.end for span in spans)
        self.read = Read()
        self.left_out: list[Path] = []
        self.ended_before: datetime | None = None
        self.begins_after: datetime | None = None
        self.opened: list[Source] = []
        try:
            # All of them before any is read, which may take minutes, in which a journal may be rotated.
            every = (
                opened_at_once(journals, self._open)
                if isinstance(journals, Path)
                else [(file, self._opened(file)) for file in _each_once(journals, stdin)]
            )
            self.files = tuple(file for file, _ in every)
            for file, stream in every:
                self._add(file, stream)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def lay_down(self, kinds: Collection[Compression]) -> None:
        """Read journals of some kinds without the engine, which has given up on one of them."""
        self.opened = [
            self._laid(source.file, self._again(source)) if source.compression in kinds else source
            for source in self.opened
        ]

    def _again(self, source: Source) -> BinaryIO:
        return self._open.enter_context(Path(source.path).open("rb"))

    def _opened(self, file: Path) -> BinaryIO:
        if file == STDIN:
            return self._stdin
        try:
            return self._open.enter_context(file.open("rb"))
        except OSError as error:
            raise JournalError(f"{file}: cannot be read: {error.strerror or error}") from error

    def _add(self, file: Path, stream: BinaryIO) -> None:
        if file == STDIN:
            self.opened.append(self._laid(file, stream))
            return
        try:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                self.opened.append(self._laid(file, stream))  # a pipe, which an engine would have to read twice
                return
            head = os.pread(stream.fileno(), 6, 0)
            if self._is_elsewhen(stream, head, status.st_mtime):
                self.left_out.append(file)
            elif head.startswith(_NOT_BY_ENGINE):
                self.opened.append(self._laid(file, stream))
            else:
                kind: Compression = "gzip" if head.startswith(_GZIP) else "uncompressed"
                self.opened.append(Source(file, f"/dev/fd/{stream.fileno()}", kind))
        except OSError as error:
            raise JournalError(f"{file}: cannot be read: {error.strerror or error}") from error

    def _is_elsewhen(self, stream: BinaryIO, head: bytes, changed_s: float) -> bool:
        """Whether no call of the spans can be in a file: it was last written before, or begins long after."""
        changed = datetime.fromtimestamp(changed_s, UTC)
        if changed < self._begin:
            self.ended_before = max(changed, self.ended_before or changed)
            return True
        first = _first_moment(stream, is_gzip=head.startswith(_GZIP))
        if first is None or first <= self._end + LONGEST_CALL or first > changed + LONGEST_CALL:
            return False  # a file that begins after it ended was begun while a clock was wrong
        self.begins_after = min(first, self.begins_after or first)
        return True

    def _laid(self, file: Path, stream: BinaryIO) -> Source:
        """Read a stream to its end and lay down what it holds; what is too long for a record is an empty line there."""
        plain = self._scratch / f"laid-down-{self._laid_down}.jsonl"
        self._laid_down += 1
        blocks = JournalBlocks([STDIN], stdin=stream)
        try:
            with plain.open("wb") as into:
                for lines in blocks:
                    for nth, line in enumerate(lines):
                        if len(line) > MAX_LINE_BYTES:
                            lines[nth] = b""
                            self._refuse(file, blocks.line + nth + 1, f"is longer than {MAX_LINE_BYTES} bytes")
                    into.write(b"\n".join([*lines, b""]))
        except OSError as error:
            raise JournalError(
                f"{file}: cannot be laid down in {self._scratch}: {error.strerror or error}; "
                "TMPDIR=FOLDER chooses another place"
            ) from error
        except JournalError as error:
            raise JournalError(_named(str(error), file)) from error
        self.read.warnings += [_named(warning, file) for warning in blocks.read.warnings]
        return Source(file, str(plain), "uncompressed")

    def _refuse(self, file: Path, line: int, reason: str) -> None:
        self.read.bad += 1
        if len(self.read.bad_lines) < MOST_BAD_LINES_KEPT:
            self.read.bad_lines.append(BadLine(name_of(file), line, reason))


def _each_once(files: Sequence[Path], stdin: BinaryIO) -> Sequence[Path]:
    """The same files, if all of them are there, and none twice."""
    JournalBlocks(files, stdin=stdin)
    return files


def name_of(file: Path) -> str:
    """What a journal is called in what is told of it."""
    return "standard input" if file == STDIN else str(file)


def _named(text: str, file: Path) -> str:
    return text.replace("standard input", name_of(file), 1)


def _first_moment(stream: BinaryIO, *, is_gzip: bool) -> datetime | None:
    """When a file's first record was written; None where that cannot be told."""
    with suppress(OSError, EOFError, ValueError, KeyError, TypeError):
        try:
            line = (gzip.GzipFile(fileobj=stream) if is_gzip else stream).readline(MAX_LINE_BYTES)
        finally:
            stream.seek(0)
        moment = datetime.fromisoformat(orjson.loads(line)["time"])
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
