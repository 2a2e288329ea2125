"""What Redis holds of one caller, what a lookup asks for, and how the answers read. Does no I/O.

The band comes from the feed, as the layout has it: `buckets` or `plain`. Beside it lie, under keys of ours that hold
no number (see `keys`), one set for each secret of the ring:

- a band that was set by hand, stronger than the feed: the name of the band;
- what the caller chose in a call and had remembered, such as `slower:slow+person` (see `past`); it expires;
- a sorted set of the last calls: Asterisk's name of the call, by epoch seconds. It is kept only while some rule asks
  for repeated calls, and for as long as that rule looks back.

Of what stands under more than one secret, the newest secret's counts; calls are counted over all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from redis.exceptions import RedisError, ResponseError

from router.callers.keys import OwnKeys
from router.callers.number import PhoneNumber
from router.callers.past import MOST_EARLIER_CALLS, read_choice
from router.callers.pseudonym import Pseudonym
from router.callers.servers.wire import Command, Reply

# A band's name is a word in the rules file; what is longer was not written by us.
MAX_BAND_BYTES: Final = 64
MAX_CHOICE_BYTES: Final = 64

NOBODY: Final[Mapping[str, Pseudonym]] = MappingProxyType({})
CALLS_COMMANDS: Final = frozenset({"ZADD", "ZREMRANGEBYRANK", "EXPIRE", "ZRANGE"})
"""Those of a lookup that write, or must see what was written."""
_COMMANDS_OF_A_VISIT = 4


@dataclass(frozen=True, slots=True)
class Visit:
    """A call to be noted as one of its caller's: its name, when it came (epoch seconds), how far back to look."""

    call: str
    at: float
    within_s: float


@dataclass(frozen=True, slots=True)
class Fed:
    """What a feed says of a caller; `shared` if it gives the number to people of different bands."""

    band: str
    shared: bool = False


class BandReader(Protocol):
    """How the feed's callers lie in Redis."""

    def command(self, number: PhoneNumber, known: Mapping[str, Pseudonym] = ...) -> Command:
        """What asks for a caller's band; its second part is the key. `known` saves hashing them again."""
        ...

    def read(self, reply: Reply) -> Fed | None:
        """The answer; None for a caller that is not there.

        Raises:
            RedisError: Redis refused, or answered something else.
            ValueError: The value stored is none that stands for a band.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis holds of one caller.

    Attributes:
        set_band: What was set by hand; None for nothing.
        fed: The layout's answer, for it to be read; None where it was not asked.
        choice: As `past` writes it; "" for nothing.
        earlier_calls_s: None where they are not known.
    """

    set_band: bytes | None
    fed: Reply
    choice: str
    earlier_calls_s: tuple[float, ...] | None


def commands(own: Sequence[OwnKeys], feed: Command | None, visit: Visit | None) -> list[Command]:
    """What to ask Redis for one caller; sending it twice does no harm. The key of each is its second part.

    Args:
        own: The caller's keys, by secret, the newest first.
        feed: What asks for the band of the feed; None if that cannot be asked.
        visit: The call, if it is to be noted and the earlier ones are wanted.
    """
    every: list[Command] = [feed] if feed is not None else []
    every += [("MGET", keys.set, keys.choice) for keys in own]
    if visit is not None:
        key = own[0].calls
        every += [
            ("ZADD", key, visit.at, visit.call),
            ("ZREMRANGEBYRANK", key, 0, -MOST_EARLIER_CALLS - 2),  # this call stays beside them
            ("EXPIRE", key, math.ceil(visit.within_s)),
        ]
        every += [("ZRANGE", keys.calls, 0, -1, "WITHSCORES") for keys in own]
    return every


def read(secrets: int, replies: Sequence[Reply], *, fed: bool, visit: Visit | None) -> Stored:
    """The answers to `commands`.

    Args:
        secrets: How many there were.
        replies: One for each command.
        fed: Whether the feed was asked.
        visit: As it was asked.

    Raises:
        RedisError: Redis refused, or answered something else.
    """
    start = 1 if fed else 0
    set_band: bytes | None = None
    choice = ""
    for reply in replies[start : start + secrets]:
        if isinstance(reply, ResponseError):
            raise reply
        if not isinstance(reply, list) or len(reply) != 2:  # noqa: PLR2004 - what was set, what was chosen
            raise RedisError("asked for 2 values, got something else")
        set_band = reply[0] if set_band is None else set_band
        choice = choice or choice_name(reply[1])
    earlier = None
    if visit is not None:
        earlier = earlier_calls_s(visit, replies[start + secrets + _COMMANDS_OF_A_VISIT - 1 :])
    return Stored(set_band, replies[0] if fed else None, choice, earlier)


def earlier_calls_s(visit: Visit, replies: Sequence[Reply]) -> tuple[float, ...] | None:
    """How long ago each earlier call was, newest first; None if Redis refused or holds something else there.

    Args:
        visit: The call that does not count, and how far back to look.
        replies: The calls under each secret: name, epoch seconds, and so on.
    """
    ago = set()
    for reply in replies:
        if not isinstance(reply, list):
            return None
        calls = zip(reply[::2], reply[1::2], strict=False)
        ago |= {(call, round(max(0.0, visit.at - float(at)), 3)) for call, at in calls if call != visit.call.encode()}
    return tuple(sorted(seconds for _, seconds in ago if seconds <= visit.within_s)[:MOST_EARLIER_CALLS])


def value_in(reply: Reply, what: str) -> bytes | None:
    """The value that Redis answered to GET or HGET, asked for `what`; None for one that is not there.

    Raises:
        RedisError: Redis refused, or answered something else.
    """
    if isinstance(reply, ResponseError):
        raise reply
    if reply is not None and not isinstance(reply, bytes):
        raise RedisError(f"asked for {what}, got something else")
    return reply


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
