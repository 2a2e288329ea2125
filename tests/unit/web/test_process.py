from __future__ import annotations

import platform

from router import __version__
from router.web.process import process_metrics

from .test_calls import told


def test_the_version_and_the_process_are_told() -> None:
    every = told(*process_metrics())
    assert every[f"elder_router_build_info{{python={platform.python_version()}}}{{version={__version__}}}"] == 1
    assert every["process_resident_memory_bytes"] > 1_000_000
    assert every["process_cpu_seconds_total"] > 0
    assert "process_start_time_seconds" in every
    assert any(sample.startswith("python_gc_collections_total") for sample in every)
