"""Findings about servers that belong together: a cluster that serves every key, Sentinels that agree."""

from __future__ import annotations

from collections import Counter
from typing import Final

from router.callers.inspecting.findings import Finding, ok, warning, wrong
from router.callers.inspecting.teller import teller_of
from router.callers.servers.address import RegistryAddress, server_name
from router.callers.servers.failure import LookupFailedError
from router.callers.servers.layout import SLOTS
from router.callers.servers.wire import Reply
from router.callers.settings import RedisSettings

_CONNECT_S: Final = 2.0


def cluster_finding(slots: Reply) -> Finding:
    """What to say of a cluster by its answer to `CLUSTER SLOTS`: ranges, each with its primary and replicas."""
    if not isinstance(slots, list):
        do = "give this user +cluster|slots"
        return wrong("cluster", f"how it is divided this user may not ask, and lookups need it: {slots}", do)
    served = sum(last - first + 1 for first, last, *_ in slots)
    primaries = {bytes(primary[2]) for _, _, primary, *_ in slots}
    replicas = {bytes(replica[2]) for _, _, _, *every in slots for replica in every}
    said = f"{len(primaries)} primaries, {len(replicas)} replicas"
    if served < SLOTS:
        do = "give them to servers that are there (`redis-cli --cluster fix`), then load callers anew"
        return wrong("cluster", f"{said}, and nobody serves {SLOTS - served:,} of {SLOTS:,} slots", do)
    return ok("cluster", f"{said}, every slot is served")


async def sentinel_findings(redis: RedisSettings) -> list[Finding]:
    """Whether each Sentinel answers, and all name the same primary."""
    login = RegistryAddress.login(redis, password=redis.sentinel_password, username=None)
    found, named = [], Counter[str]()
    for sentinel in redis.sentinels:
        try:
            address = login.at(sentinel)
            async with teller_of(address.connection(connect_s=_CONNECT_S, answer_s=_CONNECT_S)) as server:
                named[_named(await server.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", redis.service))] += 1
        except LookupFailedError as error:
            do = "see that it runs; while most of them are gone, nobody names a new primary when one is lost"
            found.append(warning(f"sentinel {sentinel}", str(error), do))
    if len(named) > 1:
        which = ", ".join(f"{primary} ({count})" for primary, count in named.most_common())
        do = "look again in a minute; if it lasts, see that those in the minority reach the others and the servers"
        found.append(warning("sentinels", f"they do not name the same primary: {which}", do))
    elif named.total() > len(redis.sentinels) // 2:
        found.append(ok("sentinels", f"{named.total()} of {len(redis.sentinels)} name {next(iter(named))}"))
    return found


def _named(reply: Reply) -> str:
    if isinstance(reply, list) and len(reply) == 2:  # noqa: PLR2004 - address and port
        return server_name(reply[0].decode("utf-8", "replace"), int(reply[1]))
    return "none"
