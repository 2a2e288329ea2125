"""Rules are changed while the router runs: right ones are taken, wrong ones are not, and there is a way back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.centre import Centre, Router
from lab.places import PROJECT
from lab.ports import free_port
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT

SAMPLE = PROJECT / "config" / "callers.sample.csv"
YOUNGER = "13900000008"
TO_PEOPLE = BRISK.replace("then: {to: assistant}", "then: {to: people}")
BROKEN = BRISK.replace("then: {to: assistant}", "then: {to: asistant}")
REFUSED = "rules on disk refused, the old ones stay"


class MeasuredRouter(Router):
    """A router that serves metrics."""

    def __init__(self, centre: Centre) -> None:
        super().__init__(centre.directory / "router", centre.router.rules, centre.redis.url, [centre.asterisk])
        self.metrics_port = free_port()

    def write_settings(self) -> Path:
        file = super().write_settings()
        file.write_text(file.read_text() + f"metrics: {{port: {self.metrics_port}}}\n")
        return file

    @property
    def settings(self) -> Path:
        return self.directory / "elder-router.yaml"

    async def metric(self, name: str) -> float:
        """A metric's value now, by its name with its labels."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.metrics_port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = (await asyncio.wait_for(reader.read(), 10)).decode()
        writer.close()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, text
        return float(found[1])

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log about one thing."""
        # asyncio's debug mode tells of whatever takes the loop over 0.1 s, as the start does on a busy machine.
        entries = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event]


async def _centre(centre_of: Callable[..., Any]) -> Centre:
    centre: Centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT, router=False)
    return centre


async def _target(router: Router, callers: Callers, called: str) -> str:
    """Where the rules in force take a younger caller."""
    callers.call(YOUNGER, called, hold_ms=300, limit_s=10)
    count = len(router.records("decision"))
    decision = (await router.wait_for_records("decision", count + 1))[-1]
    assert decision["called"] == called
    assert decision["applied"]
    return str(decision["target"])


async def test_a_changed_file_is_taken_a_wrong_one_is_not_and_rollback_leads_back(
    centre_of: Callable[..., Any],
) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    async with MeasuredRouter(centre) as router:
        assert await _target(router, callers, "95501") == "assistant"

        router.rules.write_text(TO_PEOPLE)
        await router.wait_for_log('"rules loaded"', patience_s=5)
        assert await _target(router, callers, "95502") == "people"
        (loaded,) = router.said("rules loaded")
        assert router.records("decision")[-1]["rules_version"] == loaded["rules"]
        assert await router.metric(f'elder_router_rules_info{{version="{loaded["rules"]}"}}') == 1

        router.rules.write_text(BROKEN)
        await router.wait_for_log(REFUSED, patience_s=5)
        assert await _target(router, callers, "95503") == "people"
        (refused,) = router.said(REFUSED)
        assert refused["level"] == "error"
        assert "there is no target `asistant`; did you mean `assistant`?" in refused["problems"][0]
        assert await router.metric("elder_router_rules_last_reload_successful") == 0
        assert await router.metric("elder_router_rules_problems") == 1
        assert await router.metric('elder_router_rules_reloads_total{result="refused"}') == 1

        config = ("--config", str(router.settings), "rules")
        code, output = await centre.command(*config, "history", "--json")
        assert code == 0
        assert [(entry["version"], entry["on_disk"]) for entry in json.loads(output)] == [
            (loaded["rules"], False),
            (loaded["before"], False),
        ]
        code, output = await centre.command(*config, "rollback", loaded["before"][:6], "--yes")
        assert code == 0, output
        await router.wait_for_log('"rules loaded"', times=2, patience_s=5)
        assert await _target(router, callers, "95504") == "assistant"
        assert await router.metric("elder_router_rules_last_reload_successful") == 1
        assert await router.metric("elder_router_rules_refused_since_timestamp_seconds") == 0
        (rejected,) = router.rules.parent.glob("routing.yaml.rejected-*")
        assert rejected.read_text() == BROKEN
        await callers.all_ended()


async def test_a_router_that_starts_with_a_wrong_file_routes_by_the_newest_good_rules(
    centre_of: Callable[..., Any],
) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    router = MeasuredRouter(centre)
    async with router:
        router.rules.write_text(TO_PEOPLE)
        await router.wait_for_log('"rules loaded"', patience_s=5)
    router.rules.write_text(BROKEN)
    async with router:
        assert await _target(router, callers, "95501") == "people"
        (complaint,) = router.said("rules on disk cannot be used, started with the newest good ones")
        assert complaint["rules"] == router.records("decision")[-1]["rules_version"]
        assert await router.metric("elder_router_rules_last_reload_successful") == 0
        router.rules.write_text(BRISK)
        await router.wait_for_log('"rules loaded"', times=2, patience_s=5)
        assert await _target(router, callers, "95502") == "assistant"
        await callers.all_ended()
