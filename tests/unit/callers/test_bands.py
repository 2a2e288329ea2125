from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.bands import AgeBand, AgeBands, age_years

BANDS = AgeBands((AgeBand("minor", 0), AgeBand("adult", 18), AgeBand("senior", 60), AgeBand("elder", 75)))


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (0, "minor"),
        (17, "minor"),
        (18, "adult"),
        (59, "adult"),
        (60, "senior"),
        (74, "senior"),
        (75, "elder"),
        (125, "elder"),
    ],
)
def test_a_band_begins_on_the_birthday(age: int, band: str) -> None:
    assert BANDS.of_age(age) == band


@pytest.mark.parametrize(
    ("birth", "today", "years"),
    [
        (date(1965, 6, 15), date(2025, 6, 14), 59),
        (date(1965, 6, 15), date(2025, 6, 15), 60),
        (date(1964, 2, 29), date(2025, 2, 28), 60),
        (date(1964, 2, 29), date(2025, 3, 1), 61),
        (date(1964, 2, 29), date(2024, 2, 29), 60),
        (date(2025, 1, 1), date(2025, 1, 1), 0),
    ],
)
def test_ages_are_whole_years_and_29_february_waits_for_1_march(birth: date, today: date, years: int) -> None:
    assert age_years(birth, today) == years


@pytest.mark.parametrize(
    ("birth", "message"),
    [(date(2025, 11, 24), "in the future"), (date(1899, 11, 23), "above 125"), (date(1, 1, 1), "above 125")],
)
def test_impossible_dates_of_birth_are_refused(birth: date, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BANDS.of_birth(birth, date(2025, 11, 23))


def test_a_negative_age_is_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        BANDS.of_age(-1)


@given(st.integers(0, 124))
def test_nobody_grows_into_a_younger_band(age: int) -> None:
    assert BANDS.names.index(BANDS.of_age(age)) <= BANDS.names.index(BANDS.of_age(age + 1))


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ((), "begin at 0"),
        ((AgeBand("adult", 18),), "begin at 0"),
        ((AgeBand("a", 0), AgeBand("b", 60), AgeBand("c", 60)), "youngest to the oldest"),
        ((AgeBand("a", 0), AgeBand("a", 60)), "same name"),
    ],
)
def test_bands_that_leave_an_age_without_one_are_refused(bands: tuple[AgeBand, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AgeBands(bands)
