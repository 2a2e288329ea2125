"""The layout of buckets: each a hash of some 170 callers, from field (see `pseudonym`) to band code and flags.

A hash of so few short fields is one block of memory in Redis, a listpack: 11 bytes a caller. Does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from router.callers.generation import Generation
from router.callers.keys import PREFIX, bucket_key, bucket_of, tag_of
from router.callers.number import PhoneNumber
from router.callers.pseudonym import CallerSecret, Pseudonym
from router.callers.servers.wire import Command, Reply
from router.callers.stored import NOBODY, Fed, value_in

_BUCKET_KEY: Final = re.compile(rf"{PREFIX}\{{[0-9a-f]{{2}}\}}:([0-9a-f]+):[0-9a-f]+".encode())


@dataclass(frozen=True, slots=True)
class Buckets:
    """The generation in force, and the secret that its callers are hashed with."""

    generation: Generation
    secret: CallerSecret

    def command(self, number: PhoneNumber, known: Mapping[str, Pseudonym] = NOBODY) -> Command:
        """What asks for a caller's band.

        Args:
            number: The caller's.
            known: Who that is under some secrets, by their names, where that has been hashed already.
        """
        who = known.get(self.secret.name) or self.secret.pseudonym(number)
        return ("HGET", key_of(self.generation, who), who.field)

    def read(self, reply: Reply) -> Fed | None:
        """The answer; None for a caller that is not there.

        Raises:
            RedisError: Redis refused, or answered something else.
            ValueError: The value stored is none that stands for a band.
        """
        if (value := value_in(reply, "a band code")) is None:
            return None
        if (found := self.generation.band_of(value)) is None:
            raise ValueError("no band of the generation in force")
        return Fed(*found)


def key_of(generation: Generation, who: Pseudonym) -> str:
    """The key of the bucket that a caller is in, if they are in one."""
    return bucket_key(generation.generation, bucket_of(who.place, generation.buckets), generation.buckets)


def keys_with(who: Pseudonym) -> str:
    """What finds, with SCAN, the keys of all buckets of all generations that a caller may be in; and some others."""
    return f"{PREFIX}{{{tag_of(who.place)}}}:*"


def generation_of(key: bytes) -> int | None:
    """The generation of a bucket by its key; None for what is no bucket."""
    return int(match[1], 16) if (match := _BUCKET_KEY.fullmatch(key)) else None
