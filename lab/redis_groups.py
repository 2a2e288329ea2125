"""Several real redis-servers that belong together: a cluster, or a primary with replicas and the Sentinels over it.

Made for failing: times after which a server is held for dead are short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lab.ports import free_port
from lab.processes import Child, LabError, Server
from lab.redis import RedisServer, own_redis, wait_for_port

SLOTS: Final = 16_384
DEAD_AFTER_MS: Final = 1_000
"""A server that is silent for so long is held for dead; production takes 5 to 15 s."""
_PATIENCE_S: Final = 30.0


class RedisCluster:
    """Primaries that share the slots, each with so many replicas. A context manager; needs Redis 7.0 or later.

    Args:
        directory: For what they write.
        primaries: How many; three at least, so that two can agree that one is dead.
        replicas: Of each.
        program: How a server is run; without, the machine's own.
        options: For each server.
        tls: Whether each listens for TLS too, with certificates that `options` names.
    """

    def __init__(
        self,
        directory: Path,
        *,
        primaries: int = 3,
        replicas: int = 0,
        program: Sequence[str | Path] = (),
        options: Sequence[str] = (),
        tls: bool = False,
    ) -> None:
        self._buses: dict[str, int] = {}
        self._tls_ports: list[int] = []
        self._tls = tls
        self._stack = AsyncExitStack()
        self.replicas_each = replicas
        self.servers = [
            self._server(directory / f"node{number}", program, options) for number in range(primaries * (1 + replicas))
        ]
        self.primaries = self.servers[:primaries]

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(*(self._stack.enter_async_context(server) for server in self.servers))
            await self._join()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def names(self) -> tuple[str, ...]:
        """Each server as `host:port`."""
        return tuple(server.server for server in self.servers)

    @property
    def tls_names(self) -> tuple[str, ...]:
        """Each server as `host:port` for TLS."""
        return tuple(f"127.0.0.1:{port}" for port in self._tls_ports)

    def replicas_of(self, primary: RedisServer) -> list[RedisServer]:
        """Those that followed it when the cluster was made."""
        place, count = self.primaries.index(primary), len(self.primaries)
        return self.servers[count + place :: count]

    def slots_of(self, primary: RedisServer) -> range:
        """Those it was given when the cluster was made."""
        place, count = self.primaries.index(primary), len(self.primaries)
        return range(SLOTS * place // count, SLOTS * (place + 1) // count)

    async def settled(self, servers: Sequence[RedisServer] | None = None) -> None:
        """Wait until all of `servers` know of all slots, and that each primary among them has its replicas."""
        for server in servers or self.servers:
            await until(lambda server=server: self._agrees(server), f"{server.server} sees no whole cluster")  # type: ignore[misc]

    def _server(self, directory: Path, program: Sequence[str | Path], options: Sequence[str]) -> RedisServer:
        port, bus = free_port(), free_port()
        own = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-config-file", f"nodes-{port}.conf"]
        own += ["--cluster-node-timeout", str(DEAD_AFTER_MS), "--repl-diskless-sync-delay", "0"]
        # Without this the loss of one primary stops the others' answers too.
        own += ["--cluster-require-full-coverage", "no"]
        if self._tls:
            self._tls_ports.append(free_port())
            own += ["--tls-port", str(self._tls_ports[-1])]
        server = RedisServer(directory, port, program=program, options=[*own, *options])
        self._buses[server.server] = bus
        return server

    async def _join(self) -> None:
        # Each with each, as gossip alone takes seconds.
        for one, other in combinations(self.servers, 2):
            await said(one.port, "CLUSTER", "MEET", "127.0.0.1", str(other.port), str(self._buses[other.server]))
        for primary in self.primaries:
            slots = self.slots_of(primary)
            await said(primary.port, "CLUSTER", "ADDSLOTSRANGE", str(slots.start), str(slots.stop - 1))
        for server in self.servers:
            await until(lambda server=server: self._knows_all(server), f"{server.server} does not meet the others")  # type: ignore[misc]
        for primary in self.primaries:
            name = (await said(primary.port, "CLUSTER", "MYID")).decode()
            for replica in self.replicas_of(primary):
                await said(replica.port, "CLUSTER", "REPLICATE", name)
        await self.settled()

    async def _knows_all(self, server: RedisServer) -> bool:
        nodes = (await said(server.port, "CLUSTER", "NODES")).decode().splitlines()
        return len(nodes) == len(self.servers) and not any("handshake" in node for node in nodes)

    async def _agrees(self, server: RedisServer) -> bool:
        told = (await said(server.port, "CLUSTER", "INFO")).decode()
        if "cluster_state:ok" not in told or f"cluster_slots_ok:{SLOTS}" not in told:
            return False
        entries = await said(server.port, "CLUSTER", "SLOTS")
        if any(len(entry) != 3 + self.replicas_each for entry in entries):
            return False
        replication = (await said(server.port, "INFO", "replication")).decode()
        return "role:master" in replication or "master_link_status:up" in replication


class SentinelServer(Server):
    """One Sentinel, over a primary that listens at `primary_port`."""

    name = "sentinel"
    service = "callers"

    def __init__(self, directory: Path, primary_port: int, *, quorum: int = 2, program: Sequence[str] = ()) -> None:
        super().__init__()
        self.directory = directory
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        self._primary_port = primary_port
        self._quorum = quorum
        self._program = program

    async def start(self) -> None:
        """Start it and wait until it accepts connections; it writes what it learns into its own file."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "sentinel.conf"
        if not file.exists():
            file.write_text(
                f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
                f"sentinel monitor {self.service} 127.0.0.1 {self._primary_port} {self._quorum}\n"
                f"sentinel down-after-milliseconds {self.service} {DEAD_AFTER_MS}\n"
                f"sentinel failover-timeout {self.service} 5000\n"
            )
        command = [*(self._program or own_redis()), str(file), "--sentinel"]
        self._child = await Child.start("sentinel", command, self.directory / "sentinel.log")
        await wait_for_port(self.port, self.child)


