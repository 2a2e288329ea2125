"""Feeds in Parquet: numbers as texts or whole numbers, dates as dates or texts, also through a dictionary.

Read in batches, of a row group as much at a time as a batch needs, so that memory does not grow with the file. A null
is an empty text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from router.callers.feed.header import named_columns, wrong_feed
from router.callers.feed.rows import Columns
from router.callers.feed.source import Block, reading
from router.callers.settings import FeedSettings

BATCH_ROWS: Final = 500_000
_BUFFER_BYTES: Final = 1024 * 1024  # of a column, while it is decoded
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799  # the first second of the year 1, the last of 9999
_NO_NUMBER: Final = "*"  # what no network would take: a whole number below 0


class ParquetSource:
    """A Parquet file; see `source.Source`. Blocks go on from a row, counted from 0."""

    unit: str = "row"
    columns: Columns | None = None

    def __init__(self, path: Path, raw: BinaryIO, feed: FeedSettings, *, delta: bool) -> None:
        self._path = path
        self._raw = raw
        self._file = pq.ParquetFile(
            raw, buffer_size=_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True, memory_map=False
        )
        self.size_bytes = path.stat().st_size
        self._done_rows = 0
        schema = self._file.schema_arrow
        places = named_columns(path, schema.names, feed, delta=delta, hint="; name the columns as the settings do").used
        self._names = {use: schema.names[place] for use, place in places.items()}
        self._true = feed.removed_words[0] if feed.removed_words else "true"
        kinds = {use: _value_type(schema.field(place).type) for use, place in places.items()}
        for use, kind in kinds.items():
            self._check(use, kind)
        born = kinds.get("birth_date")
        self.dated = born is not None
        self.date_form: str | None = "YYYY-MM-DD" if born is not None and pt.is_temporal(born) else None

    def blocks(self, start: int, first: int) -> Iterator[Block]:
        """See `source.Source`."""
        del first  # it is the row after `start`
        with reading(self._path):
            metadata = self._file.metadata
            groups, skipped = list(range(metadata.num_row_groups)), 0
            while groups and skipped + metadata.row_group(groups[0]).num_rows <= start:
                skipped += metadata.row_group(groups.pop(0)).num_rows
            batches = self._file.iter_batches(
                BATCH_ROWS, row_groups=groups, columns=list(self._names.values()), use_threads=False
            )
            row = skipped
            for whole in batches if groups else ():
                row += whole.num_rows
                if row <= start:
                    continue
                batch = whole.slice(max(0, start - (row - whole.num_rows)))
                self._done_rows = row
                yield Block(self._stream(batch), row - batch.num_rows + 1, batch.num_rows, row)

    def done_bytes(self) -> int:
        """See `source.Source`; as if all rows took the same."""
        return self.size_bytes * self._done_rows // max(int(self._file.metadata.num_rows), 1)

    def close(self) -> None:
        """See `source.Source`."""
        self._file.close()
        self._raw.close()

    def _check(self, use: str, kind: pa.DataType) -> None:
        texts = pt.is_null(kind) or _is_text(kind) or pt.is_integer(kind)
        if use == "number" and (pt.is_floating(kind) or (pt.is_decimal(kind) and kind.scale)):
            raise wrong_feed(
                self._path, f"the column `{self._names[use]}` holds fractions; write it as texts or as whole numbers"
            )
        also = {
            "number": pt.is_decimal(kind),
            "birth_date": pt.is_date(kind) or pt.is_timestamp(kind),
            "removed": pt.is_boolean(kind),
        }
        if not texts and not also.get(use, False):
            raise wrong_feed(self._path, f"the column `{self._names[use]}` is of the type {kind}; write it as texts")

    def _stream(self, batch: pa.RecordBatch) -> bytes:
        """The columns as texts, named by what they are for."""
        texts = {use: _texts(batch.column(name), self._true) for use, name in self._names.items()}
        table = pa.record_batch(list(texts.values()), names=list(texts))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_batch(table)
        return bytes(sink.getvalue())


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pt.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return any(
        of(kind)
        for of in (
            *(pt.is_string, pt.is_large_string, pt.is_string_view),
            *(pt.is_binary, pt.is_large_binary, pt.is_binary_view, pt.is_fixed_size_binary),
        )
    )


def _texts(column: pa.Array, true: str) -> pa.Array:
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pt.is_boolean(kind):
        column = pc.if_else(column, true, "")
    elif pt.is_timestamp(kind) or pt.is_date64(kind):
        return _days(column)
    if _is_text(column.type):
        return _utf8(column)
    if pt.is_integer(kind) or pt.is_decimal(kind):
        return pc.if_else(pc.less(column, pa.scalar(0, kind)), _NO_NUMBER, column.cast(pa.string())).fill_null("")
    return column.cast(pa.string()).fill_null("")


def _days(column: pa.Array) -> pa.Array:
    """The days of times as texts; empty for what is in no year that a date has, and would not fit one."""
    if pt.is_date64(column.type):
        column = column.cast(pa.timestamp("ms"))
    if column.type.tz:
        column = pc.local_timestamp(column)
    a_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    times = column.cast(pa.int64())
    last = min(_LAST_S * a_second, 2**63 - 1)  # nanoseconds end in 2262
    fits = pc.and_(pc.greater_equal(times, max(_FIRST_S * a_second, -(2**63))), pc.less_equal(times, last))
    kept = pc.if_else(fits, column, pa.scalar(None, column.type))
    return kept.cast(pa.date32(), safe=False).cast(pa.string()).fill_null("")


def _utf8(column: pa.Array) -> pa.Array:
    """Texts, in which what is not UTF-8 becomes a mark that is no digit, letter or name."""
    column = column.fill_null(pa.scalar(b"", pa.binary()).cast(column.type)) if column.null_count else column
    raw = column.cast(pa.binary())
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([value.decode(errors="replace") for value in raw.to_pylist()], pa.string())
