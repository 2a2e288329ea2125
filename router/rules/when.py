"""A rule's `when`, as the file has it, made into conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from router.callers.past import NO_CHOICE
from router.rules.conditions import (
    AgeBandIs,
    AnonymousIs,
    CalendarIs,
    CalledIs,
    CallerIs,
    ChoiceIs,
    Condition,
    LanguageIs,
    NumberPatterns,
    QueueBound,
    QueueIs,
    RepeatIs,
    RolloutIs,
)
from router.rules.durations import in_words
from router.rules.lists import CallerList
from router.rules.schema import LIST_SUFFIX, UNKNOWN_BAND, QueueEntry, WhenEntry
from router.rules.wording import listed


def conditions_of(
    when: WhenEntry | None, *, lists: Mapping[str, CallerList], queues: Mapping[str, str]
) -> tuple[Condition, ...]:
    """The conditions of one rule, in the order in which they are tried and traced.

    Args:
        when: What the file says; all names in it are defined.
        lists: Each list of callers, by its file's name.
        queues: Asterisk's queue of each target that is one.
    """
    if when is None:
        return ()
    return (*_of_the_call(when, lists), *_of_the_moment(when, queues))


def _of_the_call(when: WhenEntry, lists: Mapping[str, CallerList]) -> list[Condition]:
    """Who calls whom."""
    conditions: list[Condition] = []
    if when.age_band:
        bands = frozenset(None if band == UNKNOWN_BAND else band for band in when.age_band)
        conditions.append(AgeBandIs(bands, listed(when.age_band)))
    if when.called:
        conditions.append(CalledIs(NumberPatterns.of(when.called), listed(when.called)))
    if when.anonymous is not None:
        conditions.append(AnonymousIs(when.anonymous, str(when.anonymous).lower()))
    if when.caller:
        conditions.append(_caller(when.caller, lists))
    if when.language:
        languages = frozenset(language.lower() for language in when.language)
        conditions.append(LanguageIs(languages, listed(when.language)))
    return conditions


def _of_the_moment(when: WhenEntry, queues: Mapping[str, str]) -> list[Condition]:
    """When, how things are, and what went before."""
    conditions: list[Condition] = []
    if when.calendar:
        conditions.append(CalendarIs(frozenset(when.calendar), False, listed(when.calendar)))
    if when.outside_calendar:
        conditions.append(CalendarIs(frozenset(when.outside_calendar), True, listed(when.outside_calendar)))
    if when.choice:
        choices = frozenset("" if choice == NO_CHOICE else choice for choice in when.choice)
        conditions.append(ChoiceIs(choices, listed(when.choice)))
    if when.repeat is not None:
        calls, within_s = when.repeat.calls, when.repeat.within
        conditions.append(RepeatIs(calls, within_s, f"call {calls} or later within {in_words(within_s)}"))
    for target, entry in when.queue.items():
        conditions.append(_queue(target, queues[target], entry))
    if when.rollout is not None:
        conditions.append(RolloutIs(when.rollout, f"below {when.rollout:g}"))
    return conditions


def _caller(entries: Iterable[str], lists: Mapping[str, CallerList]) -> CallerIs:
    patterns: set[str] = set()
    named: list[CallerList] = []
    shown: list[str] = []
    whole = 0
    for entry in entries:
        if entry.endswith(LIST_SUFFIX):
            named.append(lists[entry])
            shown.append(entry)
        else:
            patterns.add(entry)
            # A whole number in the file is one person's: the trace goes to a log and shows how many there are instead.
            if entry.endswith("*"):
                shown.append(entry)
            else:
                whole += 1
    numbers = [f"{whole} listed number{'s' if whole > 1 else ''}"] if whole else []
    return CallerIs(NumberPatterns.of(patterns, named), listed([*shown, *numbers]))


def _queue(target: str, queue: str, entry: QueueEntry) -> QueueIs:
    bounds = []
    wanted = []
    for quantity, words in (("waiting", "waiting"), ("longest_wait", "longest wait"), ("agents_free", "agents free")):
        for side in ("over", "under"):
            bound: int | None = getattr(entry, f"{quantity}_{side}")
            if bound is not None:
                name = "longest_wait_s" if quantity == "longest_wait" else quantity
                bounds.append(QueueBound(name, side == "under", bound))
                wanted.append(f"{words} {side} {in_words(bound) if quantity == 'longest_wait' else bound}")
    return QueueIs(target, queue, tuple(bounds), f"{target}: {', '.join(wanted)}")
