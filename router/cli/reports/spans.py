"""Which span of time a report is of, and which one before it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import click

from router.cli.options import moment_given
from router.journal.counting.figures import Span


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        span: What is counted.
        before: What it is compared with: as long, just before it; of a day that is not over, as much of the one before.
        kind: A `day`, the part that is over of `today`, or any `span`.
    """

    span: Span
    before: Span
    kind: Literal["day", "today", "span"]


def asked(day: str | None, since: str | None, until: str | None, zone: ZoneInfo, now: datetime) -> Asked:
    """The span that options ask for; yesterday, if they ask for none. One that is not over ends now.

    Raises:
        click.UsageError: They do not fit together, or name no time.
    """
    if since is None and until is None:
        return _day(day or "yesterday", zone, now)
    if day is not None:
        raise click.UsageError("--day is a whole day; leave it out to give a span with --since and --until")
    if since is None:
        raise click.UsageError("--until needs --since: when does the span begin?")
    begin = moment_given("--since", since, zone)
    end = moment_given("--until", until, zone) if until is not None else now.astimezone(zone)
    if begin.astimezone(UTC) >= end.astimezone(UTC):
        raise click.UsageError(f"the span ends before it begins: from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}")
    if begin <= now < end:
        end = now.astimezone(zone)  # what is compared with it is only as long as what has been
    if begin.timetz() == end.timetz() and begin.tzinfo is end.tzinfo is zone:
        return Asked(
            Span(begin, end), Span(begin - (end - begin), begin), "span"
        )  # by the clock: whole days stay whole
    start = (begin.astimezone(UTC) - (end.astimezone(UTC) - begin.astimezone(UTC))).astimezone(zone)
    return Asked(Span(begin, end), Span(start, begin), "span")


def _day(text: str, zone: ZoneInfo, now: datetime) -> Asked:
    here = now.astimezone(zone)
    named = {"today": here.date(), "yesterday": here.date() - timedelta(days=1)}
    try:
        day = named.get(text) or date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter('write a day like "2026-11-25", or yesterday, or today', param_hint="--day") from error
    if not 2000 < day.year < 2100:  # noqa: PLR2004 - what lies beyond is a slip of the pen
        raise click.BadParameter("write a year from 2001 to 2099", param_hint="--day")
    if day == here.date():
        begin, back = _midnight(day, zone), timedelta(days=1)  # by the clock
        return Asked(Span(begin, here), Span(begin - back, here - back), "today")
    begin, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    return Asked(Span(begin, end), Span(_midnight(day - timedelta(days=1), zone), begin), "day")


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
