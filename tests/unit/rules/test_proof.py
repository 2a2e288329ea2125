"""The proof against brute force: on small rule sets every possible call is tried with `RuleBook`'s own matching."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.callers.number import Caller, NoNumber, NoNumberReason, PhoneNumber
from router.rules import proof
from router.rules.calendars import Calendar, DayKind
from router.rules.examples import ProofTooLargeError
from router.rules.hours import Hours
from router.rules.model import ContextTarget, Facts, QueueState, QueueTarget, SpeechProfile
from router.rules.proof import prove
from router.rules.rule import Rule
from router.rules.schema import WhenEntry
from router.rules.when import conditions_of
from tests.unit.rules.problems import check_rules

BANDS = ("young", "old")
PERSON = QueueTarget("people", "agents", None)
MACHINE = ContextTarget("assistant", "assistant")
SPEECH = SpeechProfile("standard", 1.0, 0.0, 5.0, 0.0)

# Patterns use the digits 1 and 2 only, so that 3 stands for any other digit.
CALLED = ("1", "12", "1*", "11*", "2*", "112*")
CALLERS = ("+11111", "+11112", "+1*", "+1111*", "+11111*", "+2*", "+*")
LANGUAGES = ("en", "en_GB", "zh")


def rule(index: int, when: dict[str, object] | None, *, to_person: bool) -> Rule:
    entry = None if when is None else WhenEntry.model_validate(when)
    conditions = conditions_of(entry, lists={}, queues={"people": "agents"})
    return Rule(f"r{index}", conditions, PERSON if to_person else MACHINE, 0, SPEECH, "")


@cache
def every_call() -> list[Facts]:
    called = ["".join(digits) for n in range(5) for digits in product("123", repeat=n)]
    numbers = ("+11111", "+11112", "+111111", "+11113", "+11222", "+12222", "+22222", "+33333")
    callers: list[Caller] = [*(PhoneNumber(number) for number in numbers)]
    callers += [NoNumber(NoNumberReason.WITHHELD, ""), NoNumber(NoNumberReason.SHORT, "")]
    languages = ["en", "en_GB", "en_GB_x", "en_US", "zh", "fr"]
    at = datetime.fromtimestamp(0, UTC)
    return [
        Facts(caller, number, language, band, at)
        for caller, number, language, band in product(callers, called, languages, [*BANDS, None])
    ]


def subsets(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


whens = st.fixed_dictionaries(
    {},
    optional={
        "age_band": subsets((*BANDS, "unknown")),
        "called": subsets(CALLED),
        "caller": subsets(CALLERS),
        "anonymous": st.booleans(),
        "language": subsets(LANGUAGES),
    },
)


DAY = Calendar("day", Hours("Mo-Fr 09:00-21:00"), "CN", Hours("10:00-12:00"))
NIGHT = Calendar("night", Hours("21:00-09:00"))
WEEKEND = Calendar("weekend", Hours("Sa-Su"))
CALENDARS = (DAY, NIGHT, WEEKEND)


def moments() -> list[frozenset[str]]:
    """The sets of calendars open in some hour of two weeks, whatever kind of day each may be."""
    walls = [datetime(2026, 1, 5) + timedelta(hours=hour) for hour in range(14 * 24)]  # noqa: DTZ001 - wall clock
    kinds = [(wall, kind) for wall in walls for kind in DayKind if wall.weekday() > 4 or kind is not DayKind.WORKED]
    found = {
        frozenset(c.name for c in CALENDARS if c.open_on(wall, kind if c.region else DayKind.ORDINARY))
        for wall, kind in kinds
    }
    return sorted(found, key=sorted)


# For each condition below, every value of its fact that can make a difference.
VALUES: dict[str, list[dict[str, object]]] = {
    "age_band": [{"age_band": band} for band in (*BANDS, None)],
    "calendars": [{"calendars": is_open} for is_open in moments()],
    "choice": [
        {"choice": choice}
        for choice in (
            None,
            "",
            "slower",
            "slower:slow",
            "normal:standard",
            "person",
            "slower:slow+person",
            "normal+person",
        )
    ],
    "rollout": [{"rollout": place} for place in (None, 0.0, 4.99, 5.0, 10.0, 49.0, 50.0, 99.9)],
    "repeat": [
        {"earlier_calls_s": earlier}
        for earlier in (None, (), (60.0,), (61.0,), (50.0, 60.0), (50.0, 500.0), (500.0, 600.0), (600.0, 601.0))
    ],
    "queue": [
        {"queues": {} if state is None else {"agents": QueueState(*state)}}
        for state in [None, *product((0, 1, 3, 4, 9), (0, 59, 60, 61), (0, 1, 2))]
        if state is None or state[0] or not state[1]
    ],
}


def situations_for(drawn: list[tuple[dict[str, object], bool]]) -> list[Facts]:
    """Every call that differs in a fact that some rule asks for."""
    asked = {key.removeprefix("outside_") for when, _ in drawn for key in when}
    facts = ["age_band", *({"calendar": "calendars"}.get(key, key) for key in sorted(asked - {"age_band"}))]
    blank = Facts(NoNumber(NoNumberReason.SHORT, ""), "1", "en", None, datetime.fromtimestamp(0, UTC))
    every = product(*(VALUES[fact] for fact in facts))
    return [replace(blank, **{k: v for part in parts for k, v in part.items()}) for parts in every]  # type: ignore[arg-type]


situations = st.fixed_dictionaries(
    {},
    optional={
        "age_band": subsets((*BANDS, "unknown")),
        "calendar": subsets(("day", "night", "weekend")),
        "outside_calendar": subsets(("day", "night", "weekend")),
        "choice": subsets(("slower", "normal", "person", "none")),
        "rollout": st.sampled_from(["5%", "10%", "50%", "100%"]),
        "repeat": st.fixed_dictionaries({"calls": st.sampled_from([2, 3]), "within": st.sampled_from(["1m", "10m"])}),
        "queue": st.fixed_dictionaries(
            {},
            optional={
                "waiting_over": st.sampled_from([0, 3]),
                "waiting_under": st.sampled_from([1, 4]),
                "longest_wait_over": st.just("1m"),
                "longest_wait_under": st.just("1m"),
                "agents_free_under": st.sampled_from([1, 2]),
            },
        )
        .filter(bool)
        .map(lambda bounds: {"people": bounds}),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(whens, st.booleans()), max_size=5), st.booleans())
def test_the_proof_agrees_with_trying_every_call(drawn: list[tuple[dict[str, object], bool]], last: bool) -> None:
    agrees(drawn, every_call(), last=last)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(situations, st.booleans()), max_size=4), st.booleans())
def test_the_proof_agrees_with_trying_every_situation(drawn: list[tuple[dict[str, object], bool]], last: bool) -> None:
    while len({key for when, _ in drawn for key in when} - {"age_band"}) > 3:  # a space that can be gone through
        del drawn[-1]
    agrees(drawn, situations_for(drawn), last=last)


def agrees(drawn: list[tuple[dict[str, object], bool]], calls: list[Facts], *, last: bool) -> None:
    rules = [rule(index, when, to_person=person) for index, (when, person) in enumerate(drawn)]
    rules.append(rule(len(rules), None, to_person=last))

    reached: set[int] = set()
    taken: dict[int, set[str]] = {}
    hidden_by: dict[int, set[int]] = {index: set() for index in range(len(rules))}
    for call in calls:
        accepting = [index for index, one in enumerate(rules) if all(c.accepts(call) for c in one.conditions)]
        winner = accepting[0]
        reached.add(winner)
        for index in accepting:
            hidden_by[index].add(winner)
        if call.age_band == "old" and rules[winner].target is MACHINE:
            taken.setdefault(winner, set()).add("old")

    unreachable, unprotected = prove(rules, BANDS, ["old"], CALENDARS)
    assert {entry.rule: set(entry.hidden_by) for entry in unreachable} == {
        index: hidden_by[index] for index in range(len(rules)) if index not in reached
    }
    assert {entry.rule: set(entry.bands) for entry in unprotected} == taken


def test_a_prefix_is_used_up_only_by_all_that_begin_with_it() -> None:
    ten = [rule(0, {"called": [*(f"95{digit}*" for digit in range(10)), "95"]}, to_person=True)]
    rest = [rule(1, {"called": "95*"}, to_person=True), rule(2, None, to_person=True)]
    # A dialled number may go on with # or a letter: the ten digits are not everything.
    assert prove([*ten, *rest], BANDS, []) == ([], [])
    callers = [rule(0, {"caller": [f"+861{digit}*" for digit in range(10)]}, to_person=True)]
    rest = [rule(1, {"caller": "+861*"}, to_person=True), rule(2, None, to_person=True)]
    # A caller's number is digits only, and +861 itself is too short to be one.
    (hidden,) = prove([*callers, *rest], BANDS, [])[0]
    assert (hidden.rule, hidden.hidden_by) == (1, (0,))
    nine = [rule(0, {"caller": [f"+861{digit}*" for digit in range(9)]}, to_person=True)]
    assert prove([*nine, *rest], BANDS, [])[0] == []


@pytest.mark.parametrize(
    ("first", "second", "is_reached"),
    [
        # Three calls in a day, of which not all are of the last hour.
        ({"calls": 3, "within": "1h"}, {"calls": 3, "within": "24h"}, True),
        ({"calls": 3, "within": "24h"}, {"calls": 3, "within": "1h"}, False),
        ({"calls": 2, "within": "1h"}, {"calls": 3, "within": "24h"}, True),
        ({"calls": 3, "within": "1h"}, {"calls": 2, "within": "1h"}, True),
        ({"calls": 2, "within": "24h"}, {"calls": 3, "within": "1h"}, False),
    ],
)
def test_calls_within_a_longer_span_are_not_taken_to_be_within_a_shorter_one(
    first: dict[str, object], second: dict[str, object], *, is_reached: bool
) -> None:
    rules = [rule(0, {"repeat": first}, to_person=True), rule(1, {"repeat": second}, to_person=True)]
    unreachable, _ = prove([*rules, rule(2, None, to_person=True)], BANDS, [])
    assert [(hidden.rule, hidden.hidden_by) for hidden in unreachable] == ([] if is_reached else [(1, (0,))])


def test_the_example_is_a_call_that_the_rule_takes() -> None:
    rules = [
        rule(0, {"caller": "+8610*"}, to_person=True),
        rule(1, {"caller": "+86*", "called": "955*"}, to_person=False),
        rule(2, None, to_person=True),
    ]
    (gap,) = prove(rules, BANDS, ["old"])[1]
    assert gap.rule == 1
    assert gap.bands == ("old",)
    assert gap.example.startswith("caller +86")
    assert not gap.example.startswith("caller +8610")
    assert "called number 955" in gap.example


def _combined(rules: int, numbers: int) -> str:
    """Rules that each ask for other callers, other called numbers and another language."""
    lines = []
    for index in range(rules):
        callers = ", ".join(f'"+86{(index * 7 + n * n * 13) % 900 + 100}*"' for n in range(numbers))
        called = ", ".join(str((index * 11 + n * n * 17) % 900 + 100) for n in range(numbers))
        when = f"{{caller: [{callers}], called: [{called}], language: [l{'abcdefgh'[index % 8]}, en]}}"
        lines.append(f"  - {{name: r{index}, when: {when}, then: {{to: people}}}}\n")
    return (
        "timezone: Asia/Shanghai\nage_bands: [{name: young, from: 0}, {name: old, from: 60}]\nprotected: [old]\n"
        "targets: {people: {queue: agents}}\nrules:\n"
        + "".join(lines)
        + "  - {name: rest, then: {to: people}}\nfallback: {to: people}\n"
    )


def test_tangled_rules_are_proved_or_given_up_in_bounded_time() -> None:
    start = time.process_time()
    check_rules(_combined(60, 25))
    assert time.process_time() - start < 20


def test_giving_up_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "MAX_STEPS", 10)
    rules = [rule(0, {"called": ["1", "2"]}, to_person=True), rule(1, {"caller": "+1*"}, to_person=True)]
    with pytest.raises(ProofTooLargeError):
        prove([*rules, rule(2, None, to_person=True)], BANDS, ["old"])
    (problem,) = check_rules(_combined(3, 2))
    assert problem.severity == "error"
    assert "protected age bands first" in problem.message
