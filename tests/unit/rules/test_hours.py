"""Opening hours; how each that cannot be read is told of stands in testdata/."""

from __future__ import annotations

from datetime import datetime

import pytest

from router.rules.hours import CYCLE_FROM, CYCLE_TO, WEEKS_TO, Hours, HoursError


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "open_at", "closed_at"),
    [
        ("Mo-Fr 09:00-21:00", ["2026-11-23 09:00", "2026-11-27 20:59"], ["2026-11-23 08:59", "2026-11-28 12:00"]),
        ("mo-fr 9:00-21:00", ["2026-11-23 09:00"], ["2026-11-23 21:00"]),
        ("Sa-Su", ["2026-11-28 00:00", "2026-11-29 23:59"], ["2026-11-30 00:00"]),
        ("Mo-Fr 09:00-12:00, 13:00-17:00", ["2026-11-23 13:00"], ["2026-11-23 12:30", "2026-11-28 13:00"]),
        ("Mo-Fr 09:00-17:00; We 10:00-12:00", ["2026-11-25 10:00"], ["2026-11-25 09:30", "2026-11-25 13:00"]),
        ("22:00-06:00", ["2026-11-23 23:00", "2026-11-24 05:59"], ["2026-11-24 06:00", "2026-11-24 21:59"]),
        ("Fr 22:00-06:00", ["2026-11-27 22:00", "2026-11-28 05:00"], ["2026-11-28 22:00"]),
        ("Mo-Su 00:00-24:00; Dec 25 off", ["2026-12-24 23:59"], ["2026-12-25 00:00", "2027-12-25 12:00"]),
        ("Feb 29 10:00-12:00", ["2028-02-29 11:00"], ["2027-03-01 11:00"]),
        ('Mo-Fr 09:00-17:00 "no PH here"', ["2026-11-23 09:00"], ["2026-11-23 08:00"]),
        ('Mo 09:00-12:00 "early", Tu 13:00-14:00', ["2026-11-23 09:00", "2026-11-24 13:00"], ["2026-11-23 13:00"]),
        ("Su[1] 10:00-12:00", ["2026-11-01 10:00"], ["2026-11-08 10:00"]),
    ],
)
def test_hours_are_open_when_they_say(text: str, open_at: list[str], closed_at: list[str]) -> None:
    hours = Hours(text)
    assert [moment for moment in open_at if not hours.open_at(wall(moment))] == []
    assert [moment for moment in closed_at if hours.open_at(wall(moment))] == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "  ",
            "9-21",
            "周一 09:00-21:00",
            "Mo–Fr 09:00-21:00",
            "Mo-Fr 9am-5pm",
            "Mo-Fr 09:00-25:00",
            "24:01-25:00",
        ),
        *("Mo, 09:00-21:00", "Feb 30", "Apr 1-31", "Jun 1,31", "PH off", "ph off", "Mo-Fr sunrise-20:00", "09:00+"),
        *("easter", "Easter off", "Mo-Fr 09:00-21:00; easter -2 days-easter +1 day off", "2026 easter"),
        *('Mo 09:00-12:00 "lunch" , 13:00-14:00', 'Mo 09:00-12:00 "lunch",13:00-14:00', 'Mo 09:00-12:00, "lunch"'),
        *("Mo off, 13:00-14:00", "Mo 09:00-12:00 open , 13:00-14:00", "24/7 closed, 9:00-14:00", '"always"'),
        *("Jan 1, 09:00-10:00", "Dec 24-26 , 09:00-12:00", "Jul, 09:00-10:00", "Su[1], 10:00-12:00", "2026,9:00-10:00"),
        *("09:00-09:00", "00:00-0:00", "09:00-21:00/30", "Mo unknown", "Sh off", "Mo-Fr 09:00-21:00;", "}", "x" * 400),
    ],
)
def test_what_cannot_be_read_or_means_something_else_is_refused(text: str) -> None:
    with pytest.raises(HoursError) as raised:
        Hours(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "Mo 09:00-12:00,13:00-14:00",
        "Mo 9:00-12:00 , 13:00-14:00",
        'Mo 09:00-12:00 "a", Tu 9:00-10:00',
        "Mo, We 9:00-10:00",
    ],
)
def test_commas_between_times_and_before_days_are_not_refused(text: str) -> None:
    Hours(text)


@pytest.mark.parametrize("text", ["Feb 29", "Apr 30 09:00-21:00", "Feb 1-29 off", "week 1-53/2 Mo", "24/7", "Dec 31"])
def test_dates_there_are_and_other_slashes_are_not_refused(text: str) -> None:
    Hours(text)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("Mo-Fr 09:00-21:00; Sa-Su off", WEEKS_TO),
        ("mo 09:00-21:00", WEEKS_TO),
        ('24/7 "always"', WEEKS_TO),
        ("Jan 1 off", CYCLE_TO),
        ("week 1-10 Mo", CYCLE_TO),
        ("Mo[1] 09:00-10:00", CYCLE_TO),
    ],
)
def test_hours_that_name_weekdays_only_repeat_soon(text: str, until: datetime) -> None:
    assert Hours(text).cycle_to == until


def test_changes_are_every_moment_at_which_something_else_holds() -> None:
    changes = Hours("Mo 09:00-10:00").changes(WEEKS_TO)
    assert list(changes[:5]) == [
        CYCLE_FROM,
        wall("2024-01-01 09:00"),
        wall("2024-01-01 10:00"),
        wall("2024-01-08 09:00"),
        wall("2024-01-08 10:00"),
    ]
