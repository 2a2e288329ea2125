from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from router.calls.verdict import channel_language
from router.errors import JournalError
from router.journal import difference as difference_module
from router.journal.difference import Comparison, Difference
from router.journal.harm import Harm, Outranked
from router.journal.hashing import caller_key
from router.rules.book import RuleBook, rules_from, source_of_text
from router.rules.recorded import Recogniser
from tests.unit.journal.samples import DECISION

KEY_OF = partial(caller_key, b"s" * 32)
HEAD = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: []
speech: {unhurried: {rate: 0.85}, clear: {rate: 0.9}}
targets:
  people: {queue: agents}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  patient: {queue: senior-care, overflow: {after: 61s, to: people}}
  closed: {queue: senior-care}
  apart: {queue: apart}
  busy: {queue: busy, overflow: {after: 1s, to: closed}}
  assistant: {context: router-assistant}
calendars: {office: {hours: "Mo-Fr 09:00-18:00"}}
rules:
"""
TAIL = "fallback: {to: people}\n"
SENIORS = "  - {name: seniors, when: {age_band: senior}, then: {to: care, head_start: 5m, speech: unhurried}}\n"
REST = "  - {name: rest, then: {to: assistant}}\n"
BASE = {
    **DECISION.model_dump(mode="json"),
    "channel_language": "zh",
    "agent_label": "",
    "queues": {},
    "earlier_calls_s": None,
    "choice": None,
    "calendars": [],
}
ASSISTANT = {
    "rule": "rest",
    "age_band": "adult",
    "target": "assistant",
    "queue": "",
    "context": "router-assistant",
    "head_start_s": 0,
    "speech": "standard",
    "channel_language": "zh",
    "overflow_s": None,
    "overflow_queue": "",
}
CARE = {
    "rule": "seniors",
    "age_band": "senior",
    "target": "care",
    "queue": "senior-care",
    "context": "",
    "head_start_s": 300,
    "speech": "unhurried",
    "channel_language": "zh_unhurried",
    "overflow_s": 60,
    "overflow_queue": "agents",
}
PEOPLE = {**CARE, "target": "people", "queue": "agents", "overflow_s": None, "overflow_queue": ""}


def rules(*lines: str) -> RuleBook:
    book, problems = rules_from(source_of_text(HEAD + "".join(lines) + TAIL))
    assert book is not None, problems
    return book


def recorded(*changes: dict[str, Any], number: str = "+8613900000001", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The fields of a decision that was made by `SENIORS` and `REST`, changed."""
    fields = {**BASE, "caller": "+86139****0001", "caller_key": KEY_OF(number)}
    for change in changes:
        fields |= change
    return fields | more


def compared(
    book: RuleBook,
    *decisions: dict[str, Any],
    protected: frozenset[str] = frozenset({"senior"}),
    known: frozenset[str] | None = None,
) -> Difference:
    """What comes out when the age bands `protected` are so, by the rules of that time."""
    comparison = Comparison(book, recogniser=Recogniser(KEY_OF), spoken=channel_language)
    for fields in decisions:
        assert comparison.take(dict(fields)) == ""
    return comparison.result(protected, known)


def test_callers_of_one_rule_who_chose_different_paces_are_told_apart() -> None:
    faster = SENIORS.replace("unhurried", "standard")
    chose = recorded(CARE, choice="slower:unhurried", speech_from="choice")
    found = compared(rules(faster, REST), recorded(CARE, choice=""), chose, recorded(CARE, choice=""))
    assert (found.compared, found.differ, found.faster) == (3, 2, 2)
    assert [change.calls.count for change in found.changes] == [2]


