"""The daemon: wires links, registry, rules and journal together, and lives until it is told to stop.

SIGTERM, SIGINT   new calls go to people by themselves at once; those asked for are still answered; then it ends
SIGHUP            the rules are read anew at once, and taken if they are right; the journal is opened anew
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial
from zoneinfo import ZoneInfo

import structlog

from router.callers.health import HealthWatch
from router.callers.inspecting.limits import limits_too_small
from router.callers.number import PhoneNumber
from router.callers.registry import open_registry
from router.callers.secret_ring import load_or_create_ring
from router.calls.desk import DeskSettings
from router.calls.promote import Promotions
from router.calls.speaking import Voice
from router.control.promotion import promotion
from router.control.server import ControlServer
from router.errors import ConfigurationError, SpeechError
from router.journal.day_so_far import EarlierRuns
from router.journal.hashing import caller_key, load_or_create_secret
from router.journal.keeping import Keeping
from router.journal.reader import journal_files, journal_tail
from router.journal.writer import JournalWriter
from router.node import Node
from router.reloading.history import RulesHistory
from router.reloading.keeper import RulesKeeper
from router.rules.book import RuleBook
from router.settings import Settings
from router.speech.during_calls import open_speaker
from router.speech.kept_catalogue import KeptCatalogue
from router.supervision import Supervision
from router.web.spoken import spoken_served, url_of

log = structlog.get_logger(__name__)


class Daemon:
    """The whole router.

    Args:
        settings: What it is told.

    Raises:
        ConfigurationError: The rules, with no earlier version to start with, or a secret cannot be used; carries every
            problem.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._keeper = RulesKeeper(
            settings.rules_file, RulesHistory(settings.rules_history), cases_file=settings.rules_tests
        )
        self._key = load_or_create_secret(settings.journal_secret_file)
        self._registry = open_registry(settings.registry, load_or_create_ring(settings.registry.secret_file))
        self._health = HealthWatch(
            self._registry, lambda: self.rules.bands, partial(limits_too_small, self._registry.servers)
        )
        self._prompts = KeptCatalogue(settings.speech.prompts if settings.speech else None)
        self._stop = asyncio.Event()
        self._hang_up = asyncio.Event()

    @property
    def rules(self) -> RuleBook:
        """The rules in force."""
        return self._keeper.book

    async def run(self) -> None:
        """Route calls until SIGTERM or SIGINT.

        Raises:
            ConfigurationError: Another router answers on the control socket; metrics or the wallboard cannot be
                served where they should be.
        """
        settings = self.settings
        control = ControlServer(settings.control_socket) if settings.control_socket else None
        has_journal = bool(journal_files(settings.journal_file))
        tail = journal_tail(settings.journal_file)
        writer = JournalWriter(
            settings.journal_file, rotation=settings.journal_rotation, zone=lambda: ZoneInfo(self.rules.timezone)
        )
        supervision = Supervision(
            settings,
            writer,
            self._keeper,
            self._health,
            earlier=EarlierRuns(settings.journal_file, writer.run) if has_journal else None,
            under_way=tail.open.values(),
        )
        keeping = Keeping(settings.journal_file, writer, settings.journal_rotation)
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up.set)
        try:
            async with supervision.served(), self._voice(supervision) as voice, asyncio.TaskGroup() as group:
                log.info("router started", rules=self.rules.version, asterisks=[link.name for link in settings.links])
                if settings.full_numbers:
                    log.warning("full numbers are written to the journal", file=str(settings.journal_file))
                watching = [group.create_task(self._keep_rules(writer)), group.create_task(self._registry.watch())]
                watching += [group.create_task(self._health.run()), group.create_task(keeping.run())]
                nodes = [
                    Node(
                        link,
                        DeskSettings(
                            node=link.name,
                            home_region=settings.home_region(link.name),
                            caller_key=self.caller_key,
                            full_numbers=settings.full_numbers,
                        ),
                        rules=lambda: self.rules,
                        journal=supervision.journal,
                        registry=self._registry,
                        tail=tail,
                        voice=voice,
                        tasks=group,
                        sees_agents=settings.wallboard is not None,
                    )
                    for link in settings.links
                ]
                supervision.nodes = nodes
                watching.append(group.create_task(supervision.run()))
                for node in nodes:
                    group.create_task(node.run())
                if control is not None:
                    promotions = Promotions([node.place() for node in nodes], supervision.journal.write)
                    await control.serve({"promote": promotion(promotions)}, group)
                await self._stop.wait()
                log.info("router stopping")
                supervision.is_stopping = True
                if control is not None:
                    await control.stop()
                await asyncio.gather(*(node.close() for node in nodes))
                for task in watching:
                    task.cancel()
            supervision.stopped()
        finally:
            if control is not None:
                control.remove()
            await self._registry.close()
            log.info("registry left", **self._registry.stats.as_fields(), batches=self._registry.servers.stats.batches)
            writer.close()
            for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(sig)
        log.info("router stopped", journal_written=writer.written, journal_lost=writer.lost)

    def caller_key(self, number: PhoneNumber) -> str:
        """The keyed hash of a number."""
        return caller_key(self._key, number.e164)

    async def _keep_rules(self, journal: JournalWriter) -> None:
        """Watch the rules; at each SIGHUP take new ones at once, without waiting until their change is seen."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeper.run())
            while True:
                await self._hang_up.wait()
                self._hang_up.clear()
                journal.reopen()
                await self._keeper.reload()
                await self._prompts.reload()

    @asynccontextmanager
    async def _voice(self, supervision: Supervision) -> AsyncIterator[Voice | None]:
        """What speaks during calls, if the settings say so. Calls are routed whether it can be had or not."""
        settings = self.settings.speech
        speaker = None
        if settings is not None and settings.during_calls is not None:
            await self._prompts.reload()
            try:
                speaker = await asyncio.to_thread(open_speaker, settings, settings.during_calls)
            except SpeechError as error:
                log.warning("nothing is spoken during calls", reason=str(error))
                supervision.not_spoken = str(error)
        if settings is None or speaker is None:
            yield None
            return
        supervision.spoken = speaker.counts
        serve, files = settings.serve, speaker.files
        keeping = asyncio.create_task(speaker.keep_within_bounds())
        try:
            async with AsyncExitStack() as serving:
                voice: Voice | None = None
                try:
                    if serve is not None:
                        await serving.enter_async_context(spoken_served(serve, files))
                except ConfigurationError as error:
                    # What is spoken could not be fetched, so nothing is.
                    log.warning("nothing is spoken during calls", reason=str(error))
                    supervision.not_spoken = str(error)
                else:
                    place_of = partial(url_of, serve) if serve else files.stem
                    voice = Voice(speaker, lambda: self._prompts.catalogue, place_of, speaker.settings.deadline_s)
                yield voice
        finally:
            keeping.cancel()
            speaker.close()
            log.info("speech ended", **asdict(speaker.counts))
