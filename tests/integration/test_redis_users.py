"""The Redis users that are shipped: they may do all that the router and its commands do, and nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from lab.places import PROJECT
from lab.redis import RedisServer, own_redis
from lab.redis_groups import RedisCluster, said
from lab.redis_versions import VERSIONS
from lab.registry import BANDS
from router.callers.keys import REGISTRY_KEY
from router.callers.loading.job import Order, import_feed, try_feed
from router.callers.number import PhoneNumber
from router.callers.past import Chosen
from router.callers.person import forget, held
from router.callers.registry import BandSource, Registry, open_registry
from router.callers.rotation import stored_under
from router.callers.secret_ring import load_or_create_ring
from router.callers.settings import FeedSettings, RedisSettings, RegistrySettings
from router.callers.stored import Visit

USERS = PROJECT / "config" / "redis-users.acl"
PASSWORD = "of-both"
CALLER = PhoneNumber("+8613900000001")
FOREIGN = "another:system"


def users() -> dict[str, list[str]]:
    """The rules of each user, as shipped."""
    lines = [line.split() for line in USERS.read_text().splitlines() if line.startswith("user ")]
    return {line[1]: line[2:] for line in lines}


def rules_for_6_2() -> list[str]:
    """What the file's comment says for the daemon's user on Redis 6.2."""
    (line,) = [line for line in USERS.read_text().splitlines() if line.startswith("# user elder-router")]
    return line.split()[3:]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis with a configuration file that includes the users, as the file says."""
    conf = tmp_path / "redis.conf"
    conf.write_text(f"include {USERS}\n")
    async with RedisServer(tmp_path / "redis", program=[*own_redis(), conf]) as server:
        for user in users():
            await said(server.port, "ACL", "SETUSER", user, f">{PASSWORD}")
        await said(server.port, "SET", FOREIGN, "1")
        yield server


@asynccontextmanager
async def registry_of(redis: RedisSettings, folder: Path) -> AsyncIterator[Registry]:
    ring = load_or_create_ring(folder / "registry.secrets")
    settings = RegistrySettings(redis, folder / "registry.secrets", deadline_s=2.0)
    async with open_registry(settings, ring) as registry:
        yield registry


def order(folder: Path) -> Order:
    feed = folder / "callers.csv"
    rows = "".join(f"+86139000{index:05d},{1930 + index % 80}-06-01\n" for index in range(2000))
    feed.write_text(f"number,birth_date\n{rows}")
    return Order(feed, FeedSettings(), BANDS, "CN", date(2026, 1, 1), folder / "work", kept_s=0.0)


async def import_all(redis: RedisSettings, folder: Path) -> None:
    """A load, another over it, a delta, what a dry run would do, all with one person's data as they may ask for."""
    async with registry_of(redis, folder) as registry:
        what = order(folder)
        for _ in range(2):
            await import_feed(registry.servers, registry.ring, what, lambda _step: None)
        await try_feed(registry.servers, registry.ring, what, lambda _step: None)
        await registry.set(CALLER, "elder")
        await registry.choose(CALLER, "slower")
        assert (await held(registry, CALLER)).choice
        await stored_under(registry)
        await registry.old_keys()
        assert (await forget(registry, CALLER)).removed


async def call(redis: RedisSettings, folder: Path) -> None:
    """What the daemon does: lookups, calls that are noted, a choice that is remembered."""
    async with registry_of(redis, folder) as registry:
        other = PhoneNumber("+8613900000002")
        found = await registry.lookup(other, Visit("pbx1/1", time.time(), 600.0))
        assert (found.source, found.earlier_calls_s) == (BandSource.REGISTRY, ()), found
        again = await registry.lookup(other, Visit("pbx1/2", time.time(), 600.0))
        assert again.earlier_calls_s is not None
        assert len(again.earlier_calls_s) == 1
        await registry.remember(other, Chosen(person=True))
        assert await registry.choice(other)
        await registry.choose(other, "")


async def refusals(port: int) -> list[str]:
    """What users were refused, but for the client library telling its name."""
    log = await said(port, "ACL", "LOG")
    entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in log]
    objects = [entry[b"object"].decode().lower() for entry in entries]
    return [refused for refused in objects if refused not in ("client|setinfo", "client")]


def as_user(server: RedisServer, user: str) -> RedisSettings:
    return RedisSettings(server.url, username=user, password=PASSWORD)


