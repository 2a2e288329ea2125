"""What a router tells Prometheus that has seen everything; dashboard, alerts and docs are held against it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import product
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from router.callers.health import REDIS
from router.callers.registry import LookupFailure
from router.calls.desk import CallDesk, DeskSettings
from router.journal.conditions import (
    ASTERISK_NOT_LINKED,
    CALLS_NOT_ROUTED,
    EVERY_CONDITION,
    ActiveCondition,
    AsteriskState,
)
from router.journal.records import Ending
from router.journal.writer import JournalWriter
from router.speech.during_calls import SpeakerCounts
from router.web.asterisks import ConditionMetrics, DeskMetrics, LinkMetrics
from router.web.calls import CallMetrics
from router.web.journal import JournalMetrics
from router.web.metrics import RulesMetrics, SpeechMetrics
from router.web.process import process_metrics
from router.web.registry import RegistryMetrics
from tests.unit.calls.rig import BOOK
from tests.unit.journal.samples import DECISION, OUTCOME
from tests.unit.journal.test_conditions import START

from .test_metrics import FINE
from .test_registry import HEALTH

UP = AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0.4)
_FALLBACKS = ("heartbeat", "deadline", "no-such-context", "another")


def every_collector(folder: Path) -> list[Collector]:
    """All that the daemon registers, with the journal in `folder`."""
    registry = replace(HEALTH, warnings={REDIS: "words"}, failures={failure.value: 1 for failure in LookupFailure})
    writer = JournalWriter(folder / "journal.jsonl")
    journal = JournalMetrics(writer)
    journal.write(DECISION)
    writer.close()
    wrong = [ActiveCondition("pbx1", what, "words", START) for what in (ASTERISK_NOT_LINKED, CALLS_NOT_ROUTED)]
    wrong += [ActiveCondition("", what, "words", START) for what in EVERY_CONDITION]
    return [
        RulesMetrics(lambda: FINE),
        SpeechMetrics(SpeakerCounts),
        RegistryMetrics(lambda: registry),
        _calls(),
        LinkMetrics(lambda: [UP], lambda: True),
        ConditionMetrics(lambda: wrong),
        asyncio.run(_desk()),
        journal,
        *process_metrics(),
    ]


def scrape(folder: Path) -> str:
    """What Prometheus is given of all that, as text."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in every_collector(folder):
        registry.register(collector)
    return generate_latest(registry).decode()


def _calls() -> CallMetrics:
    metrics = CallMetrics()
    metrics.take(DECISION.model_copy(update={"uniqueid": "9.1", "apply_ms": 1.2}))
    metrics.take(DECISION.model_copy(update={"uniqueid": "9.2", "applied": False}))
    for number, fallback in enumerate(_FALLBACKS):
        metrics.take(DECISION.model_copy(update={"uniqueid": f"8.{number}", "applied": False, "fallback": fallback}))
    for number, (ended, protected, assistant) in enumerate(product(Ending, (True, False), (True, False))):
        changes = {"uniqueid": f"7.{number}", "protected": protected, "age_band": "elder" if protected else "adult"}
        metrics.take(DECISION.model_copy(update=changes))
        over = {"uniqueid": f"7.{number}", "ended": ended, "touched_assistant": assistant}
        metrics.take(OUTCOME.model_copy(update=over))
    return metrics


async def _desk() -> DeskMetrics:
    async with asyncio.TaskGroup() as tasks:
        settings = DeskSettings("pbx1", "CN", lambda _: "")
        desk = CallDesk(settings, registry=None, rules=None, journal=None, send=None, tasks=tasks)  # type: ignore[arg-type]
    return DeskMetrics(lambda: [desk], lambda: BOOK)
