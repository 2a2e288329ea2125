"""The figures of one day out of records one after the other, as `docs/figures.md` has them: what the wallboard shows.

A tally holds sums, and the calls that are under way: memory for those alone, however long the day. What counts the same
out of whole files for `elder-router report` does so by other means; a test compares the two.

A day is counted in two parts when a router starts in the middle of it: what the journal has of earlier runs, and what
this run writes from its first record on. The parts of one day are joined by `joined`, exactly: a later part keeps aside
what it cannot know without the earlier one (the end of a call that it never saw decided, a call that it first sees
transferred back).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from router.journal.counting.figures import PUBLISHED_WITHIN_S, SHORT_S
from router.journal.records import DecisionRecord, Ending, OutcomeRecord, Record

MOST_OPEN: Final = 400_000
"""Calls under way that are kept, 200 bytes each: twice what one desk takes. Those whose outcome was lost stay among
them until the day after; beyond this, the one decided first is forgotten, and its end counts for nothing."""

MOST_ASIDE: Final = 100_000
"""Ends and transfers that a later part keeps until it is joined. Of more, the last are not counted."""

MOST_REASONS: Final = 32
"""Reasons of fallback told apart, which come from the dialplan; of more, the others are one."""

OTHER: Final = "other"

CallId: TypeAlias = tuple[str, str]
"""Node and uniqueid."""

Group: TypeAlias = tuple[str | None, bool]
"""Age band, None for unknown, and whether it was protected when the call was decided."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the rules' zone, which is 23 or 25 hours long where clocks change; `end_s` is no part of it.

    `start_s` and `end_s` are epoch seconds.
    """

    date: str
    start_s: float
    end_s: float

    def __contains__(self, at_s: float) -> bool:
        return self.start_s <= at_s < self.end_s


def day_of(at_s: float, zone: ZoneInfo) -> Day:
    """The day that holds a moment, epoch seconds."""
    date = datetime.fromtimestamp(at_s, zone).date()
    start, end = (datetime.combine(day, time(), zone) for day in (date, date + timedelta(days=1)))
    return Day(date.isoformat(), start.astimezone(UTC).timestamp(), end.astimezone(UTC).timestamp())


@dataclass(slots=True)
class Counts:
    """What became of some calls; `docs/figures.md` says what each is. All but `longest_wait_s` are numbers of calls.

    `seen` are those whose end was seen: neither under way nor unseen. `within` is the service level's, `within_15` the
    published figure's.
    """

    calls: int = 0
    seen: int = 0
    unseen: int = 0
    answered: int = 0
    abandoned: int = 0
    abandoned_short: int = 0
    self_served: int = 0
    hung_up_early: int = 0
    by_person: int = 0
    within_15: int = 0
    within: int = 0
    fallback: int = 0
    longest_wait_s: float = 0.0

    @property
    def offered(self) -> int:
        """Callers who wanted, or were sent to, a person."""
        return self.answered + self.abandoned

    @property
    def under_way(self) -> int:
        """Calls whose outcome is not there."""
        return self.calls - self.seen - self.unseen

    def add(self, other: Counts) -> None:
        """Add other calls."""
        longest = max(self.longest_wait_s, other.longest_wait_s)
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_wait_s = longest


_SUMMED: Final = tuple(one.name for one in fields(Counts) if one.name != "longest_wait_s")


@dataclass(slots=True)
class _Open:
    """A call whose end was not seen. `group` is where it counts; None for a call of another day.

    One that is `unseen` stays, for another router may have seen its end.
    """

    at_s: float
    group: Group | None
    has_fallen_back: bool = False
    is_unseen: bool = False


@dataclass(frozen=True, slots=True)
class _First:
    """A call's first decision, as far as it counts."""

    at_s: float
    band: str | None
    source: str
    is_protected: bool


@dataclass(frozen=True, slots=True)
class _End:
    ended: str
    wait_s: float | None
    touched_assistant: bool


@dataclass(slots=True)
class _Aside:
    """A call that an earlier part may know. `first` is None of one whose end alone was seen."""

    first: _First | None
    fallback: str = ""
    end: _End | None = None