def test_what_the_rules_decide_alike_does_not_differ() -> None:
    found = compared(rules(SENIORS, REST), recorded(CARE), recorded(ASSISTANT), recorded(ASSISTANT, age_band=None))
    assert (found.compared, found.differ, found.changes, found.harmed) == (3, 0, (), ())
    assert [(band.band, band.is_protected, band.calls, band.differ) for band in found.bands] == [
        ("adult", False, 1, 0),
        ("senior", True, 1, 0),
        (None, False, 1, 0),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"target": "carers"},
        {"queue": "care"},
        {"head_start_s": 240},
        {"speech": "clear"},
        {"channel_language": "en_unhurried"},
        {"agent_label": "60+"},
        {"overflow_s": 90},
        {"overflow_queue": "others"},
        {"overflow_s": None, "overflow_queue": ""},
        {"queue": "", "context": "router-assistant"},
    ],
)
def test_every_part_of_a_route_that_differs_is_seen(change: dict[str, Any]) -> None:
    found = compared(rules(SENIORS, REST), recorded(CARE, change), recorded(CARE))
    assert (found.compared, found.differ) == (2, 1)
    (changed,) = found.changes
    told = {**change}
    if "channel_language" in told:
        told = {"language": "en"}
        assert changed.new.language == "zh"
    assert all(getattr(changed.old, name) == value for name, value in told.items())
    assert (changed.new.target, changed.new.queue, changed.new.head_start_s) == ("care", "senior-care", 300)


def test_the_language_is_that_of_the_caller_or_of_the_rule_whatever_the_profile() -> None:
    book = rules("  - {name: all, then: {to: people, speech: unhurried, language: zh}}\n")
    same = recorded(PEOPLE, language="en", channel_language="zh_unhurried", head_start_s=0)
    assert compared(book, same).differ == 0
    # It came with a profile's suffix, from an earlier request of the same call.
    again = rules("  - {name: all, then: {to: people, speech: clear}}\n")
    heard = recorded(PEOPLE, language="zh_unhurried", speech="clear", channel_language="zh_clear", head_start_s=0)
    assert compared(again, heard).differ == 0
    # Of another profile the language differs only in its suffix, which the profile tells already.
    (changed,) = compared(again, {**heard, "speech": "unhurried", "channel_language": "zh_unhurried"}).changes
    assert (changed.old.speech, changed.new.speech) == ("unhurried", "clear")
    assert (changed.old.language, changed.new.language) == ("", "")


def test_changes_are_counted_by_from_and_to_with_a_few_masked_calls_most_first() -> None:
    book = rules("  - {name: everybody, then: {to: people}}\n")
    many = [recorded(ASSISTANT, uniqueid=f"{n}.0", age_band=["adult", None][n % 2]) for n in range(10)]
    found = compared(book, *many, recorded(CARE))
    assert [(change.old.target, change.new.target, change.calls.count) for change in found.changes] == [
        ("assistant", "people", 10),
        ("care", "people", 1),
    ]
    examples = found.changes[0].calls.examples
    assert len(examples) == 3
    assert examples[0].caller == "+86139****0001"
    assert (examples[0].old_rule, examples[0].new_rule) == ("rest", "everybody")
    assert examples[0].time == datetime(2025, 11, 23, 9, 4, 5, 675_000, tzinfo=UTC)


def test_calls_that_no_rule_decided_are_counted_apart() -> None:
    found = compared(
        rules(SENIORS, REST),
        recorded(CARE, rule="", fallback="timeout", at=None),
        recorded(CARE, rule="", at=None),
        recorded(CARE, rule="fallback"),
        recorded(CARE, fallback="timeout"),  # decided, and too late
    )
    assert (found.compared, found.fell_back, found.undecided) == (1, 1, 2)


