"""One connection to Redis for lookups: connects by itself, waits with a deadline, reuses nothing stale.

Redis answers in order and without naming the question. A connection that was given up on while an answer was
still to come would hand that answer to the next question, so any failure drops the connection. The client
library's own retries and time limits are switched off: there is one deadline, ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from router.callers.deadline import Deadline
from router.callers.servers.address import RegistryAddress
from router.callers.servers.wire import Command, Reply


class RegistryLink:
    """Sends many commands in one round trip over one connection. One question at a time.

    Args:
        address: Where to connect to, at the first question and after each failure.
        answer_s: Deadline of one question on a connection that stands.
        connect_s: Deadline of connecting, logging in included. Longer than `answer_s`: a server some
            milliseconds away needs several round trips, and would otherwise never be reached at all.
        greeting: Sent after each connecting; a refusal fails the connection.
        dropped: Called when a connection that stood was found closed, or of no use any more.
    """

    def __init__(
        self,
        address: RegistryAddress,
        *,
        answer_s: float,
        connect_s: float,
        greeting: Sequence[Command] = (),
        dropped: Callable[[], object] = lambda: None,
    ) -> None:
        self._answer_s = answer_s
        self._connect_s = connect_s
        self._greeting = greeting
        self._connection = address.connection(connect_s=connect_s)
        self._dropped = dropped

    async def ask(self, commands: Sequence[Command]) -> list[Reply]:
        """The answers to `commands`, in their order, from one round trip; a refusal of one is an answer too.

        The commands must do no harm when they are sent twice.

        Raises:
            RedisError, OSError, TimeoutError: It could not be found out; the next call connects anew.
        """
        reused = self._connection.is_connected
        if reused and await self._is_spoilt():
            self._dropped()
            await self.close()
            reused = False
        try:
            return await self._ask(commands)
        except RedisConnectionError:
            if not reused:
                raise
            # Redis closed a connection that stood: restarted, or because it was idle for its `timeout`.
            # That says nothing about whether it answers now.
            self._dropped()
            return await self._ask(commands)

    async def close(self) -> None:
        """Drop the connection."""
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    async def _is_spoilt(self) -> bool:
        """Whether a connection that stands was closed, or holds an answer to nothing, which the next would get."""
        # Redis-py before 8.0 has only the other name, and there it takes longer.
        connection = self._connection
        can_read = getattr(connection, "can_read", connection.can_read_destructive)
        try:
            return bool(await can_read())
        except RedisConnectionError:
            return True

    async def _ask(self, commands: Sequence[Command]) -> list[Reply]:
        connection = self._connection
        try:
            if not connection.is_connected:
                async with Deadline(self._connect_s):
                    await self._connect()
            async with Deadline(self._answer_s):
                # The client's own packing takes 2 µs more for each command.
                packed = b"".join(pack_command(command) for command in commands)  # type: ignore[arg-type]  # its stub
                await connection.send_packed_command([packed])
                return [await _reply(connection) for _ in commands]
        except BaseException:
            await self.close()
            raise

    async def _connect(self) -> None:
        await self._connection.connect()  # type: ignore[no-untyped-call]  # the library's own gap
        if self._greeting:
            await self._connection.send_packed_command(self._connection.pack_commands(self._greeting))
            for _ in self._greeting:
                await self._connection.read_response(disable_decoding=True)


async def _reply(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refused:
        return refused
    except ValueError as error:  # MOVED or ASK that names no server, which redis-py trips over
        raise InvalidResponse("MOVED or ASK without a server") from error
