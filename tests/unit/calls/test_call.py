from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.calls.call import MOST_KEYS, Call
from router.journal.records import Ending, OutcomeRecord

from .dialplan import TEXT


def a_call() -> Call:
    return Call("pbx1", "1.1", "1.0", 2, 1000.0)


def ended(call: Call, now: float = 1100.0, cause: int | None = 16, *, seen: bool = True) -> OutcomeRecord:
    return call.outcome(now, cause, seen=seen)


def test_an_answered_call_has_waited_until_the_answer_and_talked_from_there() -> None:
    call = a_call()
    call.joined("senior-care", 1002.0)
    call.answered("senior-care", "PJSIP/agent-7", 1013.5)
    outcome = ended(call, 1043.75)
    assert outcome.ended is Ending.ANSWERED
    assert (outcome.wait_s, outcome.talk_s, outcome.duration_s) == (11.5, 30.25, 43.75)
    assert (outcome.answered_by, outcome.queue) == ("PJSIP/agent-7", "senior-care")
    assert (outcome.node, outcome.uniqueid, outcome.linkedid, outcome.ask) == ("pbx1", "1.1", "1.0", 2)
    assert outcome.hangup_cause == 16


@pytest.mark.parametrize(("hold_s", "wait_s"), [(0, 0.0), (1, 0.0), (8, 8.0)])
def test_who_joined_and_was_answered_while_the_router_hung_has_waited_as_asterisk_counted(
    hold_s: int, wait_s: float
) -> None:
    for end in ("answered", "abandoned"):
        call = a_call()
        call.joined("agents", 1000.0)
        if end == "answered":
            call.answered("agents", "PJSIP/agent-7", 1000.0, hold_s)
        else:
            call.abandoned("agents", 1000.0, hold_s)
        outcome = ended(call, 1000.0)
        assert (outcome.ended, outcome.wait_s, outcome.duration_s) == (Ending(end), wait_s, wait_s)


def test_a_wait_in_two_queues_is_no_shorter_for_what_was_counted_in_the_last() -> None:
    call = a_call()
    call.joined("senior-care", 1000.0)
    call.joined("agents", 1060.0)
    call.answered("agents", "PJSIP/agent-1", 1070.0, 10)
    assert ended(call).wait_s == 70.0


def test_an_abandoned_call_has_waited_until_it_was_given_up() -> None:
    call = a_call()
    call.joined("agents", 1001.0)
    call.abandoned("agents", 1031.0)
    outcome = ended(call, 1031.5)
    assert (outcome.ended, outcome.wait_s, outcome.talk_s) == (Ending.ABANDONED, 30.0, None)
    assert outcome.duration_s == 31.5


def test_a_call_put_out_of_its_queue_was_abandoned_at_its_end() -> None:
    call = a_call()
    call.joined("agents", 1001.0)
    assert (ended(call).ended, ended(call).wait_s) == (Ending.ABANDONED, 99.0)


def test_the_wait_counts_from_the_first_queue_and_the_queue_is_the_last() -> None:
    call = a_call()
    call.joined("senior-care", 1000.0)
    call.joined("agents", 1060.0)
    call.answered("agents", "PJSIP/agent-1", 1070.0)
    assert (ended(call).wait_s, ended(call).queue) == (70.0, "agents")


def test_who_answered_first_counts() -> None:
    call = a_call()
    call.joined("agents", 1000.0)
    call.answered("agents", "PJSIP/first", 1010.0)
    call.answered("agents", "PJSIP/second", 1050.0)
    outcome = ended(call, 1060.0)
    assert (outcome.answered_by, outcome.wait_s, outcome.talk_s) == ("PJSIP/first", 10.0, 50.0)


def test_an_answer_before_the_joining_was_seen_is_no_negative_wait() -> None:
    call = a_call()
    call.answered("agents", "PJSIP/first", 1010.0)
    call.joined("agents", 1011.0)
    assert ended(call).wait_s == 0.0


def test_a_caller_whom_the_assistant_served() -> None:
    call = a_call()
    call.stepped("assistant", "assistant", 1010.0)
    call.stepped("key", "1", 1010.0)
    outcome = ended(call)
    assert (outcome.ended, outcome.touched_assistant, outcome.keys) == (Ending.SELF_SERVED, True, ("1",))
    assert outcome.wait_s is None


@pytest.mark.parametrize("keys", [[], ["silence"], ["invalid", "silence"]])
def test_a_caller_who_chose_nothing_was_not_served(keys: list[str]) -> None:
    call = a_call()
    call.stepped("assistant", "assistant", 1010.0)
    for key in keys:
        call.stepped("key", key, 1010.0)
    assert ended(call).ended is Ending.HUNG_UP_EARLY


def test_a_caller_who_hung_up_before_anything_was_reached() -> None:
    assert ended(a_call()).ended is Ending.HUNG_UP_EARLY
    assert ended(a_call()).wait_s is None


