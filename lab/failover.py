"""What callers notice when a Redis server is lost: lookups at a steady rate while it goes, each with its outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from router.callers.servers.failure import LookupFailedError

CENTRE_RATE_HZ = 245.0
"""Calls a second of a centre with 200 million customers in its busiest hour."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One lookup.

    Attributes:
        key: What was asked for.
        at_s: When, since the server went; below 0 before.
        took_s: How long it took, failed or not.
        failed: Why it failed; "" if it did not.
    """

    key: str
    at_s: float
    took_s: float
    failed: str


@dataclass(frozen=True, slots=True)
class Failover:
    """All lookups around the loss of a server; `lost` are the keys it held."""

    asked: Sequence[Asked]
    lost: frozenset[str]

    @property
    def failures(self) -> list[Asked]:
        """Those of the lost server's keys that failed."""
        return [one for one in self.asked if one.failed and one.key in self.lost]

    @property
    def others_failures(self) -> list[Asked]:
        """Those of other servers' keys that failed."""
        return [one for one in self.asked if one.failed and one.key not in self.lost]

    @property
    def outage_s(self) -> float:
        """From the loss to the last lookup that failed."""
        return max((one.at_s + one.took_s for one in self.failures), default=0.0)

    @property
    def slowest_s(self) -> float:
        """The longest that any lookup took, failed or not."""
        return max(one.took_s for one in self.asked)

    def __str__(self) -> str:
        """One line for a report."""
        reasons = Counter(one.failed for one in self.failures)
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "none"
        lost = sum(one.key in self.lost and one.at_s >= 0 for one in self.asked)
        return (
            f"{self.outage_s:.2f} s until the last failed lookup; {len(self.failures)} of {lost} lookups of the lost "
            f"server's callers failed ({why}); {len(self.others_failures)} of others; "
            f"slowest {self.slowest_s * 1e3:.1f} ms"
        )


async def measured(
    ask: Callable[[str], Awaitable[object]],
    keys: Sequence[str],
    *,
    lost: frozenset[str],
    lose: Callable[[], Awaitable[object]],
    rate_hz: float = CENTRE_RATE_HZ,
    before_s: float = 1.0,
    calm_s: float = 1.5,
    at_most_s: float = 30.0,
) -> Failover:
    """Ask at a steady rate, lose a server, and go on until no lookup has failed for a while.

    Args:
        ask: Asks for one key; raises LookupFailedError.
        keys: Asked for in turn.
        lost: Those that the server to be lost holds.
        lose: Loses it.
        rate_hz: Lookups a second, whatever becomes of those before (open loop).
        before_s: How long before the loss.
        calm_s: Ends when for so long after the loss all lookups were answered, the lost server's too.
        at_most_s: Ends then in any case.
    """
    loop = asyncio.get_running_loop()
    asked: list[Asked] = []
    lost_at_s = loop.time() + before_s
    quiet_since_s = lost_at_s

    async def one(key: str) -> None:
        nonlocal quiet_since_s
        began_s = loop.time()
        failed = ""
        try:
            await ask(key)
        except LookupFailedError as error:
            failed = error.failure.value
            quiet_since_s = loop.time()
        asked.append(Asked(key, began_s - lost_at_s, loop.time() - began_s, failed))

    async with asyncio.TaskGroup() as tasks:
        loss: asyncio.Task[None] | None = None
        next_s, place = loop.time(), 0
        while loop.time() - quiet_since_s < calm_s and loop.time() - lost_at_s < at_most_s:
            if loss is None and loop.time() >= lost_at_s:
                lost_at_s = quiet_since_s = loop.time()
                loss = tasks.create_task(_done(lose()))
            tasks.create_task(one(keys[place % len(keys)]))
            place += 1
            next_s += 1 / rate_hz
            await asyncio.sleep(max(0.0, next_s - loop.time()))
    return Failover(asked, lost)


async def _done(losing: Awaitable[object]) -> None:
    await losing
