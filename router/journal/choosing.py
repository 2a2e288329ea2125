"""Which journals of many have what happened at a moment, told by the first record of each.

A journal that was rotated away holds what happened from its first record to that of the next one. What is not known
(a pipe, a damaged file) is taken.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import orjson

from router.errors import JournalError
from router.journal.stream import STDIN, JournalBlocks

LOOK_BACK_BYTES: Final = 1024 * 1024 * 1024
"""How much of earlier journals is read for what had begun to be wrong there and still was."""

_COMPRESSED_WEIGHT: Final = 10  # a byte of a compressed journal takes as long as so many of a plain one, or longer
_SLACK: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class First:
    """The first record of a journal."""

    time: datetime
    run: str
    seq: int | None


def first_record(file: Path) -> First | None:
    """The first record of a journal; None where it cannot be told."""
    if file == STDIN or not _is_file(file):
        return None
    try:
        # Of a plain file, the first block may be no more than what its kind is told by.
        lines = next((lines for lines in JournalBlocks((file,), stdin=io.BytesIO()) if lines), [])
    except JournalError:
        return None
    for raw in lines[:100]:
        try:
            fields = orjson.loads(raw)
            first = First(datetime.fromisoformat(fields["time"]), str(fields.get("run", "")), fields.get("seq"))
        except (KeyError, TypeError, ValueError):
            continue
        if first.time.tzinfo is not None:
            return first
    return None


def can_be_chosen(files: Sequence[Path]) -> bool:
    """Whether every one is a file, and not a pipe, which is read once or not at all."""
    return all(file != STDIN and (_is_file(file) or not os.path.exists(file)) for file in files)  # noqa: PTH110 - as below


def begin_with(files: Sequence[Path], moment: datetime) -> int:
    """The first of some journals to be read, oldest first, to find what happened at a moment and what was wrong then.

    Returns:
        Its index: of the one that holds the moment, or of one further back for the run of that time, as far as
        `LOOK_BACK_BYTES` go.
    """
    firsts = [first_record(file) for file in files]
    start = 0
    for index, first in enumerate(firsts):
        if first is not None and first.time <= moment - _SLACK:
            start = index
    while start > 0 and firsts[start - 1] is None:
        start -= 1  # it may be the one that holds the moment
    weight = 0
    while start > 0 and (first := firsts[start]) is not None and first.run and first.seq != 1:
        weight += _weight(files[start - 1])
        if weight > LOOK_BACK_BYTES:
            break
        start -= 1
    return start


def _is_file(file: Path) -> bool:
    return os.path.isfile(file)  # noqa: PTH113 - of what may not be looked at: no, and not an error


def _weight(file: Path) -> int:
    try:
        size = file.stat().st_size
    except OSError:
        return 0
    return size * (_COMPRESSED_WEIGHT if file.suffix in {".gz", ".bz2", ".xz"} else 1)