def test_a_caller_who_asked_for_a_person_and_hung_up_on_the_way_was_not_served_by_the_assistant() -> None:
    call = a_call()
    call.stepped("assistant", "assistant", 1010.0)
    call.stepped("key", "person", 1010.0)
    assert ended(call).ended is Ending.ABANDONED
    assert "Step: key,Detail: person" in TEXT  # the dialplan's word for it


def test_a_caller_from_the_assistant_to_a_person_counts_as_answered() -> None:
    call = a_call()
    call.stepped("assistant", "assistant", 1010.0)
    call.stepped("key", "person", 1010.0)
    call.joined("agents", 1020.0)
    call.answered("agents", "PJSIP/agent-7", 1021.0)
    assert (ended(call).ended, ended(call).touched_assistant) == (Ending.ANSWERED, True)


def test_what_nobody_saw_is_not_measured() -> None:
    call = a_call()
    call.joined("agents", 1001.0)
    outcome = ended(call, cause=None, seen=False)
    assert (outcome.ended, outcome.wait_s, outcome.talk_s, outcome.duration_s) == (Ending.UNSEEN, None, None, None)
    assert outcome.hangup_cause is None


def test_an_answer_that_was_seen_counts_though_the_end_was_not() -> None:
    call = a_call()
    call.joined("agents", 1001.0)
    call.answered("agents", "PJSIP/agent-7", 1004.0)
    outcome = ended(call, cause=None, seen=False)
    assert (outcome.ended, outcome.wait_s, outcome.talk_s) == (Ending.ANSWERED, 3.0, None)


def test_a_fallback_is_told_with_the_outcome() -> None:
    call = a_call()
    call.fallback = "deadline"
    assert ended(call).fallback == "deadline"


def test_keys_are_bounded() -> None:
    call = a_call()
    for number in range(10 * MOST_KEYS):
        call.stepped("key", str(number), 1010.0)
    assert ended(call).keys == tuple(str(number) for number in range(MOST_KEYS))


@pytest.mark.parametrize("step", ["overflow", "no-agents"])
def test_a_caller_whom_no_queue_took_has_waited_for_a_person_all_the_same(step: str) -> None:
    call = a_call()
    call.stepped(step, "JOINEMPTY", 1010.0)
    assert (ended(call).ended, ended(call).wait_s) == (Ending.ABANDONED, 90.0)
    call.joined("agents", 1040.0)
    call.answered("agents", "PJSIP/agent-1", 1050.0)
    assert (ended(call).ended, ended(call).wait_s) == (Ending.ANSWERED, 40.0)
    assert f"Step: {step}," in TEXT  # the dialplan's word for it


def test_after_a_queue_was_joined_such_a_step_changes_nothing() -> None:
    call = a_call()
    call.joined("senior-care", 1000.0)
    call.stepped("overflow", "agents", 1060.0)
    assert call.joined_at == 1000.0


def test_a_step_of_another_name_changes_nothing() -> None:
    call = a_call()
    call.stepped("", "", 1010.0)
    assert call == a_call()


steps = st.lists(
    st.tuples(
        st.sampled_from(["joined", "answered", "abandoned", "assistant", "key", "overflow", "no-agents"]),
        st.sampled_from(["1", "person", "silence", "agents"]),
    ),
    max_size=12,
)


@given(steps, st.booleans())
def test_whatever_the_order_of_events_there_is_an_outcome_and_no_negative_time(
    happened: list[tuple[str, str]], seen: bool
) -> None:
    call, now = a_call(), 1000.0
    for what, detail in happened:
        now += 0.5
        match what:
            case "joined":
                call.joined(detail, now)
            case "answered":
                call.answered(detail, "agent", now)
            case "abandoned":
                call.abandoned(detail, now)
            case step:
                call.stepped(step, detail, now)
    outcome = call.outcome(now, None, seen=seen)
    assert all(time is None or time >= 0 for time in (outcome.wait_s, outcome.talk_s, outcome.duration_s))
    assert (outcome.ended is Ending.ANSWERED) == any(what == "answered" for what, _ in happened)


def test_after_a_transfer_the_talk_and_the_queue_are_those_of_who_answered() -> None:
    call = a_call()
    call.joined("senior-care", 1000.0)
    call.answered("senior-care", "agent-7", 1010.0)
    call.parted(1020.0)
    call.joined("billing", 1021.0)
    call.abandoned("billing", 1080.0)
    outcome = ended(call)
    assert (outcome.ended, outcome.answered_by, outcome.queue) == (Ending.ANSWERED, "agent-7", "senior-care")
    assert (outcome.wait_s, outcome.talk_s) == (10.0, 10.0)


def test_hearing_the_menu_again_is_no_service() -> None:
    call = a_call()
    call.stepped("assistant", "", 1000.0)
    call.stepped("key", "repeat", 1005.0)
    assert ended(call).ended is Ending.HUNG_UP_EARLY
