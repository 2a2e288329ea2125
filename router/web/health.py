"""`GET /health`: whether somebody should look at the router, as JSON.

    {"status": "ok", "warnings": []}
    {"status": "warning", "warnings": [{"what": "stale", "why": "callers were last loaded …"}]}

200 in both cases: calls are routed. Whether the process lives, and whether it is ready for calls, are other questions,
which this does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from router.callers.health import RegistryHealth
from router.reloading.keeper import RulesStatus

RULES_REFUSED = "rules refused"


def health_text(registry: RegistryHealth, rules: RulesStatus) -> bytes:
    """What is answered."""
    warnings = dict(registry.warnings)
    if not rules.succeeded:
        since = f" since {rules.refused_since.isoformat(timespec='seconds')}" if rules.refused_since else ""
        warnings[RULES_REFUSED] = (
            f"the rules on disk are refused{since}, version {rules.version} stays in force; run `elder-router check`"
        )
    every = [{"what": what, "why": why} for what, why in warnings.items()]
    answer = {"status": "warning" if every else "ok", "warnings": every}
    return json.dumps(answer, ensure_ascii=False).encode() + b"\n"


def health_page(registry: Callable[[], RegistryHealth], rules: Callable[[], RulesStatus]) -> Callable[[], bytes]:
    """What makes the answer each time it is asked for, in another thread."""
    return lambda: health_text(registry(), rules())
