"""Opening hours: one expression, read by `opening-hours-py`, and what to write where people write them otherwise.

The expressions are OpenStreetMap's, without what needs a place on the map or knowledge of its own (the sun, school
holidays, Easter, public holidays, which a calendar has a key for), and without spellings that mean something else than
they look like: `Mo-Fr, 09:00-21:00` is open at all times from Monday to Friday, and `Feb 30` on every day there is.

Source: wiki.openstreetmap.org/wiki/Key:opening_hours/specification.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from opening_hours import OpeningHours, ParserError  # type: ignore[attr-defined]  # the stubs leave one out

# Every weekday meets every date, leap days included, in 28 years; hours that name weekdays only need three weeks. What
# follows no such cycle is refused below: Easter repeats after 5,700,000 years.
CYCLE_FROM: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - hours go by the wall clock
CYCLE_TO: Final = datetime(2052, 1, 1)  # noqa: DTZ001
WEEKS_TO: Final = CYCLE_FROM + timedelta(weeks=3)
MAX_HOURS_CHARACTERS: Final = 400
# Hours that change more often than this in the cycle are not written by people.
MAX_CHANGES: Final = 200_000

_EXAMPLE = 'write them like "Mo-Fr 09:00-21:00; Sa-Su 09:00-18:00"'
_DAYS_ARE = "days are Mo Tu We Th Fr Sa Su, not {}"
_DAY = "(?:Mo|Tu|We|Th|Fr|Sa|Su)"
_HOUR = "[0-9]{1,2}(?:[.h][0-9]{2}|h|[0-9]{2})?"  # 9, 9h, 9.00, 0900


def _table(*rows: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), said) for pattern, said in rows)


# What would be read as something else than it looks like, or cannot be known here. The first that is found is said;
# {} is what was found.
_REFUSED: Final = _table(
    (r'^[\s"]*$', f"must not be empty; {_EXAMPLE}"),
    (r"\bPH\b", "write public holidays as `holidays: CN` and `holiday_hours`, not as PH"),
    (r"\bSH\b", "school holidays (SH) are not known here; write the dates, like Jul 10-Aug 25"),
    (
        r"\beaster\b",
        "Easter is not known here; write its dates, like 2026 Apr 3-6 off (as a public holiday, `holidays` knows it)",
    ),
    (r"\b(?:sunrise|sunset|dawn|dusk)\b", "write times of the clock, not of the sun"),
    (r"\bunknown\b", "hours are open or closed, not unknown"),
    (r"[0-9]\+", "write when it closes instead of +"),
    (r"(?<=:[0-9]{2})/[0-9]+", "{} has no meaning here; write only when it opens and closes"),
    (rf"\b{_DAY}\s*,\s*[0-9]", "no comma stands between days and their hours; write Mo-Fr 09:00-21:00"),
    # Only between two times a comma adds to the days before it.
    (
        r'(?<!:[0-9]{2})(?<!\s)\s*,\s*[0-9]{1,2}:[0-9]{2}|,\s*"',
        "«{}» would hold on every day; write its days again, like Mo-Fr 09:00-12:00, Sa 10:00-12:00",
    ),
    (
        r"\b(?:2[5-9]|[3-9][0-9]):[0-9]{2}|\b24:(?!00)[0-9]{2}",
        "the clock has no {}; hours past midnight are written like 22:00-02:00",
    ),
    (r"\b0?([0-9]{1,2}:[0-9]{2})\s*-\s*0?\1(?![0-9])", "«{}» ends when it begins; all day is 00:00-24:00"),
)
# Why an expression that cannot be read may have been written so. The first that is found is said.
_LIKELY: Final = _table(
    ("[–—−‐‑－~～〜]", "{} is not the - of the keyboard; type that one"),
    ("[：；，]", "the {} is full-width; type the ASCII character"),
    ("[周週星期礼禮拜至到点點时時]", "days are Mo Tu We Th Fr Sa Su, and times like 09:00-21:00"),
    (rf"\b(?!{_DAY}\b)(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*", _DAYS_ARE),
    (r"\b(?:daily|weekdays?|weekends?|every day)\b", _DAYS_ARE),
    (r"[0-9]\s*[ap]\.?m\b", "times are those of the 24-hour clock, like 09:00-17:00"),
    (r"\b(?:none|never|no)\b", "closed is `off`, not {}"),
    (r"\b(?:to|until|till|bis)\b", "from and to are joined by -, like 09:00-21:00, not by {}"),
    (r"\b[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}\b|\b[0-9]{1,2}/[0-9]{1,2}\b", "dates are written like Oct 1, not {}"),
    (rf"(?<![0-9:]){_HOUR}\s*-\s*{_HOUR}(?![0-9:])", "times have hours and minutes, like 09:00-21:00, unlike {}"),
)
_LONGEST_MONTH: Final = {"Feb": 29, "Apr": 30, "Jun": 30, "Sep": 30, "Nov": 30}
_DATES = re.compile(
    rf"\b({'|'.join(_LONGEST_MONTH)})\s+([0-9]{{1,2}}(?:\s*[-,]\s*[0-9]{{1,2}})*)(?![0-9:])", re.IGNORECASE
)
_COMMENT = re.compile(r'"[^"]*"')
_WEEKLY = re.compile(r"(?:Mo|Tu|We|Th|Fr|Sa|Su|off|closed|open|24/7|[0-9]{1,2}:[0-9]{2}|[\s,;|-])+", re.IGNORECASE)
_PARSER_COLUMN = re.compile(r"-->\s*1:([0-9]+)")


class HoursError(ValueError):
    """Hours that cannot be read; the text completes «`hours`: …» and says what to write."""


@dataclass(frozen=True, slots=True)
class Hours:
    """One expression, checked.

    Raises:
        HoursError: It cannot be read, or says what cannot be known here.
    """

    text: str
    _parsed: OpeningHours = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bare = _COMMENT.sub('""', self.text)
        if refused := _first_found(_REFUSED, bare) or _impossible_date(bare):
            raise HoursError(refused)
        try:
            parsed = OpeningHours(self.text, auto_country=False, auto_timezone=False)
        except ParserError as error:
            raise HoursError(_first_found(_LIKELY, bare) or _where(str(error), self.text)) from error
        object.__setattr__(self, "_parsed", parsed)

    def open_at(self, wall: datetime) -> bool:
        """Whether they are open at a moment of the wall clock (without a time zone)."""
        return self._parsed.is_open(wall)

    @property
    def cycle_to(self) -> datetime:
        """Where the cycle ends that begins at `CYCLE_FROM` and after which everything repeats."""
        return WEEKS_TO if _WEEKLY.fullmatch(_COMMENT.sub("", self.text)) else CYCLE_TO

    def changes(self, until: datetime) -> Sequence[datetime]:
        """The moments from `CYCLE_FROM` on at which something else begins to hold, that one first.

        Raises:
            HoursError: They are too many to be meant.
        """
        found = []
        for begins, _, _, _ in self._parsed.intervals(CYCLE_FROM, until):
            found.append(begins)
            if len(found) > MAX_CHANGES:
                raise HoursError(f"open and close more than {MAX_CHANGES} times in 28 years; {_EXAMPLE}")
        return found


def _first_found(table: Sequence[tuple[re.Pattern[str], str]], text: str) -> str:
    found = ((match, said) for pattern, said in table if (match := pattern.search(text)))
    return next((said.format(match[0].strip()) for match, said in found), "")


def _impossible_date(text: str) -> str:
    """Why a date is none: the 30th of February would be read as every day of the year."""
    for month, days in _DATES.findall(text):
        most = _LONGEST_MONTH[month.capitalize()]
        for day in re.findall(r"[0-9]+", days):
            if int(day) > most:
                return f"there is no {month} {day}; the month has {most} days"
    return ""


def _where(error: str, text: str) -> str:
    column = _PARSER_COLUMN.search(error)
    rest = text[int(column[1]) - 1 :][:20].strip() if column else ""
    where = f"«{rest}» does not fit there" if rest else "something is missing at the end"
    return f"{where}; {_EXAMPLE}"
