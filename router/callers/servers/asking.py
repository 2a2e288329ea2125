"""Asking the servers of the registry, whichever of them holds a key, within the deadline."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection

from router.callers.breaker import Breaker, BreakerState
from router.callers.servers.address import RegistryAddress
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.lane import Lane, RoundTrips
from router.callers.servers.layout import Layout, Shard
from router.callers.servers.link import RegistryLink
from router.callers.servers.wire import Command, Reply
from router.callers.settings import RedisSettings

# Long enough for a disk that stalls a save, short enough for a person at a terminal.
ADMIN_TIMEOUT_S: Final = 5.0


class Finder(Protocol):
    """Knows where the servers are."""

    def first(self) -> Layout | None:
        """What is known without looking."""

    async def look(self) -> Layout:
        """Find out anew. Raises LookupFailedError."""

    def address(self, server: str) -> RegistryAddress:
        """How to reach one of them."""

    def client(self, *, timeout_s: float) -> Redis | RedisCluster:
        """A client of redis-py."""

    async def close(self) -> None:
        """Drop what connections it has."""


class SingleServer:
    """One server, always the same."""

    def __init__(self, address: RegistryAddress) -> None:
        self._address = address
        self._layout = Layout([Shard(address.name)])

    def __repr__(self) -> str:
        return repr(self._address)

    def first(self) -> Layout | None:
        """The server."""
        return self._layout

    async def look(self) -> Layout:
        """The server."""
        return self._layout

    def address(self, server: str) -> RegistryAddress:  # noqa: ARG002 - there is only one
        """Its address."""
        return self._address

    def client(self, *, timeout_s: float) -> Redis:
        """A client of it."""
        return self._address.client(timeout_s=timeout_s)

    async def close(self) -> None:
        """Nothing to do."""


@dataclass(slots=True)
class ServersStats(RoundTrips):
    """Counters since the start."""

    asks: int = 0
    failures: Counter[LookupFailure] = field(default_factory=Counter)


class Servers:
    """All servers of the registry; see `open_servers`, which makes it. Belongs to one event loop."""

    def __init__(
        self,
        finder: Finder,
        *,
        deadline_s: float,
        connect_s: float,
        max_batch: int,
        max_waiting: int,
        breaker: Callable[[], Breaker],
    ) -> None:
        self.stats = ServersStats()
        self._finder = finder
        self._layout = finder.first()
        self._deadline_s = deadline_s
        self._connect_s = connect_s
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._breaker = breaker
        self._lanes: dict[str, Lane] = {}
        self._admin: Redis | RedisCluster | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Servers {self._finder!r} breaker={self.breaker_state.value}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def breaker_state(self) -> BreakerState:
        """Whether the servers are being asked; of several, the worst."""
        states = {lane.breaker_state for lane in self._lanes.values()}
        for state in (BreakerState.OPEN, BreakerState.HALF_OPEN):
            if state in states:
                return state
        return BreakerState.CLOSED

    async def ask(self, key: str, commands: Sequence[Command], *, writing: bool = False) -> list[Reply]:
        """The answers of `key`'s server to `commands`, in their order, from a round trip shared with others.

        Args:
            key: Decides which server is asked.
            commands: All of keys on that server; they must do no harm when they are sent twice.
            writing: Whether one of them writes.

        Returns:
            What Redis answered: bytes, a number, None, a list of these, or a `ResponseError` for a command refused.

        Raises:
            LookupFailedError: No answer came within the deadline.
        """
        self.stats.asks += 1
        try:
            return await self._ask(key, commands, writing)
        except LookupFailedError as failed:
            self.stats.failures[failed.failure] += 1
            raise

    def admin(self) -> Redis | RedisCluster:
        """A client for all but lookups, which waits ADMIN_TIMEOUT_S for an answer.

        Raises:
            LookupFailedError: This was closed.
        """
        if self._closed:
            raise LookupFailedError(LookupFailure.CLOSED)
        if self._admin is None:
            self._admin = self._finder.client(timeout_s=ADMIN_TIMEOUT_S)
        return self._admin

    async def server_for(self, key: str, *, writing: bool) -> str:
        """Who holds a key as known now, `host:port`.

        Raises:
            LookupFailedError: It could not be found out.
        """
        del writing
        return self._shard_of(key).primary

    async def connection(self, server: str, *, connect_s: float, answer_s: float) -> AbstractConnection:
        """A connection to a server that is not connected yet, for whoever sends much; theirs to close."""
        return self._finder.address(server).connection(connect_s=connect_s, answer_s=answer_s)

    async def primaries(self) -> list[str]:
        """The servers that are written to, each `host:port`.

        Raises:
            LookupFailedError: It could not be found out.
        """
        return [shard.primary for shard in self._layout.shards] if self._layout is not None else []

    async def close(self) -> None:
        """Drop the connections. Questions still waiting fail at once, and so does every later one."""
        self._closed = True
        for lane in self._lanes.values():
            await lane.close()
        await self._finder.close()
        if self._admin is not None:
            await self._admin.aclose()
            self._admin = None

    async def _ask(self, key: str, commands: Sequence[Command], writing: bool) -> list[Reply]:
        if self._closed:
            raise LookupFailedError(LookupFailure.CLOSED)
        del writing
        due_s = asyncio.get_running_loop().time() + self._deadline_s
        return await self._lane(self._shard_of(key).primary).ask(commands, due_s)

    def _shard_of(self, key: str) -> Shard:
        shard = self._layout.shard_of(key) if self._layout is not None else None
        if shard is None:
            raise LookupFailedError(LookupFailure.UNREACHABLE, "no server is known")
        return shard

    def _lane(self, server: str) -> Lane:
        lane = self._lanes.get(server)
        if lane is None:
            link = RegistryLink(self._finder.address(server), answer_s=self._deadline_s, connect_s=self._connect_s)
            lane = self._lanes[server] = Lane(
                server,
                link,
                breaker=self._breaker(),
                max_batch=self._max_batch,
                max_waiting=self._max_waiting,
                trips=self.stats,
            )
        return lane


def open_servers(
    settings: RedisSettings,
    *,
    deadline_s: float = 0.05,
    connect_s: float = 0.5,
    max_batch: int = 256,
    max_waiting: int = 1024,
    breaker: Callable[[], Breaker] = Breaker,
) -> Servers:
    """The servers of the registry. Connects at the first question, so that the router starts without Redis too.

    Args:
        settings: Where they are and how to log in.
        deadline_s: After this long a question has its answer or its failure, connecting included.
        connect_s: How long one attempt to connect may take, while questions fail at their own deadline.
        max_batch: Most questions in one round trip, so that it holds Redis up for a millisecond at most.
        max_waiting: Most questions waiting for one server's next round trip; one more fails at once. At 3,000/s and
            the default deadline 150 wait at worst.
        breaker: Makes the breaker of each server.

    Raises:
        ConfigurationError: The URL is of no known form, a server is no `host:port`, a file for TLS cannot be used.
    """
    return Servers(
        SingleServer(RegistryAddress.of(settings)),
        deadline_s=deadline_s,
        connect_s=connect_s,
        max_batch=max_batch,
        max_waiting=max_waiting,
        breaker=breaker,
    )
