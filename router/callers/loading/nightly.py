"""What keeps bands right from day to day: a full load when there is a new feed, else who had a birthday.

May be run at any time, and as often as one likes: what is done already is not done again.

Who had a birthday lies in the work folder, with numbers, until they have their new band. What a run leaves that was
killed or refused, the next one removes, whatever it is for.
"""

from __future__ import annotations

import asyncio
import csv
import os
import secrets
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from router.callers.feed.due import Due, due
from router.callers.feed.header import wrong_feed
from router.callers.feed.manifest import feed_identity, identity_text
from router.callers.feed.source import open_source, reading
from router.callers.generation import Generation
from router.callers.loading.in_thread import in_thread
from router.callers.loading.job import Order, Outcome, finish_loading, import_feed, in_force_now
from router.callers.loading.lines import Primaries
from router.callers.loading.refusal import TooMuchChangedError
from router.callers.loading.steps import Step, Watch
from router.callers.secret_ring import SecretRing
from router.callers.settings import FeedSettings

_PLAIN_FEED: Final = FeedSettings()


@dataclass(frozen=True, slots=True)
class Updated:
    """What the nightly job has done.

    Attributes:
        before: What was in force.
        outcome: Of the load; None where nothing was due.
        birthdays: Whether it was one of birthdays.
        dated: Whether the feed has dates of birth, so that birthdays are known.
    """

    before: Generation | None
    outcome: Outcome | None = None
    birthdays: bool = False
    dated: bool = True


async def update(servers: Primaries, ring: SecretRing, order: Order, watch: Watch) -> Updated:
    """Load the feed of `order` if it is not the one that is loaded, else give those their new band who had a birthday.

    Ages count on `order.as_of`.

    Raises:
        As `import_feed`.
    """
    before = await in_force_now(servers)
    with reading(order.file):
        identity = identity_text(feed_identity(order.file))
    if before is None or before.feed.partition(".")[0] != identity:
        _remove_due(order.folder)
        return Updated(before, await import_feed(servers, ring, order, watch))
    since = date.fromisoformat(before.as_of)
    with closing(open_source(order.file, order.feed, delta=False)) as source:
        dated = source.dated
    if order.as_of <= since or not dated:
        _remove_due(order.folder)
        await finish_loading(servers, order, watch)
        return Updated(before, dated=dated)
    # By the day and the feed: who is killed while it is applied finds the same file when run again.
    file = order.folder / f"due-{before.as_of}-{order.as_of.isoformat()}-{identity[:8]}.csv"
    _remove_due(order.folder, but=file)
    if not file.exists():
        found = await find_due(order, since, watch)
        order.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(write_due, found, file, _PLAIN_FEED, order.bands.names[0])
    applied = replace(
        order, file=file, feed=replace(_PLAIN_FEED, most_change_percent=order.feed.most_change_percent),
        delta=True, birthdays=True, rejects=None,
    )  # fmt: skip
    try:
        outcome = await import_feed(servers, ring, applied, watch)
    except TooMuchChangedError:
        _remove_due(order.folder)  # it is not gone on with
        raise
    _remove_due(order.folder)
    return Updated(before, outcome, birthdays=True)


def _remove_due(folder: Path, *, but: Path | None = None) -> None:
    for pattern in ("due-*.csv", ".due-*.csv.*"):  # the other is one that was killed while it was written
        for file in folder.glob(pattern):
            if file != but:
                file.unlink(missing_ok=True)


async def find_due(order: Order, since: date, watch: Watch) -> Due:
    """Who comes into another band between `since` and the day of `order`, in a thread.

    Raises:
        ConfigurationError: The feed cannot be read, or has no dates of birth.
    """

    def find(told: Watch) -> Due:
        return due(
            order.file,
            feed=order.feed,
            bands=order.bands,
            home_region=order.home_region,
            since=since,
            until=order.as_of,
            progress=lambda done, total: told(Step("looking for birthdays", done, total, "bytes")),
        )

    return await in_thread(find, watch)


def write_due(found: Due, file: Path, feed: FeedSettings, youngest: str) -> None:
    """Write who is due as a delta, for its owner only; the name never stands for half a file.

    A number that a household shares has a row for the oldest band and one for another, as in the feed.

    Args:
        found: Who.
        file: Where to.
        feed: What the columns and bands of a delta are called.
        youngest: The youngest band, of which nobody is due.

    Raises:
        ConfigurationError: It cannot be written.
        OSError: The disk is full.
    """
    words = {band: word for word, band in feed.bands.items()}
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise wrong_feed(file, f"cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream, delimiter=feed.separator, lineterminator="\n")
            # A delta must have the column of removals where the settings name one.
            more = () if feed.removed is None else ("",)
            rows.writerow((feed.number, feed.age_band, *(() if feed.removed is None else (feed.removed,))))
            for caller in found:
                for band in (youngest, caller.band) if caller.shared else (caller.band,):
                    rows.writerow((caller.number.e164, words.get(band, band), *more))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
