"""Whether all that was loaded is there before it is put in force.

A server that was lost takes with it what its replica had not got yet, or all, if it kept nothing on disk; one that is
told to evict may do so. Counting again costs a fiftieth of loading.
"""

from __future__ import annotations

from itertools import pairwise

from router.callers.keys import TAGS, bucket_key
from router.callers.loading.differences import answers_to
from router.callers.loading.lines import Lines
from router.callers.loading.pacing import Pacer
from router.callers.loading.packing import Buckets
from router.callers.loading.persons import Part


async def tags_that_lost(
    lines: Lines, pacer: Pacer, sizes: list[int], *, generation: int, buckets: int
) -> frozenset[int]:
    """The tags of which Redis holds another number of callers than `sizes` says."""

    async def held_of(tag: int) -> int:
        each = range(tag * buckets // TAGS, (tag + 1) * buckets // TAGS)
        commands = [("HLEN", bucket_key(generation, bucket, buckets)) for bucket in each]
        return sum([size async for size in answers_to(lines, pacer, commands)])

    lost = set()
    for tag, size in enumerate(sizes):
        if await lines.persistently(lambda tag=tag: held_of(tag)) != size:  # type: ignore[misc]
            lost.add(tag)
    return frozenset(lost)


def size_of(part: Part, held: Buckets) -> int:
    """How many entries a part makes: two callers of one bucket may, once in many thousand registries, share one."""
    fields = part.field.tolist()
    return sum(len(set(fields[begin:end])) for begin, end in pairwise(held.start.tolist()))
