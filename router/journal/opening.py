"""A journal and all that was rotated away from it, opened as at one moment, while its router goes on rotating.

What is open stays readable, whatever becomes of its name. What is done with it is its reader's.
"""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Final

from router.errors import JournalError
from router.journal.reader import cannot_be_read, journal_files

_ATTEMPTS: Final = 20
# What else a program has open, an engine that opens the same files once more included.
_OTHERS_OPEN: Final = 256


def opened_at_once(journal: Path, stack: ExitStack) -> list[tuple[Path, BinaryIO]]:
    """A journal's files by name, open, oldest first: none twice and none missing. `stack` closes them.

    Raises:
        JournalError: One cannot be opened.
    """
    for _ in range(_ATTEMPTS):
        with ExitStack() as attempt:
            try:
                files = _oldest_first(journal)
                _make_room_for(len(files))
                every: list[tuple[Path, BinaryIO]] = [(file, attempt.enter_context(file.open("rb"))) for file in files]
                inodes = [_inode(os.fstat(stream.fileno())) for _, stream in every]
                if inodes == [_inode(file.stat()) for file in _oldest_first(journal)]:
                    stack.enter_context(attempt.pop_all())
                    return every
            except FileNotFoundError:
                continue  # rotated or compressed in this very moment
            except OSError as error:
                raise cannot_be_read(Path(error.filename or journal), error) from error
    raise JournalError(f"{journal}: is rotated again and again while it is being opened")


def _oldest_first(journal: Path) -> list[Path]:
    return journal_files(journal)[::-1]


def _make_room_for(files: int) -> None:
    """Allow this process to have so many files open, twice: 1,024, which is usual, are six weeks of hourly files.

    As far as it may; opening them tells if that was not enough.
    """
    wanted = 2 * files + _OTHERS_OPEN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
