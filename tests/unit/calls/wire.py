"""Events as the dialplan and the queues send them, through bytes and `router.ami`, as in a running router."""

from __future__ import annotations

from urllib.parse import quote

from asterisk.ami import Event

from router.ami.session import Session
from router.calls.events import WANTED_EVENTS

from .dialplan import shape_of

TOKEN = "5f3a9c01d2e47b60"
GREETING = b"Asterisk Call Manager/11.0.0\r\n"

_ENCODED = frozenset({"CallChannel", "Caller", "Called", "Prompt", "Values", "Text", "Place"})
_USUAL = {
    "Token": TOKEN,
    "Ask": "1",
    "Call": "1763888645.42",
    "LinkedCall": "1763888645.42",
    "CallChannel": "PJSIP/trunk-00000001",
    "Caller": "13912345678",
    "Presentation": "allowed_not_screened",
    "Called": "95500",
    "CallLanguage": "en",
    "Reason": "deadline",
    "Queue": "agents",
    "Slot": "7",
    "Step": "assistant",
    "Detail": "assistant",
    "Cause": "16",
    "Turn": "2",
    "SpeechLanguage": "en_unhurried",
    "Prompt": "",
    "Values": "",
    "Text": "",
    "Place": "",
    "Priority": "",
    "About": "",
    "Choice": "slower",
}


def events_of(stream: bytes) -> list[Event]:
    """The events that a link reports of what Asterisk writes."""
    happenings = Session(WANTED_EVENTS).receive(GREETING + stream)
    return [happening for happening in happenings if isinstance(happening, Event)]


def snapshot(caller: str, uniqueid: str) -> str:
    """The head of a channel's event: what Asterisk tells of the channel by itself, the number as it came."""
    return (
        "Privilege: user,all\r\nChannel: PJSIP/trunk-00000001\r\nChannelState: 4\r\n"
        f"CallerIDNum: {caller}\r\nCallerIDName: 张伟\r\nLanguage: en\r\nContext: elder-ask\r\nExten: s\r\n"
        f"Uniqueid: {uniqueid}\r\nLinkedid: {uniqueid}\r\n"
    )


def user_event_bytes(name: str, *, number: str = "13912345678", **headers: str) -> bytes:
    """What Asterisk writes for one UserEvent of the dialplan, its arguments behind the channel's snapshot.

    Args:
        name: `RouteRequest` and the like; its headers are those that the dialplan gives it.
        number: The caller's number in the snapshot, where nothing encodes it.
        headers: Values other than the usual, before the dialplan's URIENCODE.
    """
    values = _USUAL | headers
    lines = [f"{key}: {quote(values[key], safe='') if key in _ENCODED else values[key]}" for key in shape_of(name)]
    arguments = "".join(f"{line}\r\n" for line in lines)
    head = snapshot(number, values["Call"])
    return f"Event: UserEvent\r\n{head}UserEvent: {name}\r\n{arguments}\r\n".encode(errors="surrogateescape")


def user_event(name: str, **headers: str) -> Event:
    """One UserEvent of the dialplan as the link reports it."""
    (event,) = events_of(user_event_bytes(name, **headers))
    return event


def queue_event(name: str, uniqueid: str = _USUAL["Call"], queue: str = "agents", **headers: str) -> Event:
    """One event of app_queue."""
    more = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    head = snapshot("13912345678", uniqueid)
    (event,) = events_of(f"Event: {name}\r\n{head}Queue: {queue}\r\nPosition: 1\r\n{more}\r\n".encode())
    return event
