"""What a feed would change of what is there: counted by reading, nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.callers.generation import SHARED, Generation
from router.callers.keys import TAGS, bucket_key
from router.callers.loading.lines import Lines, accepted
from router.callers.loading.pacing import Pacer
from router.callers.loading.packing import Buckets
from router.callers.loading.persons import Part
from router.callers.servers.wire import Command, Reply

NOT_THERE: Final = 0
_COMMANDS_AT_ONCE: Final = 64


@dataclass(slots=True)
class Differences:
    """How many callers have one value now and another afterwards; `NOT_THERE` for not being stored.

    Attributes:
        changes: (before, after) → how many; those that stay the same too.
        largest_bucket: How many the fullest bucket holds that was looked at, with all that would be added.
    """

    changes: Counter[tuple[int, int]] = field(default_factory=Counter)
    largest_bucket: int = 0

    @property
    def looked_at(self) -> int:
        """All."""
        return self.changes.total()

    @property
    def added(self) -> int:
        """Callers that are not there yet."""
        return self._count(lambda before, after: not before and bool(after))

    @property
    def removed(self) -> int:
        """Callers that are there and would not be."""
        return self._count(lambda before, after: bool(before) and not after)

    @property
    def changed(self) -> int:
        """Callers with another band, or now shared, or no longer so."""
        return self._count(lambda before, after: bool(before and after) and before != after)

    @property
    def same(self) -> int:
        """Callers that stay as they are."""
        return self._count(lambda before, after: bool(before) and before == after)

    def between_bands(self, generation: Generation) -> dict[tuple[str, str], int]:
        """Callers by the names of the band they have and the one they would have; "" for not being there."""
        names = ("", *(band.name for band in generation.bands))
        found: Counter[tuple[str, str]] = Counter()
        for (before, after), count in self.changes.items():
            found[_name(names, before), _name(names, after)] += count
        return {pair: count for pair, count in sorted(found.items()) if pair[0] != pair[1]}

    def applied_to(self, generation: Generation) -> dict[str, int]:
        """How many of each band there are afterwards."""
        by_band = dict(generation.by_band)
        for (before, after), count in self.between_bands(generation).items():
            if before:
                by_band[before] = by_band.get(before, 0) - count
            if after:
                by_band[after] = by_band.get(after, 0) + count
        return {name: max(0, count) for name, count in by_band.items()}

    def add(self, other: Differences) -> None:
        """Those of another part."""
        self.changes.update(other.changes)
        self.largest_bucket = max(self.largest_bucket, other.largest_bucket)

    def _count(self, wanted: Callable[[int, int], bool]) -> int:
        return sum(count for pair, count in self.changes.items() if wanted(*pair))


def _name(names: tuple[str, ...], value: int) -> str:
    code = value & (SHARED - 1)
    return names[code] if code < len(names) else ""


async def compare_all(lines: Lines, pacer: Pacer, part: Part | None, tag: int, generation: Generation) -> Differences:
    """Hold all that is stored of a tag against a part of a full feed, hashed with the same secret, or nobody."""
    begin, end = (bound * generation.buckets // TAGS for bound in (tag, tag + 1))
    keys = [bucket_key(generation.generation, bucket, generation.buckets) for bucket in range(begin, end)]
    rows = _by_bucket(part, Buckets.of(part.place, generation.buckets)) if part is not None else ()
    coming = {bucket: row for bucket, *row in rows}
    found = Differences()
    bucket = begin
    async for reply in answers_to(lines, pacer, [("HGETALL", key) for key in keys]):
        stored = {name: _value(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}
        for name, value in zip(*coming.get(bucket, ((), ())), strict=True):
            found.changes[stored.pop(name, NOT_THERE), value] += 1
        found.changes.update((value, NOT_THERE) for value in stored.values())
        bucket += 1
    return found


async def recounted(lines: Lines, pacer: Pacer, generation: Generation) -> Generation:
    """The same with its callers counted anew, all of them: as long as a dry run takes."""
    found = Differences()
    for tag in range(TAGS):
        found.add(await lines.persistently(partial(compare_all, lines, pacer, None, tag, generation)))
    counted = found.between_bands(generation)
    by_band = {band.name: counted.get((band.name, ""), 0) for band in generation.bands}
    return generation.model_copy(update={"callers": found.removed, "by_band": by_band})


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of the rows of a delta: the value of each, `NOT_THERE` for none; the fullest of their buckets."""

    value: NDArray[np.int16]
    largest_bucket: int


async def stored_of(lines: Lines, pacer: Pacer, part: Part, generation: Generation) -> Stored:
    """Ask for what is stored of rows that are all of one tag."""
    held = Buckets.of(part.place, generation.buckets)
    asked: list[Command] = []
    for bucket, fields, _ in _by_bucket(part, held):
        key = bucket_key(generation.generation, bucket, generation.buckets)
        asked += [("HMGET", key, *fields), ("HLEN", key)]
    values: list[int] = []
    sizes: list[int] = []
    replies = answers_to(lines, pacer, asked)
    async for stored in replies:
        values += map(_value, stored)
        sizes.append(await anext(replies))
    value = np.array(values, np.int16)
    arrives = ((value == NOT_THERE) & (part.value != NOT_THERE)).astype(np.int64)
    added = np.add.reduceat(arrives, held.start[:-1]) if len(held) else arrives
    return Stored(value, int((np.array(sizes, np.int64) + added).max(initial=0)))


def differences_of(stored: Stored, after: NDArray[np.int16]) -> Differences:
    """What it comes to when the rows of a delta have left these values."""
    pairs, counts = np.unique(np.stack((stored.value, after)), axis=1, return_counts=True)
    changes = Counter({(int(pair[0]), int(pair[1])): int(count) for pair, count in zip(pairs.T, counts, strict=True)})
    return Differences(changes, stored.largest_bucket)


async def answers_to(lines: Lines, pacer: Pacer, commands: Sequence[Command]) -> AsyncIterator[Reply]:
    """Those to many commands for one server, in order."""
    for begin in range(0, len(commands), _COMMANDS_AT_ONCE):
        key = str(commands[0][1])
        line, pings = await lines.to(key), await lines.to(key, "pings")
        await pacer.turn(pings, _nothing_on_its_way)
        for reply in await line.ask(*commands[begin : begin + _COMMANDS_AT_ONCE]):
            yield accepted(reply)


async def _nothing_on_its_way() -> None:
    pass


def _by_bucket(part: Part, held: Buckets) -> Iterator[tuple[int, list[bytes], list[int]]]:
    fields, values = part.field.tolist(), part.value.tolist()
    for bucket, (begin, end) in zip(held.bucket.tolist(), pairwise(held.start.tolist()), strict=True):
        yield bucket, fields[begin:end], values[begin:end]


def _value(stored: bytes | None) -> int:
    # What is no value of ours differs from all that are.
    return NOT_THERE if stored is None else int(stored) if stored.isdigit() and len(stored) <= 3 else -1  # noqa: PLR2004
