"""A decision, its record, and that record put to the same rules again are one: explain = decide = diff."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from router.callers.number import Caller, NoNumber, NoNumberReason, PhoneNumber, masked
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.calls.verdict import channel_language
from router.journal.difference import Comparison
from router.journal.hashing import caller_key, rollout_place
from router.journal.records import DecisionRecord
from router.journal.replay import facts_of
from router.rules.book import RuleBook, rules_from, source_of_text
from router.rules.document import Source
from router.rules.model import Decision, Facts, QueueState
from router.rules.recorded import Recogniser, RecordedCaller

KEY_OF = partial(caller_key, b"s" * 32)
HEAD = """\
timezone: Asia/Shanghai
age_bands: [{name: young, from: 0}, {name: old, from: 60}]
protected: []
speech: {unhurried: {rate: 0.85}, loud: {rate: 1.0, gain_db: 3}}
targets:
  people: {queue: agents}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
calendars: {office: {hours: "Mo-Fr 09:00-18:00", holidays: CN}, night: {hours: "22:00-06:00"}}
rules:
"""
TAIL = "  - {name: rest, then: {to: assistant}}\nfallback: {to: people}\n"
VIP = source_of_text("+8613900000001\n+86139000001*\n+4477009001*\n", "vip.txt")
NUMBERS = (
    "+8613900000001",
    "+8613900000011",
    "+8613900990011",
    "+8615812340001",
    "+447700900123",
    "+861012345",
    "+86123",
)
PATTERNS = ("vip.txt", "+8613900000001", "+447700900123", "+86139*", "+861390*", "+86139000000*", "+86*", "+861*", "+*")


def subsets(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


BOUNDS = ({"waiting_over": 0}, {"waiting_over": 2, "agents_free_under": 2}, {"longest_wait_under": "1m"})
CONDITIONS: dict[str, st.SearchStrategy[object]] = {
    "age_band": subsets("young", "old", "unknown"),
    "called": subsets("95500", "955*", "1*"),
    "caller": subsets(*PATTERNS),
    "anonymous": st.booleans(),
    "language": subsets("en", "en_GB", "zh"),
    "calendar": subsets("office", "night"),
    "outside_calendar": subsets("office", "night"),
    "choice": subsets("slower", "normal", "person", "none"),
    "rollout": st.sampled_from(["10%", "50%", "100%"]),
    "repeat": st.fixed_dictionaries({"calls": st.sampled_from([2, 3]), "within": st.sampled_from(["1m", "24h"])}),
    "queue": st.dictionaries(st.sampled_from(["people", "care"]), st.sampled_from(BOUNDS), min_size=1),
}
whens = st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CONDITIONS[name] for name in names})
)
thens = st.fixed_dictionaries(
    {"to": st.sampled_from(["people", "care", "assistant"])},
    optional={
        "head_start": st.sampled_from(["0s", "5m"]),
        "speech": st.sampled_from(["standard", "unhurried", "loud"]),
        "agent_label": st.just("60+"),
        "language": st.sampled_from(["zh", "en_GB"]),
        "note": st.just("seniors first"),
    },
)
numbers = st.sampled_from(NUMBERS) | st.from_regex(r"\+86139[0-9]{8}", fullmatch=True)
callers = st.builds(PhoneNumber, numbers) | st.builds(NoNumber, st.sampled_from(NoNumberReason), st.text(max_size=5))
states = st.builds(QueueState, st.integers(0, 5), st.integers(0, 90), st.integers(0, 3))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(  # noqa: DTZ001 - given its zone here
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
)
ago = st.sampled_from([0.0, 59.999, 60.0, 60.001]) | st.floats(0, 90_000).map(lambda seconds: round(seconds, 3))


CHOICES = (None, "", "slower", "slower:loud", "slower:gone", "normal:standard", "person", "slower:unhurried+person")


@st.composite
def situations(draw: st.DrawFn) -> Facts:
    """A call as the router sees one: its facts are as exact as the desk and the registry make them."""
    caller: Caller = draw(callers)
    return Facts(
        caller=caller,
        called=draw(st.sampled_from(["95500", "95519", "10086", "", "not known"])),
        language=draw(st.sampled_from(["en", "en_GB", "zh_CN", "zh_unhurried", "zh_loud", ""])),
        age_band=draw(st.sampled_from(["young", "old", None])),
        at=draw(moments),
        queues=draw(st.dictionaries(st.sampled_from(["agents", "senior-care"]), states)),
        earlier_calls_s=draw(st.none() | st.lists(ago, max_size=4).map(lambda every: tuple(sorted(every)))),
        choice=draw(st.sampled_from(CHOICES)),
        rollout=rollout_place(KEY_OF(caller.e164)) if isinstance(caller, PhoneNumber) else None,
    )


def lines_of(drawn: list[tuple[dict[str, object], dict[str, object]]]) -> list[str]:
    return [
        f"  - {json.dumps({'name': f'rule {number}', 'when': when, 'then': then})}\n"
        for number, (when, then) in enumerate(drawn)
    ]


def book_of(lines: list[str]) -> RuleBook:
    """The rules of these lines, without those that can never be reached, which are not loaded."""
    first = HEAD.count("\n") + 1
    while True:
        book, problems = rules_from(source_of_text(HEAD + "".join(lines) + TAIL), vip_list)
        if book is not None:
            return book
        wrong = {problem.line - first for problem in problems if problem.severity == "error"} & set(range(len(lines)))
        assume(wrong)  # the last rule is hidden by those before it
        lines = [line for number, line in enumerate(lines) if number not in wrong]


def vip_list(name: str) -> Source:
    assert name == VIP.file
    return VIP


def record_of(book: RuleBook, facts: Facts, decision: Decision, *, full_numbers: bool = False) -> DecisionRecord:
    """The record that the desk makes of a decision."""
    assert not isinstance(facts.caller, RecordedCaller)
    number = facts.caller.e164 if isinstance(facts.caller, PhoneNumber) else ""
    handled = Handled(
        facts.caller, applied=True, age_band=facts.age_band, band_source="registry", facts=facts, decision=decision
    )
    handled.language = channel_language(decision.language or facts.language, decision.speech, frozenset(book.speech))
    return decision_record(
        Request("1790000000.1", "1790000000.1", 1, "PJSIP/trunk-1", number, False, facts.called, facts.language),
        handled,
        node="pbx1",
        fallback="",
        book=book,
        caller_masked=masked(facts.caller),
        caller_key=KEY_OF(number) if number else "",
        full_caller=number if number and full_numbers else None,
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(whens, thens), max_size=6), st.lists(situations(), min_size=1, max_size=12), st.booleans())
def test_what_was_decided_is_decided_again_from_its_record(
    drawn: list[tuple[dict[str, object], dict[str, object]]], calls: list[Facts], full_numbers: bool
) -> None:
    book = book_of(lines_of(drawn))
    recogniser = Recogniser(KEY_OF)
    comparison = Comparison(book, recogniser=recogniser, spoken=channel_language)
    for facts in calls:
        decision = book.decide(facts)
        event(f"decided by {'the last rule' if decision.rule == 'rest' else 'one before the last'}")
        line = record_of(book, facts, decision, full_numbers=full_numbers).model_dump_json()
        again = book.decide(facts_of(orjson.loads(line), recogniser, book.version))
        assert again == decision
        # Other rules find out for themselves which calendars were open.
        assert book.decide(facts_of(orjson.loads(line), recogniser, "another")) == decision
        assert comparison.take(orjson.loads(line)) == ""
    found = comparison.result(frozenset({"young", "old"}))
    assert (found.compared, found.differ, found.changes, found.harmed) == (len(calls), 0, (), ())


@pytest.mark.parametrize("caller", [PhoneNumber("+8613900000001"), NoNumber(NoNumberReason.WITHHELD, "")])
def test_the_calendars_of_the_record_hold_for_its_own_rules_only(caller: Caller) -> None:
    """Holidays that were not known then are none of that decision's."""
    book = book_of(lines_of([({"calendar": ["office"]}, {"to": "people"})]))
    closed = Facts(caller, "95500", "zh", None, datetime(2026, 3, 1, 4, 0, tzinfo=UTC))
    fields = orjson.loads(record_of(book, closed, book.decide(closed)).model_dump_json()) | {"calendars": ["office"]}
    assert book.decide(facts_of(fields, Recogniser(KEY_OF), book.version)).rule == "rule 0"
    assert book.decide(facts_of(fields, Recogniser(KEY_OF), "another")).rule == "rest"


def test_a_record_without_the_moment_is_asked_for_the_moment_of_its_writing() -> None:
    book = book_of(lines_of([({"calendar": ["office"]}, {"to": "people"})]))
    at = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
    facts = Facts(PhoneNumber("+8613900000001"), "95500", "zh", None, at)
    fields = orjson.loads(record_of(book, facts, book.decide(facts)).model_dump_json())
    written = (at + timedelta(days=6)).isoformat()
    replayed = facts_of(fields | {"at": None, "time": written, "calendars": []}, Recogniser(KEY_OF), book.version)
    assert (replayed.at, replayed.calendars) == (at + timedelta(days=6), None)
    assert book.decide(replayed).rule == "rest", "a Sunday"
