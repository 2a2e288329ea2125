"""A real cluster whose servers are lost, hang, and give slots away, under the lookups of a large centre."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.crc import key_slot
from redis.exceptions import ResponseError

from lab.failover import measured
from lab.processes import Child
from lab.redis import RedisServer
from lab.redis_groups import RedisCluster, said, until
from lab.registry import load
from router.callers.breaker import BreakerState
from router.callers.keys import REGISTRY_KEY, tag_of
from router.callers.number import PhoneNumber
from router.callers.registry import BandSource, open_registry
from router.callers.secret_ring import load_or_create_ring
from router.callers.servers.asking import Servers
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.opening import open_servers
from router.callers.settings import RedisSettings, RegistrySettings

KEYS = [f"elder:{{{tag:02x}}}:1:0" for tag in range(64)]
DEADLINE_S = 1.0  # the tests' machines are busy; in production it is 0.05, which is for the benchmarks
A_LITTLE_S = 0.5


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[RedisCluster]:
    async with RedisCluster(tmp_path, replicas=1) as cluster:
        yield cluster


def servers_of(cluster: RedisCluster, *, prefer_replicas: bool = False) -> Servers:
    return open_servers(RedisSettings(cluster=cluster.names, prefer_replicas=prefer_replicas), deadline_s=DEADLINE_S)


async def filled(servers: Servers) -> None:
    for key in KEYS:
        assert await servers.ask(key, [("HSET", key, b"field", b"\x01")], writing=True)


async def ask(servers: Servers, key: str) -> None:
    """A lookup; a wrong answer is no answer."""
    (value, others) = await servers.ask(key, [("HGET", key, b"field"), ("MGET", f"{key}:set", f"{key}:choice")])
    assert not isinstance(others, ResponseError), others
    assert value == b"\x01"


def held_by(cluster: RedisCluster, primary: RedisServer) -> frozenset[str]:
    return frozenset(key for key in KEYS if key_slot(key.encode()) in cluster.slots_of(primary))


async def signalled(child: Child, sig: signal.Signals) -> None:
    child.send(sig)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
async def test_a_lost_primary_costs_its_own_callers_seconds_and_nobody_longer_than_the_deadline(
    cluster: RedisCluster, sig: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    primary = cluster.primaries[0]
    async with servers_of(cluster) as servers:
        await filled(servers)
        failover = await measured(
            lambda key: ask(servers, key),
            KEYS,
            lost=held_by(cluster, primary),
            lose=lambda: signalled(primary.child, sig),
            calm_s=3.0,
        )
        record_property("failover", str(failover))
        print(f"cluster, primary {sig.name}: {failover}")  # noqa: T201 - for whoever runs it with -s
        assert 0.5 < failover.outage_s < 15, "the replica was promoted and found"
        assert not failover.others_failures
        assert failover.slowest_s < DEADLINE_S + A_LITTLE_S
        reasons = {one.failed for one in failover.failures}
        assert LookupFailure.BREAKER_OPEN.value in reasons, "while it is gone its callers fail at once"
        (replica,) = cluster.replicas_of(primary)
        assert replica.server in await servers.primaries()
        assert primary.server not in servers.breakers or servers.breakers[replica.server] is BreakerState.CLOSED


async def test_a_lost_replica_costs_nobody_anything(cluster: RedisCluster) -> None:
    (replica,) = cluster.replicas_of(cluster.primaries[0])
    async with servers_of(cluster, prefer_replicas=True) as servers:
        await filled(servers)
        await servers.ask(KEYS[0], [("WAIT", 1, 1000)], writing=True)
        failover = await measured(
            lambda key: ask(servers, key),
            KEYS,
            lost=held_by(cluster, cluster.primaries[0]),
            lose=lambda: signalled(replica.child, signal.SIGSTOP),
        )
        assert not failover.failures
        assert not failover.others_failures
        assert failover.slowest_s > DEADLINE_S / 3, "it was asked"


async def test_without_a_replica_its_callers_fail_at_once_until_it_is_back(tmp_path: Path) -> None:
    async with RedisCluster(tmp_path) as cluster, servers_of(cluster) as servers:
        await filled(servers)
        primary = cluster.primaries[1]
        lost = held_by(cluster, primary)
        await primary.stop(signal.SIGKILL)
        failures: list[LookupFailedError] = []
        for _ in range(6):
            for key in KEYS:
                if key in lost:
                    with pytest.raises(LookupFailedError) as raised:
                        await ask(servers, key)
                    failures.append(raised.value)
                else:
                    await ask(servers, key)
        assert failures[-1].failure is LookupFailure.BREAKER_OPEN
        assert sum(one.failure is not LookupFailure.BREAKER_OPEN for one in failures) < 10
        await primary.start()  # its slots are in its file; what it held is gone with it
        await cluster.settled()
        failover = await measured(
            lambda key: servers.ask(key, [("HGET", key, b"field")]), KEYS, lost=lost, lose=cluster.settled
        )
        assert failover.outage_s < 3, "the breaker's next probe found it"


async def test_a_slot_on_its_way_to_another_server_is_answered_by_whichever_holds_the_key(
    cluster: RedisCluster,
) -> None:
    first, second = cluster.primaries[:2]
    key = next(key for key in KEYS if key in held_by(cluster, first))
    slot = str(key_slot(key.encode()))
    first_id, second_id = [(await said(server.port, "CLUSTER", "MYID")).decode() for server in (first, second)]
    async with servers_of(cluster) as servers:
        await filled(servers)
        await said(second.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", first_id)
        await said(first.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", second_id)
        await ask(servers, key)
        assert servers.stats.repeated == 1, "what is not here was asked for over there"
        await said(first.port, "MIGRATE", "127.0.0.1", str(second.port), "", "0", "1000", "KEYS", key)
        await ask(servers, key)
        for server in (second, first):
            await said(server.port, "CLUSTER", "SETSLOT", slot, "NODE", second_id)
        repeated = servers.stats.repeated
        await ask(servers, key)
        assert servers.stats.repeated == repeated + 1, "MOVED was followed"
        assert await servers.server_for(key, writing=True) == second.server
        await ask(servers, key)
        assert servers.stats.repeated == repeated + 1, "and learnt from"


async def test_a_replica_of_a_slot_on_its_way_hides_nobody(cluster: RedisCluster) -> None:
    first, second = cluster.primaries[:2]
    key = next(key for key in KEYS if key in held_by(cluster, first))
    slot = str(key_slot(key.encode()))
    first_id, second_id = [(await said(server.port, "CLUSTER", "MYID")).decode() for server in (first, second)]
    (replica,) = cluster.replicas_of(first)
    async with servers_of(cluster, prefer_replicas=True) as servers:
        await filled(servers)
        await said(second.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", first_id)
        await said(first.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", second_id)
        await said(first.port, "MIGRATE", "127.0.0.1", str(second.port), "", "0", "1000", "KEYS", key)

        async def is_gone_from_the_replica() -> bool:
            return key.encode() not in await said(replica.port, "KEYS", "*")

        await until(is_gone_from_the_replica, "the replica does not follow")
        await ask(servers, key)


async def test_callers_of_other_servers_are_known_while_the_one_that_says_what_is_in_force_is_lost(
    cluster: RedisCluster, tmp_path: Path
) -> None:
    ring = load_or_create_ring(tmp_path / "registry.secrets")
    redis = RedisSettings(cluster=cluster.names)
    callers = {PhoneNumber(f"+86139{index:08d}"): "elder" for index in range(500)}
    holder = next(one for one in cluster.primaries if key_slot(REGISTRY_KEY.encode()) in cluster.slots_of(one))
    settings = RegistrySettings(redis, tmp_path / "registry.secrets", deadline_s=DEADLINE_S)
    async with open_registry(settings, ring) as registry:
        await load(registry.admin(), ring, callers)
        watching = asyncio.create_task(registry.watch())
        numbers = {number.e164: number for number in callers}
        tags = {number.e164: f"{{{tag_of(ring.newest.pseudonym(number).place)}}}" for number in callers}
        lost = frozenset(name for name, tag in tags.items() if key_slot(tag.encode()) in cluster.slots_of(holder))
        assert 0 < len(lost) < len(callers)

        async def looked_up(name: str) -> None:
            found = await registry.lookup(numbers[name])
            if found.source is BandSource.LOOKUP_FAILED:
                raise LookupFailedError(LookupFailure(found.detail.partition(": ")[0]))
            assert found.band == "elder"

        failover = await measured(
            looked_up,
            list(numbers),
            lost=lost,
            lose=lambda: signalled(holder.child, signal.SIGKILL),
            calm_s=3.0,
        )
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        print(f"cluster, the primary of what is in force killed: {failover}")  # noqa: T201 - for whoever runs it with -s
        assert failover.failures
        assert not failover.others_failures
        assert failover.slowest_s < DEADLINE_S + A_LITTLE_S
