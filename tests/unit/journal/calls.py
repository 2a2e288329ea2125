"""Calls as a journal has them, two records each, for tests of reports on many of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from router.journal.records import TraceStep
from tests.unit.journal.samples import DECISION, OUTCOME

BEGAN = datetime(2026, 11, 9, 1, tzinfo=UTC)


def decided(number: int, *, left_out_by: Sequence[str] = (), **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    """The decision of one call, a minute after the one before, of a caller of their own."""
    at = BEGAN + timedelta(minutes=number)
    rule = changed.get("rule", DECISION.rule)
    trace = [TraceStep(rule=name, matched=False, failed="rollout", wanted="below 50", saw="…") for name in left_out_by]
    fresh = {"uniqueid": f"{number}.0", "caller_key": f"{number:016x}", "time": at, "at": at}
    fields = DECISION.model_copy(update=fresh | {"trace": (*trace, TraceStep(rule=rule, matched=True))})
    usual = {"age_band": "elder", "speech": "unhurried", "speech_from": "rule"}
    return {**orjson.loads(fields.model_dump_json()), **usual, **changed}


def ended(number: int, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    """How it ended: in the assistant, served, unless something else is said."""
    usual = {"uniqueid": f"{number}.0", "ended": "self_served", "touched_assistant": True, "keys": ["1"]}
    return {**orjson.loads(OUTCOME.model_dump_json()), **usual, **changed}


def lines(records: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """As the journal has them; `record` stands first there."""
    for record in records:
        yield orjson.dumps({"record": record["record"], **record}) + b"\n"
