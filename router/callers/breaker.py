"""A circuit breaker: stops asking a peer that does not answer, and finds out by itself when it does again.

    CLOSED ──failures in a row──▶ OPEN ──after open_s──▶ HALF_OPEN ──success──▶ CLOSED
                                   ▲                         │
                                   └─────────failure─────────┘

Does no I/O and sets no timer: time comes from the clock it is given. The pattern is from Nygard's
«Release It!» (2007).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import assert_never


class BreakerState(Enum):
    """Whether the peer is being asked."""

    CLOSED = "closed"  # yes, everything
    OPEN = "open"  # no
    HALF_OPEN = "half open"  # one request is out to see whether the peer is back


class Breaker:
    """Counts failures in a row and says whether to ask. Whoever is admitted must report how it went.

    Args:
        failures_to_open: This many in a row open it.
        open_s: How long it stays open before one request may try.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, failures_to_open: int = 3, open_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures_to_open = failures_to_open
        self._open_s = open_s
        self._clock = clock
        self._failures = 0
        self._opened_at_s = 0.0
        self._state = BreakerState.CLOSED

    @property
    def state(self) -> BreakerState:
        """The state as of the last request or report."""
        return self._state

    @property
    def would_admit(self) -> bool:
        """What `admits` would say now; whoever reads it is not admitted by that."""
        match self._state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return self._clock() - self._opened_at_s >= self._open_s
            case BreakerState.HALF_OPEN:
                return False
            case _:
                assert_never(self._state)

    def admits(self) -> bool:
        """Whether the peer may be asked now. The first to be admitted after `open_s` is the probe."""
        match self._state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                if self._clock() - self._opened_at_s < self._open_s:
                    return False
                self._state = BreakerState.HALF_OPEN
                return True
            case BreakerState.HALF_OPEN:
                return False
            case _:
                assert_never(self._state)

    def succeeded(self) -> None:
        """The peer answered."""
        self._failures = 0
        self._state = BreakerState.CLOSED

    def failed(self) -> None:
        """The peer did not answer, or answered with an error."""
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN or self._failures >= self._failures_to_open:
            self._state = BreakerState.OPEN
            self._opened_at_s = self._clock()
