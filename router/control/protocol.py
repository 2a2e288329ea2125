"""The control socket's protocol: a line of JSON asks, a line of JSON answers, and the connection is over.

    {"do": "promote", "call": "pbx1-1763888645.42", "why": "…"}
    {"ok": true, "answer": {…}}
    {"ok": false, "error": "refused", "message": "what to tell the person who asked"}

Does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from router.ami.messages import for_log
from router.errors import ControlError

MAX_REQUEST_BYTES: Final = 4096
"""Ten times the longest request there is: a promotion with 200 characters of `why`."""

MAX_ANSWER_BYTES: Final = 64 * 1024

_SHOWN_CHARS = 40


class ErrorKind(StrEnum):
    """Why a request came to nothing."""

    BAD_REQUEST = "bad_request"  # it is not written as the protocol says
    BUSY = "busy"  # too many ask at once
    REFUSED = "refused"  # it was understood, and cannot be done
    FAILED = "failed"  # the router's fault; its log says more


_KINDS = frozenset(kind.value for kind in ErrorKind)


class Unanswerable(ValueError):  # noqa: N818 - it says what happened
    """A request that comes to nothing; the text is for the person who asked."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        self.kind = kind
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: `do` names it, `fields` holds the rest, whatever it is."""

    do: str
    fields: Mapping[str, object]

    def text(self, name: str, longest: int, *, required: bool = False) -> str:
        """A field that holds printable characters; "" when it may be missing and is.

        Raises:
            Unanswerable: It holds something else.
        """
        value = self.fields.get(name, "")
        if isinstance(value, str) and len(value) <= longest and value.isprintable() and (value or not required):
            return value
        least = "1 to " if required else "at most "
        raise Unanswerable(ErrorKind.BAD_REQUEST, f"`{name}` must be a text of {least}{longest} printable characters")


def read_request(line: bytes) -> Request:
    """Read the line that asks.

    Raises:
        Unanswerable: It is no request.
    """
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Unanswerable(ErrorKind.BAD_REQUEST, 'the request is no JSON, like {"do": "promote", …}') from error
    if not isinstance(fields, dict):
        raise Unanswerable(ErrorKind.BAD_REQUEST, 'the request must be a JSON object, like {"do": "promote", …}')
    do = fields.pop("do", None)
    if not isinstance(do, str):
        raise Unanswerable(ErrorKind.BAD_REQUEST, 'the request must say what to do, like {"do": "promote", …}')
    return Request(do, fields)


def unknown(do: str, known: Mapping[str, object]) -> Unanswerable:
    """That nobody here does what is asked."""
    found = for_log(do, _SHOWN_CHARS)
    return Unanswerable(
        ErrorKind.BAD_REQUEST,
        f"`do` must be one of {', '.join(sorted(known))}; found {found!r}: is the router older than the command?",
    )


def write_request(do: str, fields: Mapping[str, object]) -> bytes:
    """Write the line that asks."""
    return orjson.dumps({"do": do, **fields}) + b"\n"


def write_answer(answer: Mapping[str, object]) -> bytes:
    """Write the line that answers."""
    return orjson.dumps({"ok": True, "answer": dict(answer)}) + b"\n"


def write_refusal(why: Unanswerable) -> bytes:
    """Write the line that says why there is no answer."""
    return orjson.dumps({"ok": False, "error": why.kind.value, "message": str(why)}) + b"\n"


def read_answer(line: bytes) -> dict[str, object]:
    """Read the line that answers.

    Raises:
        Unanswerable: It says why there is no answer.
        ControlError: It is neither; something else than a router listens there.
    """
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ControlError(f"the answer is no JSON ({error}): is it a router that listens there?") from error
    match said:
        case {"ok": True, "answer": dict(answer)}:
            return answer
        case {"ok": False, "error": str(kind), "message": str(message)}:
            known = ErrorKind(kind) if kind in _KINDS else ErrorKind.FAILED
            raise Unanswerable(known, for_log(message, MAX_ANSWER_BYTES))
    raise ControlError("the answer is not of this version's kind: do the command and the router have one version?")
