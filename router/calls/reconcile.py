"""After a gap, ask Asterisk for the state and make good what was missed.

A gap is the router's restart, a lost link or Asterisk's own restart. What can have happened meanwhile:

- a call asks and still waits: it is answered now;
- a call fell back, and is still there or is over already: it gets its records. The dialplan keeps the last 4096
  fallbacks in a ring of global variables, because the channel of a call that is over cannot be asked;
- a call that was decided before the gap is over: its outcome is `unseen`;
- such a call is still there: it is followed again, with what its caller has chosen so far, and no channel is touched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog
from asterisk.ami import Event, SimpleAction

from router.ami.messages import one
from router.callers.past import NOTHING, Chosen, read_choice
from router.calls.choices import PACE_CHOSEN
from router.calls.desk import ANSWER_WITHIN_S, RING_SIZE, CallDesk, Send
from router.calls.events import Request, decoded, whole_number
from router.calls.verdict import set_globally
from router.errors import AmiRefused

_SLOTS_AT_ONCE = 200
_OURS = (
    "ELDER_STATE", "ELDER_ASK", "ELDER_ASKED", "ELDER_CALLER", "ELDER_CALLED", "ELDER_WHY", "ELDER_QUEUE",
    "CHANNEL(language)", "CALLERID(num-pres)", PACE_CHOSEN, "ELDER_PERSON_CHOSEN",
)  # fmt: skip

_NOT_SET = "(null)"
"""What Asterisk (22.10.1) lists of a variable that a channel does not have."""

SendForList = Callable[[SimpleAction], Awaitable[list[Event]]]

log = structlog.get_logger(__name__)


async def greet(desk: CallDesk, send: Send, people_queue: str) -> None:
    """Tell a newly linked Asterisk what the dialplan needs before any call asks: the token, where people are.

    Raises:
        AmiError: Asterisk could not be told.
    """
    actions = [set_globally("ELDER_TOKEN", desk.token), set_globally("ELDER_FALLBACK_QUEUE", people_queue)]
    for answer in await send(actions):
        if answer.is_error():
            said = answer.keys.get("Message", "no reason given")
            raise AmiRefused(f"Asterisk refused a global variable ({said}): does the manager user have write=call?")


async def reconcile(desk: CallDesk, send: Send, send_for_list: SendForList, asterisk_now: float) -> None:
    """Make good what was missed; see the module's docstring.

    Args:
        desk: The calls of this Asterisk.
        send: Sends actions and returns the answers.
        send_for_list: Sends an action and returns the events it lists.
        asterisk_now: Epoch seconds by Asterisk's clock.

    Raises:
        AmiError: Asterisk could not be asked.
    """
    before = dict(desk.calls)
    listed = await send_for_list(SimpleAction("Status", Variables=",".join(_OURS)))
    waiting = await send_for_list(SimpleAction("QueueStatus"))
    present = {one(event, "Uniqueid"): event for event in listed}
    mine = {uniqueid: ours for uniqueid, event in present.items() if (ours := _variables(event)).get("ELDER_STATE")}
    answered_by = _agents(present)

    lost = [call for uniqueid, call in before.items() if uniqueid not in present]
    for uniqueid, ours in mine.items():
        _take_up(desk, present[uniqueid], ours, asterisk_now)
        _catch_up(desk, uniqueid, ours)
    _follow_again(desk, waiting, answered_by)
    missed = await _read_ring(desk, send, asterisk_now)
    for call in lost:  # only now, or the ring's word of them would make a second set of records
        if desk.calls.pop(call.uniqueid, None) is not None:
            desk.end(call, None, seen=False)
    log.info(
        "reconciled", node=desk.settings.node, channels=len(present), followed=len(desk.calls), ended_unseen=len(lost),
        fell_back_unseen=missed,
    )  # fmt: skip


def _take_up(desk: CallDesk, event: Event, ours: Mapping[str, str], asterisk_now: float) -> None:
    """Answer a call that still waits; record one that fell back meanwhile."""
    request = Request(
        uniqueid=one(event, "Uniqueid"),
        linkedid=one(event, "Linkedid"),
        ask=whole_number(ours.get("ELDER_ASK", "")) or 1,
        channel=one(event, "Channel"),
        caller=decoded(ours.get("ELDER_CALLER", "")),
        restricted=ours.get("CALLERID(num-pres)", "").startswith("prohib"),
        called=decoded(ours.get("ELDER_CALLED", "")),
        language=ours.get("CHANNEL(language)", ""),
    )
    known = desk.calls.get(request.uniqueid)
    if known is not None:
        desk.identify(known, request)
    if known is not None and known.ask >= request.ask and (known.fallback or ours["ELDER_STATE"] != "fallback"):
        return
    waited_s = _ago_s(ours.get("ELDER_ASKED", ""), asterisk_now)
    match ours["ELDER_STATE"]:
        case "asking" if waited_s is not None and waited_s < ANSWER_WITHIN_S:
            desk.route(request, desk.now() - waited_s)
        case "asking":
            pass  # too late to answer: in a moment it falls back, tells so, and has its record from that
        case "fallback":
            desk.fell_back(request, ours.get("ELDER_WHY", ""), ours.get("ELDER_QUEUE", ""), ago_s=waited_s)
        case state:
            # Routed by a run of the daemon whose journal is not here: nothing to undo, its outcome is followed.
            log.warning("call of an earlier run found", call=request.uniqueid, state=state)
            desk.follow(request)


def _catch_up(desk: CallDesk, uniqueid: str, ours: Mapping[str, str]) -> None:
    """Note on a call that is in hand what its caller chose while nobody listened."""
    if (call := desk.calls.get(uniqueid)) is not None:
        pace = read_choice(ours.get(PACE_CHOSEN, "")) or NOTHING
        chosen = Chosen(pace.pace, pace.profile, bool(ours.get("ELDER_PERSON_CHOSEN")))
        desk.catch_up(call, chosen, ours.get("CHANNEL(language)", ""), is_routed=ours["ELDER_STATE"] == "routed")


def _follow_again(desk: CallDesk, waiting: list[Event], answered_by: Mapping[str, str]) -> None:
    now = desk.now()
    for event in waiting:
        if event.name == "QueueEntry" and (call := desk.calls.get(one(event, "Uniqueid"))) is not None:
            call.joined(one(event, "Queue"), now - whole_number(one(event, "Wait")))
    for uniqueid, agent in answered_by.items():
        if (call := desk.calls.get(uniqueid)) is not None and call.answered_at is None:
            call.answered(call.queue, agent, now)


def _agents(present: Mapping[str, Event]) -> dict[str, str]:
    """Who is in conversation: uniqueid → the endpoint of the other channel in its bridge."""
    bridges: dict[str, list[Event]] = {}
    for event in present.values():
        if bridge := one(event, "BridgeID"):
            bridges.setdefault(bridge, []).append(event)
    return {
        one(event, "Uniqueid"): one(other, "Channel").rpartition("/")[2].rpartition("-")[0]
        for members in bridges.values()
        for event in members
        for other in members
        if other is not event
    }


async def _read_ring(desk: CallDesk, send: Send, asterisk_now: float) -> int:
    """Record the calls that fell back and ended while nobody listened; return how many."""
    newest, recorded = [_answer(answer) for answer in await send(
        [_get("ELDER_FALLBACKS"), _get("ELDER_FALLBACKS_SEEN")]
    )]  # fmt: skip
    last = whole_number(newest)
    seen = whole_number(recorded)
    first = seen + 1 if seen <= last else 1  # a `dialplan reload` that clears globals began the count anew
    if last - first >= RING_SIZE:
        log.error("fallbacks lost", node=desk.settings.node, lost=last - first + 1 - RING_SIZE, ring=RING_SIZE)
        first = last - RING_SIZE + 1
    missed = 0
    for start in range(first, last + 1, _SLOTS_AT_ONCE):
        slots = range(start, min(start + _SLOTS_AT_ONCE, last + 1))
        answers = await send([_get(f"ELDER_FALLBACK_{slot % RING_SIZE}") for slot in slots])
        missed += sum(_record_missed(desk, _answer(answer), asterisk_now) for answer in answers)
    desk.last_slot = last
    await send([set_globally("ELDER_FALLBACKS_SEEN", str(last))])
    return missed


def _ago_s(epoch: str, asterisk_now: float) -> float | None:
    """Seconds since an epoch second of Asterisk's clock; None where it is none."""
    return max(0.0, asterisk_now - at) if (at := whole_number(epoch)) else None


