"""A delta: rows that were added, changed or removed since, applied to the generation in force.

A number that is stored as shared is made older by it, but neither younger nor removed.

It is counted before anything is written. What it comes to is noted in the work folder then: killed and run again, it
applies the rest and arrives at the same counts. Applying it once more changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import islice, pairwise

import hiredis
import numpy as np
from numpy.typing import NDArray

from router.callers.generation import SHARED, Generation
from router.callers.keys import TAGS, bucket_key
from router.callers.loading.checkpoint import (
    DELTA,
    DeltaCheckpoint,
    fingerprint,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from router.callers.loading.differences import NOT_THERE, Differences, Stored, differences_of, recounted, stored_of
from router.callers.loading.lines import Lines
from router.callers.loading.pacing import Pacer
from router.callers.loading.packing import Buckets, packed_buckets
from router.callers.loading.persons import Part, Persons, numbered, read_ahead
from router.callers.loading.refusal import check_changes
from router.callers.loading.sizing import MOST_A_BUCKET
from router.callers.loading.steps import Load, Step, Terms, Watch
from router.callers.loading.swap import in_force, put_in_force, text_in_force
from router.callers.loading.writing import BUCKETS_AT_ONCE, Sending
from router.errors import RegistryError


@dataclass(frozen=True, slots=True)
class Applied:
    """What a delta came to."""

    generation: Generation
    differences: Differences


async def count_delta(
    lines: Lines, pacer: Pacer, feed: Persons, now: Generation, watch: Watch, *, birthdays: bool = False
) -> Differences:
    """What a delta would change of what is in force; nothing is written. See `DeltaLoad.run`."""
    found = Differences()
    async with read_ahead(feed.persons()) as parts:
        async for tag, part in numbered(parts, 0):
            stored = await _stored(lines, pacer, part, now)
            found.add(differences_of(stored, _afterwards(stored, part, birthdays=birthdays)))
            watch(Step("comparing", found.looked_at, found.looked_at * TAGS // (tag + 1)))
    return found


async def _stored(lines: Lines, pacer: Pacer, part: Part, now: Generation) -> Stored:
    return await lines.persistently(lambda: stored_of(lines, pacer, part, now))


class DeltaLoad(Load):
    """One delta, on the lock that is held."""

    async def run(self, feed: Persons, terms: Terms, *, birthdays: bool = False) -> Applied:
        """Count what would change, and change it.

        Args:
            feed: Hashed with the secret of the generation in force, its bands having the same codes.
            terms: How much may change. Of birthdays `as_of` is the day that ages count on afterwards.
            birthdays: The rows are of who became older. Whoever is not stored any more has left since the full load,
                or was forgotten, and is not stored again; nobody is made younger.

        Raises:
            TooMuchChangedError: It would change more than is let through.
            RegistryError: There is nothing to apply it to, Redis does not let it, or somebody else has the lock.
            OSError: The work folder cannot be written.
        """
        text = await self._lines.persistently(lambda: text_in_force(self._lines))
        now = in_force(text)
        if now is None:
            raise RegistryError("there are no callers yet that a delta could change; import a full feed first")
        checkpoint = read_checkpoint(self._folder, DELTA, DeltaCheckpoint)
        if checkpoint is None or checkpoint.feed != feed.identity or not _goes_on(checkpoint, text):
            checkpoint = await self._begin(feed, terms, text, now, checkpoint, birthdays=birthdays)
        await self._apply(feed, checkpoint, birthdays=birthdays)
        if checkpoint.planned.text() != text:
            await self._lock.confirm()
            await put_in_force(self._lines, text, checkpoint.planned.text())
        remove_checkpoint(self._folder, DELTA)
        self._warn_if_full(checkpoint.planned)
        return Applied(checkpoint.planned, _differences(checkpoint))

    async def _begin(
        self,
        feed: Persons,
        terms: Terms,
        text: bytes | None,
        now: Generation,
        left: DeltaCheckpoint | None,
        *,
        birthdays: bool,
    ) -> DeltaCheckpoint:
        began_at = time.time()
        if left is not None and left.base == fingerprint(text):
            # Another delta was begun on these callers and has never come to its end.
            now = await recounted(self._lines, self._pacer, now)
            # The same file, on another day or by other settings, is all applied now.
            if left.feed.partition(".")[0] != feed.identity.partition(".")[0]:
                self.warnings.append("an earlier delta was applied in part only, and never finished; import it again")
        found = await count_delta(self._lines, self._pacer, feed, now, self._watch, birthdays=birthdays)
        check_changes(
            now.callers,
            found.added + found.changed + found.removed,
            terms.most_change_percent,
            terms.allow_change_percent,
        )
        by_band = found.applied_to(now)
        changed = {
            "callers": now.callers + found.added - found.removed,
            "by_band": by_band,
            "fresh_at": began_at,
            # Only who became older was looked for; the others' birthdays since are still to come.
            "as_of": terms.as_of.isoformat() if birthdays else now.as_of,
            "largest_bucket": max(now.largest_bucket, found.largest_bucket),
        }
        checkpoint = DeltaCheckpoint(
            base=fingerprint(text),
            feed=feed.identity,
            planned=now.model_copy(update=changed),
            changes=[(*pair, count) for pair, count in sorted(found.changes.items())],
        )
        write_checkpoint(self._folder, DELTA, checkpoint)
        return checkpoint

    async def _apply(self, feed: Persons, checkpoint: DeltaCheckpoint, *, birthdays: bool) -> None:
        now, first = checkpoint.planned, checkpoint.parts
        done = 0
        async with read_ahead(islice(feed.persons(), first, None)) as parts:
            async for tag, part in numbered(parts, first):
                self._lock.check()
                stored = await _stored(self._lines, self._pacer, part, now)
                afterwards = _afterwards(stored, part, birthdays=birthdays)
                changes = afterwards != stored.value
                if changes.any():
                    rows = _Rows(part.place[changes], part.field[changes], afterwards[changes].astype(np.uint8))
                    await self._write(rows, tag, now)
                done += len(part.place)
                checkpoint.parts = tag + 1
                write_checkpoint(self._folder, DELTA, checkpoint)
                self._watch(Step("applying", done, done * (TAGS - first) // (tag + 1 - first)))

    async def _write(self, part: _Rows, tag: int, now: Generation) -> None:
        await self._lines.persistently(lambda: _write_rows(self._lines, self._pacer, part, tag, now))

    def _warn_if_full(self, now: Generation) -> None:
        if now.callers > MOST_A_BUCKET * now.buckets:
            self.warnings.append(
                f"buckets hold {now.callers / now.buckets:.0f} callers on average by now, the fullest "
                f"{now.largest_bucket}; a full load would spread them over more"
            )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows of a part."""

    place: NDArray[np.uint32]
    field: NDArray[np.void]
    value: NDArray[np.uint8]


