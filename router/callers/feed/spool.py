"""Pass 1 of an import: a feed of callers to sorted runs of pseudonyms in a folder, from which callers are loaded.

Each block of the feed becomes one run. After it the manifest says how far the feed has been read, so that whatever ends
the process, the next one goes on after the last whole run. Nothing is loaded before the feed was read to its end.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from router.callers.bands import AgeBands
from router.callers.feed.block import Tally
from router.callers.feed.header import wrong_feed
from router.callers.feed.manifest import (
    LOCK_NAME,
    NAME,
    Progress,
    feed_identity,
    identity_text,
    lock_folder,
    parameters,
    read_manifest,
    sync_folder,
    write_manifest,
)
from router.callers.feed.pool import BlockWork, Done, WorkerLostError, runs_by_processes, runs_here
from router.callers.feed.rejects import publish_rejects, reject_header
from router.callers.feed.rows import RowRules
from router.callers.feed.runs import HEAD_BYTES, RECORD_BYTES, Part, persons, run_name
from router.callers.feed.source import Block, Source, open_source, reading
from router.callers.pseudonym import CallerSecret
from router.callers.settings import FeedSettings

__all__ = ["FeedCounts", "Part", "Spool", "SpoolProgress", "row_rules", "spool_feed"]

REJECTS_NAME: Final = "rejects.csv"
# A file smaller than this is read before other processes would have started.
_SMALL_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FeedCounts:
    """How a feed was read. `read` is `records` + `left_out` + `rejected`.

    Attributes:
        read: Rows.
        rejected: Rows that are wrong; each is in the file of rejected rows.
        reasons: How many were rejected for what, the most frequent first.
        left_out: Rows marked as removed, in a full load.
        records: Rows that are loaded; a number on several rows counts several times.
        removals: How many of those remove a caller, in a delta.
    """

    read: int
    rejected: int
    reasons: Mapping[str, int]
    left_out: int
    records: int
    removals: int

    @property
    def rejected_percent(self) -> float:
        """Of the rows read."""
        return 100 * self.rejected / self.read if self.read else 0.0


@dataclass(frozen=True, slots=True)
class SpoolProgress:
    """How far the reading is.

    Attributes:
        rows: Read so far, with those of an earlier process.
        rejected: Of those, how many are wrong.
        done_bytes: Of the file; 0 before the first block, also of one that is gone on with.
        total_bytes: The same, its size.
        resumed_rows: How many rows an earlier process had read.
        note: Why what an earlier process had read could not be used; empty otherwise.
    """

    rows: int
    rejected: int
    done_bytes: int
    total_bytes: int
    resumed_rows: int = 0
    note: str = ""


class Spool:
    """A feed that was read to its end.

    Attributes:
        counts: How.
        identity: Tells its file and what it was read by from others, without naming them, so that a load is not gone on
            with by others: `identity_text` of the file, a dot, the same of the settings.
        folder: Where it lies.
        resumed_rows: How many rows an earlier process had read.
    """

    def __init__(self, folder: Path, runs: int, counts: FeedCounts, identity: str, resumed_rows: int) -> None:
        self.folder = folder
        self.counts = counts
        self.identity = identity
        self.resumed_rows = resumed_rows
        self._runs = runs

    def persons(self) -> Iterator[Part]:
        """The persons of each hash tag, in the order of the tags; may be asked for again.

        Raises:
            ConfigurationError: The runs cannot be read.
        """
        try:
            yield from persons([self.folder / run_name(index) for index in range(self._runs)])
        except OSError as error:
            raise wrong_feed(
                self.folder, f"what was read of the feed is not there any more: {error.strerror}"
            ) from error

    def remove(self) -> None:
        """Remove all of it; what else lies in the folder stays."""
        _clear(self.folder)
        (self.folder / LOCK_NAME).unlink(missing_ok=True)
        with suppress(OSError):  # something of somebody else's is in it
            self.folder.rmdir()


def spool_feed(
    path: Path,
    *,
    feed: FeedSettings,
    bands: AgeBands,
    home_region: str,
    as_of: date,
    secret: CallerSecret,
    folder: Path,
    rejects: Path | None,
    delta: bool,
    workers: int = 2,
    progress: Callable[[SpoolProgress], None] = lambda _: None,
) -> Spool:
    """Read a feed of callers, or go on reading it, if the folder holds a part of the same file by the same parameters.

    Args:
        path: CSV, compressed or not, or Parquet.
        feed: What its columns are called, and the like.
        bands: Of the rules in force.
        home_region: Where numbers without a country code belong.
        as_of: The day on which ages count.
        secret: What callers are hashed with.
        folder: The spool's own. It is made, for its owner only.
        rejects: Where the file of rejected rows goes, replacing what is there; None for nowhere.
        delta: Whether the feed only says what changes.
        workers: How many processes read and hash, beside this one; 0 for none.
        progress: Is told after each block.

    Raises:
        ConfigurationError: The feed cannot be read to its end, its header lacks a column, the settings name a band that
            the rules do not, the disk is full, another process is at it, or a process was killed.
    """
    rules = row_rules(feed, bands, home_region, as_of)
    with _writing(folder):
        try:
            lock = lock_folder(folder)
        except BlockingIOError:
            raise wrong_feed(folder, "another process is reading a feed into this folder; wait for it to end") from None
    try:
        with reading(path):
            identity = feed_identity(path)  # before it is opened: another that takes its name meanwhile is then seen
        with closing(open_source(path, feed, delta=delta)) as source:
            if source.date_form is not None:
                rules = replace(rules, date_form=source.date_form)
            reader = _Spooling(path, identity, source, rules, feed, secret, folder, delta=delta, progress=progress)
            spool = reader.read(workers)
        if rejects is not None:
            with _writing(rejects.parent):
                publish_rejects(folder / REJECTS_NAME, rejects)
        return spool
    finally:
        os.close(lock)


def row_rules(feed: FeedSettings, bands: AgeBands, home_region: str, as_of: date) -> RowRules:
    """What a row of such a feed means.

    Raises:
        ConfigurationError: The settings name a band that the rules do not.
    """
    words = dict(feed.bands) or {name: name for name in bands.names}
    for word, name in words.items():
        if name not in bands.names:
            nearest = get_close_matches(name, bands.names, 1)
            meant = f"; did you mean {nearest[0]}?" if nearest else f"; they have {', '.join(bands.names)}"
            raise wrong_feed(
                Path("callers.feed.bands"), f"`{word}: {name}` names a band that the rules do not have{meant}"
            )
    return RowRules(
        bands=bands,
        words=words,
        removed_words=frozenset(word.strip().casefold() for word in feed.removed_words),
        date_form=feed.date_form,
        names={"number": feed.number, "birth_date": feed.birth_date, "age_band": feed.age_band},
        home_region=home_region,
        as_of=as_of,
    )


class _Spooling:
    def __init__(
        self,
        path: Path,
        identity: dict[str, str | int],
        source: Source,
        rules: RowRules,
        feed: FeedSettings,
        secret: CallerSecret,
        folder: Path,
        *,
        delta: bool,
        progress: Callable[[SpoolProgress], None],
    ) -> None:
        self._path = path
        self._source = source
        self._folder = folder
        self._tell = progress
        self._note = ""
        self._resumed_rows = 0
        self._work = BlockWork(rules, secret, source.columns, feed.separator, delta, folder)
        self._of: dict[str, Any] = {
            "feed": identity,
            "by": parameters(rules, secret=secret.name, separator=feed.separator, removed=feed.removed, delta=delta),
        }

    def read(self, workers: int) -> Spool:
        with _writing(self._folder):
            state = self._resumed() or self._started()
        self._resumed_rows = state.tally.read
        self._told(state, begun=False)
        if not state.complete:
            blocks = self._source.blocks(state.end, state.next_row)
            small = self._source.size_bytes <= _SMALL_BYTES
            done = (
                runs_here(blocks, self._work)
                if small or not workers
                else runs_by_processes(blocks, self._work, workers)
            )
            with closing(done), _writing(self._folder):
                self._take(done, state)
            self._check_unchanged()
            state.complete = True
            with _writing(self._folder):
                write_manifest(self._folder, self._of, state)
        identity = f"{identity_text(self._of['feed'])}.{identity_text(self._of['by'])}"
        return Spool(self._folder, state.runs, _counts(state.tally), identity, self._resumed_rows)

    def _take(self, done: Iterator[tuple[Block, Done]], state: Progress) -> None:
        # Root may read into the folder of another user: no link is written through.
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._folder / REJECTS_NAME, flags), "ab") as rejects:
            for block, result in done:
                (self._folder / result.run).replace(self._folder / run_name(state.runs))
                if result.rejects:
                    rejects.write(result.rejects)
                    rejects.flush()
                    os.fsync(rejects.fileno())
                state.runs += 1
                state.end = block.end
                state.next_row = block.first + block.rows
                state.tally.add(result.tally)
                state.rejects_bytes += len(result.rejects)
                write_manifest(self._folder, self._of, state)
                self._told(state)

    def _resumed(self) -> Progress | None:
        """How far an earlier process came, with all that it left in the middle taken away."""
        found = read_manifest(self._folder)
        if found is None:
            return None
        of, state = found
        if of != self._of:
            what = "the file has changed" if of.get("feed") != self._of["feed"] else "it was read by other settings"
            self._note = f"what had been read is not used, as {what}"
            return None
        rejects = self._folder / REJECTS_NAME
        runs = [self._folder / run_name(index) for index in range(state.runs)]
        size = HEAD_BYTES * len(runs) + RECORD_BYTES * state.tally.records
        whole = sum(path.stat().st_size for path in runs if path.exists()) == size
        if not whole or rejects.is_symlink() or not rejects.exists() or rejects.stat().st_size < state.rejects_bytes:
            self._note = "what had been read is not used, as part of it is gone"
            return None
        os.truncate(rejects, state.rejects_bytes)
        for name in _own(self._folder):
            if name.endswith(".unfinished") or (name.startswith("run-") and name >= run_name(state.runs)):
                (self._folder / name).unlink(missing_ok=True)
        return state

    def _started(self) -> Progress:
        _clear(self._folder)
        header = reject_header(self._source.unit)
        descriptor = os.open(self._folder / REJECTS_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(header)
        sync_folder(self._folder)
        return Progress(0, 0, 0, Tally(), len(header))

    def _check_unchanged(self) -> None:
        with reading(self._path):
            if feed_identity(self._path) != self._of["feed"]:
                raise wrong_feed(self._path, "was changed while it was read; run this again when it is whole")

    def _told(self, state: Progress, *, begun: bool = True) -> None:
        size = self._source.size_bytes
        done = size if state.complete else self._source.done_bytes() if begun else 0
        self._tell(SpoolProgress(state.tally.read, state.tally.rejected, done, size, self._resumed_rows, self._note))


class _writing:  # noqa: N801 - used like a function
    """What goes wrong with writing in a folder is told as such."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case WorkerLostError():
                raise wrong_feed(
                    self._folder,
                    "a process that read the feed was killed, perhaps for want of memory; run this again, it goes on "
                    "where it stopped",
                ) from error
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                raise wrong_feed(
                    self._folder,
                    "the disk is full; what is read of a feed needs 11 bytes a row. Make room, or name another folder, "
                    "and run this again: it goes on where it stopped",
                ) from error
            case OSError():
                raise wrong_feed(self._folder, f"cannot be written: {error.strerror or error}") from error


def _own(folder: Path) -> list[str]:
    """What in a folder is a spool's, but for its lock."""
    names = sorted(path.name for path in folder.iterdir())
    return [
        name
        for name in names
        if name in {NAME, REJECTS_NAME} or name.startswith("run-") or (name[0] == "." and name.endswith(".unfinished"))
    ]


def _clear(folder: Path) -> None:
    (folder / NAME).unlink(missing_ok=True)  # first: without it the rest is nothing
    for name in _own(folder):
        (folder / name).unlink(missing_ok=True)


def _counts(tally: Tally) -> FeedCounts:
    return FeedCounts(
        read=tally.read,
        rejected=tally.rejected,
        reasons=dict(tally.reasons.most_common()),
        left_out=tally.left_out,
        records=tally.records,
        removals=tally.removals,
    )
