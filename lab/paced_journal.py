"""A journal written at a steady pace by a process of its own, as a busy router would: for what follows journals.

    python -m lab.paced_journal JOURNAL CALLS_A_SECOND SECONDS [ROTATE_BYTES]

Each call is decided, and ends two seconds later. Records have the time at which they are written. At the end it says
how many calls there were, and how often the journal was rotated.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from router.journal.records import DecisionRecord, Ending, OutcomeRecord, TraceStep
from router.journal.settings import RotationSettings
from router.journal.writer import JournalWriter

UNDER_WAY_S: Final = 2.0
_TICK_S: Final = 0.002
_BANDS: Final = ("elder", "senior", "adult", None)
_TRACE: Final = (
    TraceStep(rule="callers of 75 and over reach a person first", matched=False, failed="age_band", wanted="elder"),
    TraceStep(rule="callers of 60 and over reach a person", matched=False, failed="age_band", wanted="senior"),
    TraceStep(rule="everyone else meets the assistant", matched=True),
)


def decided(number: int, now: datetime) -> DecisionRecord:
    """The decision of made-up call `number`."""
    band = _BANDS[number % len(_BANDS)]
    is_old = band in {"elder", "senior"}
    return DecisionRecord(
        time=now,
        node="pbx1",
        uniqueid=f"pbx1-1790000000.{number}",
        linkedid=f"pbx1-1790000000.{number}",
        ask=1,
        caller="+86139****0001",
        caller_key=f"{number:016x}",
        called="95519",
        language="zh",
        age_band=band,
        band_source="registry" if band else "unknown",
        rule="callers of 60 and over reach a person" if is_old else "everyone else meets the assistant",
        trace=_TRACE,
        target="senior-care" if is_old else "assistant",
        queue="senior-care" if is_old else "",
        context="" if is_old else "router-assistant",
        head_start_s=300 if is_old else 0,
        speech="unhurried" if is_old else "standard",
        rules_version="5f3a9c01d2e4",
        lookup_ms=0.4,
        decide_ms=0.05,
        apply_ms=1.2,
        applied=True,
        protected=is_old,
    )


def ended(number: int, now: datetime) -> OutcomeRecord:
    """Its outcome."""
    is_old = number % len(_BANDS) < 2  # noqa: PLR2004 - the first two are the older ones
    return OutcomeRecord(
        time=now,
        node="pbx1",
        uniqueid=f"pbx1-1790000000.{number}",
        linkedid=f"pbx1-1790000000.{number}",
        ask=1,
        ended=Ending.ANSWERED if is_old else Ending.SELF_SERVED,
        answered_by="PJSIP/1001" if is_old else "",
        queue="senior-care" if is_old else "",
        wait_s=1.5 if is_old else None,
        touched_assistant=not is_old,
        hangup_cause=16,
        duration_s=UNDER_WAY_S,
    )


def write_paced(path: Path, calls_per_s: float, for_s: float, rotate_bytes: int | None) -> tuple[int, int]:
    """Write decisions for so long, and the outcomes; how many calls, and how often the journal was rotated."""
    writer = JournalWriter(path, rotation=RotationSettings(size_bytes=rotate_bytes, compress=False))
    began_s = time.monotonic()
    open_calls: deque[tuple[float, int]] = deque()
    number = 0
    while True:
        now_s = time.monotonic() - began_s
        while now_s < for_s and number < now_s * calls_per_s:
            writer.write(decided(number, datetime.now(UTC)))
            open_calls.append((now_s + UNDER_WAY_S, number))
            number += 1
        while open_calls and open_calls[0][0] <= now_s:
            writer.write(ended(open_calls.popleft()[1], datetime.now(UTC)))
        if now_s >= for_s and not open_calls:
            break
        time.sleep(_TICK_S)
    writer.close()
    return number, writer.rotations


def main() -> int:
    """Write as the arguments say."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    path, calls_per_s, for_s, *rotate = sys.argv[1:]
    calls, rotations = write_paced(Path(path), float(calls_per_s), float(for_s), int(rotate[0]) if rotate else None)
    print(calls, rotations)
    return 0


if __name__ == "__main__":
    sys.exit(main())