def _afterwards(stored: Stored, part: Part, *, birthdays: bool) -> NDArray[np.int16]:
    """The values that rows leave. Who is stored as shared stays so, and is made older at most.

    A row is of one of those who share the number: it does not say that the others have left, which a full load does.
    """
    coming, there = part.value.astype(np.int16), stored.value
    shared, code = there & SHARED, SHARED - 1
    not_younger = (coming & code) >= (there & code)
    applies = (there > NOT_THERE) & not_younger if birthdays else (shared == 0) | not_younger
    return np.where(applies, np.where(coming > NOT_THERE, coming | shared, coming), there)


async def _write_rows(lines: Lines, pacer: Pacer, rows: _Rows, tag: int, now: Generation) -> None:
    """Store those that have a value, remove those that have none; doing it again changes nothing."""
    key = bucket_key(now.generation, tag * now.buckets // TAGS, now.buckets)
    sending, pings = Sending(await lines.to(key)), await lines.to(key, "pings")
    kept = rows.value != NOT_THERE
    set_ = _Rows(rows.place[kept], rows.field[kept], rows.value[kept])
    pieces = packed_buckets(
        Buckets.of(set_.place, now.buckets),
        set_.field,
        set_.value,
        generation=now.generation,
        buckets=now.buckets,
        at_once=BUCKETS_AT_ONCE,
    )
    for piece in pieces:
        await pacer.turn(pings, sending.settle)
        await sending.send(piece.commands, piece.count)
        pacer.loaded(piece.callers)
    gone = Buckets.of(rows.place[~kept], now.buckets)
    fields = rows.field[~kept].tolist()
    for bucket, (begin, end) in zip(gone.bucket.tolist(), pairwise(gone.start.tolist()), strict=True):
        await pacer.turn(pings, sending.settle)
        command = ("HDEL", bucket_key(now.generation, bucket, now.buckets), *fields[begin:end])
        await sending.send(hiredis.pack_command(command), 1)
        pacer.loaded(end - begin)
    await sending.settle()


def _goes_on(checkpoint: DeltaCheckpoint, text: bytes | None) -> bool:
    """Whether what is in force is what it was counted on, or already what it comes to."""
    return fingerprint(text) == checkpoint.base or text == checkpoint.planned.text()


def _differences(checkpoint: DeltaCheckpoint) -> Differences:
    changes = Counter({(before, after): count for before, after, count in checkpoint.changes})
    return Differences(changes, checkpoint.planned.largest_bucket)
