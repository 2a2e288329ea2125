"""Whose band changes by a birthday between two days: callers of a feed with dates of birth, to keep the bands right.

The file is read twice, without hashing: once for the numbers of the rows whose own band changes, once for all rows of
those numbers, as the oldest band of a household counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from router.callers.bands import AgeBands
from router.callers.feed.block import LEFT, FastNumbers, FastValues, Texts
from router.callers.feed.header import wrong_feed
from router.callers.feed.rows import Columns, RowError, RowRules, line_fields
from router.callers.feed.source import Block, Source, open_source
from router.callers.feed.split import split_lines
from router.callers.feed.spool import row_rules
from router.callers.number import PhoneNumber
from router.callers.settings import FeedSettings

MOST_DUE: Final = 20_000_000
"""As many fit in a few hundred megabytes; when more are due, a full load is the better way."""
_YIELDED_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class DueCounts:
    """How many callers are due.

    Attributes:
        read: Rows of the feed.
        due: Callers whose band changes.
        by_band: How many of those come into which band.
    """

    read: int
    due: int
    by_band: dict[str, int]


@dataclass(frozen=True, slots=True)
class DueCaller:
    """A caller whose band changes.

    Attributes:
        number: Theirs.
        band: The one that they come into.
        shared: Whether the number stands on rows of different bands then.
    """

    number: PhoneNumber
    band: str
    shared: bool


class Due:
    """The callers whose band changes, and how many. Iterates over them by rising number."""

    def __init__(
        self,
        counts: DueCounts,
        bands: AgeBands,
        numbers: NDArray[np.int64],
        value: NDArray[np.uint8],
        shared: NDArray[np.bool_],
    ) -> None:
        self.counts = counts
        self._names = bands.names
        self._numbers = numbers
        self._value = value
        self._shared = shared

    def __iter__(self) -> Iterator[DueCaller]:
        for start in range(0, len(self._numbers), _YIELDED_AT_ONCE):
            here = slice(start, start + _YIELDED_AT_ONCE)
            columns = (self._numbers[here].tolist(), self._value[here].tolist(), self._shared[here].tolist())
            for digits, value, shared in zip(*columns, strict=True):
                yield DueCaller(PhoneNumber(f"+{digits}"), self._names[value - 1], shared)


def due(
    path: Path,
    *,
    feed: FeedSettings,
    bands: AgeBands,
    home_region: str,
    since: date,
    until: date,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Due:
    """The callers whose band on the day `until` is another than on the day `since`, as one more birthday has come.

    Args:
        path: The full feed.
        feed: What its columns are called.
        bands: Of the rules in force.
        home_region: Where numbers without a country code belong.
        since: The day of the bands that are stored.
        until: The day of the bands that are wanted, not before `since`.
        progress: Is told how many bytes have been read, and of how many in all.

    Raises:
        ConfigurationError: The feed cannot be read, has no dates of birth, or more than 20 million callers are due.
    """
    before, after = row_rules(feed, bands, home_region, since), row_rules(feed, bands, home_region, until)
    crossing = _Reading(path, feed, before, after, progress, pass_number=0)
    found: list[NDArray[np.int64]] = []
    count = 0
    for rows in crossing.rows(lambda was, now: (was > 0) & (now != was)):
        found.append(np.unique(rows.numbers))
        count += len(found[-1])
        if count > MOST_DUE:
            found = [np.unique(np.concatenate(found))]
            count = len(found[0])
        if count > MOST_DUE:
            raise wrong_feed(
                path, f"more than {MOST_DUE:,} callers are due; load the whole feed, which is the better way then"
            )
    wanted = np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
    was, now, least = (np.zeros(len(wanted), np.uint8) for _ in range(3))
    least += np.uint8(255)
    again = _Reading(path, feed, before, after, progress, pass_number=1)
    for rows in again.rows(lambda was, now: (was > 0) | (now > 0)) if len(wanted) else ():
        places = np.searchsorted(wanted, rows.numbers)
        places[places == len(wanted)] = 0
        here = wanted[places] == rows.numbers
        places = places[here]
        np.maximum.at(was, places, rows.was[here])
        np.maximum.at(now, places, rows.now[here])
        np.minimum.at(least, places, np.where(rows.now[here] > 0, rows.now[here], np.uint8(255)))
    changed = (was > 0) & (now != was) & (now > 0)
    value = now[changed]
    by_band = {name: int((value == code).sum()) for code, name in enumerate(bands.names, 1)}
    counts = DueCounts(read=crossing.read, due=len(value), by_band=by_band)
    return Due(counts, bands, wanted[changed], value, (least < now)[changed])


@dataclass(frozen=True, slots=True)
class _Rows:
    numbers: NDArray[np.int64]
    was: NDArray[np.uint8]
    now: NDArray[np.uint8]


class _Reading:
    """One pass over the feed. What the exact reading rejects is none of its rows."""

    def __init__(
        self,
        path: Path,
        feed: FeedSettings,
        before: RowRules,
        after: RowRules,
        progress: Callable[[int, int], None],
        *,
        pass_number: int,
    ) -> None:
        self._path = path
        self._feed = feed
        self._rules = (before, after)
        self._progress = progress
        self._pass = pass_number
        self.read = 0

    def rows(self, wanted: Callable[[NDArray[np.int16], NDArray[np.int16]], NDArray[np.bool_]]) -> Iterator[_Rows]:
        """Number and bands of the rows whose bands, before and after, `wanted` says yes to."""
        with closing(open_source(self._path, self._feed, delta=False)) as source:
            if not source.dated:
                raise wrong_feed(
                    self._path, f"there is no column `{self._feed.birth_date}`, so nobody's birthday is known", line=1
                )
            if source.date_form is not None:
                form = source.date_form
                self._rules = (replace(self._rules[0], date_form=form), replace(self._rules[1], date_form=form))
            values = [FastValues(rules) for rules in self._rules]
            numbers = FastNumbers(self._rules[0].home_region)
            for block in source.blocks(0, 0):
                columns = self._columns(source, block)
                count = len(columns["number"])
                was, now = (each.read(columns, count) for each in values)
                was, now = np.where(was == LEFT, 0, was), np.where(now == LEFT, was, now)
                chosen = np.flatnonzero(wanted(was, now))
                digits = self._digits(columns["number"].take(pa.array(chosen)), numbers)
                good = digits > 0
                yield _Rows(digits[good], was[chosen][good].astype(np.uint8), now[chosen][good].astype(np.uint8))
                self.read += count
                size = source.size_bytes
                self._progress(self._pass * size + source.done_bytes(), 2 * size)

    def _columns(self, source: Source, block: Block) -> Texts:
        if source.columns is None:
            with pa.ipc.open_stream(block.data) as stream:
                table = stream.read_all()
            return {name: table[name].combine_chunks() for name in table.column_names}
        split = split_lines(block.data, source.columns, self._feed.separator)
        if not len(split.left):
            return split.columns
        exact = [self._fields(split.line(at), source.columns) for at in split.left.tolist()]
        return {
            name: pa.concat_arrays(
                [
                    split.columns.get(name, pa.array([], pa.string())),
                    pa.array([row[name] for row in exact if row], pa.string()),
                ]
            )
            for name in source.columns.used
        }

    def _fields(self, raw: bytes, columns: Columns) -> dict[str, str] | None:
        try:
            found = line_fields(raw, self._feed.separator)
        except RowError:
            return None
        if found is None or len(found) < columns.fewest:
            return None
        return {name: found[index] for name, index in columns.used.items()}

    def _digits(self, texts: pa.Array, numbers: FastNumbers) -> NDArray[np.int64]:
        """The E.164 numbers of texts as whole numbers; 0 for what is none."""
        digits = np.zeros(len(texts), np.int64)
        found, left = numbers.read(texts)
        for places, e164 in found:
            digits[places] = pc.utf8_slice_codeunits(e164, 1).cast(pa.int64()).to_numpy()
        for place, text in zip(left.tolist(), texts.take(pa.array(left)).to_pylist(), strict=True):
            try:
                digits[place] = int(self._rules[0].number(text).e164[1:])
            except RowError:
                continue
        return digits
