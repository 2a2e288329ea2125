"""A whole import: reading the feed, then loading it, under the lock and in the work folder.

What was read lies in the work folder until all of it is loaded. It holds pseudonyms and bands, neither numbers nor
dates of birth, and only its owner may read it. (Who had a birthday lies there with numbers, see `nightly`.)
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from router.callers.bands import AgeBands
from router.callers.feed.spool import FeedCounts, Spool, SpoolProgress, spool_feed
from router.callers.generation import KEPT_AFTER_SWITCH_S, MOST_BANDS, Generation, stored_bands
from router.callers.keys import TAGS
from router.callers.loading.checkpoint import FULL
from router.callers.loading.delta import DeltaLoad, count_delta
from router.callers.loading.differences import NOT_THERE, Differences, compare_all
from router.callers.loading.full import FullLoad
from router.callers.loading.in_thread import in_thread
from router.callers.loading.lines import Lines, Primaries
from router.callers.loading.lock import ImportLock, work_folder
from router.callers.loading.pacing import Pacer
from router.callers.loading.persons import Counts, numbered, read_ahead
from router.callers.loading.refusal import TooMuchChangedError, check_bands, check_changes, check_rejected, check_size
from router.callers.loading.steps import Step, Terms, Watch
from router.callers.loading.swap import in_force, text_in_force
from router.callers.meanings import meanings_that_differ
from router.callers.pseudonym import CallerSecret
from router.callers.secret_ring import SecretRing
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError, Problem, RegistryError

_FULL, _DELTA, _TRIED = "full", "delta", "tried"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be imported, and how.

    Attributes:
        file: The feed.
        feed: What it looks like.
        bands: Those of the rules.
        home_region: Where numbers without a country code belong.
        as_of: The day on which ages count.
        folder: The work folder.
        delta: Whether the feed only says what changes.
        birthdays: Whether it is a delta of who became older, see `DeltaLoad.run`.
        rejects: Where rejected rows go; None for nowhere.
        rate: At most so many callers a second are loaded.
        allow_change_percent: What is let through this time, instead of what `feed` says.
        workers: How many processes read and hash.
        kept_s: How long buckets stay that were replaced.
    """

    file: Path
    feed: FeedSettings
    bands: AgeBands
    home_region: str
    as_of: date
    folder: Path
    delta: bool = False
    birthdays: bool = False
    rejects: Path | None = None
    rate: float | None = None
    allow_change_percent: float | None = None
    workers: int = 2
    kept_s: float = KEPT_AFTER_SWITCH_S


@dataclass(slots=True)
class Outcome:
    """What an import came to, or would.

    Attributes:
        counts: How the feed was read.
        callers: How many different ones it has.
        by_band: The same, by band; of a delta without those that it removes.
        generation: What is in force afterwards; None after a dry run.
        differences: From what was there; None after a full load, or where it could not be compared.
        before: What was in force.
        not_compared: Why not.
        refusal: Why the import would be refused, after a dry run.
        warnings: What went well, but should be looked at.
    """

    counts: FeedCounts
    callers: int
    by_band: dict[str, int]
    generation: Generation | None = None
    differences: Differences | None = None
    before: Generation | None = None
    not_compared: str = ""
    refusal: str = ""
    warnings: list[str] = field(default_factory=list)


async def import_feed(servers: Primaries, ring: SecretRing, order: Order, watch: Watch) -> Outcome:
    """Import a feed: read it, load it, put it in force. May be stopped anywhere; the same order goes on from there.

    Raises:
        TooMuchChangedError: It would change more than is let through; nothing was changed.
        RegistryError: Redis, or what is there, does not let it; or somebody else is importing.
        ConfigurationError: The feed, its header, or the work folder is wrong; or there are too many bands.
        OSError: The work folder cannot be written.
    """
    _check_bands(order.bands)
    with work_folder(order.folder):
        shutil.rmtree(order.folder / _TRIED, ignore_errors=True)  # of a dry run that was killed
        async with ImportLock(servers, order.folder) as lock, _lines(servers) as lines:
            pacer = Pacer(rate=order.rate)
            full = FullLoad(lines, lock, pacer, order.folder, watch)
            if not order.delta:
                return await _import_full(full, ring, order, watch)
            await _finish_removal(full, order)
            before = await _what_a_delta_is_for(lines, order.bands)
            delta = DeltaLoad(lines, lock, pacer, order.folder, watch)
            return await _import_delta(delta, before, ring, order, watch)


