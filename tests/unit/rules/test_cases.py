"""Cases from text to verdict; every mistake in testdata_cases/ has its exact words beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.errors import Problem
from router.rules.book import RuleBook, load_rules, rules_from, source_of_text
from router.rules.cases import Case, cases_from, check_cases, load_cases, rule_lines, run_cases
from router.rules.cases_schema import cases_schema, cases_schema_text
from router.rules.model import Facts, QueueState

CONFIG = Path(__file__).parents[3] / "config"
TESTDATA = Path(__file__).parent / "testdata_cases"

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
calendars: {open: {hours: "Mo-Fr 09:00-21:00"}}
rules:
  - name: older callers reach a person
    when: {age_band: senior}
    then: {to: care, head_start: 5m, speech: unhurried, agent_label: 60+, language: zh_CN, note: "over 60"}
  - {name: nobody is free, when: {queue: {people: {agents_free_under: 1}}}, then: {to: assistant}}
  - {name: "calls again", when: {repeat: {calls: 3, within: 1h}}, then: {to: people, overflow: {after: 90s, to: care2}}}
  - {name: chose a person, when: {choice: person}, then: {to: people}}
  - {name: Chinese from +8613, when: {language: zh, caller: "+8613*"}, then: {to: people}}
  - {name: in the roll-out, when: {rollout: 15%, calendar: open}, then: {to: people}}
  - {name: withheld, when: {anonymous: true, called: 95519}, then: {to: people}}
  - {name: everyone else, then: {to: assistant}}
fallback: {to: people}
""".replace("  care:", "  care2: {queue: other-care}\n  care:")


def book_of(text: str = RULES) -> RuleBook:
    book, problems = rules_from(source_of_text(text))
    assert book is not None, problems
    return book


BOOK = book_of()


def cases_of(text: str, book: RuleBook = BOOK) -> tuple[Case, ...]:
    cases, problems = cases_from(source_of_text(text, "cases"), book)
    assert cases is not None, problems
    return cases


def case_of(call: str, expect: str = "to: assistant", book: RuleBook = BOOK) -> Case:
    (case,) = cases_of(f"tests:\n  - name: it\n    call: {{{call}}}\n    expect: {{{expect}}}\n", book)
    return case


def differences(call: str, expect: str) -> list[tuple[str, str, str]]:
    (result,) = run_cases(BOOK, [case_of(call, expect)]).results
    assert result.passed is (not result.differences)
    return [(one.key, one.expected, one.got) for one in result.differences]


NOON = 'at: "2026-11-25 12:00"'
"""A Wednesday."""


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_mistake_is_reported_in_these_very_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TESTDATA)
    cases, problems = load_cases(Path(path.name), BOOK)
    said = "".join(f"{problem}\n" for problem in problems)
    assert said == path.with_suffix(".errors").read_text(encoding="utf-8")
    assert said
    assert cases is None
    assert check_cases(BOOK, Path(path.name)) == problems


def test_every_expected_text_has_its_file() -> None:
    assert {path.stem for path in TESTDATA.glob("*.errors")} == {path.stem for path in TESTDATA.glob("*.yaml")}


def test_no_message_shows_the_words_of_pydantic_or_python() -> None:
    said = "".join(path.read_text(encoding="utf-8") for path in TESTDATA.glob("*.errors"))
    for word in ("Input should", "valid", "Extra inputs", " dict", " str ", "None", "Error", "Value error"):
        assert word not in said


def test_a_time_that_the_clocks_leave_out_is_said_to_be_so() -> None:
    london = book_of(RULES.replace("Asia/Shanghai", "Europe/London"))
    text = 'tests: [{name: it, call: {at: "2026-03-29 01:30"}, expect: {to: assistant}}]'
    cases, problems = cases_from(source_of_text(text, "cases"), london)
    message = "the clocks of Europe/London are put forward over this time, so that it never comes; write another"
    assert problems == [Problem("cases", 1, 31, message)]
    assert cases is None
    assert cases_of(text, BOOK), "in Shanghai it comes"


def test_nothing_said_of_a_call_is_nothing_known_of_it() -> None:
    book = book_of(
        RULES.replace('calendars: {open: {hours: "Mo-Fr 09:00-21:00"}}\n', "").replace(", calendar: open", "")
    )
    case = case_of("", book=book)
    assert case.facts == Facts(NoNumber(NoNumberReason.SHORT, ""), "", "en", None, datetime.fromtimestamp(0, UTC))


