"""A full load: a new generation of buckets, the switch to it, and the removal of the one before.

It may be killed anywhere. Run again with the same feed it goes on after the last part that was loaded; writing a part
again changes nothing. Lookups see the old generation until the switch, which is the writing of one key, and the new
one from then on; routers that read that key a moment ago still find the old buckets for a while.
"""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from pathlib import Path
from typing import Final

from router.callers.bands import AgeBands
from router.callers.generation import KEPT_AFTER_SWITCH_S, Generation, stored_bands
from router.callers.keys import GENERATIONS_KEY, TAGS, bucket_key
from router.callers.loading.checkpoint import (
    FULL,
    FullCheckpoint,
    Replaced,
    fingerprint,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from router.callers.loading.lines import Lines
from router.callers.loading.lock import ImportLock
from router.callers.loading.pacing import Pacer
from router.callers.loading.packing import Buckets
from router.callers.loading.persons import Counts, Part, Persons, estimated, numbered, read_ahead
from router.callers.loading.refusal import TooMuchChangedError, check_bands, check_size
from router.callers.loading.removal import remove_generation, remove_leftovers
from router.callers.loading.settled import LimitsTooLowError, check_compact, check_limits, followed_by_replicas
from router.callers.loading.sizing import bucket_count, fullest_bucket
from router.callers.loading.steps import Load, Step, Terms, Watch
from router.callers.loading.swap import in_force, put_in_force, text_in_force
from router.callers.loading.verifying import size_of, tags_that_lost
from router.callers.loading.writing import write_part
from router.errors import RegistryError

_SAMPLE: Final = 2_000
"""So many callers are looked at before the number of all is estimated."""
_MOST_RELOADS: Final = 2
_WAITING: Final = "waiting until nobody looks at the old callers"
_WAIT_TOLD_EVERY_S: Final = 0.5
SWITCH_LOST: Final = (
    "Redis has lost the switch to the new callers: it was restarted with what it had saved before, or another server "
    "took over that had not got it yet. The callers of before are in force again and nothing was removed; run the same "
    "command again"
)


class FullLoad(Load):
    """One full load, on the lock that is held."""

    def __init__(self, lines: Lines, lock: ImportLock, pacer: Pacer, folder: Path, watch: Watch) -> None:
        super().__init__(lines, lock, pacer, folder, watch)
        self.before: Generation | None = None
        """What was in force when `run` began."""

    async def run(self, feed: Persons, terms: Terms) -> Generation:
        """Load all, switch, remove what was in force before; returns what is now.

        Raises:
            TooMuchChangedError: The feed has far fewer or far more callers than are there.
            RegistryError: Redis, or its limits, do not let it; or somebody else has taken the lock.
            OSError: The work folder cannot be written.
        """
        text = await self._lines.persistently(lambda: text_in_force(self._lines))
        self.before = in_force(text)
        checkpoint = self._unfinished(feed, terms, text)
        if checkpoint is None:
            await self.finish_removal(terms.kept_s)
            checkpoint = await self._begin(feed, terms, text)
        if checkpoint.switched_at is None:
            try:
                checkpoint = await self._load(feed, terms, checkpoint)
                await self._settle(feed, terms, text, checkpoint)
            except (TooMuchChangedError, LimitsTooLowError):
                # Not to be gone on with: too much, or what is there already stays as large as it is.
                await self._give_up(checkpoint.planned)
                raise
            await self._switch(text, checkpoint)
        await self._remove_replaced(checkpoint, terms.kept_s)
        remove_checkpoint(self._folder, FULL)
        return checkpoint.planned

    async def finish_removal(self, kept_s: float = KEPT_AFTER_SWITCH_S) -> bool:
        """Remove what an earlier load had replaced when it was killed behind its switch; returns whether one was."""
        checkpoint = read_checkpoint(self._folder, FULL, FullCheckpoint)
        text = await self._lines.persistently(lambda: text_in_force(self._lines))
        if checkpoint is None or not _is_switched(checkpoint, in_force(text)):
            return False
        checkpoint.switched_at = checkpoint.switched_at or time.time()  # killed before it was noted
        await self._remove_replaced(checkpoint, kept_s)
        remove_checkpoint(self._folder, FULL)
        return True

    def _unfinished(self, feed: Persons, terms: Terms, text: bytes | None) -> FullCheckpoint | None:
        """How far this very load had come, if it was begun on what is in force."""
        checkpoint = read_checkpoint(self._folder, FULL, FullCheckpoint)
        if checkpoint is None or not _is_of(checkpoint.planned, feed, terms):
            return None
        if _is_switched(checkpoint, in_force(text)):
            # Killed behind the switch, maybe before it was noted.
            checkpoint.switched_at = checkpoint.switched_at or time.time()
            return checkpoint
        return checkpoint if checkpoint.switched_at is None and checkpoint.base == fingerprint(text) else None

    async def _begin(self, feed: Persons, terms: Terms, text: bytes | None) -> FullCheckpoint:
        began_at = time.time()
        before = in_force(text)
        callers = await self._estimate(feed, terms.records)
        self._check_size(before, callers, terms)
        buckets = bucket_count(callers)
        await check_limits(self._lines, fullest_bucket(callers, buckets))
        self._watch(Step("removing what is left of others", 0, None))
        await remove_leftovers(self._lines, self._pacer, {before.generation} if before else set())
        number = await self._number(before.generation if before else 0)
        checkpoint = FullCheckpoint(
            base=fingerprint(text),
            planned=Generation(
                generation=number,
                secret=terms.secret.name,
                buckets=buckets,
                bands=stored_bands(terms.bands),
                callers=0,
                by_band=dict.fromkeys(terms.bands.names, 0),
                as_of=terms.as_of.isoformat(),
                loaded_at=began_at,
                fresh_at=began_at,
                feed=feed.identity,
            ),
            replaced=Replaced(generation=before.generation, buckets=before.buckets) if before else None,
        )
        write_checkpoint(self._folder, FULL, checkpoint)
        return checkpoint

    def _check_size(self, before: Generation | None, callers: int, terms: Terms) -> None:
        there = before.callers if before else 0
        check_size(there, callers, terms.most_change_percent, terms.allow_change_percent)

    async def _estimate(self, feed: Persons, records: int) -> int:
        seen: list[Part] = []
        async with read_ahead(feed.persons()) as parts:
            async for part in parts:
                seen.append(part)
                if sum(len(each.place) for each in seen) >= _SAMPLE:
                    break
        return estimated(seen, records)

    async def _number(self, in_force_now: int) -> int:
        """A generation's number that none had: the key counts them, if it was not lost."""

        async def once() -> int:
            line = await self._lines.to(GENERATIONS_KEY)
            taken = await line.get("INCR", GENERATIONS_KEY)
            if taken <= in_force_now:
                taken = in_force_now + 1
                await line.get("SET", GENERATIONS_KEY, taken)
            return int(taken)

        return await self._lines.persistently(once)

    async def _load(self, feed: Persons, terms: Terms, checkpoint: FullCheckpoint) -> FullCheckpoint:
        planned = checkpoint.planned
        async with read_ahead(islice(feed.persons(), checkpoint.parts, None)) as parts:
            async for tag, part in numbered(parts, checkpoint.parts):
                self._lock.check()
                held = Buckets.of(part.place, planned.buckets)
                await self._write(part, held, tag, planned)
                checkpoint = _with(checkpoint, tag, part, held, terms.bands)
                if checkpoint.planned.callers and not planned.callers:
                    await check_compact(self._lines, checkpoint.fullest, checkpoint.planned.largest_bucket)
                planned = checkpoint.planned
                write_checkpoint(self._folder, FULL, checkpoint)
                self._watch(Step("loading", planned.callers, max(planned.callers, planned.callers * TAGS // (tag + 1))))
        return checkpoint

    async def _settle(self, feed: Persons, terms: Terms, text: bytes | None, checkpoint: FullCheckpoint) -> None:
        """Return when all is there, and nobody can have removed it since that was counted."""
        self._lock.retaken = True
        while self._lock.retaken:
            self._lock.retaken = False
            await self._verify(feed, checkpoint)
            await self._check(terms, text, checkpoint)
            self._watch(Step("waiting for replicas", 0, None))
            self.warnings = [
                f"a replica of {server} is behind; until it has caught up, its answers are those of before"
                for server in await followed_by_replicas(self._lines)
            ]
            await self._lock.confirm()

    async def _verify(self, feed: Persons, checkpoint: FullCheckpoint) -> None:
        planned = checkpoint.planned
        for _ in range(_MOST_RELOADS + 1):
            self._watch(Step("counting what is there", 0, None))
            lost = await tags_that_lost(
                self._lines, self._pacer, checkpoint.sizes, generation=planned.generation, buckets=planned.buckets
            )
            if not lost:
                return
            self._watch(Step("loading again what Redis has lost", 0, None))
            async with read_ahead(feed.persons()) as parts:
                async for tag, part in numbered(parts, 0):
                    if tag in lost:
                        self._lock.check()
                        held = Buckets.of(part.place, planned.buckets)
                        await self._write(part, held, tag, planned)
                        checkpoint.sizes[tag] = size_of(part, held)
            write_checkpoint(self._folder, FULL, checkpoint)
        raise RegistryError(
            "Redis loses callers as they are loaded, so that nothing was switched; see whether its maxmemory-policy "
            "is `noeviction`, and what its log says"
        )

    async def _write(self, part: Part, held: Buckets, tag: int, planned: Generation) -> None:
        await self._lines.persistently(
            lambda: write_part(
                self._lines,
                self._pacer,
                part,
                held,
                tag=tag,
                generation=planned.generation,
                buckets=planned.buckets,
            )
        )

    async def _check(self, terms: Terms, text: bytes | None, checkpoint: FullCheckpoint) -> None:
        planned = checkpoint.planned
        before = in_force(text)
        self._check_size(before, planned.callers, terms)  # of all now, not of the first parts
        check_bands(before, planned.bands, planned.by_band, terms.most_change_percent, terms.allow_change_percent)
        if planned.callers:
            await check_compact(self._lines, checkpoint.fullest, planned.largest_bucket)

    async def _give_up(self, planned: Generation) -> None:
        remove_checkpoint(self._folder, FULL)
        await remove_generation(self._lines, self._pacer, planned.generation, planned.buckets)

    async def _switch(self, text: bytes | None, checkpoint: FullCheckpoint) -> None:
        planned = checkpoint.planned
        self._lock.check()
        # From here on the buckets of before must stay for a while, whoever imports next.
        self._lock.leave_to_expire = checkpoint.replaced is not None
        await put_in_force(self._lines, text, planned.text())
        checkpoint.switched_at = time.time()
        write_checkpoint(self._folder, FULL, checkpoint)

    async def _remove_replaced(self, checkpoint: FullCheckpoint, kept_s: float) -> None:
        replaced = checkpoint.replaced
        if replaced is None:
            return
        self._lock.leave_to_expire = True
        while (left_s := (checkpoint.switched_at or 0.0) + kept_s - time.time()) > 0:
            left_s = min(left_s, kept_s)  # a clock that was set back must not make it wait for hours
            self._watch(Step(_WAITING, round(left_s), None, "s", "the new callers are in force"))
            await asyncio.sleep(min(left_s, _WAIT_TOLD_EVERY_S))
        self._lock.check()
        # A server that came back with what it had saved, or took over without the switch, is still asked for them.
        if not _is_switched(checkpoint, in_force(await self._lines.persistently(lambda: text_in_force(self._lines)))):
            raise RegistryError(SWITCH_LOST)

        def removed(buckets: int) -> None:
            self._watch(Step("removing the old ones", buckets, replaced.buckets, "buckets"))

        await remove_generation(self._lines, self._pacer, replaced.generation, replaced.buckets, removed)
        checkpoint.replaced = None
        write_checkpoint(self._folder, FULL, checkpoint)
        self._lock.leave_to_expire = False


def _is_switched(checkpoint: FullCheckpoint, now: Generation | None) -> bool:
    return now is not None and now.generation == checkpoint.planned.generation


def _is_of(planned: Generation, feed: Persons, terms: Terms) -> bool:
    return (planned.feed, planned.secret, planned.as_of, planned.bands) == (
        feed.identity,
        terms.secret.name,
        terms.as_of.isoformat(),
        stored_bands(terms.bands),
    )


def _with(checkpoint: FullCheckpoint, tag: int, part: Part, held: Buckets, bands: AgeBands) -> FullCheckpoint:
    """The checkpoint behind one more part."""
    counts = Counts()
    counts.add(part)
    planned, fullest = checkpoint.planned, checkpoint.fullest
    largest = planned.largest_bucket
    if len(held):
        sizes = held.start[1:] - held.start[:-1]
        if (size := int(sizes.max())) > largest:
            largest = size
            fullest = bucket_key(planned.generation, int(held.bucket[int(sizes.argmax())]), planned.buckets)
    by_band = {name: planned.by_band[name] + count for name, count in counts.by_band(bands).items()}
    now = {"callers": planned.callers + counts.callers, "by_band": by_band, "largest_bucket": largest}
    return checkpoint.model_copy(
        update={
            "planned": planned.model_copy(update=now),
            "parts": tag + 1,
            "sizes": [*checkpoint.sizes, len(part.place)],
            "fullest": fullest,
        }
    )
