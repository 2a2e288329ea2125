"""A block of a feed to records: many rows at once where that provably gives what `rows` does, the others one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from router.callers.feed.proven import ProvenForm, proven_forms
from router.callers.feed.rejects import reject_line
from router.callers.feed.rows import REMOVED, Columns, RowError, RowRules
from router.callers.feed.split import split_lines
from router.callers.number import PhoneNumber
from router.callers.pseudonym import PSEUDONYM_BYTES

LEFT: Final = -1
"""The value of a row that is for the exact reading."""
Texts: TypeAlias = Mapping[str, pa.Array]
Indices: TypeAlias = NDArray[np.int64]

# Taken out of a number before it is matched; a dot is not, see `proven`.
_SEPARATORS: Final = "[- ()]"
# `parse_caller` takes up to 128; a number so long with its separators is for it to judge.
_MOST_SEPARATED: Final = 64
# More combinations of distinct texts than this are not put in a table.
_MOST_COMBINED: Final = 1 << 22
_MOST_KNOWN: Final = 1 << 18
# So many numbers as Python objects at a time.
_HASHED_AT_ONCE: Final = 1 << 16


@dataclass(slots=True)
class Tally:
    """How rows were read. `read` is `records` + `left_out` + `rejected`.

    Attributes:
        read: Rows; an empty line is none.
        rejected: Rows that are wrong.
        left_out: Rows marked as removed, in a full load.
        records: Rows that are loaded.
        removals: How many of those remove a caller, in a delta.
        reasons: How many were rejected for what.
    """

    read: int = 0
    rejected: int = 0
    left_out: int = 0
    records: int = 0
    removals: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another's."""
        self.read += other.read
        self.rejected += other.rejected
        self.left_out += other.left_out
        self.records += other.records
        self.removals += other.removals
        self.reasons.update(other.reasons)


@dataclass(frozen=True, slots=True)
class Records:
    """What a block holds, sorted by `key`, then `low`: together the ten bytes of a pseudonym.

    Attributes:
        key: The first eight bytes.
        low: The last two.
        value: What is stored.
        tally: How its rows were read.
        rejects: Lines for the file of rejected rows.
    """

    key: NDArray[np.uint64]
    low: NDArray[np.uint16]
    value: NDArray[np.uint8]
    tally: Tally
    rejects: bytes


class FastNumbers:
    """Reads the numbers whose spelling is proven. Tries first the form that read most before."""

    def __init__(self, home_region: str) -> None:
        self._forms = list(proven_forms(home_region))

    def read(self, texts: pa.Array) -> tuple[list[tuple[Indices, pa.Array]], Indices]:
        """Which texts are which E.164 numbers, and which are left."""
        found, left, rest = self._through_forms(np.arange(len(texts)), texts)
        if len(left):
            separated = _mask(pc.match_substring_regex(rest, _SEPARATORS))
            separated &= pc.binary_length(rest).to_numpy(zero_copy_only=False) <= _MOST_SEPARATED
            if separated.any():
                stripped = pc.replace_substring_regex(rest.filter(pa.array(separated)), f"{_SEPARATORS}+", "")
                more, still, _ = self._through_forms(left[separated], stripped)
                found += more
                left = np.sort(np.concatenate([left[~separated], still]))
        return found, left

    def _through_forms(
        self, left: Indices, texts: pa.Array
    ) -> tuple[list[tuple[Indices, pa.Array]], Indices, pa.Array]:
        found = []
        best, most = 0, 0
        for place, form in enumerate(self._forms):
            if not len(left):
                break
            fits = _fitting(form, texts)
            if not fits.any():
                continue
            every = bool(fits.all())
            here = texts if every else texts.filter(pa.array(fits))
            if form.drop:
                here = pc.utf8_slice_codeunits(here, form.drop)
            if form.prefix:
                here = pc.binary_join_element_wise(form.prefix, here, "")
            found.append((left[fits], here))
            if len(here) > most:
                best, most = place, len(here)
            left, texts = left[~fits], texts.filter(pa.array(~fits))
        self._forms.insert(0, self._forms.pop(best))
        return found, left, texts


