"""Writing the journal: JSON lines, appended, each with the kernel before `write` returns.

A call is never held up or failed by its journal. A record that cannot be written is counted, complained
about in the daemon's log now and then, and forgotten; the next one tries again, so that writing resumes by
itself when there is space. The file holds whole lines only: what a full disk cut off is taken back.

One process writes one journal. It may be rotated by renaming (logrotate's `create` or `nocreate`) or by
`copytruncate`.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson
import structlog

from router.journal.records import Record

FILE_MODE: Final = 0o640
# A disk that is full stays so for hours, at hundreds of records a second.
COMPLAIN_EVERY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class JournalWriter:
    """Appends records to a file.

    Args:
        path: The file; created when missing, its directory is not.
        check_interval_s: How often, at most, it is looked at whether the file was rotated.
        clock: Monotonic seconds.
        run: Told in each record, with its number; one that is missing was lost. A random one unless given.
    """

    def __init__(
        self,
        path: Path,
        *,
        check_interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        run: str | None = None,
    ) -> None:
        self.path = path
        self.run = run or secrets.token_hex(4)
        self._seq = 0
        self.written = 0
        self.lost = 0
        self.healthy = True
        self._check_interval_s = check_interval_s
        self._clock = clock
        self._checked_at_s = clock()
        self._complained_at_s = float("-inf")
        self._lost_since_healthy = 0
        self._file = _LineFile(path)
        self._lines = structlog.wrap_logger(
            self._file,
            processors=[structlog.processors.JSONRenderer(serializer=_json)],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )
        try:
            self._file.reopen()
        except OSError as error:
            self.healthy = False
            self._complain("journal_not_written", error)

    def write(self, record: Record) -> bool:
        """Append one record. Returns whether it is in the file; never raises because it is not."""
        self._seq += 1
        try:
            self._follow_rotation()
            self._lines.msg(**record.model_dump(mode="json") | {"run": self.run, "seq": self._seq})
        except OSError as error:
            self.lost += 1
            self._lost_since_healthy += 1
            self.healthy = False
            self._complain("journal_not_written", error)
            return False
        self.written += 1
        if not self.healthy:
            _log.warning("journal_writing_again", path=str(self.path), lost=self._lost_since_healthy)
            self.healthy = True
            self._lost_since_healthy = 0
            self._complained_at_s = float("-inf")
        return True

    def reopen(self) -> None:
        """Open the file anew, as after a rotation. Raises nothing: failing that, the open file is kept."""
        try:
            self._file.reopen()
        except OSError as error:
            self._complain("journal_rotation_not_followed", error)

    def close(self) -> None:
        """Close the file. A later `write` opens it again."""
        self._file.close()

    def _follow_rotation(self) -> None:
        now_s = self._clock()
        if not self._file.is_open:
            self._file.reopen()  # raises into `write`
        elif now_s - self._checked_at_s >= self._check_interval_s:
            self._checked_at_s = now_s
            if self._file.was_rotated():
                self.reopen()

    def _complain(self, event: str, error: OSError) -> None:
        now_s = self._clock()
        if now_s - self._complained_at_s >= COMPLAIN_EVERY_S:
            self._complained_at_s = now_s
            _log.error(event, path=str(self.path), why=str(error), lost=self.lost)


class _LineFile:
    """A file that takes whole lines; the end of the structlog chain, whose `msg` a log call comes to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._ends_mid_line = False

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def msg(self, line: bytes) -> None:
        """Append a line in one system call.

        Raises:
            OSError: It is not in the file.
        """
        content = b"\n" + line + b"\n" if self._ends_mid_line else line + b"\n"
        taken = os.write(self._descriptor, content)
        if taken == len(content):
            self._ends_mid_line = False
            return
        # The disk filled up in the middle. What was taken is cut off again, or else ended by the next line.
        try:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - taken)
        except OSError:
            self._ends_mid_line = True
        raise OSError(f"only {taken} of {len(content)} bytes were taken")

    def was_rotated(self) -> bool:
        """Whether the path no longer leads to the open file."""
        try:
            there = self._path.stat()
        except OSError:
            return True
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def reopen(self) -> None:
        """Open what the path leads to now.

        Raises:
            OSError: It cannot be opened. Then the file that was open stays so, unless it was deleted: a
                rotation that leaves a file of the wrong owner behind shall not cost records.
        """
        # O_NONBLOCK: should the path be a pipe that nobody reads, writing fails instead of stopping the
        # router.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path, flags, FILE_MODE)
        except OSError:
            if self.is_open and os.fstat(self._descriptor).st_nlink == 0:
                self.close()
            raise
        self.close()
        self._descriptor = descriptor
        self._ends_mid_line = _ends_mid_line(descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):
                os.close(descriptor)


def _ends_mid_line(descriptor: int) -> bool:
    """Whether a crash cut off the last line."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return False
    return os.pread(descriptor, 1, status.st_size - 1) != b"\n"


def _json(fields: dict[str, object], **_: object) -> bytes:
    try:
        return orjson.dumps(fields)
    except orjson.JSONEncodeError:
        # Half of a surrogate pair, from a name that was cut: one character is lost, not the record.
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", errors="replace")
