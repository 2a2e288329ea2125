"""Connections to the primaries for much work at once, and doing that work again when a server was lost.

What is done over them may be done twice: it is always the same keys with the same contents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from router.callers.servers.failure import REDIS_ERRORS, LookupFailedError, LookupFailure, lookup_failed
from router.callers.servers.wire import Command, Reply
from router.errors import RegistryError

CONNECT_S: Final = 2.0
ANSWER_S: Final = 30.0
"""A server that saves its memory to a busy disk may stop for seconds."""
PATIENCE_S: Final = 60.0
"""A failover takes some seconds; Sentinel's default is to wait 30 s before it begins one."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0

# What passes when the server, or the cluster, has sorted itself out. `MovedError` is an `AskError`.
_PASSING: Final = (AskError, ClusterDownError, MasterDownError, ReadOnlyError, TryAgainError)

_Done = TypeVar("_Done")


class Primaries(Protocol):
    """What of `servers.Servers` the loading needs."""

    async def server_for(self, key: str, *, writing: bool) -> str:
        """`host:port` of the server that holds a key, as known now."""

    async def connection(self, server: str, *, connect_s: float, answer_s: float | None) -> AbstractConnection:
        """A new connection to it, not connected yet."""

    async def primaries(self) -> list[str]:
        """All that hold keys."""


class Line:
    """One connection that stands. Whoever sends must read as many answers."""

    def __init__(self, server: str, connection: AbstractConnection) -> None:
        self.server = server
        self._connection = connection

    async def send(self, packed: bytes) -> None:
        """Send commands in Redis's own form; waits while the server does not take them."""
        async with asyncio.timeout(ANSWER_S):
            await self._connection.send_packed_command([packed])

    async def answers(self, count: int) -> list[Reply]:
        """The next answers; a refusal is one too."""
        found: list[Reply] = []
        async with asyncio.timeout(ANSWER_S):
            while len(found) < count:
                try:
                    found.append(await self._connection.read_response(disable_decoding=True))
                except ResponseError as refused:
                    found.append(refused)
        return found

    async def ask(self, *commands: Command) -> list[Reply]:
        """The answers to some commands, in one round trip. Nothing else may be on its way."""
        async with asyncio.timeout(ANSWER_S):
            await self._connection.send_packed_command(self._connection.pack_commands(commands))
        return await self.answers(len(commands))

    async def get(self, *command: str | bytes | float) -> Reply:
        """The answer to one command.

        Raises:
            ResponseError: Redis refused it.
        """
        return accepted((await self.ask(command))[0])

    async def close(self) -> None:
        """Drop it."""
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)


class Lines:
    """One line to each server, opened at first use. An async context manager."""

    def __init__(self, servers: Primaries) -> None:
        self._servers = servers
        self._open: dict[tuple[str, str], Line] = {}

    async def to(self, key: str, use: str = "work") -> Line:
        """The line to the server that holds a key; each use has its own."""
        return await self._line(await self._servers.server_for(key, writing=True), use)

    async def every(self) -> list[Line]:
        """The lines to all primaries."""
        return [await self._line(server, "work") for server in await self._servers.primaries()]

    async def close(self) -> None:
        """Drop all; they are opened again when needed."""
        lines, self._open = list(self._open.values()), {}
        for line in lines:
            await line.close()

    async def persistently(self, work: Callable[[], Awaitable[_Done]], *, patience_s: float = PATIENCE_S) -> _Done:
        """Do something, and do it again while servers are lost, replaced or busy, until it has failed for so long.

        What has gone well for as long as that before it failed has all its patience again.

        Raises:
            RegistryError: It could not be done; its text says what to do.
        """
        loop = asyncio.get_running_loop()
        failing_since_s, pause_s = float("inf"), _FIRST_PAUSE_S
        while True:
            began_s = loop.time()
            try:
                return await work()
            except (*REDIS_ERRORS, LookupFailedError) as error:
                await self.close()
                now_s = loop.time()
                if now_s - began_s > patience_s or now_s < failing_since_s:
                    failing_since_s, pause_s = now_s, _FIRST_PAUSE_S
                if not _passes(error) or now_s + pause_s - failing_since_s > patience_s:
                    raise explained(error) from error
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            except BaseException:
                await self.close()  # answers may still be on their way
                raise

    async def _line(self, server: str, use: str) -> Line:
        if (line := self._open.get((server, use))) is None:
            # Without redis-py's own time limit for answers: it goes through `asyncio.wait_for`, which in Python 3.11
            # may lose a cancellation, and with it somebody's Ctrl-C.
            connection = await self._servers.connection(server, connect_s=CONNECT_S, answer_s=None)
            try:
                async with asyncio.timeout(CONNECT_S):
                    await connection.connect()  # type: ignore[no-untyped-call]  # the library's own gap
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            line = self._open[server, use] = Line(server, connection)
        return line


def accepted(reply: Reply) -> Reply:
    """The reply itself.

    Raises:
        ResponseError: It is a refusal.
    """
    if isinstance(reply, ResponseError):
        raise reply
    return reply


def explained(error: BaseException) -> RegistryError:
    """What a person is told of an error that did not pass."""
    if isinstance(error, OutOfMemoryError):
        return RegistryError(
            "Redis is out of memory (maxmemory); a full load needs room for the callers that are there and the new "
            "ones, 12 bytes each: raise maxmemory, then run the same command again, it goes on where it stopped"
        )
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return RegistryError("Redis did not answer in time; run the same command again, it goes on where it stopped")
    return RegistryError(str(lookup_failed(error)))


def _passes(error: BaseException) -> bool:
    if isinstance(error, ResponseError):
        return isinstance(error, _PASSING)
    if isinstance(error, LookupFailedError):
        return error.failure in (LookupFailure.UNREACHABLE, LookupFailure.DEADLINE)
    # AuthenticationError is a connection error for redis-py, and passes as little as any other refusal.
    return not (isinstance(error, RedisConnectionError) and getattr(error, "status_code", None) in _FINAL)


_FINAL: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})
