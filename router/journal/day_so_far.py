"""The day so far, counted from the journal when a router starts in the middle of it, by a process of its own.

At the end of a busy day that is 4 GB of lines: a minute of a processor's time, which calls must not wait for. So it is
another process, at the lowest priority, which tells its tally as JSON. Records of the run that asks are passed over:
it counts them itself, from its first on, so that nothing counts twice and nothing is missed, wherever the file ended
when it was read.

    python -m router.journal.day_so_far '{"journal": …, "run": …, "day": …}'
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from router.errors import JournalError
from router.journal.opening import opened_at_once
from router.journal.stream import RecordStream
from router.journal.tally import Tally

WITHIN_S: Final = 1800.0
"""A day of 2.12 million calls takes a minute or two on an idle processor; on one that is not, longer."""

MARGIN_S: Final = 6 * 3600.0
"""Files last written so long before the day are looked at too: calls that began in them may be under way still."""

_LOWEST_PRIORITY: Final = 19
_MOST_WARNINGS: Final = 10

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EarlierRuns:
    """What runs before this one wrote.

    Attributes:
        journal: The file; what was rotated away from it is found beside it.
        run: The run that asks, whose records are passed over.
    """

    journal: Path
    run: str

    async def counted(self, into: Tally, *, within_s: float = WITHIN_S) -> Tally:
        """The tally of a day, counted by another process, which ends when this is cancelled.

        Args:
            into: Empty; says which day, and how it is counted.
            within_s: The longest that may take.

        Raises:
            JournalError: It could not be counted; says why.
        """
        request = orjson.dumps({"journal": str(self.journal), "run": self.run, "into": into.as_fields()}).decode()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, request),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(within_s):
                told, complaints = await child.communicate()
        except TimeoutError as error:
            raise JournalError(f"the day so far was not counted within {within_s:.0f} s") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode != 0:
            last = complaints.decode(errors="replace").strip().rpartition("\n")[2]
            raise JournalError(f"what counts the day so far ended with status {child.returncode}: {last[:500]}")
        tally, warnings = await asyncio.to_thread(_answered, told)
        for warning in warnings:
            _log.warning("not all of the day so far counted", reason=warning)
        return tally


def count_into(tally: Tally, journal: Path, run: str) -> Sequence[str]:
    """Count what the journal has of the tally's day, but for the records of one run.

    Returns:
        Which files it has read in part only: compressed data that end too soon.

    Raises:
        JournalError: It cannot be read, or has been rotated over and over while it was opened.
    """
    with ExitStack() as opened:
        # As they are open here: what is rotated, compressed or removed meanwhile is read all the same.
        every = opened_at_once(journal, opened)
        since_s = tally.day.start_s - MARGIN_S
        names = {
            Path(f"/dev/fd/{stream.fileno()}"): name
            for name, stream in every
            if os.fstat(stream.fileno()).st_mtime >= since_s
        }
        records = RecordStream(list(names), stdin=sys.stdin.buffer, kinds=("decision", "outcome"))
        try:
            for fields in records:
                if fields.get("run") != run:
                    with suppress(KeyError, TypeError, ValueError, OverflowError):  # no router wrote it
                        _count(tally, fields, is_all=len(names) == len(every))
        except JournalError as error:
            raise JournalError(_by_name(str(error), names)) from error
        return [_by_name(warning, names) for warning in records.read.warnings[:_MOST_WARNINGS]]


def _by_name(text: str, names: Mapping[Path, Path]) -> str:
    """What is told of a file that was read by its descriptor, with its name."""
    read, colon, what = text.partition(":")
    return f"{names.get(Path(read), read)}{colon}{what}"


def _count(tally: Tally, fields: Mapping[str, Any], *, is_all: bool) -> None:
    call = (str(fields["node"]), str(fields["uniqueid"]))
    if fields["record"] == "outcome":
        tally.ended(
            call,
            fields["ended"],
            wait_s=fields.get("wait_s"),
            touched_assistant=fields.get("touched_assistant", False),
            fallback=fields.get("fallback", ""),
        )
        return
    at_s = datetime.fromisoformat(fields["time"]).timestamp()
    if fields["ask"] > 1 and not is_all and not tally.knows(call):
        at_s = 0.0  # first decided in a file that was left out, long before the day
    tally.decided(
        call,
        at_s,
        ask=fields["ask"],
        band=fields["age_band"],
        source=fields["band_source"],
        protected=fields.get("protected"),
        fallback=fields.get("fallback", ""),
    )


def _answered(told: bytes) -> tuple[Tally, Sequence[str]]:
    answer = orjson.loads(told)
    if "error" in answer:
        raise JournalError(answer["error"])
    return Tally.of_fields(answer["tally"]), answer["warnings"]


def _answer(request: bytes) -> bytes:
    os.nice(_LOWEST_PRIORITY)
    asked = orjson.loads(request)
    tally = Tally.of_fields(asked["into"])
    try:
        warnings = count_into(tally, Path(asked["journal"]), asked["run"])
    except JournalError as error:
        return orjson.dumps({"error": str(error)})
    return orjson.dumps({"tally": tally.as_fields(), "warnings": warnings})


if __name__ == "__main__":
    with os.fdopen(1, "wb", closefd=False) as answer:
        answer.write(_answer(sys.argv[1].encode()))
