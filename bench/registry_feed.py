"""Feeds of made-up callers of any size, in memory that does not grow with it.

The caller of index i has the number of an odd multiple of i modulo 2³¹, which is another for each i: nobody has to
remember which numbers were given. They span the ranges that China's mobile numbers lie in, since nothing else is
large enough: some are sure to be real people's. So they, and the made-up birth dates beside them, stay in temporary
files that are deleted, and nothing of them is printed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_CALLERS: Final = 1 << 30
"""Callers of a feed; the numbers of higher indices, to 2³¹, are never in one: they are the unknown callers."""
NUMBERS: Final = 1 << 31
ROW_BYTES: Final = len("+8613900000001,1950-01-01\n")
PROTOCOL_BYTES: Final = len("*3\r\n$3\r\nSET\r\n$20\r\nelder:+8613900000001\r\n$1\r\n1\r\n")
HEADER: Final = b"number,birth_date\n"

_CHUNK: Final = 1 << 20
_NUMBER_FACTOR, _BIRTH_FACTOR = 0x5E3779B1, 0x85EBCA6B  # odd; otherwise nothing special
# Three digits and any eight behind them are a mobile number's in libphonenumber's data.
_PREFIXES: Final = (*range(130, 140), *(prefix for prefix in range(150, 160) if prefix != 154), *range(180, 183))
_FIRST_BIRTH, _AFTER_BIRTHS = np.datetime64("1930-01-01"), np.datetime64("2021-01-01")

_Bytes = NDArray[np.uint8]


def numbers(indices: NDArray[np.uint64]) -> list[str]:
    """The E.164 numbers of callers, by index from 0 to 2³¹ − 1."""
    return [text.decode() for text in _numbers(indices).view("S14").ravel().tolist()]


def write_feed(file: Path, callers: int, progress: Callable[[int], None]) -> None:
    """Write a CSV file with a row for each caller, and tell after each chunk how many rows it has so far."""
    with file.open("wb") as stream:
        stream.write(HEADER)
        for rows, done in _chunks(callers):
            stream.write(_csv(rows))
            progress(done)


def append_row(file: Path, index: int) -> None:
    """Make another feed of a feed: one caller more."""
    with file.open("ab") as stream:
        stream.write(_csv(np.array([index], dtype=np.uint64)))


def compress(file: Path, into: Path) -> None:
    """Write the same as .gz, at the lowest level: what is measured is reading it."""
    packer = zlib.compressobj(1, wbits=31)
    with file.open("rb") as source, into.open("wb") as stream:
        while block := source.read(1 << 22):
            stream.write(packer.compress(block))
        stream.write(packer.flush())


def write_protocol(file: Path, callers: int, progress: Callable[[int], None]) -> None:
    """Write `SET elder:<number> <digit>` of each caller as Redis's protocol has it, for mass insertion."""
    before = np.frombuffer(b"*3\r\n$3\r\nSET\r\n$20\r\nelder:", np.uint8)
    after = np.frombuffer(b"\r\n$1\r\n4\r\n", np.uint8)
    with file.open("wb") as stream:
        for rows, done in _chunks(callers):
            lines = np.hstack([np.tile(before, (len(rows), 1)), _numbers(rows), np.tile(after, (len(rows), 1))])
            lines[:, -3] = ord("1") + (_births(rows) & 3)
            stream.write(lines.tobytes())
            progress(done)


def _chunks(callers: int) -> Iterator[tuple[NDArray[np.uint64], int]]:
    for first in range(0, callers, _CHUNK):
        after = min(callers, first + _CHUNK)
        yield np.arange(first, after, dtype=np.uint64), after


def _csv(rows: NDArray[np.uint64]) -> bytes:
    lines = np.empty((len(rows), ROW_BYTES), np.uint8)
    lines[:, :14] = _numbers(rows)
    lines[:, 14] = ord(",")
    lines[:, 15:25] = _DATES[_births(rows)]
    lines[:, 25] = ord("\n")
    return lines.tobytes()


def _numbers(rows: NDArray[np.uint64]) -> _Bytes:
    places = rows * np.uint64(_NUMBER_FACTOR) % np.uint64(NUMBERS)
    prefix, rest = np.divmod(places, np.uint64(10**8))
    high, low = np.divmod(rest, np.uint64(10**4))
    found = np.empty((len(rows), 14), np.uint8)
    found[:, :3] = np.frombuffer(b"+86", np.uint8)
    found[:, 3:6] = _PREFIX_TEXTS[prefix]
    found[:, 6:10] = _FOUR_DIGITS[high]
    found[:, 10:] = _FOUR_DIGITS[low]
    return found


def _births(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Which of `_DATES` each caller was born on."""
    return (rows * np.uint64(_BIRTH_FACTOR) % np.uint64(1 << 32) * np.uint64(len(_DATES))) >> np.uint64(32)


def _texts(words: list[str]) -> _Bytes:
    return np.frombuffer("".join(words).encode(), np.uint8).reshape(len(words), -1)


_PREFIX_TEXTS: Final = _texts([str(prefix) for prefix in _PREFIXES])
_FOUR_DIGITS: Final = _texts([f"{number:04d}" for number in range(10_000)])
_DATES: Final = _texts(np.arange(_FIRST_BIRTH, _AFTER_BIRTHS).astype(str).tolist())
