"""What happens to a call, out of Asterisk's events: the contract with `dialplans/elder-router.conf`.

Every value that a caller can choose arrives URI-encoded. The dialplan's own events (UserEvent) count only with
the token of the link: a caller's number can forge whole events otherwise, see the head of that file. Asterisk's
queue events cannot carry it; one in which a header that stands once came twice has been tampered with and is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from asterisk.ami import Event

from router.ami.messages import one

WANTED_EVENTS: Final = frozenset(
    {"UserEvent", "QueueCallerJoin", "QueueCallerAbandon", "AgentConnect", "AgentComplete"}
)
"""Names of the events that are read here; `dialplans/elder-router-manager.conf` lets just these through."""

LONGEST_TEXT: Final = 600
"""Characters of a text to be said: a minute of speech."""

_CUT_FROM = 4087
"""Encoded bytes of a text that may have been more: Asterisk (22.10.1) keeps 4095, and cuts where a character fits,
which has 12 at most. That is 454 Chinese characters."""

_LONGEST = 512
"""Characters of one value that are kept; a number has at most 15 digits, a channel's name 80 characters."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the dialplan tells of a call that asks for its route.

    `ask` counts the requests of one call from 1; `caller` and `called` are as Asterisk has them; `restricted` is
    whether the caller withheld the number that the network passed on.
    """

    uniqueid: str
    linkedid: str
    ask: int
    channel: str
    caller: str
    restricted: bool
    called: str
    language: str


@dataclass(frozen=True, slots=True)
class RouteRequested:
    """A call asks for its route and waits."""

    request: Request


@dataclass(frozen=True, slots=True)
class FellBack:
    """A call went to people without the router's answer; `slot` is its place in the dialplan's ring."""

    request: Request
    reason: str
    queue: str
    slot: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """Something the dialplan tells of a call on its way: `assistant`, `key`, `overflow`, `no-agents`."""

    uniqueid: str
    step: str
    detail: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A call joined a queue."""

    uniqueid: str
    queue: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A person answered a waiting call, which had waited in that queue for `hold_s`."""

    uniqueid: str
    queue: str
    agent: str
    hold_s: int = 0


@dataclass(frozen=True, slots=True)
class Parted:
    """The person who answered has hung up, been hung up on, or passed the call on."""

    uniqueid: str


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The caller hung up while waiting, having waited in that queue for `hold_s`."""

    uniqueid: str
    queue: str
    hold_s: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over; `cause` is the hangup cause of ITU-T Q.850, 0 if Asterisk knows none."""

    uniqueid: str
    cause: int


@dataclass(frozen=True, slots=True)
class SpeechRequested:
    """A call wants something said that is known only now, and waits: `[elder-say]` of the dialplan.

    All of it as it came, undone from URIENCODE: `values` still is `name=value&name=value`. What is to be said is a
    prompt, or a text, or the place in the queue `place` of a caller with that priority; all else is empty.
    """

    uniqueid: str
    channel: str
    turn: int
    language: str
    prompt: str = ""
    values: str = ""
    text: str = ""
    place: str = ""
    priority: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class SpeechChosen:
    """The caller wants to be spoken to at another pace, `slower` or `normal`: `[elder-choose]` of the dialplan.

    `language` is what the channel speaks now, with the profile's suffix.
    """

    uniqueid: str
    channel: str
    turn: int
    language: str
    pace: str


Noted: TypeAlias = Stepped | Joined | Answered | Parted | Abandoned
"""What is only noted on the call."""
CallEvent: TypeAlias = Noted | RouteRequested | FellBack | Ended | SpeechRequested | SpeechChosen


class Refused(ValueError):  # noqa: N818 - it says what happened
    """An event that is ours by name but not to be believed; the text says why."""


def read_event(event: Event, token: str) -> CallEvent | None:
    """Read one event; None if it is none of ours.

    Args:
        event: As `router.ami` parsed it.
        token: What the dialplan was told to put into its events on this link.

    Raises:
        Refused: A forged, damaged or tampered event.
    """
    if event.name != "UserEvent":
        return _queue_event(event)
    name = _last(event, "UserEvent")
    if (read := _READERS.get(name)) is None:
        return None
    if not token or _last(event, "Token") != token:
        raise Refused("it does not carry this link's token")
    uniqueid = _last(event, "Call")
    if not uniqueid:
        raise Refused("it names no call")
    return read(event, uniqueid)


def _queue_event(event: Event) -> CallEvent | None:
    keys = event.keys
    if isinstance(keys.get("Uniqueid"), list) or isinstance(keys.get("Queue"), list):
        raise Refused("a header that stands once came twice")
    uniqueid, queue = _last(event, "Uniqueid"), _last(event, "Queue")
    match event.name:
        case "QueueCallerJoin":
            return Joined(uniqueid, queue)
        case "QueueCallerAbandon":
            return Abandoned(uniqueid, queue, _number(event, "HoldTime"))
        case "AgentConnect":
            return Answered(uniqueid, queue, _last(event, "MemberName"), _number(event, "HoldTime"))
        case "AgentComplete":
            return Parted(uniqueid)
    return None


def _request(event: Event, uniqueid: str) -> Request:
    return Request(
        uniqueid=uniqueid,
        linkedid=_last(event, "LinkedCall") or uniqueid,
        ask=max(1, _number(event, "Ask")),
        channel=decoded(_last(event, "CallChannel")),
        caller=decoded(_last(event, "Caller")),
        restricted=_last(event, "Presentation").startswith("prohib"),
        called=decoded(_last(event, "Called")),
        language=_last(event, "CallLanguage"),
    )


def _speech(event: Event, uniqueid: str) -> SpeechRequested:
    return SpeechRequested(
        uniqueid=uniqueid,
        channel=decoded(_last(event, "CallChannel")),
        turn=_number(event, "Turn"),
        language=_last(event, "SpeechLanguage"),
        prompt=decoded(_last(event, "Prompt")),
        values=decoded(_last(event, "Values")),
        text=_text(one(event, "Text")),
        place=decoded(_last(event, "Place")),
        priority=_last(event, "Priority"),
        about=_last(event, "About"),
    )


def _choice(event: Event, uniqueid: str) -> SpeechChosen:
    return SpeechChosen(
        uniqueid=uniqueid,
        channel=decoded(_last(event, "CallChannel")),
        turn=_number(event, "Turn"),
        language=_last(event, "SpeechLanguage"),
        pace=_last(event, "Choice"),
    )


def _fallback(event: Event, uniqueid: str) -> FellBack:
    return FellBack(_request(event, uniqueid), _last(event, "Reason"), _last(event, "Queue"), _number(event, "Slot"))


_READERS: Final[Mapping[str, Callable[[Event, str], CallEvent]]] = {
    "RouteRequest": lambda event, uniqueid: RouteRequested(_request(event, uniqueid)),
    "RouteFallback": _fallback,
    "RouteStep": lambda event, uniqueid: Stepped(uniqueid, _last(event, "Step"), _last(event, "Detail")),
    "RouteEnded": lambda event, uniqueid: Ended(uniqueid, _number(event, "Cause")),
    "SpeechRequest": _speech,
    "SpeechChoice": _choice,
}
"""The dialplan's own events, by name."""


def _text(encoded: str) -> str:
    """A text, a character longer than the longest if it was longer; U+FFFD at its end if Asterisk has cut it."""
    cut = "\ufffd" if len(encoded) >= _CUT_FROM else ""
    return (unquote(encoded) + cut)[: LONGEST_TEXT + 1]


def decoded(value: str) -> str:
    """Undo the dialplan's URIENCODE; bytes that are no UTF-8 become U+FFFD."""
    return (unquote(value) if "%" in value else value)[:_LONGEST]


def _last(event: Event, name: str) -> str:
    """A header's value. Of several the last: the dialplan's own come behind Asterisk's snapshot of the channel."""
    return one(event, name)[: 3 * _LONGEST]


def whole_number(text: str) -> int:
    """A number of Asterisk's, 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0  # noqa: PLR2004 - 64 bits


def _number(event: Event, name: str) -> int:
    return whole_number(one(event, name))
