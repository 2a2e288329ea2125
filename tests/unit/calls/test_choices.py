from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing

from router.callers.number import PhoneNumber
from router.calls import choices
from router.calls.events import RouteRequested, read_event
from router.errors import AmiTimeout, RegistryError
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.rules.model import SpeechProfile

from .rig import CALL, CHANNEL, ELDER, Rig, asks, earlier, hangs_up, soon, working_desk
from .wire import TOKEN, queue_event, user_event

NUMBER = PhoneNumber(ELDER)


def chooses(rig: Rig, pace: str, turn: int = 1, *, language: str = "en", call: str = CALL) -> None:
    event = user_event("SpeechChoice", Call=call, Choice=pace, Turn=str(turn), SpeechLanguage=language)
    rig.desk.on_event(event)


def presses(rig: Rig, key: str, call: str = CALL) -> None:
    rig.desk.on_event(user_event("RouteStep", Call=call, Step="key", Detail=key))


async def in_hand(rig: Rig, band: str = "elder") -> None:
    rig.registry.bands[ELDER] = band
    asks(rig, Caller=ELDER)
    await rig.settled()
    rig.asterisk.set_on.clear()


async def test_slower_is_set_on_the_channel_with_the_answer_last_and_is_remembered_and_recorded(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        chooses(rig, "slower", language="en_unhurried")
        await soon(lambda: len(rig.registry.remembered) == 1)
        assert rig.asterisk.set_on == {
            CHANNEL: [
                ("CHANNEL(language)", "en_slow"),
                ("ELDER_DIGIT_TIMEOUT", "12"),
                ("ELDER_SENTENCE_PAUSE", "0.95"),
                ("ELDER_MENU_OPTIONS", "2"),
                ("ELDER_PACE", "slowest"),
                ("ELDER_PACE_CHOSEN", "slower:slow"),
                ("ELDER_CHOSEN_1", "changed"),
            ]
        }
        presses(rig, "person")
        await soon(lambda: len(rig.registry.remembered) == 2)
        hangs_up(rig)
    assert rig.registry.remembered == [(NUMBER, "slower:slow"), (NUMBER, "person")]
    outcome = rig.outcome()
    assert (outcome.keys, outcome.choice, outcome.speech) == (("slower", "person"), "slower:slow+person", "slow")


@pytest.mark.parametrize(
    ("pace", "language", "spoken", "answer", "speech"),
    [
        ("slower", "zh_CN", "zh_CN_unhurried", "changed", "unhurried"),
        ("slower", "en_slow", None, "slowest", "slow"),
        ("normal", "en_slow", "en", "usual", "standard"),
        ("normal", "en", None, "usual", "standard"),
    ],
)
async def test_each_key_leads_to_the_profile_it_should(
    tmp_path: Path, pace: str, language: str, spoken: str | None, answer: str, speech: str
) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        chooses(rig, pace, 3, language=language)
        await soon(lambda: CHANNEL in rig.asterisk.set_on)
        hangs_up(rig)
    set_on = dict(rig.asterisk.set_on[CHANNEL])
    assert set_on.get("CHANNEL(language)") == spoken
    assert set_on["ELDER_CHOSEN_3"] == answer
    assert rig.outcome().speech == speech


async def test_a_caller_without_a_number_is_answered_and_not_remembered(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig, Caller="anonymous", Presentation="prohib_not_screened")
        await rig.settled()
        chooses(rig, "slower")
        presses(rig, "person")
        await soon(lambda: ("ELDER_CHOSEN_1", "changed") in rig.asterisk.set_on[CHANNEL])
        hangs_up(rig)
    assert rig.registry.remembered == []
    assert rig.outcome().choice == "slower:unhurried+person"


async def test_pace_alone_is_no_service(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()
        rig.desk.on_event(user_event("RouteStep", Step="assistant", Detail="assistant"))
        chooses(rig, "slower")
        hangs_up(rig)
    assert rig.outcome().ended is Ending.HUNG_UP_EARLY


async def test_a_call_that_is_not_in_hand_is_answered_all_the_same(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        chooses(rig, "slower", call="9.9")
        await soon(lambda: CHANNEL in rig.asterisk.set_on)
    assert rig.registry.remembered == []


@pytest.mark.parametrize(("pace", "turn"), [("louder", 1), ("", 1), ("slower", 0), ("slower", 10**9)])
async def test_what_is_no_choice_is_refused(tmp_path: Path, pace: str, turn: int) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        chooses(rig, pace, turn)
    assert rig.asterisk.set_on == {}
    assert rig.desk.choices.counts.choices == 0


async def test_a_redis_that_hangs_holds_up_no_call_and_what_is_lost_is_counted_and_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "REMEMBER_WITHIN_S", 0.01)
    hangs = asyncio.Event()

    async def hang() -> None:
        await hangs.wait()

    with structlog.testing.capture_logs() as logged:
        async with working_desk(tmp_path) as rig:
            await in_hand(rig)
            rig.registry.remembers = hang
            chooses(rig, "slower")
            await soon(lambda: ("ELDER_CHOSEN_1", "changed") in rig.asterisk.set_on.get(CHANNEL, []))
            hangs_up(rig)
            await soon(lambda: rig.desk.choices.counts.choices_lost == 1)
            # Those of later callers are remembered again.
            rig.registry.remembers = None
            asks(rig, "2.2", Caller=ELDER)
            await rig.settled()
            presses(rig, "person", "2.2")
            await soon(lambda: bool(rig.registry.remembered))
            hangs_up(rig, "2.2")
    assert rig.registry.remembered == [(NUMBER, "person")]
    (lost,) = [entry for entry in logged if entry["event"] == "choice not remembered"]
    assert (lost["call"], lost["reason"]) == (CALL, "no answer from Redis within 0.01 s")
    assert ELDER not in str(logged)
    assert [outcome.choice for outcome in rig.all_of(OutcomeRecord)] == ["slower:unhurried", "person"]


@pytest.mark.parametrize("error", [RegistryError("refused"), RuntimeError("a mistake of ours")])
async def test_a_redis_that_refuses_loses_that_choice_alone(tmp_path: Path, error: Exception) -> None:
    async def fail() -> None:
        rig.registry.remembers = None
        raise error

    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        rig.registry.remembers = fail
        chooses(rig, "slower")
        await soon(lambda: rig.desk.choices.counts.choices_lost == 1)
        presses(rig, "person")
        await soon(lambda: bool(rig.registry.remembered))
    assert rig.registry.remembered == [(NUMBER, "person")]


async def test_what_waits_to_be_remembered_is_bounded_and_joined_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "MOST_TO_REMEMBER", 2)
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    async with working_desk(tmp_path) as rig:
        rig.registry.remembers = wait
        for number in range(4):
            asks(rig, f"{number}.1", Caller=f"+861391234567{number}")
        await rig.settled()
        presses(rig, "person", "0.1")
        await soon(lambda: not rig.desk.choices._to_remember)  # that one is under way
        for number in range(1, 4):
            presses(rig, "person", f"{number}.1")
        for turn in range(1, 31):
            chooses(rig, "slower" if turn % 2 else "normal", turn, call="1.1")
        assert rig.desk.choices.counts.choices_lost == 1
        gate.set()
        await soon(lambda: len(rig.registry.remembered) == 3)
    assert rig.registry.remembered == [
        (PhoneNumber("+8613912345670"), "person"),
        (PhoneNumber("+8613912345671"), "normal:standard+person"),
        (PhoneNumber("+8613912345672"), "person"),
    ]


async def test_too_many_keys_at_once_are_noted_and_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "MOST_ANSWERING", 1)
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        rig.asterisk.open.clear()
        chooses(rig, "slower")
        chooses(rig, "normal", 2)
        assert rig.desk.choices.counts.choices_unanswered == 1
        rig.asterisk.open.set()
        await soon(lambda: CHANNEL in rig.asterisk.set_on)
        hangs_up(rig)
    assert "ELDER_CHOSEN_2" not in dict(rig.asterisk.set_on[CHANNEL])
    assert rig.outcome().keys == ("slower", "normal")


