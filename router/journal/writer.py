"""Writing the journal: JSON lines, appended, each with the kernel before `write` returns.

A call is never held up or failed by its journal. A record that cannot be written is counted, complained
about in the daemon's log now and then, and forgotten; the next one tries again, so that writing resumes by
itself when there is space. The file holds whole lines only: what a full disk cut off is taken back.

One process writes one journal. It begins a new file when its `RotationSettings` say so, between two records; what
becomes of the old one is `keeping`'s. Somebody else may rotate it by renaming (logrotate's `create` or `nocreate`)
or by `copytruncate`.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

import orjson
import structlog

from router.journal.records import Record
from router.journal.rotation import next_rotation, rotated_name
from router.journal.settings import NOT_ROTATED, RotationSettings

FILE_MODE: Final = 0o640
# A disk that is full stays so for hours, at hundreds of records a second.
COMPLAIN_EVERY_S: Final = 60.0
# The first record of a file tells when it was begun. A trace of a hundred rules takes ten kilobytes.
_FIRST_LINE_BYTES: Final = 1024 * 1024

_log = structlog.get_logger(__name__)


class JournalWriter:
    """Appends records to a file.

    Args:
        path: The file; created when missing, its directory is not.
        check_interval_s: How often, at most, it is looked at whether the file was rotated.
        clock: Monotonic seconds.
        rotation: When to begin a new file.
        zone: The time zone whose hours, days and weeks those are, asked each time, since rules change.
        now: The time of day, aware.
        run: Told in each record, with its number; one that is missing was lost. A random one unless given.
    """

    def __init__(
        self,
        path: Path,
        *,
        check_interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        rotation: RotationSettings = NOT_ROTATED,
        zone: Callable[[], tzinfo] = lambda: UTC,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        run: str | None = None,
    ) -> None:
        self.path = path
        self.run = run or secrets.token_hex(4)
        self._seq = 0
        self.written = 0
        self.lost = 0
        self.healthy = True
        self.rotations = 0
        self._check_interval_s = check_interval_s
        self._clock = clock
        self._rotation = rotation
        self._zone = zone
        self._now = now
        self._due: _Due | None = None
        self._not_before_s = float("-inf")
        self._rotation_complained_at_s = float("-inf")
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
            self.rotate_if_due()
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

    def rotate_if_due(self) -> bool:
        """Begin a new file if it is time to; for times without calls too. Returns whether it did; raises nothing.

        Where that cannot be done, records go on into the file that there is, and it is tried again.
        """
        rotation = self._rotation
        if (rotation.every is None and rotation.size_bytes is None) or not self._file.is_open:
            return False
        try:
            size = self._file.size()
            if size == 0 or not self._is_due(size) or self._clock() < self._not_before_s:
                return False
            self._not_before_s = self._clock() + self._check_interval_s
            if self._file.was_rotated():
                return False  # somebody else's turn; the next record follows
            self._rotate()
        except OSError as error:
            if self._clock() - self._rotation_complained_at_s >= COMPLAIN_EVERY_S:
                self._rotation_complained_at_s = self._clock()
                _log.error("journal_not_rotated", path=str(self.path), why=str(error))
            return False
        self._rotation_complained_at_s = self._not_before_s = float("-inf")
        return True

    def _is_due(self, size: int) -> bool:
        """Whether the file in hand, which holds records, is to be left."""
        rotation = self._rotation
        if rotation.size_bytes is not None and size >= rotation.size_bytes:
            return True
        if rotation.every is None:
            return False
        now, zone, inode = self._now(), self._zone(), self._file.inode()
        # Anew also when the clock was set back: it may have been far ahead.
        if self._due is None or (self._due.zone, self._due.inode) != (zone, inode) or now < self._due.found_at:
            begun = min(now, self._file.begun() or now)
            self._due = _Due(next_rotation(rotation.every, begun, zone), zone, inode, now)
        return now >= self._due.at

    def _rotate(self) -> None:
        """Rename the file and begin a new one, or leave everything as it was.

        Raises:
            OSError: It is as it was.
        """
        if os.path.islink(self.path):  # noqa: PTH114
            raise OSError(errno.ELOOP, "a symbolic link is not rotated: name the file that it leads to", str(self.path))
        now = self._now()
        rotated = rotated_name(self.path, now)
        # The name is taken first: another router, on this journal by mistake, may do the same in this moment, and
        # renaming would put one file in the place of the other.
        os.close(os.open(rotated, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        try:
            os.rename(self.path, rotated)  # noqa: PTH104 - one system call, between two records
        except OSError:
            with suppress(OSError):
                rotated.unlink()
            raise
        try:
            self._file.reopen()
        except OSError:
            with suppress(OSError):
                os.rename(rotated, self.path)  # noqa: PTH104
            raise
        if self._rotation.every is not None:
            # Not by its first record, which may tell of a moment before.
            zone = self._zone()
            self._due = _Due(next_rotation(self._rotation.every, now, zone), zone, self._file.inode(), now)
        self.rotations += 1
        _log.info("journal_rotated", path=str(self.path), to=rotated.name)

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


@dataclass(frozen=True, slots=True)
class _Due:
    """When the file of an inode is to be left, by the clocks of a zone, as was found at some moment."""

    at: datetime
    zone: tzinfo
    inode: int
    found_at: datetime


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

    def size(self) -> int:
        """How many bytes it holds."""
        return os.fstat(self._descriptor).st_size

    def inode(self) -> int:
        """What tells it from other files."""
        return os.fstat(self._descriptor).st_ino

    def begun(self) -> datetime | None:
        """When its first record was written, or, if that does not say, when it was last written to.

        None where neither is a time that there is.
        """
        first, _, _ = os.pread(self._descriptor, _FIRST_LINE_BYTES, 0).partition(b"\n")
        with suppress(ValueError, KeyError, TypeError):
            if (begun := datetime.fromisoformat(orjson.loads(first)["time"])).tzinfo:
                return begun
        with suppress(ValueError, OverflowError):
            return datetime.fromtimestamp(os.fstat(self._descriptor).st_mtime, UTC)
        return None

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
