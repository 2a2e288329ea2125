"""Age bands: which named group a caller belongs to, from an age or from a date of birth."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final

# The oldest age ever verified is 122 years; what lies above is a typing mistake (1882 for 1982).
MAX_AGE_YEARS: Final = 125


@dataclass(frozen=True, slots=True)
class AgeBand:
    """A named group of callers: those of `from_years` and older, up to where the next band begins."""

    name: str
    from_years: int


@dataclass(frozen=True, slots=True)
class AgeBands:
    """All bands of a centre, youngest first: one is in the last whose `from_years` is not above one's age.

    Raises:
        ValueError: There is no band, the first does not begin at 0, they do not rise, or two share a name.
    """

    bands: tuple[AgeBand, ...]

    def __post_init__(self) -> None:
        starts = [band.from_years for band in self.bands]
        if not starts or starts[0] != 0:
            raise ValueError("the first age band must begin at 0, so that every age has a band")
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError("age bands must be listed from the youngest to the oldest, each beginning above the last")
        if len(set(self.names)) != len(self.bands):
            raise ValueError("two age bands have the same name; give each its own")

    @property
    def names(self) -> tuple[str, ...]:
        """The bands' names, youngest first."""
        return tuple(band.name for band in self.bands)

    def of_age(self, age_years: int) -> str:
        """The name of the band for a person of `age_years` whole years.

        Raises:
            ValueError: Nobody is that old or that young.
        """
        if age_years < 0:
            raise ValueError("the age is below 0; check the date of birth")
        if age_years > MAX_AGE_YEARS:
            raise ValueError(f"the age is above {MAX_AGE_YEARS} years; check the date of birth")
        return self.bands[bisect_right(self.bands, age_years, key=lambda band: band.from_years) - 1].name

    def of_birth(self, birth: date, today: date) -> str:
        """The name of the band, on the day `today`, of a person born on the day `birth`.

        Raises:
            ValueError: The date lies after `today`, or more than 125 years before it.
        """
        if birth > today:
            raise ValueError("the date of birth lies in the future; check its year")
        return self.of_age(age_years(birth, today))


def age_years(birth: date, today: date) -> int:
    """The whole years between `birth` and `today`; negative when `birth` is more than a year ahead.

    Who was born on 29 February becomes a year older on 1 March of a year without that day: a birthday counts
    once its date has come, and by 28 February it has not.
    """
    had_birthday = (today.month, today.day) >= (birth.month, birth.day)
    return today.year - birth.year - (0 if had_birthday else 1)
