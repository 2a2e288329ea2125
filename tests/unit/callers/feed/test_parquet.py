"""Feeds in Parquet, with whatever types their columns have."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router.callers.feed import parquet
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError
from tests.unit.callers.feed.feeds import ELDER, SENIOR, named, persons, rejected, settings_with, spooled

TEXTS = pa.array(["13900000001", "+8613900000002", None])
BORN = pa.array([date(1940, 1, 31), date(1960, 1, 31), date(1970, 1, 31)])
EXPECTED = named({"+8613900000001": ELDER, "+8613900000002": SENIOR})


def table(tmp_path: Path, columns: dict[str, pa.Array], rows_a_group: int = 1_000_000) -> Path:
    path = tmp_path / "callers"
    pq.write_table(pa.table(columns), path, row_group_size=rows_a_group)
    return path


@pytest.mark.parametrize(
    "number",
    [
        TEXTS,
        TEXTS.cast(pa.large_string()),
        TEXTS.cast(pa.binary()),
        TEXTS.dictionary_encode(),
        pa.array([13900000001, 8613900000002, None], pa.int64()),
        pa.array([13900000001, 8613900000002, 7], pa.uint64()),
        pa.array([Decimal(13900000001), Decimal(8613900000002), None], pa.decimal128(20, 0)),
    ],
    ids=lambda array: str(array.type),
)
def test_numbers_may_be_texts_or_whole_numbers(tmp_path: Path, number: pa.Array) -> None:
    path = table(tmp_path, {"Number": number, "birth_date": BORN, "other": BORN})
    spool = spooled(path)
    assert persons(spool) == EXPECTED
    assert (path.parent / "rejects.csv").read_text().startswith("row,caller,reason\n3,,")


@pytest.mark.parametrize(
    "born",
    [
        BORN,
        BORN.cast(pa.date64()),
        BORN.cast(pa.timestamp("us")),
        pa.array(
            [datetime(1940, 1, 31, 16, tzinfo=UTC), datetime(1960, 1, 30, tzinfo=UTC), None],
            pa.timestamp("ms", "Asia/Shanghai"),
        ),
        BORN.cast(pa.string()),
        BORN.cast(pa.string()).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_dates_may_be_dates_times_or_texts(tmp_path: Path, born: pa.Array) -> None:
    assert persons(spooled(table(tmp_path, {"number": TEXTS, "birth_date": born}))) == EXPECTED


def test_texts_of_dates_have_the_form_of_the_settings_and_dates_need_none(tmp_path: Path) -> None:
    feed = FeedSettings(date_form="YYYYMMDD")
    days = pa.array([19400131, 19600131, 0], pa.int32())
    assert persons(spooled(table(tmp_path, {"number": TEXTS, "birth_date": days}), feed=feed)) == EXPECTED
    assert persons(spooled(table(tmp_path, {"number": TEXTS, "birth_date": BORN}), feed=feed)) == EXPECTED


@pytest.mark.parametrize("kind", [pa.timestamp("ms"), pa.timestamp("us")], ids=str)
def test_a_time_far_off_is_a_rejected_row(tmp_path: Path, kind: pa.DataType) -> None:
    # The first would be in 1999 if its days went round within 32 bits.
    born = pa.array([-((1 << 32) - 10_950) * 86_400_000, 2**62, None], pa.int64()).cast(kind)
    path = table(tmp_path, {"number": pa.array(["13900000001"] * 3), "birth_date": born})
    assert persons(spooled(path)) == {}
    assert len(rejected(path)) == 3


def test_bands_and_removals_may_be_of_other_types_too(tmp_path: Path) -> None:
    columns = {"number": TEXTS, "age_band": pa.array([9, 7, 7], pa.int8()), "removed": pa.array([False, True, None])}
    feed = settings_with(**{"9": "elder", "7": "senior"})
    feed = FeedSettings(bands=feed.bands, removed="removed", removed_words=("Y",))
    spool = spooled(table(tmp_path, columns), feed=feed, delta=True)
    assert persons(spool) == named({"+8613900000001": ELDER, "+8613900000002": 0})


def test_a_column_of_nulls_is_one_of_empty_texts(tmp_path: Path) -> None:
    path = table(tmp_path, {"number": TEXTS, "age_band": pa.nulls(3)})
    assert persons(spooled(path)) == {}
    assert rejected(path)[0] == "1,'+86139****0001,has neither a birth_date nor an age_band"


def test_bytes_that_are_no_text_and_negative_numbers_are_rejected_rows(tmp_path: Path) -> None:
    columns = {"number": pa.array([b"\xff\xfe", b"13900000001", None], pa.binary()), "birth_date": BORN}
    path = table(tmp_path, columns)
    assert persons(spooled(path)) == named({"+8613900000001": SENIOR})
    assert [line.split(",")[0] for line in rejected(path)] == ["1", "3"]
    path = table(tmp_path, {"number": pa.array([-13900000001, 13900000001, 1]), "birth_date": BORN})
    assert persons(spooled(path)) == named({"+8613900000001": SENIOR})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"nummer": TEXTS, "birth_date": BORN}, "there is no column `number`; rename `nummer` to it"),
        ({"x": TEXTS, "y": BORN}, "there is no column `number`; name the columns as the settings do"),
        ({"number": TEXTS}, "there is neither a column `birth_date` nor one `age_band`"),
        (
            {"number": pa.array([1.39e10] * 3), "birth_date": BORN},
            "the column `number` holds fractions; write it as texts or as whole numbers",
        ),
        ({"number": TEXTS, "birth_date": pa.array([1.5] * 3)}, "the column `birth_date` is of the type double; write"),
        ({"number": TEXTS, "age_band": pa.array([["elder"]] * 3)}, "the column `age_band` is of the type list"),
    ],
)
def test_a_table_that_is_no_feed_is_refused(tmp_path: Path, columns: dict[str, pa.Array], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        spooled(table(tmp_path, columns))
    assert message in str(raised.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, {"number": pa.array([f"139{n:08d}" for n in range(5000)]), "age_band": ["elder"] * 5000})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match="cannot be read: Parquet magic bytes not found"):
        spooled(path)


@pytest.mark.parametrize("rows_a_group", [7, 100, 1000])
def test_it_is_read_in_batches_and_gone_on_from_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_a_group: int
) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 30)
    numbers = [f"139{n:08d}" if n % 10 else "10086" for n in range(250)]
    path = table(tmp_path, {"number": pa.array(numbers), "age_band": pa.array(["elder"] * 250)}, rows_a_group)
    spool = spooled(path)
    assert persons(spool) == named({f"+86{number}": ELDER for number in numbers if number != "10086"})
    assert [line.split(",")[0] for line in rejected(path)] == [str(n + 1) for n in range(0, 250, 10)]
    with closing(parquet.ParquetSource(path, path.open("rb"), FeedSettings(), delta=False)) as source:
        blocks = list(source.blocks(0, 0))
        for block in blocks:
            rest = list(source.blocks(block.end, block.first + block.rows))
            assert [n for b in rest for n in _numbers(b.data)] == numbers[block.end :]
            assert [b.first for b in rest] == [
                block.end + 1 + sum(b.rows for b in rest[:at]) for at in range(len(rest))
            ]


def _numbers(data: bytes) -> list[str]:
    with pa.ipc.open_stream(data) as stream:
        numbers: list[str] = stream.read_all()["number"].to_pylist()
    return numbers
