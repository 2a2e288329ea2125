"""Why Redis could not be asked: few and fixed reasons, made of all that the client library and the system raise."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from router.errors import RegistryError

REDIS_ERRORS: Final = (RedisError, RedisClusterException, OSError)
"""All that the client library raises when Redis cannot be asked; TimeoutError is an OSError."""
_MAX_DETAIL_CHARACTERS: Final = 120
_PIPELINES_WORDS: Final = re.compile(
    r"Command # [0-9]+ \(.*\) of pipeline caused error: (?:\(['\"])?(.*?)(?:['\"],?\))?", re.DOTALL
)
"""Redis-py's, around what Redis answered: with the command, and so with whose it was, which no log shall have."""
_LIBRARYS_WORDS: Final = re.compile(r"Error (-?[0-9]+) connecting to \S+ (.+)\.")


class LookupFailure(StrEnum):
    """Why a lookup failed; few and fixed, so that they can be counted."""

    DEADLINE = "no answer within the deadline"
    BREAKER_OPEN = "breaker open"
    TOO_MANY = "too many lookups waiting"
    UNREACHABLE = "Redis cannot be reached"
    REFUSED = "Redis answered with an error"
    BAD_VALUE = "the value stored is not the name of a band"
    UNUSABLE = "what is in force in the registry cannot be used"
    HASHED_OTHERWISE = "the secret of the registry is not known here"
    NOT_CURRENT = "what is in force in the registry is not known"
    CLOSED = "the registry is closed"
    INTERNAL = "an error in the router; see its log"


class LookupFailedError(RegistryError):
    """The servers gave no answer in time, or none that can be used. Its text says why, in one line."""

    def __init__(self, failure: LookupFailure, detail: str = "") -> None:
        self.failure = failure
        self.detail = detail
        super().__init__(f"{failure}: {detail}" if detail else failure.value)


def lookup_failed(error: BaseException) -> LookupFailedError:
    """Sort an error by who has to act: the network's or the machine's, or Redis's own refusal."""
    if isinstance(error, LookupFailedError):
        return LookupFailedError(error.failure, error.detail)  # a traceback of its own for each who is told
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return LookupFailedError(LookupFailure.DEADLINE)
    code = getattr(error, "status_code", None)  # the reply's first word, which redis-py cuts off its message
    text = " ".join(part for part in (code, _said(error)) if part)
    shown = "".join(character if character.isprintable() else "?" for character in text)
    detail = shown[:_MAX_DETAIL_CHARACTERS]
    if isinstance(error, OSError | RedisClusterException) or (isinstance(error, RedisConnectionError) and not code):
        return LookupFailedError(LookupFailure.UNREACHABLE, detail)
    return LookupFailedError(LookupFailure.REFUSED, detail)


def _said(error: BaseException) -> str:
    """What Redis answered, or the system says of a failed connection, without the library's words around it."""
    if match := _PIPELINES_WORDS.fullmatch(str(error)):
        return match[1]
    if not (match := _LIBRARYS_WORDS.fullmatch(str(error))):
        return str(error)
    if match[2].startswith("[SSL"):
        return match[2]  # whose numbers are not the system's
    number = int(match[1])  # below 0 for a name that nothing answers to
    return os.strerror(number) if number > 0 else match[2]
