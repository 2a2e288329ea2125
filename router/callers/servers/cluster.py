"""Which server of a Redis Cluster holds which slots, as its servers know it.

Several servers are asked side by side and the first good answer is taken. redis-py's `NodesManager` asks one after the
other under a lock, each for as long as its time limit, and wants all slots served: with a server that hangs, lookups at
the others would wait for it. Its `RedisCluster` is what everything but lookups goes through.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from typing import Any, Final

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from router.callers.servers.address import RegistryAddress, host_and_port, server_name
from router.callers.servers.failure import LookupFailedError, LookupFailure, lookup_failed
from router.callers.servers.layout import SLOTS, Layout, Shard
from router.callers.servers.wire import Command, Reply

AT_ONCE: Final = 3
"""So many servers are asked side by side: two that hang delay nothing, and a large cluster is not asked as a whole."""


class ClusterFinder:
    """Asks the servers of a cluster for its slots.

    Args:
        servers: Some of it, each `host:port`.
        login: How to log in; its place does not matter.
        answer_s: How long one server may take to connect and answer.
        replicas: Whether the replicas are to be read from.
    """

    known: Final = None

    def __init__(self, servers: Sequence[str], *, login: RegistryAddress, answer_s: float, replicas: bool) -> None:
        self._servers = tuple(server_name(*host_and_port(server)) for server in servers)
        self._login = login
        self._answer_s = answer_s
        self._seen: frozenset[str] = frozenset()
        # A replica reads for a connection that has said so; a primary does not mind.
        self.greeting: Sequence[Command] = (("READONLY",),) if replicas else ()

    def __repr__(self) -> str:
        return f"redis cluster={','.join(self._servers)}"

    async def look(self, lost: Collection[str], knows: str | None = None) -> Layout:
        """The slots as the first server to answer knows them; whoever `knows` has the first word.

        Raises:
            LookupFailedError: No server answered with slots.
        """
        candidates = list({*self._servers, *self._seen})
        random.shuffle(candidates)
        candidates.sort(key=lambda server: server in lost)  # keeps the order otherwise
        asked: set[asyncio.Task[Layout | LookupFailedError]] = set()
        incomplete: Layout | None = None
        failed = LookupFailedError(LookupFailure.UNREACHABLE, "no server of the cluster is known")
        try:
            if knows is not None:
                # The others may not have heard yet what has moved.
                asked.add(asyncio.create_task(self._slots(knows), name="cluster"))
            while candidates or asked:
                while candidates and len(asked) < (AT_ONCE if knows is None else 1):
                    asked.add(asyncio.create_task(self._slots(candidates.pop(0)), name="cluster"))
                done, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    knows = None
                    if isinstance(answer := task.result(), LookupFailedError):
                        failed = answer
                    elif answer.is_complete:
                        return self._told(answer)
                    else:
                        incomplete = answer
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if incomplete is None:
            raise LookupFailedError(LookupFailure.UNREACHABLE, f"no server tells the cluster's slots: {failed}")
        return self._told(incomplete)

    def address(self, server: str) -> RegistryAddress:
        """How to reach a server."""
        return self._login.at(server)

    def client(self, *, timeout_s: float) -> RedisCluster:
        """A client of the whole cluster; asks twice more after a failure, when it has looked for the slots anew."""
        nodes = [ClusterNode(*host_and_port(server)) for server in self._servers]
        options = self._login.options(connect_s=timeout_s / 3, answer_s=timeout_s)
        options |= {"retry": Retry(ConstantBackoff(0.2), 2)}
        options.pop("db", None)
        return RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)

    async def close(self) -> None:
        """Nothing to do: connections for looking do not outlive it."""

    def _told(self, layout: Layout) -> Layout:
        self._seen = layout.servers
        return layout

    async def _slots(self, server: str) -> Layout | LookupFailedError:
        connection = self._login.at(server).connection(connect_s=self._answer_s)
        try:
            async with asyncio.timeout(self._answer_s):
                await connection.connect()  # type: ignore[no-untyped-call]  # the library's own gap
                await connection.send_command("CLUSTER", "SLOTS")
                return read_slots(await connection.read_response(disable_decoding=True), server)
        except Exception as error:  # noqa: BLE001 - of one server, whatever it may have sent; the others go on
            return lookup_failed(error)
        finally:
            await connection.disconnect(nowait=True)


def read_slots(reply: Reply, asked: str) -> Layout:
    """What CLUSTER SLOTS answered (https://redis.io/docs/latest/commands/cluster-slots/).

    Args:
        reply: `[[first, last, primary, replica…]…]`, each server `[host, port, id, …]`.
        asked: Who answered; it may leave out its own host.

    Raises:
        ValueError: It is something else, or no slot is served.
    """
    if not isinstance(reply, list):
        raise ValueError("CLUSTER SLOTS was answered with something else")  # noqa: TRY004 - of the wire, not the code
    slots = [-1] * SLOTS
    shards: dict[Shard, int] = {}
    for entry in reply:
        match entry:
            case [int(first), int(last), primary, *others] if 0 <= first <= last < SLOTS:
                named = [_server(other, asked) for other in others]
                shard = Shard(_server(primary, asked) or "", tuple(sorted({name for name in named if name})))
            case _:
                raise ValueError("CLUSTER SLOTS was answered with something else")
        if shard.primary:
            place = shards.setdefault(shard, len(shards))
            slots[first : last + 1] = [place] * (last + 1 - first)
    if not shards:
        raise ValueError(f"{asked} serves no slots of a cluster")
    return Layout(list(shards), slots)


def _server(entry: Any, asked: str) -> str | None:  # noqa: ANN401 - whatever a server may have sent
    """One server's name; None where its host is not known to whoever answered, who then writes `?`."""
    match entry:
        case [bytes() | None as host, int(port), *_]:
            name = host.decode() if host else host_and_port(asked)[0]
        case _:
            raise ValueError("CLUSTER SLOTS was answered with something else")
    if name == "?":
        return None
    server = server_name(name, port)
    host_and_port(server)
    return server
