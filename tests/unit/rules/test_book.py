"""Rules files from text to decision; every mistake in testdata/ has its exact words beside it."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import Caller, NoNumber, NoNumberReason, PhoneNumber
from router.errors import ConfigurationError, Problem
from router.rules.book import RuleBook, load_rules, rules_from, source_of_text
from router.rules.document import read_source
from router.rules.model import ContextTarget, Facts, Overflow, QueueTarget, RuleTrace
from tests.unit.rules.problems import check_rules

TESTDATA = Path(__file__).parent / "testdata"
SHIPPED = Path(__file__).parents[3] / "config" / "routing.yaml"

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: young, from: 0}, {name: old, from: 60}]
protected: [old]
speech: {unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s, gain_db: 3}}
targets:
  people: {queue: agents}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
rules:
  - {name: old, when: {age_band: old}, then: {to: care, head_start: 5m, speech: unhurried, agent_label: "60+"}}
  - {name: anyone with the claims line, when: {called: [95519, 9551*], anonymous: false}, then: {to: people}}
  - {name: Beijing, when: {caller: ["+8610*", "+8613912345678"], language: zh}, then: {to: people}}
  - {name: unknown, when: {age_band: unknown}, then: {to: assistant}}
  - {name: rest, then: {to: assistant}}
fallback: {to: people}
"""


def book_of(text: str = RULES) -> RuleBook:
    book, problems = rules_from(source_of_text(text))
    assert book is not None, problems
    return book


def facts(
    caller: str | NoNumberReason = "+8613800000000",
    called: str = "10000",
    language: str = "en",
    age_band: str | None = "young",
    choice: str | None = None,
) -> Facts:
    who: Caller = NoNumber(caller, "") if isinstance(caller, NoNumberReason) else PhoneNumber(caller)
    return Facts(who, called, language, age_band, datetime(2026, 11, 23, 9, tzinfo=UTC), choice=choice)


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_mistake_is_reported_in_these_very_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TESTDATA)
    said = "".join(f"{problem}\n" for problem in check_rules(Path(path.name)))
    assert said == path.with_suffix(".errors").read_text(encoding="utf-8")
    assert said


def test_every_expected_text_has_its_file() -> None:
    assert {path.stem for path in TESTDATA.glob("*.errors")} == {path.stem for path in TESTDATA.glob("*.yaml")}


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_with_an_error_is_never_loaded_and_one_with_warnings_is(path: Path) -> None:
    severities = {problem.severity for problem in check_rules(path)}
    if "error" in severities:
        with pytest.raises(ConfigurationError) as raised:
            load_rules(path)
        assert list(raised.value.problems) == check_rules(path)
    else:
        assert load_rules(path).rules


def test_no_message_shows_the_words_of_pydantic_or_python() -> None:
    said = "".join(path.read_text(encoding="utf-8") for path in TESTDATA.glob("*.errors"))
    for word in ("Input should", "valid", "Extra inputs", " dict", " str ", "None", "Error", "Value error"):
        assert word not in said


def test_the_shipped_rules_have_no_problem_and_send_older_callers_to_people() -> None:
    assert check_rules(SHIPPED) == []
    book = load_rules(SHIPPED)
    for band in book.protected:
        decision = book.decide(facts(age_band=band))
        assert isinstance(decision.target, QueueTarget)
        assert decision.head_start_s >= 300
        assert decision.speech.rate < 1
    for other in ("minor", "adult", None):
        assert isinstance(book.decide(facts(age_band=other)).target, ContextTarget)
        assert book.decide(facts(age_band=other)).speech.rate == 1
        asked = book.decide(facts(age_band=other, choice="slower:slow+person"))
        assert isinstance(asked.target, QueueTarget)
        assert (asked.speech.name, asked.speech.menu_options) == ("slow", 2)


def test_the_shipped_rules_load_with_all_that_is_commented_out_too() -> None:
    commented = re.sub(
        r"^( *)# ?(calendars:|  open: |- name: |  when: |  then: )", r"\1\2", SHIPPED.read_text(), flags=re.M
    )
    book, problems = rules_from(source_of_text(commented), lambda name: source_of_text("+8613900000001", name))
    assert problems == []
    assert book is not None
    assert len(book.rules) > len(load_rules(SHIPPED).rules) + 4
    assert [calendar.name for calendar in book.calendars] == ["open"]


def test_the_version_begins_the_sha256_of_the_file() -> None:
    assert load_rules(SHIPPED).version == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:12]


def test_everything_in_the_file_reaches_the_decision() -> None:
    decision = book_of().decide(facts(age_band="old"))
    assert decision.rule == "old"
    assert decision.target == QueueTarget("care", "senior-care", Overflow(60, "people", "agents"))
    assert decision.head_start_s == 300
    assert decision.agent_label == "60+"
    speech = decision.speech
    assert (speech.name, speech.rate, speech.sentence_pause_s, speech.digit_timeout_s, speech.gain_db) == (
        "unhurried",
        0.85,
        0.4,
        8.0,
        3.0,
    )


