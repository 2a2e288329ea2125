"""What becomes of journals that were rotated away: compressed with gzip, and removed when they are old enough.

For a router that rotates by itself. The work is done in a thread of low priority, a piece at a time, so that calls do
not notice; what fails is logged and tried again later, and until then everything is kept as it is. The file
rotated last stays plain until the next one: calls that were under way are looked for in it at a start, and an old
descriptor of it may still be written to.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import structlog

from router.journal.folder_lock import folder_locked, sync_folder
from router.journal.rotation import PART, half_done, rotated_files
from router.journal.settings import RotationSettings

# A file begun yesterday is left at midnight, whether or not somebody calls.
LOOK_EVERY_S: Final = 1.0
# What failed is tried again, and what grew too old in the meantime removed.
KEEP_EVERY_S: Final = 600.0
# Some milliseconds of deflating, during which no other thread waits for this one.
_PIECE_BYTES: Final = 256 * 1024
# The router's end is not held up for longer by a disk that hangs; what was begun is begun anew at the next start.
_LEAVE_WITHIN_S: Final = 5.0
_LEVEL: Final = 6
# Not the lowest there is: between two pieces it has Python's lock for a moment, and whoever waits for that, waits until
# this thread gets its turn among all that the machine does.
_NICENESS: Final = 10

_log = structlog.get_logger(__name__)


class Rotates(Protocol):
    """The journal's writer, as far as it concerns keeping."""

    rotations: int

    def rotate_if_due(self) -> bool:
        """Begin a new file if it is time to."""


