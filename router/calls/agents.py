"""How many agents are there and what they do, as Asterisk's list action QueueStatus tells of the queues' members.

An agent is one interface, whichever queues it is a member of. Who of them a queue would ring is judged as `app_queue`
does: a device whose state is not known counts as free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from asterisk.ami import Event, SimpleAction

from router.ami.messages import one
from router.calls.events import whole_number

MOST_AGENTS: Final = 20_000
"""Of one Asterisk, that are told apart: ten times the largest centres."""

_IN_A_CALL: Final = frozenset({2, 3, 7, 8})
_UNAVAILABLE: Final = frozenset({4, 5})
_RINGING: Final = 6


class AgentState(IntEnum):
    """What an agent does; of several, seen in several queues, the highest holds: pausing is each queue's own."""

    UNAVAILABLE = 0
    PAUSED = 1
    FREE = 2
    RINGING = 3
    TALKING = 4


@dataclass(slots=True)
class AgentCounts:
    """Agents by what they do."""

    free: int = 0
    ringing: int = 0
    talking: int = 0
    paused: int = 0
    unavailable: int = 0

    @property
    def logged_in(self) -> int:
        """Those whose phone is there, paused or not: what Asterisk's QueueSummary calls LoggedIn."""
        return self.free + self.ringing + self.talking + self.paused

    def add(self, other: AgentCounts) -> None:
        """Add others, of another Asterisk."""
        self.free += other.free
        self.ringing += other.ringing
        self.talking += other.talking
        self.paused += other.paused
        self.unavailable += other.unavailable


@dataclass(frozen=True, slots=True)
class Agents:
    """The agents of one Asterisk: all, each once, and those of each queue."""

    all: AgentCounts = field(default_factory=AgentCounts)
    by_queue: dict[str, AgentCounts] = field(default_factory=dict)


def agents_wanted() -> SimpleAction:
    """The list action to send. It lists waiting callers as well, which are passed over: no filter leaves them out."""
    return SimpleAction("QueueStatus")


def agents_of(events: Iterable[Event], queues: Collection[str]) -> Agents:
    """The agents of some queues.

    Args:
        events: What QueueStatus lists.
        queues: Asterisk's names of the queues that count.
    """
    states: dict[str, AgentState] = {}
    by_queue: dict[str, AgentCounts] = {}
    for event in events:
        if event.name != "QueueMember" or (queue := one(event, "Queue")) not in queues:
            continue
        interface = one(event, "Location") or one(event, "Interface")
        if interface not in states and len(states) >= MOST_AGENTS:
            continue
        state = _state(event)
        _count(by_queue.setdefault(queue, AgentCounts()), state)
        states[interface] = max(state, states.get(interface, state))
    together = AgentCounts()
    for state in states.values():
        _count(together, state)
    return Agents(together, by_queue)


def _state(event: Event) -> AgentState:
    device = whole_number(one(event, "Status"))
    if device in _UNAVAILABLE:
        return AgentState.UNAVAILABLE
    if device in _IN_A_CALL or one(event, "InCall") == "1":
        return AgentState.TALKING
    if device == _RINGING:
        return AgentState.RINGING
    return AgentState.PAUSED if one(event, "Paused") == "1" else AgentState.FREE


def _count(counts: AgentCounts, state: AgentState) -> None:
    match state:
        case AgentState.FREE:
            counts.free += 1
        case AgentState.RINGING:
            counts.ringing += 1
        case AgentState.TALKING:
            counts.talking += 1
        case AgentState.PAUSED:
            counts.paused += 1
        case AgentState.UNAVAILABLE:
            counts.unavailable += 1
