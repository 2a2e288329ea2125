"""The primary and its replicas, as Sentinels know them.

All Sentinels are asked side by side: redis-py's own way is one after the other, so that one that hangs would cost its
time limit at each failover. What most of them say is taken at once; else, a little after the first answer, that of the
newest configuration: a Sentinel that was cut off still names the primary of old
(https://redis.io/docs/latest/develop/reference/sentinel-clients/).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from router.callers.servers.address import MOST_CONNECTIONS, RegistryAddress, host_and_port, server_name
from router.callers.servers.failure import LookupFailedError, LookupFailure, lookup_failed
from router.callers.servers.layout import Layout, Shard
from router.callers.servers.wire import Command

MORE_ANSWERS_S: Final = 0.1
"""How long others are waited for after one Sentinel has answered, while most have not."""


@dataclass(frozen=True, slots=True, order=True)
class _Told:
    """What one Sentinel says; the greatest is to be believed."""

    alive: bool
    epoch: int
    primary: str
    replicas: tuple[str, ...]


class SentinelFinder:
    """Asks the Sentinels of one service.

    Args:
        sentinels: Each `host:port`.
        service: What they call the primary.
        login: How to log in at the primary and its replicas; its place does not matter.
        sentinel_login: The same for the Sentinels.
        answer_s: How long one Sentinel may take to connect, and as long to answer.
        replicas: Whether the replicas are wanted.
    """

    greeting: Sequence[Command] = ()
    known: Final = None

    def __init__(
        self,
        sentinels: Sequence[str],
        service: str,
        *,
        login: RegistryAddress,
        sentinel_login: RegistryAddress,
        answer_s: float,
        replicas: bool,
    ) -> None:
        self._service = service
        self._login = login
        self._sentinel_login = sentinel_login
        self._sentinels = tuple(host_and_port(sentinel) for sentinel in sentinels)
        self._replicas = replicas
        options = sentinel_login.options(connect_s=answer_s, answer_s=answer_s)
        # One of redis-py's for each, so that each is asked by itself.
        self._asked = [_sentinel([sentinel], options) for sentinel in self._sentinels]
        self._admin: Sentinel | None = None

    def __repr__(self) -> str:
        return f"redis service={self._service} sentinels={','.join(server_name(*one) for one in self._sentinels)}"

    async def look(self, lost: Collection[str], knows: str | None = None) -> Layout:  # noqa: ARG002 - Sentinels know
        """The primary that most Sentinels name, or the newest of those named.

        Raises:
            LookupFailedError: No Sentinel answered, or none knows the service.
        """
        tasks = [asyncio.create_task(self._told(sentinel), name="sentinel") for sentinel in self._asked]
        try:
            told, failed = await self._believed(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if told is None:
            raise LookupFailedError(LookupFailure.UNREACHABLE, f"no Sentinel helps: {failed or 'none is asked'}")
        return Layout([Shard(told.primary, told.replicas)])

    def address(self, server: str) -> RegistryAddress:
        """How to reach the primary or a replica."""
        return self._login.at(server)

    def client(self, *, timeout_s: float) -> Redis:
        """A client of the primary, which finds it anew after a failover."""
        sentinel_options = self._sentinel_login.options(connect_s=timeout_s / 5, answer_s=timeout_s / 5)
        self._admin = _sentinel(self._sentinels, sentinel_options)
        options = self._login.options(connect_s=timeout_s, answer_s=timeout_s)
        options |= {
            "retry": Retry(NoBackoff(), 1),
            "max_connections": MOST_CONNECTIONS,
        }  # once more, at the primary that is found then
        client: Redis = self._admin.master_for(self._service, **options)
        return client

    async def close(self) -> None:
        """Drop the connections to the Sentinels."""
        for one in (*self._asked, *([self._admin] if self._admin else [])):
            for client in one.sentinels:
                await client.aclose()

    async def _told(self, sentinel: Sentinel) -> _Told | LookupFailedError:
        try:
            states: Any = await sentinel.sentinels[0].sentinel_masters()
            state = states.get(self._service)
            if state is None:
                return LookupFailedError(LookupFailure.REFUSED, f"it knows no service {self._service!r}")
            alive = sentinel.check_master_state(state, self._service)
            replicas = await sentinel.discover_slaves(self._service) if self._replicas else ()
            primary, epoch = _server(state["ip"], state["port"]), int(state.get("config-epoch", 0))
            return _Told(alive, epoch, primary, tuple(sorted({_server(*replica) for replica in replicas} - {primary})))
        except Exception as error:  # noqa: BLE001 - of one Sentinel, whatever it may have sent; the others go on
            return lookup_failed(error)

    async def _believed(
        self, tasks: Sequence[asyncio.Task[_Told | LookupFailedError]]
    ) -> tuple[_Told | None, LookupFailedError | None]:
        loop = asyncio.get_running_loop()
        told: list[_Told] = []
        failed: LookupFailedError | None = None
        waiting = set(tasks)
        until_s: float | None = None
        while waiting and (until_s is None or loop.time() < until_s):
            timeout_s = None if until_s is None else until_s - loop.time()
            done, waiting = await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if isinstance(answer := task.result(), _Told):
                    told.append(answer)
                else:
                    failed = answer
            for one in told:
                same = sum(other.primary == one.primary for other in told if other.alive)
                if one.alive and same * 2 > len(tasks):
                    return max(other for other in told if other.alive and other.primary == one.primary), None
            if told and until_s is None:
                until_s = loop.time() + MORE_ANSWERS_S
        return max(told, default=None), failed


def _sentinel(sentinels: Sequence[tuple[str, int]], options: dict[str, Any]) -> Sentinel:
    return Sentinel(list(sentinels), sentinel_kwargs=options)  # type: ignore[no-untyped-call]  # the library's own gap


def _server(host: Any, port: Any) -> str:  # noqa: ANN401 - whatever a Sentinel may have sent
    server = server_name(str(host), int(port))
    host_and_port(server)
    return server
