"""How callers lie in Redis, what a lookup asks for, and how the answers read. Does no I/O.

- `elder:caller:<E.164>` is the name of the band. Not the date of birth: the band is all that routing needs. Bands go
  stale as people grow older, so the import is run again now and then.
- `elder:choice:<E.164>` is what the caller chose in a call and had remembered, such as `slower:slow+person` (see
  `past`); it expires.
- `elder:calls:<E.164>` is a sorted set of the last calls: Asterisk's name of the call, by epoch seconds. It is kept
  only while some rule asks for repeated calls, and for as long as that rule looks back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from redis.exceptions import RedisError, ResponseError

from router.callers.link import Command, Reply
from router.callers.number import PhoneNumber
from router.callers.past import MOST_EARLIER_CALLS, read_choice

KEY_PREFIX: Final = "elder:caller:"
CHOICE_PREFIX: Final = "elder:choice:"
CALLS_PREFIX: Final = "elder:calls:"
# A band's name is a word in the rules file; what is longer was not written by us.
MAX_BAND_BYTES: Final = 64
MAX_CHOICE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Visit:
    """A call to be noted as one of its caller's: its name, when it came (epoch seconds), how far back to look."""

    call: str
    at: float
    within_s: float


Asked: TypeAlias = tuple[PhoneNumber, Visit | None]
"""One caller of a lookup, and the call if it is to be noted."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis holds of one caller."""

    band: bytes | None
    choice: str
    earlier_calls_s: tuple[float, ...] | None


def band_key(number: PhoneNumber) -> str:
    """The key of a number's band."""
    return KEY_PREFIX + number.e164


def commands(asked: Sequence[Asked]) -> list[Command]:
    """What to ask Redis for some callers, in one round trip; sending it twice does no harm."""
    numbers = [number.e164 for number, _ in asked]
    every: list[Command] = [("MGET", *(KEY_PREFIX + n for n in numbers), *(CHOICE_PREFIX + n for n in numbers))]
    for number, visit in asked:
        if visit is not None:
            key = CALLS_PREFIX + number.e164
            every += [
                ("ZADD", key, visit.at, visit.call),
                ("ZREMRANGEBYRANK", key, 0, -MOST_EARLIER_CALLS - 2),  # this call stays beside them
                ("EXPIRE", key, math.ceil(visit.within_s)),
                ("ZRANGE", key, 0, -1, "WITHSCORES"),
            ]
    return every


_COMMANDS_OF_A_VISIT = 4


def read(asked: Sequence[Asked], replies: Sequence[Reply]) -> list[Stored]:
    """The answers to `commands`, a caller each.

    Raises:
        RedisError: Redis refused, or answered something else.
    """
    values, *others = replies
    if isinstance(values, ResponseError):
        raise values
    if not isinstance(values, list) or len(values) != 2 * len(asked):
        raise RedisError(f"asked for {2 * len(asked)} values, got something else")
    found = []
    visits = iter(others[_COMMANDS_OF_A_VISIT - 1 :: _COMMANDS_OF_A_VISIT])
    for (_, visit), band, choice in zip(asked, values[: len(asked)], values[len(asked) :], strict=True):
        earlier = None if visit is None else earlier_calls_s(visit, next(visits))
        found.append(Stored(band, choice_name(choice), earlier))
    return found


def earlier_calls_s(visit: Visit, reply: Reply) -> tuple[float, ...] | None:
    """How long ago each earlier call was, newest first; None if Redis refused or holds something else there."""
    if not isinstance(reply, list):
        return None
    calls = zip(reply[::2], reply[1::2], strict=False)
    ago = (round(max(0.0, visit.at - float(at)), 3) for call, at in calls if call != visit.call.encode())
    return tuple(sorted(seconds for seconds in ago if seconds <= visit.within_s)[:MOST_EARLIER_CALLS])


def choice_name(value: Reply) -> str:
    """A choice as stored; what is none of ours counts as nothing."""
    if not isinstance(value, bytes) or len(value) > MAX_CHOICE_BYTES:
        return ""
    name = value.decode("ascii", "replace")
    return "" if read_choice(name) is None else name


def band_name(value: bytes) -> str | None:
    """The band's name, or None for a value that cannot be one."""
    if not 0 < len(value) <= MAX_BAND_BYTES:
        return None
    try:
        name = value.decode()
    except UnicodeDecodeError:
        return None
    return name if name.isprintable() else None
