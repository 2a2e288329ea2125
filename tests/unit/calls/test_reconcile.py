from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from asterisk.ami import Event, SimpleAction
from structlog.testing import capture_logs

from router.calls import reconcile as reconcile_module
from router.calls.choices import PACE_CHOSEN
from router.calls.desk import RING_SIZE
from router.calls.reconcile import greet, reconcile
from router.errors import AmiLinkLost, AmiRefused
from router.journal.records import DecisionRecord, Ending, OutcomeRecord

from .dialplan import TEXT, steps
from .rig import CALL, CHANNEL, ELDER, Rig, asks, earlier, hangs_up, working_desk
from .wire import user_event

NOW = 1_763_888_700
"""Asterisk's epoch second in these tests."""


def channel(uniqueid: str = CALL, name: str = CHANNEL, *, bridge: str = "", **variables: str) -> Event:
    """One channel as `Status` lists it, with those of its variables that were asked for."""
    return Event(
        "Status",
        {
            "Channel": name,
            "Uniqueid": uniqueid,
            "Linkedid": uniqueid,
            "BridgeID": bridge,
            "Variable": [f"{key}={value}" for key, value in variables.items()],
        },
    )


def a_call(state: str, uniqueid: str = CALL, name: str = CHANNEL, *, bridge: str = "", **more: str) -> Event:
    """A channel that went through our dialplan."""
    variables = {
        "ELDER_STATE": state,
        "ELDER_ASK": "1",
        "ELDER_ASKED": str(NOW),
        "ELDER_CALLER": "13912345678",
        "ELDER_CALLED": "95500",
        "ELDER_WHY": "deadline",
        "ELDER_QUEUE": "agents",
        "CHANNEL(language)": "en",
        "CALLERID(num-pres)": "allowed",
    }
    return channel(uniqueid, name, bridge=bridge, **variables | more)


def in_queue(uniqueid: str = CALL, queue: str = "agents", wait_s: int = 20) -> list[Event]:
    return [
        Event("QueueParams", {"Queue": queue}),
        Event("QueueMember", {"Queue": queue, "Name": "agent-7"}),
        Event("QueueEntry", {"Queue": queue, "Uniqueid": uniqueid, "Wait": str(wait_s)}),
    ]


def falls_back_unheard(
    rig: Rig, uniqueid: str, *, ask: int = 1, caller: str = "13912345678", presentation: str = "allowed_not_screened"
) -> None:
    """What `elder-note-fallback` leaves behind."""
    slot = int(rig.asterisk.variables.get("ELDER_FALLBACKS") or "0") + 1
    rig.asterisk.variables["ELDER_FALLBACKS"] = str(slot)
    rig.asterisk.variables[f"ELDER_FALLBACK_{slot % RING_SIZE}"] = (
        f"{uniqueid}|{ask}|{uniqueid}|{NOW}|heartbeat|{quote(caller, safe='')}|95500|en|{presentation}"
    )


async def make_good(rig: Rig, *status: Event, waiting: list[Event] | None = None, now: float = NOW + 1.0) -> None:
    rig.asterisk.lists = {"Status": list(status), "QueueStatus": waiting or []}
    await reconcile(rig.desk, rig.send, rig.send_for_list, now)
    await rig.settled()


def told_channels(rig: Rig) -> set[str]:
    """Channels that anything was sent to."""
    return {action.keys["Channel"] for action in rig.asterisk.asked if "Channel" in action.keys}


