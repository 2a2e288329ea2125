"""What a message means: its kind, its headers, asterisk-ami's types made from it and written from them.

Parsing is lazy: `event_name` and `action_id` look at a few bytes, so that messages nobody wants cost next to
nothing. Who is answered by what is left to `session`. Does no I/O.

asterisk-ami's own `read` methods are not used: they break lines at every Unicode line end, so that U+2028 in
a display name overwrites the headers behind it, and lose repeated headers; its `Action.__str__` lets a CR LF
in a value become a second action.
"""

from __future__ import annotations

import functools
import re
from typing import cast

from asterisk.ami import Event, Response, SimpleAction

from router.errors import AmiValueError

MAX_SENT_LINE_BYTES = 1024
"""Asterisk reads an action's line, its CR LF included, into 1,024 bytes and discards the message when it
does not fit (`inbuf` and get_input() in manager.c)."""
MAX_SENT_HEADERS = 128
"""AST_MAX_MANHEADERS in manager.h: an action with more is answered with an error."""

_EVENT = b"Event:"
_RESPONSE = b"Response:"
_ACTION_ID = b"\r\nActionID: "
_LOG_CHARS = 200
_NOT_CARRIED = re.compile(r"[\r\n\0]")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_RESERVED = frozenset({"action", "actionid"})
# A line of no more characters than this cannot be too long: UTF-8 takes at most 4 bytes for each.
_SURELY_SHORT_CHARS = (MAX_SENT_LINE_BYTES - 2) // 4


def event_name(raw: bytes) -> bytes | None:
    """The event's name, or None when `raw` is not an event. Looks at the first line only."""
    if not raw.startswith(_EVENT):
        return None
    end = raw.find(b"\r\n")
    return (raw[len(_EVENT) :] if end < 0 else raw[len(_EVENT) : end]).removeprefix(b" ")


def is_response(raw: bytes) -> bool:
    """Whether `raw` answers an action."""
    return raw.startswith(_RESPONSE)


def action_id(raw: bytes) -> bytes:
    """The first ActionID of a message, or b"" when it has none.

    Asterisk echoes it ahead of anything a caller can shape, and no value can hold the CR LF searched for.
    """
    start = raw.find(_ACTION_ID)
    if start < 0:
        return b""
    start += len(_ACTION_ID)
    end = raw.find(b"\r\n", start)
    return raw[start:] if end < 0 else raw[start:end]


def to_event(raw: bytes) -> Event:
    """Parse an event; `keys` has every header but `Event`, a repeated one as the list of its values."""
    name, keys = _parse(raw)
    return Event(name, keys)


def to_response(raw: bytes) -> Response:
    """Parse a response; `keys` has every header but `Response`, a repeated one as the list of its values."""
    status, keys = _parse(raw)
    return Response(status, keys)


def _parse(raw: bytes) -> tuple[str, dict[str, str | list[str]]]:
    """Return the first line's value, and the other headers. A line without a colon is left out."""
    # Decoding before splitting gives the same as decoding value by value, and is one call: a broken sequence
    # is replaced up to the next ASCII byte, which CR is, so it never reaches into the next line.
    first, *lines = raw.decode("utf-8", errors="replace").split("\r\n")
    return first.partition(":")[2].removeprefix(" "), _as_usual(lines) or _as_may_be(lines)


def _as_usual(lines: list[str]) -> dict[str, str | list[str]] | None:
    """The headers, if they are as Asterisk writes them: `Name: value`, no name twice. Half the cost."""
    pairs = cast("list[tuple[str, str | list[str]]]", [line.split(": ", 1) for line in lines])
    try:
        keys = dict(pairs)
    except ValueError:  # a line without «: »
        return None
    usual = len(keys) == len(lines) and "" not in keys and ":" not in "".join(keys)
    return keys if usual else None


def _as_may_be(lines: list[str]) -> dict[str, str | list[str]]:
    keys: dict[str, str | list[str]] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if not colon or not key:
            continue
        if value[:1] == " ":
            value = value[1:]
        if key not in keys:
            keys[key] = value
            continue
        known = keys[key]
        if isinstance(known, list):
            known.append(value)
        else:
            keys[key] = [known, value]
    return keys


def one(message: Event | Response, key: str) -> str:
    """The value of a header, the last one if it is repeated, "" if it is missing.

    The last, because a UserEvent's own arguments come behind the channel's snapshot: whatever a hostile
    caller gets into the snapshot, the dialplan's word stands.
    """
    value = message.keys.get(key, "")
    return value[-1] if isinstance(value, list) else value


def encode(action: SimpleAction, action_id: str) -> bytes:
    """Write an action as Asterisk reads it: `Action`, `ActionID`, then its headers, then its variables.

    Raises:
        AmiValueError: a name or a value holds what AMI cannot carry (CR, LF, NUL), a line or the number of
            headers is over Asterisk's limits, or a name is one that is written here. Values are not shown: one
            may be a secret.
    """
    lines = [f"Action: {action.name}", f"ActionID: {action_id}"]
    for name, value in action.keys.items():
        if not _may_be_given(name):
            raise AmiValueError(
                f"action {for_log(action.name)}: header {for_log(name)!r} must be letters, digits, `_`, `-` "
                "or `.`, and neither Action nor ActionID, which are written for you"
            )
        lines.append(f"{name}: {value}")
    if action.variables:
        lines += [f"Variable: {name}={value}" for name, value in action.variables.items()]
    if len(lines) > MAX_SENT_HEADERS:
        raise AmiValueError(
            f"action {for_log(action.name)} has {len(lines)} headers; Asterisk reads {MAX_SENT_HEADERS}"
        )
    text = "\r\n".join(lines)
    breaks = len(lines) - 1  # a CR or an LF more than these is one in a name or a value
    if text.count("\r") != breaks or text.count("\n") != breaks or "\0" in text:
        bad = next(line for line in lines if _NOT_CARRIED.search(line))
        raise AmiValueError(f"{_place(action, bad)} holds a CR, an LF or a NUL: clean the value first")
    try:
        if len(max(lines, key=len)) > _SURELY_SHORT_CHARS:
            _check_lengths(action, lines)
        return f"{text}\r\n\r\n".encode()
    except UnicodeEncodeError:
        raise AmiValueError(
            f"action {for_log(action.name)} holds half a surrogate pair, which UTF-8 cannot carry"
        ) from None  # the cause would show the value, which may be a secret


@functools.lru_cache(maxsize=256)
def _may_be_given(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name.lower() not in _RESERVED


def _check_lengths(action: SimpleAction, lines: list[str]) -> None:
    for line in lines:
        if len(line.encode()) > MAX_SENT_LINE_BYTES - len("\r\n"):
            raise AmiValueError(
                f"{_place(action, line)} makes a line of more than {MAX_SENT_LINE_BYTES} bytes, "
                "which Asterisk does not read: shorten the value"
            )


def _place(action: SimpleAction, line: str) -> str:
    return f"action {for_log(action.name)}: header {for_log(line.partition(':')[0])}"


def for_log(text: str, limit: int = _LOG_CHARS) -> str:
    """A peer's text made safe for a log line or a terminal: control characters escaped, cut at `limit`."""
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)
    return shown if len(text) <= limit else f"{shown}…"
