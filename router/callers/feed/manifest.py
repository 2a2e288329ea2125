"""How far a spool is: a small file, replaced after each run, from which pass 1 is gone on with."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from router.callers.feed.block import Tally
from router.callers.feed.rows import RowRules
from router.callers.feed.source import open_regular

FORMAT: Final = 2
NAME: Final = "spool.json"
LOCK_NAME: Final = "lock"
_HASHED_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class Progress:
    """How far it is.

    Attributes:
        runs: How many are finished.
        end: Where in the feed the next block begins, see `Source.blocks`.
        next_row: The line or row there.
        tally: How the rows before were read.
        rejects_bytes: The length of the file of rejected rows then.
        complete: Whether the feed was read to its end.
    """

    runs: int
    end: int
    next_row: int
    tally: Tally
    rejects_bytes: int
    complete: bool = False


def feed_identity(path: Path) -> dict[str, str | int]:
    """What tells a file from others: its size, when it was changed, and its first and last megabyte.

    Raises:
        ConfigurationError: It is no regular file.
        OSError: It cannot be read.
    """
    with open_regular(path) as stream:
        status = os.fstat(stream.fileno())
        seen = hashlib.sha256(stream.read(_HASHED_BYTES))
        stream.seek(max(0, status.st_size - _HASHED_BYTES))
        seen.update(stream.read(_HASHED_BYTES))
    return {"size": status.st_size, "changed_ns": status.st_mtime_ns, "ends": seen.hexdigest()}


def identity_text(identity: Mapping[str, Any]) -> str:
    """The same, or `parameters`, as a text that says nothing of either."""
    return hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()[:32]


def parameters(rules: RowRules, *, secret: str, separator: str, removed: str | None, delta: bool) -> dict[str, Any]:
    """All else that the records depend on. `secret` is its name."""
    return {
        "format": FORMAT,
        "as_of": rules.as_of.isoformat(),
        "bands": [[band.name, band.from_years] for band in rules.bands.bands],
        "words": rules.words,
        "removed_words": sorted(rules.removed_words),
        "date_form": rules.date_form,
        "columns": [*rules.names.values(), removed],
        "separator": separator,
        "home_region": rules.home_region,
        "secret": secret,
        "delta": delta,
    }


def read_manifest(folder: Path) -> tuple[dict[str, Any], Progress] | None:
    """Of which feed and parameters the spool in a folder is, and how far; None where there is none that can be used."""
    try:
        found = json.loads((folder / NAME).read_bytes())
        tally = found["progress"]["tally"]
        tally["reasons"] = Counter(tally["reasons"])
        progress = Progress(**{**found["progress"], "tally": Tally(**tally)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found["of"], progress


def write_manifest(folder: Path, of: Mapping[str, Any], progress: Progress) -> None:
    """Replace the manifest, at once and for good.

    Raises:
        OSError: It cannot be written.
    """
    replace_file(folder / NAME, json.dumps({"of": of, "progress": _as_json(progress)}).encode())
    sync_folder(folder)


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the work folder, for its owner only: the name stands for the old content or all of the new.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.unfinished")
    # Root may work in the folder of another user: what is there under that name, a link too, is not written through.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _as_json(progress: Progress) -> dict[str, Any]:
    found = {each.name: getattr(progress, each.name) for each in fields(progress)}
    tally = {each.name: getattr(progress.tally, each.name) for each in fields(progress.tally)}
    return {**found, "tally": tally}


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk.

    Raises:
        OSError: The disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_folder(folder: Path) -> int:
    """Make the folder, for its owner only, and lock it; the lock goes with the descriptor, which is to be closed.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: It cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(here, 0o700)
    finally:
        os.close(here)
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
