"""The link to one Asterisk, for the life of the process: connect, log in, keep alive, come back.

    IDLE ──▶ CONNECTING ──▶ LOGGING_IN ──▶ UP
                 ▲               │          │
                 ├── WAITING ◀───┴──────────┘  lost: soon again, with back-off
                 └── REFUSED ◀───┘             login refused: slowly again, a person has to put it right

and CLOSED from anywhere. What the events mean is left to the owner; each connection is a `Connection`.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import NoReturn

import structlog
from asterisk.ami import Event, Response, SimpleAction

from router.ami.backoff import backoff
from router.ami.connection import Connection
from router.ami.messages import for_log, one
from router.ami.session import Session, login_steps
from router.ami.settings import LinkSettings, TlsSettings
from router.errors import AmiError, AmiLinkLost, AmiLoginRefused, AmiRefused, AmiTimeout

__all__ = ["Link", "LinkSettings", "LinkState", "TlsSettings"]

STABLE_S = 10.0
"""A link that was up this long starts its back-off anew when lost. One that falls at once after each login,
as with a `writetimeout` too short for its events, does not, or it would log in four times a second."""
_BOOTED = "FullyBooted"
_SHUTDOWN = "Shutdown"

log = structlog.get_logger(__name__)


class LinkState(enum.Enum):
    """Where a link stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    LOGGING_IN = "logging in"
    UP = "up"
    WAITING = "waiting"
    REFUSED = "refused"
    CLOSED = "closed"


