"""What is known of where the servers are, and when to find out anew. Nobody waits for that longer than they want."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog

from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.finder import Finder
from router.callers.servers.layout import Layout

LOOK_EVERY_S: Final = 0.2
"""So often at most, however many questions fail: a failover takes a second or more."""
LOOK_S: Final = 2.0
"""So long at most for one look, whoever else might still answer."""
KEEP_S: Final = 10.0
"""After so long a look is taken while nothing fails: a primary of old that was cut off from the others may still
answer, and new replicas make no noise."""

_log = structlog.get_logger(__name__)


class ServerMap:
    """The servers as last found. Belongs to one event loop.

    Args:
        finder: Finds them.
        lost: The servers that did not answer lately.
        found: Called after each look that found them.
    """

    def __init__(self, finder: Finder, *, lost: Callable[[], Collection[str]], found: Callable[[Layout], None]) -> None:
        self.layout = finder.known
        self.looks = 0
        self._fixed = finder.known is not None
        self._finder = finder
        self._lost = lost
        self._found = found
        self._looking: asyncio.Task[None] | None = None
        self._looked_s: float | None = None
        self._failed: LookupFailedError | None = None

    def look_soon(self, knows: str | None = None) -> asyncio.Task[None] | None:
        """Find out anew, unless that was done a moment ago. Returns what to wait for, or None.

        Args:
            knows: A server that should know better than the others.
        """
        if self._fixed:
            return None
        if self._looking is not None and not self._looking.done():
            return self._looking
        loop = asyncio.get_running_loop()
        if self._looked_s is not None and loop.time() - self._looked_s < LOOK_EVERY_S:
            return None
        self._looked_s = loop.time()
        self._looking = loop.create_task(self._look(knows), name="registry-servers")
        return self._looking

    def keep(self) -> None:
        """Find out anew if the last time was long ago."""
        if self._fixed or self._looked_s is None:
            return
        if asyncio.get_running_loop().time() - self._looked_s >= KEEP_S:
            self.look_soon()

    async def known(self, due_s: float) -> Layout:
        """The servers; found now if they were never found.

        Raises:
            LookupFailedError: They are not by `due_s`, of the loop's clock.
        """
        if self.layout is None:
            await self.looked(due_s)
        if self.layout is None:
            if self._looking is not None and not self._looking.done():
                raise LookupFailedError(LookupFailure.DEADLINE)
            failed = self._failed or LookupFailedError(LookupFailure.UNREACHABLE, "no server is known")
            raise LookupFailedError(failed.failure, failed.detail)
        return self.layout

    async def looked(self, due_s: float) -> None:
        """Find out anew, and return when that is done or at `due_s`; at once if it was done a moment ago."""
        if (looking := self.look_soon()) is not None:
            await asyncio.wait([looking], timeout=max(0.0, due_s - asyncio.get_running_loop().time()))

    def moved(self, slot: int, server: str) -> None:
        """A server said that another holds a slot: so it is, and maybe more has changed."""
        if self.layout is not None:
            self.layout = self.layout.moved(slot, server)
        self.look_soon(server)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self, knows: str | None) -> None:
        self.looks += 1
        try:
            async with asyncio.timeout(LOOK_S):
                layout = await self._finder.look(self._lost(), knows)
        except TimeoutError:
            self._looked(LookupFailedError(LookupFailure.UNREACHABLE, "nobody tells where Redis's servers are"))
        except LookupFailedError as failed:
            self._looked(failed)
        except Exception:  # noqa: BLE001 - the boundary of one look: what was known before stays
            _log.exception("looking for redis servers failed")
            self._looked(LookupFailedError(LookupFailure.INTERNAL))
        else:
            self._looked(None)
            if layout != self.layout:
                primaries = sorted(shard.primary for shard in layout.shards)
                _log.info("redis servers found", primaries=primaries, servers=len(layout.servers))
                self.layout = layout
            self._found(layout)

    def _looked(self, failed: LookupFailedError | None) -> None:
        if failed is not None and self._failed is None:
            _log.warning("redis servers cannot be found", why=str(failed), where=repr(self._finder))
        self._failed = failed
