from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.calls.desk import ANSWER_WITHIN_S, RING_SIZE
from router.calls.verdict import (
    STANDARD_DIGIT_TIMEOUT_S,
    TARGET,
    USUAL_PACE,
    Variable,
    channel_language,
    pace_offered,
    profile_spoken,
    set_globally,
    set_on_channel,
    spoken_variables,
    variables,
)
from router.node import HEARTBEAT_S
from router.rules.model import ContextTarget, Decision, Overflow, QueueTarget, SpeechProfile, Target
from router.speech.profile import BASE_SENTENCE_PAUSE_S

from .dialplan import TEXT, sets, steps

STANDARD = SpeechProfile("standard", 1.0, 0.0, 5.0, 0.0)
UNHURRIED = SpeechProfile("unhurried", 0.85, 0.4, 8.0, 3.0, 0.25, 3)
SLOW = SpeechProfile("slow", 0.7, 0.7, 12.0, 3.0, 0.5, 2, True)
BY_NAME = {profile.name: profile for profile in (STANDARD, UNHURRIED, SLOW)}
PROFILES = frozenset(BY_NAME)
PEOPLE = QueueTarget("people", "agents", None)
SENIOR_CARE = QueueTarget("senior-care", "senior-care", Overflow(60, "people", "agents"))
ASSISTANT = ContextTarget("assistant", "router-assistant")

ASK = steps("elder-ask")
DEFAULTS = sets("elder-ask")
ASKS_AT = next(number for number, step in enumerate(ASK) if step.startswith("UserEvent(RouteRequest"))
SET_ANEW = {match[1] for step in ASK[:ASKS_AT] if (match := re.match(r"Set\((ELDER_\w+)=", step))}

names = st.from_regex(r"[A-Za-z0-9_-]{1,31}", fullmatch=True)
targets = st.one_of(
    st.builds(QueueTarget, names, names, st.none() | st.builds(Overflow, st.integers(1, 7200), names, names)),
    st.builds(ContextTarget, names, names),
)
profiles = st.builds(
    SpeechProfile,
    st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True),
    st.floats(0.5, 0.99),
    st.floats(0, 5),
    st.integers(1000, 60_000).map(lambda ms: ms / 1000),
    st.floats(-12, 12),
)
decisions = st.builds(
    Decision, names, targets, st.integers(0, 14_400), profiles, st.text(max_size=40), st.just(()), names
)


def decided(
    target: Target, *, head_start_s: int = 0, speech: SpeechProfile = STANDARD, agent_label: str = ""
) -> Decision:
    return Decision("a rule", target, head_start_s, speech, agent_label, (), "5f3a9c01d2e4")


def sent(decision: Decision, *, language: str = "en", language_now: str = "en") -> list[Variable]:
    profiles = BY_NAME | {decision.speech.name: decision.speech}
    return variables(decision, profiles, language=language, language_now=language_now, people_queue="agents")


def test_a_queue_is_sent_with_its_target() -> None:
    assert sent(decided(PEOPLE)) == [("ELDER_QUEUE", "agents"), ("ELDER_TARGET", "people")]


def test_a_context_is_sent_with_the_queue_in_which_a_person_is_reached_from_it() -> None:
    assert sent(decided(ASSISTANT)) == [
        ("ELDER_QUEUE", "agents"),
        ("ELDER_CONTEXT", "router-assistant"),
        ("ELDER_TARGET", "assistant"),
    ]


def test_everything_that_differs_from_the_dialplans_own_is_sent() -> None:
    decision = decided(SENIOR_CARE, head_start_s=300, speech=UNHURRIED, agent_label="60+")
    assert sent(decision, language="en_unhurried") == [
        ("CHANNEL(language)", "en_unhurried"),
        ("ELDER_QUEUE", "senior-care"),
        ("ELDER_OVERFLOW_S", "60"),
        ("ELDER_OVERFLOW_QUEUE", "agents"),
        ("ELDER_HEAD_START", "300"),
        ("ELDER_DIGIT_TIMEOUT", "8"),
        ("ELDER_SENTENCE_PAUSE", "0.65"),
        ("ELDER_MENU_OPTIONS", "3"),
        ("ELDER_PACE", "between"),
        ("ELDER_LABEL", "60+"),
        ("ELDER_TARGET", "senior-care"),
    ]


