from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from router.cli.reports.spans import asked
from router.cli.reports.words import words_in

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 2, 30, tzinfo=UTC)  # 10:30 in Shanghai


def told(*moments: datetime) -> list[str]:
    return [f"{moment:%m-%d %H:%M}" for moment in moments]


@pytest.mark.parametrize(
    ("day", "span", "before"),
    [
        (None, ["11-25 00:00", "11-26 00:00"], ["11-24 00:00", "11-25 00:00"]),
        ("yesterday", ["11-25 00:00", "11-26 00:00"], ["11-24 00:00", "11-25 00:00"]),
        ("2026-11-01", ["11-01 00:00", "11-02 00:00"], ["10-31 00:00", "11-01 00:00"]),
        ("today", ["11-26 00:00", "11-26 10:30"], ["11-25 00:00", "11-25 10:30"]),
        ("2026-11-26", ["11-26 00:00", "11-26 10:30"], ["11-25 00:00", "11-25 10:30"]),
    ],
)
def test_days_are_those_of_the_rules_zone(day: str | None, span: list[str], before: list[str]) -> None:
    found = asked(day, None, None, SHANGHAI, NOW)
    assert told(found.span.begin, found.span.end) == span
    assert told(found.before.begin, found.before.end) == before


def test_yesterday_is_the_zones_even_when_utc_has_another_day() -> None:
    late = datetime(2026, 11, 25, 17, 0, tzinfo=UTC)  # the 26th, in Shanghai
    assert told(asked("yesterday", None, None, SHANGHAI, late).span.begin) == ["11-25 00:00"]


def test_a_day_on_which_clocks_change_has_all_its_hours() -> None:
    long = asked("2026-10-25", None, None, BERLIN, NOW).span
    assert (long.end.astimezone(UTC) - long.begin.astimezone(UTC)).total_seconds() == 25 * 3600


def test_whole_days_are_compared_with_whole_days_though_clocks_change() -> None:
    found = asked(None, "2026-10-25", "2026-10-27", BERLIN, NOW)
    assert told(found.before.begin, found.before.end) == ["10-23 00:00", "10-25 00:00"]


def test_any_other_span_is_compared_with_one_as_long() -> None:
    found = asked(None, "2026-10-25 01:00", "2026-10-25 04:30", BERLIN, NOW)
    length = found.span.end.astimezone(UTC) - found.span.begin.astimezone(UTC)
    assert found.before.end.astimezone(UTC) - found.before.begin.astimezone(UTC) == length
    assert length.total_seconds() == 4.5 * 3600, "an hour more than the clock shows"


def test_a_span_without_an_end_goes_on_until_now() -> None:
    assert told(asked(None, "2026-11-25", None, SHANGHAI, NOW).span.end) == ["11-26 10:30"]


def test_a_span_that_is_not_over_is_compared_with_one_as_long_as_what_has_been() -> None:
    found = asked(None, "2026-11-26", "2026-12-01", SHANGHAI, NOW)
    assert told(found.span.begin, found.span.end) == ["11-26 00:00", "11-26 10:30"]
    assert told(found.before.begin, found.before.end) == ["11-25 13:30", "11-26 00:00"]


def test_spans_are_said_as_people_say_them() -> None:
    words = words_in("en")
    assert words.span(asked(None, None, None, SHANGHAI, NOW)) == "Wednesday, November 25, 2026"
    assert words.span(asked("today", None, None, SHANGHAI, NOW)) == "Thursday, November 26, 2026, until 10:30"
    month = asked(None, "2026-11-01", "2026-11-26", SHANGHAI, NOW)
    assert words.span(month) == "Nov 1, 2026 – Nov 25, 2026", "the last day, not the one after"
    assert words_in("zh").span(asked(None, "2026-11-01 09:00", "2026-11-02", SHANGHAI, NOW)).startswith("2026年11月1日")
