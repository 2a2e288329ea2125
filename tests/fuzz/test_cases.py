"""Whatever the rules, a case that expects what they decide passes, and one that expects anything else fails."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.rules.book import RuleBook, rules_from, source_of_text
from router.rules.cases import Case, cases_from, run_cases
from router.rules.durations import in_words
from router.rules.model import Decision, QueueTarget
from tests.unit.rules.test_proof import BANDS, CALLED, CALLERS, LANGUAGES, situations, whens

HEAD: dict[str, Any] = {
    "timezone": "Asia/Shanghai",
    "age_bands": [{"name": BANDS[0], "from": 0}, {"name": BANDS[1], "from": 60}],
    "protected": [],
    "speech": {"unhurried": {"rate": 0.85}},
    "targets": {
        "people": {"queue": "agents"},
        "senior": {"queue": "others"},
        "care": {"queue": "senior-care", "overflow": {"after": "60s", "to": "people"}},
        "assistant": {"context": "router-assistant"},
    },
    "calendars": {
        "day": {"hours": "Mo-Fr 09:00-21:00", "holidays": "CN", "holiday_hours": "10:00-12:00"},
        "night": {"hours": "21:00-09:00"},
        "weekend": {"hours": "Sa-Su"},
    },
    "fallback": {"to": "people"},
}
labels = st.text("abc 60+", max_size=5).map(str.strip)
thens = st.fixed_dictionaries(
    {"to": st.sampled_from(["people", "care", "assistant"])},
    optional={
        "head_start": st.sampled_from(["0s", "90s", "5m", "4h"]),
        "speech": st.sampled_from(["standard", "unhurried"]),
        "agent_label": labels.filter(bool),
        "language": st.sampled_from(["zh", "en_GB"]),
        "note": labels.filter(bool),
    },
)
overflows = st.one_of(st.none(), st.sampled_from(["30s", "2m"]))


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleBook:
    """Rules that can be loaded: what no call can reach is taken out again."""
    rules: list[dict[str, Any]] = []
    for number, when in enumerate(draw(st.lists(st.one_of(whens, situations).filter(bool), max_size=4))):
        then: dict[str, Any] = dict(draw(thens))
        after = draw(overflows)
        if after is not None and then["to"] == "people":
            then["overflow"] = {"after": after, "to": "senior"}
        rules.append({"name": f"rule {number}", "when": when, "then": then})
    rules.append({"name": "rest", "then": draw(thens)})
    while True:
        lines = [f"{key}: {json.dumps(value)}" for key, value in HEAD.items()] + ["rules:"]
        text = "\n".join([*lines, *(f"  - {json.dumps(rule)}" for rule in rules)])
        book, problems = rules_from(source_of_text(text))
        if book is not None:
            return book
        at_fault = {problem.line - len(lines) - 1 for problem in problems if problem.severity == "error"}
        last = len(rules) - 1
        if last in at_fault:  # what stands before it takes every call
            at_fault = {last - 1}
        assert at_fault
        assert at_fault <= set(range(last)), problems
        rules = [rule for index, rule in enumerate(rules) if index not in at_fault]


numbers = [pattern for pattern in CALLERS if not pattern.endswith("*")]
calls = st.fixed_dictionaries(
    {
        "at": st.builds(
            "2026-{:02}-{:02} {:02}:{:02}".format,
            st.integers(1, 12),
            st.integers(1, 28),
            st.integers(0, 23),
            st.sampled_from([0, 59]),
        )
    },
    optional={
        "band": st.sampled_from([*BANDS, "unknown"]),
        "called": st.sampled_from([pattern.rstrip("*") for pattern in CALLED] + ["3", "123"]),
        "language": st.sampled_from([*LANGUAGES, "zh_CN", "fr"]),
        "choice": st.sampled_from(["slower", "normal:standard", "person", "slower:slow+person", "none"]),
        "earlier_calls": st.lists(st.sampled_from(["30s", "1m", "5m", "10m", "2h"]), max_size=4),
        "rollout": st.sampled_from(["0%", "4.99%", "5%", "12%", "99.99%"]),
        "queue": st.fixed_dictionaries(
            {"waiting": st.sampled_from([1, 3, 4]), "longest_wait": st.sampled_from(["59s", "1m", "61s"])}
        ).flatmap(lambda state: st.integers(0, 2).map(lambda free: {"people": {**state, "agents_free": free}})),
    },
)
callers: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({"anonymous": True}),
    st.sampled_from([*numbers, "+22222", "+33333"]).map(lambda number: {"caller": number}),
)


def case_of(book: RuleBook, call: dict[str, Any], expect: dict[str, Any]) -> Case:
    text = json.dumps({"tests": [{"name": "it", "call": call, "expect": expect}]})
    cases, problems = cases_from(source_of_text(text), book)
    assert cases is not None, problems
    return cases[0]


def expectation(decision: Decision) -> dict[str, Any]:
    """Everything that a case can expect, as it was decided."""
    overflow = decision.target.overflow if isinstance(decision.target, QueueTarget) else None
    return {
        "to": decision.target.name,
        "rule": decision.rule,
        "head_start": in_words(decision.head_start_s),
        "speech": decision.speech.name,
        "agent_label": decision.agent_label,
        "language": decision.language,
        "overflow": "none" if overflow is None else {"after": in_words(overflow.after_s), "to": overflow.to},
        "note": decision.note,
    }


def others(book: RuleBook, key: str, value: object) -> list[object]:
    """What else a case could expect."""
    every: dict[str, list[object]] = {
        "to": list(book.targets),
        "rule": [rule.name for rule in book.rules],
        "head_start": ["0s", "1s", "3h"],
        "speech": list(book.speech),
        "agent_label": ["", "none", "61+"],
        "language": ["", "none", "en"],
        "overflow": ["none", {"after": "61s", "to": "people"}, {"after": "1m", "to": "senior"}],
        "note": ["", "none", "60 +"],
    }
    return [other for other in every[key] if other != value]


@given(rule_sets(), calls, callers, st.data())
def test_a_case_passes_exactly_when_it_expects_what_is_decided(
    book: RuleBook, call: dict[str, Any], caller: dict[str, Any], data: st.DataObject
) -> None:
    call = {**call, **caller}
    decision = book.decide(case_of(book, call, {"to": "people"}).facts)
    everything = expectation(decision)
    keys = data.draw(st.lists(st.sampled_from(list(everything)), min_size=1, unique=True))
    expect = {key: everything[key] for key in keys}

    report = run_cases(book, [case_of(book, call, expect)])
    assert report.failed == ()
    assert report.results[0].decision == decision
    assert set(report.unreached) == {rule.name for rule in book.rules} - {decision.rule}

    altered = data.draw(st.sampled_from(keys))
    for other in others(book, altered, everything[altered]):
        (failed,) = run_cases(book, [case_of(book, call, {**expect, altered: other})]).failed
        (difference,) = failed.differences
        assert difference.key == altered
        assert difference.expected != difference.got
