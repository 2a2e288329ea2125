"""Reading a file of callers: CSV rows to numbers and age bands, what is wrong with a row told by its line.

The columns are `number` and `birth_date` (YYYY-MM-DD) or `age_band`; others are ignored. A bad row is
reported and left out, the others count. Nobody's number is shown in full.

Rows are gathered in a temporary SQLite database before anything is stored: it lies on disk once it outgrows
its cache, has no name, and is gone when closed. So memory does not grow with the file, a number on several
lines is found however far apart they are, and a file that cannot be read to its end has changed nothing.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Final, Self

from router.callers.bands import AgeBands
from router.callers.number import NoNumber, NoNumberReason, PhoneNumber, masked, parse_caller
from router.callers.registry import Registry
from router.errors import ConfigurationError, Problem

# A row has a number and a date or a name; the rest is room for columns that are ignored.
MAX_LINE_BYTES: Final = 4096
# Enough to see what is wrong with a file; all are counted.
MAX_REJECTED_SHOWN: Final = 100
# One pipeline of so many SETs takes a few milliseconds and a few hundred kilobytes.
STORE_BATCH: Final = 2000

NUMBER, BIRTH_DATE, AGE_BAND = "number", "birth_date", "age_band"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# What spreadsheets make of a long number: 1.39E+10, 13900000001.0
_SPREADSHEET_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?E\+?[0-9]+|[0-9]+\.0+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ZIP = b"PK\x03\x04"  # what .xlsx and .ods are packed in
_HEADER_HINT = "the first line must name the columns, like number,birth_date"
_UTF8_BOM, _UTF16_BOMS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row left out. `caller` is masked, or empty where the row's number could not be read."""

    line: int
    caller: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.caller + ': ' if self.caller else ''}{self.reason}"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How a file was read. Counts are of rows, except `by_band`, which counts numbers.

    `duplicates` rows repeat a number of another line; such a number took the oldest of its bands.
    """

    read: int
    kept: int
    rejected_count: int
    rejected: tuple[Rejected, ...]
    by_band: dict[str, int]
    duplicates: int


class CallerFile:
    """What one file of callers says: a report, and the numbers with their bands. A context manager."""

    def __init__(self, report: ImportReport, bands: AgeBands, gathered: sqlite3.Connection) -> None:
        self.report = report
        self._bands = bands
        self._gathered = gathered

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gathered.close()

    def batches(self) -> Iterator[list[tuple[PhoneNumber, str]]]:
        """Every number once, with its band, in batches of at most 2,000."""
        names = self._bands.names
        with closing(self._gathered.execute("SELECT digits, band FROM caller")) as rows:
            while batch := rows.fetchmany(STORE_BATCH):
                yield [(PhoneNumber(f"+{digits}"), names[band]) for digits, band in batch]

    async def store(self, registry: Registry, stored: Callable[[int], None] = lambda _: None) -> None:
        """Write all to the registry. `stored` is told the size of each batch after it.

        Raises:
            RegistryError: Redis cannot be reached or refuses; what was stored stays, storing again is safe.
        """
        for batch in self.batches():
            await registry.set_many(batch)
            stored(len(batch))


class _RowError(Exception):
    """Why a row is left out; `caller` is already masked."""

    def __init__(self, reason: str, caller: str = "") -> None:
        self.reason = reason
        self.caller = caller
        super().__init__(reason)


def read_callers(
    path: Path,
    bands: AgeBands,
    *,
    home_region: str,
    today: date,
    progress: Callable[[int], None] = lambda _: None,
) -> CallerFile:
    """Read a file of callers and check every row. Stores nothing yet.

    Args:
        path: UTF-8, with or without a byte order mark, columns separated by commas.
        bands: The bands of the rules in force.
        home_region: Where numbers without a country code belong, e.g. `CN`.
        today: The day on which ages count.
        progress: Is told how many bytes each line took.

    Raises:
        ConfigurationError: The file cannot be read, or its header lacks a column.
    """
    gathered = sqlite3.connect("")
    try:
        with path.open("rb") as stream:
            report = _Reader(str(path), bands, home_region, today, gathered).read(stream, progress)
    except (OSError, sqlite3.Error) as error:
        gathered.close()
        raise ConfigurationError([Problem(str(path), 0, 0, f"cannot be read: {error}")]) from error
    except BaseException:
        gathered.close()
        raise
    return CallerFile(report, bands, gathered)


class _Reader:
    def __init__(self, name: str, bands: AgeBands, home_region: str, today: date, gathered: sqlite3.Connection) -> None:
        self._name = name
        self._bands = bands
        self._home_region = home_region
        self._today = today
        self._gathered = gathered
        self._columns: dict[str, int] = {}

    def read(self, stream: BinaryIO, progress: Callable[[int], None]) -> ImportReport:
        # Nothing is ever rolled back, so a journal would only be written for nothing.
        self._gathered.execute("PRAGMA journal_mode = OFF")
        self._gathered.execute("CREATE TABLE caller (digits INTEGER PRIMARY KEY, band INTEGER NOT NULL)")
        self._columns = self._header(stream.readline(MAX_LINE_BYTES + 1))
        read = kept = rejected_count = 0
        rejected: list[Rejected] = []
        for line, raw in _lines(stream, progress):
            read += 1
            try:
                number, band = self._row(raw)
            except _RowError as error:
                rejected_count += 1
                if len(rejected) < MAX_REJECTED_SHOWN:
                    rejected.append(Rejected(line, error.caller, error.reason))
                continue
            kept += 1
            self._gathered.execute(
                "INSERT INTO caller VALUES (?, ?) ON CONFLICT DO UPDATE SET band = max(band, excluded.band)",
                (int(number.e164[1:]), band),
            )
        counts = dict(self._gathered.execute("SELECT band, count(*) FROM caller GROUP BY band"))
        by_band = {name: counts.get(index, 0) for index, name in enumerate(self._bands.names)}
        return ImportReport(
            read=read,
            kept=kept,
            rejected_count=rejected_count,
            rejected=tuple(rejected),
            by_band=by_band,
            duplicates=kept - sum(by_band.values()),
        )

    def _header(self, raw: bytes) -> dict[str, int]:
        if not raw.strip():
            raise self._wrong(f"the file is empty, or begins with an empty line; {_HEADER_HINT}")
        if raw.startswith(_UTF16_BOMS):
            raise self._wrong("the file is UTF-16; save it as CSV UTF-8")
        if raw.startswith(_ZIP):
            raise self._wrong("this is a spreadsheet's own format; save it as CSV UTF-8")
        try:
            names = [name.strip().casefold() for name in _fields(raw.removeprefix(_UTF8_BOM))]
        except _RowError as error:
            raise self._wrong(f"the header row {error.reason}") from error
        columns = {name: names.index(name) for name in (NUMBER, BIRTH_DATE, AGE_BAND) if name in names}
        if any(names.count(name) > 1 for name in columns):
            raise self._wrong("a column is there twice; keep one of each name")
        if NUMBER not in columns:
            nearest = _nearest(NUMBER, names) or f"; {_HEADER_HINT}"
            raise self._wrong(f"there is no column `number`{nearest}")
        if len(columns) == 1:
            nearest = _nearest(BIRTH_DATE, names) or _nearest(AGE_BAND, names)
            raise self._wrong(f"there is neither a column `birth_date` nor one `age_band`{nearest}")
        return columns

    def _row(self, raw: bytes) -> tuple[PhoneNumber, int]:
        """The number of a row and the place of its band among the bands."""
        fields = _fields(raw)
        if len(fields) <= max(self._columns.values()):
            raise _RowError(f"has {len(fields)} column{'' if len(fields) == 1 else 's'}, fewer than the header")
        values = {name: fields[index].strip() for name, index in self._columns.items()}
        number = self._number(values[NUMBER])
        try:
            return number, self._band(values.get(BIRTH_DATE, ""), values.get(AGE_BAND, ""))
        except ValueError as error:
            raise _RowError(str(error), masked(number)) from error

    def _number(self, text: str) -> PhoneNumber:
        if _SPREADSHEET_NUMBER.fullmatch(text):
            raise _RowError("a spreadsheet has rewritten the number; format that column as text")
        caller = parse_caller(text, self._home_region)
        if isinstance(caller, PhoneNumber):
            return caller
        raise _RowError(_no_number(caller))

    def _band(self, birth_date: str, age_band: str) -> int:
        """The place of the band of a row. What was written is not repeated: it may be a misplaced number."""
        names = self._bands.names
        if not birth_date and not age_band:
            raise ValueError("has neither a birth_date nor an age_band")
        if age_band and age_band not in names:
            nearest = get_close_matches(age_band.casefold(), names, 1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ValueError(f"age_band is not one of {', '.join(names)}{meant}")
        if not birth_date:
            return names.index(age_band)
        if not _DATE.fullmatch(birth_date):
            raise ValueError("birth_date is not of the form YYYY-MM-DD, e.g. 1948-07-31")
        try:
            birth = date.fromisoformat(birth_date)
        except ValueError:
            raise ValueError("birth_date is not a day of the calendar; check its month and day") from None
        band = self._bands.of_birth(birth, self._today)
        if age_band and age_band != band:
            raise ValueError(f"birth_date makes the caller {band}, age_band says {age_band}; correct one of them")
        return names.index(band)

    def _wrong(self, message: str) -> ConfigurationError:
        return ConfigurationError([Problem(self._name, 1, 1, message)])


def _lines(stream: BinaryIO, progress: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """The lines after the header with their numbers, without empty ones; a long one is cut over the limit."""
    line = 1
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        line += 1
        progress(len(raw))
        rest = raw
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
            progress(len(rest))
        if raw.strip():
            yield line, raw


def _fields(raw: bytes) -> list[str]:
    """The fields of one line. A field cannot span lines, so that one stray quote spoils one row only."""
    if len(raw) > MAX_LINE_BYTES:
        raise _RowError(f"is longer than {MAX_LINE_BYTES} bytes")
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise _RowError("is not UTF-8; save the file as CSV UTF-8") from error
    if _CONTROL.search(text):
        raise _RowError("holds a control character")
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise _RowError(f"is not CSV: {error}") from error


def _nearest(wanted: str, names: list[str]) -> str:
    if len(names) == 1 and any(separator in names[0] for separator in ";\t"):
        return "; separate the columns by commas"
    close = get_close_matches(wanted, names, 1)
    return f"; rename `{close[0]}` to it" if close and close[0].isprintable() else ""


def _no_number(caller: NoNumber) -> str:
    match caller.reason:
        case NoNumberReason.WITHHELD:
            return "has no number"
        case NoNumberReason.SHORT:
            return "is a service number or lacks its area code"
        case NoNumberReason.ALPHANUMERIC:
            return "has letters where the number should be"
        case NoNumberReason.MALFORMED:
            return "has a number that no telephone network would take"
