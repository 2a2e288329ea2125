"""What a journal says so far, counted as it grows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import orjson


@dataclass(slots=True)
class JournalTally:
    """Counts of the records in one journal; `read` takes in what has been added.

    `answer_ms` is the router's own time from each request to Asterisk's last answer, of the decisions applied.
    """

    file: Path
    decisions: int = 0
    applied: int = 0
    fell_back: int = 0
    lookups_failed: int = 0
    outcomes: int = 0
    size_bytes: int = 0
    answer_ms: list[float] = field(default_factory=list)

    def read(self) -> None:
        """Count what has been added since the last time."""
        if not self.file.exists():
            return
        with self.file.open("rb") as stream:
            stream.seek(self.size_bytes)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self.size_bytes += len(line)
                self._count(line)

    def _count(self, line: bytes) -> None:
        if line.startswith(b'{"record":"outcome"'):
            self.outcomes += 1
            return
        if not line.startswith(b'{"record":"decision"'):
            return  # a condition or a promotion
        record = orjson.loads(line)
        self.decisions += 1
        if record["applied"]:
            self.applied += 1
            self.answer_ms.append(record["lookup_ms"] + record["decide_ms"] + record["apply_ms"])
        self.fell_back += bool(record["fallback"])
        self.lookups_failed += record["band_source"] == "lookup_failed"

    async def wait_for(self, *, decisions: int = 0, outcomes: int = 0, patience_s: float = 15.0) -> None:
        """Read on until there are so many in all, or time is up."""
        deadline = asyncio.get_running_loop().time() + patience_s
        self.read()
        while self.decisions < decisions or self.outcomes < outcomes:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.1)
            self.read()
