from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.web import calls as calls_module
from router.web.calls import MOST_GROUPS, MOST_SERIES, CallMetrics
from tests.unit.calls.rig import BOOK
from tests.unit.journal.samples import CONDITION, DECISION, OUTCOME

from .test_metrics import samples

RULE = DECISION.rule


def told(*collectors: Collector) -> dict[str, float]:
    """Every sample of some collectors, as a scrape has them."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return samples(generate_latest(registry).decode())


def of(metrics: CallMetrics, name: str) -> dict[str, float]:
    """What is told of one metric; its labels → value, without those that are 0."""
    name = f"elder_router_{name}"
    found = {sample: value for sample, value in told(metrics).items() if value}
    return {sample.removeprefix(name): value for sample, value in found.items() if sample.partition("{")[0] == name}


def decision(uniqueid: str = "1.1", /, **changes: object) -> DecisionRecord:
    return DECISION.model_copy(update={"uniqueid": uniqueid, **changes})


def outcome(uniqueid: str = "1.1", /, **changes: object) -> OutcomeRecord:
    return OUTCOME.model_copy(update={"uniqueid": uniqueid, **changes})


@pytest.fixture
def metrics() -> CallMetrics:
    return CallMetrics()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "rule"),
        ({"applied": False}, "not_applied"),
        ({"applied": False, "fallback": "heartbeat"}, "fallback_heartbeat"),
        ({"applied": False, "fallback": "deadline"}, "fallback_deadline"),
        ({"applied": False, "fallback": "no-such-context"}, "fallback_no_such_context"),
        ({"applied": False, "fallback": 'x"}\nevil 1'}, "fallback_other"),
    ],
)
def test_a_decision_is_counted_by_how_it_came(metrics: CallMetrics, changes: dict[str, object], reason: str) -> None:
    metrics.take(decision(**changes))
    labels = f"{{band=elder}}{{reason={reason}}}{{rule={RULE}}}{{target=senior-care}}"
    assert of(metrics, "decisions_total") == {labels: 1}


def test_a_caller_whose_band_is_not_known_is_counted_as_unknown(metrics: CallMetrics) -> None:
    metrics.take(decision(age_band=None))
    assert [labels.startswith("{band=unknown}") for labels in of(metrics, "decisions_total")] == [True]


def test_how_long_deciding_took_is_told_by_stage_in_seconds(metrics: CallMetrics) -> None:
    metrics.take(decision(lookup_ms=0.25, decide_ms=0.05, apply_ms=1.2))
    metrics.take(decision("1.2", lookup_ms=60.0, decide_ms=None, apply_ms=None))
    count, total = of(metrics, "decision_seconds_count"), of(metrics, "decision_seconds_sum")
    assert count == {"{stage=lookup}": 2, "{stage=decide}": 1, "{stage=apply}": 1, "{stage=whole}": 1}
    assert total["{stage=whole}"] == pytest.approx(0.0015)
    assert total["{stage=lookup}"] == pytest.approx(0.06025)


def test_no_lookup_of_the_usual_time_falls_into_the_first_or_the_last_bucket(metrics: CallMetrics) -> None:
    metrics.take(decision(lookup_ms=0.264))
    buckets = of(metrics, "decision_seconds_bucket")
    assert "{le=0.00025}{stage=lookup}" not in buckets
    assert buckets["{le=0.0005}{stage=lookup}"] == 1


def test_a_call_that_fell_back_is_counted_once_though_both_its_records_tell_of_it(metrics: CallMetrics) -> None:
    metrics.take(decision(applied=False, fallback="deadline"))
    metrics.take(decision(applied=False, fallback="deadline", ask=2))
    metrics.take(outcome(fallback="deadline"))
    assert of(metrics, "fallbacks_total") == {"{reason=deadline}": 1}


def test_a_fallback_that_the_outcome_alone_tells_of_is_counted(metrics: CallMetrics) -> None:
    metrics.take(decision())
    metrics.take(outcome(fallback="no-such-context"))
    assert of(metrics, "fallbacks_total") == {"{reason=no_such_context}": 1}


def test_a_fallback_after_a_transfer_is_counted_once(metrics: CallMetrics) -> None:
    metrics.take(decision())
    metrics.take(decision(ask=2, applied=False, fallback="heartbeat"))
    metrics.take(outcome(ask=2, fallback="heartbeat"))
    assert of(metrics, "fallbacks_total") == {"{reason=heartbeat}": 1}


def test_there_is_a_0_of_fallbacks_and_stages_before_the_first() -> None:
    every = told(CallMetrics())
    assert [every[f"elder_router_fallbacks_total{{reason={reason}}}"] for reason in ("heartbeat", "other")] == [0, 0]
    assert every["elder_router_decision_seconds_count{stage=whole}"] == 0


def test_an_outcome_is_counted_by_the_band_of_the_calls_first_decision(metrics: CallMetrics) -> None:
    metrics.take(decision(age_band="elder", protected=True))
    metrics.take(decision(age_band="adult", protected=False, ask=2))
    metrics.take(outcome(wait_s=11.5))
    assert of(metrics, "outcomes_total") == {"{assistant=no}{band=elder}{ended=answered}{protected=yes}": 1}
    assert of(metrics, "queue_wait_seconds_sum") == {"{band=elder}{ended=answered}{protected=yes}": 11.5}


def test_a_wait_of_exactly_15_s_is_within_15_s(metrics: CallMetrics) -> None:
    for uniqueid, wait_s in (("1.1", 15.0), ("1.2", 15.001)):
        metrics.take(decision(uniqueid))
        metrics.take(outcome(uniqueid, wait_s=wait_s))
    buckets = of(metrics, "queue_wait_seconds_bucket")
    assert buckets["{band=elder}{ended=answered}{le=15.0}{protected=yes}"] == 1
    assert buckets["{band=elder}{ended=answered}{le=20.0}{protected=yes}"] == 2


def test_the_centres_own_service_level_is_a_bucket() -> None:
    metrics = CallMetrics(within_s=25)
    metrics.take(outcome(wait_s=22.0))
    assert of(metrics, "queue_wait_seconds_bucket")["{band=unknown}{ended=answered}{le=25.0}{protected=no}"] == 1


@pytest.mark.parametrize("ended", [Ending.SELF_SERVED, Ending.HUNG_UP_EARLY, Ending.UNSEEN])
def test_waits_are_of_callers_who_were_offered_to_people(metrics: CallMetrics, ended: Ending) -> None:
    metrics.take(decision())
    metrics.take(outcome(ended=ended, wait_s=3.0, touched_assistant=True))
    assert of(metrics, "queue_wait_seconds_count") == {}
    assert of(metrics, "outcomes_total") == {f"{{assistant=yes}}{{band=elder}}{{ended={ended}}}{{protected=yes}}": 1}


def test_a_call_of_an_earlier_run_keeps_its_band_and_is_not_decided_anew(metrics: CallMetrics) -> None:
    metrics.adopt([decision(fallback="heartbeat")])
    metrics.take(outcome(fallback="heartbeat"))
    assert of(metrics, "decisions_total") == {}
    assert of(metrics, "fallbacks_total") == {}
    assert list(of(metrics, "outcomes_total")) == ["{assistant=no}{band=elder}{ended=answered}{protected=yes}"]


def test_the_same_uniqueid_on_another_asterisk_is_another_call(metrics: CallMetrics) -> None:
    metrics.take(decision(node="pbx1", age_band="elder"))
    metrics.take(outcome(node="pbx2"))
    assert [labels for labels in of(metrics, "outcomes_total") if "band=unknown" in labels]


def test_a_condition_is_none_of_its_business(metrics: CallMetrics) -> None:
    before = told(metrics)
    metrics.take(CONDITION)
    assert told(metrics) == before


def test_ever_new_rules_do_not_make_ever_more_series(metrics: CallMetrics) -> None:
    for number in range(MOST_SERIES + 50):
        metrics.take(decision(f"1.{number}", rule=f"rule {number}"))
    counted = of(metrics, "decisions_total")
    assert len(counted) <= MOST_SERIES + 1
    assert counted["{band=other}{reason=rule}{rule=other}{target=other}"] == 50
    assert sum(counted.values()) == MOST_SERIES + 50


def test_ever_new_bands_do_not_make_ever_more_series(metrics: CallMetrics) -> None:
    for number in range(MOST_GROUPS + 50):
        metrics.take(decision(f"1.{number}", age_band=f"band {number}", protected=False))
        metrics.take(outcome(f"1.{number}", wait_s=3.0))
    counted = of(metrics, "outcomes_total")
    assert counted["{assistant=no}{band=other}{ended=answered}{protected=no}"] == 51  # `unknown` is one of the bands
    assert sum(counted.values()) == MOST_GROUPS + 50
    assert of(metrics, "queue_wait_seconds_count")["{band=other}{ended=answered}{protected=no}"] == 51


def test_outcomes_of_each_band_are_told_as_0_before_the_first(metrics: CallMetrics) -> None:
    metrics.expect(BOOK)
    every = told(metrics)
    for labels in ("{band=elder}{ended=abandoned}{protected=yes}", "{band=adult}{ended=abandoned}{protected=no}"):
        assert every[f"elder_router_queue_wait_seconds_count{labels}"] == 0
        assert every[f"elder_router_outcomes_total{{assistant=yes}}{labels}"] == 0
    assert "elder_router_outcomes_total{assistant=no}{band=unknown}{ended=answered}{protected=no}" in every


@pytest.mark.parametrize("band", ["elder", "adult", None])
def test_a_call_that_fell_back_unasked_is_counted_in_a_series_that_was_0_before(
    metrics: CallMetrics, band: str | None
) -> None:
    metrics.expect(BOOK)
    before = {sample for sample in told(metrics) if sample.startswith("elder_router_decisions_total")}
    unasked = {"age_band": band, "rule": "", "target": BOOK.fallback.name, "applied": False, "fallback": "heartbeat"}
    metrics.take(decision(**unasked))
    assert f"elder_router_decisions_total{next(iter(of(metrics, 'decisions_total')))}" in before


def test_a_bands_outcomes_are_told_as_0_from_its_first_decision_on(metrics: CallMetrics) -> None:
    metrics.take(decision(age_band="elder", protected=True))
    assert told(metrics)["elder_router_outcomes_total{assistant=no}{band=elder}{ended=answered}{protected=yes}"] == 0


def test_calls_whose_outcome_never_comes_do_not_pile_up(metrics: CallMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "MOST_OPEN", 3)
    for number in range(5):
        metrics.take(decision(f"1.{number}"))
    for number in range(5):
        metrics.take(outcome(f"1.{number}"))
    by_band = {labels.split("}")[1]: count for labels, count in of(metrics, "outcomes_total").items()}
    assert by_band == {"{band=elder": 3, "{band=unknown": 2}


def test_no_series_tells_when_it_was_made(metrics: CallMetrics) -> None:
    metrics.take(decision())
    assert not [sample for sample in told(metrics) if "_created" in sample]
