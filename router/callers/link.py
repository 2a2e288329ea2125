"""One connection to Redis for lookups: connects by itself, waits with a deadline, reuses nothing stale.

Redis answers in order and without naming the question. A connection that was given up on while an answer was
still to come would hand that answer to the next question, so any failure drops the connection. The client
library's own retries and time limits are switched off here: there is one deadline, ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from router.callers.deadline import Deadline
from router.errors import ConfigurationError, Problem

Command: TypeAlias = tuple[str | int | float, ...]
Reply: TypeAlias = Any
"""What Redis answers: bytes, a whole number, None, a list of these, or a `ResponseError` that was not raised."""

# Redis's own word for a server: a URL may hold a password, this may not.
_SHOWN = ("host", "port", "path", "db")


class RegistryAddress:
    """Where the registry is and how to log in. Its `repr` and `str` show the place only, never the password.

    Args:
        url: `redis://host:port/db`, `rediss://…` (TLS) or `unix:///path?db=0`.
        password: Stronger than one written into the URL; None leaves that.

    Raises:
        ConfigurationError: The URL is of no such form.
    """

    def __init__(self, url: str, password: str | None) -> None:
        try:
            options: dict[str, Any] = dict(parse_url(url))
            self._connection_class: type[AbstractConnection] = options.pop("connection_class", Connection)
            if password is not None:
                options["password"] = password
            self._options = options
            self.connection(connect_s=1.0)
        except (ValueError, TypeError, RedisError):
            # Without the cause: its text may quote the URL, and with it the password.
            wanted = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB"
            raise ConfigurationError([Problem("Redis URL", 0, 0, f"cannot be used; write {wanted}")]) from None

    def __repr__(self) -> str:
        return "redis " + " ".join(f"{name}={self._options[name]}" for name in _SHOWN if name in self._options)

    def connection(self, *, connect_s: float) -> AbstractConnection:
        """A connection that is not connected yet, tries nothing twice and has no deadline for answers."""
        return self._connection_class(**self._options, **_settings(connect_s=connect_s, answer_s=None))

    def client(self, *, timeout_s: float) -> Redis:
        """A client for everything but lookups, where waiting `timeout_s` for an answer does no harm."""
        settings = _settings(connect_s=timeout_s, answer_s=timeout_s)
        pool = ConnectionPool(self._connection_class, max_connections=4, **self._options, **settings)
        return Redis.from_pool(pool)


def _settings(*, connect_s: float, answer_s: float | None) -> dict[str, Any]:
    return {
        "socket_connect_timeout": connect_s,
        "socket_timeout": answer_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # needs no HELLO, so that connecting is one round trip less
    }


class RegistryLink:
    """Sends many commands in one round trip over one connection. One question at a time.

    Args:
        address: Where to connect to, at the first question and after each failure.
        answer_s: Deadline of one question on a connection that stands.
        connect_s: Deadline of connecting, logging in included. Longer than `answer_s`: a server some
            milliseconds away needs several round trips, and would otherwise never be reached at all.
    """

    def __init__(self, address: RegistryAddress, *, answer_s: float, connect_s: float) -> None:
        self._answer_s = answer_s
        self._connect_s = connect_s
        self._connection = address.connection(connect_s=connect_s)

    async def ask(self, commands: Sequence[Command]) -> list[Reply]:
        """The answers to `commands`, in their order, from one round trip; a refusal of one is an answer too.

        The commands must do no harm when they are sent twice.

        Raises:
            RedisError, OSError, TimeoutError: It could not be found out; the next call connects anew.
        """
        reused = self._connection.is_connected
        try:
            return await self._ask(commands)
        except RedisConnectionError:
            if not reused:
                raise
            # Redis closed a connection that stood: restarted, or because it was idle for its `timeout`.
            # That says nothing about whether it answers now.
            return await self._ask(commands)

    async def close(self) -> None:
        """Drop the connection."""
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    async def _ask(self, commands: Sequence[Command]) -> list[Reply]:
        connection = self._connection
        try:
            if not connection.is_connected:
                async with asyncio.timeout(self._connect_s):
                    await connection.connect()  # type: ignore[no-untyped-call]  # the library's own gap
            async with Deadline(self._answer_s):
                await connection.send_packed_command(connection.pack_commands(commands))
                return [await _reply(connection) for _ in commands]
        except BaseException:
            await self.close()
            raise


async def _reply(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refused:
        return refused
