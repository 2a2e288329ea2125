"""A deadline that is not held against the other side when it was we who came late.

When this process was kept from running (a busy machine, a long collection of garbage), timers that are due run
before what lies unread in the sockets. An answer that came in time would be thrown away, the caller be taken for
unknown, and a server that is well be held for dead.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

LATE_S: Final = 0.005
"""A timer runs within a millisecond or two of its time in a process that is let run."""
LAST_LOOK_S: Final = 0.01
"""How long, once awake again, for the event loop to read what has arrived: a few turns."""


class Deadline:
    """An asynchronous context manager: TimeoutError after `seconds`, or after a last look if the loop was late."""

    __slots__ = ("_due", "_handle", "_loop", "_timeout")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + seconds
        self._timeout = asyncio.timeout(None)
        self._handle: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._handle = self._loop.call_at(self._due, self._due_now)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _due_now(self) -> None:
        now = self._loop.time()
        if now - self._due > LATE_S:
            self._handle = self._loop.call_later(LAST_LOOK_S, self._expire)
        else:
            self._expire()

    def _expire(self) -> None:
        self._timeout.reschedule(self._loop.time())
