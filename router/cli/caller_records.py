"""The records of one caller's calls, out of journals that are read as `router.journal.stream` reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from router.cli.tracing import reading_bar
from router.journal.stream import JournalBlocks

_DECISION = b'{"record":"decision",'


@dataclass(frozen=True, slots=True)
class CallerRecords:
    """What journals hold of a caller, as their lines have it, in their order. `complaints` are for people."""

    records: tuple[dict[str, Any], ...] = ()
    complaints: tuple[str, ...] = ()


def records_of_caller(key: str, journals: Sequence[Path]) -> CallerRecords:
    """Look for a caller's decisions, and for what else is told of the same calls.

    Args:
        key: The caller's, by the journal's secret.
        journals: Named oldest first, so that a decision is read before what came of it.

    Raises:
        JournalError: A journal cannot be read.
    """
    found: list[dict[str, Any]] = []
    calls: dict[bytes, set[tuple[str, str]]] = {}
    damaged = 0
    needle = f'"{key}"'.encode()
    with reading_bar("reading calls") as update:
        blocks = JournalBlocks(
            tuple(dict.fromkeys(journals)), stdin=sys.stdin.buffer, on_read=lambda count: update(completed=count)
        )
        update(total=blocks.bytes_total)
        for line in (raw for lines in blocks for raw in lines):
            is_theirs = needle in line
            if not is_theirs and (line.startswith(_DECISION) or not any(call in line for call in calls)):
                continue
            try:
                record = orjson.loads(line)
                call = record["node"], record["uniqueid"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                damaged += 1
                continue
            if record.get("caller_key") == key:
                # As JSON has it; in quotation marks, or 1.1 would be found in 21.10.
                name = json.dumps(call[1], ensure_ascii=False).encode("utf-8", "surrogateescape")
                calls.setdefault(name, set()).add(call)
                found.append(record)
            elif any(call in others for others in calls.values()):
                found.append(record)
    complaints = [*blocks.read.warnings]
    if damaged:
        complaints.append(f"{damaged:,} lines that may be about the caller cannot be read as records")
    return CallerRecords(tuple(found), tuple(complaints))
