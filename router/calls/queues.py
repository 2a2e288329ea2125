"""The state of Asterisk's queues, as its list action QueueSummary tells it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from asterisk.ami import Event

from router.ami.messages import one
from router.calls.events import whole_number
from router.rules.model import QueueState

ACTION = "QueueSummary"


def queue_states(events: Iterable[Event], wanted: Collection[str]) -> dict[str, QueueState]:
    """The state of each of the wanted queues that Asterisk has.

    Args:
        events: What QueueSummary lists.
        wanted: Names of queues.
    """
    return {
        name: QueueState(
            waiting=whole_number(one(event, "Callers")),
            longest_wait_s=whole_number(one(event, "LongestHoldTime")),
            agents_free=whole_number(one(event, "Available")),
        )
        for event in events
        if event.name == ACTION and (name := one(event, "Queue")) in wanted
    }
