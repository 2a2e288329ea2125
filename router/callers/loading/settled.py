"""What the servers must be like for a load: limits high enough for buckets, replicas that have followed."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from redis.exceptions import ResponseError

from router.callers.loading.lines import Line, Lines
from router.callers.pseudonym import FIELD_BYTES
from router.errors import RegistryError

COMPACT: Final = frozenset({b"listpack", b"ziplist", b"listpackex"})
REPLICAS_FOLLOW_S: Final = 30.0
_POLL_S: Final = 0.1
_LIMITS: Final = "hash-max-*-*"
_REPLICA: Final = re.compile(r"slave[0-9]+:.*state=online,offset=([0-9]+)")
_OFFSET: Final = re.compile(r"master_repl_offset:([0-9]+)")


class LimitsTooLowError(RegistryError):
    """A server would keep buckets as hash tables; the text says what to set."""


async def check_limits(lines: Lines, fullest: int) -> None:
    """Look whether the servers keep a bucket of so many callers compact, where they let us.

    Raises:
        LimitsTooLowError: One does not.
    """

    async def everywhere() -> None:
        for line in await lines.every():
            try:
                reply = await line.get("CONFIG", "GET", _LIMITS)
            except ResponseError:
                continue  # not ours to ask; `check_compact` finds out afterwards
            limits = {name.decode(): int(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}
            _check(line.server, limits, fullest)

    await lines.persistently(everywhere)


def _check(server: str, limits: dict[str, int], fullest: int) -> None:
    for name, value in limits.items():
        # Redis 7 and later know both names of each, with one value.
        if name.endswith("-entries") and value < fullest:
            raise too_low(server, name, fullest)
        if name.endswith("-value") and value < FIELD_BYTES:
            raise LimitsTooLowError(
                f"at {server} {name} is {value}, so that Redis would keep each bucket as a hash table, which takes "
                f"five times the memory; set it to 64: `CONFIG SET {name} 64`, and in redis.conf"
            )


def too_low(server: str, name: str, fullest: int) -> LimitsTooLowError:
    """What is told of a server that does not keep buckets compact."""
    wanted = max(512, -(-fullest // 256) * 256)
    return LimitsTooLowError(
        f"at {server} {name} is below {fullest}, so that Redis would keep the fullest buckets as hash tables, which "
        f"take five times the memory; set it to {wanted}: `CONFIG SET {name} {wanted}`, and in redis.conf"
    )


async def check_compact(lines: Lines, key: str, callers: int) -> None:
    """Look whether Redis has kept a bucket compact.

    Raises:
        LimitsTooLowError: It has not.
    """

    async def once() -> None:
        line = await lines.to(key)
        try:
            encoding = await line.get("OBJECT", "ENCODING", key)
        except ResponseError as error:
            if "NOPERM" in str(error) or getattr(error, "status_code", "") == "NOPERM":
                return
            raise
        if encoding not in COMPACT:
            raise too_low(line.server, "hash-max-listpack-entries", callers)

    await lines.persistently(once)


async def followed_by_replicas(lines: Lines) -> list[str]:
    """Wait until the replicas that are connected have all that was written until now, for a while.

    By their offsets, as WAIT counts only what was written over the connection that asks.

    Returns:
        The servers that have a replica which has not.
    """

    async def everywhere() -> list[str]:
        return [line.server for line in await lines.every() if not await _is_followed(line)]

    return await lines.persistently(everywhere)


async def _is_followed(line: Line) -> bool:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + REPLICAS_FOLLOW_S
    wanted: int | None = None
    while True:
        try:
            text = (await line.get("INFO", "replication")).decode()
        except ResponseError:
            return True  # not ours to ask
        if wanted is None:
            wanted = int(found[1]) if (found := _OFFSET.search(text)) else 0
        if all(int(offset) >= wanted for offset in _REPLICA.findall(text)):
            return True
        if loop.time() > until_s:
            return False
        await asyncio.sleep(_POLL_S)