def test_all_that_is_said_of_a_call_becomes_a_fact() -> None:
    facts = case_of(
        'caller: "+8613900000001", band: senior, called: 95519, at: "2026-11-25 12:00:30", language: zh, '
        "choice: slower, earlier_calls: [2h, 5m, 1500ms], rollout: 15.5%, "
        "queue: {care: {waiting: 12, longest_wait: 4m, agents_free: 1}}"
    ).facts
    assert facts.caller == PhoneNumber("+8613900000001")
    assert (facts.age_band, facts.called, facts.language, facts.choice) == ("senior", "95519", "zh", "slower")
    assert facts.at.isoformat() == "2026-11-25T12:00:30+08:00"
    assert facts.earlier_calls_s == (1.5, 300.0, 7200.0)
    assert facts.queues == {"senior-care": QueueState(12, 240, 1)}
    assert facts.rollout == 15.5
    assert case_of(f"anonymous: true, {NOON}").facts.caller == NoNumber(NoNumberReason.WITHHELD, "")
    assert case_of(f'anonymous: false, caller: "+8613900000001", {NOON}').facts.caller == PhoneNumber("+8613900000001")
    assert case_of(f"band: unknown, {NOON}").facts.age_band is None
    for said, known in (("none", ""), ("person", "person"), ("slower:slow+person", "slower:slow+person")):
        assert case_of(f"choice: {said}, {NOON}").facts.choice == known
    assert case_of(f"earlier_calls: [], {NOON}").facts.earlier_calls_s == ()


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        ("band: senior", "older callers reach a person"),
        ("queue: {people: {waiting: 1, longest_wait: 4m, agents_free: 0}}", "nobody is free"),
        ("queue: {care: {waiting: 1, longest_wait: 4m, agents_free: 0}}", "everyone else"),
        ("earlier_calls: [59m, 5m]", "calls again"),
        ("earlier_calls: [61m, 5m]", "everyone else"),
        ("choice: person", "chose a person"),
        ('language: zh_CN, caller: "+8613900000001"', "Chinese from +8613"),
        ("rollout: 14.99%", "in the roll-out"),
        ("rollout: 15%", "everyone else"),
        ("anonymous: true, called: 95519", "withheld"),
        ("called: 95519", "everyone else"),
    ],
)
def test_a_case_is_decided_as_a_call_would_be(call: str, rule: str) -> None:
    assert differences(f"{call}, {NOON}", f"rule: {rule}") == []


def test_a_calendar_goes_by_the_time_of_the_case_in_the_zone_of_the_rules() -> None:
    for at, rule in (("2026-11-25 20:59", "in the roll-out"), ("2026-11-25 21:00", "everyone else")):
        assert differences(f'rollout: 1%, at: "{at}"', f"rule: {rule}") == []


def test_what_is_as_expected_makes_no_difference() -> None:
    expect = (
        "to: care, rule: older callers reach a person, head_start: 5m, speech: unhurried, agent_label: 60+, "
        "language: zh_CN, overflow: {after: 60s, to: people}, note: over 60"
    )
    assert differences(f"band: senior, {NOON}", expect) == []
    nothing = 'head_start: 0s, speech: standard, agent_label: "", language: "", overflow: none, note: ""'
    assert differences(NOON, nothing) == []


def test_each_key_that_is_not_as_expected_is_told_in_words() -> None:
    expect = (
        "to: people, rule: everyone else, head_start: 90s, speech: standard, agent_label: none, language: zh, "
        'overflow: none, note: ""'
    )
    assert differences(f"band: senior, {NOON}", expect) == [
        ("to", "people", "care"),
        ("rule", '"everyone else"', '"older callers reach a person"'),
        ("head_start", "90s", "5m"),
        ("speech", "standard", "unhurried"),
        ("agent_label", '"none"', '"60+"'),
        ("language", '"zh"', '"zh_CN"'),
        ("overflow", "none", "{after: 1m, to: people}"),
        ("note", '""', '"over 60"'),
    ]
    assert differences(NOON, "overflow: {after: 60s, to: people}") == [("overflow", "{after: 1m, to: people}", "none")]
    assert differences(f"earlier_calls: [1m, 2m], {NOON}", "overflow: {after: 90s, to: people}") == [
        ("overflow", "{after: 90s, to: people}", "{after: 90s, to: care2}")
    ]


def test_rules_that_no_case_reaches_are_known_with_their_lines() -> None:
    cases = [case_of(f"band: senior, {NOON}"), case_of(f"anonymous: true, called: 95519, {NOON}"), case_of(NOON)]
    report = run_cases(BOOK, cases)
    assert report.unreached == (
        *("nobody is free", "calls again", "chose a person", "Chinese from +8613", "in the roll-out"),
    )
    assert [len(report.results), len(report.failed)] == [3, 2]
    lines = rule_lines(BOOK)
    for name, line in lines.items():
        assert f"name: {name}" in RULES.splitlines()[line - 1].replace('"', "")
    assert list(lines) == [rule.name for rule in BOOK.rules]


