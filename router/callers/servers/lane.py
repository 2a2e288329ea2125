"""What is asked of one server: all that comes while one round trip is out forms the next, on one connection.

With a pool of single questions 10,000 a second collapse; coalesced they stay below a millisecond. Whoever asks is
answered by the time they name, also when the server hangs: with a `LookupFailedError` then. A server that fails again
and again is not asked for a while, see `breaker`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog

from router.callers.breaker import Breaker, BreakerState
from router.callers.deadline import Timer
from router.callers.servers.failure import REDIS_ERRORS, LookupFailedError, LookupFailure, lookup_failed
from router.callers.servers.link import RegistryLink
from router.callers.servers.wire import Command, Reply

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RoundTrips:
    """How often servers were asked, over all lanes."""

    batches: int = 0


_Outcome: TypeAlias = list[Reply] | LookupFailedError


class _Ask:
    """One question that waits, and who waits for it."""

    __slots__ = ("answer", "commands")

    def __init__(self, commands: Sequence[Command], answer: asyncio.Future[_Outcome]) -> None:
        self.commands = commands
        self.answer = answer

    def is_told(self, outcome: _Outcome) -> None:
        if not self.answer.done():
            self.answer.set_result(outcome)

    def is_late(self) -> None:
        self.is_told(LookupFailedError(LookupFailure.DEADLINE))


class Lane:
    """The questions to one server. Belongs to one event loop.

    Args:
        server: Its name, `host:port`.
        link: Its connection.
        breaker: Its breaker.
        max_batch: Most questions in one round trip, so that it holds Redis up for a millisecond at most.
        max_waiting: Most questions waiting for the next round trip; one more fails at once.
        trips: Counts the round trips.
    """

    def __init__(
        self, server: str, link: RegistryLink, *, breaker: Breaker, max_batch: int, max_waiting: int, trips: RoundTrips
    ) -> None:
        self.server: Final = server
        self._link = link
        self._breaker = breaker
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._trips = trips
        self._waiting: deque[_Ask] = deque()
        self._drainer: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def breaker_state(self) -> BreakerState:
        """Whether the server is being asked."""
        return self._breaker.state

    @property
    def would_ask(self) -> bool:
        """Whether a question would be sent now; False while the server is held for gone."""
        return self._breaker.would_admit

    async def ask(self, commands: Sequence[Command], due_s: float) -> list[Reply]:
        """The answers to `commands`, in their order; a refusal of one is an answer too.

        Args:
            commands: To this server; they must do no harm when they are sent twice.
            due_s: When to give up, by the loop's clock.

        Raises:
            LookupFailedError: There is no answer.
        """
        if self._closed:
            raise LookupFailedError(LookupFailure.CLOSED)
        if len(self._waiting) >= self._max_waiting:
            # Whoever comes last is turned away: those who wait are nearer to their answer.
            raise LookupFailedError(LookupFailure.TOO_MANY)
        if not self._breaker.admits():
            raise LookupFailedError(LookupFailure.BREAKER_OPEN)
        loop = asyncio.get_running_loop()
        ask = _Ask(commands, loop.create_future())
        self._waiting.append(ask)
        if self._drainer is None or self._drainer.done():
            # Starts when this task waits, so that all questions of one turn of the loop share the round trip.
            self._drainer = loop.create_task(self._drain(), name="registry-lookups")
        timer = Timer(loop, due_s, ask.is_late)
        try:
            outcome = await ask.answer
        finally:
            timer.cancel()
        if isinstance(outcome, LookupFailedError):
            raise outcome
        return outcome

    async def finish(self) -> None:
        """Answer what is asked, then drop the connection; for a server that serves no more."""
        while self._drainer is not None and not self._drainer.done():
            await asyncio.wait([self._drainer])
        self._closed = True
        await self._link.close()

    async def close(self) -> None:
        """Drop the connection. Questions still waiting fail at once, and so does every later one."""
        self._closed = True
        if self._drainer is not None:
            self._drainer.cancel()
            await asyncio.wait([self._drainer])
        self._tell_all_waiting(LookupFailedError(LookupFailure.CLOSED))
        await self._link.close()

    async def _drain(self) -> None:
        """Ask for all that wait, one batch after the other, until none does."""
        while self._waiting:
            if self._breaker.state is BreakerState.OPEN:
                self._tell_all_waiting(LookupFailedError(LookupFailure.BREAKER_OPEN))
                return
            batch = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
            # Of those who gave up meanwhile one is asked for all the same: the breaker waits to hear of its probe.
            batch = [ask for ask in batch if not ask.answer.done()] or batch[:1]
            failed: LookupFailedError | None = LookupFailedError(LookupFailure.CLOSED)
            try:
                failed = await self._ask(batch)
            finally:
                if failed is not None:
                    for ask in batch:
                        ask.is_told(lookup_failed(failed))

    async def _ask(self, batch: Sequence[_Ask]) -> LookupFailedError | None:
        """Tell a batch its answers; returns why there are none."""
        self._trips.batches += 1
        try:
            replies = await self._link.ask([command for ask in batch for command in ask.commands])
        except REDIS_ERRORS as error:
            failed = lookup_failed(error)
        except Exception:  # noqa: BLE001 - the boundary of one batch: these calls fall back, the others go on
            _log.exception("registry lookup failed")
            failed = LookupFailedError(LookupFailure.INTERNAL)
        else:
            if self._breaker.state is not BreakerState.CLOSED:
                _log.info("redis back", where=self.server)
            self._breaker.succeeded()
            end = 0
            for ask in batch:
                begin, end = end, end + len(ask.commands)
                ask.is_told(replies[begin:end])
            return None
        was = self._breaker.state
        self._breaker.failed()
        if was is BreakerState.CLOSED and self._breaker.state is BreakerState.OPEN:
            _log.warning("redis lost", why=str(failed), where=self.server)
        return failed

    def _tell_all_waiting(self, failed: LookupFailedError) -> None:
        while self._waiting:
            self._waiting.popleft().is_told(lookup_failed(failed))
