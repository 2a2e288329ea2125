"""Asking one server what it says of itself, on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from router.callers.servers import Servers
from router.callers.servers.failure import REDIS_ERRORS, lookup_failed
from router.callers.servers.wire import Reply

CONNECT_S: Final = 2.0
ANSWER_S: Final = 5.0


class Teller:
    """One server."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def ask(self, *command: str | bytes | int | float) -> Reply:
        """The answer to one command; a refusal is a `ResponseError`, which is not raised.

        Raises:
            LookupFailedError: There is none.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._connection.send_command(*command)
                return await self._connection.read_response(disable_decoding=True)
        except (ResponseError, NoPermissionError) as refused:
            return refused
        except REDIS_ERRORS as error:
            raise lookup_failed(error) from error

    async def says(self, *command: str | bytes | int) -> dict[str, str] | None:
        """The pairs of a `CONFIG GET` or the lines of an `INFO`; None if this user may not ask.

        Raises:
            LookupFailedError: There is no answer.
        """
        reply = await self.ask(*command)
        if isinstance(reply, bytes):
            lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
            return {name: value for name, colon, value in lines if colon}
        if isinstance(reply, list):
            words = [word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in reply]
            return dict(zip(words[::2], words[1::2], strict=False))
        return None


@asynccontextmanager
async def teller(servers: Servers, server: str) -> AsyncIterator[Teller]:
    """One of the servers, asked until the block ends.

    Raises:
        LookupFailedError: It cannot be reached, or does not let us in.
    """
    connection = await servers.connection(server, connect_s=CONNECT_S, answer_s=ANSWER_S)
    async with teller_of(connection) as asked:
        yield asked


@asynccontextmanager
async def teller_of(connection: AbstractConnection) -> AsyncIterator[Teller]:
    """Whoever is at the other end of a connection that is not connected yet.

    Raises:
        LookupFailedError: It cannot be reached, or does not let us in.
    """
    try:
        try:
            async with asyncio.timeout(CONNECT_S):
                await connection.connect()  # type: ignore[no-untyped-call]  # the library's own gap
        except (*REDIS_ERRORS, AuthenticationError) as error:
            raise lookup_failed(error) from error
        yield Teller(connection)
    finally:
        with suppress(RedisError, OSError):
            await connection.disconnect(nowait=True)


def number_in(said: Mapping[str, str], name: str) -> int:
    """A whole number that a server says of itself; 0 where it says nothing of the kind."""
    text = said.get(name, "")
    return int(text) if text.isascii() and text.removeprefix("-").isdecimal() else 0