async def finish_loading(servers: Primaries, order: Order, watch: Watch) -> None:
    """Remove what a load has left that was killed behind its switch: the callers of before, and what it had read.

    Raises:
        RegistryError: Redis does not let it; or somebody else is importing.
        ConfigurationError: The work folder is wrong.
        OSError: It cannot be written.
    """
    if not (order.folder / FULL).exists():
        return
    with work_folder(order.folder):
        async with ImportLock(servers, order.folder) as lock, _lines(servers) as lines:
            await _finish_removal(FullLoad(lines, lock, Pacer(rate=order.rate), order.folder, watch), order)


async def try_feed(servers: Primaries, ring: SecretRing, order: Order, watch: Watch) -> Outcome:
    """Read a feed and hold it against what is there, as far as Redis can be asked; nothing is written there.

    Raises:
        RegistryError: There is nothing that a delta could change, or it cannot be asked for.
        ConfigurationError: The feed, its header, or the work folder is wrong; or there are too many bands.
        OSError: The work folder cannot be written.
    """
    _check_bands(order.bands)
    with work_folder(order.folder):
        async with _lines(servers) as lines:
            pacer = Pacer(rate=order.rate)
            if order.delta:
                return await _try_delta(lines, pacer, ring, order, watch)
            return await _try_full(lines, pacer, ring, order, watch)


async def in_force_now(servers: Primaries) -> Generation | None:
    """What is in force.

    Raises:
        RegistryError: It cannot be asked for, or is of a newer format.
    """
    async with _lines(servers) as lines:
        return in_force(await lines.persistently(lambda: text_in_force(lines), patience_s=0.0))


async def _finish_removal(full: FullLoad, order: Order) -> None:
    if await full.finish_removal(order.kept_s):
        shutil.rmtree(order.folder / _FULL, ignore_errors=True)


async def _import_full(full: FullLoad, ring: SecretRing, order: Order, watch: Watch) -> Outcome:
    spool = await _read(order, order.bands, ring.newest, _FULL, watch)
    check_rejected(spool.counts.read, spool.counts.rejected, order.allow_change_percent)
    generation = await full.run(spool, _terms(order, ring.newest, spool))
    spool.remove()
    return Outcome(
        spool.counts, generation.callers, generation.by_band, generation, warnings=full.warnings, before=full.before
    )


async def _import_delta(delta: DeltaLoad, before: Generation, ring: SecretRing, order: Order, watch: Watch) -> Outcome:
    secret = _secret_of(before, ring)
    spool = await _read(order, before.age_bands(), secret, _DELTA, watch)
    check_rejected(spool.counts.read, spool.counts.rejected, order.allow_change_percent)
    applied = await delta.run(spool, _terms(order, secret, spool), birthdays=order.birthdays)
    counted = await _counted(spool)
    spool.remove()
    return Outcome(
        spool.counts,
        counted.callers,
        counted.by_band(order.bands),
        applied.generation,
        applied.differences,
        before,
        warnings=delta.warnings,
    )


async def _try_full(lines: Lines, pacer: Pacer, ring: SecretRing, order: Order, watch: Watch) -> Outcome:
    spool = await _read(order, order.bands, ring.newest, _TRIED, watch)
    try:
        counted = await _counted(spool)
        outcome = Outcome(spool.counts, counted.callers, counted.by_band(order.bands))
        try:
            before = in_force(await lines.persistently(lambda: text_in_force(lines), patience_s=0.0))
            outcome.before = before
            _note_refusal(outcome, order)
            if before is None:
                outcome.differences = _all_new(counted)
            elif before.secret != ring.newest.name:
                outcome.not_compared = (
                    "who is there is hashed with another secret, so that single callers cannot be told again"
                )
            elif before.bands != stored_bands(order.bands):
                outcome.not_compared = _other_bands(before, order.bands)
            else:
                outcome.differences = await _compared(lines, pacer, spool, before, watch)
        except RegistryError as error:
            outcome.not_compared = str(error)
        return outcome
    finally:
        spool.remove()


