"""Calendars of opening hours, and which of them can be open together.

Hours go by the wall clock of the file's time zone, so that 09:00 stays 09:00 across a change of daylight saving.
Public holidays, and the weekend days that China works in exchange for them, come from `holidays`.

A day is of one of three kinds. On an ordinary day the hours hold as written. On a public holiday `holiday_hours`
hold instead, or nothing is open. A weekend day that is worked has the hours of the nearest weekday: a Saturday
Friday's, a Sunday Monday's.

Source, for China's days: the yearly notices of the State Council, which `holidays` records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from itertools import product
from typing import Final
from zoneinfo import ZoneInfo

import holidays
from holidays.registry import COUNTRIES

from router.rules.hours import CYCLE_FROM, WEEKS_TO, Hours, HoursError
from router.rules.scalars import quoted
from router.rules.wording import listed

# Sets of calendars that can be open together. Rules that people write make some dozen.
MAX_COMBINATIONS: Final = 5_000

_MONDAY: Final = 0
_FRIDAY: Final = 4
_SATURDAY: Final = 5
_SUNDAY: Final = 6
_REGION = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,3}))?")
_PART = re.compile(r"[A-Z0-9]{1,3}")
_COUNTRY_EXAMPLE = "write a country's two capital letters, like CN, or one of its parts, like DE-BY"


class DayKind(Enum):
    """What a date is by the public holidays of a region."""

    ORDINARY = "ordinary"
    HOLIDAY = "public holiday"
    WORKED = "weekend day worked in exchange"


class Holidays:
    """The public holidays of a region (`CN`) or of a part of it (`DE-BY`).

    Raises:
        ValueError: No holidays are known of such a region; the text says what to write.
    """

    def __init__(self, region: str) -> None:
        match = _REGION.fullmatch(region)
        supported = holidays.list_supported_countries(include_aliases=False)
        if match is None or match[1] not in supported:
            raise ValueError(_no_such_region(region))
        if match[2] and match[2] not in supported[match[1]]:
            parts = sorted(part for part in supported[match[1]] if _PART.fullmatch(part))
            known = f"known are {listed(parts)}" if parts else f"write {match[1]}, whose holidays are one for all"
            raise ValueError(f"{match[1]} has no part {match[2]}; {known}")
        self.region = region
        self._days = holidays.country_holidays(match[1], subdiv=match[2])

    def kind(self, day: date) -> DayKind:
        """What a date is."""
        if day in self._days:  # loads the year at its first date
            return DayKind.HOLIDAY
        return DayKind.WORKED if day in self._days.weekend_workdays else DayKind.ORDINARY

    def may_lack_worked_days(self, year: int) -> bool:
        """Whether no weekend day of a year is known to be worked, though each of the three years before had some.

        China gives notice of them some weeks before the year begins, and `holidays` has them with its next release.
        """
        for each in range(year - 3, year + 1):
            self.kind(date(each, 1, 1))  # loads the year
        years = {day.year for day in self._days.weekend_workdays}
        return year not in years and years.issuperset(range(year - 3, year))


def _no_such_region(region: str) -> str:
    """What to write instead of what is no region."""
    country, separator, part = region.partition("-")
    name = country.lower().replace(" ", "_")
    # A country's name, its two or three letters, and what else it is called.
    by_name = {other.lower(): codes[1] for called, codes in COUNTRIES.items() for other in (called, *codes)}
    if name in by_name:
        return f"did you mean `{by_name[name]}{separator}{part.upper()}`? {_COUNTRY_EXAMPLE}"
    return f"no holidays are known of {quoted(region)}; {_COUNTRY_EXAMPLE}"


@lru_cache(maxsize=32)
def holidays_of(region: str) -> Holidays:
    """A region's holidays; loading a year takes milliseconds, which is done once."""
    return Holidays(region)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Hours, and how public holidays change them. `region` is None where they do not."""

    name: str
    hours: Hours
    region: str | None = None
    holiday_hours: Hours | None = None

    def open_at(self, wall: datetime) -> bool:
        """Whether a moment of the wall clock (without a time zone) is within it."""
        kind = DayKind.ORDINARY if self.region is None else holidays_of(self.region).kind(wall.date())
        return self.open_on(wall, kind)

    def open_on(self, wall: datetime, kind: DayKind) -> bool:
        """The same, were the day of that kind."""
        match kind:
            case DayKind.ORDINARY:
                return self.hours.open_at(wall)
            case DayKind.HOLIDAY:
                return self.holiday_hours is not None and self.holiday_hours.open_at(wall)
            case DayKind.WORKED:
                return self.hours.open_at(_on_the_nearest_weekday(wall))


def _on_the_nearest_weekday(wall: datetime) -> datetime:
    match wall.weekday():
        case 5:  # a Saturday
            return wall - timedelta(days=1)
        case 6:
            return wall + timedelta(days=1)
        case _:
            return wall


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the wall clock that stands for all with the same calendars open, and what day it would be."""

    wall: datetime
    kinds: Mapping[str, DayKind]
    open: frozenset[str]

    def __str__(self) -> str:
        special = sorted({f"{region} {kind.value}" for region, kind in self.kinds.items() if kind != DayKind.ORDINARY})
        # A date says more than is meant where only the weekday matters.
        return f"{self.wall:%A %H:%M}" + (f" on a {', '.join(special)}" if special else "")


