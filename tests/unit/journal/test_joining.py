from __future__ import annotations

from datetime import timedelta

import pytest

from router.journal.joining import Happened, JoinedCalls, Told
from router.journal.reader import MAX_LINE_BYTES
from router.journal.records import DecisionRecord, OutcomeRecord, PromotionRecord, Record
from tests.unit.journal.samples import CONDITION, DECISION, decision, outcome


def line(record: Record) -> bytes:
    return record.model_dump_json().encode()


def told(joined: JoinedCalls, record: Record) -> Told:
    news = joined.take(line(record))
    assert isinstance(news, Told)
    return news


def test_a_call_is_told_of_when_it_is_decided_and_when_it_has_ended() -> None:
    joined = JoinedCalls()
    decided = told(joined, decision("1.0"))
    assert (decided.happened, decided.call.outcome, joined.under_way) == (Happened.DECIDED, None, 1)
    ended = told(joined, outcome("1.0"))
    assert (ended.happened, ended.call is decided.call, joined.under_way) == (Happened.ENDED, True, 0)
    assert ended.call.outcome == outcome("1.0")


def test_a_call_is_kept_with_what_is_shown_of_it() -> None:
    call = told(JoinedCalls(), DECISION).call
    assert (call.caller, call.age_band, call.is_protected) == ("+86139****0001", "elder", True)
    assert (call.rule, call.target, call.queue) == ("seniors reach a person", "senior-care", "senior-care")
    assert (call.speech, call.not_applied_why, call.fallback) == ("slow", "", "")
    assert call.took_ms == pytest.approx(0.295), "what was not measured is left out"
    assert call.line == b"", "lines are large, and few ask for them"


def test_a_number_recorded_in_full_is_shown_so() -> None:
    whole = DECISION.model_copy(update={"full_caller": "+8613900000001"})
    assert told(JoinedCalls(), whole).call.caller == "+8613900000001"


def test_a_decision_that_was_not_applied_says_why() -> None:
    refused = DECISION.model_copy(update={"applied": False, "not_applied_why": "Asterisk refused"})
    assert told(JoinedCalls(), refused).call.not_applied_why == "Asterisk refused"
    unknown = DECISION.model_copy(update={"applied": False})
    assert told(JoinedCalls(), unknown).call.not_applied_why == "not known why"
    fell_back = DECISION.model_copy(update={"applied": False, "not_applied_why": "went on", "fallback": "deadline"})
    call = told(JoinedCalls(), fell_back).call
    assert (call.not_applied_why, call.fallback) == ("", "deadline"), "one reason is enough"


def test_a_fallback_may_be_in_the_outcome_only() -> None:
    joined = JoinedCalls()
    assert told(joined, decision("1.0")).call.fallback == ""
    assert told(joined, outcome("1.0").model_copy(update={"fallback": "deadline"})).call.fallback == "deadline"


def test_a_call_that_comes_back_stays_the_same_call() -> None:
    joined = JoinedCalls()
    first = told(joined, decision("1.0"))
    again = told(joined, decision("1.0", ask=2).model_copy(update={"target": "people"}))
    assert (again.happened, again.call is first.call, again.call.sent_on) == (Happened.SENT_ON, True, "people")
    assert again.call.target == "senior-care"
    assert joined.under_way == 1


def test_calls_of_the_same_uniqueid_on_two_asterisks_are_two() -> None:
    joined = JoinedCalls()
    told(joined, decision("1.0", "pbx1"))
    other = told(joined, decision("1.0", "pbx2"))
    assert told(joined, outcome("1.0", "pbx2")).call is other.call
    assert joined.under_way == 1


def test_calls_that_nobody_asked_for_are_not_kept() -> None:
    joined = JoinedCalls(lambda decision: decision.age_band == "senior")
    assert joined.take(line(DECISION)) is None
    assert joined.take(line(outcome(DECISION.uniqueid))) is None
    assert joined.under_way == 0


def test_what_was_before_the_moment_asked_for_is_passed_over() -> None:
    joined = JoinedCalls(since=DECISION.time + timedelta(seconds=1))
    assert joined.take(line(DECISION)) is None
    assert joined.take(line(CONDITION.model_copy(update={"time": DECISION.time}))) is None
    assert joined.take(line(CONDITION.model_copy(update={"time": DECISION.time + timedelta(seconds=1)}))) is not None
    assert JoinedCalls(since=DECISION.time).take(line(DECISION)) is not None


def test_promotions_and_conditions_come_as_they_are() -> None:
    promotion = PromotionRecord(
        time=DECISION.time, node="pbx1", uniqueid="1.0", linkedid="1.0", by="alice", by_uid=1000, done=True
    )
    for record in (promotion, CONDITION):
        assert JoinedCalls().take(line(record)) == record


def test_lines_that_are_no_records_are_counted_and_the_first_is_kept() -> None:
    joined = JoinedCalls()
    for bad in (b"{}", b'{"record":"decision"', b"x" * (MAX_LINE_BYTES + 1)):
        assert joined.take(bad) is None
    assert joined.take(b"  ") is None
    assert joined.bad == 3
    assert "record" in joined.first_bad


def test_of_too_many_calls_under_way_the_oldest_are_given_up() -> None:
    joined = JoinedCalls(most_under_way=2)
    for uniqueid in ("1.0", "2.0", "3.0"):
        told(joined, decision(uniqueid))
    assert (joined.under_way, joined.given_up) == (2, 1)
    assert joined.take(line(outcome("1.0"))) is None
    assert told(joined, outcome("3.0")).happened is Happened.ENDED


def test_lines_are_there_for_who_asks_for_them() -> None:
    joined = JoinedCalls(keep_lines=True)
    told(joined, decision("1.0"))
    ended = told(joined, outcome("1.0"))
    assert (ended.call.line, ended.line) == (line(decision("1.0")), line(outcome("1.0")))
    assert isinstance(DecisionRecord.model_validate_json(ended.call.line), DecisionRecord)
    assert isinstance(OutcomeRecord.model_validate_json(ended.line), OutcomeRecord)
