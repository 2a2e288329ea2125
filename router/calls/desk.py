"""The desk of one Asterisk: every call that asks is answered, and every call is followed to its end.

    RouteRequested ─▶ look up ─▶ decide ─▶ set variables ─▶ decision record
    Joined, Answered, Abandoned, Stepped ─▶ noted on the call
    Ended ─▶ outcome record

It holds no socket: what Asterisk says comes in through `on_event`, what it is told goes out through `send`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import structlog
from asterisk.ami import Event, Response, SimpleAction

from router.ami.messages import one
from router.callers.number import Caller, NoNumber, NoNumberReason, PhoneNumber, masked, parse_caller
from router.callers.past import NOTHING, Chosen, read_choice
from router.callers.registry import BandLookup
from router.callers.stored import Visit
from router.calls.call import Call
from router.calls.choices import Choices, is_for_a_person
from router.calls.decisions import Handled, decision_record
from router.calls.events import (
    Abandoned,
    Answered,
    CallEvent,
    Ended,
    FellBack,
    Joined,
    Noted,
    Parted,
    Refused,
    Request,
    RouteRequested,
    SpeechChosen,
    SpeechRequested,
    Stepped,
    read_event,
)
from router.calls.unasked import Unasked
from router.calls.verdict import channel_language, profile_name_spoken, set_on_channel, variables
from router.errors import AmiError
from router.journal.hashing import rollout_place
from router.journal.records import DecisionRecord, OutcomeRecord
from router.rules.book import RuleBook
from router.rules.model import NO_QUEUES, Facts, QueueState

MOST_CALLS: Final = 200_000
"""Calls in hand at once on one Asterisk, at half a kilobyte each: over four times what 245 calls/s that last three
minutes are. Beyond it new calls are not answered: they fall back to people by themselves."""

RING_SIZE: Final = 4096
"""Places in the dialplan's ring of fallbacks, see `elder-note-fallback`."""

MOST_ROUTING: Final = 2_000
"""Requests being answered at once. At 245/s that is 8 s of them, and the dialplan waits 2 s."""

ANSWER_WITHIN_S: Final = 1.8
"""The dialplan stops waiting after 1.9 s (`elder-ask`); what comes later is not sent."""

QUEUES_STALE_S: Final = 5.0
"""Asterisk is asked for its queues every second; what is older than this is not known any more."""

_COMPLAIN_EVERY_S = 10.0

log = structlog.get_logger(__name__)


class Callers(Protocol):
    """The registry of callers, as far as the desk uses it."""

    async def lookup(self, caller: Caller, visit: Visit | None = None) -> BandLookup:
        """Find a caller's age band, and note the call if there is a visit; never raises."""

    async def remember(self, number: PhoneNumber, later: Chosen) -> None:
        """Join a choice to what the number's owner chose before; raises RegistryError."""


class Journal(Protocol):
    """Where records go."""

    def write(self, record: DecisionRecord | OutcomeRecord) -> bool:
        """Write one record; False if it was lost, which is the journal's to complain of."""


class Speech(Protocol):
    """What is said during calls, as far as the desk uses it."""

    def requested(self, request: SpeechRequested) -> None:
        """Have it said; never blocks, never raises."""

    def answered(self, answered: Answered) -> None:
        """Somebody who waited was answered, whether that call is in hand or not."""


Send = Callable[[Sequence[SimpleAction]], Awaitable[list[Response]]]


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """What does not change while the daemon runs.

    `caller_key` makes the keyed hash of a number; `full_numbers` puts numbers into the records as they are.
    """

    node: str
    home_region: str
    caller_key: Callable[[PhoneNumber], str]
    full_numbers: bool = False


@dataclass(slots=True)
class DeskCounts:
    """What has passed over the desk since the start."""

    requests: int = 0
    applied: int = 0
    not_applied: int = 0
    fell_back: int = 0
    ended: int = 0
    turned_away: int = 0
    refused_events: int = 0


