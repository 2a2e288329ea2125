"""A primary killed while lookups come: how long that lasts, how many return without an answer, whether any hangs."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import numpy as np
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster as ClusterClient
from rich.console import Console

from bench.apart import Apart
from bench.registry_asker import Order, Turn, Way, ask_by_order
from bench.registry_feed import numbers
from bench.registry_results import FailedOver
from lab import registry
from lab.processes import LabError
from lab.redis import RedisServer
from lab.redis_groups import RedisCluster, RedisWithSentinels
from router.callers.number import PhoneNumber
from router.callers.secret_ring import SecretRing, load_or_create_ring
from router.callers.settings import RedisSettings

CLUSTER, SENTINEL = "Cluster", "Sentinel"
_RATE: Final = 245
_BEFORE_S, _AFTER_S = 5.0, 20.0
_CALLERS: Final = 10_000


async def measure_failovers(scratch: Path, console: Console) -> list[FailedOver]:
    """Kill one primary of a cluster, and one that Sentinels watch over. `scratch` is a folder that is there."""
    secret_file = scratch / "registry.secrets"
    ring = load_or_create_ring(secret_file)
    found = []
    for kind, started in ((CLUSTER, _cluster(scratch, ring)), (SENTINEL, _sentinel(scratch, ring))):
        async with started as (settings, primary):
            found.append(await _fail_over(kind, settings, primary, secret_file))
        one = found[-1]
        console.print(
            f"    {kind}: {one.failed:,} of {one.lookups:,} lookups without an answer, the last {one.outage_s:.1f} s "
            f"after the kill; the slowest returned after {one.slowest_ms:.1f} ms"
        )
    return found


async def _fail_over(kind: str, settings: RedisSettings, primary: RedisServer, secret_file: Path) -> FailedOver:
    turns = (Turn(_RATE, _BEFORE_S + _AFTER_S),)
    order = Order(Way.REGISTRY, settings, secret_file, _CALLERS, turns)
    async with Apart(f"lookups through {kind}", ask_by_order, order) as apart:
        apart.begin()
        await asyncio.sleep(_BEFORE_S)  # so many lookups that are not disturbed
        killed = time.monotonic()
        await primary.stop(signal.SIGKILL)
        samples = await apart.answer()
    due, took_s, failed = samples.rows[:, 1], samples.rows[:, 2], samples.rows[:, 3] != 0
    if np.any(failed & (due + took_s < killed)):
        raise LabError(f"{kind}: lookups failed before the primary was killed: {', '.join(samples.why)}")
    ended = (due + took_s)[failed]
    if len(ended) and ended.max() > due.max() - 1.0:
        raise LabError(f"{kind}: lookups still failed {_AFTER_S:.0f} s after the kill: {', '.join(samples.why)}")
    return FailedOver(
        kind=kind,
        rate=_RATE,
        lookups=len(samples.rows),
        failed=int(failed.sum()),
        outage_s=float(ended.max() - killed) if len(ended) else 0.0,
        slowest_ms=float(took_s.max()) * 1e3,
    )


@asynccontextmanager
async def _cluster(scratch: Path, ring: SecretRing) -> AsyncIterator[tuple[RedisSettings, RedisServer]]:
    async with RedisCluster(scratch / "cluster", replicas=1) as cluster:
        async with ClusterClient(host="127.0.0.1", port=cluster.primaries[0].port) as client:
            await registry.load(client, ring, _people())
        yield RedisSettings(cluster=cluster.names), cluster.primaries[0]


@asynccontextmanager
async def _sentinel(scratch: Path, ring: SecretRing) -> AsyncIterator[tuple[RedisSettings, RedisServer]]:
    async with RedisWithSentinels(scratch / "sentinel") as group:
        async with Redis.from_url(group.primary.url) as client:
            await registry.load(client, ring, _people())
            await client.wait(1, 5_000)
        yield RedisSettings(sentinels=group.names, service=group.service), group.primary


def _people() -> dict[PhoneNumber, str]:
    return dict.fromkeys(map(PhoneNumber, numbers(np.arange(_CALLERS, dtype=np.uint64))), "adult")
