"""Which server holds which keys, as known at one time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.crc import key_slot

SLOTS: Final = 16_384
"""Of a Redis Cluster; a key belongs to one."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Servers that hold the same keys, each as `host:port`."""

    primary: str
    replicas: tuple[str, ...] = ()


class Layout:
    """All servers. Without `slots` there is one shard, which holds every key.

    Args:
        shards: Each once.
        slots: Of a cluster: for each slot its place in `shards`, or -1 where nobody serves it.
    """

    __slots__ = ("_slots", "servers", "shards")

    def __init__(self, shards: Sequence[Shard], slots: Sequence[int] | None = None) -> None:
        self.shards: Final = tuple(shards)
        self.servers: Final = frozenset(server for shard in self.shards for server in (shard.primary, *shard.replicas))
        self._slots = slots

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self.shards == other.shards and self._slots == other._slots

    def __hash__(self) -> int:
        return hash(self.shards)

    @property
    def is_complete(self) -> bool:
        """Whether every key has a server."""
        return self._slots is None or -1 not in self._slots

    def shard_of(self, key: str) -> Shard | None:
        """Who holds a key; None where nobody does."""
        if self._slots is None:
            return self.shards[0]
        shard = self._slots[key_slot(key.encode())]
        return self.shards[shard] if shard >= 0 else None

    def moved(self, slot: int, server: str) -> Layout:
        """The same with one slot at another server; unchanged if that is in no shard."""
        if self._slots is None or server not in self.servers or not 0 <= slot < SLOTS:
            return self
        shards, slots = list(self.shards), list(self._slots)
        place = next((place for place, shard in enumerate(shards) if shard.primary == server), None)
        if place is None:  # it was a replica until now
            was = next(shard for shard in shards if server in shard.replicas)
            place = len(shards)
            others = tuple(sorted({was.primary, *was.replicas} - {server}))
            shards.append(Shard(server, others))
        slots[slot] = place
        return Layout(shards, slots)
