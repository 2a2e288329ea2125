"""What supervisors and monitoring see of the running router: its wallboard, metrics, health, and what is wrong.

Wires the parts of `web/` to the journal and to the Asterisks; whatever becomes of them, calls go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import structlog

from router.callers.health import HealthWatch
from router.journal.conditions import AsteriskState, Conditions, wrong_now
from router.journal.day_so_far import EarlierRuns
from router.journal.records import DecisionRecord
from router.journal.telling import Listener, TellingJournal
from router.journal.writer import JournalWriter
from router.node import Node
from router.reloading.keeper import RulesKeeper
from router.settings import Settings
from router.speech.during_calls import SpeakerCounts
from router.web.asterisks import ConditionMetrics, DeskMetrics, LinkMetrics
from router.web.calls import CallMetrics
from router.web.health import Pulse, Readiness, health_page, live_page
from router.web.journal import JournalMetrics
from router.web.metrics import MetricsServer, RulesMetrics, SpeechMetrics
from router.web.process import process_metrics
from router.web.registry import RegistryMetrics
from router.web.settings import MetricsSettings
from router.web.wallboard.board import Board, Seen
from router.web.wallboard.server import wallboard_served

CONDITIONS_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class Supervision:
    """All that looks on.

    Args:
        settings: What is served, and where.
        writer: The journal.
        keeper: The rules in force, and how they are.
        health: How the registry is.
        earlier: What earlier runs wrote; None where there is nothing.
        under_way: Decisions of earlier runs whose outcome is still to come.
    """

    def __init__(
        self,
        settings: Settings,
        writer: JournalWriter,
        keeper: RulesKeeper,
        health: HealthWatch,
        *,
        earlier: EarlierRuns | None,
        under_way: Iterable[DecisionRecord],
    ) -> None:
        self.nodes: Sequence[Node] = ()
        """To be set once they are there."""
        self.is_stopping = False
        self.not_spoken = ""
        """Why nothing is spoken during calls, although the settings ask for it."""
        self.spoken: SpeakerCounts | None = None
        self._settings = settings
        self._writer = writer
        self._keeper = keeper
        self._health = health
        self._earlier = earlier
        self._timed = JournalMetrics(writer)
        self._calls = CallMetrics(settings.service_level.within_s)
        self._calls.adopt(under_way)
        self._calls.expect(keeper.book)
        self._pulse = Pulse()
        self._board: Board | None = None
        if settings.wallboard is not None:
            self._board = Board(
                self._seen,
                lambda: keeper.book,
                lambda: self._conditions.active,
                settings.service_level,
                is_whole=earlier is None,
            )
        is_measured = settings.metrics is not None
        listeners: list[Listener] = [self._calls.take] if is_measured else []
        listeners += [self._board.take] if self._board is not None else []
        self.journal = TellingJournal(self._timed if is_measured else writer, listeners)
        """Where all records go."""
        self._conditions = Conditions(self.journal.write)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve what the settings ask for.

        Raises:
            ConfigurationError: It cannot be served there.
        """
        async with AsyncExitStack() as serving:
            beating = asyncio.create_task(self._pulse.run())
            serving.callback(beating.cancel)
            if self._settings.metrics is not None:
                server = self._metrics_server(self._settings.metrics)
                serving.push_async_callback(asyncio.to_thread, server.close)
            if self._settings.wallboard is not None and self._board is not None:
                board = wallboard_served(self._settings.wallboard, self._board, self._earlier)
                await serving.enter_async_context(board)
            yield

    async def run(self) -> None:
        """Look every second what is wrong, for ever."""
        if self._earlier is not None:  # else it has never been there
            self._conditions.started(datetime.now(UTC))
        while True:
            await asyncio.sleep(CONDITIONS_EVERY_S)
            try:
                self._look()
            except Exception:  # the boundary of one look: calls have nothing to do with it
                log.exception("conditions not looked at")

    def stopped(self) -> None:
        """The last thing that is written: from here on calls go to people by themselves."""
        self._conditions.stopped(datetime.now(UTC))

    def _look(self) -> None:
        wrong = wrong_now(
            self._states(),
            self._health.health,
            self._keeper.status,
            is_journal_written=self._writer.healthy,
            not_spoken=self.not_spoken,
        )
        self._conditions.look(datetime.now(UTC), wrong, lost=self._writer.lost)

    def _states(self) -> list[AsteriskState]:
        return [node.state for node in self.nodes]

    def _seen(self) -> list[Seen]:
        return [Seen(node.state, node.desk.calls, node.desk.queues, node.agents) for node in self.nodes]

    def _metrics_server(self, settings: MetricsSettings) -> MetricsServer:
        keeper, health = self._keeper, self._health
        ready = Readiness(self._states, lambda: keeper.book.version, lambda: self.is_stopping, self._pulse)
        return MetricsServer(
            settings,
            self._calls,
            LinkMetrics(self._states, ready.is_ready),
            ConditionMetrics(lambda: self._conditions.active),
            DeskMetrics(lambda: [node.desk for node in self.nodes], lambda: keeper.book),
            RegistryMetrics(lambda: health.health),
            RulesMetrics(lambda: keeper.status),
            SpeechMetrics(lambda: self.spoken),
            self._timed,
            *process_metrics(),
            health=health_page(lambda: health.health, lambda: keeper.status, lambda: self._conditions.active),
            live=live_page(self._pulse),
            ready=ready.answer,
        )
