"""Files that loads leave behind: whose the work folder is, and what they must not write over."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from router.errors import ConfigurationError, Problem

_ROOT: Final = 0
_LOOKED_AT: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def left_to_its_owner(folder: Path) -> Iterator[None]:
    """Leave to the router's user what root makes in the work folder, or the nightly job could not use it afterwards.

    Whose the folder is, or, where root made it, the folder that it lies in.
    """
    owner = _owner(folder)
    try:
        yield
    finally:
        if os.geteuid() == _ROOT and owner is not None and owner[0] != _ROOT:
            # What was done stays done, whoever may use the folder.
            with suppress(OSError):
                _give(folder, *owner)


def check_not_the_feed(option: str, written: Path, feed: Path) -> None:
    """Refuse to write over the feed, or in place of a device.

    Raises:
        ConfigurationError: `written` is the feed by whatever name, or no ordinary file.
    """
    try:
        found = written.stat()
    except OSError:
        return  # what keeps it from being written is said when it is
    why = ""
    if not stat.S_ISREG(found.st_mode):
        why = "this is no ordinary file, and would be replaced by one; name a file"
    else:
        with suppress(OSError):
            why = "this is the feed itself; name another file" if written.samefile(feed) else ""
    if why:
        raise ConfigurationError([Problem(f"{option} {written}", 0, 0, why)])


def _owner(folder: Path) -> tuple[int, int] | None:
    for place in (folder, folder.parent):
        with suppress(OSError):
            found = place.stat(follow_symlinks=False)
            if found.st_uid != _ROOT:
                return found.st_uid, found.st_gid
    return None


def _give(folder: Path, user: int, group: int) -> None:
    # The folder lies where another user may write: links are not followed, and of a file with two names, or that was
    # somebody's already, it is not known whose it is.
    for _, _, files, here in os.fwalk(folder, follow_symlinks=False):
        for name in files:
            with suppress(OSError):
                descriptor = os.open(name, _LOOKED_AT, dir_fd=here)
                try:
                    found = os.fstat(descriptor)
                    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == _ROOT:
                        os.fchown(descriptor, user, group)
                finally:
                    os.close(descriptor)
        if os.fstat(here).st_uid == _ROOT:
            os.fchown(here, user, group)