class Link:
    """One Asterisk. `run` keeps the link up; requests fail at once while it is not.

    Args:
        settings: where Asterisk is and how to log in.
        wanted_events: names of the events that are parsed and handed to `on_event`; others cost very little.
        on_event: called for each of them, in order, as soon as it is read; must not block. What it raises is
            logged and loses nothing else. Events can come a moment before the state is UP.
        on_up: awaited beside the receiving each time the link is up, to ask for the state and reconcile; once
            more when Asterisk says that it has finished booting. Cancelled when the link is lost.
        on_state: called at each change of state with the reason for it, "" if there is none.
        delays: makes the delays in seconds between attempts to come back.
        wall_clock: epoch seconds.

    Raises:
        ConfigurationError: the TLS settings cannot be used.
    """

    def __init__(
        self,
        settings: LinkSettings,
        *,
        wanted_events: Iterable[str],
        on_event: Callable[[Event], None],
        on_up: Callable[[], Awaitable[None]] | None = None,
        on_state: Callable[[LinkState, str], None] | None = None,
        delays: Callable[[], Iterator[float]] = backoff,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.state = LinkState.IDLE
        self.clock_offset_s: float | None = None
        """Asterisk's clock minus ours, good to half a round trip; None before the first ping."""
        self._wanted = frozenset(wanted_events)
        self._on_event = on_event
        self._on_up = on_up
        self._on_state = on_state
        self._delays = delays
        self._wall_clock = wall_clock
        self._tls = settings.tls.context() if settings.tls else None
        self._connection: Connection | None = None
        self._went_up_at = math.inf  # on the loop's clock; inf while it has not been up
        self._reconcile_due = asyncio.Event()
        self._closing = asyncio.Event()
        self._finished = asyncio.Event()

    async def run(self) -> None:
        """Keep the link up until `close` or cancellation. Call it once."""
        if self.state is not LinkState.IDLE:
            raise RuntimeError(f"link {self.settings.name} has been run before: make a new one")
        try:
            async with asyncio.TaskGroup() as group:
                life = group.create_task(self._live(), name=f"ami {self.settings.name}")
                await self._closing.wait()
                await self._log_off()
                life.cancel()
        finally:
            self._enter(LinkState.CLOSED)
            self._finished.set()

    async def close(self) -> None:
        """Log off if up, end `run` and wait for its end; at most one action's deadline."""
        self._closing.set()
        if self.state not in (LinkState.IDLE, LinkState.CLOSED):
            await self._finished.wait()

    async def request(self, action: SimpleAction) -> Response:
        """Send one action; return Asterisk's answer.

        Raises:
            AmiRefused: Asterisk answered with an error.
            AmiValueError, AmiTimeout, AmiLinkLost: as `request_all`.
        """
        (response,) = await self.request_all((action,))
        _check(action.name, response)
        return response

    async def request_all(self, actions: Sequence[SimpleAction]) -> list[Response]:
        """Send actions in one write, in their order; return all answers, errors among them, in that order.

        Asterisk carries out the actions of one connection one after the other. Error answers are the caller's
        to look for (`Response.is_error`).

        Raises:
            AmiValueError: one of the actions cannot be sent; none was.
            AmiTimeout: not all were answered within the deadline; any of them may have been carried out.
            AmiLinkLost: the link is not up, or was lost meanwhile; the same holds.
        """
        if not actions:
            return []
        exchange = await self._up().exchange(actions, timeout_s=self.settings.action_timeout_s)
        return exchange.responses

    async def request_list(self, action: SimpleAction) -> list[Event]:
        """Send a list action (Status, QueueStatus); return the events it lists, without the completing one.

        Raises:
            AmiRefused: Asterisk answered with an error.
            AmiProtocolError: the list was broken off, or is longer than `session.MAX_LIST_EVENTS`.
            AmiValueError, AmiTimeout, AmiLinkLost: as `request_all`.
        """
        exchange = await self._up().exchange((action,), timeout_s=self.settings.action_timeout_s, is_list=True)
        _check(action.name, exchange.responses[0])
        if exchange.failure is not None:
            raise exchange.failure
        return exchange.events

    def _up(self) -> Connection:
        if self._connection is None:
            raise AmiLinkLost(f"the link to {self.settings.name} is {self.state.value}")
        return self._connection

    async def _live(self) -> None:
        """One conversation after the other, for ever."""
        delays = self._delays()
        loop = asyncio.get_running_loop()
        while True:
            self._went_up_at = math.inf
            try:
                await self._converse()
            except (AmiLoginRefused, ssl.SSLCertVerificationError) as refused:
                pause_s = self.settings.refused_retry_s
                self._complain("ami login refused", refused, retry_in_s=pause_s)
                self._enter(LinkState.REFUSED, str(refused))
            except (AmiError, OSError, UnicodeError) as lost:  # UnicodeError: a host name that is none
                if loop.time() - self._went_up_at >= STABLE_S:
                    delays = self._delays()
                pause_s = next(delays)
                log.warning("ami link lost", link=self.settings.name, reason=str(lost), retry_in_s=round(pause_s, 3))
                self._enter(LinkState.WAITING, str(lost))
            await asyncio.sleep(pause_s)

    async def _converse(self) -> NoReturn:
        """One connection from its opening to its loss, which is always raised."""
        self._enter(LinkState.CONNECTING)
        settings = self.settings
        session = Session(self._wanted | {_BOOTED, _SHUTDOWN})
        connection = Connection(session, self._take_event)
        try:
            try:
                async with asyncio.timeout(settings.connect_timeout_s):
                    await self._open(connection)
            except TimeoutError as error:
                raise AmiTimeout(
                    f"still {self.state.value} to {settings.host}:{settings.port} after "
                    f"{settings.connect_timeout_s:g} s"
                ) from error
            self._went_up_at = asyncio.get_running_loop().time()
            log.info("ami link up", link=self.settings.name, asterisk=for_log(connection.greeting.result()))
            self._reconcile_due.set()
            self._enter(LinkState.UP)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._keep_alive(connection)),
                    group.create_task(self._reconcile()),
                ]
                reason = await connection.lost
                for task in tasks:
                    task.cancel()
            raise reason
        finally:
            self._connection = None
            await connection.close()
            counts = session.counts
            log.debug(
                "ami connection ended",
                link=self.settings.name,
                unwanted_events=counts.unwanted_events,
                unknown_responses=counts.unknown_responses,
                late_list_events=counts.late_list_events,
                neither=counts.neither,
            )

    async def _open(self, connection: Connection) -> None:
        """Connect, log in, ping once."""
        settings = self.settings
        loop = asyncio.get_running_loop()
        server_name = (settings.tls.server_name or settings.host) if settings.tls else None
        await loop.create_connection(
            lambda: connection, settings.host, settings.port, ssl=self._tls, server_hostname=server_name
        )
        await connection.greeting
        self._enter(LinkState.LOGGING_IN)
        steps = login_steps(settings.username, settings.secret, settings.auth)
        action = next(steps)
        while True:
            exchange = await connection.exchange((action,), timeout_s=settings.connect_timeout_s)
            try:
                action = steps.send(exchange.responses[0])
            except StopIteration:
                break
        # Events come from here on, and whoever is asked by one may answer before the ping below is.
        self._connection = connection
        # A FullyBooted that belongs to this login is ahead of this ping's answer, so one that comes when the
        # link is up tells of Asterisk having just finished booting.
        await self._ping(connection, settings.connect_timeout_s)

    async def _keep_alive(self, connection: Connection) -> None:
        interval_s = self.settings.ping_interval_s
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self._ping(connection, interval_s)
            except AmiTimeout:
                connection.drop(AmiLinkLost(f"a ping was not answered within {interval_s:g} s"))
                return
            except AmiLinkLost:
                return

    async def _ping(self, connection: Connection, timeout_s: float) -> None:
        """Ping, and read Asterisk's clock off the answer: it is that of the middle of the round trip."""
        sent_at = self._wall_clock()
        exchange = await connection.exchange((SimpleAction("Ping"),), timeout_s=timeout_s)
        answered_at = self._wall_clock()
        with contextlib.suppress(ValueError):  # no Timestamp: the offset known before stands
            asterisk_at = float(one(exchange.responses[0], "Timestamp"))
            self.clock_offset_s = asterisk_at - (sent_at + answered_at) / 2

    async def _reconcile(self) -> None:
        """Await `on_up` when the link is up, and again whenever that became due in the meantime."""
        while True:
            await self._reconcile_due.wait()
            self._reconcile_due.clear()
            if self._on_up is None:
                continue
            try:
                await self._on_up()
            except AmiError as error:
                # The link stays: calls that come now can be routed, whatever is not known of earlier ones.
                self._complain("reconciliation failed", error)
            except Exception:
                log.exception("reconciliation failed", link=self.settings.name)

    def _take_event(self, event: Event) -> None:
        if event.name == _BOOTED:
            log.info("asterisk fully booted", link=self.settings.name)
            self._reconcile_due.set()  # before the link is up this adds nothing: it will be due then anyway
        elif event.name == _SHUTDOWN:
            # The connection ends by itself next, which is told then.
            log.warning("asterisk is shutting down", link=self.settings.name, restart=for_log(one(event, "Restart")))
        if event.name in self._wanted:
            self._on_event(event)

    def _complain(self, what: str, error: Exception, **fields: float) -> None:
        """Log an error whose own text says it all, without a traceback."""
        log.error(what, link=self.settings.name, reason=str(error), **fields)

    def _enter(self, state: LinkState, detail: str = "") -> None:
        self.state = state
        if self._on_state is None:
            return
        try:
            self._on_state(state, detail)
        except Exception:
            log.exception("state callback failed", link=self.settings.name, state=state.value)

    async def _log_off(self) -> None:
        if self._connection is None:
            return
        with contextlib.suppress(AmiError):  # it is closed next, politely or not
            await self._connection.exchange((SimpleAction("Logoff"),), timeout_s=self.settings.action_timeout_s)


def _check(name: str, response: Response) -> None:
    if response.is_error():
        said = for_log(one(response, "Message")) or "no reason given"
        raise AmiRefused(f"Asterisk refused {name}: {said}")
