"""Exceptional promotion: one waiting caller is moved to the front of their queue because a person asked for it.

The place in a queue is a number that is set once, on joining (ADR 4). A promotion raises that number above
everyone's who waits in the queue, and above that of whoever may yet join it: a newcomer ranks by the time of
joining and by a head start of at most `MAX_HEAD_START_S`. Nobody but a caller who is promoted later gets ahead.

Who asked, and why, is written to the journal with what came of it. No channel is moved or hung up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog
from asterisk.ami import Event, SimpleAction

from router.ami.messages import for_log, one
from router.calls.call import Call
from router.calls.desk import CallDesk, Send
from router.calls.events import whole_number
from router.calls.reconcile import SendForList
from router.calls.verdict import set_on_channel
from router.errors import AmiError
from router.journal.records import PromotionRecord
from router.rules.schema import MAX_HEAD_START_S

HIGHEST_PRIORITY: Final = 2**31 - 1
"""Asterisk keeps a caller's priority in a C int (`struct queue_ent` in app_queue.c); one more is read as the lowest."""

ARITHMETIC_BASE: Final = 2_000_000_000
"""The dialplan's `elder-people`: 2000000000 − epoch seconds + head start."""

TURN_WITHIN_S: Final = 5.0
"""Promotions are made one after the other, or two could take the same number."""

AT_FRONT: Final = 1

