"""Finding the servers: what each way of running Redis must be able to tell; the simplest of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from router.callers.servers.address import RegistryAddress
from router.callers.servers.layout import Layout, Shard
from router.callers.servers.wire import Command


class Finder(Protocol):
    """Finds out where the servers are. Its `repr` shows no password."""

    greeting: Sequence[Command]
    """What a connection for lookups sends first."""

    @property
    def known(self) -> Layout | None:
        """The servers, if they never change: then `look` is not called."""

    async def look(self, lost: Collection[str], knows: str | None = None) -> Layout:
        """Find out anew.

        Args:
            lost: Servers that did not answer lately: asked last, if at all.
            knows: A server that should know better than others, if one does.

        Raises:
            LookupFailedError: Nobody who knows answered.
        """

    def address(self, server: str) -> RegistryAddress:
        """How to reach `server`, `host:port`."""

    def client(self, *, timeout_s: float) -> Redis | RedisCluster:
        """A client of redis-py, for all but lookups; no answer takes it longer than some `timeout_s`."""

    async def close(self) -> None:
        """Drop what connections it has."""


class SingleServer:
    """One server, always the same."""

    greeting: Sequence[Command] = ()

    def __init__(self, address: RegistryAddress) -> None:
        self._address = address
        self.known: Final = Layout([Shard(address.name)])

    def __repr__(self) -> str:
        return repr(self._address)

    async def look(self, lost: Collection[str], knows: str | None = None) -> Layout:  # noqa: ARG002 - it does not matter
        """The server."""
        return self.known

    def address(self, server: str) -> RegistryAddress:  # noqa: ARG002 - there is only one
        """Its address."""
        return self._address

    def client(self, *, timeout_s: float) -> Redis:
        """A client of it."""
        return self._address.client(timeout_s=timeout_s)

    async def close(self) -> None:
        """Nothing to do."""
