"""Where a caller stands in a queue, and how long it may take until a person answers.

The place is counted, as Asterisk orders a queue: behind everyone of the same or a higher priority. A caller who is
about to join is not in the queue yet, and neither is another who joins at the same moment: the place told is that of
the moment of asking.

The wait is estimated from what was seen:

    wait = place × mean interval between two answers in that queue

over the last 20 intervals of the last 15 minutes, of which at least 3 must count. An interval counts only if the
queue was busy all through it, which is known when a caller who was answered at its end or later had waited since its
beginning; otherwise a quiet quarter of an hour would be taken for slow agents. Later as well, because a caller with a
head start comes and is answered before those who have waited all along: more likely so in a long interval, and if
those did not count, waits would be told too short. Its limits:

- Agents who come or go change the pace at once, and the estimate by and by. Once the last has logged off, nothing is
  told of the wait.
- Callers with a head start who have not called yet are not counted.
- Of the first seconds of a rush nothing is known, so nothing is told: Asterisk's own average hold time, a moving
  average of whenever the last callers called, would promise «less than a minute» then.
- An estimate of over an hour is not told: it would be wrong.

It is told in whole minutes or as less than one, from 10 minutes on in steps of 5: it is no better than that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from asterisk.ami import Event, SimpleAction

from router.ami.messages import for_log, one
from router.calls.events import whole_number
from router.calls.promote import Entry, entries
from router.errors import SpeechError

MOST_INTERVALS: Final = 20
FEWEST_INTERVALS: Final = 3
INTERVALS_WITHIN_S: Final = 900.0
LONGEST_TOLD_S: Final = 3600
COARSE_FROM_MIN: Final = 10
COARSE_STEP_MIN: Final = 5
UNDER_A_MINUTE_S: Final = 30
"""Stands for any wait that is nearer to none than to a minute."""

FRESH_S: Final = 0.25
"""A queue's listing serves whoever asks within this: 50 callers a second who ask would make 50 listings of a queue in
which hundreds wait."""

MOST_QUEUES: Final = 256
"""Queues whose answers are remembered; of more, those heard of last."""

_S_PER_MIN: Final = 60


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue at one moment: who waits in it, and how many agents could take a call, at once or later."""

    entries: tuple[Entry, ...]
    agents_free: int
    agents: int
    """Logged in, free or not."""

    def place_of(self, uniqueid: str, priority: int | None) -> int:
        """The place of a caller, 1 for who is next: theirs if they are in it, else that which they would join at.

        Args:
            uniqueid: Of the caller's channel.
            priority: The one to join with; None, which is not known, stands behind everyone.
        """
        for entry in self.entries:
            if entry.uniqueid == uniqueid and entry.position:
                return entry.position
        if priority is None:
            return 1 + len(self.entries)
        return 1 + sum(entry.priority is None or entry.priority >= priority for entry in self.entries)


@dataclass(slots=True)
class _Interval:
    began_at: float
    ended_at: float
    was_busy: bool = False


class Answers:
    """How fast the callers of each queue are answered, from the answers seen."""

    def __init__(self) -> None:
        self._last_at: dict[str, float] = {}
        self._intervals: dict[str, deque[_Interval]] = {}
        """By queue, the newest last."""

    def note(self, queue: str, hold_s: float, now: float) -> None:
        """A caller was answered.

        Args:
            queue: Where they had waited.
            hold_s: How long, in whole seconds.
            now: Seconds of the monotonic clock.
        """
        before = self._last_at.pop(queue, None)
        self._last_at[queue] = now  # at the end: the one heard of longest ago stands first
        if len(self._last_at) > MOST_QUEUES:
            oldest = next(iter(self._last_at))
            del self._last_at[oldest]
            self._intervals.pop(oldest, None)
        intervals = self._intervals.setdefault(queue, deque(maxlen=MOST_INTERVALS))
        if before is not None:
            intervals.append(_Interval(before, now))
        for interval in intervals:
            # Asterisk cuts the fraction of a second off.
            interval.was_busy = interval.was_busy or now - interval.began_at <= hold_s + 1

    def interval_s(self, queue: str, now: float) -> float | None:
        """The mean time between two answers while callers waited; None if too little is known."""
        busy = (interval for interval in self._intervals.get(queue, ()) if interval.was_busy)
        recent = [one.ended_at - one.began_at for one in busy if now - one.ended_at <= INTERVALS_WITHIN_S]
        return sum(recent) / len(recent) if len(recent) >= FEWEST_INTERVALS else None


def expected_wait_s(place: int, interval_s: float | None) -> int | None:
    """How long a caller may wait, as it is told: whole minutes in seconds; None if it should not be told.

    It never falls as the place or the interval grows, until it is not told.

    Args:
        place: In the queue, from 1.
        interval_s: Between two answers, None if not known.
    """
    if interval_s is None:
        return None
    minutes = round(place * interval_s / _S_PER_MIN)
    if minutes < 1:
        return UNDER_A_MINUTE_S
    if minutes >= COARSE_FROM_MIN:
        minutes = COARSE_STEP_MIN * round(minutes / COARSE_STEP_MIN)
    return minutes * _S_PER_MIN if minutes * _S_PER_MIN <= LONGEST_TOLD_S else None


SendForList = Callable[[SimpleAction], Awaitable[Sequence[Event]]]


class QueueListings:
    """Who waits in a queue, asked of one Asterisk; callers who ask together share one listing.

    Args:
        send_for_list: Sends an action and returns the events it lists; raises AmiError.
        now: Seconds of the monotonic clock.
    """

    def __init__(self, send_for_list: SendForList, now: Callable[[], float]) -> None:
        self._send_for_list = send_for_list
        self._now = now
        self._listed: dict[str, tuple[float, Waiting]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def waiting(self, queue: str) -> Waiting:
        """The queue as it is now, or was `FRESH_S` ago.

        Raises:
            AmiError: Asterisk could not be asked.
            SpeechError: It has no such queue.
        """
        turn = self._turns.setdefault(queue, asyncio.Lock())
        async with turn:
            known = self._listed.get(queue)
            if known is not None and self._now() - known[0] < FRESH_S:
                return known[1]
            self._forget()
            asked_at = self._now()
            listed, summary = await asyncio.gather(
                # No member goes by that name, so that only the callers are listed.
                self._send_for_list(SimpleAction("QueueStatus", Queue=queue, Member="-")),
                self._send_for_list(SimpleAction("QueueSummary", Queue=queue)),
            )
            if not any(event.name == "QueueParams" and one(event, "Queue") == queue for event in listed):
                raise SpeechError(f"Asterisk has no queue {for_log(queue)!r}: look at queues.conf")
            about = [event for event in summary if event.name == "QueueSummary" and one(event, "Queue") == queue]
            free, there = (sum(whole_number(one(event, key)) for event in about) for key in ("Available", "LoggedIn"))
            found = Waiting(tuple(entry for entry in entries(listed) if entry.queue == queue), free, there)
            self._listed[queue] = (asked_at, found)
            return found

    def _forget(self) -> None:
        """Keep nothing that is stale: a dialplan may name any number of queues."""
        now = self._now()
        for queue in [queue for queue, (at, _) in self._listed.items() if now - at >= FRESH_S]:
            del self._listed[queue]
        for queue in [queue for queue, turn in self._turns.items() if not turn.locked() and queue not in self._listed]:
            del self._turns[queue]
