"""How long to wait before connecting again: exponentially longer, with jitter."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

FIRST_DELAY_S = 0.25
MAX_DELAY_S = 15.0
"""Longer would leave a centre without its router after Asterisk is back; an attempt costs next to nothing."""
FACTOR = 2.0


def backoff(
    first_s: float = FIRST_DELAY_S,
    max_s: float = MAX_DELAY_S,
    factor: float = FACTOR,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Iterator[float]:
    """Yield delays in seconds without end; each lies between half its step and its whole step.

    The jitter keeps several routers from returning to a restarted Asterisk in step with one another.
    `uniform` is `random.uniform` or stands in for it.
    """
    step_s = first_s
    while True:
        yield uniform(step_s / 2, step_s)
        step_s = min(step_s * factor, max_s)