class CallDesk:
    """All calls of one Asterisk.

    Args:
        settings: See `DeskSettings`.
        registry: Where age bands are looked up and choices are remembered.
        rules: Gives the rules in force; a call is decided by those that were in force when it asked.
        journal: Where records go.
        send: Sends AMI actions in one write and returns all answers; raises AmiError.
        tasks: Runs the answering of each request.
        speech: Who answers when something is to be said.
    """

    def __init__(
        self,
        settings: DeskSettings,
        *,
        registry: Callers,
        rules: Callable[[], RuleBook],
        journal: Journal,
        send: Send,
        tasks: asyncio.TaskGroup,
        speech: Speech | None = None,
    ) -> None:
        self.settings = settings
        self.token = secrets.token_hex(8)
        """What events of the dialplan must carry."""
        self.calls: dict[str, Call] = {}
        self.last_slot = 0
        """The newest place in the dialplan's ring of fallbacks that has been recorded."""
        self.counts = DeskCounts()
        self._registry = registry
        self._rules = rules
        self._journal = journal
        self._send = send
        self._tasks = tasks
        self._speech = speech
        self.choices = Choices(settings.node, registry=registry, rules=rules, send=send, tasks=tasks)
        self._routing: dict[str, asyncio.Task[None]] = {}
        self._unasked = Unasked(registry, self._write_decision, tasks)
        self._told: frozenset[str] = frozenset()
        self._fell_back: deque[str] = deque(maxlen=RING_SIZE)
        self._queues = NO_QUEUES
        self._queues_at = -QUEUES_STALE_S
        self._closed = False
        self._complained_at = -_COMPLAIN_EVERY_S
        self._log = log.bind(node=settings.node)

    def on_event(self, event: Event) -> None:
        """Take one of Asterisk's events; never blocks."""
        try:
            happened = read_event(event, self.token)
        except Refused as refused:
            self._complain(event, str(refused))
            return
        if self._speech is not None and isinstance(happened, Answered):
            self._speech.answered(happened)
        if happened is not None:
            self._take(happened, self.now())

    def _take(self, happened: CallEvent, now: float) -> None:
        match happened:
            case SpeechRequested() | SpeechChosen():
                self._asked_to_speak(happened, now)
            case RouteRequested(request):
                self.route(request, now)
            case FellBack(request, reason, queue, slot):
                self.last_slot = max(self.last_slot, slot)
                self.fell_back(request, reason, queue)
            case Ended(uniqueid, cause):
                if (call := self.calls.pop(uniqueid, None)) is not None:
                    self.end(call, cause or None)
            case _:
                if (call := self.calls.get(happened.uniqueid)) is not None:
                    self._note(call, happened, now)

    def _asked_to_speak(self, asked: SpeechRequested | SpeechChosen, now: float) -> None:
        """Something is to be said, or from now on at another pace; of a call that is not in hand too."""
        if isinstance(asked, SpeechChosen):
            call = self.calls.get(asked.uniqueid)
            if call is not None:
                call.stepped("key", asked.pace, now)
            self.choices.pace(asked, call)
        elif self._speech is not None:
            self._speech.requested(asked)

    def route(self, request: Request, now: float) -> None:
        """Answer a request, unless that very request is in hand already."""
        known = self.calls.get(request.uniqueid)
        if known is not None and known.ask >= request.ask:
            return
        if self._closed or len(self.calls) >= MOST_CALLS or len(self._routing) >= MOST_ROUTING:
            self.counts.turned_away += 1
            self._log.error(
                "request turned away",
                call=request.uniqueid,
                in_hand=len(self.calls),
                routing=len(self._routing),
            )
            return
        self.counts.requests += 1
        call = self._in_hand(request, now)
        task = self._routing[call.uniqueid] = self._tasks.create_task(self._route(call, request, now))
        task.add_done_callback(partial(self._routed, call.uniqueid))

    def fell_back(self, request: Request, reason: str, queue: str, *, ago_s: float | None = 0.0) -> None:
        """A call went to people by itself. If it was never decided here, that is its decision record.

        Args:
            request: What it asked.
            reason: Why, as the dialplan has it.
            queue: Where it was sent.
            ago_s: How many seconds ago it asked; None where that is not known.
        """
        call = self.calls.get(request.uniqueid)
        self.counts.fell_back += 1
        self._fell_back.append(request.uniqueid)
        self._log.warning("call fell back", call=request.uniqueid, reason=reason, queue=queue)
        if call is not None and call.ask >= request.ask:
            call.fallback, call.queue = reason, queue
            return
        call = self._in_hand(request, self.now() - (ago_s or 0.0))
        call.fallback, call.queue = reason, queue
        handled = Handled(self._caller(request), not_applied_why="the router was not asked", queue=queue)
        handled.asked_at = datetime.now(UTC) - timedelta(seconds=ago_s) if ago_s is not None else None
        self._unasked.record(call, request, handled, self._rules(), reason)

    def see_queues(self, states: Mapping[str, QueueState]) -> None:
        """Take the state of Asterisk's queues, as it is now."""
        self._queues, self._queues_at = states, self.now()

    @property
    def queues(self) -> Mapping[str, QueueState]:
        """The queues as they were some seconds ago at most; none while that is not known."""
        return self._queues if self.now() - self._queues_at < QUEUES_STALE_S else NO_QUEUES

    def follow(self, request: Request) -> None:
        """Follow a call to its end that this run did not decide."""
        self._in_hand(request, self.now())

    def identify(self, call: Call, request: Request) -> None:
        """Note whose call it is, for whom choices are remembered: not in the journal of an earlier run."""
        caller = self._caller(request)
        call.number = caller if isinstance(caller, PhoneNumber) else None

    def catch_up(self, call: Call, chosen: Chosen, language: str, *, is_routed: bool) -> None:
        """Take what a call's channel tells of the time when nobody listened.

        Args:
            call: The call.
            chosen: What the caller has chosen in it.
            language: The channel language, with the suffix of the speech profile.
            is_routed: Whether a decision was applied to it.
        """
        call.choice = chosen.joined(call.choice)
        call.is_told_whole = True
        if is_routed or call.choice.pace:
            call.speech = profile_name_spoken(language, call.speech, self._rules().speech)

    def knows(self, uniqueid: str) -> bool:
        """Whether the call is in hand or has its records: from an earlier run, or as a fallback of this one."""
        return uniqueid in self.calls or uniqueid in self._told or uniqueid in self._fell_back

    def now(self) -> float:
        """Seconds of the clock by which calls are timed; uvloop's own is good to 1 ms only."""
        return time.monotonic()

    def end(self, call: Call, cause: int | None, *, seen: bool = True) -> None:
        """Write the outcome of a call that is over and no longer among `calls`."""
        deciding = self._routing.get(call.uniqueid) or self._unasked.pending(call.uniqueid)
        if deciding is not None:
            # Behind its decision, or whoever reads the journal would take the call for one that goes on.
            deciding.add_done_callback(lambda _: self.end(call, cause, seen=seen))
            return
        self.counts.ended += 1
        self._journal.write(call.outcome(self.now(), cause, seen=seen))

    def adopt(self, decisions: Iterable[DecisionRecord], told: frozenset[str]) -> None:
        """Take up calls that an earlier run of the daemon decided and never saw the end of.

        Args:
            decisions: Those calls' decision records.
            told: Uniqueids of all calls that the journal tells of.
        """
        self._told = told
        now = self.now()
        for record in decisions:
            age_s = (datetime.now(UTC) - record.time).total_seconds()
            call = Call(self.settings.node, record.uniqueid, record.linkedid, record.ask, now - age_s)
            call.queue, call.fallback = record.queue, record.fallback
            call.band, call.is_protected = record.age_band, bool(record.protected)
            call.speech = record.speech if record.applied else ""
            call.touched_assistant = record.applied and bool(record.context)
            call.is_told_whole = False
            self.calls.setdefault(record.uniqueid, call)

    async def close(self, patience_s: float = ANSWER_WITHIN_S) -> None:
        """Take no more requests, and finish those in hand."""
        self._closed = True
        if self._routing:
            await asyncio.wait(self._routing.values(), timeout=patience_s)
        await self._unasked.close(patience_s)
        await self.choices.close(patience_s)

    def _routed(self, uniqueid: str, task: asyncio.Task[None]) -> None:
        if self._routing.get(uniqueid) is task:
            del self._routing[uniqueid]

    def _in_hand(self, request: Request, now: float) -> Call:
        call = self.calls.get(request.uniqueid)
        if call is None:
            call = Call(self.settings.node, request.uniqueid, request.linkedid, request.ask, now)
            self.calls[request.uniqueid] = call
        self.identify(call, request)
        call.ask, call.fallback = request.ask, ""  # an earlier request's fallback is not this one's
        return call

    async def _route(self, call: Call, request: Request, asked_at: float) -> None:
        """Answer one request. Whatever goes wrong, this call falls back and the others go on."""
        handled = Handled(self._caller(request))
        book = self._rules()  # the call keeps these, whatever is loaded meanwhile
        try:
            await self._decide_and_apply(call, request, asked_at, handled, book)
        except AmiError as error:
            handled.not_applied_why = str(error)
        except Exception:  # noqa: BLE001 - the boundary of one call, logged with its traceback
            self._log.exception("call not routed", call=request.uniqueid)
            handled.not_applied_why = "an error in the router; see its log"
        if call.fallback:
            handled.applied = False
            handled.not_applied_why = handled.not_applied_why or f"the dialplan went on by itself: {call.fallback}"
        if handled.applied:
            self.counts.applied += 1
        else:
            self.counts.not_applied += 1
            self._log.warning("decision not applied", call=request.uniqueid, reason=handled.not_applied_why)
        try:
            self._write_decision(request, handled, book, call.fallback)
        except Exception:  # noqa: BLE001 - the boundary of one call again: beyond it, the daemon would end
            self._log.exception("decision not recorded", call=request.uniqueid)

    async def _decide_and_apply(
        self, call: Call, request: Request, asked_at: float, handled: Handled, book: RuleBook
    ) -> None:
        visit = None
        if book.repeat_within_s:
            visit = Visit(f"{self.settings.node}/{request.uniqueid}", time.time(), book.repeat_within_s)
        lookup = await self._registry.lookup(handled.caller, visit)
        looked_up_at = self.now()
        handled.lookup_ms = _ms(looked_up_at - asked_at)
        handled.looked_up(lookup, book.bands.names)
        call.band, call.is_protected = handled.age_band, handled.age_band in book.protected
        facts = handled.facts = self._facts(call, request, handled, lookup, book)
        decision = handled.decision = book.decide(facts)
        spoken = decision.language or request.language
        handled.language = channel_language(spoken, decision.speech, frozenset(book.speech))
        wanted = variables(
            decision,
            book.speech,
            language=handled.language,
            language_now=request.language,
            people_queue=book.fallback.queue,
        )
        decided_at = self.now()
        handled.decide_ms = _ms(decided_at - looked_up_at)
        if decided_at - asked_at > ANSWER_WITHIN_S:
            handled.not_applied_why = f"decided after {decided_at - asked_at:.1f} s, too late for the dialplan"
            return
        if call.fallback:
            return  # it waits in the people's queue by now, which is no time to change its language and its queue
        answers = await self._send(set_on_channel(request.channel, wanted))
        handled.apply_ms = _ms(self.now() - decided_at)
        for (name, _), answer in zip(wanted, answers, strict=True):
            if answer.is_error():
                said = one(answer, "Message") or "no reason given"
                handled.not_applied_why = f"Asterisk refused {name}: {said}"
                return
        handled.applied = True
        call.speech = decision.speech.name

    def _facts(self, call: Call, request: Request, handled: Handled, lookup: BandLookup, book: RuleBook) -> Facts:
        caller = handled.caller
        at = datetime.now(ZoneInfo(book.timezone))
        return Facts(
            caller=caller,
            called=request.called,
            language=request.language,
            age_band=handled.age_band,
            at=at.replace(microsecond=at.microsecond // 1000 * 1000),  # as exact as the record tells it
            queues=self.queues,
            earlier_calls_s=lookup.earlier_calls_s,
            choice=_chosen(call, lookup),
            rollout=rollout_place(self.settings.caller_key(caller)) if isinstance(caller, PhoneNumber) else None,
        )

    def _caller(self, request: Request) -> Caller:
        if request.restricted:
            return NoNumber(NoNumberReason.WITHHELD, "")
        return parse_caller(request.caller, self.settings.home_region)

    def _write_decision(self, request: Request, handled: Handled, book: RuleBook, fallback: str) -> None:
        settings = self.settings
        key = full = ""
        if isinstance(handled.caller, PhoneNumber):
            key = settings.caller_key(handled.caller)
            full = handled.caller.e164 if settings.full_numbers else ""
        record = decision_record(
            request,
            handled,
            node=settings.node,
            fallback=fallback,
            book=book,
            caller_masked=masked(handled.caller),
            caller_key=key,
            full_caller=full or None,
        )
        self._journal.write(record)

    def _note(self, call: Call, happened: Noted, now: float) -> None:
        match happened:
            case Stepped(_, step, detail):
                call.stepped(step, detail, now)
                if is_for_a_person(step, detail):
                    self.choices.person(call)
            case Joined(_, queue):
                call.joined(queue, now)
            case Answered(_, queue, agent, hold_s):
                call.answered(queue, agent, now, hold_s)
            case Parted():
                call.parted(now)
            case Abandoned(_, queue, hold_s):
                call.abandoned(queue, now, hold_s)

    def _complain(self, event: Event, why: str) -> None:
        """Say that an event was refused; at most so often, or whoever forges events fills the log."""
        self.counts.refused_events += 1
        now = self.now()
        if now - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = now
            self._log.warning("event refused", name=event.name, reason=why, refused=self.counts.refused_events)


def _chosen(call: Call, lookup: BandLookup) -> str | None:
    """What a caller has chosen: remembered or not, what they chose in this very call goes on after a transfer back."""
    if call.choice == NOTHING:
        return lookup.choice
    return str((read_choice(lookup.choice or "") or NOTHING).joined(call.choice))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