@pytest.mark.parametrize(("timeout_s", "text"), [(8.0, "8"), (7.5, "7.5"), (59.999, "59.999"), (1.0, "1")])
def test_a_timeout_is_written_as_people_write_it(timeout_s: float, text: str) -> None:
    speech = SpeechProfile("slow", 1.0, 0.0, timeout_s, 0.0)
    assert ("ELDER_DIGIT_TIMEOUT", text) in sent(decided(PEOPLE, speech=speech))


@pytest.mark.parametrize(
    ("spoken", "profiles", "pace"),
    [
        (STANDARD, BY_NAME, "usual"),
        (UNHURRIED, BY_NAME, "between"),
        (SLOW, BY_NAME, "slowest"),
        (STANDARD, {"standard": STANDARD}, "only"),
        (STANDARD, {"standard": STANDARD, "brisk": SpeechProfile("brisk", 1.2, 0.0, 5.0, 0.0)}, "only"),
    ],
)
def test_a_menu_offers_the_keys_that_change_something(
    spoken: SpeechProfile, profiles: dict[str, SpeechProfile], pace: str
) -> None:
    assert pace_offered(spoken, profiles) == pace


def test_another_profile_during_the_call_says_everything_anew() -> None:
    assert spoken_variables(SLOW, BY_NAME, language="zh_slow", language_now="zh_unhurried") == [
        ("CHANNEL(language)", "zh_slow"),
        ("ELDER_DIGIT_TIMEOUT", "12"),
        ("ELDER_SENTENCE_PAUSE", "0.95"),
        ("ELDER_MENU_OPTIONS", "2"),
        ("ELDER_PACE", "slowest"),
    ]
    assert spoken_variables(STANDARD, BY_NAME, language="zh", language_now="zh") == [
        ("ELDER_DIGIT_TIMEOUT", "5"),
        ("ELDER_SENTENCE_PAUSE", "0.25"),
        ("ELDER_MENU_OPTIONS", ""),
        ("ELDER_PACE", "usual"),
    ]


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("en", "standard"),
        ("en_slow", "slow"),
        ("zh_CN_unhurried", "unhurried"),
        ("zh_CN", "standard"),
        ("_slow", "standard"),
    ],
)
def test_the_profile_spoken_is_that_of_the_languages_suffix(language: str, name: str) -> None:
    assert profile_spoken(language, BY_NAME).name == name


def test_the_menu_asks_for_the_paces_that_are_told() -> None:
    asked = set(re.findall(r'"\$\{ELDER_PACE\}" = "(\w+)"', TEXT))
    told = {pace_offered(spoken, BY_NAME) for spoken in BY_NAME.values()} | {
        pace_offered(STANDARD, {"standard": STANDARD})
    }
    assert asked == told - {"between"}, "where both keys change something, both are offered"
    assert all(f"{pace} (" in TEXT.partition("[")[0] for pace in told)


@given(decisions, names, names)
def test_the_target_comes_last_and_once_and_nothing_is_sent_twice(
    decision: Decision, language: str, language_now: str
) -> None:
    wanted = sent(decision, language=language, language_now=language_now)
    sent_names = [name for name, _ in wanted]
    assert wanted[-1] == (TARGET, decision.target.name)
    assert len(set(sent_names)) == len(sent_names)


@given(decisions, names, names)
def test_every_variable_sent_is_one_that_the_dialplan_sets_anew_before_it_asks(
    decision: Decision, language: str, language_now: str
) -> None:
    wanted = {name for name, _ in sent(decision, language=language, language_now=language_now)}
    assert wanted - {"CHANNEL(language)"} <= SET_ANEW  # the language is told with the request instead


@given(decisions)
def test_what_equals_the_dialplans_default_is_not_sent(decision: Decision) -> None:
    for name, value in sent(decision)[:-1]:
        assert value != DEFAULTS[name] or name == "ELDER_QUEUE"


