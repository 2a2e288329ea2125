"""Counts the figures of spans of time in journals, in one pass, with DuckDB: bounded memory, whatever their size.

Why an engine, and why this one: docs/adr/0010. What is counted is `statements`', what is read `sources`'.
"""

from __future__ import annotations

import io
import secrets
import tempfile
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final
from zoneinfo import ZoneInfo

import duckdb

from router.errors import JournalError
from router.journal.counting import statements
from router.journal.counting.figures import NOTHING, Figures, Span, Tally, Trouble
from router.journal.counting.sources import COMPRESSIONS, Source, Sources, name_of
from router.journal.counting.troubles import Said, paired, within
from router.journal.settings import USUAL_SERVICE_LEVEL
from router.journal.stream import MOST_BAD_LINES_KEPT, STDIN, Read, RecordStream

_MEMORY: Final = "400MB"
"""What the engine may keep in memory; beyond that it uses the disk. Its buffers for reading come on top."""
_THREADS: Final = 2
_ROTATIONS: Final = 4
"""So many during one count are lived with; the count begins anew after each."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Counted:
    """What came out.

    Attributes:
        journals: What was counted.
        figures: Of each span, in their order.
        read: What was read, and what is to be told of it.
        first: When the first call of all that was read was decided; None if there is none.
        last: Likewise the last.
        left_out: Files that were not read, as nothing of the spans can be in them.
        ended_before: When those of them that are older end; None if there are none.
        begins_after: When those of them that are newer begin.
    """

    journals: tuple[Path, ...]
    figures: tuple[Figures, ...]
    read: Read
    first: datetime | None
    last: datetime | None
    left_out: tuple[Path, ...]
    ended_before: datetime | None
    begins_after: datetime | None


def count(
    files: Sequence[Path],
    span: Span,
    zone: ZoneInfo,
    protected_now: Collection[str] = (),
    within_s: float = USUAL_SERVICE_LEVEL.within_s,
) -> Figures:
    """The figures of one span. Args and raises as `count_spans`."""
    return count_spans(files, [span], zone, protected_now, within_s).figures[0]


def count_spans(
    journals: Sequence[Path] | Path,
    spans: Sequence[Span],
    zone: ZoneInfo,
    protected_now: Collection[str] = (),
    within_s: float = USUAL_SERVICE_LEVEL.within_s,
    *,
    stdin: BinaryIO | None = None,
) -> Counted:
    """The figures of several spans that do not overlap, in one pass over the journals.

    Args:
        journals: In any order, plain or compressed, `-` standing for `stdin`; or one, with which all is counted that
            was rotated away from it, as it lies at one moment.
        spans: At least one.
        zone: Where hours and days are counted.
        protected_now: The age bands that are protected now, for records that do not tell.
        within_s: The threshold of the service level, in seconds.
        stdin: Where `-` is read from; nothing by default.

    Raises:
        JournalError: A journal cannot be read or is damaged, or there is no room to count in.
    """
    source = stdin or io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="elder-report-") as name:
        scratch = Path(name)
        with Sources(journals, spans, scratch, stdin=source) as sources:
            try:
                with _engine(scratch, sources) as engine:
                    return _counted(engine, sources, spans, zone, protected_now, within_s)
            except duckdb.Error as error:
                raise JournalError(
                    f"the journals cannot be counted: {_first_line(error)}; if there is no room in {scratch.parent}, "
                    "TMPDIR=FOLDER chooses another place"
                ) from error


def _engine(scratch: Path, sources: Sources) -> duckdb.DuckDBPyConnection:
    """An engine with all records read; it can open nothing but the journals, and loads nothing."""
    try:
        return _rotated_or_not(scratch, sources)
    except duckdb.IOException:
        # It gives up on compressed data that end too soon, as while they are being written, or are damaged.
        if all(source.compression == "uncompressed" for source in sources.opened):
            raise
        sources.lay_down(["gzip"])
    except duckdb.InvalidInputException:
        sources.lay_down(COMPRESSIONS)  # and on a line of many megabytes, which no record is
    return _rotated_or_not(scratch, sources)


def _rotated_or_not(scratch: Path, sources: Sources) -> duckdb.DuckDBPyConnection:
    """The engine looks at what a descriptor's file is called, and refuses one that was renamed or removed since."""
    for _ in range(_ROTATIONS):
        with suppress(duckdb.PermissionException):
            return _with_records(scratch, sources)
    return _with_records(scratch, sources)