class Tally:
    """The figures of one day so far.

    Args:
        day: Calls first decided in it count.
        protected_now: Age bands that are protected, for records that do not tell.
        within_s: The threshold of the service level.
        is_whole: Whether this is all of the day; else `join` is to come.
    """

    def __init__(self, day: Day, *, protected_now: Collection[str], within_s: float, is_whole: bool = True) -> None:
        self.day = day
        self.protected_now = frozenset(protected_now)
        self.within_s = within_s
        self.is_whole = is_whole
        self.not_counted = 0
        """Calls that there was no room for."""
        self.fallback: dict[str, int] = {}
        """Calls by the reason of their first fallback."""
        self.unknown: dict[str, int] = {}
        """Calls of unknown callers by why that is."""
        self._by: dict[Group, Counts] = {}
        self._open: dict[CallId, _Open] = {}
        self._aside: dict[CallId, _Aside] = {}

    def take(self, record: Record) -> None:
        """Count one record; those of one call come in their order. Other records than a call's count for nothing."""
        match record:
            case DecisionRecord():
                self.decided(
                    (record.node, record.uniqueid),
                    record.time.timestamp(),
                    ask=record.ask,
                    band=record.age_band,
                    source=record.band_source,
                    protected=record.protected,
                    fallback=record.fallback,
                )
            case OutcomeRecord():
                self.ended(
                    (record.node, record.uniqueid),
                    record.ended,
                    wait_s=record.wait_s,
                    touched_assistant=record.touched_assistant,
                    fallback=record.fallback,
                )
            case _:
                pass

    def decided(
        self,
        call: CallId,
        at_s: float,
        *,
        ask: int,
        band: str | None,
        source: str,
        protected: bool | None,
        fallback: str,
    ) -> None:
        """Count a decision; arguments as the fields of `DecisionRecord`, the time in epoch seconds."""
        if (known := self._open.get(call)) is not None:
            self._fell_back(known, fallback)
        elif (aside := self._aside.get(call)) is not None:
            aside.fallback = aside.fallback or fallback
        else:
            first = _First(at_s, band, source, band in self.protected_now if protected is None else protected)
            if self.is_whole or ask == 1:
                self._fell_back(self._begin(call, first), fallback)
            else:
                self._put_aside(call, _Aside(first, fallback))

    def ended(self, call: CallId, ended: str, *, wait_s: float | None, touched_assistant: bool, fallback: str) -> None:
        """Count an outcome; arguments as the fields of `OutcomeRecord`."""
        end = _End(ended, wait_s, touched_assistant)
        if (known := self._open.get(call)) is not None:
            self._fell_back(known, fallback)
            self._end(call, known, end)
        elif (aside := self._aside.get(call)) is not None:
            aside.fallback = aside.fallback or fallback
            if aside.end is None or aside.end.ended == Ending.UNSEEN:
                aside.end = end
        elif not self.is_whole:
            self._put_aside(call, _Aside(None, fallback, end))

    def knows(self, call: CallId) -> bool:
        """Whether a call was seen decided, and not yet seen to end."""
        return call in self._open

    def join(self, earlier: Tally) -> None:
        """Take in the part of the day before this one, which is used up by it.

        Raises:
            ValueError: It is another day's.
        """
        if earlier.day != self.day:
            raise ValueError(f"a tally of {earlier.day.date} is no part of {self.day.date}")
        for group, counts in earlier._by.items():
            self._by.setdefault(group, Counts()).add(counts)
        self._open = {**earlier._open, **self._open}
        for into, out_of in ((self.fallback, earlier.fallback), (self.unknown, earlier.unknown)):
            for reason, count in out_of.items():
                into[reason] = into.get(reason, 0) + count
        self.not_counted += earlier.not_counted
        self.is_whole = earlier.is_whole
        asides, self._aside = self._aside, dict(earlier._aside)
        for call, aside in asides.items():
            self._settle(call, aside)

    def next_day(self, day: Day, *, protected_now: Collection[str]) -> Tally:
        """An empty tally of another day, which knows the calls of this one that are still under way."""
        following = Tally(day, protected_now=protected_now, within_s=self.within_s, is_whole=self.is_whole)
        following._open = {
            call: _Open(one.at_s, None, one.has_fallen_back, one.is_unseen)
            for call, one in self._open.items()
            if one.at_s >= self.day.start_s
        }
        following._aside = self._aside
        return following

    def of_all(self) -> Counts:
        """Figures of all calls."""
        return _sum(self._by.values())

    def of_protected(self) -> Counts:
        """Figures of protected callers."""
        return _sum(counts for (_, is_protected), counts in self._by.items() if is_protected)

    def by_band(self) -> dict[str | None, Counts]:
        """Figures by age band, None for unknown."""
        bands = dict.fromkeys(band for band, _ in self._by)
        return {band: _sum(counts for (of, _), counts in self._by.items() if of == band) for band in bands}

    def as_fields(self) -> dict[str, Any]:
        """All of one that is whole for JSON, to be read by `of_fields`."""
        return {
            "day": asdict(self.day),
            "protected_now": sorted(self.protected_now),
            "within_s": self.within_s,
            "not_counted": self.not_counted,
            "fallback": self.fallback,
            "unknown": self.unknown,
            "by": [[band, is_protected, asdict(counts)] for (band, is_protected), counts in self._by.items()],
            "open": [
                [*call, one.at_s, one.group, one.has_fallen_back, one.is_unseen] for call, one in self._open.items()
            ],
        }

    @classmethod
    def of_fields(cls, told: Mapping[str, Any]) -> Tally:
        """A tally that is whole out of its `as_fields`."""
        tally = cls(Day(**told["day"]), protected_now=told["protected_now"], within_s=told["within_s"])
        tally.not_counted, tally.fallback, tally.unknown = told["not_counted"], told["fallback"], told["unknown"]
        tally._by = {(band, is_protected): Counts(**counts) for band, is_protected, counts in told["by"]}
        tally._open = {
            (node, uniqueid): _Open(at_s, None if group is None else (group[0], group[1]), *flags)
            for node, uniqueid, at_s, group, *flags in told["open"]
        }
        return tally

    def _begin(self, call: CallId, first: _First) -> _Open:
        group = None
        if first.at_s in self.day:
            group = (first.band, first.is_protected)
            self._by.setdefault(group, Counts()).calls += 1
            if first.band is None:
                self.unknown[first.source] = self.unknown.get(first.source, 0) + 1
        if len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
            self.not_counted += 1
        begun = self._open[call] = _Open(first.at_s, group)
        return begun

    def _fell_back(self, call: _Open, reason: str) -> None:
        if not reason or call.has_fallen_back:
            return
        call.has_fallen_back = True
        if call.group is not None:
            self._by[call.group].fallback += 1
            known = reason if reason in self.fallback or len(self.fallback) < MOST_REASONS else OTHER
            self.fallback[known] = self.fallback.get(known, 0) + 1

    def _end(self, call: CallId, one: _Open, end: _End) -> None:
        counts = Counts() if one.group is None else self._by[one.group]
        if one.is_unseen:
            if end.ended == Ending.UNSEEN:
                return
            counts.unseen -= 1
        if end.ended == Ending.UNSEEN:
            one.is_unseen = True
            counts.unseen += 1
            return
        del self._open[call]
        counts.seen += 1
        wait_s = end.wait_s
        match end.ended:
            case Ending.ANSWERED:
                counts.answered += 1
                counts.by_person += not end.touched_assistant
                if wait_s is not None:
                    counts.within_15 += wait_s <= PUBLISHED_WITHIN_S
                    counts.within += wait_s <= self.within_s
            case Ending.ABANDONED:
                counts.abandoned += 1
                counts.abandoned_short += wait_s is not None and wait_s <= SHORT_S
            case Ending.SELF_SERVED:
                counts.self_served += 1
            case Ending.HUNG_UP_EARLY:
                counts.hung_up_early += 1
        if end.ended in (Ending.ANSWERED, Ending.ABANDONED) and wait_s is not None:
            counts.longest_wait_s = max(counts.longest_wait_s, wait_s)

    def _put_aside(self, call: CallId, aside: _Aside) -> None:
        if len(self._aside) < MOST_ASIDE:
            self._aside[call] = aside
        else:
            self.not_counted += 1

    def _settle(self, call: CallId, aside: _Aside) -> None:
        """Count what was put aside, now that the earlier part is known."""
        known = self._open.get(call)
        if known is None:
            if not self.is_whole:
                self._put_aside(call, aside)
                return
            if aside.first is None:
                return
            known = self._begin(call, aside.first)
        self._fell_back(known, aside.fallback)
        if aside.end is not None:
            self._end(call, known, aside.end)


def _sum(parts: Iterable[Counts]) -> Counts:
    total = Counts()
    for part in parts:
        total.add(part)
    return total