async def test_greeting_gives_asterisk_the_token_and_the_queue_of_people(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await greet(rig.desk, rig.send, "agents")
        assert rig.asterisk.variables == {"ELDER_TOKEN": rig.desk.token, "ELDER_FALLBACK_QUEUE": "agents"}


async def test_an_asterisk_that_refuses_the_greeting_is_complained_of(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.refuses = frozenset({"ELDER_TOKEN"})
        with pytest.raises(AmiRefused, match=r"No such channel.*write=call"):
            await greet(rig.desk, rig.send, "agents")


async def test_a_call_that_still_waits_is_answered_with_what_it_asked(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.bands["+8613900000001"] = "senior"
        waiting = a_call("asking", ELDER_CALLER=quote("+8613900000001"), ELDER_CALLED="955%2C19", ELDER_ASK="2")
        await make_good(rig, waiting)
        rig.clock.now_s += 9
        hangs_up(rig)
    assert rig.asterisk.set_on[CHANNEL][-1] == ("ELDER_TARGET", "senior-care")
    decision = rig.decision()
    assert (decision.ask, decision.called, decision.age_band, decision.applied) == (2, "955,19", "senior", True)
    assert decision.lookup_ms == 1000.0  # it had waited for a second
    assert rig.outcome().duration_s == 10.0


async def test_a_number_withheld_stays_so(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.bands[ELDER] = "elder"
        await make_good(rig, a_call("asking", **{"CALLERID(num-pres)": "prohib_not_screened"}))
    assert (rig.decision().caller, rig.decision().target) == ("anonymous", "assistant")


async def test_a_clock_of_asterisk_that_lags_is_no_negative_time(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await make_good(rig, a_call("asking"), now=NOW - 0.4)
    assert rig.decision().lookup_ms == 0.0


async def test_a_call_that_waited_too_long_is_not_answered_and_recorded_as_it_falls_back(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await make_good(rig, a_call("asking"), now=NOW + 1.95)
        assert told_channels(rig) == set()
        rig.desk.on_event(user_event("RouteFallback"))
        hangs_up(rig)
    assert (rig.decision().fallback, rig.decision().applied) == ("deadline", False)
    assert rig.outcome().fallback == "deadline"


async def test_a_call_that_fell_back_and_is_still_there_is_recorded_once_and_followed(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        falls_back_unheard(rig, CALL)
        for _ in range(2):
            await make_good(rig, a_call("fallback"), waiting=in_queue(wait_s=20))
        rig.clock.now_s += 5
        hangs_up(rig)
        await make_good(rig)
    assert told_channels(rig) == set()
    decision, outcome = rig.decision(), rig.outcome()
    assert (decision.fallback, decision.queue, decision.target) == ("deadline", "agents", "people")
    assert (outcome.ended, outcome.wait_s, outcome.queue) == (Ending.ABANDONED, 25.0, "agents")


async def test_calls_that_fell_back_and_ended_unheard_are_found_in_the_ring(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.variables |= {"ELDER_FALLBACKS": "41", "ELDER_FALLBACKS_SEEN": "41"}
        for number in range(3):
            falls_back_unheard(rig, f"{number}.1", caller="139\r\n|00000001")
        await make_good(rig)
        await make_good(rig)
        assert rig.desk.calls == {}
        assert rig.desk.last_slot == 44
    assert rig.asterisk.variables["ELDER_FALLBACKS_SEEN"] == "44"
    decisions, outcomes = rig.all_of(DecisionRecord), rig.all_of(OutcomeRecord)
    assert [record.uniqueid for record in decisions] == ["0.1", "1.1", "2.1"]
    assert {(record.fallback, record.applied, record.called) for record in decisions} == {("heartbeat", False, "95500")}
    assert [(record.uniqueid, record.ended) for record in outcomes] == [
        *(("0.1", Ending.UNSEEN), ("1.1", Ending.UNSEEN), ("2.1", Ending.UNSEEN)),
    ]
    assert {record.fallback for record in outcomes} == {"heartbeat"}


async def test_calls_that_fell_back_are_recorded_with_when_they_asked(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        falls_back_unheard(rig, "1763880000.1")  # made long before: it was somewhere else until it asked
        await make_good(rig, a_call("fallback"), now=NOW + 600.0)
        await rig.settled()
        hangs_up(rig)
    for record in rig.all_of(DecisionRecord):
        assert record.at is not None
        assert timedelta(seconds=600) <= record.time - record.at < timedelta(seconds=605)
    durations = {record.uniqueid: record.duration_s for record in rig.all_of(OutcomeRecord)}
    assert durations == {"1763880000.1": None, CALL: 600.0}


async def test_a_call_in_the_ring_without_a_time_is_recorded_without_one(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.variables |= {"ELDER_FALLBACKS": "1", "ELDER_FALLBACK_1": "7.1|1|7.1||heartbeat|1|2|en|allowed"}
        await make_good(rig)
    assert rig.decision().at is None


async def test_a_number_withheld_stays_so_in_the_ring(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        falls_back_unheard(rig, "0.1", presentation="prohib_not_screened")
        await make_good(rig)
    assert (rig.decision().caller, rig.decision().caller_key) == ("anonymous", "")


async def test_a_count_that_began_anew_without_a_restart_is_read_from_its_start(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.variables["ELDER_FALLBACKS_SEEN"] = "41"
        falls_back_unheard(rig, "0.1")
        await make_good(rig)
        assert rig.desk.last_slot == 1
    assert rig.decision().uniqueid == "0.1"


def slots_read(rig: Rig) -> list[int]:
    names = [action.keys["Variable"] for action in rig.asterisk.asked if action.name == "Getvar"]
    return [int(name.removeprefix("ELDER_FALLBACK_")) for name in names if name.startswith("ELDER_FALLBACK_")]


async def test_the_ring_is_read_across_its_end(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        start = 3 * RING_SIZE - 2
        rig.asterisk.variables |= {"ELDER_FALLBACKS": str(start), "ELDER_FALLBACKS_SEEN": str(start)}
        for number in range(4):
            falls_back_unheard(rig, f"{number}.1")
        await make_good(rig)
    assert slots_read(rig) == [RING_SIZE - 1, 0, 1, 2]
    assert [record.uniqueid for record in rig.all_of(DecisionRecord)] == ["0.1", "1.1", "2.1", "3.1"]


@pytest.mark.parametrize(("missed", "lost"), [(8, 0), (9, 1), (20, 12)])
async def test_of_more_fallbacks_than_the_ring_holds_the_last_are_read_and_the_loss_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missed: int, lost: int
) -> None:
    # A small ring wraps as a large one does.
    monkeypatch.setattr(reconcile_module, "RING_SIZE", 8)
    monkeypatch.setattr(reconcile_module, "_SLOTS_AT_ONCE", 3)
    async with working_desk(tmp_path) as rig:
        rig.asterisk.variables["ELDER_FALLBACKS"] = str(missed)
        for slot in range(1, missed + 1):
            rig.asterisk.variables[f"ELDER_FALLBACK_{slot % 8}"] = f"{slot}.1|1|{slot}.1|{NOW}|heartbeat|1|2|en|allowed"
        with capture_logs() as logs:
            await make_good(rig)
    assert [record.uniqueid for record in rig.all_of(DecisionRecord)] == [
        f"{slot}.1" for slot in range(missed - 7, missed + 1)
    ]
    assert [entry["lost"] for entry in logs if entry["event"] == "fallbacks lost"] == ([lost] if lost else [])


async def test_the_whole_ring_is_read_in_few_questions(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.variables |= {"ELDER_FALLBACKS": "5000", "ELDER_FALLBACKS_SEEN": "0"}
        await make_good(rig)
    assert len(slots_read(rig)) == RING_SIZE
    assert len(set(slots_read(rig))) == RING_SIZE
    assert rig.records() == []  # the slots were empty


async def test_after_asterisks_own_restart_the_count_begins_anew(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.desk.last_slot = 5000
        asks(rig, "0.1")
        await rig.settled()
        falls_back_unheard(rig, "1.1")
        await make_good(rig)
        assert rig.desk.last_slot == 1
    assert rig.asterisk.variables["ELDER_FALLBACKS_SEEN"] == "1"
    assert [record.uniqueid for record in rig.all_of(DecisionRecord)] == ["0.1", "1.1"]
    assert [(record.uniqueid, record.ended) for record in rig.all_of(OutcomeRecord)] == [
        *(("0.1", Ending.UNSEEN), ("1.1", Ending.UNSEEN)),
    ]


@pytest.mark.parametrize("count", ["", "0", "-1", "many", "9" * 30, "٣"])
async def test_a_count_that_is_none_reads_nothing(tmp_path: Path, count: str) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.variables["ELDER_FALLBACKS"] = count
        await make_good(rig)
        assert rig.desk.last_slot == 0
    assert slots_read(rig) == []


@pytest.mark.parametrize("slot", ["", "1.1", "1.1|1|1.1|5|why|caller|called|en", "a|b|c|d|e|f|g|h|i|j"])
async def test_a_damaged_place_in_the_ring_is_passed_over(tmp_path: Path, slot: str) -> None:
    async with working_desk(tmp_path) as rig:
        falls_back_unheard(rig, "0.1")
        rig.asterisk.variables["ELDER_FALLBACK_1"] = slot
        falls_back_unheard(rig, "2.1")
        await make_good(rig)
    assert rig.decision().uniqueid == "2.1"


async def test_what_the_journal_of_an_earlier_run_tells_of_is_not_told_again(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.desk.adopt([], frozenset({"0.1"}))
        falls_back_unheard(rig, "0.1")
        falls_back_unheard(rig, "1.1")
        await make_good(rig)
    assert rig.decision().uniqueid == "1.1"


async def test_a_call_decided_before_the_gap_that_fell_back_and_ended_in_it_has_one_set_of_records(
    tmp_path: Path,
) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.breaks = AmiLinkLost("the connection broke")
        asks(rig)
        await rig.settled()
        rig.asterisk.breaks = None
        falls_back_unheard(rig, CALL)
        await make_good(rig)
        await make_good(rig)
    assert (rig.decision().applied, rig.decision().not_applied_why) == (False, "the connection broke")
    assert (rig.outcome().ended, rig.outcome().fallback) == (Ending.UNSEEN, "heartbeat")


async def test_a_call_decided_before_the_gap_that_fell_back_in_it_is_known_to_have(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.breaks = AmiLinkLost("the connection broke")
        asks(rig)
        await rig.settled()
        rig.asterisk.breaks = None
        falls_back_unheard(rig, CALL)
        await make_good(rig, a_call("fallback"), waiting=in_queue())
        hangs_up(rig)
        assert rig.desk.counts.fell_back == 1
    assert not rig.decision().applied
    assert (rig.outcome().fallback, rig.outcome().queue) == ("deadline", "agents")


async def test_calls_that_ended_in_the_gap_are_told_to_be_over(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig, "0.1")
        asks(rig, "1.1")
        await rig.settled()
        rig.desk.adopt([earlier("2.1")], frozenset({"2.1"}))
        await make_good(rig, a_call("routed", "1.1"))
        assert set(rig.desk.calls) == {"1.1"}
    assert {record.uniqueid: record.ended for record in rig.all_of(OutcomeRecord)} == {
        "0.1": Ending.UNSEEN,
        "2.1": Ending.UNSEEN,
    }


async def test_a_call_that_ends_while_the_state_is_asked_for_has_one_outcome(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()

        def ends_it(action: SimpleAction) -> None:
            if action.name == "QueueStatus":
                hangs_up(rig)

        rig.asterisk.on_asked = ends_it
        await make_good(rig)
    assert rig.outcome().ended is Ending.HUNG_UP_EARLY


async def test_a_call_that_begins_while_the_state_is_asked_for_is_not_taken_for_over(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:

        def begins(action: SimpleAction) -> None:
            if action.name == "QueueStatus":
                asks(rig)

        rig.asterisk.on_asked = begins
        await make_good(rig)
        assert CALL in rig.desk.calls
    assert rig.decision().applied


async def test_a_conversation_begun_in_the_gap_is_followed_with_who_answered(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()
        before = len(rig.asterisk.asked)
        caller = a_call("routed", bridge="b1")
        agent = channel("2.2", "PJSIP/agent-7-0000002a", bridge="b1")
        await make_good(rig, agent, caller, channel("3.3", "PJSIP/other-00000001", bridge="b2"))
        assert told_channels(rig) == {CHANNEL}  # from its own request
        assert all("Channel" not in action.keys for action in rig.asterisk.asked[before:])
        rig.clock.now_s += 60
        hangs_up(rig)
    outcome = rig.outcome()
    assert (outcome.ended, outcome.answered_by, outcome.talk_s) == (Ending.ANSWERED, "agent-7", 60.0)


async def test_who_answered_before_the_gap_stays_the_one(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()
        rig.desk.calls[CALL].answered("agents", "PJSIP/first", rig.clock.now_s)
        rig.clock.now_s += 10
        await make_good(rig, a_call("routed", bridge="b"), channel("2.2", "PJSIP/second-1", bridge="b"))
        hangs_up(rig)
    assert (rig.outcome().answered_by, rig.outcome().talk_s) == ("PJSIP/first", 10.0)


async def test_a_routed_call_that_nobody_remembers_is_followed_and_left_alone(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await make_good(rig, a_call("routed"), waiting=in_queue(queue="senior-care", wait_s=7))
        assert told_channels(rig) == set()
        rig.clock.now_s += 3
        hangs_up(rig)
    assert rig.all_of(DecisionRecord) == []
    assert (rig.outcome().ended, rig.outcome().wait_s, rig.outcome().queue) == (Ending.ABANDONED, 10.0, "senior-care")


@pytest.mark.parametrize("state", ["routed", "fallback", "asking", "", "anything"])
async def test_nothing_is_sent_to_a_channel_that_does_not_wait_for_an_answer(tmp_path: Path, state: str) -> None:
    async with working_desk(tmp_path) as rig:
        old = a_call(state, ELDER_ASKED=str(NOW - 60))
        await make_good(rig, old, channel("7.7", "PJSIP/somebody-else"), waiting=in_queue())
    assert told_channels(rig) == set()
    assert {action.name for action in rig.asterisk.asked} <= {"Status", "QueueStatus", "Getvar", "Setvar"}


async def test_channels_that_never_came_to_our_dialplan_are_not_followed(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        stranger = Event("Status", {"Channel": "PJSIP/x-1", "Uniqueid": "7.7"})
        await make_good(rig, stranger, a_call("", "8.8"), channel("9.9", ELDER_ASK="1"))
        assert rig.desk.calls == {}
    assert rig.records() == []


async def test_a_request_in_hand_is_not_asked_twice(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.open.clear()
        asks(rig)
        rig.asterisk.lists = {"Status": [a_call("asking")], "QueueStatus": []}
        await reconcile(rig.desk, rig.send, rig.send_for_list, NOW + 1.0)
        rig.registry.open.set()
    assert rig.decision().applied


def test_the_state_that_is_asked_for_is_what_the_dialplan_keeps() -> None:
    for name in set(reconcile_module._OURS) - {PACE_CHOSEN}:  # which the router sets itself
        assert f"Set({name}=" in TEXT or not name.startswith("ELDER_")
    states = {step.partition("=")[2].rstrip(")") for step in steps("elder-ask") if "Set(ELDER_STATE=" in step}
    assert states == {"asking", "routed", "fallback"}


def test_the_ring_holds_what_is_read_from_it() -> None:
    (kept,) = [step for step in steps("elder-note-fallback") if "GLOBAL(ELDER_FALLBACK_$[" in step]
    assert kept.removesuffix(")").partition(")=")[2].split("|") == [
        *("${UNIQUEID}", "${ELDER_ASK}", "${CHANNEL(linkedid)}", "${ELDER_ASKED}", "${ELDER_WHY}"),
        *("${ELDER_CALLER}", "${ELDER_CALLED}", "${CHANNEL(language)}", "${CALLERID(num-pres)}"),
    ]


async def test_what_was_chosen_before_a_restart_is_in_the_outcome_record(tmp_path: Path) -> None:
    chose = {"ELDER_PACE_CHOSEN": "slower:slow", "ELDER_PERSON_CHOSEN": "yes", "CHANNEL(language)": "en_slow"}
    async with working_desk(tmp_path) as rig:
        rig.desk.adopt([earlier(CALL).model_copy(update={"speech": "unhurried", "fallback": ""})], frozenset())
        await make_good(rig, a_call("routed", **chose))
        hangs_up(rig)
    assert (rig.outcome().choice, rig.outcome().speech) == ("slower:slow+person", "slow")


@pytest.mark.parametrize(
    ("state", "believed", "variables", "choice", "speech"),
    [
        ("routed", "unhurried", {"CHANNEL(language)": "en_unhurried"}, "", "unhurried"),
        # Another journal's call: what it is spoken to in is told by its channel alone.
        ("routed", None, {"CHANNEL(language)": "zh_CN_slow", "ELDER_PERSON_CHOSEN": "yes"}, "person", "slow"),
        ("fallback", "", {"CHANNEL(language)": "en"}, "", ""),
        (
            "fallback",
            "",
            {"ELDER_PACE_CHOSEN": "normal:standard", "CHANNEL(language)": "en"},
            "normal:standard",
            "standard",
        ),
        # What is no choice of ours is none.
        ("routed", "standard", {"ELDER_PACE_CHOSEN": "faster", "CHANNEL(language)": "en"}, "", "standard"),
    ],
)
async def test_a_call_still_there_after_a_gap_tells_what_it_is_spoken_to_in_and_what_was_chosen(
    tmp_path: Path, state: str, believed: str | None, variables: dict[str, str], choice: str, speech: str
) -> None:
    async with working_desk(tmp_path) as rig:
        if believed is not None:
            decided = {"speech": believed, "applied": state == "routed", "fallback": ""}
            rig.desk.adopt([earlier(CALL).model_copy(update=decided)], frozenset())
        await make_good(rig, a_call(state, **variables))
        hangs_up(rig)
    assert (rig.outcome().choice, rig.outcome().speech) == (choice, speech)


async def test_a_choice_made_since_the_gap_is_later_than_what_the_channel_tells(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.desk.adopt([earlier(CALL).model_copy(update={"speech": "standard"})], frozenset())
        rig.desk.on_event(user_event("SpeechChoice", Call=CALL, Choice="normal", Turn="2", SpeechLanguage="en_slow"))
        await make_good(rig, a_call("routed", ELDER_PACE_CHOSEN="slower:slow", ELDER_PERSON_CHOSEN="yes"))
        hangs_up(rig)
    assert (rig.outcome().choice, rig.outcome().speech) == ("normal:standard+person", "standard")


async def test_what_a_call_chose_that_ended_in_the_gap_is_not_known_and_not_said_to_be_nothing(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.desk.adopt([earlier(CALL).model_copy(update={"speech": "unhurried"})], frozenset())
        await make_good(rig)
    assert (rig.outcome().ended, rig.outcome().choice, rig.outcome().speech) == (Ending.UNSEEN, None, None)


def test_the_dialplan_keeps_that_a_person_was_asked_for_wherever_it_tells_so() -> None:
    told = TEXT.count("Step: key,Detail: person)\n")
    assert told == TEXT.count("Step: key,Detail: person)\n same => n,Set(ELDER_PERSON_CHOSEN=yes)\n") == 3


async def test_a_variable_that_asterisk_lists_as_not_set_is_not_taken_for_a_value(tmp_path: Path) -> None:
    unset = {"ELDER_PACE_CHOSEN": "(null)", "ELDER_PERSON_CHOSEN": "(null)"}
    async with working_desk(tmp_path) as rig:
        rig.desk.adopt([earlier(CALL)], frozenset())
        await make_good(rig, a_call("routed", **unset), a_call("(null)", "2.2", "PJSIP/agent1-00000002", **unset))
        assert set(rig.desk.calls) == {CALL}, "the agent's phone made no call"
        hangs_up(rig)
    assert rig.outcome().choice == ""


async def test_nor_is_what_a_call_chose_known_that_ended_while_the_link_was_lost(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig, Caller=ELDER)
        await rig.settled()
        await make_good(rig)
    assert (rig.outcome().ended, rig.outcome().choice, rig.outcome().speech) == (Ending.UNSEEN, None, "standard")