async def test_the_shipped_users_may_do_all_that_is_done(server: RedisServer, tmp_path: Path) -> None:
    await import_all(as_user(server, "elder-import"), tmp_path)
    await call(as_user(server, "elder-router"), tmp_path)
    assert [refused for refused in await refusals(server.port) if refused != "config|get"] == []


async def test_before_a_password_is_added_nobody_can_log_in(tmp_path: Path) -> None:
    conf = tmp_path / "redis.conf"
    conf.write_text(f"include {USERS}\n")
    async with RedisServer(tmp_path / "redis", program=[*own_redis(), conf]) as server:
        for user in users():
            for password in ("", "the-password", PASSWORD):
                client = Redis(port=server.port, username=user, password=password)
                with pytest.raises(Exception, match=r"WRONGPASS|invalid username-password"):
                    await client.ping()
                await client.aclose()


@pytest.mark.parametrize(
    ("user", "command"),
    [
        *[
            (user, command)
            for user in ("elder-router", "elder-import")
            for command in (
                ("KEYS", "*"),
                ("FLUSHALL",),
                ("FLUSHDB",),
                ("CONFIG", "SET", "maxmemory", "1"),
                ("CONFIG", "GET", "requirepass"),
                ("ACL", "LIST"),
                ("ACL", "SETUSER", "me", "on", "nopass", "+@all"),
                ("EVAL", "return 1", "0"),
                ("SHUTDOWN",),
                ("REPLICAOF", "127.0.0.1", "1"),
                ("MONITOR",),
                ("MODULE", "LIST"),
                ("CLIENT", "KILL", "TYPE", "normal"),
                ("MIGRATE", "127.0.0.1", "1", "elder:registry", "0", "10"),
                ("DUMP", "elder:registry"),
                ("GET", FOREIGN),
                ("SET", FOREIGN, "2"),
                ("DEL", FOREIGN),
                ("MGET", "elder:registry", FOREIGN),
            )
        ],
        ("elder-router", ("SET", REGISTRY_KEY, "{}")),
        ("elder-router", ("DEL", "elder:{00}:1:0")),
        ("elder-router", ("HSET", "elder:{00}:1:0", "f", "1")),
        ("elder-router", ("SET", "elder:{00}:set:00000000:00", "elder")),
        ("elder-router", ("SCAN", "0")),
        ("elder-router", ("HGETALL", "elder:{00}:1:0")),
        ("elder-router", ("INFO",)),
    ],
    ids=lambda part: part if isinstance(part, str) else " ".join(part),
)
async def test_the_shipped_users_may_do_nothing_else(server: RedisServer, user: str, command: tuple[str, ...]) -> None:
    client = Redis(port=server.port, username=user, password=PASSWORD)
    try:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()
    assert await said(server.port, "GET", FOREIGN) == b"1"


async def test_in_a_cluster_they_may_do_all_that_is_done(tmp_path: Path) -> None:
    options: list[str] = []
    for user, rules in users().items():
        options += ["--user", user, *rules, f">{PASSWORD}"]
    async with RedisCluster(tmp_path / "cluster", options=options) as cluster:
        for user, work in (("elder-import", import_all), ("elder-router", call)):
            await work(RedisSettings(cluster=cluster.names, username=user, password=PASSWORD), tmp_path)
        for server in cluster.servers:
            assert [refused for refused in await refusals(server.port) if refused != "config|get"] == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_tested_redis_takes_the_users(version: str, tmp_path: Path) -> None:
    rules = dict(users())
    if version == "redis-6.2":
        rules["elder-router"] = rules_for_6_2()
    options = [part for user, own in rules.items() for part in ("--user", user, *own, f">{PASSWORD}")]
    async with RedisServer(tmp_path / "redis", program=VERSIONS[version](), options=options) as server:
        await import_all(as_user(server, "elder-import"), tmp_path)
        await call(as_user(server, "elder-router"), tmp_path)
        assert [one for one in await refusals(server.port) if one not in ("config|get", "config")] == []


def test_the_file_names_only_what_it_is_for() -> None:
    granted: dict[str, Any] = {
        user: {rule for rule in rules if rule.startswith("+")} for user, rules in users().items()
    }
    assert set(granted) == {"elder-router", "elder-import"}
    assert not any(rule.startswith("+@") for rules in granted.values() for rule in rules), "no whole categories"
    assert granted["elder-router"] == {rule for rule in rules_for_6_2() if rule.startswith("+")}
