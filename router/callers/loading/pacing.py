"""How fast to load: as fast as lookups beside it still keep their deadline, and no faster than asked.

A PING takes as long as a lookup would at that moment. It is sent between two pieces of the load while those before it
are still on their way, as a lookup would be; this process does nothing else meanwhile, so that what is measured is
Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from router.callers.servers.wire import Reply

EVERY_S: Final = 0.1
SLOW_S: Final = 0.005
"""A tenth of the usual deadline of a lookup."""
PAUSES_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.32, 0.32)
"""If Redis is slow after all of them, with nothing of ours to do, it is not the loading that makes it so."""
_IDLE_PINGS: Final = 3


class Pinged(Protocol):
    """What of a `Line` is needed."""

    server: str

    async def get(self, *command: str | bytes | float) -> Reply:
        """The answer to one command."""


class Pacer:
    """Says when to go on.

    Args:
        rate: At most so many callers a second; None for no limit.
        clock: Seconds.
        sleep: As `asyncio.sleep`.
    """

    def __init__(
        self,
        *,
        rate: float | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock or asyncio.get_running_loop().time
        self._sleep = sleep
        self._due_s = self._asked_s = self._clock()
        self._idle_s: dict[str, float] = {}
        self.waited_s = 0.0
        """How long the loading waited for lookups, not for `rate`."""

    def loaded(self, callers: int) -> None:
        """So many were sent."""
        if self._rate is not None:
            # Time that was lost is not made up for: after a pause the rate is kept too.
            self._due_s = max(self._due_s, self._clock()) + callers / self._rate

    async def turn(self, pings: Pinged, settle: Callable[[], Awaitable[None]]) -> None:
        """Wait until the next piece may be sent.

        Args:
            pings: To the server that is loaded, and for nothing else.
            settle: Waits for all that is on its way.
        """
        if self._rate is not None and (early_s := self._due_s - self._clock()) > 0:
            await self._sleep(early_s)
        if pings.server not in self._idle_s:
            await settle()
            self._idle_s[pings.server] = min([await self._ping(pings) for _ in range(_IDLE_PINGS)])
        elif self._clock() - self._asked_s >= EVERY_S and await self._slow(pings):
            began_s = self._clock()
            await settle()
            for pause_s in PAUSES_S:
                await self._sleep(pause_s)
                if not await self._slow(pings):
                    break
            self.waited_s += self._clock() - began_s

    async def _slow(self, pings: Pinged) -> bool:
        took_s = await self._ping(pings)
        # One that is far away takes its time anyway; how much shows when it has nothing else to do.
        idle_s = self._idle_s[pings.server] = min(took_s, self._idle_s[pings.server])
        return took_s > idle_s + SLOW_S

    async def _ping(self, pings: Pinged) -> float:
        began_s = self._clock()
        await pings.get("PING")
        self._asked_s = self._clock()
        return self._asked_s - began_s
