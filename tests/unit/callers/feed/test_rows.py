"""What a row means, and what is said of one that is wrong; through a whole feed, as people meet it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.callers.feed.rows import MAX_LINE_BYTES
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError
from tests.unit.callers.feed.feeds import (
    ADULT,
    ELDER,
    MINOR,
    SENIOR,
    WITH_REMOVED,
    named,
    persons,
    rejected,
    settings_with,
    spooled,
    written,
)

SAMPLE = Path(__file__).parents[4] / "config" / "callers.sample.csv"


def test_the_sample_has_every_band_and_no_bad_row(tmp_path: Path) -> None:
    spool = spooled(written(tmp_path, SAMPLE.read_bytes()))
    assert (spool.counts.read, spool.counts.records, spool.counts.rejected) == (12, 12, 0)
    assert set(persons(spool).values()) == {MINOR, ADULT, SENIOR, ELDER}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_numbers_get_the_band_of_their_birth_date_or_the_one_written(
    tmp_path: Path, bom: bytes, newline: bytes
) -> None:
    rows = [b" Number ,Birth_Date,name,age_band", b'"139 0000 0001", 1940-01-31 ,"a, b",', b"13900000002,,,senior"]
    spool = spooled(written(tmp_path, bom + newline.join(rows)))
    assert persons(spool) == named({"+8613900000001": ELDER, "+8613900000002": SENIOR})


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"13900000001,1940-02-30,", "2,'+86139****0001,birth_date is not a day of the calendar; check its month and"),
        (b"13900000001,31/01/1940,", '2,\'+86139****0001,"birth_date is not of the form YYYY-MM-DD, e.g. 1948-07-31"'),
        (b"13900000001,19400131,", "birth_date is not of the form YYYY-MM-DD"),
        (b"13900000001,2030-01-01,", "the date of birth lies in the future; check its year"),
        (b"13900000001,1840-01-31,", "the age is above 125 years; check the date of birth"),
        (b"13900000001,,", "has neither a birth_date nor an age_band"),
        (b"13900000001,,Elders", 'age_band is not one of minor, adult, senior, elder; did you mean elder?"'),
        (b"13900000001,,?", 'age_band is not one of minor, adult, senior, elder"'),
        (b"13900000001,1990-01-31,elder", "birth_date makes the caller adult, age_band says elder"),
        (b"10086,,elder", "2,,is a service number or lacks its area code"),
        (b",,elder", "2,,has no number"),
        (b"alice,,elder", "2,,has letters where the number should be"),
        (b"1.39E+10,,elder", "a spreadsheet has rewritten the number; format that column as text"),
        (b"13900000001.0,,elder", "a spreadsheet has rewritten the number; format that column as text"),
        (b"*13900000001,,elder", "has a number that no telephone network would take"),
        (b"13900000001", "2,,has fewer columns than the header"),
        (b"1390000\x000001,,elder", "2,,holds a control character"),
        (b"139\r00000001,,elder", "2,,holds a control character"),
        ("13900000001,,老人".encode("gbk"), "2,,is not UTF-8; save the file as CSV UTF-8"),
        (b'"13900000001,,elder', "2,,is not CSV: unexpected end of data"),
        (b"13900000001,,elder," + b"x" * 200_000, "2,,is longer than 4096 bytes"),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_costs_no_other(tmp_path: Path, row: bytes, told: str) -> None:
    path = written(tmp_path, b"number,birth_date,age_band\n" + row + b"\n13900000002,,senior\n")
    spool = spooled(path)
    (error,) = rejected(path)
    assert told in error
    assert "13900000001" not in error
    assert (spool.counts.read, spool.counts.records, spool.counts.rejected) == (2, 1, 1)
    ((reason, count),) = spool.counts.reasons.items()
    assert (reason in error, count) == (True, 1)
    assert spool.counts.rejected_percent == 50
    assert persons(spool) == named({"+8613900000002": SENIOR})


def test_a_band_begins_on_the_birthday(tmp_path: Path) -> None:
    path = written(tmp_path, b"number,birth_date\n13900000001,1965-11-23\n13900000002,1965-11-24\n")
    assert persons(spooled(path)) == named({"+8613900000001": SENIOR, "+8613900000002": ADULT})


def test_lines_are_counted_with_empty_and_overlong_ones(tmp_path: Path) -> None:
    rows = [b"number,birth_date", b"", b"x" * (3 * MAX_LINE_BYTES + 1), b" ", b"10086,", b""]
    path = written(tmp_path, b"\n".join(rows))
    assert spooled(path).counts.read == 2
    assert [error.split(",")[0] for error in rejected(path)] == ["3", "5"]


def test_a_misplaced_number_is_not_repeated(tmp_path: Path) -> None:
    path = written(tmp_path, b"number,birth_date,age_band\n13900000001,13900000002,13900000003")
    spooled(path)
    (error,) = rejected(path)
    assert "0002" not in error
    assert "0003" not in error


def test_all_bad_rows_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, b"number,age_band\n" + b"10086,elder\n" * 250)
    spool = spooled(path)
    assert len(rejected(path)) == 250
    assert spool.counts.reasons == {"is a service number or lacks its area code": 250}
    assert spool.counts.rejected_percent == 100


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("YYYY-MM-DD", b"13900000001,1940-01-31"),
        ("YYYYMMDD", b"13900000001,19400131"),
        ("DD/MM/YYYY", b"13900000001,31/01/1940"),
        ("MM/DD/YYYY", b"13900000001,01/31/1940"),
    ],
)
def test_dates_are_read_in_the_form_of_the_settings_and_no_other(tmp_path: Path, form: str, row: bytes) -> None:
    path = written(tmp_path, b"number,birth_date\n" + row)
    for wanted in ("YYYY-MM-DD", "YYYYMMDD", "DD/MM/YYYY", "MM/DD/YYYY"):
        spool = spooled(path, feed=FeedSettings(date_form=wanted))
        assert persons(spool) == (named({"+8613900000001": ELDER}) if wanted == form else {})


def test_a_feed_may_have_its_own_words_for_bands_and_columns(tmp_path: Path) -> None:
    feed = settings_with(S="senior", E="elder")
    path = written(tmp_path, b"number,age_band\n13900000001,S\n13900000002,E\n13900000003,elder\n13900000004,s\n")
    assert persons(spooled(path, feed=feed)) == named({"+8613900000001": SENIOR, "+8613900000002": ELDER})
    assert rejected(path) == [
        '4,\'+86139****0003,"age_band is not one of S, E"',
        '5,\'+86139****0004,"age_band is not one of S, E"',
    ]
    path = written(tmp_path, b"Geburtstag;MSISDN\n1940-01-31;13900000001\n;13900000002\n")
    named_so = FeedSettings(number="msisdn", birth_date="Geburtstag", separator=";")
    assert persons(spooled(path, feed=named_so)) == named({"+8613900000001": ELDER})
    assert rejected(path) == ["3,'+86139****0002,has neither a Geburtstag nor an age_band"]


def test_a_word_for_a_band_that_the_rules_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("`S: senor` names a band that the rules do not have; did")):
        spooled(written(tmp_path, b"number,age_band\n"), feed=settings_with(S="senor"))


def test_in_a_delta_a_removed_row_needs_no_birth_date_and_removes(tmp_path: Path) -> None:
    rows = b"number,birth_date,removed\n13900000001,,1\n13900000002,x, YES \n13900000003,1940-01-31,0\n10086,,true\n"
    path = written(tmp_path, rows)
    spool = spooled(path, feed=WITH_REMOVED, delta=True)
    assert persons(spool) == named({"+8613900000001": 0, "+8613900000002": 0, "+8613900000003": ELDER})
    assert (spool.counts.records, spool.counts.removals, spool.counts.left_out) == (3, 2, 0)
    assert rejected(path) == ["5,,is a service number or lacks its area code"]


def test_in_a_full_load_a_removed_row_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = b"number,birth_date,removed\n13900000001,1940-01-31,1\n13900000003,1940-01-31,0\n"
    spool = spooled(written(tmp_path, rows), feed=WITH_REMOVED)
    assert persons(spool) == named({"+8613900000003": ELDER})
    assert (spool.counts.read, spool.counts.records, spool.counts.removals, spool.counts.left_out) == (2, 1, 0, 1)


def test_a_delta_of_removals_alone_needs_no_other_column(tmp_path: Path) -> None:
    path = written(tmp_path, b"number,removed\n13900000001,1\n13900000002,0\n")
    assert persons(spooled(path, feed=WITH_REMOVED, delta=True)) == named({"+8613900000001": 0})
    assert rejected(path) == ["3,'+86139****0002,has neither a birth_date nor an age_band"]
