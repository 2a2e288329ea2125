"""Callers of one's choice as a generation of the registry, in a moment: for tests and benchmarks of what reads it.

The real thing, for feeds of any size, is `elder-router callers import`.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from router.callers.bands import AgeBand, AgeBands
from router.callers.buckets import key_of
from router.callers.generation import SHARED, Generation, read_generation, stored_bands
from router.callers.keys import REGISTRY_KEY, TAGS
from router.callers.number import PhoneNumber
from router.callers.secret_ring import SecretRing

BANDS = AgeBands((AgeBand("minor", 0), AgeBand("adult", 18), AgeBand("senior", 60), AgeBand("elder", 75)))
"""Those of config/routing.yaml."""
_CALLERS_A_BUCKET = 150


async def load(
    redis: str | Redis | RedisCluster,
    ring: SecretRing,
    callers: Mapping[PhoneNumber, str],
    *,
    bands: AgeBands = BANDS,
    shared: Iterable[PhoneNumber] = (),
    loaded_at: float | None = None,
) -> Generation:
    """Store callers as the next generation and put it in force; the one before stays where it is.

    Args:
        redis: Its URL, or a client.
        ring: Callers are hashed with its newest secret.
        callers: Number → band.
        bands: All there are.
        shared: Numbers that people of several bands have.
        loaded_at: Epoch seconds; now, unless given.
    """
    if isinstance(redis, str):
        async with Redis.from_url(redis) as client:
            return await load(client, ring, callers, bands=bands, shared=shared, loaded_at=loaded_at)
    before: bytes | None = await redis.get(REGISTRY_KEY)  # type: ignore[assignment]  # nothing is decoded here
    at = time.time() if loaded_at is None else loaded_at
    generation = Generation(
        generation=1 if before is None else read_generation(before).generation + 1,
        secret=ring.newest.name,
        buckets=max(1, round(len(callers) / _CALLERS_A_BUCKET / TAGS)) * TAGS,
        bands=stored_bands(bands),
        callers=len(callers),
        by_band=Counter(callers.values()),
        as_of=datetime.fromtimestamp(at).astimezone().date().isoformat(),
        loaded_at=at,
        fresh_at=at,
    )
    codes = {name: code for code, name in enumerate(bands.names, 1)}
    with_others = frozenset(shared)
    buckets: dict[str, dict[Any, Any]] = defaultdict(dict)
    for number, band in callers.items():
        who = ring.newest.pseudonym(number)
        buckets[key_of(generation, who)][who.field] = codes[band] | (SHARED if number in with_others else 0)
    pipeline = redis.pipeline(transaction=False)
    for key, held in buckets.items():
        pipeline.hset(key, mapping=held)
    await pipeline.execute()
    largest = max(map(len, buckets.values()), default=0)
    generation = generation.model_copy(update={"largest_bucket": largest})
    await redis.set(REGISTRY_KEY, generation.text())
    return generation
