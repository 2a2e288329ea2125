"""How the router's process is, for Prometheus: its version, and what prometheus-client finds out by itself.

    elder_router_build_info{version,python}   1
    process_*                                 memory, processor time, open files, when it was started
    python_gc_*                               what the collector of garbage does

All but the first are the library's own, and named as every Python program names them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router import __version__


class BuildMetrics(Collector):
    """What runs."""

    def collect(self) -> Iterator[Metric]:
        """One sample."""
        build = GaugeMetricFamily("elder_router_build_info", "The version that runs.", labels=["version", "python"])
        build.add_metric([__version__, platform.python_version()], 1)
        yield build


def process_metrics() -> tuple[Collector, ...]:
    """What there is to say of this process."""
    return (BuildMetrics(), ProcessCollector(registry=None), GCCollector(registry=CollectorRegistry()))
