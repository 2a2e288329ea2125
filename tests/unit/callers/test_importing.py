from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.callers import importing
from router.callers.bands import AgeBand, AgeBands
from router.callers.importing import MAX_LINE_BYTES, MAX_REJECTED_SHOWN, CallerFile, read_callers
from router.callers.number import PhoneNumber
from router.callers.pseudonym import CallerSecret
from router.callers.registry import Registry, open_registry
from router.callers.secret_ring import SecretRing
from router.callers.settings import RedisSettings, RegistrySettings
from router.errors import ConfigurationError, RegistryError

BANDS = AgeBands((AgeBand("minor", 0), AgeBand("adult", 18), AgeBand("senior", 60), AgeBand("elder", 75)))
TODAY = date(2025, 11, 23)
SAMPLE = Path(__file__).parents[3] / "config" / "callers.sample.csv"


def read(path: Path) -> CallerFile:
    return read_callers(path, BANDS, home_region="CN", today=TODAY)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "callers.csv"
    path.write_bytes(content)
    return path


def rejected(tmp_path: Path, *rows: bytes, header: bytes = b"number,birth_date,age_band") -> list[str]:
    with read(written(tmp_path, b"\n".join([header, *rows, b""]))) as file:
        return [str(row) for row in file.report.rejected]


def numbers(file: CallerFile) -> dict[str, str]:
    return {number.e164: band for batch in file.batches() for number, band in batch}


def test_the_sample_has_every_band_and_no_bad_row() -> None:
    with read(SAMPLE) as file:
        report = file.report
        assert (report.read, report.kept, report.rejected, report.duplicates) == (12, 12, (), 0)
        assert set(report.by_band) == set(BANDS.names)
        assert all(report.by_band.values())
        assert all(number.startswith("+861390000") for number in numbers(file))


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_numbers_get_the_band_of_their_birth_date_or_the_one_written(
    tmp_path: Path, bom: bytes, newline: bytes
) -> None:
    rows = [b" Number ,Birth_Date,name,age_band", b'"139 0000 0001", 1940-01-31 ,"a, b",', b"13900000002,,,senior"]
    with read(written(tmp_path, bom + newline.join(rows))) as file:
        assert numbers(file) == {"+8613900000001": "elder", "+8613900000002": "senior"}
        assert file.report.by_band == {"minor": 0, "adult": 0, "senior": 1, "elder": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"13900000001,1940-02-30,", "line 2: +86139****0001: birth_date is not a day of the calendar"),
        (b"13900000001,31/01/1940,", "line 2: +86139****0001: birth_date is not of the form YYYY-MM-DD"),
        (b"13900000001,19400131,", "birth_date is not of the form YYYY-MM-DD"),
        (b"13900000001,2030-01-01,", "the date of birth lies in the future; check its year"),
        (b"13900000001,1840-01-31,", "the age is above 125 years; check the date of birth"),
        (b"13900000001,,", "has neither a birth_date nor an age_band"),
        (b"13900000001,,Elders", "age_band is not one of minor, adult, senior, elder; did you mean elder?"),
        (b"13900000001,1990-01-31,elder", "birth_date makes the caller adult, age_band says elder"),
        (b"10086,,elder", "line 2: is a service number or lacks its area code"),
        (b",,elder", "line 2: has no number"),
        (b"alice,,elder", "line 2: has letters where the number should be"),
        (b"1.39E+10,,elder", "a spreadsheet has rewritten the number; format that column as text"),
        (b"13900000001.0,,elder", "a spreadsheet has rewritten the number; format that column as text"),
        (b"*13900000001,,elder", "has a number that no telephone network would take"),
        (b"13900000001", "line 2: has 1 column, fewer than the header"),
        (b"1390000\x000001,,elder", "line 2: holds a control character"),
        (b"139\r00000001,,elder", "line 2: holds a control character"),
        ("13900000001,,老人".encode("gbk"), "line 2: is not UTF-8; save the file as CSV UTF-8"),
        (b'"13900000001,,elder', "line 2: is not CSV: unexpected end of data"),
        (b"13900000001,,elder," + b"x" * 200_000, "line 2: is longer than 4096 bytes"),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_costs_no_other(tmp_path: Path, row: bytes, reason: str) -> None:
    path = written(tmp_path, b"number,birth_date,age_band\n" + row + b"\n13900000002,,senior\n")
    with read(path) as file:
        (error,) = file.report.rejected
        assert reason in str(error)
        assert "13900000001" not in str(error)
        assert (file.report.read, file.report.kept, file.report.rejected_count) == (2, 1, 1)
        assert numbers(file) == {"+8613900000002": "senior"}


def test_lines_are_counted_with_empty_and_overlong_ones(tmp_path: Path) -> None:
    errors = rejected(tmp_path, b"", b"x" * (3 * MAX_LINE_BYTES + 1), b" ", b"10086,,elder")
    assert [error.split(":")[0] for error in errors] == ["line 3", "line 5"]