CASES = """\
tests:
  - name: an older caller reaches a person
    call: {band: senior, at: "2026-11-25 12:00"}
    expect: {to: care}

  - name: everyone has a head start
    call: {at: "2026-11-25 12:00"}
    expect: {to: care, head_start: 5m, rule: everyone else}
"""


def test_rules_that_fail_a_case_have_a_problem_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "routing-tests.yaml"
    path.write_text(CASES, encoding="utf-8")
    message = (
        'the case "everyone has a head start" expects `to` care, `head_start` 5m, and the rules decide assistant, 0s '
        '(rule "everyone else")'
    )
    assert check_cases(BOOK, path) == [Problem(str(path), 6, 11, message)]
    path.write_text(CASES.replace("to: care, head_start: 5m", "to: assistant"), encoding="utf-8")
    assert check_cases(BOOK, path) == []


def test_cases_need_not_be_there_but_must_be_readable(tmp_path: Path) -> None:
    path = tmp_path / "routing-tests.yaml"
    assert check_cases(BOOK, path) == []
    assert load_cases(path, BOOK) == (None, [Problem(str(path), 0, 0, "there is no such file; check the path")])
    path.mkdir()
    assert check_cases(BOOK, path) == [Problem(str(path), 0, 0, "this is a directory; name a file in it")]
    path.rmdir()
    path.write_bytes(b"\xff")
    assert [problem.line for problem in check_cases(BOOK, path)] == [1]


def test_whatever_a_case_holds_instead_there_are_problems_and_no_exception() -> None:
    odd = ("[]", "{}", "[a]", "{a: b}", "1", "1.5", "true", '""', "[[a]]", "[{a: b}]", "{a: {a: {a: b}}}")
    paths = ("call", "expect", "name", "call.queue", "call.queue.people", "call.at", "expect.overflow", "tests")
    keys = [*(f"call.{key}" for key in ("band", "caller", "called", "choice", "earlier_calls", "rollout", "anonymous"))]
    keys += [f"expect.{key}" for key in ("to", "rule", "head_start", "speech", "agent_label", "language", "note")]
    for path in (*paths, *keys):
        for value in odd:
            *outer, last = path.split(".")
            case = {"name": "it", "call": f"{{{NOON}}}", "expect": "{to: assistant}"}
            if last == "tests":
                text = f"tests: {value}"
            else:
                inner = f"{{{last}: {value}}}"
                for key in reversed(outer[1:]):
                    inner = f"{{{key}: {inner}}}"
                case[outer[0] if outer else last] = inner if outer else value
                text = "tests:\n  - " + "\n    ".join(f"{key}: {held}" for key, held in case.items())
            cases, problems = cases_from(source_of_text(text), BOOK)
            assert (cases is None) == bool(problems), text
            assert all(str(problem).isprintable() for problem in problems)


@given(st.text(max_size=200))
def test_any_text_ends_in_cases_or_in_problems(text: str) -> None:
    cases, problems = cases_from(source_of_text(text), BOOK)
    assert cases is None
    assert problems


def test_the_shipped_cases_pass_with_the_shipped_rules_and_reach_all_of_them() -> None:
    book = load_rules(CONFIG / "routing.yaml")
    cases, problems = load_cases(CONFIG / "routing-tests.yaml", book)
    assert problems == []
    report = run_cases(book, cases or ())
    assert report.failed == ()
    assert report.unreached == ()
    assert check_cases(book, CONFIG / "routing-tests.yaml") == []
    # Each way in which they say that older callers matter is noticed when it goes missing.
    text = (CONFIG / "routing.yaml").read_text(encoding="utf-8")
    for old, new in (("head_start: 8m, ", ""), ("head_start: 5m, ", ""), (", overflow: {after: 60s, to: people}", "")):
        assert old in text
        changed = book_of(text.replace(old, new))
        assert check_cases(changed, CONFIG / "routing-tests.yaml")


def test_the_published_schema_is_that_of_the_cases() -> None:
    published = (CONFIG / "routing-tests.schema.json").read_text(encoding="utf-8")
    assert published == cases_schema_text(), "run `make schema`"


def test_the_schema_is_of_what_people_write() -> None:
    schema = cases_schema()
    assert "null" not in json.dumps(schema)
    call = schema["$defs"]["CallEntry"]["properties"]
    assert call["rollout"]["type"] == "string"
    assert call["earlier_calls"]["items"]["type"] == "string"
    assert not {"ge", "le", "minimum", "maximum"} & call["earlier_calls"]["items"].keys(), "a bound on the seconds"
    assert {choice["type"] for choice in call["called"]["anyOf"]} == {"integer", "string"}
    assert "default" not in call["caller"]
