"""Records of calls that went to people before the router was asked: with their callers' bands, behind everybody else.

After a time without a router, the calls that fell back are found all at once, thousands of them in a big centre. Their
callers are looked up all the same, because whoever counts older callers asks for these first; but a few at a time, for
Redis has calls to decide meanwhile, and none of these waits for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import structlog

from router.callers.number import Caller
from router.callers.registry import BandLookup
from router.calls.call import Call
from router.calls.decisions import Handled
from router.calls.events import Request
from router.rules.book import RuleBook

MOST_UNRECORDED: Final = 10_000
"""Records that wait for their band at once, at some 3 KB each; beyond it they are written without one."""

LOOKUPS_AT_ONCE: Final = 32
"""Of up to some thousand lookups that the registry bears at once: as many as calls of a second do not notice."""

log = structlog.get_logger(__name__)


class Lookup(Protocol):
    """The registry of callers, as far as it is used here."""

    async def lookup(self, caller: Caller) -> BandLookup:
        """Find a caller's age band; never raises."""


Write = Callable[[Request, Handled, RuleBook, str], None]
"""Writes the decision record of a call that fell back, for a reason."""


class Unasked:
    """Calls that fell back and have no record yet.

    Args:
        registry: Where age bands are looked up.
        write: Writes a record.
        tasks: Runs the looking up.
    """

    def __init__(self, registry: Lookup, write: Write, tasks: asyncio.TaskGroup) -> None:
        self._registry = registry
        self._write = write
        self._tasks = tasks
        self._turn = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._pending: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def record(self, call: Call, request: Request, handled: Handled, book: RuleBook, reason: str) -> None:
        """Record a call: once its caller's band is known, or at once where that would take too long."""
        if self._closed or len(self._pending) >= MOST_UNRECORDED:
            self._write(request, handled, book, reason)
            return
        recording = self._tasks.create_task(self._look_up_and_write(call, request, handled, book, reason))
        self._pending[call.uniqueid] = recording
        recording.add_done_callback(partial(self._recorded, call.uniqueid))

    def pending(self, uniqueid: str) -> asyncio.Task[None] | None:
        """What is done when the call has its record; None if it waits for none."""
        return self._pending.get(uniqueid)

    async def close(self, patience_s: float) -> None:
        """Look nobody up any more, and write what is not written."""
        self._closed = True
        if self._pending:
            await asyncio.wait(self._pending.values(), timeout=patience_s)

    async def _look_up_and_write(
        self, call: Call, request: Request, handled: Handled, book: RuleBook, reason: str
    ) -> None:
        try:
            async with self._turn:
                if not self._closed:
                    handled.looked_up(await self._registry.lookup(handled.caller), book.bands.names)
            call.band, call.is_protected = handled.age_band, handled.age_band in book.protected
            self._write(request, handled, book, reason)
        except Exception:  # the boundary of one call: beyond it, the daemon would end
            log.exception("decision not recorded", node=call.node, call=request.uniqueid)

    def _recorded(self, uniqueid: str, task: asyncio.Task[None]) -> None:
        if self._pending.get(uniqueid) is task:
            del self._pending[uniqueid]
