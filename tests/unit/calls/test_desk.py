from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.callers.number import PhoneNumber
from router.calls import desk as desk_module
from router.calls.desk import ANSWER_WITHIN_S
from router.errors import AmiError, AmiLinkLost, AmiTimeout
from router.journal.reader import journal_tail
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.journal.writer import JournalWriter
from router.rules.book import RuleBook, load_rules, rules_from, source_of_text
from router.rules.model import QueueState

from .dialplan import ROOT
from .rig import BOOK, CALL, CHANNEL, ELDER, NODE, asks, earlier, hangs_up, soon, working_desk
from .wire import queue_event, user_event


async def test_an_older_caller_is_put_through_to_a_person_and_followed_to_the_end(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.bands[ELDER] = "elder"
        asks(rig)
        await rig.settled()
        assert rig.asterisk.set_on == {
            CHANNEL: [
                ("CHANNEL(language)", "en_unhurried"),
                ("ELDER_QUEUE", "senior-care"),
                ("ELDER_OVERFLOW_S", "60"),
                ("ELDER_OVERFLOW_QUEUE", "agents"),
                ("ELDER_HEAD_START", "480"),
                ("ELDER_DIGIT_TIMEOUT", "8"),
                ("ELDER_SENTENCE_PAUSE", "0.65"),
                ("ELDER_MENU_OPTIONS", "3"),
                ("ELDER_PACE", "between"),
                ("ELDER_LABEL", "75+"),
                ("ELDER_TARGET", "senior-care"),
            ]
        }
        rig.clock.now_s += 2
        rig.desk.on_event(queue_event("QueueCallerJoin", queue="senior-care"))
        rig.clock.now_s += 5
        rig.desk.on_event(queue_event("AgentConnect", queue="senior-care", MemberName="PJSIP/agent-7"))
        rig.clock.now_s += 30
        hangs_up(rig)
        assert rig.desk.calls == {}
    decision = rig.decision()
    assert (decision.node, decision.uniqueid, decision.ask) == (NODE, CALL, 1)
    assert (decision.caller, decision.caller_key, decision.full_caller) == ("+86139****5678", f"{5678:016x}", None)
    assert (decision.age_band, decision.band_source) == ("elder", "registry")
    assert decision.rule == "callers of 75 and over reach a person first"
    assert [(step.rule, step.matched) for step in decision.trace] == [(decision.rule, True)]
    assert (decision.target, decision.queue, decision.context) == ("senior-care", "senior-care", "")
    assert (decision.head_start_s, decision.speech, decision.agent_label) == (480, "unhurried", "75+")
    assert (decision.language, decision.channel_language) == ("en", "en_unhurried")
    assert decision.rules_version == BOOK.version
    assert (decision.applied, decision.not_applied_why, decision.fallback) == (True, "", "")
    assert None not in (decision.lookup_ms, decision.decide_ms, decision.apply_ms)
    outcome = rig.outcome()
    assert (outcome.ended, outcome.answered_by, outcome.queue) == (Ending.ANSWERED, "PJSIP/agent-7", "senior-care")
    assert (outcome.wait_s, outcome.talk_s, outcome.duration_s) == (5.0, 30.0, 37.0)
    assert (outcome.hangup_cause, outcome.speech, outcome.choice) == (16, "unhurried", "")


@pytest.mark.parametrize(
    ("age_s", "recorded"), [(27_941.25, 27_941.25), (None, None), (-2.0, 0.0)], ids=["known", "not-known", "clocks"]
)
@pytest.mark.parametrize("band", ["elder", None])
async def test_each_decision_says_how_old_the_registry_was(
    tmp_path: Path, band: str | None, age_s: float | None, recorded: float | None
) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.age_s = age_s
        if band is not None:
            rig.registry.bands[ELDER] = band
        asks(rig)
        await rig.settled()
    decision = rig.decision()
    assert (decision.age_band, decision.registry_age_s) == (band, recorded)


async def test_a_caller_nobody_knows_meets_the_assistant(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()
        rig.desk.on_event(user_event("RouteStep", Step="assistant", Detail="assistant"))
        rig.desk.on_event(user_event("RouteStep", Step="key", Detail="1"))
        hangs_up(rig, cause="0")
    assert rig.asterisk.set_on[CHANNEL] == [
        ("ELDER_QUEUE", "agents"),
        ("ELDER_CONTEXT", "router-assistant"),
        ("ELDER_TARGET", "assistant"),
    ]
    decision, outcome = rig.decision(), rig.outcome()
    assert (decision.age_band, decision.band_source, decision.context) == (None, "unknown", "router-assistant")
    assert (outcome.ended, outcome.keys, outcome.hangup_cause) == (Ending.SELF_SERVED, ("1",), None)


async def test_a_variable_that_asterisk_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.refuses = frozenset({"ELDER_CONTEXT"})
        asks(rig)
        await rig.settled()
        assert (rig.desk.counts.applied, rig.desk.counts.not_applied) == (0, 1)
    decision = rig.decision()
    assert not decision.applied
    assert decision.not_applied_why == "Asterisk refused ELDER_CONTEXT: No such channel"
    assert decision.apply_ms is not None


@pytest.mark.parametrize("error", [AmiTimeout("not answered within 2 s"), AmiLinkLost("Asterisk closed")])
async def test_an_asterisk_that_cannot_be_told_leaves_a_record_with_the_decision(
    tmp_path: Path, error: AmiError
) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.breaks = error
        asks(rig)
        await rig.settled()
        rig.asterisk.breaks = None
        asks(rig, "2.2")
    first, second = rig.all_of(DecisionRecord)
    assert (first.applied, first.not_applied_why, first.target) == (False, str(error), "assistant")
    assert second.applied


async def test_a_lookup_that_failed_decides_as_for_a_caller_nobody_knows(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.failure = "breaker open"
        asks(rig)
    decision = rig.decision()
    assert (decision.age_band, decision.band_source, decision.band_detail) == (None, "lookup_failed", "breaker open")
    assert (decision.target, decision.applied) == ("assistant", True)


async def test_a_band_that_the_rules_do_not_define_counts_as_unknown_and_is_named(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.bands[ELDER] = "methuselah" * 9
        asks(rig)
    decision = rig.decision()
    assert (decision.age_band, decision.band_source, decision.target) == (None, "unknown", "assistant")
    assert decision.band_detail == f"the registry says «{('methuselah' * 9)[:40]}», which the rules do not define"


async def test_a_withheld_number_is_neither_looked_up_nor_recorded(tmp_path: Path) -> None:
    async with working_desk(tmp_path, full_numbers=True) as rig:
        rig.registry.bands[ELDER] = "elder"
        asks(rig, Presentation="prohib_passed_screen")
        await rig.settled()
        assert PhoneNumber(ELDER) not in rig.registry.asked
    decision = rig.decision()
    assert (decision.caller, decision.caller_key, decision.full_caller) == ("anonymous", "", None)
    assert (decision.age_band, decision.band_source) == (None, "no_number")
    assert "13912345678" not in rig.path.read_text()


async def test_full_numbers_are_written_only_when_asked_for(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
    assert "13912345678" not in rig.path.read_text()
    (tmp_path / "full").mkdir()
    async with working_desk(tmp_path / "full", full_numbers=True) as rig:
        asks(rig)
    assert rig.decision().full_caller == ELDER


async def test_a_request_that_comes_twice_is_answered_once(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        asks(rig)
        await rig.settled()
        asks(rig)
        await rig.settled()
        assert rig.desk.counts.requests == 1
    assert len(rig.asterisk.set_on[CHANNEL]) == 3
    assert rig.decision().ask == 1


async def test_a_call_that_comes_back_by_a_transfer_is_decided_anew(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()
        rig.registry.bands[ELDER] = "senior"
        asks(rig, Ask="2", CallLanguage="en_unhurried")
        await rig.settled()
        asks(rig, Ask="1")
        hangs_up(rig)
    assert [(record.ask, record.target) for record in rig.all_of(DecisionRecord)] == [
        (1, "assistant"),
        (2, "senior-care"),
    ]
    assert rig.asterisk.set_on[CHANNEL][3] == ("ELDER_QUEUE", "senior-care")  # the language is right already
    assert rig.outcome().ask == 2


async def test_a_second_request_is_not_charged_with_the_fallback_of_the_first(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.desk.on_event(user_event("RouteFallback"))
        asks(rig, Ask="2")
    first, second = rig.all_of(DecisionRecord)
    assert (first.applied, first.fallback) == (False, "deadline")
    assert (second.ask, second.applied, second.fallback) == (2, True, "")


async def test_what_is_decided_too_late_is_not_sent(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.open.clear()
        asks(rig)
        await soon(lambda: bool(rig.registry.asked))
        rig.clock.now_s += ANSWER_WITHIN_S + 0.1
        rig.registry.open.set()
    assert rig.asterisk.asked == []
    decision = rig.decision()
    assert (decision.applied, decision.not_applied_why) == (False, "decided after 1.9 s, too late for the dialplan")
    assert (decision.lookup_ms, decision.apply_ms) == (1900.0, None)


async def test_a_fallback_before_any_request_was_seen_is_recorded_as_the_decision(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.bands = {"+8613912345678": "elder"}
        rig.desk.on_event(user_event("RouteFallback", Reason="heartbeat", Slot="12"))
        assert (rig.desk.last_slot, rig.desk.counts.fell_back) == (12, 1)
        asks(rig)  # the same request, come late
        hangs_up(rig)
    assert rig.asterisk.asked == []
    decision, outcome = rig.decision(), rig.outcome()
    assert (decision.applied, decision.not_applied_why) == (False, "the router was not asked")
    assert (decision.fallback, decision.target, decision.queue) == ("heartbeat", "people", "agents")
    assert (decision.rule, decision.caller) == ("", "+86139****5678")
    # Nothing was decided by it, but whoever counts older callers must not miss these.
    assert (decision.band_source, decision.age_band, decision.protected) == ("registry", "elder", True)
    assert (outcome.fallback, outcome.queue) == ("heartbeat", "agents")


async def test_fallbacks_beyond_what_can_be_looked_up_at_once_are_recorded_without_the_band(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.calls.unasked.MOST_UNRECORDED", 0)
    async with working_desk(tmp_path) as rig:
        rig.registry.bands = {"+8613912345678": "elder"}
        rig.desk.on_event(user_event("RouteFallback", Reason="heartbeat", Slot="12"))
    assert (rig.decision().fallback, rig.decision().band_source) == ("heartbeat", "not_asked")


async def test_a_fallback_after_the_decision_is_told_with_the_outcome(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()
        rig.desk.on_event(user_event("RouteFallback", Reason="no-such-context"))
        hangs_up(rig)
    assert (rig.decision().applied, rig.decision().fallback) == (True, "")
    assert (rig.outcome().fallback, rig.outcome().queue) == ("no-such-context", "agents")


async def test_a_decision_is_not_applied_when_the_call_fell_back_meanwhile(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.open.clear()
        asks(rig)
        await rig.asterisk.reached.wait()
        rig.desk.on_event(user_event("RouteFallback"))
        rig.asterisk.open.set()
        await rig.settled()
        assert rig.desk.counts.applied == 0
        hangs_up(rig)
    decision = rig.decision()
    assert (decision.applied, decision.fallback) == (False, "deadline")
    assert decision.not_applied_why == "the dialplan went on by itself: deadline"
    assert (rig.outcome().fallback, rig.outcome().queue) == ("deadline", "agents")


async def test_nothing_is_sent_to_a_call_that_fell_back_before_it_was_decided(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        rig.desk.on_event(user_event("RouteFallback"))
        await rig.settled()
    assert rig.asterisk.asked == []
    decision = rig.decision()
    assert (decision.applied, decision.not_applied_why) == (False, "the dialplan went on by itself: deadline")


async def test_a_call_that_an_earlier_run_sent_to_the_assistant_has_touched_it(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        sent = earlier("0.1").model_copy(update={"context": "router-assistant", "applied": True, "fallback": ""})
        rig.desk.adopt([sent, earlier("0.2")], frozenset())
        hangs_up(rig, "0.1")
        hangs_up(rig, "0.2")
    touched = {record.uniqueid: record.touched_assistant for record in rig.all_of(OutcomeRecord)}
    assert touched == {"0.1": True, "0.2": False}


async def test_a_queue_joined_before_asterisks_answer_is_read_stays_known(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.open.clear()
        asks(rig)
        await rig.asterisk.reached.wait()
        rig.desk.on_event(queue_event("QueueCallerJoin", queue="senior-care"))
        rig.asterisk.open.set()
        await rig.settled()
        hangs_up(rig)
    assert rig.outcome().queue == "senior-care"


async def test_the_outcome_of_a_call_that_ends_while_it_is_decided_comes_behind_the_decision(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.open.clear()
        asks(rig)
        await rig.asterisk.reached.wait()
        hangs_up(rig)
        rig.asterisk.open.set()
        await rig.settled()
        assert rig.desk.calls == {}
    assert [(record.record, record.uniqueid) for record in rig.records()] == [("decision", CALL), ("outcome", CALL)]
    assert journal_tail(rig.path).open == {}


async def test_too_many_requests_at_once_are_turned_away_and_recorded_as_they_fall_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "MOST_ROUTING", 2)
    async with working_desk(tmp_path) as rig:
        rig.registry.open.clear()
        for number in range(3):
            asks(rig, f"{number}.1")
        assert (rig.desk.counts.requests, rig.desk.counts.turned_away) == (2, 1)
        rig.registry.open.set()
        await rig.settled()
        rig.desk.on_event(user_event("RouteFallback", Call="2.1"))
        asks(rig, "3.1")  # there is room again
    assert [(record.uniqueid, record.applied) for record in rig.all_of(DecisionRecord)] == [
        *(("0.1", True), ("1.1", True), ("2.1", False), ("3.1", True)),
    ]


async def test_too_many_calls_in_hand_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "MOST_CALLS", 1)
    async with working_desk(tmp_path) as rig:
        asks(rig, "0.1")
        asks(rig, "1.1")
        await rig.settled()
        hangs_up(rig, "0.1")
        asks(rig, "2.1")
        await rig.settled()
        assert rig.desk.counts.turned_away == 1
    assert [record.uniqueid for record in rig.all_of(DecisionRecord)] == ["0.1", "2.1"]


async def test_an_error_in_one_calls_routing_is_that_calls_alone(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.breaks_on = "+8613900000001"
        with capture_logs() as logs:
            asks(rig, "0.1")
            asks(rig, "1.1", Caller="13900000001")
            asks(rig, "2.1")
            await rig.settled()
    decisions = {record.uniqueid: record for record in rig.all_of(DecisionRecord)}
    assert {uniqueid: record.applied for uniqueid, record in decisions.items()} == {
        "0.1": True,
        "1.1": False,
        "2.1": True,
    }
    assert decisions["1.1"].not_applied_why == "an error in the router; see its log"
    assert [entry["call"] for entry in logs if entry["event"] == "call not routed"] == ["1.1"]


class BreaksOnOne(JournalWriter):
    """Raises what no journal should, for one call."""

    def write(self, record: DecisionRecord | OutcomeRecord) -> bool:  # type: ignore[override]
        if record.uniqueid == "1.1":
            raise RuntimeError("no journal does this")
        return super().write(record)


async def test_an_error_in_recording_one_call_leaves_the_others_routed(tmp_path: Path) -> None:
    async with working_desk(tmp_path, journal=BreaksOnOne(tmp_path / "journal.jsonl")) as rig:
        with capture_logs() as logs:
            asks(rig, "1.1", channel="PJSIP/one", Caller="13900000001")
            asks(rig, "2.1")
            await rig.settled()
    assert set(rig.asterisk.set_on) == {"PJSIP/one", CHANNEL}
    assert rig.decision().uniqueid == "2.1"
    assert "decision not recorded" in [entry["event"] for entry in logs]


async def test_the_rules_are_asked_with_what_is_known_and_the_record_holds_it(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.book = book_with("when: {repeat: {calls: 2, within: 10m}, queue: {people: {waiting_over: 3}}}, ")
        rig.registry.bands["+8613912345678"] = "adult"
        rig.registry.earlier_calls_s, rig.registry.choice = (120.5,), "person"
        rig.desk.see_queues({"agents": QueueState(4, 61, 0)})
        asks(rig)
        await rig.settled()
        rig.clock.now_s += 5.0
        asks(rig, "2.2")
        await rig.settled()
    first, second = rig.all_of(DecisionRecord)
    assert (first.rule, first.note, first.overflow_s, first.overflow_queue) == (
        "special",
        "for the record",
        30,
        "agents",
    )
    assert first.queues == {"agents": (4, 61, 0)}
    assert (first.earlier_calls_s, first.choice) == ((120.5,), "person")
    (visit, _) = rig.registry.visits
    assert visit is not None
    assert (visit.call, visit.within_s) == (f"{NODE}/{CALL}", 600.0)
    assert abs(visit.at - time.time()) < 60
    assert first.at is not None
    assert timedelta(0) <= first.time - first.at < timedelta(seconds=5)
    assert ("CHANNEL(language)", "zh") in rig.asterisk.set_on[CHANNEL]
    assert second.queues == {}, "what was seen too long ago is not known"
    assert second.trace[0].saw == "people: not known"


async def test_a_roll_out_takes_the_same_callers_every_time_and_nobody_without_a_number(tmp_path: Path) -> None:
    low, high = "13900000001", "13900000002"

    def key(number: PhoneNumber) -> str:
        return "1000000000000000" if number.e164.endswith("1") else "f000000000000000"  # places 6.25 and 93.75

    async with working_desk(tmp_path, caller_key=key) as rig:
        rig.book = book_with("when: {rollout: 10%}, ")
        for number, caller in enumerate((low, high, low, "anonymous")):
            asks(rig, f"{number}.1", channel=f"PJSIP/x-{number}", Caller=caller)
        await rig.settled()
    rules = [record.rule for record in sorted(rig.all_of(DecisionRecord), key=lambda record: record.uniqueid)]
    rest = "everyone else meets the assistant"
    assert rules == ["special", rest, "special", rest]
    (first,) = [record for record in rig.all_of(DecisionRecord) if record.uniqueid == "1.1"]
    assert first.trace[0].saw == "place 93.75"


def book_with(when: str) -> RuleBook:
    text = (ROOT / "config" / "routing.yaml").read_text(encoding="utf-8")
    rule = (
        f"rules:\n  - {{name: special, {when}then: {{to: senior-care, note: for the record, language: zh, "
        "overflow: {after: 30s, to: people}}}\n"
    )
    book, problems = rules_from(source_of_text(text.replace("rules:\n", rule)))
    assert book is not None, problems
    return book


async def test_closing_finishes_what_is_in_hand_and_takes_no_more(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.open.clear()
        asks(rig, "0.1")
        await rig.asterisk.reached.wait()
        closing = asyncio.create_task(rig.desk.close())
        await soon(lambda: rig.desk._closed)
        asks(rig, "1.1")
        rig.asterisk.open.set()
        await closing
        assert [record.uniqueid for record in rig.all_of(DecisionRecord)] == ["0.1"]
        assert rig.desk.counts.turned_away == 1


async def test_closing_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.asterisk.open.clear()
        asks(rig)
        await rig.asterisk.reached.wait()
        await rig.desk.close(patience_s=0.01)
        assert rig.desk._routing


async def test_closing_with_nothing_in_hand_ends_at_once(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        await rig.desk.close()


async def test_calls_of_an_earlier_run_are_followed_to_their_end(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.desk.adopt([earlier("0.1")], frozenset({"0.1", "9.9"}))
        assert rig.desk.knows("0.1")
        assert rig.desk.knows("9.9")
        assert not rig.desk.knows("1.1")
        asks(rig, "0.1")  # answered by the earlier run
        rig.clock.now_s += 10
        hangs_up(rig, "0.1")
    assert rig.asterisk.asked == []
    outcome = rig.outcome()
    assert (outcome.queue, outcome.fallback) == ("agents", "deadline")
    assert outcome.duration_s == pytest.approx(40, abs=1)


async def test_a_call_in_hand_is_not_replaced_by_what_the_journal_says_of_it(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig, "0.1", Ask="2")
        call = rig.desk.calls["0.1"]
        rig.desk.adopt([earlier("0.1")], frozenset({"0.1"}))
        assert rig.desk.calls["0.1"] is call


async def test_a_flood_of_forged_events_does_not_flood_the_log(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        forged = user_event("RouteRequest", Token="guess")
        with capture_logs() as logs:
            for _ in range(2500):
                rig.clock.now_s += 0.01
                rig.desk.on_event(forged)
        assert rig.desk.counts.refused_events == 2500
        assert rig.desk.calls == {}
    assert [entry["refused"] for entry in logs] == [1, 1001, 2001]
    assert logs[0]["reason"] == "it does not carry this link's token"


async def test_events_of_calls_that_never_asked_are_passed_over(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        for event in (
            queue_event("QueueCallerJoin", "9.9"),
            queue_event("AgentConnect", "9.9", MemberName="x"),
            queue_event("QueueCallerAbandon", "9.9"),
            user_event("RouteStep", Call="9.9"),
            user_event("RouteEnded", Call="9.9"),
        ):
            rig.desk.on_event(event)
        assert rig.desk.calls == {}
        assert rig.desk.counts.ended == 0
    assert rig.records() == []


async def test_an_abandoned_call_is_told_so(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        asks(rig)
        await rig.settled()
        rig.desk.on_event(queue_event("QueueCallerJoin"))
        rig.clock.now_s += 20
        rig.desk.on_event(queue_event("QueueCallerAbandon"))
        rig.clock.now_s += 1
        hangs_up(rig)
    assert (rig.outcome().ended, rig.outcome().wait_s) == (Ending.ABANDONED, 20.0)


async def test_a_journal_that_cannot_be_written_does_not_stop_routing(tmp_path: Path) -> None:
    full = JournalWriter(Path("/dev/full"))
    async with working_desk(tmp_path, journal=full) as rig:
        for number in range(3):
            asks(rig, f"{number}.1", channel=f"PJSIP/x-{number}")
        await rig.settled()
        hangs_up(rig, "0.1")
        assert rig.desk.counts.applied == 3
        assert len(rig.desk.calls) == 2
    assert len(rig.asterisk.set_on) == 3
    assert (full.written, full.lost) == (0, 4)
    full.close()


async def test_cancelling_ends_the_routing_and_is_not_swallowed(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.open.clear()
        asks(rig)
        await soon(lambda: bool(rig.registry.asked))
        (task,) = rig.desk._routing.values()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await soon(lambda: not rig.desk._routing)
        asks(rig, "2.1")
        rig.registry.open.set()
        await rig.settled()
    assert [record.uniqueid for record in rig.all_of(DecisionRecord)] == ["2.1"]


async def test_a_call_is_decided_by_the_rules_in_force_when_it_asked(tmp_path: Path) -> None:
    changed = tmp_path / "routing.yaml"
    text = (Path(__file__).parents[3] / "config" / "routing.yaml").read_text()
    changed.write_text(text.replace("then: {to: assistant}", "then: {to: people}"))
    async with working_desk(tmp_path) as rig:
        rig.registry.open.clear()
        asks(rig, "0.1")
        await soon(lambda: bool(rig.registry.asked))
        rig.book = load_rules(changed)
        asks(rig, "1.1")
        rig.registry.open.set()
    assert {record.uniqueid: (record.target, record.rules_version) for record in rig.all_of(DecisionRecord)} == {
        "0.1": ("assistant", BOOK.version),
        "1.1": ("people", rig.book.version),
    }


async def test_two_hundred_calls_have_each_one_decision_and_one_outcome(tmp_path: Path) -> None:
    uniqueids = [f"1763888645.{number}" for number in range(200)]
    async with working_desk(tmp_path) as rig:
        for number, uniqueid in enumerate(uniqueids):
            asks(rig, uniqueid, channel=f"PJSIP/trunk-{number}")
        await rig.settled()
        for uniqueid in uniqueids:
            hangs_up(rig, uniqueid)
    assert sorted(record.uniqueid for record in rig.all_of(DecisionRecord)) == sorted(uniqueids)
    assert sorted(record.uniqueid for record in rig.all_of(OutcomeRecord)) == sorted(uniqueids)