_GIVEN_UP: Final = (
    "it is not known whether they were moved: given up before Asterisk had answered; look at the queue, and ask again"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as the kernel knows them: `name` is that of the user `uid`."""

    name: str
    uid: int


@dataclass(frozen=True, slots=True)
class Place:
    """One Asterisk where a caller may wait: its calls, how to ask it, and epoch seconds by its clock."""

    node: str
    desk: CallDesk
    send: Send
    send_for_list: SendForList
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Promoted:
    """The caller is at the front: was there already if `from_position` is 1.

    `to_position` is None when they had left the queue by the time it was looked at: answered, most likely.
    """

    node: str
    uniqueid: str
    queue: str
    from_position: int
    to_position: int | None
    wait_s: int


@dataclass(frozen=True, slots=True)
class NotPromoted:
    """Nobody was moved to the front; `why` is for the person who asked."""

    why: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One caller in one queue, as QueueStatus lists them; `priority` is None if it is not told."""

    queue: str
    position: int
    channel: str
    uniqueid: str
    wait_s: int
    priority: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    place: Place
    entry: Entry
    behind: list[Entry]
    """Everyone in that queue, the caller too."""


class Promotions:
    """Moves waiting callers to the front, one at a time.

    Args:
        places: Every Asterisk there is.
        write: Writes a record to the journal.
    """

    def __init__(self, places: Sequence[Place], write: Callable[[PromotionRecord], object]) -> None:
        self._places = places
        self._write = write
        self._turn = asyncio.Lock()

    async def promote(self, call: str, asker: Asker, why: str = "") -> Promoted | NotPromoted:
        """Move one caller to the front of the queue they wait in.

        Args:
            call: Asterisk's uniqueid of the call, or the name of its channel.
            asker: Who asks.
            why: In their own words, for the journal.
        """
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                await self._turn.acquire()
        except TimeoutError:
            return NotPromoted("others are being promoted, and Asterisk is slow to answer; try again")
        try:
            return await self._promote(call, asker, why)
        finally:
            self._turn.release()

    async def _promote(self, call: str, asker: Asker, why: str) -> Promoted | NotPromoted:
        answer = await self._find(call)
        if isinstance(answer, NotPromoted):
            log.warning("caller not promoted", call=for_log(call), by=asker.name, uid=asker.uid, reason=answer.why)
            for place in self._places:
                if (known := place.desk.calls.get(call)) is not None:
                    entry = Entry(known.queue, 0, "", call, 0, None)
                    self._record(place, entry, asker, why, not_done_why=answer.why)
            return answer
        place, entry = answer.place, answer.entry
        if entry.position == AT_FRONT:
            self._record(place, entry, asker, why, to_position=AT_FRONT, not_done_why="already at the front")
            return _promoted(place, entry, AT_FRONT)
        outcome: Promoted | NotPromoted = NotPromoted(_GIVEN_UP)
        try:
            outcome = await _move(answer)
        finally:
            # However it ends, a deadline or a stop among it: a caller may have been moved.
            self._tell(place, entry, asker, why, outcome)
        return outcome

    def _tell(self, place: Place, entry: Entry, asker: Asker, why: str, outcome: Promoted | NotPromoted) -> None:
        """To the journal and to the log."""
        match outcome:
            case Promoted():
                self._record(place, entry, asker, why, to_position=outcome.to_position)
                log.info("caller promoted", **_fields(place, entry, asker, why))
            case NotPromoted():
                self._record(place, entry, asker, why, not_done_why=outcome.why)
                log.warning("caller not promoted", **_fields(place, entry, asker, why), reason=outcome.why)

    async def _find(self, call: str) -> _Found | NotPromoted:
        """Look for the caller in every queue of every Asterisk."""
        listings = await asyncio.gather(*(_listed(place) for place in self._places))
        found: list[_Found] = []
        unasked: list[str] = []
        for place, listing in zip(self._places, listings, strict=True):
            if isinstance(listing, AmiError):
                unasked.append(f"{place.node} could not be asked ({listing})")
                continue
            found += [
                _Found(place, entry, [other for other in listing if other.queue == entry.queue])
                for entry in listing
                if call in (entry.uniqueid, entry.channel)
            ]
        match found:
            case [only]:
                return only
            case []:
                return NotPromoted("; ".join([_where_else(call, self._places), *unasked]))
        these = ", ".join(f"{for_log(each.entry.uniqueid)} on {each.place.node}" for each in found)
        return NotPromoted(f"{len(found)} waiting callers go by that name: {these}; name the one you mean by uniqueid")

    def _record(
        self,
        place: Place,
        entry: Entry,
        asker: Asker,
        why: str,
        *,
        to_position: int | None = None,
        not_done_why: str = "",
    ) -> None:
        call = place.desk.calls.get(entry.uniqueid)
        self._write(
            PromotionRecord(
                time=datetime.now(UTC),
                node=place.node,
                uniqueid=entry.uniqueid,
                linkedid=entry.uniqueid if call is None else call.linkedid,
                queue=entry.queue,
                from_position=entry.position or None,
                to_position=to_position,
                by=asker.name,
                by_uid=asker.uid,
                why=why,
                done=not not_done_why,
                not_done_why=not_done_why,
            )
        )


async def _listed(place: Place) -> list[Entry] | AmiError:
    try:
        return entries(await place.send_for_list(SimpleAction("QueueStatus")))
    except AmiError as error:
        return error


async def _move(found: _Found) -> Promoted | NotPromoted:
    place, entry = found.place, found.entry
    priority = front_priority(found.behind, place.now())
    if priority > HIGHEST_PRIORITY:
        return NotPromoted(
            f"somebody in {for_log(entry.queue)} has the highest priority that Asterisk knows, {HIGHEST_PRIORITY}, "
            "so that nobody can be put ahead of them; see what sets QUEUE_PRIO in your dialplan"
        )
    change = SimpleAction(
        "QueueChangePriorityCaller",
        Queue=entry.queue,
        Caller=entry.channel,
        Priority=str(priority),
        Immediate="yes",
    )
    try:
        (answer,) = await place.send([change])
        if answer.is_error():
            said = for_log(one(answer, "Message")) or "no reason given"
            return NotPromoted(f"Asterisk did not move them: {said}")
        # Kept when the call overflows into another queue, as the number of its joining is (ADR 4). Refused when the
        # caller has hung up meanwhile, which is no matter.
        await place.send(
            set_on_channel(entry.channel, [(name, str(priority)) for name in ("QUEUE_PRIO", "ELDER_PRIO")])
        )
        after = entries(await place.send_for_list(SimpleAction("QueueStatus", Queue=entry.queue)))
    except AmiError as error:
        return NotPromoted(f"it is not known whether they were moved: {error}; look at the queue, and ask again")
    still = next((other for other in after if other.uniqueid == entry.uniqueid), None)
    if still is not None and still.position != AT_FRONT:
        return NotPromoted(
            f"Asterisk raised their priority but left them at place {still.position}: moving a caller who waits "
            "needs Asterisk 18.20, 20.5, 21 or later"
        )
    return _promoted(place, entry, None if still is None else AT_FRONT)


def front_priority(waiting: Iterable[Entry], asterisk_now: float) -> int:
    """The priority that puts a caller ahead of all who wait in a queue, and of all who may join it.

    Args:
        waiting: Everyone in that queue.
        asterisk_now: Epoch seconds by Asterisk's clock.
    """
    newcomers = ARITHMETIC_BASE - int(asterisk_now) + MAX_HEAD_START_S
    return max([newcomers, *(entry.priority for entry in waiting if entry.priority is not None)]) + 1


def entries(listed: Iterable[Event]) -> list[Entry]:
    """The callers among what QueueStatus lists.

    A caller's number and name come as they were sent and can forge headers. What stands ahead of them in the event
    is read where it came first, what stands behind where it came last.
    """
    return [
        Entry(
            queue=_first(event, "Queue"),
            position=whole_number(_first(event, "Position")),
            channel=_first(event, "Channel"),
            uniqueid=_first(event, "Uniqueid"),
            wait_s=whole_number(one(event, "Wait")),
            priority=priority_of(one(event, "Priority")),
        )
        for event in listed
        if event.name == "QueueEntry"
    ]


def _first(event: Event, key: str) -> str:
    value = event.keys.get(key, "")
    return value[0] if isinstance(value, list) else value


def priority_of(text: str) -> int | None:
    """A C int in words; it can be negative, from 2033 on that of every caller."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(HIGHEST_PRIORITY)):
        return None
    return int(text)


def _promoted(place: Place, entry: Entry, to_position: int | None) -> Promoted:
    return Promoted(
        place.node, for_log(entry.uniqueid), for_log(entry.queue), entry.position, to_position, entry.wait_s
    )


def _fields(place: Place, entry: Entry, asker: Asker, why: str) -> dict[str, object]:
    return {
        "node": place.node,
        "call": for_log(entry.uniqueid),
        "queue": for_log(entry.queue),
        "from_position": entry.position,
        "by": asker.name,
        "uid": asker.uid,
        "why": why,
    }


def _where_else(call: str, places: Iterable[Place]) -> str:
    """What is known of a call that no queue holds."""
    for place in places:
        if (known := place.desk.calls.get(call)) is not None:
            return f"this caller waits in no queue: {_state(known, place.desk.now())}"
        if place.desk.knows(call):
            return "this caller waits in no queue any more: the call is over, see its outcome in the journal"
    return (
        "no caller who waits goes by that name; give the uniqueid that the journal has, or the channel's name as "
        "Asterisk's `queue show` has it"
    )


def _state(call: Call, now: float) -> str:
    if call.answered_at is not None:
        return f"{for_log(call.answered_by) or 'somebody'} answered {now - call.answered_at:.0f} s ago"
    if call.abandoned_at is not None:
        return "they have given up waiting"
    if call.joined_at is not None:
        return "they wait between two queues, and will join the next one in some seconds; ask again then"
    if call.touched_assistant:
        return "they are with the assistant and have not asked for a person"
    return "they have not joined one yet; ask again in some seconds"
