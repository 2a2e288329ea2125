from __future__ import annotations

import json
import re
from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from router.callers.bands import AgeBand, AgeBands
from router.callers.breaker import BreakerState
from router.callers.generation import Generation, StoredBand
from router.callers.health import BANDS_DIFFER, STALE, RegistryHealth
from router.callers.meanings import meanings_that_differ
from router.journal.conditions import ASTERISK_NOT_LINKED, JOURNAL_NOT_WRITTEN, ActiveCondition
from router.web.health import health_page, health_text
from router.web.registry import RegistryMetrics

from .test_metrics import BROKEN, FINE, LOADED, get, samples, served

NOW = 1_795_400_000.0
GENERATION = Generation(
    generation=7,
    secret="0123abcd",
    buckets=64,
    bands=(StoredBand(name="adult", from_years=0), StoredBand(name="senior", from_years=60)),
    callers=5,
    by_band={"adult": 3, "senior": 2},
    as_of="2026-11-25",
    loaded_at=NOW - 90_000,
    fresh_at=NOW - 1200,
)
HEALTH = RegistryHealth(
    generation=GENERATION,
    stale_after_s=3600.0,
    lookups={"found": 40, "not_found": 8, "no_number": 2},
    failures={"no answer within the deadline": 3, "breaker open": 4},
    batches=31,
    breakers={"192.0.2.1:6379": BreakerState.CLOSED, "192.0.2.2:6379": BreakerState.HALF_OPEN},
)


def told(health: RegistryHealth) -> dict[str, float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RegistryMetrics(lambda: health, now=lambda: NOW))
    return samples(generate_latest(registry).decode())


def test_all_of_the_registry_is_told() -> None:
    name = "elder_router_registry"
    warnings = ("bands differ", "empty", "limits", "redis", "stale", "unusable")
    assert told(HEALTH) == {
        f"{name}_generation_info{{as_of=2026-11-25}}{{generation=7}}{{secret=0123abcd}}": 1,
        f"{name}_age_seconds": 1200,
        f"{name}_stale": 0,
        f"{name}_callers{{band=adult}}": 3,
        f"{name}_callers{{band=senior}}": 2,
        f"{name}_bands_differ": 0,
        **{f"{name}_warnings{{what={what}}}": 0 for what in warnings},
        f"{name}_lookups_total{{result=found}}": 40,
        f"{name}_lookups_total{{result=not_found}}": 8,
        f"{name}_lookups_total{{result=no_number}}": 2,
        f"{name}_lookups_total{{result=failed}}": 7,
        f"{name}_lookup_failures_total{{reason=no answer within the deadline}}": 3,
        f"{name}_lookup_failures_total{{reason=breaker open}}": 4,
        f"{name}_batches_total": 31,
        f"{name}_breaker_open{{server=192.0.2.1:6379}}": 0,
        f"{name}_breaker_open{{server=192.0.2.2:6379}}": 1,
    }


def test_the_age_goes_on_between_two_looks() -> None:
    assert told(replace(HEALTH, stale_after_s=1199.0))["elder_router_registry_stale"] == 1


def test_bands_that_differ_are_counted() -> None:
    differing = meanings_that_differ(GENERATION.age_bands(), AgeBands((AgeBand("adult", 0), AgeBand("senior", 65))))
    every = told(replace(HEALTH, differing=differing, warnings={BANDS_DIFFER: "words"}))
    assert every["elder_router_registry_bands_differ"] == 2
    assert every["elder_router_registry_warnings{what=bands differ}"] == 1


def test_without_a_generation_nothing_is_said_of_one() -> None:
    names = {name.partition("{")[0] for name in told(RegistryHealth())}
    assert not names & {f"elder_router_registry_{what}" for what in ("age_seconds", "stale", "callers")}
    assert "elder_router_registry_lookups_total" in names


def test_each_metric_says_what_it_is() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RegistryMetrics(lambda: HEALTH))
    text = generate_latest(registry).decode()
    assert set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) == set(
        re.findall(r"^# HELP (\S+) .+\.$", text, re.MULTILINE)
    )


def test_health_is_ok_where_nothing_is_wrong() -> None:
    assert json.loads(health_text(HEALTH, FINE)) == {"status": "ok", "warnings": []}


def test_health_tells_what_is_wrong_with_registry_and_rules() -> None:
    answer = json.loads(health_text(replace(HEALTH, warnings={STALE: "callers are old"}), BROKEN))
    assert answer["status"] == "warning"
    assert [warning["what"] for warning in answer["warnings"]] == ["stale", "rules refused"]
    assert answer["warnings"][0]["why"] == "callers are old"
    assert "since 2026-11-25T16:00:00+00:00, version 3f2a9c51d0e7 stays in force" in answer["warnings"][1]["why"]


def test_health_tells_of_a_journal_that_is_not_written_and_leaves_to_readiness_what_is_its_own() -> None:
    active = [
        ActiveCondition("", JOURNAL_NOT_WRITTEN, "the last record could not be written", LOADED),
        ActiveCondition("pbx1", ASTERISK_NOT_LINKED, "no manager connection", LOADED),
    ]
    with served(lambda: FINE, health=health_page(lambda: HEALTH, lambda: FINE, lambda: active)) as port:
        answer = json.loads(get(port, path="/health"))
    why = "the last record could not be written"
    assert answer == {"status": "warning", "warnings": [{"what": "journal not written", "why": why}]}


def test_health_is_served_beside_the_metrics() -> None:
    page = health_page(lambda: HEALTH, lambda: FINE)
    with served(lambda: FINE, health=page) as port:
        assert json.loads(get(port, path="/health")) == {"status": "ok", "warnings": []}
        assert "elder_router_rules_info" in get(port)
        assert "elder_router_rules_info" in get(port, path="/")
        assert get(port, path="/health", method="HEAD") == ""
        assert get(port, path="/health", method="POST", status=405) == ""


def test_health_is_as_it_is_when_it_is_asked_for() -> None:
    every = [HEALTH]
    with served(lambda: FINE, health=health_page(lambda: every[-1], lambda: FINE)) as port:
        assert json.loads(get(port, path="/health"))["status"] == "ok"
        every.append(replace(HEALTH, warnings={STALE: "callers are old"}))
        assert json.loads(get(port, path="/health"))["status"] == "warning"