class RedisWithSentinels:
    """A primary, its replicas, and three Sentinels that know all of them. A context manager."""

    service = SentinelServer.service

    def __init__(self, directory: Path, *, replicas: int = 1, options: Sequence[str] = ()) -> None:
        self._stack = AsyncExitStack()
        self.primary = RedisServer(directory / "primary", options=options)
        follow = ["--replicaof", "127.0.0.1", str(self.primary.port), "--repl-diskless-sync-delay", "0"]
        self.replicas = [
            RedisServer(directory / f"replica{number}", options=[*options, *follow]) for number in range(replicas)
        ]
        self.sentinels = [SentinelServer(directory / f"sentinel{number}", self.primary.port) for number in range(3)]

    async def __aenter__(self) -> Self:
        try:
            for server in (self.primary, *self.replicas):
                await self._stack.enter_async_context(server)
            for replica in self.replicas:
                await until(lambda replica=replica: self._follows(replica), "a replica does not follow")  # type: ignore[misc]
            await asyncio.gather(*(self._stack.enter_async_context(sentinel) for sentinel in self.sentinels))
            for sentinel in self.sentinels:
                await until(lambda sentinel=sentinel: self._sees_all(sentinel), "a Sentinel does not see the others")  # type: ignore[misc]
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def names(self) -> tuple[str, ...]:
        """Each Sentinel as `host:port`."""
        return tuple(sentinel.server for sentinel in self.sentinels)

    async def _follows(self, replica: RedisServer) -> bool:
        return b"master_link_status:up" in await said(replica.port, "INFO", "replication")

    async def _sees_all(self, sentinel: SentinelServer) -> bool:
        told = await said(sentinel.port, "SENTINEL", "MASTER", self.service)
        state = dict(zip(told[::2], told[1::2], strict=True))
        others = int(state[b"num-other-sentinels"]), int(state[b"num-slaves"])
        return others == (len(self.sentinels) - 1, len(self.replicas)) and b"down" not in state[b"flags"]


async def said(port: int, *command: str) -> Any:  # noqa: ANN401 - whatever Redis answers
    """Redis's answer to one command at a port of loopback, nothing decoded."""
    client = Redis(port=port, socket_timeout=5.0, socket_connect_timeout=5.0, protocol=2)
    client.response_callbacks.clear()
    try:
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # the library's own gap
    finally:
        await client.aclose()


async def until(holds: Callable[[], Awaitable[bool]], else_say: str, patience_s: float = _PATIENCE_S) -> None:
    """Wait until something holds; LabError with `else_say` if it does not in time."""
    deadline = asyncio.get_running_loop().time() + patience_s
    last = ""
    while asyncio.get_running_loop().time() < deadline:
        try:
            if await holds():
                return
        except (RedisError, OSError) as error:
            last = f": {error}"
        await asyncio.sleep(0.05)  # a poll with a deadline, not a nap for luck
    raise LabError(f"{else_say} within {patience_s:.0f} s{last}")
