"""Runs: files of sorted records, each written once; and all persons out of them.

A run is where the records of each hash tag begin, and three columns one after the other, each as the machine has
numbers: the first eight bytes of each pseudonym, the last two, the value. 11 bytes a record. As it is sorted, the
callers of one hash tag are one slice of it, which is read by itself: memory holds one tag's callers at a time.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.callers.feed.block import Records
from router.callers.feed.rows import REMOVED
from router.callers.generation import SHARED
from router.callers.keys import TAGS

RECORD_BYTES: Final = 11
HEAD_BYTES: Final = 4 * (TAGS + 1)
# The first key of each tag but the first.
_LIMITS: Final = np.arange(1, TAGS, dtype=np.uint64) << np.uint64(64 - (TAGS.bit_length() - 1))


@dataclass(frozen=True, slots=True)
class Part:
    """The persons of one hash tag, each once, by rising place and field.

    Attributes:
        place: Of each.
        field: The same, six bytes each.
        value: The same: the code of the band, with `SHARED` where records differ; 0 removes, in a delta only.
        repeated: How many records repeated a person.
    """

    place: NDArray[np.uint32]
    field: NDArray[np.void]
    value: NDArray[np.uint8]
    repeated: int


def run_name(index: int) -> str:
    """The name of a finished run."""
    return f"run-{index:06d}"


def write_run(folder: Path, records: Records) -> str:
    """Write a run under a name that is not yet one of a run, for good: it is on the disk when this returns.

    Raises:
        OSError: It cannot be written.
    """
    name = f".{secrets.token_hex(8)}.unfinished"
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    cuts = np.array([0, *np.searchsorted(records.key, _LIMITS), len(records.key)], np.uint32)
    with os.fdopen(descriptor, "wb") as stream:
        for column in (cuts, records.key, records.low, records.value):
            stream.write(column.data)
        stream.flush()
        os.fsync(stream.fileno())
    return name


def persons(paths: Sequence[Path]) -> Iterator[Part]:
    """All persons of the runs, in as many parts as there are hash tags.

    Raises:
        OSError: A run cannot be read.
    """
    cuts = [np.fromfile(path, np.uint32, TAGS + 1).tolist() for path in paths]
    for tag in range(TAGS):
        slices = [_slice(path, cut[tag], cut[tag + 1], cut[TAGS]) for path, cut in zip(paths, cuts, strict=True)]
        yield merged(
            np.concatenate([np.zeros(0, np.uint64), *(key for key, _, _ in slices)]),
            np.concatenate([np.zeros(0, np.uint16), *(low for _, low, _ in slices)]),
            np.concatenate([np.zeros(0, np.uint8), *(value for _, _, value in slices)]),
        )


def merged(key: NDArray[np.uint64], low: NDArray[np.uint16], value: NDArray[np.uint8]) -> Part:
    """Put records together to persons: the oldest band counts, and any band more than a removal."""
    order = np.argsort(key)
    key, low, value = key[order], low[order], value[order]
    same_key = key[1:] == key[:-1]
    if (same_key & (low[1:] != low[:-1])).any():  # two callers share eight bytes: see to the last two as well
        order = np.lexsort((low, key))
        key, low, value = key[order], low[order], value[order]
        same_key = key[1:] == key[:-1]
    again = same_key & (low[1:] == low[:-1])
    repeated = int(again.sum())
    if repeated:
        first = np.flatnonzero(np.concatenate([[True], ~again]))
        oldest = np.maximum.reduceat(value, first)
        youngest = np.minimum.reduceat(np.where(value == REMOVED, np.uint8(SHARED), value), first)
        key, low = key[first], low[first]
        value = np.where(youngest < oldest, oldest | np.uint8(SHARED), oldest)
    field = np.empty((len(key), 6), np.uint8)
    field[:, :4] = key.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 4:]
    field[:, 4:] = low.astype(">u2").view(np.uint8).reshape(-1, 2)
    return Part((key >> np.uint64(32)).astype(np.uint32), field.view("V6").ravel(), value, repeated)


def _slice(
    path: Path, start: int, end: int, records: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.uint8]]:
    """Some of a run's records."""
    count = end - start
    with path.open("rb", buffering=0) as stream:
        key = np.fromfile(stream, np.uint64, count, offset=HEAD_BYTES + 8 * start)
        stream.seek(HEAD_BYTES + 8 * records + 2 * start)
        low = np.fromfile(stream, np.uint16, count)
        stream.seek(HEAD_BYTES + 10 * records + start)
        return key, low, np.fromfile(stream, np.uint8, count)
