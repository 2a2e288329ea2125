"""The daemon: wires links, registry, rules and journal together, and lives until it is told to stop.

SIGTERM, SIGINT   new calls go to people by themselves at once; those asked for are still answered; then it ends
SIGHUP            the rules are read anew at once, and taken if they are right; the journal is opened anew
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial

import structlog
from asterisk.ami import Event, SimpleAction

from router.ami.link import Link, LinkSettings, LinkState
from router.callers.health import HealthWatch
from router.callers.inspecting.limits import limits_too_small
from router.callers.number import PhoneNumber
from router.callers.registry import Registry, open_registry
from router.callers.secret_ring import load_or_create_ring
from router.calls.desk import CallDesk, DeskSettings
from router.calls.events import WANTED_EVENTS
from router.calls.promote import Place, Promotions
from router.calls.queues import ACTION, queue_states
from router.calls.reconcile import greet, reconcile
from router.calls.speaking import SpeechDesk, Voice
from router.calls.verdict import set_globally
from router.control.promotion import promotion
from router.control.server import ControlServer
from router.errors import AmiError, AmiLinkLost, ConfigurationError, SpeechError
from router.journal.hashing import caller_key, load_or_create_secret
from router.journal.reader import Tail, journal_tail
from router.journal.writer import JournalWriter
from router.reloading.history import RulesHistory
from router.reloading.keeper import RulesKeeper
from router.rules.book import RuleBook
from router.settings import Settings
from router.speech.during_calls import SpeakerCounts, open_speaker
from router.speech.kept_catalogue import KeptCatalogue
from router.web.health import health_page
from router.web.metrics import MetricsServer, RulesMetrics, SpeechMetrics
from router.web.registry import RegistryMetrics
from router.web.spoken import spoken_served, url_of

HEARTBEAT_S = 1.0
"""The dialplan takes the router for dead when the heartbeat is older than 3 s, `elder-settings`."""

QUEUES_EVERY_S = 1.0

_TAKE_UP_AGAIN_S = 5.0

RECONCILE_S = 300.0
"""A call whose end was not told, because somebody's dialplan wiped our hangup handler, is found within this."""

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
        self._spoken: SpeakerCounts | None = None
        self._stop = asyncio.Event()
        self._hang_up = asyncio.Event()

    @property
    def rules(self) -> RuleBook:
        """The rules in force."""
        return self._keeper.book

    async def run(self) -> None:
        """Route calls until SIGTERM or SIGINT.

        Raises:
            ConfigurationError: Another router answers on the control socket; metrics cannot be served where they
                should be.
        """
        settings = self.settings
        control = ControlServer(settings.control_socket) if settings.control_socket else None
        tail = journal_tail(settings.journal_file)
        journal = JournalWriter(settings.journal_file)
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up.set)
        try:
            async with self._metrics(), self._voice() as voice, asyncio.TaskGroup() as group:
                log.info("router started", rules=self.rules.version, asterisks=[link.name for link in settings.links])
                if settings.full_numbers:
                    log.warning("full numbers are written to the journal", file=str(settings.journal_file))
                watching = [group.create_task(self._keep_rules(journal)), group.create_task(self._registry.watch())]
                watching.append(group.create_task(self._health.run()))
                nodes = [
                    Node(link, self, journal=journal, registry=self._registry, tail=tail, voice=voice, tasks=group)
                    for link in settings.links
                ]
                for node in nodes:
                    group.create_task(node.run())
                if control is not None:
                    promotions = Promotions([node.place() for node in nodes], journal.write)
                    await control.serve({"promote": promotion(promotions)}, group)
                await self._stop.wait()
                log.info("router stopping")
                if control is not None:
                    await control.stop()
                await asyncio.gather(*(node.close() for node in nodes))
                for task in watching:
                    task.cancel()
        finally:
            if control is not None:
                control.remove()
            await self._registry.close()
            log.info("registry left", **self._registry.stats.as_fields(), batches=self._registry.servers.stats.batches)
            journal.close()
            for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(sig)
        log.info("router stopped", journal_written=journal.written, journal_lost=journal.lost)

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
    async def _metrics(self) -> AsyncIterator[None]:
        """Serve metrics, if the settings say so."""
        if self.settings.metrics is None:
            yield
            return
        rules, speech = RulesMetrics(lambda: self._keeper.status), SpeechMetrics(lambda: self._spoken)
        registry = RegistryMetrics(lambda: self._health.health)
        health = health_page(lambda: self._health.health, lambda: self._keeper.status)
        server = MetricsServer(self.settings.metrics, rules, speech, registry, health=health)
        try:
            yield
        finally:
            await asyncio.to_thread(server.close)

    @asynccontextmanager
    async def _voice(self) -> AsyncIterator[Voice | None]:
        """What speaks during calls, if the settings say so. Calls are routed whether it can be had or not."""
        settings = self.settings.speech
        speaker = None
        if settings is not None and settings.during_calls is not None:
            await self._prompts.reload()
            try:
                speaker = await asyncio.to_thread(open_speaker, settings, settings.during_calls)
            except SpeechError as error:
                log.warning("nothing is spoken during calls", reason=str(error))
        if settings is None or speaker is None:
            yield None
            return
        self._spoken = speaker.counts
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
                else:
                    place_of = partial(url_of, serve) if serve else files.stem
                    voice = Voice(speaker, lambda: self._prompts.catalogue, place_of, speaker.settings.deadline_s)
                yield voice
        finally:
            keeping.cancel()
            speaker.close()
            log.info("speech ended", **asdict(speaker.counts))


