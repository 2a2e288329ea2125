"""The story of a call on one screen: who called, what was decided and why, what became of it, what was wrong with us.

For who answers a complaint, so in words, trouble in red. What is told comes from records; `story_words` has the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.callers.past import choice_in_words
from router.cli.asking_again import Again, again_in_words
from router.cli.story_words import (
    FORGOTTEN,
    cause_in_words,
    ending_in_words,
    fallback_in_words,
    keys_in_words,
    looked_at_in_words,
    promotion_in_words,
    recognised_in_words,
    speech_of,
    trouble_in_words,
)
from router.cli.tracing import facts_grid, show_table, shown_text, speech_in_words, steps_table, target_in_words
from router.journal.erasing import ERASED
from router.journal.minute import Minute
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.journal.seeking import CallFound
from router.rules.conditions import NOT_KNOWN, queue_in_words
from router.rules.durations import in_words, roughly_in_words
from router.rules.model import QueueState
from router.rules.schema import STANDARD_SPEECH, UNKNOWN_BAND

TROUBLE = "bold red"

_NAMES_WIDTH = 11  # one column for all parts
_MOST_NOT_ASKED = 5  # rules behind the one that decided; more say nothing and fill the screen

_Row = tuple[str, str, bool]
"""What it is, what there is to say of it, and whether that is trouble."""


@dataclass(frozen=True, slots=True)
class Story:
    """A call, what was wrong around each of its decisions, what the rules say of each once more; times in `zone`.

    `end` is what was wrong around an end that nobody saw.
    """

    call: CallFound
    minutes: Sequence[Minute]
    again: Sequence[Again]
    zone: ZoneInfo | None
    end: Minute | None = None


def zone_of(again: Sequence[Again], otherwise: ZoneInfo | None) -> ZoneInfo | None:
    """The time zone of the rules of then; that of others where those are not to be had."""
    return next((ZoneInfo(each.book.timezone) for each in again if each.book), otherwise)


def print_story(console: Console, story: Story) -> None:
    """Print it. Its last line says what the rules of then decide today."""
    call = story.call
    _print_rows(console, _summary(story))
    for index, ((_, record), again) in enumerate(zip(call.decisions, story.again, strict=True)):
        console.print()
        _print_rows(console, _before(record, story.zone, is_again=index > 0))
        if record.trace:
            console.print()
            behind = [rule.name for rule in again.book.rules[len(record.trace) :]] if again.book else []
            show_table(console, steps_table(record.trace, behind[:_MOST_NOT_ASKED]))
            if len(behind) > _MOST_NOT_ASKED:
                console.print(shown_text(f"   and {len(behind) - _MOST_NOT_ASKED} more that were not asked", "dim"))
        console.print()
        _print_rows(console, _decided(record, again))
    console.print()
    _print_rows(console, _after(story))
    console.print()
    _print_rows(console, _systems(story))
    for (_, record), again in zip(call.decisions, story.again, strict=True):
        request = f"request {record.ask}: " if len(call.decisions) > 1 else ""
        console.print(Text.assemble(request, again_in_words(record, again)))


def _print_rows(console: Console, rows: Iterator[_Row]) -> None:
    grid: Table = facts_grid()
    grid.columns[0].min_width = _NAMES_WIDTH
    for name, told, is_trouble in rows:
        grid.add_row(shown_text(name), shown_text(told, TROUBLE if is_trouble else ""))
    show_table(console, grid)


def _summary(story: Story) -> Iterator[_Row]:
    call = story.call
    (_, first) = call.decisions[0]
    at = (call.moment or first.time).astimezone(story.zone)
    yield "call", f"{call.uniqueid} on {call.node}, {at:%A %Y-%m-%d %H:%M:%S %Z}", False
    yield "caller", FORGOTTEN if first.caller == ERASED else first.caller, False
    if not call.outcomes:
        yield "ended", "no outcome is in the journal: the call is under way, or its record was lost", False
    for outcome in call.outcomes:
        yield "ended", *ending_in_words(outcome)
    if not all(minute.is_well for minute in (*story.minutes, *filter(None, [story.end]))):
        yield "our systems", "something was wrong, see below", True


def _before(record: DecisionRecord, zone: tzinfo | None, *, is_again: bool) -> Iterator[_Row]:
    """What was known when it was decided."""
    if is_again or record.ask > 1:
        asked_at = (record.at or record.time).astimezone(zone)
        yield "transferred", f"back to the router, request {record.ask}, at {asked_at:%H:%M:%S}", False
    protected = ", protected" if record.protected else ""
    how, is_trouble = recognised_in_words(record)
    yield "recognised", f"{record.age_band or UNKNOWN_BAND}{protected}: {how}", is_trouble
    yield "called", f"{record.called}, language {record.language or NOT_KNOWN}", False
    if record.calendars:
        yield "calendars", f"open: {', '.join(record.calendars)}", False
    if record.choice:
        yield "remembered", choice_in_words(record.choice), False
    if record.earlier_calls_s:
        yield "before", ", ".join(f"{in_words(round(ago))} ago" for ago in record.earlier_calls_s), False
    title = "queues"
    for name, state in record.queues.items():
        yield title, f"{name}: {queue_in_words(QueueState(*state))}", False
        title = ""


def _decided(record: DecisionRecord, again: Again) -> Iterator[_Row]:
    overflow = (record.overflow_s, record.overflow_queue) if record.overflow_s is not None else None
    if record.fallback:
        yield "fallback", f"{fallback_in_words(record.fallback)}: the dialplan sent the call to people by itself", True
    if record.rule:
        yield "rule", record.rule, False
    if record.queue or record.context:
        target = target_in_words(record.target, queue=record.queue, context=record.context, overflow=overflow)
        yield "target", target, False
    else:
        yield "target", f"{record.target}: the queue that the dialplan has for it", False
    if record.head_start_s:
        yield "head start", f"{in_words(record.head_start_s)}: ranked as if they had waited that long already", False
    if record.rule:
        yield "prompts", _speech(record, again), False
    if record.agent_label:
        yield "agents see", record.agent_label, False
    if record.note:
        yield "note", record.note, False
    took = sum(ms for ms in (record.lookup_ms, record.decide_ms, record.apply_ms) if ms is not None)
    if record.applied:
        yield "applied", f"yes, after {took:.1f} ms", False
    else:
        yield "applied", f"no: {record.not_applied_why or 'it is not told why'}", True


def _speech(record: DecisionRecord, again: Again) -> str:
    name = record.speech or STANDARD_SPEECH
    told = speech_in_words(name, record.speech_from, record.rule, again.book)
    profile = again.book.speech.get(name) if again.book else None
    return f"{told}: {speech_of(profile)}" if profile else told


def _after(story: Story) -> Iterator[_Row]:
    """What became of the call."""
    call = story.call
    for promotion in sorted(call.promotions, key=lambda record: record.time):
        at = promotion.time.astimezone(story.zone)
        yield f"{at:%H:%M:%S}", promotion_in_words(promotion), not promotion.done
    for outcome in call.outcomes:
        yield from _ended(call, outcome, story.zone)


def _ended(call: CallFound, outcome: OutcomeRecord, zone: tzinfo | None) -> Iterator[_Row]:
    last = call.decisions[-1][1]
    if outcome.fallback and outcome.fallback != last.fallback:
        yield "fallback", f"{fallback_in_words(outcome.fallback)}: the dialplan sent it to people by itself", True
    if outcome.touched_assistant:
        yield "assistant", "the caller heard it", False
    if outcome.keys:
        yield "keys", keys_in_words(outcome.keys), False
    if outcome.choice:
        yield "chose", f"{choice_in_words(outcome.choice)}, for next time too where that is remembered", False
    if outcome.wait_s is not None:
        yield "waited", _waited(last, outcome), False
    if outcome.talk_s is not None:
        yield "talked", f"{roughly_in_words(outcome.talk_s)} to who answered", False
    # Who was not there to see it found out afterwards.
    by = "by " if outcome.duration_s is None else ""
    yield "over", f"{by}{_day_and_clock(outcome.time.astimezone(zone), call, zone)}{_lasted(outcome)}", False
    if outcome.hangup_cause is not None:
        is_abandoned = outcome.ended is Ending.ABANDONED
        yield "hung up", *cause_in_words(outcome.hangup_cause, is_abandoned=is_abandoned)


def _waited(last: DecisionRecord, outcome: OutcomeRecord) -> str:
    wait = roughly_in_words(outcome.wait_s or 0.0)
    if not outcome.queue:
        return f"{wait}, and no queue took the caller"
    if last.overflow_queue and outcome.queue == last.overflow_queue != last.queue:
        after = in_words(last.overflow_s or 0)
        return f"{wait} in all: in {last.queue}, and after {after} there (overflow) in {outcome.queue}"
    return f"{wait} in {outcome.queue}"


def _lasted(outcome: OutcomeRecord) -> str:
    if outcome.duration_s is None:
        return ""
    lasted = f", {roughly_in_words(outcome.duration_s)} after the caller asked"
    unheld = outcome.duration_s - (outcome.wait_s or 0.0) - (outcome.talk_s or 0.0)
    if outcome.wait_s is None or unheld < 1:
        return lasted
    # Prompts and the assistant before, or whoever else talked after a transfer.
    return f"{lasted} ({roughly_in_words(unheld)} of it neither waiting nor talking)"


def _day_and_clock(moment: datetime, call: CallFound, zone: tzinfo | None) -> str:
    began = (call.moment or moment).astimezone(zone)
    return f"{moment:%H:%M:%S}" if moment.date() == began.date() else f"{moment:%Y-%m-%d %H:%M:%S}"


def _systems(story: Story) -> Iterator[_Row]:
    """What was wrong with our systems around each decision, and an end that nobody saw."""
    titled = [("our systems", minute) for minute in story.minutes]
    titled += [("at its end", story.end)] if story.end is not None else []
    for title, minute in titled:
        name = title
        for trouble in trouble_in_words(minute, story.zone):
            yield name, trouble, True
            name = ""
        if name:
            yield name, "nothing known to be wrong", False
        yield "looked at", looked_at_in_words(minute, story.zone), False
