"""All that a report shows, in the order in which it is shown: the same for the terminal, CSV, JSON and the page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from router.cli.reports.spans import Asked
from router.journal.counting.count import Counted
from router.journal.counting.figures import NOTHING, Figures, Tally
from router.rules.book import RuleBook

SECTIONS = ("band", "hour", "day", "queue", "rule", "target")
"""What calls are counted by, in this order. By day only where a span has several."""


@dataclass(frozen=True, slots=True)
class Row:
    """One group of a section; `name` is "" for what has none, as an unknown age band or calls that no rule decided."""

    name: str
    now: Tally
    before: Tally


@dataclass(frozen=True, slots=True)
class Reason:
    """Calls of one reason for a fallback, or for an age band that is not known; of `SECTIONS` these are none."""

    name: str
    now: int
    before: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One report.

    Attributes:
        journals: What it is made from.
        book: The rules in force, None where they are not to be had.
        percent: What the centre promises: so many of a hundred within the service level's threshold.
        made: When it was made.
    """

    journals: tuple[Path, ...]
    zone: ZoneInfo
    asked: Asked
    counted: Counted
    book: RuleBook | None
    percent: float
    made: datetime

    @property
    def now(self) -> Figures:
        """The figures that were asked for."""
        return self.counted.figures[0]

    @property
    def before(self) -> Figures:
        """Those of the span before."""
        return self.counted.figures[1]

    @property
    def is_compared(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self.before.overall.calls)

    @property
    def protected_bands(self) -> tuple[str, ...]:
        """The names of the age bands that are protected now, youngest first."""
        return tuple(name for name in self.book.bands.names if name in self.book.protected) if self.book else ()

    @property
    def was_protected_otherwise(self) -> bool:
        """Whether calls of either span were decided while other age bands were protected than now."""
        return any(
            figures.protected.calls != sum(figures.by_band.get(name, NOTHING).calls for name in self.protected_bands)
            for figures in (self.now, self.before)
            if self.book
        )

    def rows(self, section: str) -> list[Row]:
        """The groups of a section. Age bands, rules and targets have the rules' order, queues come by their calls."""
        match section:
            case "band":
                return self._named(self.now.by_band, self.before.by_band, self.book.bands.names if self.book else ())
            case "queue":
                return self._named(self.now.by_queue, self.before.by_queue, ())
            case "rule":
                order = [rule.name for rule in self.book.rules] if self.book else []
                return self._named(self.now.by_rule, self.before.by_rule, order)
            case "target":
                order = list(self.book.targets) if self.book else []
                return self._named(self.now.by_target, self.before.by_target, order)
            case "hour":
                hours = range(24) if self.asked.kind == "day" else sorted({*self.now.by_hour, *self.before.by_hour})
                return [
                    Row(f"{h:02}:00", self.now.by_hour.get(h, NOTHING), self.before.by_hour.get(h, NOTHING))
                    for h in hours
                ]
            case _:
                return [Row(day.isoformat(), tally, NOTHING) for day, tally in days_of(self.now)]

    def reasons(self, what: str) -> list[Reason]:
        """Why calls fell back (`fallback`), or why age bands were not known (`unknown`): most first."""
        now, before = (getattr(figures, what) for figures in (self.now, self.before))
        names = sorted({*now, *before}, key=lambda name: (-now.get(name, 0), name))
        return [Reason(name, now.get(name, 0), before.get(name, 0)) for name in names]

    def groups(self, section: str, figures: Figures) -> Iterator[tuple[str, Tally]]:
        """The names of a section's groups and what was counted of them in one of the two spans, if there was a call."""
        if section == "day":  # those of the span before are others
            yield from ((day.isoformat(), tally) for day, tally in days_of(figures) if tally.calls)
            return
        for row in self.rows(section):
            if (tally := row.now if figures is self.now else row.before).calls:
                yield row.name, tally

    @staticmethod
    def _named(now: Mapping[str, Tally], before: Mapping[str, Tally], order: Collection[str]) -> list[Row]:
        place = {name: nth for nth, name in enumerate(order)}
        calls = {name: -now.get(name, NOTHING).calls for name in {*now, *before}}
        names = sorted(calls, key=lambda name: (not name, place.get(name, len(place)), calls[name], name))
        return [Row(name, now.get(name, NOTHING), before.get(name, NOTHING)) for name in names]


def days_of(figures: Figures) -> list[tuple[date, Tally]]:
    """Every day from the first with a call to the last, those without any between them too; none of a single day."""
    if len(figures.by_day) <= 1:
        return []
    first, last = min(figures.by_day), max(figures.by_day)
    days = (first + timedelta(days=nth) for nth in range((last - first).days + 1))
    return [(day, figures.by_day.get(day, NOTHING)) for day in days]
