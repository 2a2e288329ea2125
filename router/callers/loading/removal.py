"""Removing the buckets of generations that are no longer in force. Touches nothing else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

import hiredis

from router.callers.keys import PREFIX, TAGS, bucket_key
from router.callers.loading.lines import Line, Lines
from router.callers.loading.pacing import Pacer
from router.callers.loading.writing import Sending
from router.callers.servers.wire import Reply

KEYS_AT_ONCE: Final = 128
"""To give back so many buckets takes Redis some 50 µs."""
_SCANNED_AT_ONCE: Final = 1000
_BUCKET: Final = re.compile(rb"elder:\{[0-9a-f]{2}\}:([0-9a-f]{1,16}):[0-9a-f]{1,8}")


async def remove_generation(
    lines: Lines, pacer: Pacer, generation: int, buckets: int, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Remove all buckets of a generation; may be done again.

    Args:
        lines: To the servers.
        pacer: Says when to go on.
        generation: Which.
        buckets: How many it has.
        progress: Is told how many were removed so far.
    """
    each = buckets // TAGS
    for tag in range(TAGS):
        keys = [bucket_key(generation, bucket, buckets) for bucket in range(tag * each, (tag + 1) * each)]
        await lines.persistently(lambda keys=keys: _unlink(lines, pacer, keys))  # type: ignore[misc]
        progress((tag + 1) * each)


async def remove_leftovers(lines: Lines, pacer: Pacer, keep: Collection[int]) -> int:
    """Remove buckets of all generations but those: of loads that were given up. Returns how many."""

    async def everywhere() -> int:
        return sum([await _remove_leftovers_at(line, lines, pacer, keep) for line in await lines.every()])

    return await lines.persistently(everywhere)


async def _remove_leftovers_at(line: Line, lines: Lines, pacer: Pacer, keep: Collection[int]) -> int:
    removed, cursor = 0, b"0"
    while True:
        reply: Reply = await line.get("SCAN", cursor, "MATCH", f"{PREFIX}{{*}}:*:*", "COUNT", _SCANNED_AT_ONCE)
        cursor, found = reply
        by_tag: dict[bytes, list[bytes]] = defaultdict(list)
        for key in found:
            bucket = _BUCKET.fullmatch(key)
            if bucket and int(bucket[1], 16) not in keep:
                by_tag[key[: len(PREFIX) + len("{00}")]].append(key)
        for keys in by_tag.values():
            await _unlink(lines, pacer, keys)
            removed += len(keys)
        if cursor == b"0":
            return removed


async def _unlink(lines: Lines, pacer: Pacer, keys: Sequence[str | bytes]) -> None:
    """Remove keys of one hash tag."""
    first = keys[0]
    key = first if isinstance(first, str) else first.decode()
    sending, pings = Sending(await lines.to(key), most=1), await lines.to(key, "pings")
    for begin in range(0, len(keys), KEYS_AT_ONCE):
        await pacer.turn(pings, sending.settle)
        command = ("UNLINK", *keys[begin : begin + KEYS_AT_ONCE])
        await sending.send(hiredis.pack_command(command), 1)  # type: ignore[arg-type]  # to the stub any tuple is a pair
    await sending.settle()
