"""Asking the servers of the registry, whichever of them holds a key, within the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, MovedError, ReadOnlyError

from router.callers.breaker import Breaker, BreakerState
from router.callers.servers.address import host_and_port, server_name
from router.callers.servers.elsewhere import ELSEWHERE, read_after_ask, sent_after_ask
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.finder import Finder
from router.callers.servers.lane import Lane, RoundTrips
from router.callers.servers.layout import Layout, Shard
from router.callers.servers.link import RegistryLink
from router.callers.servers.server_map import ServerMap
from router.callers.servers.wire import Command, Reply

# Long enough for a disk that stalls a save, short enough for a person at a terminal.
ADMIN_TIMEOUT_S: Final = 5.0
_OURS: Final = (LookupFailure.CLOSED, LookupFailure.TOO_MANY, LookupFailure.INTERNAL)  # no server's fault
_MOST_STRANGERS: Final = 8
"""So many servers that are in no map are believed to exist, because another named them, until the next look."""


@dataclass(slots=True)
class ServersStats(RoundTrips):
    """Counters since the start."""

    repeated: int = 0
    """Asked again at another server, because the first named it or was no primary any more."""


class Servers:
    """All servers of the registry; see `open_servers`, which makes it. Belongs to one event loop."""

    def __init__(
        self,
        finder: Finder,
        *,
        prefer_replicas: bool,
        deadline_s: float,
        connect_s: float,
        max_batch: int,
        max_waiting: int,
        breaker: Callable[[], Breaker],
    ) -> None:
        self.stats = ServersStats()
        self._finder = finder
        self._map = ServerMap(finder, lost=self._lost, found=self._found)
        self._prefer_replicas = prefer_replicas
        self._turn = 0
        self._deadline_s = deadline_s
        self._connect_s = connect_s
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._breaker = breaker
        self._lanes: dict[str, Lane] = {}
        self._finishing: set[asyncio.Task[None]] = set()
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

        That the first command finds nothing is not believed of a replica while the primary can be asked: one that has
        lost its primary, or whose slot is on its way to another server, says so of what is there.

        Args:
            key: Decides which server is asked.
            commands: All of keys on that server; they must do no harm when they are sent twice.
            writing: Whether one of them writes.

        Returns:
            What Redis answered: bytes, a number, None, a list of these, or a `ResponseError` for a command refused.

        Raises:
            LookupFailedError: No answer came within the deadline.
        """
        if self._closed:
            raise LookupFailedError(LookupFailure.CLOSED)
        due_s = asyncio.get_running_loop().time() + self._deadline_s
        shard = (self._map.layout or await self._map.known(due_s)).shard_of(key)
        self._map.keep()
        if shard is None:
            shard = _held(await self._shard_anew(key, due_s))
        found_nothing: list[Reply] | None = None
        if not writing and (replica := self._replica(shard)) is not None:
            replies = await self._ask_replica(replica, commands, due_s)
            if replies is not None and replies[0] is not None:
                return replies
            found_nothing = replies
        try:
            return await self._ask_primary(key, shard, commands, due_s)
        except LookupFailedError:
            if found_nothing is None:
                raise
            return found_nothing

    @property
    def breakers(self) -> dict[str, BreakerState]:
        """Of each server that was ever asked, whether it is being asked."""
        return {server: lane.breaker_state for server, lane in self._lanes.items()}

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
        """Who holds a key as known now, `host:port`; whoever is lost a moment later has to ask again.

        Raises:
            LookupFailedError: It could not be found out, or nobody holds it.
        """
        shard = _held((await self._known_now()).shard_of(key))
        replica = None if writing or self._finder.greeting else self._replica(shard)
        return replica.server if replica else shard.primary

    async def connection(self, server: str, *, connect_s: float, answer_s: float | None) -> AbstractConnection:
        """A connection to a server that is not connected yet, for whoever sends much; theirs to close."""
        return self._finder.address(server).connection(connect_s=connect_s, answer_s=answer_s)

    async def primaries(self) -> list[str]:
        """The servers that are written to, each `host:port`.

        Raises:
            LookupFailedError: It could not be found out.
        """
        return [shard.primary for shard in (await self._known_now()).shards]

    async def close(self) -> None:
        """Drop the connections. Questions still waiting fail at once, and so does every later one."""
        self._closed = True
        await self._map.close()
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        if self._finishing:
            await asyncio.wait(self._finishing)
        await self._finder.close()
        if self._admin is not None:
            await self._admin.aclose()
            self._admin = None

    async def _ask_primary(self, key: str, shard: Shard, commands: Sequence[Command], due_s: float) -> list[Reply]:
        lane = self._lane(shard.primary)
        try:
            replies = await lane.ask(commands, due_s)
        except LookupFailedError as failed:
            if failed.failure in _OURS:
                raise
            self._map.look_soon()
            if failed.failure is not LookupFailure.UNREACHABLE:
                raise
            # Refused at once: maybe the first question after a quiet time in which another became the primary.
            other = await self._shard_anew(key, due_s)
            if other is None or other.primary == shard.primary:
                raise
            return await self._lane(other.primary).ask(commands, due_s)
        for reply in replies:
            if isinstance(reply, ELSEWHERE):
                return await self._ask_elsewhere(key, lane, commands, replies, due_s)
        return replies

    async def _ask_replica(self, replica: Lane, commands: Sequence[Command], due_s: float) -> list[Reply] | None:
        """A replica's answers; None where the primary is to be asked instead, for which half of the time is left."""
        now_s = asyncio.get_running_loop().time()
        try:
            replies = await replica.ask(commands, now_s + (due_s - now_s) / 2)
        except LookupFailedError as failed:
            if failed.failure in _OURS:
                raise
            self._map.look_soon()
            return None
        return None if any(isinstance(reply, ELSEWHERE) for reply in replies) else replies

    async def _ask_elsewhere(
        self, key: str, lane: Lane, commands: Sequence[Command], replies: list[Reply], due_s: float
    ) -> list[Reply]:
        """Send what a server refused, because another is to be asked, to that other: once, within the deadline."""
        refused = [place for place, reply in enumerate(replies) if isinstance(reply, ELSEWHERE)]
        first = replies[refused[0]]
        again = [commands[place] for place in refused]
        asking = False
        match first:
            case MovedError():
                if (other := self._lane_named(first, lane)) is not None:
                    self._map.moved(first.slot_id, other.server)
            case AskError():
                other, asking = self._lane_named(first, lane), True
            case ReadOnlyError():  # the primary of old, which follows another now
                shard = await self._shard_anew(key, due_s)
                other = self._lane(shard.primary) if shard is not None and shard.primary != lane.server else None
            case _:  # a cluster that lacks a server, or a replica that lacks its primary
                self._map.look_soon()
                other = None
        if other is None:
            return replies
        self.stats.repeated += 1
        answers = await other.ask(sent_after_ask(again) if asking else again, due_s)
        if asking:
            answers = read_after_ask(again, answers)
        joined = list(replies)
        for place, answer in zip(refused, answers, strict=True):
            joined[place] = answer
        return joined

    def _lane_named(self, moved: AskError, lane: Lane) -> Lane | None:
        """That of the server which another names; None where it names itself, or was believed too often already."""
        try:
            server = server_name(moved.host or host_and_port(lane.server)[0], moved.port)
            host_and_port(server)
        except ValueError:
            return None
        known = self._map.layout.servers if self._map.layout is not None else frozenset()
        if server not in self._lanes and server not in known and len(self._lanes) >= len(known) + _MOST_STRANGERS:
            return None
        return self._lane(server) if server != lane.server else None

    def _replica(self, shard: Shard) -> Lane | None:
        """A replica to read from, each in turn; None where there is none, or all are held for gone."""
        if not self._prefer_replicas:
            return None
        for _ in shard.replicas:
            self._turn += 1
            lane = self._lane(shard.replicas[self._turn % len(shard.replicas)])
            if lane.would_ask:
                return lane
        return None

    async def _shard_anew(self, key: str, due_s: float) -> Shard | None:
        await self._map.looked(due_s)
        return self._map.layout.shard_of(key) if self._map.layout is not None else None

    async def _known_now(self) -> Layout:
        if self._closed:
            raise LookupFailedError(LookupFailure.CLOSED)
        due_s = asyncio.get_running_loop().time() + ADMIN_TIMEOUT_S
        await self._map.looked(due_s)
        return await self._map.known(due_s)

    def _lost(self) -> set[str]:
        return {lane.server for lane in self._lanes.values() if lane.breaker_state is not BreakerState.CLOSED}

    def _found(self, layout: Layout) -> None:
        """Let go of servers that serve nothing, once they have answered what they were asked."""
        for server in self._lanes.keys() - layout.servers:
            task = asyncio.create_task(self._lanes.pop(server).finish(), name="registry-lane")
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    def _lane(self, server: str) -> Lane:
        lane = self._lanes.get(server)
        if lane is None:
            lane = self._lanes[server] = Lane(
                server,
                RegistryLink(
                    self._finder.address(server),
                    answer_s=self._deadline_s,
                    connect_s=self._connect_s,
                    greeting=self._finder.greeting,
                    dropped=self._map.look_soon,
                ),
                breaker=self._breaker(),
                max_batch=self._max_batch,
                max_waiting=self._max_waiting,
                trips=self.stats,
            )
        return lane


def _held(shard: Shard | None) -> Shard:
    if shard is None:
        raise LookupFailedError(LookupFailure.UNREACHABLE, "no server of the cluster holds this caller's slot")
    return shard
