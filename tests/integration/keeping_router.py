"""A router as far as its journal goes, as a process to be killed: it writes calls and keeps its files in order.

Run with the journal, the number of the first call, the caller keys of two callers, and how many calls a second.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

from router.journal.keeping import Keeping
from router.journal.settings import RotationSettings
from router.journal.writer import JournalWriter
from tests.unit.journal.samples import decision, outcome

ROTATION = RotationSettings(size_bytes=300_000)


async def main() -> None:
    """Write until killed, and say each call's number when it is in the journal."""
    path, first, key, other, per_s = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5])
    writer = JournalWriter(path, rotation=ROTATION)
    keeping = asyncio.create_task(Keeping(path, writer, ROTATION, look_every_s=0.05).run())
    call = first
    while not keeping.done():
        now = datetime.now(UTC)
        caller = key if call % 5 == 0 else other
        written = writer.write(decision(f"{call}.0").model_copy(update={"caller_key": caller, "time": now}))
        if written and writer.write(outcome(f"{call}.0").model_copy(update={"time": now, "duration_s": 1.0})):
            print(call, flush=True)  # noqa: T201 - what the test waits for
        call += 1
        await asyncio.sleep(1 / per_s)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main())
