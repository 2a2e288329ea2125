"""The figures of a report as a list, how each is said, and what changed since the span before. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from router.journal.counting.figures import Share, Tally
from router.journal.intervals import newcombe

Kind = Literal["calls", "share", "seconds"]
Value: TypeAlias = int | Share | float | None
Verdict = Literal["better", "worse", "more", "fewer", "longer", "shorter", "chance", "same"]

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of some calls.

    Attributes:
        name: As JSON, CSV and the words have it.
        kind: Its unit.
        value: The figure of a tally.
        good: Whether more of it is good (1), bad (-1), or neither (0).
    """

    name: str
    kind: Kind
    value: Callable[[Tally], Value]
    good: int = 0


MEASURES: Final = (
    Measure("calls", "calls", lambda tally: tally.calls),
    Measure("offered", "calls", lambda tally: tally.offered),
    Measure("answered", "calls", lambda tally: tally.answered),
    Measure("without_assistant", "share", lambda tally: tally.share_without_assistant, 1),
    Measure("answered_within_15s", "share", lambda tally: tally.answered_within_15s, 1),
    Measure("service_level", "share", lambda tally: tally.service_level, 1),
    Measure("wait_median_s", "seconds", lambda tally: tally.wait_median_s),
    Measure("wait_95th_s", "seconds", lambda tally: tally.wait_95th_s),
    Measure("wait_longest_s", "seconds", lambda tally: tally.wait_longest_s),
    Measure("abandoned", "calls", lambda tally: tally.abandoned),
    Measure("abandon_rate", "share", lambda tally: tally.abandon_rate, -1),
    Measure("abandoned_short", "calls", lambda tally: tally.abandoned_short),
    Measure("self_served", "calls", lambda tally: tally.self_served),
    Measure("hung_up_early", "calls", lambda tally: tally.hung_up_early),
    Measure("fallback", "calls", lambda tally: tally.fallback, -1),
    Measure("under_way", "calls", lambda tally: tally.under_way),
    Measure("unseen", "calls", lambda tally: tally.unseen, -1),
)
BY_NAME: Final = {measure.name: measure for measure in MEASURES}
IN_GROUPS: Final = tuple(
    BY_NAME[name]
    for name in (
        *("calls", "without_assistant", "answered_within_15s", "service_level", "abandon_rate"),
        *("wait_median_s", "wait_95th_s", "wait_longest_s"),
    )
)
"""Those that tables by band, hour, queue, rule and target have on paper; CSV and JSON have all."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a figure.

    Attributes:
        text: By how much: points of a share, percent of a number of calls, seconds.
        verdict: What to think of it; `chance` says that so small a difference of shares says nothing. Waits are
            `longer` or `shorter` and neither better nor worse, since that is not asked of them.
    """

    text: str
    verdict: Verdict


def change(measure: Measure, now: Tally, before: Tally) -> Change | None:
    """What changed since the span before; None where one of the two is not told."""
    new, old = measure.value(now), measure.value(before)
    match new, old:
        case Share(), Share():
            return _of_shares(measure, new, old)
        case int(), int():
            return _of_calls(measure, (new, now.calls), (old, before.calls))
        case float(), float():
            by = round(new - old, 1)
            return Change(f"{_signed(by, 1)} s", "same" if not by else "longer" if by > 0 else "shorter")
    return None


def _of_shares(measure: Measure, new: Share, old: Share) -> Change | None:
    if new.value is None or old.value is None:
        return None
    points = new.value - old.value
    text = f"{_signed(points * 100, 1)} pt"
    if text == f"{_signed(0, 1)} pt":
        return Change(text, "same")
    if newcombe(new.happened, new.of, old.happened, old.of).holds_zero:
        return Change(text, "chance")
    return Change(text, _verdict(points, measure.good))


def _of_calls(measure: Measure, new: tuple[int, int], old: tuple[int, int]) -> Change:
    """Each is so many of so many calls: what is good or bad to happen is so if its share of them changed."""
    by = new[0] - old[0]
    if not by:
        return Change("±0", "same")
    text = f"{_signed(by / old[0] * 100, 1)}%" if old[0] else f"+{by:,}"
    if measure.good and newcombe(*new, *old).holds_zero:
        return Change(text, "chance")
    return Change(text, _verdict(by, measure.good))


def _verdict(by: float, good: int) -> Verdict:
    if good == 0:
        return "more" if by > 0 else "fewer"
    return "better" if (by > 0) == (good > 0) else "worse"


def said(value: Value) -> str:
    """A figure for people. A share that is nearly all or nearly nothing is not rounded to all or nothing."""
    match value:
        case None:
            return "–"
        case Share():
            return said_share(value)
        case int():
            return f"{value:,}"
        case _:
            return said_wait(value)


def said_share(share: Share) -> str:
    """In percent with one digit."""
    if share.value is None:
        return "–"
    text = f"{share.value:.1%}"
    if text == "100.0%" and share.happened < share.of:
        return ">99.9%"
    if text == "0.0%" and share.happened:
        return "<0.1%"
    return text


def said_wait(seconds: float) -> str:
    """In seconds, or in minutes and seconds."""
    if seconds < _MINUTE_S - 0.05:  # else 59.97 would be said as 60.0
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _signed(number: float, digits: int) -> str:
    """With a sign of its own width; never a negative nothing."""
    text = f"{number:+,.{digits}f}"
    return "±0" if not float(text.replace(",", "")) else text.replace("-", "−")