@pytest.mark.parametrize(
    ("given_facts", "rule"),
    [
        (facts(age_band="old"), "old"),
        (facts(called="95519"), "anyone with the claims line"),
        (facts(called="9551"), "anyone with the claims line"),
        (facts(called="95510000"), "anyone with the claims line"),
        (facts(called="955"), "rest"),
        (facts(called="95519", caller=NoNumberReason.WITHHELD), "rest"),
        (facts(called="95519", caller=NoNumberReason.SHORT), "anyone with the claims line"),
        (facts(caller="+861012345678", language="zh_CN"), "Beijing"),
        (facts(caller="+8613912345678", language="zh"), "Beijing"),
        (facts(caller="+861012345678", language="zho"), "rest"),
        (facts(caller="+86139123456789", language="zh"), "rest"),
        (facts(age_band=None), "unknown"),
        (facts(), "rest"),
    ],
)
def test_the_first_rule_whose_conditions_all_hold_decides(given_facts: Facts, rule: str) -> None:
    assert book_of().decide(given_facts).rule == rule


def test_the_trace_says_which_condition_failed_and_what_it_saw_without_the_callers_number() -> None:
    decision = book_of().decide(facts(caller="+8613912345678", called="9", age_band=None))
    assert decision.trace == (
        RuleTrace("old", False, "age_band", "old", "unknown"),
        RuleTrace("anyone with the claims line", False, "called", "95519, 9551*", "9"),
        RuleTrace("Beijing", False, "language", "zh", "en"),
        RuleTrace("unknown", True),
    )
    other = book_of().decide(facts(caller="+8613800001111"))
    assert other.trace[2] == RuleTrace("Beijing", False, "caller", "+8610*, 1 listed number", "+86138****1111")


def test_the_fallback_is_people_at_standard_speech() -> None:
    decision = book_of().fallback_decision()
    assert decision.target == QueueTarget("people", "agents", None)
    assert (decision.speech.name, decision.speech.rate, decision.head_start_s) == ("standard", 1.0, 0)
    assert decision.trace == ()


@given(
    caller=st.one_of(
        st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True).map(PhoneNumber),
        st.builds(NoNumber, st.sampled_from(NoNumberReason), st.text()),
    ),
    called=st.one_of(st.text(), st.sampled_from(["95519", "9551", "95"])),
    language=st.one_of(st.text(), st.sampled_from(["zh", "zh_CN", "_", "en__"])),
    age_band=st.one_of(st.none(), st.text(), st.sampled_from(["young", "old"])),
)
def test_any_facts_get_a_decision_whose_trace_ends_with_its_rule(
    caller: Caller, called: str, language: str, age_band: str | None
) -> None:
    book = book_of()
    decision = book.decide(Facts(caller, called, language, age_band, datetime.fromtimestamp(0, UTC)))
    names = [rule.name for rule in book.rules]
    assert [entry.rule for entry in decision.trace] == names[: len(decision.trace)]
    assert [entry.matched for entry in decision.trace] == [False] * (len(decision.trace) - 1) + [True]
    assert decision.trace[-1].rule == decision.rule
    assert all(entry.failed for entry in decision.trace[:-1])


def test_a_profile_called_standard_may_be_redefined() -> None:
    book = book_of(RULES.replace("speech: {", "speech: {standard: {rate: 1.1}, "))
    assert book.decide(facts()).speech.rate == 1.1


def test_an_unreadable_file_is_one_problem_of_the_file_as_a_whole(tmp_path: Path) -> None:
    cases = {"missing.yaml": None, "binary.yaml": b"\0\1\2", "large.yaml": b"#" * 300_000}
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        (problem,) = check_rules(path)
        assert isinstance(read_source(path), Problem)
        assert (problem.line, problem.severity) == (0, "error")
    (problem,) = check_rules(tmp_path)
    assert "directory" in problem.message


def test_bytes_that_are_not_utf8_are_shown_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "gbk.yaml"
    path.write_bytes("timezone: Asia/Shanghai\nname: 老人\n".encode("gbk"))
    (problem,) = check_rules(path)
    assert (problem.line, problem.column) == (2, 7)
    assert "UTF-8" in problem.message


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + RULES.replace("\n", "\r\n").encode())
    assert check_rules(path) == []
    path.write_bytes(b"\xef\xbb\xbf" + RULES.replace("\n", "\r\n").replace("to: care", "to: cares").encode())
    (problem,) = check_rules(path)
    assert (problem.line, problem.column) == (10, 51)


def test_names_that_could_reach_into_the_dialplan_are_refused() -> None:
    for bad in ("a,b", 'a"', "a'", "${x}", "a;b", "a|b", "a)", "a\\b", "a\nb", "a\u202eb"):
        escaped = "".join(f"\\u{ord(c):04x}" for c in bad)
        for old in ('agent_label: "60+"', "queue: agents", "context: router-assistant"):
            key = old.partition(":")[0]
            (problem,) = check_rules(RULES.replace(old, f'{key}: "{escaped}"'))
            assert problem.severity == "error", (old, bad)
