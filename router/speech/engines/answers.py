"""What a speech server says when it refuses, in words for the person who set it up."""

from __future__ import annotations

import email.utils
import json
import random
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

_LONGEST_SAID_CHARACTERS: Final = 200
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_REDIRECTS: Final = range(300, 400)


def said_in(content: bytes, secret: str | None) -> str:
    """What an answer's body tells: the message of a JSON error, else its first line.

    `secret` never shows: servers like to repeat a wrong key.
    """
    text = content.decode("utf-8", "replace").strip()
    try:
        text = _message(json.loads(text)) or text
    except (ValueError, RecursionError):
        if text[:200].lower().lstrip("﻿").startswith(("<!doctype", "<html", "<?xml")):
            text = "a page of HTML"
    if secret:
        text = text.replace(secret, "<secret>")
    line = text.partition("\n")[0]
    return "".join(c if c.isprintable() else " " for c in line)[:_LONGEST_SAID_CHARACTERS]


def _message(answer: object) -> str:
    """The text at `error.message`, `error`, `detail` or `message`; FastAPI's `detail` may be a list of `msg`."""
    match answer:
        case str():
            return answer
        case [first, *_]:
            return _message(first)
        case {"error": found} | {"detail": found} | {"message": found} | {"msg": found}:
            return _message(found)
        case _:
            return ""


def advice(status: int) -> str:
    """What to do about a refusal."""
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return "check the key that key_file or key_env names"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return "check `url`"
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "the server lets this key ask less often; ask for fewer at once, or for a higher limit"
        case status if status in _REDIRECTS:
            return "write the address that it redirects to as `url`"
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "look into the server's own log"
        case _:
            return "check `voice`, `model` and `url` of this language"


def is_worth_asking_again(status: int) -> bool:
    """Whether the same request may succeed a moment later."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status in {500, 502, 503, 504}


def wait_s(
    attempt: int, retry_after: str | None, *, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """How long to wait before asking again.

    Args:
        attempt: How often it was asked, from 1.
        retry_after: The header of that name: seconds, or a date.
        uniform: `random.uniform`, or stands in for it; its jitter keeps waiting calls from returning in step.
    """
    told_s = _retry_after_s(retry_after)
    step_s = min(_FIRST_WAIT_S * 2 ** (attempt - 1), _LONGEST_WAIT_S)
    return max(told_s, uniform(step_s / 2, step_s))


def _retry_after_s(header: str | None) -> float:
    if not header:
        return 0.0
    written = header.strip()
    if written.isascii() and written.isdigit():
        return float(written[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(written).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
