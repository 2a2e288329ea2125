"""Agents are counted once each, as `app_queue` judges them, in the rules' queues alone."""

from __future__ import annotations

import pytest
from asterisk.ami import Event

from router.ami.messages import encode
from router.calls import agents as module
from router.calls.agents import AgentCounts, agents_of, agents_wanted

QUEUES = frozenset({"senior-care", "agents"})


def member(queue: str, interface: str, status: int = 1, **changed: str) -> Event:
    usual: dict[str, str | list[str]] = {"Queue": queue, "Name": "Wang", "Location": interface, "Status": str(status)}
    return Event("QueueMember", {**usual, "Paused": "0", "InCall": "0", **changed})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((0, "free"), (1, "free"), (2, "talking"), (3, "talking"), (4, "unavailable"), (5, "unavailable")),
        *((6, "ringing"), (7, "talking"), (8, "talking")),
    ],
)
def test_each_state_of_a_device_is_one_of_an_agent(status: int, state: str) -> None:
    agents = agents_of([member("agents", "PJSIP/1", status)], QUEUES)
    assert agents.all == AgentCounts(**{state: 1})
    assert agents.by_queue == {"agents": AgentCounts(**{state: 1})}


def test_who_pauses_is_paused_unless_they_talk() -> None:
    events = [member("agents", f"PJSIP/{status}", status, Paused="1") for status in (1, 2, 5, 6)]
    assert agents_of(events, QUEUES).all == AgentCounts(paused=1, talking=1, unavailable=1, ringing=1)


def test_a_device_that_tells_no_state_is_talking_while_the_queue_has_it_in_a_call() -> None:
    assert agents_of([member("agents", "Local/1@agents", 1, InCall="1")], QUEUES).all == AgentCounts(talking=1)


@pytest.mark.parametrize("step", [1, -1])
def test_an_agent_of_two_queues_is_one_who_is_free_if_either_may_ring_them(step: int) -> None:
    events = [member("agents", "PJSIP/1", Paused="1"), member("senior-care", "PJSIP/1"), member("agents", "PJSIP/2", 2)]
    agents = agents_of(events[::step], QUEUES)
    assert agents.all == AgentCounts(free=1, talking=1)
    assert agents.by_queue == {"agents": AgentCounts(paused=1, talking=1), "senior-care": AgentCounts(free=1)}
    assert (agents.all.logged_in, agents.by_queue["agents"].logged_in) == (2, 2)


def test_waiting_callers_and_other_queues_are_passed_over() -> None:
    events = [Event("QueueParams", {"Queue": "agents"}), Event("QueueEntry", {"Queue": "agents", "Location": "x"})]
    assert agents_of([*events, member("elsewhere", "PJSIP/1")], QUEUES).all == AgentCounts()


def test_what_asterisk_lists_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AGENTS", 2)
    assert agents_of([member("agents", f"PJSIP/{n}") for n in range(5)], QUEUES).all.free == 2


def test_states_that_are_no_numbers_are_unknown_ones() -> None:
    odd = member("agents", "PJSIP/1", Status="²")
    assert agents_of([odd], QUEUES).all == AgentCounts(free=1)


def test_agents_of_several_asterisks_add_up() -> None:
    total = AgentCounts(free=1, talking=2)
    total.add(AgentCounts(free=3, ringing=1, paused=4, unavailable=5))
    assert total == AgentCounts(free=4, ringing=1, talking=2, paused=4, unavailable=5)


def test_the_action_asks_for_all_queues() -> None:
    assert encode(agents_wanted(), "1") == b"Action: QueueStatus\r\nActionID: 1\r\n\r\n"