def test_a_misplaced_number_is_not_repeated(tmp_path: Path) -> None:
    (error,) = rejected(tmp_path, b"13900000001,13900000002,13900000003")
    assert "0002" not in error
    assert "0003" not in error


def test_all_bad_rows_are_counted_and_the_first_hundred_kept(tmp_path: Path) -> None:
    with read(written(tmp_path, b"number,age_band\n" + b"10086,elder\n" * 250)) as file:
        assert file.report.rejected_count == 250
        assert len(file.report.rejected) == MAX_REJECTED_SHOWN


def test_a_number_on_several_lines_takes_its_oldest_band_however_it_is_spelt(tmp_path: Path) -> None:
    rows = b"13900000001,senior\n+8613900000001,elder\n0086 139 0000 0001,adult\n13900000002,adult\n"
    with read(written(tmp_path, b"number,age_band\n" + rows)) as file:
        assert numbers(file) == {"+8613900000001": "elder", "+8613900000002": "adult"}
        assert (file.report.kept, file.report.duplicates) == (4, 2)
        assert sum(file.report.by_band.values()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: error: the file is empty, or begins with an empty line; the first line must name the columns"),
        (b"13900000001,1938-05-17\n", "`number`; the first line must name the columns, like number,birth_date"),
        (b"PK\x03\x04\x14\x00", "this is a spreadsheet's own format; save it as CSV UTF-8"),
        (b"nummer,age_band\n", ":1:1: error: there is no column `number`; rename `nummer` to it"),
        (b"number,birthdate\n", "neither a column `birth_date` nor one `age_band`; rename `birthdate` to it"),
        (b"number,age-band\n", "neither a column `birth_date` nor one `age_band`; rename `age-band` to it"),
        (b"number;age_band\n", "there is no column `number`; separate the columns by commas"),
        (b"number,age_band,Number\n", "a column is there twice; keep one of each name"),
        ("number,age_band\n".encode("utf-16"), "the file is UTF-16; save it as CSV UTF-8"),
        (b"\xc0\xc0\n", "the header row is not UTF-8"),
        (b"x" * 10_000, "the header row is longer than 4096 bytes"),
        (b"number\x00,age_band\n", "the header row holds a control character"),
    ],
)
def test_a_file_without_its_columns_is_refused_and_told_how_to_name_them(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(written(tmp_path, content))
    assert message in str(raised.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.one_of(st.binary(), st.text(alphabet='0123456789-+,"\n\r\x00ae é', max_size=200).map(str.encode)))
def test_any_bytes_give_a_report_in_which_every_row_is_kept_or_rejected(tmp_path: Path, rows: bytes) -> None:
    with read(written(tmp_path, b"number,birth_date,age_band\n" + rows)) as file:
        report = file.report
        assert report.kept + report.rejected_count == report.read
        assert report.kept - report.duplicates == len(numbers(file))


def test_progress_adds_up_to_the_file_after_its_header(tmp_path: Path) -> None:
    header, rows = b"number,age_band\n", b"13900000001,elder\n\n" + b"x" * 9000 + b"\n10086,elder"
    told: list[int] = []
    with read_callers(written(tmp_path, header + rows), BANDS, home_region="CN", today=TODAY, progress=told.append):
        assert sum(told) == len(rows)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak_bytes(rows: int) -> int:
        lines = (b"139%08d,elder\n" % index for index in range(rows))
        path = written(tmp_path, b"number,age_band\n" + b"".join(lines))
        tracemalloc.start()
        try:
            with read(path) as file:
                assert sum(len(batch) for batch in file.batches()) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10)
    assert peak_bytes(12_000) < 1.5 * peak_bytes(4_000)


def nowhere() -> Registry:
    settings = RegistrySettings(RedisSettings("redis://127.0.0.1:1/0"), Path("none.secrets"))
    return open_registry(settings, SecretRing((CallerSecret(bytes(32)),)))


async def test_storing_goes_in_batches_and_tells_each(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: dict[str, str] = {}
    told: list[int] = []

    async def remember(_registry: Registry, bands: Iterable[tuple[PhoneNumber, str]]) -> None:
        stored.update((number.e164, band) for number, band in bands)

    monkeypatch.setattr(Registry, "set_many", remember)
    monkeypatch.setattr(importing, "STORE_BATCH", 5)
    with read(SAMPLE) as file:
        await file.store(nowhere(), told.append)
        assert told == [5, 5, 2]
        assert stored == numbers(file)


async def test_a_redis_that_is_gone_ends_the_storing_with_its_error() -> None:
    async with nowhere() as registry:
        with read(SAMPLE) as file, pytest.raises(RegistryError, match="cannot be reached"):
            await file.store(registry)