def _record_missed(desk: CallDesk, slot: str, asterisk_now: float) -> bool:
    match slot.split("|"):
        case [uniqueid, ask, _, _, why, *_] if (known := desk.calls.get(uniqueid)) is not None:
            if known.ask == whole_number(ask):
                known.fallback = known.fallback or why
        case [uniqueid, ask, linkedid, asked, why, caller, called, language, presentation] if not desk.knows(uniqueid):
            request = Request(
                uniqueid=uniqueid,
                linkedid=linkedid,
                ask=whole_number(ask) or 1,
                channel="",
                caller=decoded(caller),
                restricted=presentation.startswith("prohib"),
                called=decoded(called),
                language=language,
            )
            desk.fell_back(request, why, "", ago_s=_ago_s(asked, asterisk_now))
            if (call := desk.calls.pop(uniqueid, None)) is not None:
                desk.end(call, None, seen=False)
            return True
    return False


def _get(name: str) -> SimpleAction:
    return SimpleAction("Getvar", Variable=name)


def _answer(response: object) -> str:
    keys = getattr(response, "keys", {})
    value = keys.get("Value", "")
    return value if isinstance(value, str) else ""


def _variables(event: Event) -> dict[str, str]:
    """The channel variables that Status lists: `Variable: NAME=VALUE`, a header each. None that is not set."""
    listed = event.keys.get("Variable", [])
    pairs = (entry.partition("=") for entry in ([listed] if isinstance(listed, str) else listed))
    return {name: value for name, _, value in pairs if value != _NOT_SET}