class FastValues:
    """The values of rows: each distinct combination of texts goes through the exact reading once."""

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules
        self._known: dict[tuple[str, str, str], int] = {}

    def read(self, columns: Texts, rows: int) -> NDArray[np.int16]:
        """The value of each row, `LEFT` where there is none."""
        combined = np.zeros(rows, np.int64)
        sizes, dictionaries = [], []
        for name in ("birth_date", "age_band", "removed"):
            if name in columns:
                encoded = columns[name].dictionary_encode()
                texts = encoded.dictionary.to_pylist()
                combined = combined * len(texts) + encoded.indices.to_numpy(zero_copy_only=False)
            else:
                texts = [""]
            sizes.append(len(texts))
            dictionaries.append(texts)
        total = sizes[0] * sizes[1] * sizes[2]
        if total > _MOST_COMBINED:
            distinct, places = np.unique(combined, return_inverse=True)
        else:
            distinct = np.flatnonzero(np.bincount(combined, minlength=total))
            places = np.zeros(total, np.int64)
            places[distinct] = np.arange(len(distinct))
            places = places[combined]
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        birth_dates, age_bands, removed = dictionaries
        inner = sizes[1] * sizes[2]
        values = [
            self._value(birth_dates[at // inner], age_bands[at // sizes[2] % sizes[1]], removed[at % sizes[2]])
            for at in distinct.tolist()
        ]
        return np.array(values, np.int16)[places] if rows else np.zeros(0, np.int16)

    def _value(self, birth_date: str, age_band: str, removed: str) -> int:
        texts = (birth_date, age_band, removed)
        value = self._known.get(texts)
        if value is None:
            try:
                value = self._rules.value(*texts)
            except ValueError:
                value = LEFT
            self._known[texts] = value
        return value


class BlockReader:
    """Reads blocks of one feed.

    Args:
        rules: What a row means.
        hashed: From E.164 numbers to pseudonyms, of `CallerSecret.many`.
        delta: Whether removed rows are records; in a full load they are left out.
    """

    def __init__(self, rules: RowRules, hashed: Callable[[Iterable[bytes]], bytes], *, delta: bool) -> None:
        self._rules = rules
        self._hashed = hashed
        self._delta = delta
        self._numbers = FastNumbers(rules.home_region)
        self._values = FastValues(rules)

    def lines(self, data: bytes, columns: Columns, separator: str, first_line: int) -> Records:
        """Read a block of whole lines of a CSV file, of which the first has the number `first_line`."""
        split = split_lines(data, columns, separator)
        pieces, values, left = self._fast(split.columns, len(split.lines))
        exact = np.sort(np.concatenate([split.lines[left], split.left])).tolist()
        rows = ((first_line + at, lambda at=at: self._rules.line(split.line(at), columns, separator)) for at in exact)
        return self._records(pieces, values, rows)

    def texts(self, columns: Texts, first_row: int) -> Records:
        """Read a block of rows whose columns are texts already, of which the first has the number `first_row`."""
        count = len(columns["number"])
        pieces, values, left = self._fast(columns, count)
        names = ("number", "birth_date", "age_band", "removed")
        chosen = pa.array(left)
        exact = [columns[name].take(chosen).to_pylist() if name in columns else [""] * len(left) for name in names]
        rows = (
            (first_row + at, lambda row=row: self._rules.row(*row))
            for at, row in zip(left.tolist(), zip(*exact, strict=True), strict=True)
        )
        return self._records(pieces, values, rows)

    def _fast(self, columns: Texts, count: int) -> tuple[list[pa.Array], list[NDArray[np.int16]], Indices]:
        """The numbers read and their values, in pieces, and which rows are left."""
        if not count:
            return [], [], np.zeros(0, np.int64)
        value = self._values.read(columns, count)
        found, left = self._numbers.read(columns["number"])
        pieces, values, others = [], [], [left]
        for places, numbers in found:
            here = value[places]
            good = here != LEFT
            if not good.all():
                others.append(places[~good])
                numbers, here = numbers.filter(pa.array(good)), here[good]  # noqa: PLW2901 - the rest of them
            pieces.append(numbers)
            values.append(here)
        return pieces, values, np.sort(np.concatenate(others))

    def _records(
        self,
        pieces: list[pa.Array],
        values: list[NDArray[np.int16]],
        rows: Iterable[tuple[int, Callable[[], tuple[PhoneNumber, int] | None]]],
    ) -> Records:
        tally = Tally(read=sum(map(len, pieces)))
        rejects: list[str] = []
        numbers: list[str] = []
        exact: list[int] = []
        for row, read in rows:
            try:
                record = read()
            except RowError as error:
                tally.rejected += 1
                tally.reasons[error.reason] += 1
                rejects.append(reject_line(row, error.caller, error.reason))
                continue
            if record is not None:
                numbers.append(record[0].e164)
                exact.append(record[1])
        tally.read += tally.rejected + len(numbers)
        value = np.concatenate([*values, np.array(exact, np.int16)])
        kept = pa.chunked_array([*pieces, pa.array(numbers, pa.string())], pa.string())
        removed = value == REMOVED
        if removed.any() and not self._delta:
            kept = kept.filter(pa.array(~removed))
            tally.left_out = int(removed.sum())
            value = value[~removed]
        else:
            tally.removals = int(removed.sum())
        tally.records = len(value)
        key, low, order = self._pseudonyms(kept)
        return Records(key, low, value.astype(np.uint8)[order], tally, "".join(rejects).encode())

    def _pseudonyms(self, numbers: pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.uint16], Indices]:
        raw = b"".join(self._hashed(batch) for batch in _as_bytes(numbers))
        each = np.frombuffer(raw, np.uint8).reshape(-1, PSEUDONYM_BYTES)
        key = each[:, :8].copy().view(">u8").ravel().astype(np.uint64)
        low = each[:, 8:].copy().view(">u2").ravel().astype(np.uint16)
        # What has the same eight bytes is the same caller, but for one chance in a hundred thousand; which is seen to
        # where the persons are put together, which need no more than this order.
        order = np.argsort(key)
        return key[order], low[order], order


def _as_bytes(numbers: pa.ChunkedArray) -> Iterator[list[bytes]]:
    for chunk in numbers.chunks:
        for start in range(0, len(chunk), _HASHED_AT_ONCE):
            yield chunk.slice(start, _HASHED_AT_ONCE).cast(pa.binary()).to_pylist()


def _fitting(form: ProvenForm, texts: pa.Array) -> NDArray[np.bool_]:
    fits = np.ones(len(texts), bool)
    for pattern in form.must:
        fits &= _mask(pc.match_substring_regex(texts, pattern))
        if not fits.any():
            return fits
    for pattern in form.must_not:
        fits &= ~_mask(pc.match_substring_regex(texts, pattern))
    return fits


def _mask(found: pa.Array) -> NDArray[np.bool_]:
    return found.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
