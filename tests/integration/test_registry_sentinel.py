"""A real primary with replicas and Sentinels: a failover under a large centre's lookups, Sentinels that are lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lab.failover import measured
from lab.processes import Child
from lab.redis_groups import RedisWithSentinels, said, until
from router.callers.breaker import BreakerState
from router.callers.servers.asking import Servers
from router.callers.servers.failure import LookupFailure
from router.callers.servers.opening import open_servers
from router.callers.settings import RedisSettings

KEYS = [f"elder:{{{tag:02x}}}:1:0" for tag in range(64)]
DEADLINE_S = 1.0  # the tests' machines are busy; in production it is 0.05, which is for the benchmarks
A_LITTLE_S = 0.5


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[RedisWithSentinels]:
    async with RedisWithSentinels(tmp_path) as group:
        yield group


def servers_of(group: RedisWithSentinels, *, prefer_replicas: bool = False) -> Servers:
    settings = RedisSettings(sentinels=group.names, service=group.service, prefer_replicas=prefer_replicas)
    return open_servers(settings, deadline_s=DEADLINE_S)


async def filled(servers: Servers) -> None:
    for key in KEYS:
        assert await servers.ask(key, [("HSET", key, b"field", b"\x01")], writing=True)
    assert await servers.ask(KEYS[0], [("WAIT", 1, 100)], writing=True) == [1]


async def ask(servers: Servers, key: str) -> None:
    """A lookup; a wrong answer is no answer."""
    assert await servers.ask(key, [("HGET", key, b"field"), ("MGET", f"{key}:set")]) == [b"\x01", [None]]


async def signalled(child: Child, sig: signal.Signals) -> None:
    child.send(sig)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
async def test_a_lost_primary_costs_seconds_and_no_lookup_longer_than_the_deadline(
    group: RedisWithSentinels, sig: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    async with servers_of(group) as servers:
        await filled(servers)
        failover = await measured(
            lambda key: ask(servers, key),
            KEYS,
            lost=frozenset(KEYS),
            lose=lambda: signalled(group.primary.child, sig),
            calm_s=3.0,
        )
        record_property("failover", str(failover))
        print(f"Sentinel, primary {sig.name}: {failover}")  # noqa: T201 - for whoever runs it with -s
        assert 0.5 < failover.outage_s < 15, "the replica was promoted and found"
        assert failover.slowest_s < DEADLINE_S + A_LITTLE_S
        assert LookupFailure.BREAKER_OPEN.value in {one.failed for one in failover.failures}
        assert await servers.primaries() == [group.replicas[0].server]
        await servers.ask(KEYS[0], [("SET", "elder:written", 1)], writing=True)
        assert await servers.admin().get("elder:written") == b"1"


async def test_with_replicas_preferred_a_lost_primary_costs_no_lookup(group: RedisWithSentinels) -> None:
    async with servers_of(group, prefer_replicas=True) as servers:
        await filled(servers)
        failover = await measured(
            lambda key: ask(servers, key),
            KEYS,
            lost=frozenset(KEYS),
            lose=lambda: signalled(group.primary.child, signal.SIGKILL),
            calm_s=5.0,
        )
        assert not failover.failures
        assert await servers.primaries() == [group.replicas[0].server]


async def test_without_its_replica_the_primary_is_read_from(group: RedisWithSentinels) -> None:
    async with servers_of(group, prefer_replicas=True) as servers:
        await filled(servers)
        failover = await measured(
            lambda key: ask(servers, key),
            KEYS,
            lost=frozenset(KEYS),
            lose=lambda: signalled(group.replicas[0].child, signal.SIGSTOP),
            calm_s=2.5,
        )
        assert not failover.failures


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
async def test_a_sentinel_that_is_lost_delays_nothing_and_the_others_are_believed(
    group: RedisWithSentinels, sig: signal.Signals
) -> None:
    group.sentinels[0].child.send(sig)
    async with servers_of(group) as servers:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await filled(servers)
        assert loop.time() - began_s < DEADLINE_S, "it was not waited for"
        assert await servers.primaries() == [group.primary.server]


async def test_a_planned_failover_costs_writing_no_more_than_its_own_seconds(group: RedisWithSentinels) -> None:
    async with servers_of(group) as servers:
        await filled(servers)
        await said(group.sentinels[0].port, "SENTINEL", "FAILOVER", group.service)

        async def demoted() -> bool:
            return b"role:slave" in await said(group.primary.port, "INFO", "replication")

        await until(demoted, "the primary was not demoted")
        await until(lambda: writes(servers), "the new primary was not found", patience_s=5.0)
        assert servers.breaker_state is BreakerState.CLOSED
        assert await servers.primaries() == [group.replicas[0].server]


async def writes(servers: Servers) -> bool:
    return await servers.ask(KEYS[0], [("SET", "elder:written", 1)], writing=True) == [b"OK"]
