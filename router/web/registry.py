"""How the registry of callers is, for Prometheus.

    elder_router_registry_generation_info{generation,secret,as_of}   1
    elder_router_registry_age_seconds                     since callers were last loaded or updated
    elder_router_registry_stale                           1 when that is longer ago than `stale_after`
    elder_router_registry_callers{band}                   how many are stored, by the band's name at the load
    elder_router_registry_bands_differ                    how many bands mean something else in the rules
    elder_router_registry_warnings{what}                  1 for each thing that is wrong, see `callers.health`
    elder_router_registry_lookups_total{result}           found, not_found, no_number, failed; since the start
    elder_router_registry_lookup_failures_total{reason}   the failed ones by their reason
    elder_router_registry_batches_total                   round trips to Redis
    elder_router_registry_breaker_open{server}            1 while a server is not asked, for it does not answer

Nothing here tells of a single caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.callers.breaker import BreakerState
from router.callers.generation import Generation
from router.callers.health import BANDS_DIFFER, EMPTY, LIMITS, REDIS, STALE, UNUSABLE, RegistryHealth

_NAME: Final = "elder_router_registry"
_WARNINGS: Final = (BANDS_DIFFER, EMPTY, LIMITS, REDIS, STALE, UNUSABLE)


class RegistryMetrics(Collector):
    """How the registry is.

    Args:
        health: Says it; asked in another thread.
        now: Epoch seconds.
    """

    def __init__(self, health: Callable[[], RegistryHealth], *, now: Callable[[], float] = time.time) -> None:
        self._health = health
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """One sample of each; of the generation only while one is in force."""
        health = self._health()
        if health.generation is not None:
            yield from self._of_the_generation(health.generation, health.stale_after_s)
        what = "How many stored bands mean something else in the rules in force."
        yield GaugeMetricFamily(f"{_NAME}_bands_differ", what, value=len(health.differing))
        warnings = GaugeMetricFamily(f"{_NAME}_warnings", "1 for what is wrong with the registry.", labels=["what"])
        for warning in _WARNINGS:
            warnings.add_metric([warning], float(warning in health.warnings))
        yield warnings
        lookups = CounterMetricFamily(f"{_NAME}_lookups", "Lookups of callers by their result.", labels=["result"])
        for result in ("found", "not_found", "no_number"):
            lookups.add_metric([result], health.lookups.get(result, 0))
        lookups.add_metric(["failed"], sum(health.failures.values()))
        yield lookups
        failures = CounterMetricFamily(f"{_NAME}_lookup_failures", "Failed lookups by reason.", labels=["reason"])
        for reason, count in health.failures.items():
            failures.add_metric([reason], count)
        yield failures
        yield CounterMetricFamily(f"{_NAME}_batches", "Round trips to Redis.", value=health.batches)
        breakers = GaugeMetricFamily(f"{_NAME}_breaker_open", "1 while a server is not asked.", labels=["server"])
        for server, state in health.breakers.items():
            breakers.add_metric([server], float(state is not BreakerState.CLOSED))
        yield breakers

    def _of_the_generation(self, generation: Generation, stale_after_s: float) -> Iterator[Metric]:
        labels = {
            "generation": str(generation.generation),
            "secret": generation.secret,
            "as_of": generation.as_of,
        }
        info = GaugeMetricFamily(f"{_NAME}_generation_info", "What is in force.", labels=list(labels))
        info.add_metric(list(labels.values()), 1)
        yield info
        age_s = self._now() - generation.fresh_at
        what = "Seconds since callers were last loaded or updated."
        yield GaugeMetricFamily(f"{_NAME}_age_seconds", what, value=age_s)
        what = "1 when callers were last loaded or updated longer ago than stale_after."
        yield GaugeMetricFamily(f"{_NAME}_stale", what, value=float(age_s > stale_after_s))
        callers = GaugeMetricFamily(f"{_NAME}_callers", "Callers stored, by their band.", labels=["band"])
        for band, count in generation.by_band.items():
            callers.add_metric([band], count)
        yield callers
