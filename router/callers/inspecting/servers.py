"""Findings about one server, from what it says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from redis.exceptions import ResponseError

from router.callers.inspecting.findings import Finding, ok, warning, wrong
from router.callers.inspecting.limits import MOST_BYTES, limits_finding, limits_of
from router.callers.inspecting.teller import Teller, number_in
from router.callers.servers.wire import Command

OLDEST: Final = (6, 2)
LAG_S: Final = 10
_MIB: Final = 1 << 20
_ROOM: Final = 0.1
_PROBE: Final = "elder:{00}:calls:00000000:probe"  # of a secret that nobody has

# Each does nothing to a key that is not there.
_ROUTER_COMMANDS: Final[tuple[Command, ...]] = (
    ("GET", "elder:registry"),
    ("MGET", _PROBE),
    ("HGET", "elder:{00}:0:0", "f"),
    ("ZADD", _PROBE, "XX", 0, "probe"),
    ("ZREMRANGEBYRANK", _PROBE, 0, -1),
    ("EXPIRE", _PROBE, 1),
    ("ZRANGE", _PROBE, 0, -1),
    ("SET", _PROBE, "", "XX", "EX", 1),
    ("DEL", _PROBE),
)


async def server_findings(
    server: Teller, largest: int | None, callers: int, theirs: Command | None = None
) -> list[Finding]:
    """All that is to be said of one server.

    Args:
        server: It.
        largest: How many callers its fullest bucket holds; None where it has no buckets.
        callers: How many it holds in all.
        theirs: What asks for a caller that another system writes, in the plain layout.

    Raises:
        LookupFailedError: It stopped answering.
    """
    info = await server.says("INFO") or {}
    persistence = await server.says("CONFIG", "GET", "save")
    found = [*_version(info), await _rights(server, _ROUTER_COMMANDS, "elder:*")]
    if theirs is not None:
        found.append(await _rights(server, [theirs], "of the other system"))
    if largest is not None:
        found.append(limits_finding(await limits_of(server), largest))
    if info.get("cluster_enabled") == "1":
        found += _coverage(await server.says("CONFIG", "GET", "cluster-*") or {})
    return [*found, *_memory(info, callers), *_persistence(info, persistence), *_replicas(info)]


def _version(info: Mapping[str, str]) -> Iterator[Finding]:
    if "redis_version" not in info:
        yield warning(
            "version",
            "this user may not ask with INFO: version, memory, persistence and replicas are not known",
            "give this user +info, or run this as an administrator's user",
        )
        return
    name, version = "Redis", info["redis_version"]
    if "valkey_version" in info:
        name, version = "Valkey", info["valkey_version"]
    numbers = tuple(int(part) for part in re.findall(r"[0-9]+", info["redis_version"])[:2])
    if numbers < OLDEST:
        yield wrong("version", f"{name} {version}", f"use Redis {OLDEST[0]}.{OLDEST[1]} or later, or Valkey")
    else:
        yield ok("version", f"{name} {version}")


async def _rights(server: Teller, commands: Sequence[Command], keys: str) -> Finding:
    refused = []
    for command in commands:
        reply = await server.ask(*command)
        text = str(reply) if isinstance(reply, ResponseError) else ""
        if "permission" in text.lower() or text.startswith("NOPERM"):
            refused.append(str(command[0]))
    if refused:
        return wrong(
            "rights",
            f"this user may not use {', '.join(refused)} on keys {keys}",
            "give the user those rights (docs/registry.md has an ACL for the router)",
        )
    return ok("rights", f"this user may do all that lookups need on keys {keys}")


def _coverage(said: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the loss of one primary of a cluster silences the others too, as Redis is shipped."""
    if said.get("cluster-require-full-coverage") == "yes" and said.get("cluster-allow-reads-when-down") != "yes":
        yield warning(
            "coverage",
            "when one primary is gone, this server answers nobody until its replica has taken over",
            "`CONFIG SET cluster-require-full-coverage no`, and the same in redis.conf",
        )


def _memory(info: Mapping[str, str], callers: int) -> Iterator[Finding]:
    if "used_memory" not in info:
        return
    used, most = number_in(info, "used_memory"), number_in(info, "maxmemory")
    policy = info.get("maxmemory_policy", "")
    said = f"{used / _MIB:,.0f} MiB used"
    if not most:
        yield ok("memory", f"{said}, no maxmemory")
    elif policy != "noeviction":
        # Callers do not expire, what they chose does.
        what = "what they chose" if policy.startswith("volatile-") else "callers"
        yield warning(
            "memory",
            f"{said} of {most / _MIB:,.0f} MiB, and beyond that Redis forgets ({policy}): {what} among the rest",
            "`CONFIG SET maxmemory-policy noeviction` and the same in redis.conf, or a Redis for the registry alone",
        )
    elif used + max(callers * MOST_BYTES, _ROOM * most) > most:
        yield warning(
            "memory",
            f"{said} of {most / _MIB:,.0f} MiB: a full load has the old and the new callers side by side for a minute",
            "raise maxmemory before the next full load",
        )
    else:
        yield ok("memory", f"{said} of {most / _MIB:,.0f} MiB, nothing is evicted")


def _persistence(info: Mapping[str, str], save: Mapping[str, str] | None) -> Iterator[Finding]:
    if "aof_enabled" not in info:
        return
    if info.get("rdb_last_bgsave_status", "ok") != "ok" or info.get("aof_last_write_status", "ok") != "ok":
        yield warning("persistence", "the last save to disk failed", "see Redis's log: most likely the disk is full")
    elif info["aof_enabled"] == "1":
        yield ok("persistence", "on, by an append-only file")
    elif save is None:
        yield ok("persistence", "no append-only file; whether snapshots are saved this user may not ask")
    elif save.get("save"):
        yield ok("persistence", f"on, by snapshots (save {save['save']})")
    else:
        yield warning(
            "persistence",
            "off: a restart of Redis empties the registry, and every caller is unknown until the next full load",
            "write `save 3600 1` or `appendonly yes` into redis.conf, unless loading anew takes you minutes only; "
            "what callers chose and what was set by hand is not in any feed",
        )


def _replicas(info: Mapping[str, str]) -> Iterator[Finding]:
    role = info.get("role")
    if role == "master":
        count = number_in(info, "connected_slaves")
        lags = [_lag_s(info.get(f"slave{number}", "")) for number in range(count)]
        if late := [lag for lag in lags if lag is None or lag > LAG_S]:
            seconds = "not in step" if None in late else f"{max(lag or 0 for lag in late)} s behind"
            yield warning(
                "replicas",
                f"{len(late)} of {count} are {seconds}: what was loaded is lost if this server is lost now",
                "see the log of those replicas, and `INFO replication`",
            )
        elif count:
            yield ok("replicas", f"{count}, in step")
    elif role == "slave":
        if info.get("master_link_status") == "up":
            yield ok("replicas", "a replica, in step with its primary")
        else:
            yield warning("replicas", "a replica whose primary cannot be reached", "see its log")


def _lag_s(described: str) -> int | None:
    """How many seconds a replica is behind, by `INFO replication`; None where it is not in step at all."""
    parts = dict(part.partition("=")[::2] for part in described.split(","))
    lag = parts.get("lag", "")
    return int(lag) if parts.get("state") == "online" and lag.isdecimal() else None
