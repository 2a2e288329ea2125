"""What one row of a feed means: exactly, and slowly. All faster reading must come to the same.

A bad row is told of and left out, the others count. Nobody's number is shown in full, and what stood in a wrong
column is not repeated: it may be a misplaced number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Final

from router.callers.bands import AgeBands
from router.callers.number import NoNumber, NoNumberReason, PhoneNumber, masked, parse_caller

MAX_LINE_BYTES: Final = 4096
"""Without its end. A row has a number and a date or a name; the rest is room for columns that are ignored."""
REMOVED: Final = 0
"""The value of a row that says the caller is to be removed; bands are from 1, youngest first."""

# What spreadsheets make of a long number: 1.39E+10, 13900000001.0
_SPREADSHEET_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?E\+?[0-9]+|[0-9]+\.0+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# By a form of `settings.DATE_FORMS`, an example, and where year, month and day stand.
_DATES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "YYYY-MM-DD": (re.compile(r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})"), "1948-07-31"),
    "YYYYMMDD": (re.compile(r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})"), "19480731"),
    "DD/MM/YYYY": (re.compile(r"(?P<d>[0-9]{2})/(?P<m>[0-9]{2})/(?P<y>[0-9]{4})"), "31/07/1948"),
    "MM/DD/YYYY": (re.compile(r"(?P<m>[0-9]{2})/(?P<d>[0-9]{2})/(?P<y>[0-9]{4})"), "07/31/1948"),
}


class RowError(Exception):
    """Why a row is left out; `caller` is already masked, and empty where the number could not be read."""

    def __init__(self, reason: str, caller: str = "") -> None:
        self.reason = reason
        self.caller = caller
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns stand, from 0; None for one that is not there. `number` and one more always are."""

    number: int
    birth_date: int | None
    age_band: int | None
    removed: int | None

    @property
    def used(self) -> dict[str, int]:
        """By what a column is for, those that are there."""
        named = {
            "number": self.number,
            "birth_date": self.birth_date,
            "age_band": self.age_band,
            "removed": self.removed,
        }
        return {name: index for name, index in named.items() if index is not None}

    @property
    def fewest(self) -> int:
        """How many columns a row must have."""
        return 1 + max(self.used.values())


@dataclass(frozen=True, slots=True)
class RowRules:
    """All that the meaning of a row depends on, besides the row. Can be sent to another process.

    Attributes:
        bands: Of the rules in force.
        words: What the feed calls a band → its name.
        removed_words: What says that a caller is to be removed; in small letters.
        date_form: A key of `settings.DATE_FORMS`.
        names: What the feed calls its columns, by what they are for; for the texts only.
        home_region: Where numbers without a country code belong.
        as_of: The day on which ages count.
    """

    bands: AgeBands
    words: dict[str, str]
    removed_words: frozenset[str]
    date_form: str
    names: dict[str, str]
    home_region: str
    as_of: date

    def number(self, text: str) -> PhoneNumber:
        """The number of a row.

        Raises:
            RowError: It is none.
        """
        text = text.strip()
        if _SPREADSHEET_NUMBER.fullmatch(text):
            raise RowError("a spreadsheet has rewritten the number; format that column as text")
        caller = parse_caller(text, self.home_region)
        if isinstance(caller, NoNumber):
            raise RowError(_no_number(caller))
        return caller

    def value(self, birth_date: str, age_band: str, removed: str) -> int:
        """What is stored: the place of the band among the bands, from 1, or `REMOVED`, whatever else the row says.

        Raises:
            ValueError: The row says nothing, or what cannot be.
        """
        birth_date, age_band = birth_date.strip(), age_band.strip()
        if removed.strip().casefold() in self.removed_words:
            return REMOVED
        born, called = self.names["birth_date"], self.names["age_band"]
        if not birth_date and not age_band:
            raise ValueError(f"has neither a {born} nor an {called}")
        names = self.bands.names
        said = self.words.get(age_band)
        if age_band and said is None:
            nearest = get_close_matches(age_band.casefold(), self.words, 1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ValueError(f"{called} is not one of {', '.join(self.words)}{meant}")
        if not birth_date:
            return names.index(said or "") + 1
        band = self.bands.of_birth(self._date(birth_date, born), self.as_of)
        if said is not None and said != band:
            raise ValueError(f"{born} makes the caller {band}, {called} says {said}; correct one of them")
        return names.index(band) + 1

    def row(self, number: str, birth_date: str, age_band: str, removed: str) -> tuple[PhoneNumber, int]:
        """The number of a row and its value.

        Raises:
            RowError: It is to be left out.
        """
        phone = self.number(number)
        try:
            return phone, self.value(birth_date, age_band, removed)
        except ValueError as error:
            raise RowError(str(error), masked(phone)) from error

    def line(self, raw: bytes, columns: Columns, separator: str) -> tuple[PhoneNumber, int] | None:
        """The same of a line of a CSV file; None for an empty line, which is no row.

        Raises:
            RowError: It is to be left out.
        """
        found = line_fields(raw, separator)
        if found is None:
            return None
        if len(found) < columns.fewest:
            raise RowError("has fewer columns than the header")
        values = {name: found[index] for name, index in columns.used.items()}
        return self.row(
            values["number"], values.get("birth_date", ""), values.get("age_band", ""), values.get("removed", "")
        )

    def _date(self, text: str, born: str) -> date:
        pattern, example = _DATES[self.date_form]
        found = pattern.fullmatch(text)
        if not found:
            raise ValueError(f"{born} is not of the form {self.date_form}, e.g. {example}")
        try:
            return date(int(found["y"]), int(found["m"]), int(found["d"]))
        except ValueError:
            raise ValueError(f"{born} is not a day of the calendar; check its month and day") from None


def line_fields(raw: bytes, separator: str) -> list[str] | None:
    """The fields of one line; None of an empty one. A field cannot span lines: one stray quote spoils one row only.

    Raises:
        RowError: It is too long, not UTF-8, or not CSV.
    """
    if len(raw.removesuffix(b"\n")) > MAX_LINE_BYTES:
        raise RowError(f"is longer than {MAX_LINE_BYTES} bytes")
    if not raw.strip():
        return None
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RowError("is not UTF-8; save the file as CSV UTF-8") from error
    if _CONTROL.search(text):
        raise RowError("holds a control character")
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise RowError(f"is not CSV: {error}") from error


def _no_number(caller: NoNumber) -> str:
    match caller.reason:
        case NoNumberReason.WITHHELD:
            return "has no number"
        case NoNumberReason.SHORT:
            return "is a service number or lacks its area code"
        case NoNumberReason.ALPHANUMERIC:
            return "has letters where the number should be"
        case NoNumberReason.MALFORMED:
            return "has a number that no telephone network would take"
