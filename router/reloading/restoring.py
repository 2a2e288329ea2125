"""Writing files back to where the rules lie, so that a reader finds each whole, the old one or the new one.

Everything that can fail (no space, no permission) is done before the first file changes its name.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from router.errors import HistoryError
from router.rules.document import open_ordinary

# For a rules file that is gone, so that there is none to be like: the router, another user, must read it.
_NEW_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done: files written, and the copies of what lay there before."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A file with its content on disk that only waits for its name."""

    temporary: Path
    path: Path


def write_back(
    files: Mapping[Path, bytes], rules_file: Path, now: datetime, *, is_kept: Callable[[bytes], bool]
) -> Restored:
    """Write `files`, in their order; one that is right already is left alone.

    Each is like the one it takes the place of, in owner and mode; one that was not there is like the rules file.
    A symbolic link stays one: what it leads to is written.

    Args:
        files: Where → content. The rules file is best the last: a router that looks in between then finds the old
            rules.
        rules_file: Where the rules lie.
        now: For the names of the copies.
        is_kept: Whether a content is kept elsewhere, so that it needs no copy.

    Raises:
        HistoryError: A file could not be written.
    """
    written: list[_Ready] = []
    copies: list[_Ready] = []
    path = rules_file
    try:
        for place, content in files.items():
            path = place.resolve()
            there = content_at(path)
            if there == content:
                continue
            like = next((p.stat() for p in (path, rules_file) if p.exists()), None)
            if there is not None and not is_kept(there):
                copy = path.with_name(f"{path.name}.rejected-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
                copies.append(_made_ready(copy, there, like))
            written.append(_made_ready(path, content, like))
        for ready in (*copies, *written):
            path = ready.path
            ready.temporary.replace(path)
        for folder in {ready.path.parent for ready in written}:
            sync_folder(folder)
    except (OSError, RuntimeError) as error:  # a loop of symbolic links is a RuntimeError
        why = f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
        if isinstance(error, PermissionError):
            why += "; do this as root, or as the user who owns it"
        raise HistoryError(why) from error
    finally:
        for ready in (*copies, *written):
            ready.temporary.unlink(missing_ok=True)
    return Restored(tuple(ready.path for ready in written), tuple(ready.path for ready in copies))


def content_at(path: Path) -> bytes | None:
    """What lies there; None if nothing does. Raises OSError: it cannot be read, or is no ordinary file."""
    try:
        with open_ordinary(path) as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _made_ready(path: Path, content: bytes, like: os.stat_result | None) -> _Ready:
    """Write the content under another name beside `path`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            mine = os.fstat(descriptor)
            if like is not None and (like.st_uid, like.st_gid) != (mine.st_uid, mine.st_gid):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, _NEW_MODE if like is None else like.st_mode & 0o7777)
            os.fsync(descriptor)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return _Ready(temporary, path)


def sync_folder(folder: Path) -> None:
    """Have a folder's renames on disk; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
