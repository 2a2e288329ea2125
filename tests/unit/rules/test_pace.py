from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.past import read_choice
from router.rules.book import RuleBook, rules_from, source_of_text
from router.rules.model import SpeechProfile
from router.rules.pace import next_slower, profile_after_key, reached_by_callers
from tests.unit.rules.test_conditions import FACTS

HEAD = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
speech: {unhurried: {rate: 0.85}, slow: {rate: 0.7, sentence_pause: 700ms}}
targets: {people: {queue: agents}}
rules:
"""
TAIL = """\
  - {name: seniors, when: {age_band: senior}, then: {to: people, speech: unhurried}}
  - {name: rest, then: {to: people}}
fallback: {to: people}
"""


def book_of(rule: str = "") -> RuleBook:
    book, problems = rules_from(source_of_text(f"{HEAD}{rule}{TAIL}"))
    assert book is not None, problems
    assert problems == []
    return book


def profile(name: str, rate: float) -> SpeechProfile:
    return SpeechProfile(name, rate, 0.0, 5.0, 0.0)


@pytest.mark.parametrize(
    ("band", "choice", "speech", "speech_from"),
    [
        ("senior", "", "unhurried", "rule"),
        ("senior", None, "unhurried", "rule"),
        ("senior", "slower:slow", "slow", "choice"),
        ("adult", "slower:slow", "slow", "choice"),
        ("senior", "normal:standard", "standard", "choice"),
        ("senior", "slower:slow+person", "slow", "choice"),
        ("senior", "person", "unhurried", "rule"),
        # The profile of the choice is no longer there, or was never named.
        ("senior", "slower:gone", "slow", "choice"),
        ("adult", "slower:gone", "unhurried", "choice"),
        ("adult", "slower", "unhurried", "choice"),
        ("senior", "normal:gone", "standard", "choice"),
        ("senior", "normal", "standard", "choice"),
        # What is not ours changes nothing.
        ("senior", "louder", "unhurried", "rule"),
    ],
)
def test_what_the_caller_chose_is_stronger_than_the_rule_of_their_age(
    band: str, choice: str | None, speech: str, speech_from: str
) -> None:
    decision = book_of().decide(replace(FACTS, age_band=band, choice=choice))
    assert (decision.speech.name, decision.speech_from) == (speech, speech_from)


def test_a_rule_for_callers_of_a_pace_says_itself_how_they_are_spoken_to() -> None:
    book = book_of("  - {name: slower, when: {choice: [slower, person]}, then: {to: people, speech: unhurried}}\n")
    decision = book.decide(replace(FACTS, choice="slower:slow"))
    assert (decision.rule, decision.speech.name, decision.speech_from) == ("slower", "unhurried", "rule")


def test_a_rule_for_callers_of_a_pace_that_says_nothing_of_speech_leaves_it_to_them() -> None:
    book = book_of("  - {name: slower, when: {choice: slower}, then: {to: people}}\n")
    decision = book.decide(replace(FACTS, choice="slower:slow"))
    assert (decision.rule, decision.speech.name, decision.speech_from) == ("slower", "slow", "choice")


def test_a_rule_that_took_a_caller_for_another_word_than_their_pace_leaves_that_to_them() -> None:
    book = book_of("  - {name: slower, when: {choice: [slower, person]}, then: {to: people, speech: unhurried}}\n")
    decision = book.decide(replace(FACTS, choice="normal:standard+person"))
    assert (decision.rule, decision.speech.name, decision.speech_from) == ("slower", "standard", "choice")


def test_a_rule_for_callers_who_want_a_person_leaves_their_pace_to_them() -> None:
    book = book_of("  - {name: asked, when: {choice: person}, then: {to: people}}\n")
    decision = book.decide(replace(FACTS, choice="slower:slow+person"))
    assert (decision.rule, decision.speech.name, decision.speech_from) == ("asked", "slow", "choice")


def test_slower_is_the_next_slower_profile_down_to_the_slowest() -> None:
    profiles = book_of().speech
    spoken = profiles["standard"]
    heard = []
    for _ in range(3):
        spoken = profile_after_key("slower", spoken, profiles)
        heard.append(spoken.name)
    assert heard == ["unhurried", "slow", "slow"]
    assert profile_after_key("normal", spoken, profiles).name == "standard"
    with pytest.raises(ValueError, match="no pace"):
        profile_after_key("louder", spoken, profiles)


rates = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e", "standard"]), st.sampled_from([0.5, 0.7, 0.85, 1.0, 1.2]), min_size=1
).map(lambda drawn: {"standard": 1.0} | drawn)


@given(rates, st.sets(st.sampled_from("abcde")))
def test_reached_by_callers_are_those_that_pressing_slower_again_and_again_leads_to(
    rates: dict[str, float], used: set[str]
) -> None:
    profiles = [profile(name, rate) for name, rate in rates.items()]
    reached = {p.name: p for p in profiles if p.name in used or p.name == "standard"}
    while new := {s.name: s for p in reached.values() if (s := next_slower(p, profiles)).name not in reached}:
        reached |= new
    assert reached_by_callers(used, rates) == frozenset(reached)


@given(st.sampled_from(["", "slower", "normal"]), st.sampled_from(["", "slow", "a-1"]), st.booleans())
def test_a_choice_is_read_as_it_was_written(pace: str, name: str, person: bool) -> None:
    text = "+".join(part for part in (f"{pace}:{name}" if pace and name else pace, "person" * person) if part)
    chosen = read_choice(text)
    assert chosen is not None
    assert (str(chosen), chosen.pace, chosen.person) == (text, pace, person)


@pytest.mark.parametrize(
    "text",
    [
        "slow",
        "slower:",
        "slower:Slow",
        "slower:" + "a" * 17,
        "slower+",
        "+person",
        "person+slower",
        "slower:a,b",
        "person\n",
        "slower:slow normal",
        "SLOWER",
        "slowerperson",
        "normal:standard+person+person",
    ],
)
def test_what_is_no_choice_of_ours_is_none(text: str) -> None:
    assert read_choice(text) is None


def test_a_later_pace_takes_the_place_of_an_earlier_one_and_a_person_stays() -> None:
    slower, normal, person = (read_choice(text) for text in ("slower:slow", "normal:standard", "person"))
    assert slower is not None
    assert normal is not None
    assert person is not None
    assert str(slower.joined(person)) == str(person.joined(slower)) == "slower:slow+person"
    assert str(slower.joined(person).joined(normal)) == "normal:standard+person"
