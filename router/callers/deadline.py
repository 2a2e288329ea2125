"""A deadline that is not held against the other side when it was we who came late.

When this process was kept from running (a busy machine, a long collection of garbage), timers that are due run
before what lies unread in the sockets. An answer that came in time would be thrown away, the caller be taken for
unknown, and a server that is well be held for dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

LATE_S: Final = 0.005
"""A timer runs within a millisecond or two of its time in a process that is let run."""
LAST_LOOK_S: Final = 0.01
"""How long, once awake again, for the event loop to read what has arrived: a few turns."""


class Timer:
    """Calls `due_now` after its time, or after a last look if the loop was late. Cheaper than a `Deadline`."""

    __slots__ = ("_due_now", "_due_s", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, due_s: float, due_now: Callable[[], None]) -> None:
        self._loop = loop
        self._due_s = due_s
        self._due_now = due_now
        self._handle = loop.call_at(due_s, self._came)

    def cancel(self) -> None:
        """Not any more."""
        self._handle.cancel()

    def _came(self) -> None:
        if self._loop.time() - self._due_s > LATE_S:
            self._handle = self._loop.call_later(LAST_LOOK_S, self._due_now)
        else:
            self._due_now()


class Deadline:
    """An asynchronous context manager: TimeoutError after `seconds`, or after a last look if the loop was late."""

    __slots__ = ("_due_s", "_loop", "_timeout", "_timer")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time() + seconds
        self._timeout = asyncio.timeout(None)
        self._timer: Timer | None = None

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._timer = Timer(self._loop, self._due_s, self._expire)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _expire(self) -> None:
        self._timeout.reschedule(self._loop.time())
