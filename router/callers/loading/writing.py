"""Writing the callers of one hash tag into the buckets of a generation."""

from __future__ import annotations

from typing import Final

from router.callers.keys import TAGS, bucket_key
from router.callers.loading.lines import Line, Lines, accepted
from router.callers.loading.pacing import Pacer
from router.callers.loading.packing import Buckets, packed_buckets
from router.callers.loading.persons import Part

BUCKETS_AT_ONCE: Final = 64
"""Some 11,000 callers, 240 kB: packed in less than a millisecond, for so long nothing else is done here."""
MOST_UNANSWERED: Final = 128
"""Commands on their way: enough to keep Redis busy while the next are packed."""


class Sending:
    """Commands over one line, so many of them unanswered at most."""

    def __init__(self, line: Line, *, most: int = MOST_UNANSWERED) -> None:
        self._line = line
        self._most = most
        self._unanswered = 0

    async def send(self, commands: bytes, count: int) -> None:
        """Send some; waits for answers to earlier ones.

        Raises:
            ResponseError: Redis refused one of those.
        """
        await self._line.send(commands)
        self._unanswered += count
        await self._settle(self._most)

    async def settle(self) -> None:
        """Wait for all answers. Raises as `send` does."""
        await self._settle(0)

    async def _settle(self, left: int) -> None:
        if (count := self._unanswered - left) > 0:
            self._unanswered = left
            for reply in await self._line.answers(count):
                accepted(reply)


async def write_part(
    lines: Lines, pacer: Pacer, part: Part, held: Buckets, *, tag: int, generation: int, buckets: int
) -> None:
    """Write all callers of a tag; doing it again changes nothing. Raises what redis-py raises."""
    key = bucket_key(generation, tag * buckets // TAGS, buckets)
    sending, pings = Sending(await lines.to(key)), await lines.to(key, "pings")
    pieces = packed_buckets(
        held, part.field, part.value, generation=generation, buckets=buckets, at_once=BUCKETS_AT_ONCE
    )
    for piece in pieces:
        await pacer.turn(pings, sending.settle)
        await sending.send(piece.commands, piece.count)
        pacer.loaded(piece.callers)
    await sending.settle()
