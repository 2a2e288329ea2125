"""A small day of calls whose figures are counted by hand, in `test_count`, and how journals are written for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from router.journal.counting.figures import Span
from tests.unit.journal.calls import decided, ended, lines
from tests.unit.journal.samples import CONDITION

SHANGHAI = ZoneInfo("Asia/Shanghai")


def day_of(text: str, zone: ZoneInfo = SHANGHAI) -> Span:
    """A day by its date; as long as the zone's clocks have it."""
    begin = datetime.fromisoformat(text).replace(tzinfo=zone)
    return Span(begin, begin + timedelta(days=1))


def at(clock: str, day: str = "2026-11-25") -> str:
    """A moment of Shanghai's clocks as records have it."""
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=SHANGHAI)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def call(
    number: int,
    clock: str,
    band: str | None = "elder",
    end: str | None = "answered",
    **changed: Any,  # noqa: ANN401
) -> list[dict[str, Any]]:
    """A call's two records, or one. `wait`, `queue`, `met` and `end_fallback` are of its outcome."""
    outcome = {
        "ended": end,
        "wait_s": changed.pop("wait", None),
        "queue": changed.pop("queue", ""),
        "touched_assistant": changed.pop("met", False),
        "fallback": changed.pop("end_fallback", ""),
        "time": at(clock),
    }
    usual = {"age_band": band, "protected": band in {"senior", "elder"}, "fallback": "", "ask": 1, "time": at(clock)}
    records = [decided(number, **usual | changed)]
    return records if end is None else [*records, ended(number, **outcome)]


def condition(clock: str, state: str, what: str = "registry does not answer", **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    """Something began to be wrong, or is over."""
    fields = orjson.loads(CONDITION.model_dump_json())
    return {**fields, "time": at(clock), "state": state, "what": what, "node": "", "why": "", **changed}


CARE = {"rule": "older callers", "target": "senior-care"}
REST = {"rule": "everybody else", "target": "assistant"}

DAY: Sequence[dict[str, Any]] = [
    record
    for records in (
        # Older callers: ten, of whom one is under way and one's end nobody saw.
        call(1, "09:00:00", "elder", wait=4.0, queue="senior-care", **CARE),
        call(2, "09:10:00", "elder", wait=15.0, queue="senior-care", **CARE),
        call(3, "09:20:00", "senior", wait=15.001, queue="senior-care", **CARE),
        call(4, "10:00:00", "senior", wait=75.5, queue="agents", **CARE),
        call(5, "10:01:00", "senior", wait=9.0, queue="agents", met=True, **CARE),
        call(6, "10:02:00", "elder", "abandoned", wait=5.0, queue="senior-care", **CARE),
        call(7, "10:03:00", "elder", "abandoned", wait=90.0, queue="agents", **CARE),
        call(8, "10:04:00", "senior", "hung_up_early", **CARE),
        call(9, "10:05:00", "senior", None, **CARE),
        call(10, "10:06:00", "senior", "unseen", **CARE),
        # Others: seven.
        call(11, "00:00:00", "adult", "self_served", met=True, **REST),
        call(12, "23:59:59.999", "adult", wait=20.0, queue="agents", met=True, **REST),
        call(13, "12:00:00", None, wait=20.001, queue="agents", met=True, band_source="unknown", **REST),
        call(14, "12:00:01", None, "self_served", met=True, band_source="no_number", **REST),
        call(15, "12:00:02", None, "abandoned", wait=5.001, queue="agents", band_source="lookup_failed", **REST),
        call(16, "12:00:03", None, wait=2.0, queue="agents", band_source="not_asked", rule="", target="people",
             fallback="heartbeat"),
        call(17, "12:00:04", "adult", wait=1.0, queue="agents", end_fallback="deadline", **REST),
    )
    for record in records
]  # fmt: skip


def write(file: Path, records: Iterable[dict[str, Any]]) -> Path:
    """A journal of these records."""
    file.write_bytes(b"".join(lines(list(records))))
    return file
