"""A journal as the records that it holds, for tests of what writes it."""

from __future__ import annotations

from pathlib import Path

from router.errors import JournalError
from router.journal.reader import BadLine
from router.journal.records import Record, parse_record


def records_in(path: Path) -> list[Record | BadLine]:
    """Every line as a record, or as what is wrong with it."""
    found: list[Record | BadLine] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(parse_record(line))
        except JournalError as error:
            found.append(BadLine(str(path), number, str(error)))
    return found