@pytest.mark.parametrize("breaks", [AmiTimeout("no answer"), RuntimeError("a mistake of ours")])
async def test_an_asterisk_that_cannot_be_told_leaves_the_choice_recorded_and_remembered(
    tmp_path: Path, breaks: Exception
) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        rig.asterisk.breaks = breaks
        chooses(rig, "slower")
        await soon(lambda: rig.desk.choices.counts.choices_unanswered == 1)
        await soon(lambda: bool(rig.registry.remembered))
        hangs_up(rig)
    assert rig.outcome().choice == "slower:unhurried"


async def test_a_variable_that_asterisk_refuses_is_counted(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        rig.asterisk.refuses = frozenset({"CHANNEL(language)"})
        chooses(rig, "slower")
        await soon(lambda: rig.desk.choices.counts.choices_unanswered == 1)


async def test_profiles_are_those_of_the_rules_in_force_when_the_key_is_pressed(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        crawl = SpeechProfile("crawl", 0.6, 1.0, 20.0, 0.0)
        rig.book = replace(rig.book, speech={**rig.book.speech, "crawl": crawl})
        chooses(rig, "slower", language="en_slow")
        await soon(lambda: CHANNEL in rig.asterisk.set_on)
    assert ("CHANNEL(language)", "en_crawl") in rig.asterisk.set_on[CHANNEL]


async def test_a_call_of_an_earlier_run_is_remembered_once_its_number_is_known_again(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.desk.adopt([earlier(CALL).model_copy(update={"speech": "unhurried"})], frozenset())
        presses(rig, "person")
        assert rig.registry.remembered == []
        happened = read_event(user_event("RouteRequest", Call=CALL, Caller=ELDER), TOKEN)
        assert isinstance(happened, RouteRequested)
        rig.desk.identify(rig.desk.calls[CALL], happened.request)
        presses(rig, "person")
        await soon(lambda: bool(rig.registry.remembered))
        hangs_up(rig)
    # Before its channel has told, it is not known what it is spoken to in.
    assert (rig.outcome().choice, rig.outcome().speech) == ("person", None)


async def test_what_was_chosen_in_a_call_goes_on_when_it_is_transferred_back(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig, Caller="")  # nobody whose choice could be remembered
        await rig.settled()
        chooses(rig, "slower", language="en")
        asks(rig, Caller="", Ask="2", CallLanguage="en_unhurried")
        await rig.settled()
        hangs_up(rig)
    first, second = rig.all_of(DecisionRecord)
    assert (first.speech, first.speech_from, first.choice) == ("standard", "rule", None)
    assert (second.speech, second.speech_from, second.choice) == ("unhurried", "choice", "slower:unhurried")


async def test_a_later_choice_in_the_call_is_joined_to_what_was_remembered(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        rig.registry.choice = "slower:slow+person"
        chooses(rig, "normal", language="en_slow")
        asks(rig, Caller=ELDER, Ask="2")
        await rig.settled()
        hangs_up(rig)
    assert rig.all_of(DecisionRecord)[1].choice == "normal:standard+person"


async def test_the_wait_counts_from_the_first_joining_whatever_keys_are_pressed(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        for at_s, event in (
            (1, queue_event("QueueCallerJoin", queue="senior-care")),
            (11, user_event("SpeechChoice", Choice="slower")),
            (13, queue_event("QueueCallerJoin", queue="senior-care")),
            (21, queue_event("AgentConnect", queue="senior-care", MemberName="agent1")),
        ):
            rig.clock.now_s = 5000.0 + at_s
            rig.desk.on_event(event)
        hangs_up(rig)
    outcome = rig.outcome()
    assert (outcome.wait_s, outcome.keys, outcome.ended) == (20.0, ("slower",), Ending.ANSWERED)


async def test_closing_waits_for_what_is_being_remembered_and_not_for_ever(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    async with working_desk(tmp_path) as rig:
        await in_hand(rig)
        rig.registry.remembers = wait
        presses(rig, "person")
        await rig.desk.close(patience_s=0.01)
        assert rig.registry.remembered == []
        gate.set()
        await rig.desk.close(patience_s=5)
        assert rig.registry.remembered == [(NUMBER, "person")]


async def test_who_asks_for_slower_speech_where_there_is_none_has_not_chosen_the_standard(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await in_hand(rig, "adult")
        rig.book = replace(rig.book, speech={"standard": rig.book.speech["standard"]})
        chooses(rig, "slower")
        await soon(lambda: len(rig.registry.remembered) == 1)
        assert rig.asterisk.set_on[CHANNEL][-1] == ("ELDER_CHOSEN_1", "slowest")
        hangs_up(rig)
    assert rig.registry.remembered == [(NUMBER, "slower")]
    assert (rig.outcome().choice, rig.outcome().speech) == ("slower", "standard")