async def _try_delta(lines: Lines, pacer: Pacer, ring: SecretRing, order: Order, watch: Watch) -> Outcome:
    before = await _what_a_delta_is_for(lines, order.bands)
    secret = _secret_of(before, ring)
    spool = await _read(order, before.age_bands(), secret, _TRIED, watch)
    try:
        counted = await _counted(spool)
        outcome = Outcome(spool.counts, counted.callers, counted.by_band(order.bands), before=before)
        outcome.differences = await count_delta(lines, pacer, spool, before, watch, birthdays=order.birthdays)
        _note_refusal(outcome, order)
        return outcome
    finally:
        spool.remove()


async def _read(order: Order, bands: AgeBands, secret: CallerSecret, name: str, watch: Watch) -> Spool:
    def read(told: Watch) -> Spool:
        return spool_feed(
            order.file,
            feed=order.feed,
            bands=bands,
            home_region=order.home_region,
            as_of=order.as_of,
            secret=secret,
            folder=order.folder / name,
            rejects=order.rejects,
            delta=order.delta,
            workers=order.workers,
            progress=lambda progress: told(_step(progress)),
        )

    return await in_thread(read, watch)


def _step(progress: SpoolProgress) -> Step:
    total = progress.rows * progress.total_bytes // progress.done_bytes if progress.done_bytes else None
    return Step("reading", progress.rows, total, "rows", progress.note)


def _terms(order: Order, secret: CallerSecret, spool: Spool) -> Terms:
    return Terms(
        bands=order.bands,
        secret=secret,
        as_of=order.as_of,
        records=spool.counts.records,
        most_change_percent=order.feed.most_change_percent,
        allow_change_percent=order.allow_change_percent,
        kept_s=order.kept_s,
    )


async def _what_a_delta_is_for(lines: Lines, bands: AgeBands) -> Generation:
    now = in_force(await lines.persistently(lambda: text_in_force(lines), patience_s=0.0))
    if now is None:
        raise RegistryError("there are no callers yet that a delta could change; import a full feed first")
    if now.bands != stored_bands(bands):
        raise RegistryError(_other_bands(now, bands))
    return now


def _check_bands(bands: AgeBands) -> None:
    if len(bands.bands) > MOST_BANDS:
        why = f"there are {len(bands.bands)} age bands, and the registry can store {MOST_BANDS}; use fewer"
        raise ConfigurationError([Problem("age_bands", 0, 0, why)])


def _other_bands(now: Generation, bands: AgeBands) -> str:
    differ = "; ".join(map(str, meanings_that_differ(now.age_bands(), bands)))
    return f"the rules' age bands are others than those that callers were loaded with ({differ}); import a full feed"


def _secret_of(now: Generation, ring: SecretRing) -> CallerSecret:
    secret = ring.named(now.secret)
    if secret is None:
        raise RegistryError(
            f"the callers that are there are hashed with the secret {now.secret}, which the file of secrets does not "
            f"have (only {', '.join(secret.name for secret in ring.secrets)}); use the file that they were imported "
            "with, or import a full feed"
        )
    return secret


async def _counted(spool: Spool) -> Counts:
    counts = Counts()
    async with read_ahead(spool.persons()) as parts:
        async for part in parts:
            counts.add(part)
    return counts


def _all_new(counted: Counts) -> Differences:
    return Differences(Counter({(NOT_THERE, code): count for code, count in counted.by_code().items()}))


async def _compared(lines: Lines, pacer: Pacer, spool: Spool, before: Generation, watch: Watch) -> Differences:
    found = Differences()
    async with read_ahead(spool.persons()) as parts:
        async for tag, part in numbered(parts, 0):
            one = partial(compare_all, lines, pacer, part, tag, before)
            found.add(await lines.persistently(one))
            watch(Step("comparing", found.looked_at, found.looked_at * TAGS // (tag + 1)))
    return found


def _note_refusal(outcome: Outcome, order: Order) -> None:
    there = outcome.before.callers if outcome.before else 0
    most, allowed = order.feed.most_change_percent, order.allow_change_percent
    try:
        check_rejected(outcome.counts.read, outcome.counts.rejected, allowed)
        if order.delta and (found := outcome.differences) is not None:
            check_changes(there, found.added + found.changed + found.removed, most, allowed)
        elif not order.delta:
            check_size(there, outcome.callers, most, allowed)
            check_bands(outcome.before, stored_bands(order.bands), outcome.by_band, most, allowed)
    except TooMuchChangedError as error:
        outcome.refusal = str(error)


@asynccontextmanager
async def _lines(servers: Primaries) -> AsyncIterator[Lines]:
    lines = Lines(servers)
    try:
        yield lines
    finally:
        await lines.close()
