"""One connection to one Asterisk on asyncio: a transport around a `Session`, actions with deadlines.

Lives from connect to the first failure and is then thrown away; coming back is left to `link`. A Protocol
rather than a StreamReader: one call per read of the socket, however many messages it brought.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import cast

import structlog
from asterisk.ami import Event, SimpleAction

from router.ami.session import Exchange, Greeting, Session
from router.errors import AmiError, AmiLinkLost, AmiProtocolError, AmiTimeout

MAX_WRITE_BUFFER_BYTES = 1024 * 1024
"""Bytes of actions Asterisk has not read. At 245 calls/s and 1 KiB of Setvars a call these are four seconds
of work, twice the deadline of an action: whoever wrote the first of it has long given up."""
CLOSE_TIMEOUT_S = 0.5
"""For the event loop to close a socket, which it does in its next turns or never."""

log = structlog.get_logger(__name__)


class Connection(asyncio.Protocol):
    """The asyncio side of a session.

    Args:
        session: the conversation.
        on_event: called for every wanted event inside data_received. What it raises is logged, and the events
            behind it are not lost.

    Attributes:
        greeting: done with the greeting line, or with the AmiError that came instead.
        lost: done, with the reason, as soon as the connection is of no more use.
    """

    def __init__(self, session: Session, on_event: Callable[[Event], None]) -> None:
        loop = asyncio.get_running_loop()
        self.greeting: asyncio.Future[str] = loop.create_future()
        self.lost: asyncio.Future[AmiError] = loop.create_future()
        self._loop = loop
        self._session = session
        self._on_event = on_event
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()
        self._reason: AmiError | None = None
        self._waiters: dict[Exchange, asyncio.Future[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio's call)."""
        # create_connection makes nothing else; uvloop's is no subclass of it, so it cannot be asserted.
        self._transport = cast("asyncio.Transport", transport)
        if self._reason is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail everything that waits (asyncio's call)."""
        self._closed.set()
        self.drop(AmiLinkLost(f"the connection broke: {exc}" if exc else "Asterisk closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Hand on what happened (asyncio's call)."""
        if self._reason is not None:
            return
        try:
            happenings = self._session.receive(data)
        except AmiProtocolError as error:
            self.drop(error)
            return
        for happening in happenings:
            match happening:
                case Event():
                    try:
                        self._on_event(happening)
                    except Exception:
                        log.exception("event callback failed", ami_event=happening.name)
                case Exchange():
                    waiter = self._waiters.pop(happening, None)
                    if waiter is not None and not waiter.done():
                        waiter.set_result(None)
                case Greeting():
                    if not self.greeting.done():
                        self.greeting.set_result(happening.line)

    async def exchange(self, actions: Sequence[SimpleAction], *, timeout_s: float, is_list: bool = False) -> Exchange:
        """Send actions in one write; return when all are answered, whatever the answers say.

        Raises:
            AmiValueError: one of them cannot be sent; nothing was.
            AmiTimeout: the answers were not all here in time. Later ones are taken for nobody's.
            AmiLinkLost: the connection is lost, or was while waiting.
        """
        if self._reason is not None or self._transport is None:
            raise AmiLinkLost(str(self._reason or "not connected yet"))
        exchange, payload = self._session.ask(actions, is_list=is_list)
        waiter: asyncio.Future[None] = self._loop.create_future()
        try:
            self._write(self._transport, payload)
            self._waiters[exchange] = waiter
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError as error:
            raise AmiTimeout(
                f"{exchange.missing} of {len(actions)} actions ({exchange.names[0]}, …) were not answered "
                f"within {timeout_s:g} s"
                if len(actions) > 1
                else f"{exchange.names[0]} was not answered within {timeout_s:g} s"
            ) from error
        finally:
            # A waiter that is done normally was taken out by data_received, and nothing is left to forget.
            if self._waiters.pop(exchange, None) is not None or self._reason is not None:
                self._session.forget(exchange)
        return exchange

    def drop(self, reason: AmiError) -> None:
        """Close at once and fail everything that waits. The first reason given stands."""
        if self._reason is not None:
            return
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()
        if not self.greeting.done():
            self.greeting.set_exception(reason)
            self.greeting.exception()  # seen: nobody may be waiting for a greeting any more
        if not self.lost.done():
            self.lost.set_result(reason)
        waiters = list(self._waiters.values())
        self._waiters.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(AmiLinkLost(str(reason)))

    async def close(self) -> None:
        """Drop the connection and wait until its socket is closed. Quiet when it is already."""
        self.drop(AmiLinkLost("the link was closed"))
        if self._transport is not None:
            # abort() asks nothing of the peer, but uvloop never tells of the loss of a connection whose
            # create_connection was cancelled, though it had told of its making.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._closed.wait()

    def _write(self, transport: asyncio.Transport, payload: bytes) -> None:
        waiting = transport.get_write_buffer_size()
        if waiting and waiting + len(payload) > MAX_WRITE_BUFFER_BYTES:
            self.drop(AmiLinkLost(f"Asterisk does not read: {waiting} bytes of actions wait to be sent to it"))
            raise AmiLinkLost(str(self._reason))
        transport.write(payload)
