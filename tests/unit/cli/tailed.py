"""Made-up calls for tests of `elder-router tail`, and rules that they go by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from router.journal.records import ConditionRecord, DecisionRecord, Ending, OutcomeRecord, PromotionRecord, Record
from tests.unit.journal.samples import CONDITION, DECISION, OUTCOME

BEGAN = datetime(2025, 11, 26, 1, tzinfo=UTC)
"""Nine o'clock in Shanghai."""
RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}, {name: elder, from: 75}]
protected: [senior, elder]
speech: {standard: {rate: 1.0}, unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  senior-care: {queue: senior-care}
  assistant: {context: router-assistant}
rules:
  - {name: seniors reach a person, when: {age_band: [senior, elder]}, then: {to: senior-care, speech: unhurried}}
  - {name: everyone else, then: {to: assistant}}
fallback: {to: people}
"""


def decided(number: int, band: str | None = "elder", **changed: Any) -> DecisionRecord:  # noqa: ANN401
    """Call `number`, so many seconds after `BEGAN`."""
    is_old = band in {"senior", "elder"}
    usual = {
        "time": BEGAN + timedelta(seconds=number),
        "uniqueid": f"{number}.0",
        "age_band": band,
        "protected": is_old,
        "rule": "seniors reach a person" if is_old else "everyone else",
        "target": "senior-care" if is_old else "assistant",
        "queue": "senior-care" if is_old else "",
        "speech": "unhurried" if is_old else "standard",
        "lookup_ms": 0.5,
        "decide_ms": 0.1,
        "apply_ms": 1.2,
    }
    return DECISION.model_copy(update=usual | changed)


def ended(number: int, ending: Ending = Ending.ANSWERED, **changed: Any) -> OutcomeRecord:  # noqa: ANN401
    """How it ended: answered after 12 s in the queue of older callers, unless something else is said."""
    waited = ending in {Ending.ANSWERED, Ending.ABANDONED}
    usual = {
        "time": BEGAN + timedelta(seconds=number + 60),
        "uniqueid": f"{number}.0",
        "ended": ending,
        "answered_by": "PJSIP/1001" if ending is Ending.ANSWERED else "",
        "queue": "senior-care" if waited else "",
        "wait_s": 12.0 if waited else None,
    }
    return OUTCOME.model_copy(update=usual | changed)


def condition(second: int, **changed: Any) -> ConditionRecord:  # noqa: ANN401
    return CONDITION.model_copy(update={"time": BEGAN + timedelta(seconds=second)} | changed)


def promotion(second: int, number: int, **changed: Any) -> PromotionRecord:  # noqa: ANN401
    return PromotionRecord(
        time=BEGAN + timedelta(seconds=second),
        node="pbx1",
        uniqueid=f"{number}.0",
        linkedid=f"{number}.0",
        queue="senior-care",
        from_position=5,
        to_position=1,
        by="alice",
        by_uid=1000,
        why="calls for the third time",
        done=True,
    ).model_copy(update=changed)


def write(journal: Path, *records: Record | bytes) -> Path:
    """Add to a journal."""
    with journal.open("ab") as stream:
        for record in records:
            stream.write((record if isinstance(record, bytes) else record.model_dump_json().encode()) + b"\n")
    return journal
