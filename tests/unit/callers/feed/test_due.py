"""Who comes into another band by a birthday between two days."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.callers.feed import due as due_module
from router.callers.feed import source
from router.callers.feed.due import Due, due
from router.callers.feed.rows import RowError
from router.callers.feed.spool import row_rules
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError
from tests.unit.callers.feed.feeds import BANDS, PLAIN, WITH_REMOVED, written

SINCE, UNTIL = date(2025, 11, 22), date(2025, 11, 23)
SIXTY = b"1965-11-23"


def due_in(path: Path, feed: FeedSettings = PLAIN, since: date = SINCE, until: date = UNTIL) -> Due:
    return due(path, feed=feed, bands=BANDS, home_region="CN", since=since, until=until)


def found(
    path: Path, feed: FeedSettings = PLAIN, since: date = SINCE, until: date = UNTIL
) -> dict[str, tuple[str, bool]]:
    return {caller.number.e164: (caller.band, caller.shared) for caller in due_in(path, feed, since, until)}


def rows(tmp_path: Path, *lines: bytes, header: bytes = b"number,birth_date,age_band") -> Path:
    return written(tmp_path, b"\n".join([header, *lines, b""]))


def test_whose_birthday_lies_between_is_due_and_nobody_else(tmp_path: Path) -> None:
    path = rows(
        tmp_path,
        b"13900000001,1965-11-23,",
        b"13900000002,1965-11-22,",  # was 60 already
        b"13900000003,1965-11-24,",  # will be tomorrow
        b"13900000004,1966-11-23,",  # 59
        b"13900000005,1950-11-23,",
        b"13900000006,2007-11-23,",
        b"13900000007,,senior",
        b"13900000008,2025-11-23,",  # was not born
        b"10086,1965-11-23,",
        b"13900000009,1899-11-23,",  # older than anybody
    )
    whole = due_in(path)
    assert found(path) == {
        "+8613900000001": ("senior", False),
        "+8613900000005": ("elder", False),
        "+8613900000006": ("adult", False),
    }
    assert whole.counts.due == 3
    assert whole.counts.by_band == {"minor": 0, "adult": 1, "senior": 1, "elder": 1}
    assert whole.counts.read == 10


def test_in_a_household_the_oldest_band_counts(tmp_path: Path) -> None:
    path = rows(
        tmp_path,
        b"13900000001," + SIXTY + b",",
        b"+86 139 0000 0001,1990-01-01,",  # shares it: due, and shared
        b"13900000002," + SIXTY + b",",
        b"0086-13900000002,1940-01-01,",  # its oldest band does not change
        b"13900000003," + SIXTY + b",",
        b'"13900000003",,senior',  # nor does this
        b"13900000004," + SIXTY + b",",
        b"13900000004," + SIXTY + b",",
        b"13900000005,1940-01-01,",  # and so in whatever order
        b"13900000005," + SIXTY + b",",
    )
    assert found(path) == {"+8613900000001": ("senior", True), "+8613900000004": ("senior", False)}


def test_who_is_removed_is_not_due(tmp_path: Path) -> None:
    path = rows(tmp_path, b"13900000001,1965-11-23,1", b"13900000002,1965-11-23,0", header=b"number,birth_date,removed")
    assert found(path, WITH_REMOVED) == {"+8613900000002": ("senior", False)}


def test_parquet_is_read_too(tmp_path: Path) -> None:
    columns = {"number": pa.array([13900000001, 13900000002]), "birth_date": pa.array([date(1965, 11, 23)] * 2)}
    pq.write_table(pa.table(columns), tmp_path / "callers")
    assert set(found(tmp_path / "callers", FeedSettings(date_form="YYYYMMDD"))) == {"+8613900000001", "+8613900000002"}


def test_a_feed_without_dates_of_birth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no column `birth_date`, so nobody's birthday is known"):
        due_in(rows(tmp_path, b"13900000001,elder", header=b"number,age_band"))


def test_more_than_fit_in_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_module, "MOST_DUE", 3)
    monkeypatch.setattr(source, "BLOCK_BYTES", 64)
    monkeypatch.setattr(source, "_LEAST_BLOCK_BYTES", 1)
    same = [b"13900000001,1965-11-23,"] * 12
    assert len(found(rows(tmp_path, *same, *(b"1390000000%d,1965-11-23," % n for n in range(2, 4))))) == 3
    with pytest.raises(ConfigurationError, match="more than 3 callers are due; load the whole feed"):
        due_in(rows(tmp_path, *(b"1390000000%d,1965-11-23," % n for n in range(4))))


def test_progress_goes_through_the_file_twice(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = rows(tmp_path, b"13900000001,1965-11-23,")
    due(
        path,
        feed=PLAIN,
        bands=BANDS,
        home_region="CN",
        since=SINCE,
        until=UNTIL,
        progress=lambda done, total: told.append((done, total)),
    )
    size = path.stat().st_size
    assert told == [(size, 2 * size), (2 * size, 2 * size)]


_DAYS = st.sampled_from(
    [f"{year}-{day}" for year in (1899, 1950, 1965, 2007, 2025) for day in ("11-22", "11-23", "11-24")]
)
_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["13900000001", "+8613900000001", "13900000002", "0086 139 0000 0002", "10086"]),
        st.one_of(_DAYS, st.just(""), st.just("1965-02-30")),
        st.sampled_from(["", "", "", "senior", "elder", "young"]),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(_ROWS, st.integers(0, 800))
def test_who_is_due_is_whose_oldest_band_differs(tmp_path: Path, table: list[tuple[str, str, str]], days: int) -> None:
    until = UNTIL + timedelta(days=days)

    def bands_on(day: date) -> dict[str, list[int]]:
        bands: dict[str, list[int]] = {}
        for row in table:
            try:
                number, value = row_rules(PLAIN, BANDS, "CN", day).row(*row, "")
            except RowError:
                continue
            bands.setdefault(number.e164, []).append(value)
        return bands

    # Without rows that can be read on one of the days only: who was not born then, or is too old now.
    table = [row for row in table if _always_read(row, until)]
    path = rows(tmp_path, *(",".join(row).encode() for row in table))
    was, now = bands_on(SINCE), bands_on(until)
    expected = {
        number: (BANDS.names[max(bands) - 1], len(set(bands)) > 1)
        for number, bands in now.items()
        if max(bands) != max(was[number])
    }
    assert found(path, until=until) == expected


def _always_read(row: tuple[str, str, str], until: date) -> bool:
    for day in (SINCE, until):
        try:
            row_rules(PLAIN, BANDS, "CN", day).row(*row, "")
        except RowError:
            return False
    return True
