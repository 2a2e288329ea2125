"""Whether buckets stay small: Redis keeps a hash as one block of memory only while it has few and short fields.

Beyond `hash-max-listpack-entries` or `-value` a bucket becomes a hash table, which takes five times the memory and
more. Redis 6.2 has a ziplist in place of the listpack, and its own names for the limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.callers.generation import Generation
from router.callers.inspecting.findings import Finding, ok, warning
from router.callers.inspecting.teller import Teller, number_in, teller
from router.callers.pseudonym import FIELD_BYTES
from router.callers.servers import Servers

USUAL_LARGEST: Final = 300
"""More than any bucket of a full load holds, for a registry that was not loaded yet."""
MOST_BYTES: Final = 12
"""A caller's part of a bucket, in Redis's memory."""
_ROOM: Final = 1.25  # for the deltas to come
_STEP: Final = 128
_ENTRIES: Final = ("hash-max-listpack-entries", "hash-max-ziplist-entries")
_VALUE: Final = ("hash-max-listpack-value", "hash-max-ziplist-value")
_ABOUT: Final = "bucket limits"


async def limits_of(server: Teller) -> dict[str, str] | None:
    """What a server says of its limits; None if this user may not ask."""
    return await server.says("CONFIG", "GET", "hash-max-*")


def limits_finding(limits: Mapping[str, str] | None, largest: int) -> Finding:
    """What to say of a server's limits, for buckets of which the fullest holds `largest` callers."""
    if limits is None:
        return warning(
            _ABOUT,
            "this user may not read them",
            f"as an administrator, see that `CONFIG GET hash-max-*` says entries {entries_for(largest)} and value "
            f"{FIELD_BYTES} or more",
        )
    entries, value = _named(limits, _ENTRIES), _named(limits, _VALUE)
    if entries is None or value is None:
        return warning(_ABOUT, "this server has none of the known names", "tell us which server it is")
    needed = {entries: entries_for(largest)} if number_in(limits, entries) < largest else {}
    if number_in(limits, value) < FIELD_BYTES:
        needed[value] = 64
    said = ", ".join(f"{name} {limits[name]}" for name in (entries, value))
    if not needed:
        return ok(_ABOUT, f"{said}; the fullest bucket holds {largest}")
    now = " and ".join(f"`CONFIG SET {name} {number}`" for name, number in needed.items())
    lines = ", ".join(f"`{name} {number}`" for name, number in needed.items())
    return warning(
        _ABOUT,
        f"{said}, and the fullest bucket holds {largest}: such buckets take five times the memory",
        f"{now}, write {lines} into redis.conf, and load callers anew",
    )


async def limits_too_small(servers: Servers, generation: Generation) -> str:
    """Which servers' limits are too small for a generation, in words; "" if none's, or this user may not ask.

    Raises:
        LookupFailedError: A server could not be asked.
    """
    said = []
    for name in await servers.primaries():
        async with teller(servers, name) as server:
            limits = await limits_of(server)
        if limits is not None and (finding := limits_finding(limits, generation.largest_bucket)).do:
            said.append(f"{name}: {finding.says}; {finding.do}")
    return "; ".join(said)


def entries_for(largest: int) -> int:
    """The limit to set, with room for what deltas add."""
    return max(512, -(-round(largest * _ROOM) // _STEP) * _STEP)


def _named(limits: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in limits), None)
