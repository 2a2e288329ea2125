"""Connections of the wallboard's viewers: each is for one request, and none is held for nothing.

Whoever says nothing, sends slowly or does not read what it asked for is hung up on. When there are too many, the one
that has been answered nothing for longest makes room: a flood cannot lock out whoever asks at once, as browsers do.
Only pictures go on, which have deadlines of their own.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

ANSWERED_WITHIN_S: Final = 10.0
"""From the connection to the end of the answer, however much of that is the other side's."""


class Connections:
    """Those that are open.

    Args:
        most: So many are open at once. More than there are viewers, or there may be none to make room.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[asyncio.Transport] = set()
        self._unanswered: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def new(self, answers: asyncio.Protocol) -> asyncio.Protocol:
        """What speaks on the next one, and lets `answers` speak."""
        return _Connection(self, answers)

    def viewing(self, transport: asyncio.Transport | None) -> None:
        """It is sent pictures from now on, and has no deadline here."""
        if transport is not None and (timer := self._unanswered.pop(transport, None)) is not None:
            timer.cancel()

    def came(self, transport: asyncio.Transport) -> bool:
        """Whether there is room for one, which then has its deadline."""
        if len(self._open) >= self._most:
            longest = next(iter(self._unanswered), None)
            if longest is None:
                return False
            self.went(longest)
            longest.abort()
        self._open.add(transport)
        loop = asyncio.get_running_loop()
        self._unanswered[transport] = loop.call_later(ANSWERED_WITHIN_S, transport.abort)
        return True

    def went(self, transport: asyncio.Transport) -> None:
        """It is closed."""
        self._open.discard(transport)
        self.viewing(transport)


class _Connection(asyncio.Protocol):
    """Hands everything on to what answers."""

    def __init__(self, connections: Connections, answers: asyncio.Protocol) -> None:
        self._connections = connections
        self._answers = answers
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's, which is one, does not say so to isinstance
        if self._connections.came(stream):
            self._transport = stream
            self._answers.connection_made(stream)
        else:
            stream.close()

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._answers.data_received(data)

    def eof_received(self) -> bool | None:
        return self._answers.eof_received() if self._transport is not None else None

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._answers.pause_writing()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._answers.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.went(self._transport)
            self._answers.connection_lost(exc)