def test_the_dialplan_waits_for_the_variable_that_is_set_last() -> None:
    waits = [step for step in steps("elder-ask") if "WaitForCondition(" in step]
    assert waits
    assert all(f"#{{{TARGET}}}" in step for step in waits)


def test_the_dialplans_numbers_are_those_of_the_code() -> None:
    ask = sets("elder-ask")
    assert float(ask["ELDER_DIGIT_TIMEOUT"]) == STANDARD_DIGIT_TIMEOUT_S
    assert float(ask["ELDER_SENTENCE_PAUSE"]) == BASE_SENTENCE_PAUSE_S
    assert ask["ELDER_HEAD_START"] == "0"
    assert (ask["ELDER_MENU_OPTIONS"], ask["ELDER_PACE"]) == ("", USUAL_PACE)
    assert set(re.findall(r"% (\d+)\]", "".join(steps("elder-note-fallback")))) == {str(RING_SIZE)}
    waits_s = [float(s) for s in re.findall(r'"\],([\d.]+),[\d.]+\)', "\n".join(steps("elder-ask")))]
    assert sum(waits_s) == pytest.approx(1.9)
    assert sum(waits_s) > ANSWER_WITHIN_S
    # One heartbeat may be late, and Asterisk compares whole seconds.
    assert int(sets("elder-settings")["ELDER_STALE_S"]) >= 2 * HEARTBEAT_S + 1


def test_the_dialplan_says_of_itself_what_is_set() -> None:
    head = TEXT.partition("\n[")[0]
    told = set(re.findall(r"^;     (ELDER_\w+|CHANNEL\(language\)) ", f"{head}\n".replace("\n", " \n"), re.MULTILINE))
    everything = decided(SENIOR_CARE, head_start_s=300, speech=UNHURRIED, agent_label="60+")
    ours = {name for name, _ in [*sent(everything, language="x"), *sent(decided(ASSISTANT))]}
    assert told == ours | {"ELDER_TOKEN", "ELDER_HEARTBEAT", "ELDER_FALLBACK_QUEUE"}


@pytest.mark.parametrize(
    ("arrived_with", "speech", "language"),
    [
        ("en", UNHURRIED, "en_unhurried"),
        ("en", STANDARD, "en"),
        ("en_unhurried", UNHURRIED, "en_unhurried"),
        ("en_unhurried", STANDARD, "en"),
        ("en_standard", UNHURRIED, "en_unhurried"),
        ("zh_CN", UNHURRIED, "zh_CN_unhurried"),
        ("zh_CN_unhurried", UNHURRIED, "zh_CN_unhurried"),
        ("zh_CN_unhurried", STANDARD, "zh_CN"),
        ("en-GB", UNHURRIED, "en-GB_unhurried"),
    ],
)
def test_the_language_carries_the_profile_as_its_suffix(
    arrived_with: str, speech: SpeechProfile, language: str
) -> None:
    assert channel_language(arrived_with, speech, PROFILES) == language


@pytest.mark.parametrize("odd", ["", "_", "_unhurried", "../../etc", "en/x", "中文", "e", "en\r\n", "x" * 2000])
def test_a_language_that_is_none_stays_as_it_is(odd: str) -> None:
    assert channel_language(odd, UNHURRIED, PROFILES) == odd


@given(st.text(max_size=40), profiles)
def test_any_language_is_answered_and_asking_again_changes_nothing(arrived_with: str, speech: SpeechProfile) -> None:
    language = channel_language(arrived_with, speech, frozenset({speech.name}))
    assert channel_language(language, speech, frozenset({speech.name})) == language


def test_the_actions_set_one_channel_or_all() -> None:
    first, second = set_on_channel("PJSIP/x-1", [("A", "1"), ("B", "")])
    assert (first.name, first.keys) == ("Setvar", {"Channel": "PJSIP/x-1", "Variable": "A", "Value": "1"})
    assert second.keys == {"Channel": "PJSIP/x-1", "Variable": "B", "Value": ""}
    assert set_globally("G", "7").keys == {"Variable": "G", "Value": "7"}
