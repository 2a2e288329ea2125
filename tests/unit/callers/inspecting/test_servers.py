"""What is said of a server by what it says of itself; each case changes one thing of a server that is well."""

from __future__ import annotations

import pytest
from redis.exceptions import NoPermissionError

from router.callers.inspecting.findings import Finding, Level
from router.callers.inspecting.servers import server_findings
from router.callers.inspecting.teller import Teller
from router.callers.servers.wire import Reply

WELL = {
    "redis_version": "7.0.15",
    "used_memory": "104857600",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "rdb_last_bgsave_status": "ok",
    "aof_last_write_status": "ok",
    "role": "master",
    "connected_slaves": "1",
    "slave0": "ip=192.0.2.2,port=6379,state=online,offset=100,lag=0",
}
LIMITS = {"hash-max-listpack-entries": "512", "hash-max-listpack-value": "64"}


class Played(Teller):
    """Answers as it is told, without a server."""

    def __init__(self, info: dict[str, str], *, save: str = "", refused: frozenset[str] = frozenset()) -> None:
        self.info = info
        self.save = save
        self.refused = refused
        self.cluster: dict[str, str] = {}
        self.asked: list[tuple[str | bytes | int | float, ...]] = []

    async def ask(self, *command: str | bytes | int | float) -> Reply:
        self.asked.append(command)
        if command[0] in self.refused:
            return NoPermissionError(f"this user has no permissions to run the '{command[0]}' command")
        match command:
            case ("INFO",):
                return "\r\n".join(f"{name}:{value}" for name, value in self.info.items()).encode()
            case ("CONFIG", "GET", "save"):
                return [b"save", self.save.encode()]
            case ("CONFIG", "GET", "cluster-*"):
                return [part.encode() for pair in self.cluster.items() for part in pair]
            case ("CONFIG", "GET", _):
                return [part.encode() for pair in LIMITS.items() for part in pair]
        return None


async def found(server: Played) -> dict[str, Finding]:
    return {finding.about: finding for finding in await server_findings(server, 240, 1_000_000)}


async def test_a_server_that_is_well_needs_nothing() -> None:
    every = await found(Played(WELL))
    assert set(every) == {"version", "rights", "bucket limits", "memory", "persistence", "replicas"}
    assert {finding.level for finding in every.values()} == {Level.OK}
    assert not any(finding.do for finding in every.values())


@pytest.mark.parametrize(
    ("change", "about", "level", "says"),
    [
        ({"redis_version": "6.0.16"}, "version", Level.WRONG, "Redis 6.0.16"),
        ({"redis_version": "6.2.0"}, "version", Level.OK, "Redis 6.2.0"),
        ({"redis_version": "10.0.0"}, "version", Level.OK, "Redis 10.0.0"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.4"}, "version", Level.OK, "Valkey 8.1.4"),
        (
            {"maxmemory": "209715200", "maxmemory_policy": "allkeys-lru"},
            *("memory", Level.WARNING),
            "100 MiB used of 200 MiB, and beyond that Redis forgets (allkeys-lru): callers among the rest",
        ),
        ({"maxmemory": "209715200"}, "memory", Level.OK, "100 MiB used of 200 MiB, nothing is evicted"),
        ({"maxmemory": "116857601"}, "memory", Level.OK, "100 MiB used of 111 MiB, nothing is evicted"),
        ({"maxmemory": "116857599"}, "memory", Level.WARNING, "100 MiB used of 111 MiB: a full load has"),
        (
            {"maxmemory": "209715200", "maxmemory_policy": "volatile-lru"},
            *("memory", Level.WARNING),
            "100 MiB used of 200 MiB, and beyond that Redis forgets (volatile-lru): what they chose among the rest",
        ),
        ({"aof_enabled": "0"}, "persistence", Level.WARNING, "off: a restart of Redis empties the registry"),
        ({"aof_last_write_status": "err"}, "persistence", Level.WARNING, "the last save to disk failed"),
        ({"connected_slaves": "0"}, "persistence", Level.OK, "on, by an append-only file"),
        (
            {"slave0": "ip=192.0.2.2,port=6379,state=online,offset=100,lag=61"},
            *("replicas", Level.WARNING, "1 of 1 are 61 s behind"),
        ),
        (
            {"slave0": "ip=192.0.2.2,port=6379,state=wait_bgsave,offset=0,lag=0"},
            *("replicas", Level.WARNING, "1 of 1 are not in step"),
        ),
        ({"role": "slave", "master_link_status": "down"}, "replicas", Level.WARNING, "a replica whose primary"),
    ],
)
async def test_what_is_not_well_is_told(change: dict[str, str], about: str, level: Level, says: str) -> None:
    finding = (await found(Played(WELL | change)))[about]
    assert finding.level is level
    assert finding.says.startswith(says)
    assert bool(finding.do) == (level is not Level.OK)


async def test_snapshots_are_persistence_too() -> None:
    finding = (await found(Played(WELL | {"aof_enabled": "0"}, save="3600 1")))["persistence"]
    assert (finding.level, finding.says) == (Level.OK, "on, by snapshots (save 3600 1)")


@pytest.mark.parametrize(
    ("full", "reads", "is_told"), [("yes", "no", True), ("no", "no", False), ("yes", "yes", False)]
)
async def test_a_cluster_that_falls_silent_as_a_whole_is_told(full: str, reads: str, is_told: bool) -> None:
    server = Played(WELL | {"cluster_enabled": "1"})
    server.cluster = {"cluster-require-full-coverage": full, "cluster-allow-reads-when-down": reads}
    finding = (await found(server)).get("coverage")
    assert (finding is not None) == is_told
    assert finding is None or "`CONFIG SET cluster-require-full-coverage no`" in finding.do


async def test_commands_that_are_refused_are_named() -> None:
    finding = (await found(Played(WELL, refused=frozenset({"ZADD", "HGET"}))))["rights"]
    assert (finding.level, finding.says) == (Level.WRONG, "this user may not use HGET, ZADD on keys elder:*")


async def test_a_user_who_may_not_ask_is_told_so_and_the_rest_is_looked_at() -> None:
    every = await found(Played(WELL, refused=frozenset({"INFO", "CONFIG"})))
    assert set(every) == {"version", "rights", "bucket limits"}
    assert [finding.level for finding in every.values()] == [Level.WARNING, Level.OK, Level.WARNING]


async def test_looking_writes_nothing_to_a_key_that_is_there() -> None:
    server = Played(WELL)
    await found(server)
    written = [command for command in server.asked if command[0] in {"SET", "ZADD", "DEL", "EXPIRE", "ZREMRANGEBYRANK"}]
    assert {str(command[1]) for command in written} == {"elder:{00}:calls:00000000:probe"}
    assert all("XX" in command for command in written if command[0] in {"SET", "ZADD"})