def _with_records(scratch: Path, sources: Sources) -> duckdb.DuckDBPyConnection:
    database = scratch / f"{secrets.token_hex(4)}.duckdb"
    engine = duckdb.connect(
        database,
        config={
            "threads": _THREADS,
            "memory_limit": _MEMORY,
            "temp_directory": str(scratch / "spilt"),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    try:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute("SET enable_progress_bar = false")
        engine.execute("SET allowed_paths = $1", [[source.path for source in sources.opened]])
        engine.execute("SET enable_external_access = false")
        engine.execute("SET lock_configuration = true")
        paths, selects = [], []
        for compression in COMPRESSIONS:
            if of_kind := [one.path for one in sources.opened if one.compression == compression]:
                paths.append(of_kind)
                selects.append(statements.source(compression))
        if selects:
            _run(engine, statements.RECORDS.format(sources=" UNION ALL ".join(selects)), paths)
    except BaseException:
        engine.close()
        database.unlink(missing_ok=True)
        raise
    return engine


def _run(engine: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[object]) -> None:
    """Run what takes long, in a thread: the engine itself would notice Ctrl-C only when it is done."""
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(engine.execute, statement, parameters).result()
        except KeyboardInterrupt:
            engine.interrupt()
            raise


def _counted(
    engine: duckdb.DuckDBPyConnection,
    sources: Sources,
    spans: Sequence[Span],
    zone: ZoneInfo,
    protected_now: Collection[str],
    within_s: float,
) -> Counted:
    counted = partial(
        Counted,
        journals=sources.files,
        read=sources.read,
        left_out=tuple(sources.left_out),
        ended_before=sources.ended_before,
        begins_after=sources.begins_after,
    )
    if not sources.opened:
        return counted(figures=tuple(Figures(one, within_s) for one in spans), first=None, last=None)
    _tell_of_reading(engine, sources)
    first, last = engine.execute(statements.DECIDED).fetchall()[0]
    troubles = _troubles(engine)
    calls = statements.CALLS.format(span=statements.span_of(spans), local_ms=statements.local_ms(spans, zone))
    _run(engine, calls, [sorted(protected_now), sources.ended_before is not None])
    found = [_Found() for _ in spans]
    for group in statements.GROUPS:
        for number, *row in engine.execute(statements.tallies(group, within_s)).fetchall():
            found[number].take(group, row[: len(group)], _tally(row[len(group) :]))
    for number, what, why, calls_of in engine.execute(statements.REASONS).fetchall():
        found[number].reasons[what][why] = calls_of
    figures = tuple(one.figures(span, within_s, within(troubles, span)) for one, span in zip(found, spans, strict=True))
    return counted(figures=figures, first=_moment(first), last=_moment(last))


class _Found:
    """What the engine found of one span."""

    def __init__(self) -> None:
        self.overall = NOTHING
        self.by: dict[str, dict[Any, Tally]] = {group[0]: {} for group in statements.GROUPS if len(group) == 1}
        self.protected_by_hour: dict[int, Tally] = {}
        self.reasons: dict[str, dict[str, int]] = {"fallback": {}, "unknown": {}}

    def take(self, group: Sequence[str], values: Sequence[Any], tally: Tally) -> None:
        """Keep one row: what was counted of one of `GROUPS`."""
        match group, values:
            case (), _:
                self.overall = tally
            case (name,), (value,):
                if value is not None:  # of calls that were not offered there is no queue
                    self.by[name][value] = tally
            case ("is_protected", "hour"), (True, hour):
                self.protected_by_hour[hour] = tally

    def figures(self, span: Span, within_s: float, troubles: tuple[Trouble, ...]) -> Figures:
        return Figures(
            span,
            within_s,
            overall=self.overall,
            protected=self.by["is_protected"].get(True, NOTHING),
            by_band=self.by["band"],
            by_hour=dict(sorted(self.by["hour"].items())),
            protected_by_hour=dict(sorted(self.protected_by_hour.items())),
            by_day={date(1970, 1, 1) + timedelta(days=day): tally for day, tally in sorted(self.by["day"].items())},
            by_queue=self.by["queue"],
            by_rule=self.by["rule"],
            by_target=self.by["target"],
            fallback=self.reasons["fallback"],
            unknown=self.reasons["unknown"],
            troubles=troubles,
        )


def _tally(row: Sequence[Any]) -> Tally:
    *counts, median_ms, p95_ms, longest_ms = row
    return Tally(*counts, *(None if ms is None else ms / 1000 for ms in (median_ms, p95_ms, longest_ms)))


def _troubles(engine: duckdb.DuckDBPyConnection) -> list[Trouble]:
    said = [
        Said(run or "", node, what or "", state or "", why, _EPOCH + timedelta(milliseconds=at_ms))
        for run, node, what, state, why, at_ms in engine.execute(statements.TROUBLES).fetchall()
    ]
    if not said:
        return []
    runs = engine.execute(statements.RUNS).fetchall()
    newest = max((begin for _, begin, _ in runs), default=0)
    ended = {run: None if begin == newest else _moment(last) for run, begin, last in runs}
    return paired(said, ended)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else _EPOCH + timedelta(milliseconds=ms)


def _tell_of_reading(engine: duckdb.DuckDBPyConnection, sources: Sources) -> None:
    """Count what was read; name the first lines that are no records, where there are any."""
    read = sources.read
    by_path = {source.path: source for source in sources.opened}
    for path, bad, decisions, outcomes in engine.execute(statements.READ).fetchall():
        read.decisions += decisions
        read.outcomes += outcomes
        if bad:
            read.bad += _bad_lines(by_path[path], bad, read)


def _bad_lines(source: Source, bad: int, read: Read) -> int:
    """How many lines of a source are bad; the first are kept in `read`.

    The engine counts them without saying which they are, so that the source is read again until enough are found;
    one that is compressed to its end, which tells whether it is damaged. A last line that is being written counts for
    the engine, and not here.

    Raises:
        JournalError: The compressed data are damaged.
    """
    wanted = min(bad, MOST_BAD_LINES_KEPT)
    with Path(source.path).open("rb") as stream:
        records = RecordStream([STDIN], stdin=stream, kinds=("decision", "outcome", "condition"))
        try:
            for fields in records:
                if wrong := _wrong_with(fields):
                    records.refuse(wrong)
                if records.read.bad >= wanted and source.compression == "uncompressed":
                    break
        except JournalError as error:
            raise JournalError(str(error).replace("standard input", name_of(source.file), 1)) from error
    found = records.read
    room = MOST_BAD_LINES_KEPT - len(read.bad_lines)
    read.bad_lines += [replace(bad_line, file=name_of(source.file)) for bad_line in found.bad_lines[:room]]
    return bad if found.bad >= wanted else found.bad


def _wrong_with(fields: dict[str, Any]) -> str:
    for name in ("time", "node") if fields["record"] == "condition" else ("time", "node", "uniqueid"):
        if not isinstance(fields.get(name), str):
            return f"has no {name}"
    try:
        year = datetime.fromisoformat(fields["time"]).year
    except ValueError:
        return "has no time that can be read"
    return "" if statements.FIRST_YEAR <= year <= statements.LAST_YEAR else f"is of the year {year}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