@lru_cache(maxsize=64)
def combinations(calendars: tuple[Calendar, ...]) -> tuple[Moment, ...]:
    """Every set of calendars that can be open together, each with a moment at which it is so.

    Exact for the 28 years of the cycle, and for as long after it as hours repeat: until 2100, which has no leap day, if
    they name no year. Which dates are public holidays is left open, as nobody knows that of years whose notice has not
    been given. (Two regions' holidays are taken as independent of each other; only weekend days are worked in
    exchange.)

    Raises:
        HoursError: Some hours change too often, or holidays of too many regions combine, to be gone through.
    """
    of_region: dict[str, list[Calendar]] = {}
    for calendar in calendars:
        of_region.setdefault(calendar.region or "", []).append(calendar)
    found: dict[frozenset[str], Moment] = {}
    gone_through: set[tuple[frozenset[frozenset[str]], ...]] = set()
    for wall in _moments(calendars):
        by_region = [(region, _open_by_kind(region, own, wall)) for region, own in of_region.items()]
        alike = tuple(frozenset(by_kind) for _, by_kind in by_region)
        if alike in gone_through:
            continue
        gone_through.add(alike)
        for combined in product(*(by_kind.items() for _, by_kind in by_region)):
            is_open = frozenset[str]().union(*(names for names, _ in combined))
            if is_open not in found:
                kinds = {region: kind for (region, _), (_, kind) in zip(by_region, combined, strict=True)}
                found[is_open] = Moment(wall, kinds, is_open)
            if len(found) > MAX_COMBINATIONS:
                raise HoursError(
                    f"and holidays combine in more than {MAX_COMBINATIONS:,} ways; name fewer different countries and "
                    "parts of countries under `holidays`"
                )
    return tuple(found.values())


def _moments(calendars: Sequence[Calendar]) -> list[datetime]:
    """The moments of the cycle at which something may begin to hold."""
    every = [hours for calendar in calendars for hours in (calendar.hours, calendar.holiday_hours) if hours is not None]
    until = max((hours.cycle_to for hours in every), default=WEEKS_TO)
    starts = {CYCLE_FROM}.union(*(hours.changes(until) for hours in every))
    if any(calendar.region is not None for calendar in calendars):
        # On a weekend day that is worked the nearest weekday's changes come, and it begins and ends at midnight.
        saturdays = range(_SATURDAY - CYCLE_FROM.weekday(), (until - CYCLE_FROM).days, 7)
        starts |= {start + timedelta(days=1) for start in starts if start.weekday() == _FRIDAY}
        starts |= {start - timedelta(days=1) for start in starts if start.weekday() == _MONDAY}
        starts |= {CYCLE_FROM + timedelta(days=saturday + day) for saturday in saturdays for day in range(3)}
    return sorted(start for start in starts if CYCLE_FROM <= start < until)


def _open_by_kind(region: str, calendars: Sequence[Calendar], wall: datetime) -> dict[frozenset[str], DayKind]:
    """What can be open of one region's calendars at a moment, each with a kind of day on which it is."""
    if not region:
        return {frozenset(c.name for c in calendars if c.open_on(wall, DayKind.ORDINARY)): DayKind.ORDINARY}
    found: dict[frozenset[str], DayKind] = {}
    for kind in DayKind:
        if kind is not DayKind.WORKED or wall.weekday() in {_SATURDAY, _SUNDAY}:
            found.setdefault(frozenset(c.name for c in calendars if c.open_on(wall, kind)), kind)
    return found


class CalendarClock:
    """Which calendars are open at a moment: hours change by the minute at most, so each minute is looked up once.

    Args:
        calendars: All calendars of a rules file.
        zone: The file's time zone.
    """

    def __init__(self, calendars: Iterable[Calendar], zone: ZoneInfo) -> None:
        self._calendars = tuple(calendars)
        self._zone = zone
        self._last: tuple[int | None, frozenset[str]] = (None, frozenset())

    def open_at(self, at: datetime) -> frozenset[str]:
        """The names of the calendars that `at`, which has a time zone, is within."""
        minute = int(at.timestamp() // 60)
        last, is_open = self._last
        if minute != last:
            wall = at.astimezone(self._zone).replace(tzinfo=None)
            is_open = frozenset(calendar.name for calendar in self._calendars if calendar.open_at(wall))
            self._last = (minute, is_open)
        return is_open
