"""Findings about what lies in Redis: the generation in force, what imports have left, keys that are none of ours."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from redis.exceptions import ResponseError

from router.callers.bands import AgeBands
from router.callers.buckets import generation_of
from router.callers.former import KINDS
from router.callers.generation import Generation
from router.callers.health import age_in_words, differing_in_words, stale_in_words
from router.callers.inspecting.findings import Finding, ok, warning
from router.callers.inspecting.teller import Teller, teller
from router.callers.keys import IMPORT_KEY
from router.callers.meanings import meanings_that_differ
from router.callers.servers import Servers
from router.callers.servers.failure import lookup_failed

MOST_LOOKED_AT: Final = 50_000
"""Keys of each server, so that looking takes less than a second. The order in which they come is as good as random."""
_AT_ONCE: Final = 500
_COMPACT: Final = frozenset({b"listpack", b"ziplist"})
_CLEAR: Final = tuple(f"elder:{kind}:".encode() for kind in KINDS)


@dataclass(slots=True)
class KeysSeen:
    """Some of a server's keys: how many, of which generations, with numbers in clear."""

    looked_at: int = 0
    is_all: bool = False
    buckets: Counter[int] = field(default_factory=Counter)
    clear: int = 0


def generation_findings(
    generation: Generation, ruled: AgeBands | None, stale_after_s: float, now: float
) -> list[Finding]:
    """What is in force, how old it is, and whether its bands are those of the rules, if these are known."""
    bands = ", ".join(f"{count:,} {band}" for band, count in generation.by_band.items())
    counted = f"{generation.callers:,} callers{f' ({bands})' if bands else ''}"
    said = f"generation {generation.generation}: {counted}, ages as of {generation.as_of}, secret {generation.secret}"
    found = [ok("registry", said)]
    if stale := stale_in_words(generation, stale_after_s, now):
        do = "`systemctl status elder-router-callers.service`, then `elder-router callers import` by hand"
        found.append(warning("freshness", stale, do))
    else:
        found.append(ok("freshness", f"loaded or updated {age_in_words(max(0.0, now - generation.fresh_at))} ago"))
    if ruled is not None:
        if differing := meanings_that_differ(generation.age_bands(), ruled):
            do = "load callers anew with `elder-router callers import`, or take the change of the rules back"
            found.append(warning("age bands", differing_in_words(differing), do))
        else:
            found.append(ok("age bands", "they mean in the rules what they meant when callers were loaded"))
    return found


async def import_under_way(servers: Servers) -> str | None:
    """Who imports and how long their lock lasts, in words; None if nobody does.

    Raises:
        LookupFailedError: That could not be asked, or this user may not.
    """
    async with teller(servers, await servers.server_for(IMPORT_KEY, writing=True)) as server:
        held = await server.ask("GET", IMPORT_KEY)
        if isinstance(held, ResponseError):
            raise lookup_failed(held)
        if held is None:
            return None
        left_s = await server.ask("TTL", IMPORT_KEY)
    until = f"; if it was killed, its lock ends in {left_s} s at the latest" if isinstance(left_s, int) else ""
    return f"one is under way{_by(held)}{until}"


async def keys_seen(server: Teller) -> KeysSeen | None:
    """Look at some of a server's keys; None if this user may not.

    Raises:
        LookupFailedError: It stopped answering.
    """
    seen, cursor = KeysSeen(), b"0"
    while seen.looked_at < MOST_LOOKED_AT:
        reply = await server.ask("SCAN", cursor, "MATCH", "elder:*", "COUNT", _AT_ONCE)
        if not isinstance(reply, list):
            return None
        cursor, keys = reply
        seen.looked_at += _AT_ONCE
        for key in keys:
            generation = generation_of(key)
            if generation is not None:
                seen.buckets[generation] += 1
            elif key.startswith(_CLEAR):
                seen.clear += 1
        if cursor == b"0":
            seen.is_all = True
            break
    return seen


def keys_findings(seen: KeysSeen | None, generation: Generation | None, *, importing: bool) -> list[Finding]:
    """What to say of the keys of one server."""
    if seen is None:
        do = "run this as an administrator's user to see whether old keys lie there"
        return [warning("leftovers", "this user may not look at keys (SCAN)", do)]
    some = "" if seen.is_all else f" of those looked at (about {seen.looked_at:,})"
    found = []
    if seen.clear:
        found.append(
            warning(
                "old keys",
                f"{seen.clear:,} of an earlier version{some}, with numbers in clear",
                "once callers are loaded anew and all routers are updated: `elder-router callers remove-old --yes`",
            )
        )
    in_force = generation.generation if generation else None
    others = {number: count for number, count in seen.buckets.items() if number != in_force}
    if others and importing:
        found.append(
            ok("leftovers", f"none: {sum(others.values()):,} buckets{some} are the import's that is under way")
        )
    elif others:
        which = ", ".join(map(str, sorted(others)))
        found.append(
            warning(
                "leftovers",
                f"buckets of no generation in force: {sum(others.values()):,}{some} (of generation {which}); "
                "an import was abandoned, or its last step was",
                "run the import again: it goes on where it stopped, or removes what it finds",
            )
        )
    elif not seen.clear:
        found.append(ok("leftovers", f"none{some}"))
    return found


async def encoding_finding(server: Teller, generation: Generation) -> Finding | None:
    """In what form a server holds a bucket of the generation in force; None where none was found, or may not be asked.

    Raises:
        LookupFailedError: It stopped answering.
    """
    key = await _a_bucket(server, generation.generation)
    encoding = None if key is None else await server.ask("OBJECT", "ENCODING", key)
    if not isinstance(encoding, bytes):
        return None
    if encoding in _COMPACT:
        return ok("bucket form", encoding.decode())
    return warning(
        "bucket form",
        f"buckets are held as {encoding.decode('ascii', 'replace')}, at five times the memory or more",
        "raise the bucket limits as said above, then load callers anew",
    )


async def _a_bucket(server: Teller, generation: int) -> bytes | None:
    cursor, looked_at = b"0", 0
    while looked_at < MOST_LOOKED_AT:
        reply = await server.ask("SCAN", cursor, "MATCH", f"elder:{{*}}:{generation:x}:*", "COUNT", _AT_ONCE)
        if not isinstance(reply, list):
            return None
        cursor, keys = reply
        looked_at += _AT_ONCE
        if keys:
            found: bytes = keys[0]
            return found
        if cursor == b"0":
            return None
    return None


def _by(held: bytes) -> str:
    """Who imports, as far as the lock says so."""
    try:
        owner = json.loads(held)
        return f", by {str(owner['owner'])[:40]} on {str(owner['host'])[:60]} (process {int(owner['pid'])})"
    except (ValueError, KeyError, TypeError):
        return ""
