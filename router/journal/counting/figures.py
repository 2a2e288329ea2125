"""The figures of a span of time as plain values: docs/figures.md says what each one is. Counted in `count`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

PUBLISHED_WITHIN_S: Final = 15.0
"""The threshold of the figure that hotlines with a lane for older callers publish."""
SHORT_S: Final = 5.0
"""Who hangs up within this while waiting has most likely misdialled: told apart, and left out of nothing."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` to just before `end`, both with a time zone."""

    begin: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.begin <= moment < self.end


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    happened: int
    of: int

    @property
    def value(self) -> float | None:
        """From 0 to 1; a share of nothing is not told."""
        return self.happened / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of some calls. Waits are in seconds, None where nobody waited.

    Attributes:
        under_way: Those without an outcome.
        unseen: Those whose end nobody saw.
        in_time_published: Answered after at most 15 s of waiting.
        in_time: Answered after at most the centre's own threshold.
        abandoned_short: Those of the abandoned who went within 5 s.
        without_assistant: Answered, and the assistant was never heard.
    """

    calls: int = 0
    under_way: int = 0
    unseen: int = 0
    answered: int = 0
    in_time_published: int = 0
    in_time: int = 0
    abandoned: int = 0
    abandoned_short: int = 0
    without_assistant: int = 0
    self_served: int = 0
    hung_up_early: int = 0
    fallback: int = 0
    wait_median_s: float | None = None
    wait_95th_s: float | None = None
    wait_longest_s: float | None = None

    @property
    def offered(self) -> int:
        """Who wanted, or was sent to, a person."""
        return self.answered + self.abandoned

    @property
    def ended(self) -> int:
        """Calls whose end was seen."""
        return self.calls - self.under_way - self.unseen

    @property
    def share_without_assistant(self) -> Share:
        """Answered by a person without the assistant, of all whose end was seen."""
        return Share(self.without_assistant, self.ended)

    @property
    def answered_within_15s(self) -> Share:
        """The figure that the trade publishes."""
        return Share(self.in_time_published, self.offered)

    @property
    def service_level(self) -> Share:
        """Answered within the centre's own threshold, of all offered."""
        return Share(self.in_time, self.offered)

    @property
    def abandon_rate(self) -> Share:
        """Abandoned, of all offered."""
        return Share(self.abandoned, self.offered)


NOTHING: Final = Tally()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was wrong with our systems. `began` or `ended` is None where the journal does not tell.

    With `is_over` false no end was seen in what was read.
    """

    what: str
    node: str
    why: str
    began: datetime | None
    ended: datetime | None
    is_over: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one span.

    Attributes:
        within_s: The threshold of the service level.
        by_band: By age band, "" being unknown.
        by_hour: By the hour of the day in the zone asked for, 0 to 23; hours without calls are missing.
        protected_by_hour: The same of protected callers.
        by_day: By day in that zone.
        by_queue: Offered calls only, by the queue in which they were answered or abandoned.
        by_rule: By the first decision's rule; "" where none was asked.
        by_target: By the first decision's target.
        fallback: Reason → calls that the dialplan sent to people by itself.
        unknown: Why the age band was not known, as `band_source` → calls.
        troubles: What was wrong in the span, by when it began.
    """

    span: Span
    within_s: float
    overall: Tally = NOTHING
    protected: Tally = NOTHING
    by_band: Mapping[str, Tally] = field(default_factory=dict)
    by_hour: Mapping[int, Tally] = field(default_factory=dict)
    protected_by_hour: Mapping[int, Tally] = field(default_factory=dict)
    by_day: Mapping[date, Tally] = field(default_factory=dict)
    by_queue: Mapping[str, Tally] = field(default_factory=dict)
    by_rule: Mapping[str, Tally] = field(default_factory=dict)
    by_target: Mapping[str, Tally] = field(default_factory=dict)
    fallback: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
