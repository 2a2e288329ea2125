"""What monitoring is told of a real centre: its metrics are the journal's figures, its health is what calls meet."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from lab.centre import Centre
from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
PAGE = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
ELDER, SENIOR, YOUNGER, NOBODY = "13900000001", "13900000004", "13900000008", "13912340000"

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


async def _centre(centre_of: Callable[..., Any], **options: Any) -> Centre:  # noqa: ANN401
    agents = {"agent1": 1000, "agent2": 1000}
    centre: Centre = await centre_of(
        rules=BRISK, callers=SAMPLE, agents=agents, extra_dialplan=BRISK_ASSISTANT, supervised=True, **options
    )
    return centre


async def _get(centre: Centre, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{centre.router.metrics_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, timeout=aiohttp.ClientTimeout(10)) as answer:
        return answer.status, await answer.text()


async def _scrape(centre: Centre) -> tuple[Samples, set[str]]:
    """Sample → its labels → value; and the names of all metrics, those without a sample too."""
    status, text = await _get(centre, "/metrics")
    assert status == 200
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[_labels(**sample.labels)] = sample.value
    return samples, set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


async def _ready(centre: Centre, status: int, patience_s: float = 20.0) -> dict[str, Any]:
    """Wait until readiness is told with a status; what is told then."""
    async with asyncio.timeout(patience_s):
        while True:
            found, text = await _get(centre, "/health/ready")
            if found == status:
                said: dict[str, Any] = json.loads(text)
                return said
            await asyncio.sleep(0.05)


def _not_0(values: dict[frozenset[tuple[str, str]], float]) -> dict[frozenset[tuple[str, str]], float]:
    return {labels: value for labels, value in values.items() if value}


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


async def test_metrics_are_the_figures_of_the_journal(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        for caller in (ELDER, SENIOR):
            callers.call(caller, hold_ms=30_000)
        for caller in (YOUNGER, NOBODY, YOUNGER):
            callers.call(caller, hold_ms=3_000)
        await witness.wait_for("AgentConnect", 2)
        during, _ = await _scrape(centre)
        assert sum(during["elder_router_calls_in_hand"].values()) >= 2
        assert sum(during["elder_router_callers_waiting"].values()) <= 1
        await callers.all_ended()
        outcomes = await centre.router.wait_for_records("outcome", 5)
    samples, names = await _scrape(centre)
    decisions = centre.router.records("decision")
    protected = {record["uniqueid"]: "yes" if record["protected"] else "no" for record in decisions}
    band = {record["uniqueid"]: record["age_band"] or "unknown" for record in decisions}

    assert _not_0(samples["elder_router_decisions_total"]) == Counter(
        _labels(band=band[one["uniqueid"]], target=one["target"], rule=one["rule"], reason="rule") for one in decisions
    )
    assert _not_0(samples["elder_router_outcomes_total"]) == Counter(
        _labels(
            band=band[one["uniqueid"]],
            protected=protected[one["uniqueid"]],
            ended=one["ended"],
            assistant="yes" if one["touched_assistant"] else "no",
        )
        for one in outcomes
    )
    waits = [one["wait_s"] for one in outcomes if one["ended"] in {"answered", "abandoned"}]
    assert len(waits) >= 2
    assert sum(samples["elder_router_queue_wait_seconds_count"].values()) == len(waits)
    assert abs(sum(samples["elder_router_queue_wait_seconds_sum"].values()) - sum(waits)) < 1e-6
    whole = sum(one["lookup_ms"] + one["decide_ms"] + one["apply_ms"] for one in decisions) / 1000
    assert abs(samples["elder_router_decision_seconds_sum"][_labels(stage="whole")] - whole) < 1e-6
    assert not any(samples["elder_router_fallbacks_total"].values())

    written = samples["elder_router_journal_records_written_total"][frozenset()]
    assert written == len(centre.router.records())
    assert samples["elder_router_journal_file_bytes"][frozenset()] == centre.router.journal.stat().st_size
    assert not any(samples["elder_router_callers_waiting"].values())
    assert not any(samples["elder_router_calls_in_hand"].values())

    on_the_page = {name.removesuffix("_total") for name in re.findall(r"^\| `(elder_router_\w+)", PAGE, re.MULTILINE)}
    assert {name.removesuffix("_total") for name in names if name.startswith("elder_router")} == on_the_page


async def test_a_lost_asterisk_is_told_by_health_metrics_and_journal_until_it_is_back(
    centre_of: Callable[..., Any],
) -> None:
    centre = await _centre(centre_of)
    name = centre.asterisk.name
    assert (await _ready(centre, 200))["asterisks"] == [{"asterisk": name, "ready": True, "why": ""}]

    await centre.asterisk.child.stop(signal.SIGKILL)
    (said,) = (await _ready(centre, 503))["asterisks"]
    assert said["asterisk"] == name
    assert "no manager connection" in said["why"]
    assert (await _get(centre, "/health/live"))[0] == 200, "the router is well"
    samples, _ = await _scrape(centre)
    assert samples["elder_router_ready"][frozenset()] == 0
    assert samples["elder_router_link_up"][_labels(asterisk=name)] == 0
    await _conditions(centre, 1)
    samples, _ = await _scrape(centre)
    assert samples["elder_router_conditions"][_labels(asterisk=name, what="asterisk not linked")] == 1

    await centre.asterisk.start()
    await _ready(centre, 200, patience_s=40)
    assert await _conditions(centre, 2) == ["began", "ended"]
    samples, _ = await _scrape(centre)
    assert samples["elder_router_link_up"][_labels(asterisk=name)] == 1
    assert samples["elder_router_heartbeat_age_seconds"][_labels(asterisk=name)] < 3


async def test_an_asterisk_that_hangs_is_not_ready_within_what_its_dialplan_bears(
    centre_of: Callable[..., Any],
) -> None:
    centre = await _centre(centre_of)
    await _ready(centre, 200)
    centre.asterisk.child.send(signal.SIGSTOP)
    try:
        (said,) = (await _ready(centre, 503, patience_s=8))["asterisks"]
        assert "heartbeat" in said["why"] or "no manager connection" in said["why"]
        assert (await _get(centre, "/health/live"))[0] == 200
    finally:
        centre.asterisk.child.send(signal.SIGCONT)
    await _ready(centre, 200, patience_s=40)


async def test_calls_that_fell_back_while_the_router_was_away_are_counted_when_it_returns(
    centre_of: Callable[..., Any],
) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    await centre.router.stop()
    async with Witness(centre.asterisk) as witness:
        callers.call(ELDER, hold_ms=20_000)
        await witness.wait_for("AgentConnect", 1)
        await callers.all_ended()
    await centre.router.start()
    (decision,) = await centre.router.wait_for_records("decision", 1)
    await centre.router.wait_for_records("outcome", 1)
    samples, _ = await _scrape(centre)
    assert samples["elder_router_fallbacks_total"][_labels(reason="heartbeat")] == 1
    labels = _labels(
        band=decision["age_band"] or "unknown", target=decision["target"], rule="", reason="fallback_heartbeat"
    )
    assert _not_0(samples["elder_router_decisions_total"]) == {labels: 1}
    away = [record["state"] for record in centre.router.records("condition") if record["what"] == "router away"]
    assert away == ["began", "ended"]


async def _conditions(centre: Centre, count: int) -> list[str]:
    """Wait for so many records of the link to Asterisk; what they say."""
    async with asyncio.timeout(20):
        while True:
            records = centre.router.records("condition")
            states = [record["state"] for record in records if record["what"] == "asterisk not linked"]
            if len(states) >= count:
                return states
            await asyncio.sleep(0.05)
