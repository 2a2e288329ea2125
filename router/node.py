"""One Asterisk: its link, its desk, its heartbeat, and what is seen of its queues and agents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict

import structlog
from asterisk.ami import Event, SimpleAction

from router.ami.link import Link, LinkSettings, LinkState
from router.callers.registry import Registry
from router.calls.agents import Agents, agents_of, agents_wanted
from router.calls.desk import CallDesk, DeskSettings, Journal
from router.calls.events import WANTED_EVENTS
from router.calls.promote import Place
from router.calls.queues import ACTION, queue_states
from router.calls.reconcile import greet, reconcile
from router.calls.speaking import SpeechDesk, Voice
from router.calls.verdict import set_globally
from router.errors import AmiError, AmiLinkLost
from router.journal.conditions import AsteriskState
from router.journal.reader import Tail
from router.rules.book import RuleBook

HEARTBEAT_S = 1.0
"""The dialplan takes the router for dead when the heartbeat is older than 3 s, `elder-settings`."""

QUEUES_EVERY_S = 1.0
AGENTS_EVERY_S = 2.0

_TAKE_UP_AGAIN_S = 5.0

RECONCILE_S = 300.0
"""A call whose end was not told, because somebody's dialplan wiped our hangup handler, is found within this."""

log = structlog.get_logger(__name__)


class Node:
    """One Asterisk: its link, its desk, its heartbeat.

    Args:
        link: Where it is.
        desk: What its desk is told.
        rules: Gives the rules in force.
        journal: Where records go.
        registry: Where callers are looked up.
        tail: What the journal told at the start: calls that were under way are taken up.
        voice: What speaks during calls.
        tasks: Runs the answering of requests.
        sees_agents: Whether its agents are asked for, which only the wallboard shows.
    """

    def __init__(
        self,
        link: LinkSettings,
        desk: DeskSettings,
        *,
        rules: Callable[[], RuleBook],
        journal: Journal,
        registry: Registry,
        tail: Tail,
        voice: Voice | None,
        tasks: asyncio.TaskGroup,
        sees_agents: bool = False,
    ) -> None:
        self._rules = rules
        self._sees_agents = sees_agents
        self._log = log.bind(node=link.name)
        self._beating = False
        self._beat_at: float | None = None
        self._reconciled = False
        self._reconciled_at = 0.0
        self._closing = False
        self.agents: Agents | None = None
        self.link = Link(
            link,
            wanted_events=WANTED_EVENTS,
            on_event=self._on_event,
            on_up=self._on_up,
            on_state=self._on_state,
        )
        self.speech = SpeechDesk(
            link.name,
            voice,
            rules=rules,
            send=self.link.request_all,
            send_for_list=self.link.request_list,
            tasks=tasks,
        )
        self.desk = CallDesk(
            desk,
            registry=registry,
            rules=rules,
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

    @property
    def state(self) -> AsteriskState:
        """How it stands with this Asterisk; asked in any thread."""
        link, beat_at = self.link, self._beat_at
        age_s = None if beat_at is None else time.monotonic() - beat_at
        return AsteriskState(
            link.settings.name, link.state is LinkState.UP, link.state.value, self._beating and not self._closing, age_s
        )

    async def run(self) -> None:
        """Keep the link and its heartbeat until `close`."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._beat()), group.create_task(self._watch_queues())]
            if self._sees_agents:
                tasks.append(group.create_task(self._watch_agents()))
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

    def _on_event(self, event: Event) -> None:
        self.desk.on_event(event)

    def _on_state(self, state: LinkState, _detail: str) -> None:
        if state is not LinkState.UP:
            self._beating = self._reconciled = False
            self.agents = None

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

    async def _watch_agents(self) -> None:
        """Ask who answers calls; less often than for the queues, for the list has a line for each of them."""
        while True:
            if self._beating and not self._closing:
                await self._see_agents()
            await asyncio.sleep(AGENTS_EVERY_S)

    async def _see_agents(self) -> None:
        try:
            members = await self.link.request_list(agents_wanted())
        except AmiError as error:
            self.agents = None
            self._log.warning("agents not seen", reason=str(error))
        else:
            self.agents = agents_of(members, self._rules().queues)

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
        self._beat_at = time.monotonic()

    def _asterisk_now(self) -> float:
        return time.time() + (self.link.clock_offset_s or 0.0)
