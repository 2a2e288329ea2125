"""Whoever changes rotated files of a journal has the lock of their folder: the router that compresses, `forget`.

It is the folder itself that is locked (`flock`), so that nothing need be created and no file's going away matters.
Writing the journal and reading any of its files need no lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Compressing a file of some gigabytes takes a minute or two.
LOCK_WAIT_S: Final = 600.0
_TRY_EVERY_S: Final = 0.1


@contextmanager
def folder_locked(
    folder: Path, *, wait_s: float = LOCK_WAIT_S, given_up: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold the folder's lock.

    Args:
        folder: Where the journal is.
        wait_s: How long to wait for it.
        given_up: Asked while waiting; True ends it.

    Raises:
        TimeoutError: Somebody else has it all the while.
        OSError: The folder cannot be opened, or its file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until_s = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until_s or given_up():
                    why = "somebody else is changing rotated journals there; try again later"
                    raise TimeoutError(errno.ETIMEDOUT, why, str(folder)) from None
            time.sleep(_TRY_EVERY_S)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk.

    Raises:
        OSError: They cannot be.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