class Node:
    """One Asterisk: its link, its desk, its heartbeat."""

    def __init__(
        self,
        link: LinkSettings,
        daemon: Daemon,
        *,
        journal: JournalWriter,
        registry: Registry,
        tail: Tail,
        voice: Voice | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._daemon = daemon
        self._log = log.bind(node=link.name)
        self._beating = False
        self._reconciled = False
        self._reconciled_at = 0.0
        self._closing = False
        self.link = Link(
            link,
            wanted_events=WANTED_EVENTS,
            on_event=self._on_event,
            on_up=self._on_up,
            on_state=self._on_state,
        )
        settings = DeskSettings(
            node=link.name,
            home_region=daemon.settings.home_region(link.name),
            caller_key=daemon.caller_key,
            full_numbers=daemon.settings.full_numbers,
        )
        self.speech = SpeechDesk(
            link.name,
            voice,
            rules=self._rules,
            send=self.link.request_all,
            send_for_list=self.link.request_list,
            tasks=tasks,
        )
        self.desk = CallDesk(
            settings,
            registry=registry,
            rules=self._rules,
            journal=journal,
            send=self.link.request_all,
            tasks=tasks,
            speech=self.speech,
        )
        self.desk.adopt(tail.open_on(link.name), tail.told_of(link.name))

    def place(self) -> Place:
        """This Asterisk as one where callers wait who may be promoted."""
        link = self.link
        return Place(link.settings.name, self.desk, link.request_all, link.request_list, self._asterisk_now)

    async def run(self) -> None:
        """Keep the link and its heartbeat until `close`."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._beat()), group.create_task(self._watch_queues())]
            await self.link.run()
            for task in tasks:
                task.cancel()

    async def close(self) -> None:
        """Have new calls fall back at once, finish those asked for, and log off."""
        self._closing = True
        try:
            await self.link.request_all([set_globally("ELDER_HEARTBEAT", "0")])
        except AmiError as error:
            self._log.warning("asterisk not told of the end", reason=str(error))
        await self.desk.close()
        self._log.info(
            "asterisk left",
            **asdict(self.desk.counts),
            **asdict(self.desk.choices.counts),
            speech=asdict(self.speech.counts),
        )
        await self.link.close()

    def _rules(self) -> RuleBook:
        return self._daemon.rules

    def _on_event(self, event: Event) -> None:
        self.desk.on_event(event)

    def _on_state(self, state: LinkState, _detail: str) -> None:
        if state is not LinkState.UP:
            self._beating = self._reconciled = False

    async def _on_up(self) -> None:
        """A link is up: make it of use; if Asterisk is too slow for that or refuses, again and again."""
        while True:
            try:
                return await self._take_up()
            except AmiLinkLost:
                raise
            except AmiError as error:
                # Nobody else would try again before the link is lost, and until then every call falls back.
                self._log.warning("calls are not routed yet", reason=str(error), retry_in_s=_TAKE_UP_AGAIN_S)
            await asyncio.sleep(_TAKE_UP_AGAIN_S)

    async def _take_up(self) -> None:
        """From here on calls are answered; then what was missed is made good."""
        await greet(self.desk, self.link.request_all, self._rules().fallback.queue)
        await self._see_queues()  # the first call's rules may ask for them
        self._beating = True
        await self._heartbeat()
        await self._reconcile()
        self._reconciled = True

    async def _reconcile(self) -> None:
        await reconcile(self.desk, self.link.request_all, self.link.request_list, self._asterisk_now())
        self._reconciled_at = time.monotonic()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if not self._beating or self._closing:
                continue
            try:
                await self._heartbeat()
                if self._reconciled and time.monotonic() - self._reconciled_at >= RECONCILE_S:
                    await self._reconcile()
            except AmiError as error:
                self._log.warning("heartbeat not set", reason=str(error))

    async def _watch_queues(self) -> None:
        """Ask for the queues' state every second: counting along with events would drift with each one missed."""
        while True:
            await asyncio.sleep(QUEUES_EVERY_S)
            if self._beating and not self._closing:
                await self._see_queues()

    async def _see_queues(self) -> None:
        """Have the desk know the queues; failing that, no condition on them holds and calls are routed all the same."""
        try:
            states = await self.link.request_list(SimpleAction(ACTION))
        except AmiError as error:
            self._log.warning("queues not seen", reason=str(error))
        else:
            self.desk.see_queues(queue_states(states, self._rules().queues))

    async def _heartbeat(self) -> None:
        """Say that we are well; by Asterisk's clock, because that is what the dialplan compares it with."""
        if self._closing:
            return
        actions = [
            set_globally("ELDER_HEARTBEAT", str(int(self._asterisk_now()))),
            set_globally("ELDER_FALLBACK_QUEUE", self._rules().fallback.queue),
            # Again and again: a `dialplan reload` of a PBX with `clearglobalvars` forgets it.
            set_globally("ELDER_TOKEN", self.desk.token),
        ]
        if self._reconciled:
            # Before that it would hide the fallbacks that are still to be read.
            actions.append(set_globally("ELDER_FALLBACKS_SEEN", str(self.desk.last_slot)))
        await self.link.request_all(actions)

    def _asterisk_now(self) -> float:
        return time.time() + (self.link.clock_offset_s or 0.0)
