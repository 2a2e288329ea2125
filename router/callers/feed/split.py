"""A block of lines to columns: by pyarrow where that reads a line as `rows.line_fields` does; the others are left.

pyarrow reads 10 million lines a second. It differs from the exact reading where a block has control characters, bytes
that are not UTF-8, odd quotes, lines with other numbers of columns, overlong or empty ones: such a block is looked at
line by line, and only those of the plainest shape are given to pyarrow.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from router.callers.feed.rows import MAX_LINE_BYTES, Columns, RowError, line_fields

_BOM: Final = b"\xef\xbb\xbf"  # pyarrow takes one away from the start of what it is given
_PLAIN: Final = bytes(set(range(0x20, 0x100)) - {0x22, 0x7F} | {0x09, 0x0A, 0x0D})
_LOOKED_AT: Final = 100  # lines, to see how many columns they have
_MOST_COLUMNS: Final = 500  # RE2 counts to 1,000; a feed with so many and with quotes is read exactly, and slowly
_NONE: Final = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Split:
    """The lines of a block: those that were read as columns, and those that are left for the exact reading.

    Attributes:
        columns: By what they are for, of the lines in `lines`, as texts.
        lines: Which of the block's, from 0, rising.
        left: The others, rising.
    """

    columns: dict[str, pa.Array]
    lines: NDArray[np.int64]
    left: NDArray[np.int64]
    _data: bytes
    _ends: NDArray[np.int64]

    def line(self, index: int) -> bytes:
        """A line of the block with its end."""
        start = int(self._ends[index - 1]) + 1 if index else 0
        return self._data[start : int(self._ends[index]) + 1]


def split_lines(data: bytes, columns: Columns, separator: str) -> Split:
    """Split a block of whole lines, each with its end."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    every = np.arange(len(ends))
    if _is_plain(data, ends):
        width = _width(data[: int(ends[0])] if len(ends) else b"", separator)
        table = _columns(data, columns, separator, width, len(ends), quoted=False)
        if table is not None:
            return Split(table, every, _NONE, data, ends)
    width = _usual_width(data, ends, columns, separator)
    if width > _MOST_COLUMNS:
        return Split({}, _NONE, every, data, ends)
    good = _well_formed(data, ends, separator, width)
    if good.any():
        table = _columns(_chosen(data, ends, good), columns, separator, width, int(good.sum()), quoted=True)
        if table is not None:
            return Split(table, every[good], every[~good], data, ends)
    return Split({}, _NONE, every, data, ends)


def _is_plain(data: bytes, ends: NDArray[np.int64]) -> bool:
    """Whether pyarrow's reading without quotes and the exact one agree, except on the numbers of lines and columns."""
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return False
    if data.startswith(_BOM) or data.translate(None, _PLAIN):
        return False
    if len(ends) and int(np.diff(ends, prepend=-1).max()) > MAX_LINE_BYTES + 1:
        return False
    return data.isascii() or _is_utf8(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _width(line: bytes, separator: str) -> int:
    return line.count(separator.encode()) + 1


def _usual_width(data: bytes, ends: NDArray[np.int64], columns: Columns, separator: str) -> int:
    """How many columns most of the first lines have, of those that have enough."""
    widths: Counter[int] = Counter()
    start = 0
    for end in ends[:_LOOKED_AT].tolist():
        with suppress(RowError):
            widths[len(line_fields(data[start : end + 1], separator) or ())] += 1
        start = end + 1
    return max((width for width in widths if width >= columns.fewest), key=widths.__getitem__, default=columns.fewest)


def _well_formed(data: bytes, ends: NDArray[np.int64], separator: str, width: int) -> NDArray[np.bool_]:
    """Which lines have so many fields, each without quotes or in quotes as a whole."""
    offsets = np.concatenate([[0], ends + 1]).astype(np.int32)
    lines = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    texts = _valid_utf8(lines)
    mark = re.escape(separator)
    # No control character but a tab in between, as in `rows`; a carriage return only at the end.
    bare = rf'[^"{mark}\x00-\x08\x0A-\x1F\x7F]*'
    quoted = r'"[^"\x00-\x08\x0A-\x1F\x7F]*"'
    field = f"(?:{quoted}|{bare})"
    good = _mask(pc.match_substring_regex(texts, rf"^{field}(?:{mark}{field}){{{width - 1}}}\r?\n$"))
    good = good & (np.diff(offsets) <= MAX_LINE_BYTES + 1)
    if _BOM in data:
        good &= ~_mask(pc.starts_with(texts, "\ufeff"))
    return good


def _chosen(data: bytes, ends: NDArray[np.int64], good: NDArray[np.bool_]) -> bytes:
    """The lines that are good, put together from pieces without a bad one in between."""
    if good.all():
        return data
    starts = np.concatenate([[0], ends[:-1] + 1])
    before, behind = np.concatenate([[False], good[:-1]]), np.concatenate([good[1:], [False]])
    kept = memoryview(data)
    pieces = zip(starts[good & ~before].tolist(), ends[good & ~behind].tolist(), strict=True)
    return b"".join([kept[start : end + 1] for start, end in pieces])


def _mask(found: pa.Array) -> NDArray[np.bool_]:
    return found.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _valid_utf8(lines: pa.Array) -> pa.Array:
    """Lines as texts; what is not UTF-8 becomes empty, which is well-formed nowhere."""
    try:
        return lines.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_decoded(line) for line in lines.to_pylist()], pa.string())


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return ""


def _columns(
    data: bytes, columns: Columns, separator: str, width: int, lines: int, *, quoted: bool
) -> dict[str, pa.Array] | None:
    """The columns of lines that all have `width` of them; None where pyarrow finds anything else."""
    if width < columns.fewest:
        return None
    names = [f"{index}" for index in range(width)]
    used = columns.used
    wanted = [f"{index}" for index in dict.fromkeys(used.values())]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(data), 1)),
            parse_options=pa_csv.ParseOptions(
                delimiter=separator, quote_char='"' if quoted else False, ignore_empty_lines=True
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
                check_utf8=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != lines:
        return None
    return {use: table[f"{index}"].combine_chunks() for use, index in used.items()}
