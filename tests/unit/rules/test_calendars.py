"""Calendars by the wall clock, on public holidays and on the weekend days worked in exchange for them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.rules.book import RuleBook, rules_from, source_of_text
from router.rules.calendars import Calendar, CalendarClock, DayKind, combinations, holidays_of
from router.rules.hours import CYCLE_FROM, Hours

OPEN = Calendar("open", Hours("Mo-Fr 09:00-21:00; Sa-Su 10:00-16:00"), "CN", Hours("12:00-13:00"))
CLOSED_ON_HOLIDAYS = Calendar("but-holidays", Hours("24/7"), "CN")


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_open(calendar: Calendar, *moments: str) -> list[bool]:
    return [calendar.open_at(wall(moment)) for moment in moments]


@pytest.mark.parametrize(
    ("region", "day", "kind"),
    [
        ("CN", "2026-02-14", DayKind.WORKED),  # a Saturday, in exchange for a day of the Spring Festival
        *(("CN", f"2026-02-{day}", DayKind.HOLIDAY) for day in range(16, 21)),
        ("CN", "2026-02-28", DayKind.WORKED),
        ("CN", "2026-10-10", DayKind.WORKED),
        ("CN", "2026-10-01", DayKind.HOLIDAY),
        ("CN", "2026-11-23", DayKind.ORDINARY),
        ("DE-BY", "2026-01-06", DayKind.HOLIDAY),  # in some parts of Germany only
        ("DE-BY", "2026-11-01", DayKind.HOLIDAY),
        ("DE", "2026-01-06", DayKind.ORDINARY),
        ("DE", "2026-10-03", DayKind.HOLIDAY),
        ("DE-SL", "2026-08-15", DayKind.HOLIDAY),
        # Kept in most communes of Bavaria and not in others: hours have to name it.
        ("DE-BY", "2026-08-15", DayKind.ORDINARY),
        ("US-CA", "2026-11-26", DayKind.HOLIDAY),
    ],
)
def test_public_holidays_and_worked_weekend_days_are_known(region: str, day: str, kind: DayKind) -> None:
    assert holidays_of(region).kind(date.fromisoformat(day)) is kind


def test_a_weekend_day_that_is_worked_has_the_hours_of_the_nearest_weekday() -> None:
    # The Saturdays 2026-02-14 and 2026-10-10 are worked, that of 02-21 is a holiday, that of 11-28 is an ordinary one.
    assert is_open(OPEN, "2026-02-14 09:30", "2026-10-10 20:30", "2026-11-28 09:30", "2026-11-28 10:30") == [
        *(True, True, False, True),
    ]
    sunday = Calendar("sunday", Hours("Mo 08:00-10:00; Fr 18:00-20:00"), "CN")
    assert holidays_of("CN").kind(date(2026, 9, 20)) is DayKind.WORKED  # a Sunday: Monday's hours
    assert is_open(sunday, "2026-09-20 09:00", "2026-09-20 19:00", "2026-02-14 09:00", "2026-02-14 19:00") == [
        *(True, False, False, True),
    ]


def test_on_a_public_holiday_only_holiday_hours_are_open() -> None:
    assert is_open(OPEN, "2026-02-17 09:30", "2026-02-17 12:30", "2026-02-17 13:00") == [False, True, False]
    assert is_open(CLOSED_ON_HOLIDAYS, "2026-02-17 12:30", "2026-02-14 23:59", "2026-11-23 00:00") == [
        *(False, True, True),
    ]


def test_without_holidays_every_day_is_as_the_hours_say() -> None:
    assert is_open(Calendar("plain", OPEN.hours), "2026-02-17 09:30", "2026-02-14 09:30") == [True, False]


def test_a_night_that_reaches_into_a_holiday_ends_at_midnight() -> None:
    night = Calendar("night", Hours("22:00-06:00"), "CN")
    assert is_open(night, "2026-09-30 23:59", "2026-10-01 00:00", "2026-11-24 00:00") == [True, False, True]


def clock(zone: str, hours: str = "09:00-17:00") -> CalendarClock:
    return CalendarClock([Calendar("open", Hours(hours))], ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [  # the days before and after each change of daylight saving, 09:00 by the wall
        ("Europe/Berlin", "2026-03-28 08:00", "2026-03-29 07:00"),
        ("Europe/Berlin", "2026-10-24 07:00", "2026-10-25 08:00"),
        ("America/New_York", "2026-03-07 14:00", "2026-03-08 13:00"),
        ("America/New_York", "2026-10-31 13:00", "2026-11-01 14:00"),
    ],
)
def test_nine_stays_nine_by_the_wall_when_the_clocks_change(zone: str, before: str, after: str) -> None:
    for moment in (before, after):
        nine = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        assert nine.astimezone(ZoneInfo(zone)).hour == 9
        assert clock(zone).open_at(nine) == {"open"}
        assert clock(zone).open_at(nine - timedelta(seconds=1)) == frozenset()
        assert clock(zone).open_at(nine + timedelta(hours=8)) == frozenset()


def test_the_hour_that_does_not_exist_passes_in_no_time() -> None:
    berlin = clock("Europe/Berlin", "02:00-03:00")  # on 2026-03-29 the clocks go from 02:00 to 03:00
    first = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert [berlin.open_at(first + timedelta(minutes=5 * step)) for step in range(12)] == [frozenset()] * 12


def test_the_hour_that_comes_twice_is_open_twice() -> None:
    berlin = clock("Europe/Berlin", "02:00-03:00")  # on 2026-10-25 the clocks go from 03:00 to 02:00
    midnight = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    minutes = sum(bool(berlin.open_at(midnight + timedelta(minutes=minute))) for minute in range(180))
    assert minutes == 120


@given(st.integers(0, 4 * 7 * 24), st.lists(st.integers(-90, 90), min_size=1, max_size=30))
def test_the_clock_remembers_a_minute_and_never_says_otherwise(hour: int, steps_s: list[int]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    remembering = CalendarClock([OPEN, CLOSED_ON_HOLIDAYS], zone)
    moment = datetime(2026, 10, 12, tzinfo=UTC) + timedelta(hours=hour)  # things change on the hour
    for step_s in steps_s:
        moment += timedelta(seconds=step_s)
        assert remembering.open_at(moment) == CalendarClock([OPEN, CLOSED_ON_HOLIDAYS], zone).open_at(moment)


def test_the_minute_before_1970_is_a_minute_like_any_other() -> None:
    assert clock("UTC", "23:00-24:00").open_at(datetime(1969, 12, 31, 23, 59, 30, tzinfo=UTC)) == {"open"}


DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
times = st.builds(lambda hour, half: f"{hour:02}:{half * 30:02}", st.integers(0, 23), st.integers(0, 1))
parts = st.builds(
    lambda first, last, begin, end, off: f"{first}-{last} " + ("off" if off else f"{begin}-{end}"),
    *(st.sampled_from(DAYS), st.sampled_from(DAYS), times, times, st.integers(0, 4).map(lambda n: n == 0)),
).filter(lambda part: part[-11:-6] != part[-5:])
expressions = st.lists(parts, min_size=1, max_size=3).map("; ".join)
weekly = st.builds(
    lambda hours, region, on_holidays: (hours, region, on_holidays if region else None),
    *(expressions, st.sampled_from([None, "CN", "DE"]), st.one_of(st.none(), expressions)),
)


@settings(max_examples=40)
@example([("Mo-Mo 09:00-10:00", "CN", None), ("Su-Su 08:00-20:00", None, None)])  # together on a Sunday worked
@example([("Fr-Fr 09:00-10:00", "CN", None), ("Sa-Sa 08:00-20:00", None, None)])
@example([("Th-Th 22:00-02:00", "CN", None), ("Fr-Fr 23:00-01:00", None, None)])  # from the midnight of that day on
@given(st.lists(weekly, min_size=1, max_size=3))
def test_the_combinations_are_those_of_trying_every_half_hour(drawn: list[tuple[str, str | None, str | None]]) -> None:
    calendars = tuple(
        Calendar(f"c{index}", Hours(hours), region, None if on_holidays is None else Hours(on_holidays))
        for index, (hours, region, on_holidays) in enumerate(drawn)
    )
    tried = set()
    for half_hour in range(2 * 24 * 7):
        moment = CYCLE_FROM + timedelta(weeks=1, minutes=30 * half_hour)
        kinds = [kind for kind in DayKind if moment.weekday() >= 5 or kind is not DayKind.WORKED]
        for cn in kinds:
            for de in kinds:
                of = {"CN": cn, "DE": de, None: DayKind.ORDINARY}
                tried.add(frozenset(c.name for c in calendars if c.open_on(moment, of[c.region])))
    moments = combinations(calendars)
    assert {moment.open for moment in moments} == tried
    for found in moments:  # each is an example of itself
        kind_of = {**found.kinds, "": DayKind.ORDINARY}
        assert found.open == {c.name for c in calendars if c.open_on(found.wall, kind_of[c.region or ""])}


def test_combinations_over_the_year_are_found_too() -> None:
    summer = Calendar("summer", Hours("Jul-Aug"))
    leap = Calendar("leap", Hours("Feb 29"))
    fifth_monday = Calendar("fifth-monday", Hours("Mo[5] 09:00-10:00"))
    found = {moment.open for moment in combinations((summer, leap, fifth_monday))}
    assert found == {
        frozenset(names) for names in [(), ("summer",), ("leap",), ("fifth-monday",), ("summer", "fifth-monday"),
                                       ("leap", "fifth-monday")]
    }  # fmt: skip


def test_a_moment_says_what_day_it_is_where_that_matters() -> None:
    said = {str(moment) for moment in combinations((CLOSED_ON_HOLIDAYS,))}
    assert said == {"Monday 00:00", "Monday 00:00 on a CN public holiday"}
    worked = Calendar("worked", Hours("Fr 10:00-11:00"), "CN")
    assert {str(moment) for moment in combinations((worked,))} == {"Monday 00:00", "Friday 10:00"}


def book(calendars: str) -> RuleBook:
    text = (
        "timezone: Asia/Shanghai\nage_bands: [{name: all, from: 0}]\nprotected: []\ntargets: {people: {queue: q}}\n"
        f"calendars:\n{calendars}rules:\n  - {{name: open, when: {{calendar: open}}, then: {{to: people}}}}\n"
        "  - {name: rest, then: {to: people}}\nfallback: {to: people}\n"
    )
    made, problems = rules_from(source_of_text(text))
    assert made is not None, problems
    return made


def test_a_file_s_calendar_keeps_its_holidays() -> None:
    (calendar,) = book('  open: {hours: "Mo-Fr 09:00-21:00", holidays: CN, holiday_hours: "10:00-11:00"}\n').calendars
    assert calendar == Calendar("open", Hours("Mo-Fr 09:00-21:00"), "CN", Hours("10:00-11:00"))
