"""The records of one call, out of journals that are read as `router.journal.stream` reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from router.errors import JournalError
from router.journal.records import ConditionRecord, DecisionRecord, OutcomeRecord, parse_record
from router.journal.stream import JournalBlocks


@dataclass(frozen=True, slots=True)
class CallRecords:
    """What journals hold of a call, in their order; a decision also as its line has it.

    `complaints` are for people. Where `is_all` is false, some journal was not read to its end.
    """

    decisions: tuple[tuple[dict[str, Any], DecisionRecord], ...] = ()
    outcomes: tuple[OutcomeRecord, ...] = ()
    complaints: tuple[str, ...] = ()
    is_all: bool = True

    def before(self, later: CallRecords) -> CallRecords:
        """Together with those of a later journal."""
        return CallRecords(
            self.decisions + later.decisions,
            self.outcomes + later.outcomes,
            self.complaints + later.complaints,
            self.is_all and later.is_all,
        )


def records_of(uniqueid: str, journals: Sequence[Path]) -> CallRecords:
    """Look for a call in journals that are named oldest first.

    The newest that has anything of it is enough, and the one before it. A journal that cannot be read is told of.
    """
    found = CallRecords()
    for file in reversed(journals):
        has_newer = bool(found.decisions or found.outcomes)
        found = _in_one(uniqueid, file).before(found)
        if has_newer:
            break
    return found


def _in_one(uniqueid: str, file: Path) -> CallRecords:
    decisions: list[tuple[dict[str, Any], DecisionRecord]] = []
    outcomes: list[OutcomeRecord] = []
    complaints: list[str] = []
    damaged = 0
    is_all = True
    # As JSON has it; in quotation marks, or 1.1 would be found in 21.10.
    needle = json.dumps(uniqueid, ensure_ascii=False).encode("utf-8", "surrogateescape")
    try:
        blocks = JournalBlocks((file,), stdin=sys.stdin.buffer)
        for line in (raw for lines in blocks for raw in lines if needle in raw):
            try:
                record = parse_record(line)
            except JournalError:
                damaged += 1
                continue
            if isinstance(record, ConditionRecord) or record.uniqueid != uniqueid:
                continue
            if isinstance(record, DecisionRecord):
                decisions.append((orjson.loads(line), record))
            elif isinstance(record, OutcomeRecord):
                outcomes.append(record)
        complaints += blocks.read.warnings
        is_all = not complaints
    except JournalError as error:
        complaints.append(str(error))
        is_all = False
    if damaged:
        which = "1 line that names it" if damaged == 1 else f"{damaged:,} lines that name it"
        complaints.append(f"{file}: {which} cannot be read as a record")
    return CallRecords(tuple(decisions), tuple(outcomes), tuple(complaints), is_all)
