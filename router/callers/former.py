"""Keys as they were before callers were hashed, with the number in clear. They are no longer read, only removed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from router.callers.number import PhoneNumber
from router.callers.plain import PlainKeys

KINDS: Final = ("caller", "choice", "calls")
_FORMER: Final = re.compile(rb"elder:(?:caller|choice|calls):\+[1-9][0-9]{4,14}")
_SCAN_COUNT: Final = 1000


def former_keys_of(number: PhoneNumber, plain: PlainKeys | None) -> list[str]:
    """The keys in clear of one number; without the one that is another system's now."""
    theirs = plain.key(number) if plain else None
    return [key for kind in KINDS if (key := f"elder:{kind}:{number.e164}") != theirs]


async def former_keys(client: Redis | RedisCluster, plain: PlainKeys | None) -> AsyncIterator[bytes]:
    """All keys in clear that there are; without those that are another system's now.

    Raises:
        RedisError, OSError: Redis cannot be reached or refuses.
    """
    async for key in client.scan_iter(match="elder:c*:+*", count=_SCAN_COUNT):
        raw = key if isinstance(key, bytes) else key.encode()
        if not _FORMER.fullmatch(raw):
            continue
        number = PhoneNumber(raw.decode().rpartition(":")[2])
        if raw.decode() in former_keys_of(number, plain):
            yield raw