def test_the_time_asked_for_begins_at_since_and_ends_before_until() -> None:
    at = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    comparison = Comparison(
        rules(SENIORS, REST),
        recogniser=Recogniser(KEY_OF),
        spoken=channel_language,
        since=at,
        until=at + timedelta(seconds=2),
    )
    for second in range(-1, 4):
        moment = (at + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
        comparison.take(recorded(CARE, at=moment if second else None, time=moment))
    found = comparison.result(frozenset())
    assert (found.compared, found.elsewhen) == (2, 3)
    assert (found.first, found.last) == (at, at + timedelta(seconds=1))


def test_a_band_that_the_new_rules_do_not_define_is_not_known_to_them() -> None:
    book = rules("  - {name: lost, when: {age_band: unknown}, then: {to: people}}\n", SENIORS, REST)
    found = compared(book, recorded(CARE, age_band="elder"), recorded(CARE), protected=frozenset({"senior", "elder"}))
    assert [(band.band, band.is_defined, band.is_protected, band.differ) for band in found.bands] == [
        ("senior", True, True, 0),
        ("elder", False, True, 1),
    ]
    (harmed,) = found.harmed
    assert (harmed.band, harmed.new.queue) == ("elder", "agents")


def test_calendars_of_that_time_hold_for_the_rules_of_that_time_and_others_look_for_themselves() -> None:
    book = rules("  - {name: open, when: {calendar: office}, then: {to: people}}\n", REST)
    on_sunday = recorded(PEOPLE, head_start_s=0, speech="standard", channel_language="zh", calendars=["office"])
    assert compared(book, on_sunday | {"rules_version": book.version}).differ == 0
    assert compared(book, on_sunday).differ == 1


# What is not told


def test_what_the_new_rules_ask_for_in_vain_is_counted_once_a_decision() -> None:
    book = rules(
        "  - {name: r3, when: {repeat: {calls: 3, within: 24h}}, then: {to: people}}\n",
        "  - {name: r2, when: {repeat: {calls: 2, within: 1h}}, then: {to: people}}\n",
        "  - {name: chosen, when: {choice: person}, then: {to: people}}\n",
        "  - {name: calm, when: {queue: {care: {waiting_under: 3}}, age_band: senior}, then: {to: care}}\n",
        "  - {name: busy, when: {queue: {people: {waiting_over: 3}}}, then: {to: people}}\n",
        REST,
    )
    found = compared(
        book,
        recorded(ASSISTANT),
        recorded(ASSISTANT, earlier_calls_s=[], choice=""),
        recorded(ASSISTANT, earlier_calls_s=[], choice="", queues={"agents": [0, 0, 1]}),
        recorded(CARE, earlier_calls_s=[], choice="", queues={"senior-care": [5, 0, 1]}),
        # Nobody knows what went before of a caller without a number.
        recorded(ASSISTANT, caller="anonymous", caller_key="", queues={"agents": [0, 0, 1]}),
        # Their band decides before anything that is not known would.
        recorded(CARE, earlier_calls_s=[60.0, 120.0]),
    )
    assert {(what.field, what.target): what.calls for what in found.not_told} == {
        ("repeat", ""): 1,
        ("choice", ""): 1,
        ("queue", "people"): 3,
    }


def test_nothing_that_a_caller_says_passes_for_what_is_not_known() -> None:
    book = rules(
        "  - {name: other, when: {called: '1', queue: {people: {waiting_over: 3}}}, then: {to: people}}\n", REST
    )
    assert compared(book, recorded(ASSISTANT, called="not known")).not_told == ()


def test_decisions_from_before_the_moment_was_kept_are_counted_where_calendars_matter() -> None:
    open_first = "  - {name: open, when: {calendar: office}, then: {to: people}}\n"
    assert compared(rules(open_first, REST), recorded(ASSISTANT, at=None)).time_of_writing == 1
    assert compared(rules(open_first, REST), recorded(ASSISTANT)).time_of_writing == 0


# The gate


def test_who_loses_a_person_is_harmed() -> None:
    book = rules(REST)
    found = compared(book, recorded(CARE), recorded(CARE, age_band="adult"))
    (harmed,) = found.harmed
    assert (harmed.harm, harmed.band, harmed.calls.count) == (Harm.LOSES_PERSON, "senior", 1)
    assert (harmed.old.queue, harmed.new.context, harmed.new_ahead_s) == ("senior-care", "router-assistant", None)
    assert harmed.calls.examples[0].new_rule == "rest"


def test_who_was_with_the_assistant_before_loses_nobody() -> None:
    assert compared(rules(REST), recorded(ASSISTANT, age_band="senior")).harmed == ()


def test_a_smaller_head_start_is_harm_in_whatever_queue() -> None:
    less = SENIORS.replace("5m", "299s")
    for book in (rules(less, REST), rules(less.replace("care", "people"), REST)):
        (harmed,) = compared(book, recorded(CARE), recorded(ASSISTANT)).harmed
        assert (harmed.harm, harmed.old.head_start_s, harmed.new.head_start_s) == (Harm.SMALLER_HEAD_START, 300, 299)


def test_a_larger_head_start_or_another_queue_alone_is_none() -> None:
    for line in (SENIORS.replace("5m", "6m"), SENIORS.replace("care", "people")):
        assert compared(rules(line, REST), recorded(CARE), recorded(ASSISTANT)).harmed == ()


def test_others_with_a_larger_head_start_are_harm_to_those_whose_own_route_is_the_same() -> None:
    to_care = recorded(ASSISTANT, CARE, age_band="adult", rule="rest", head_start_s=60)
    others = "  - {name: rest, then: {to: care, head_start: %s, speech: unhurried}}\n"
    assert compared(rules(SENIORS, others % "60s"), recorded(CARE), to_care).harmed == ()
    assert compared(rules(SENIORS, others % "59s"), recorded(CARE), to_care).harmed == ()
    found = compared(rules(SENIORS, others % "10m"), recorded(CARE), to_care)
    assert found.differ == 1, "only the others are routed differently"
    (harmed,) = found.harmed
    assert (harmed.harm, harmed.band, harmed.calls.count) == (Harm.OTHERS_AHEAD, "senior", 1)
    assert (harmed.old_ahead_s, harmed.new_ahead_s) == (-240, 300)
    assert len(harmed.calls.examples) == 1


@pytest.mark.parametrize("line", ["{to: care}", "{to: care, head_start: 1s}", "{to: busy}"])
def test_others_who_come_into_a_queue_that_was_theirs_are_harm_whatever_their_head_start(line: str) -> None:
    book = rules(SENIORS, f"  - {{name: rest, then: {line}}}\n")
    (harmed,) = compared(book, recorded(CARE), recorded(ASSISTANT)).harmed
    assert (harmed.harm, harmed.queue, harmed.old_ahead_s) == (Harm.OTHERS_JOIN, "senior-care", None)
    assert harmed.new_ahead_s in {-300, -299}


@pytest.mark.parametrize("line", ["{to: people}", "{to: people, head_start: 10m}"])
def test_who_moves_out_of_a_queue_of_their_own_to_where_others_are_is_harmed(line: str) -> None:
    book = rules(SENIORS.replace("care", "people"), f"  - {{name: rest, then: {line}}}\n")
    (harmed,) = compared(book, recorded(CARE), recorded(ASSISTANT)).harmed
    assert (harmed.harm, harmed.new.queue, harmed.old_ahead_s) == (Harm.OTHERS_JOIN, "agents", None)


def test_who_moves_to_where_others_are_further_ahead_is_harmed() -> None:
    to_care = recorded(ASSISTANT, CARE, age_band="adult", rule="rest", head_start_s=0)
    book = rules(SENIORS.replace("care", "people"), "  - {name: rest, then: {to: people, head_start: 10m}}\n")
    (harmed,) = compared(book, recorded(CARE), to_care).harmed
    assert (harmed.harm, harmed.old_ahead_s, harmed.new_ahead_s) == (Harm.OTHERS_AHEAD, -300, 300)


def test_others_ahead_in_the_queue_that_they_overflow_into_are_harm_and_others_there_alone_are_none() -> None:
    others = "  - {name: rest, then: {to: people, head_start: %s}}\n"
    assert compared(rules(SENIORS, others % "0s"), recorded(CARE), recorded(ASSISTANT)).harmed == ()
    (harmed,) = compared(rules(SENIORS, others % "1s"), recorded(CARE), recorded(ASSISTANT)).harmed
    assert (harmed.harm, harmed.queue, harmed.new.queue) == (Harm.OTHERS_AHEAD, "agents", "senior-care")
    assert (harmed.old_ahead_s, harmed.new_ahead_s) == (-300, -299)


def test_of_bands_of_which_it_is_not_known_whether_they_are_protected_callers_are_others_to_each_other() -> None:
    to_care = recorded(ASSISTANT, CARE, age_band="adult", rule="rest", head_start_s=0)
    book = rules(SENIORS, "  - {name: rest, then: {to: care, head_start: 10m}}\n")
    both = frozenset({"senior", "adult"})
    assert compared(book, recorded(CARE), to_care, protected=both).harmed == ()
    (harmed,) = compared(book, recorded(CARE), to_care, protected=both, known=frozenset({"senior"})).harmed
    assert (harmed.harm, harmed.band) == (Harm.OTHERS_AHEAD, "senior")
    alone = rules("  - {name: line, when: {called: '1'}, then: {to: care, head_start: 1h}}\n", SENIORS, REST)
    (fellows,) = compared(alone, recorded(CARE), recorded(CARE, called="1"), known=frozenset()).harmed
    assert fellows.harm is Harm.FELLOWS_AHEAD, "whoever is of the same band is no other"


def test_who_gains_as_much_as_the_others_is_not_harmed() -> None:
    to_care = recorded(ASSISTANT, CARE, age_band="adult", rule="rest", head_start_s=0)
    book = rules(SENIORS.replace("5m", "7m"), "  - {name: rest, then: {to: care, head_start: 2m}}\n")
    assert compared(book, recorded(CARE), to_care).harmed == ()


def test_other_protected_bands_may_get_ahead_which_is_told_and_others_of_the_same_band_may_not() -> None:
    book = rules(
        "  - {name: known, when: {caller: '+8613900000002'}, then: {to: care, head_start: 1h}}\n",
        SENIORS,
        REST,
    )
    known = recorded(CARE, number="+8613900000002", caller="+86139****0002")
    (fellows,) = compared(book, recorded(CARE), known).harmed
    assert (fellows.harm, fellows.calls.count) == (Harm.FELLOWS_AHEAD, 1)
    assert (fellows.old_ahead_s, fellows.new_ahead_s) == (0, 3300)
    (others,) = compared(book, recorded(CARE), {**known, "age_band": "adult", "head_start_s": 0}).harmed
    assert others.harm is Harm.OTHERS_AHEAD
    elder = {**known, "age_band": "elder"}
    found = compared(book, recorded(CARE), elder, protected=frozenset({"senior", "elder"}))
    assert (found.harmed, found.outranked) == ((), (Outranked("senior", "senior-care", 1),))
    both = frozenset({"senior", "elder"})
    less = rules(
        "  - {name: known, when: {caller: '+8613900000002'}, then: {to: care, head_start: 1h}}\n",
        SENIORS.replace("5m", "4m"),
        REST,
    )
    worse = compared(less, recorded(CARE), elder, protected=both)
    assert ([each.harm for each in worse.harmed], worse.outranked) == ([Harm.SMALLER_HEAD_START], ())
    closer = rules(
        "  - {name: known, when: {caller: '+8613900000002'}, then: {to: care, head_start: 1m}}\n", SENIORS, REST
    )
    assert compared(closer, recorded(CARE), {**elder, "head_start_s": 0}, protected=both).outranked == ()
    # As it was before; and ahead of nobody.
    for same in ({"head_start_s": 3600}, {"age_band": "senior"}):
        again = compared(book, recorded(CARE), {**elder, **same}, protected=frozenset({"senior", "elder"}))
        assert again.outranked == ()


def test_callers_of_two_versions_wait_in_the_same_queues() -> None:
    """Of each version by itself nothing would be seen: the one decided seniors alone, the other only others."""
    others = recorded(ASSISTANT, CARE, age_band="adult", rule="rest", head_start_s=0, rules_version="b" * 12)
    book = rules(SENIORS, "  - {name: rest, then: {to: care, head_start: 30m}}\n")
    (harmed,) = compared(book, recorded(CARE, rules_version="a" * 12), others).harmed
    assert (harmed.harm, harmed.old_ahead_s, harmed.new_ahead_s) == (Harm.OTHERS_AHEAD, -300, 1500)


def test_what_a_version_that_is_over_gave_others_is_no_measure_for_those_whom_another_decided() -> None:
    others = recorded(ASSISTANT, CARE, age_band="adult", rule="rest", head_start_s=0, rules_version="b" * 12)
    by_a, by_b = recorded(CARE, rules_version="a" * 12), recorded(CARE, rules_version="b" * 12)
    too_much = {**others, "head_start_s": 3600, "rules_version": "a" * 12}
    book = rules(SENIORS, "  - {name: rest, then: {to: care, head_start: 1m}}\n")
    found = compared(book, by_a, too_much, by_b, others)
    assert found.versions == {"a" * 12: 2, "b" * 12: 2}
    (harmed,) = found.harmed
    assert (harmed.calls.count, harmed.old_ahead_s, harmed.new_ahead_s) == (1, -300, -240)


@pytest.mark.parametrize(
    ("to", "harm"),
    [
        ("care", None),
        ("patient", Harm.LATER_OVERFLOW),
        ("closed", Harm.LOSES_OVERFLOW),
        # At once where it led to.
        ("people", None),
    ],
)
def test_an_overflow_lost_or_later_is_harm(to: str, harm: Harm | None) -> None:
    found = compared(rules(SENIORS.replace("care", to), REST), recorded(CARE))
    assert [each.harm for each in found.harmed] == ([harm] if harm else [])


def test_who_is_spoken_to_faster_is_counted() -> None:
    book = rules(SENIORS.replace("speech: unhurried", "speech: clear"), REST)
    assert compared(book, recorded(CARE), recorded(CARE, speech="clear")).faster == 1
    assert compared(book, recorded(CARE), protected=frozenset()).faster == 0
    comparison = Comparison(book, recogniser=Recogniser(KEY_OF), spoken=channel_language)
    comparison.take(recorded(CARE, speech="clear", rules_version="a" * 12))
    slower, problems = rules_from(source_of_text(HEAD.replace("0.9", "0.8") + SENIORS + REST + TAIL))
    assert slower is not None, problems
    assert comparison.result(frozenset({"senior"}), None, {"a" * 12: slower}).faster == 1


# What is no decision


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"called": None}, "is no decision that can be replayed: "),
        ({"queues": None}, "is no decision that can be replayed: "),
        ({"age_band": ["senior"]}, "is no decision that can be replayed: "),
        ({"at": "yesterday"}, "is no decision that can be replayed: Invalid isoformat string: 'yesterday'"),
        ({"at": "2026-03-02T01:00:00"}, "is no decision that can be replayed: can't compare"),
        ({"caller_key": "not hex!"}, "is no decision that can be replayed: "),
        ({"caller_key": "", "caller": "?"}, "is no decision that can be replayed: '?' is missing or unknown"),
        ({"head_start_s": "300"}, "is no decision that can be replayed: head_start_s is no whole number"),
        ({"head_start_s": True}, "is no decision that can be replayed: head_start_s is no whole number"),
        ({"head_start_s": 2**62}, "is no decision that can be replayed: head_start_s is no whole number"),
        ({"overflow_s": "abc"}, "is no decision that can be replayed: overflow_s is no whole number"),
        ({"overflow_s": None}, "is no decision that can be replayed: it leads to no queue or context, or to both"),
        ({"queue": ""}, "is no decision that can be replayed: it leads to no queue or context, or to both"),
        ({"age_band": 5}, "is no decision that can be replayed: age_band is no text"),
        ({"rules_version": None}, "is no decision that can be replayed: rules_version is no text"),
        ({"target": 5}, "is no decision that can be replayed: target is no text"),
        ({"node": None}, "is no decision that can be replayed: node, uniqueid, caller, called or rule is no text"),
        ({"rule": 5}, "is no decision that can be replayed: node, uniqueid, caller, called or rule is no text"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "is no decision that can be replayed: it was made in no year from 2000"),
        ({"at": "9999-12-31T23:59:00-12:00"}, "is no decision that can be replayed: it was made in no year from 2000"),
        ({"full_caller": "123"}, "is no decision that can be replayed: an E.164 number is"),
    ],
)
def test_fields_that_are_none_of_a_decision_are_refused(change: dict[str, Any], why: str) -> None:
    comparison = Comparison(
        rules("  - {name: line, when: {called: '95*'}, then: {to: people}}\n", REST),
        recogniser=Recogniser(KEY_OF),
        spoken=channel_language,
    )
    assert comparison.take(recorded(CARE, change)).startswith(why)
    assert comparison.result(frozenset()).compared == 0


@pytest.mark.parametrize("name", ["called", "rule", "target", "rules_version", "caller_key", "node", "uniqueid"])
def test_a_missing_field_is_named(name: str) -> None:
    comparison = Comparison(rules(SENIORS, REST), recogniser=Recogniser(KEY_OF), spoken=channel_language)
    fields = recorded(CARE)
    del fields[name]
    assert comparison.take(fields) == f"is no decision that can be replayed: {name!r} is missing or unknown"
    found = comparison.result(frozenset({"senior"}))
    assert (found.compared, [(band.band, band.calls, band.refused) for band in found.bands]) == (0, [("senior", 0, 1)])
    assert comparison.bands == {"senior"}


def test_more_routes_than_rules_make_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference_module, "MAX_PAIRS", 2)
    comparison = Comparison(rules(SENIORS, REST), recogniser=Recogniser(KEY_OF), spoken=channel_language)
    for label in ("a", "b", "a"):
        comparison.take(recorded(CARE, agent_label=label))
    with pytest.raises(JournalError, match="more than 2 different pairs of routes"):
        comparison.take(recorded(CARE, agent_label="c"))