class Keeping:
    """Keeps a journal's files in order for as long as it runs.

    Args:
        path: The journal.
        writer: Asked every second to rotate if that is due.
        rotation: What is done with old files.
        look_every_s: How often the writer is asked.
        keep_every_s: How often, at least, the files are looked after; they are after each rotation, too.
        now_s: The time of day in epoch seconds.
    """

    def __init__(
        self,
        path: Path,
        writer: Rotates,
        rotation: RotationSettings,
        *,
        look_every_s: float = LOOK_EVERY_S,
        keep_every_s: float = KEEP_EVERY_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._writer = writer
        self._rotation = rotation
        self._look_every_s = look_every_s
        self._keep_every_s = keep_every_s
        self._now_s = now_s
        self._wake = threading.Event()
        self._stopping = threading.Event()

    async def run(self) -> None:
        """Look after the files until cancelled. Without rotation there is nothing to do, for as long."""
        if self._rotation.every is None and self._rotation.size_bytes is None:
            await asyncio.Event().wait()
        thread = threading.Thread(target=self._work, name="journal-keeping", daemon=True)
        thread.start()
        seen = self._writer.rotations
        try:
            while True:
                self._writer.rotate_if_due()
                if self._writer.rotations != seen:
                    seen = self._writer.rotations
                    self._wake.set()
                await asyncio.sleep(self._look_every_s)
        finally:
            self._stopping.set()
            self._wake.set()
            await asyncio.to_thread(thread.join, _LEAVE_WITHIN_S)

    def _work(self) -> None:
        """The thread's."""
        _take_low_priority()
        while True:
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                keep(self._path, self._rotation, now_s=self._now_s, given_up=self._stopping.is_set)
            except Exception:  # noqa: BLE001 - the boundary of one round: calls have nothing to do with it
                _log.exception("journal_not_kept", path=str(self._path))
            self._wake.wait(self._keep_every_s)


def keep(
    path: Path,
    rotation: RotationSettings,
    *,
    now_s: Callable[[], float] = time.time,
    given_up: Callable[[], bool] = lambda: False,
) -> None:
    """Clear up what an earlier run left half done, compress, remove what is too old. Complains in the log only.

    Args:
        path: The journal, whose own file is left alone.
        rotation: What to do.
        now_s: The time of day in epoch seconds.
        given_up: Asked between pieces of work; True ends it.
    """
    try:
        with folder_locked(path.parent, given_up=given_up):
            remove_halves(path)
            _remove_old(path, rotation.keep_s, now_s)
    except OSError as error:
        if not given_up():
            _log.error("journal_files_not_kept", path=str(path), why=str(error))
        return
    if not rotation.compress:
        return
    for each in rotated_files(path)[1:]:
        if given_up():
            return
        if each.is_own and not each.compression:
            try:
                # For each file by itself, so that nobody who waits for the lock waits for all of them.
                with folder_locked(path.parent, given_up=given_up):
                    compress(each.path, given_up)
            except FileNotFoundError:
                continue  # somebody else took it away
            except OSError as error:
                if not given_up():
                    _log.error("journal_file_not_compressed", file=str(each.path), why=str(error))


def compress(file: Path, given_up: Callable[[], bool] = lambda: False) -> None:
    """Replace a file by the same compressed with gzip, of its mode, owner and time. The caller has the folder's lock.

    The file itself goes last, when the other is on the disk: at no moment is neither there.

    Raises:
        OSError: It is as it was; also InterruptedError, when `given_up` said so.
    """
    packed, part = file.with_name(f"{file.name}.gz"), file.with_name(f"{file.name}.gz{PART}")
    try:
        with file.open("rb") as plain, new_part(part, plain) as target:
            status = os.fstat(plain.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError("is no file")
            with gzip.GzipFile("", "wb", _LEVEL, target, mtime=int(status.st_mtime)) as packing:
                while piece := plain.read(_PIECE_BYTES):
                    if given_up():
                        raise InterruptedError("the router is stopping")
                    packing.write(piece)
            taken, size = plain.tell(), os.fstat(plain.fileno()).st_size
            if taken != size:
                raise OSError(f"it is being written to: {taken} bytes were read, {size} are there")
            put_in_place(target, part, packed, file)
        file.unlink()
        sync_folder(file.parent)
    finally:
        with suppress(OSError):
            part.unlink()
    _log.info("journal_file_compressed", file=packed.name, bytes=size, bytes_compressed=packed.stat().st_size)


def new_part(part: Path, like: BinaryIO) -> BinaryIO:
    """Create the file that is to take another's place, readable by nobody else until it does.

    Raises:
        OSError: It cannot be created, or not be given the owner of `like`, an open file.
    """
    with suppress(FileNotFoundError):
        part.unlink()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        theirs, mine = os.fstat(like.fileno()), os.fstat(descriptor)
        if (theirs.st_uid, theirs.st_gid) != (mine.st_uid, mine.st_gid):
            os.fchown(descriptor, theirs.st_uid, theirs.st_gid)
    except OSError:
        os.close(descriptor)
        with suppress(OSError):
            part.unlink()
        raise
    return cast("BinaryIO", os.fdopen(descriptor, "wb"))


def put_in_place(target: BinaryIO, part: Path, place: Path, like: Path) -> None:
    """Have a file that was written on the disk, with the mode and times of another one, and give it its name.

    Raises:
        OSError: It has no name yet.
    """
    target.flush()
    shutil.copystat(like, part)
    os.fsync(target.fileno())
    part.replace(place)
    sync_folder(place.parent)


def remove_halves(path: Path) -> None:
    """Remove what was being compressed or changed when a router or a command was killed; its original is there still.

    The caller has the folder's lock.

    Raises:
        OSError: One cannot be removed.
    """
    for part in half_done(path):
        part.unlink(missing_ok=True)
        _log.info("journal_half_removed", file=str(part))


def _remove_old(path: Path, keep_s: float | None, now_s: Callable[[], float]) -> None:
    if keep_s is None:
        return
    for each in rotated_files(path):
        try:
            last_s = each.path.stat().st_mtime
            if each.is_own:  # a copy that was put back has a later time of change
                last_s = min(last_s, each.moment_s)
            if now_s() - last_s > keep_s:
                each.path.unlink()
                _log.info("journal_file_removed", file=str(each.path), days=round((now_s() - last_s) / 86_400, 1))
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.error("journal_file_not_removed", file=str(each.path), why=str(error))


def _take_low_priority() -> None:
    if sys.platform == "linux":  # elsewhere the number would be that of the whole process, or of another one
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
