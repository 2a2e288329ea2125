"""Feeds of made-up callers, imported as the commands do it, and all that Redis holds afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from lab.registry import BANDS
from router.callers.generation import SHARED, Generation, read_generation
from router.callers.keys import GENERATIONS_KEY, REGISTRY_KEY, bucket_key, bucket_of
from router.callers.loading.job import Order, Outcome, import_feed
from router.callers.loading.steps import Step
from router.callers.number import PhoneNumber
from router.callers.pseudonym import SECRET_BYTES, CallerSecret
from router.callers.secret_ring import SecretRing
from router.callers.servers import open_servers
from router.callers.settings import FeedSettings, RedisSettings

RING = SecretRing((CallerSecret(b"\x01" * SECRET_BYTES),))
TODAY = date(2026, 11, 25)
CODES = {name: code for code, name in enumerate(BANDS.names, 1)}
FEED = FeedSettings(removed="removed")


def unwatched(_: Step) -> None:
    """Nobody looks."""


def number(index: int) -> str:
    """A made-up mobile number, of index 0 to 9,999,999."""
    return f"+86139{index:08d}"


def write_feed(file: Path, rows: Iterable[tuple[int, str]]) -> Path:
    """A full feed: index and band of each row."""
    file.write_text("number,age_band\n" + "".join(f"{number(index)},{band}\n" for index, band in rows))
    return file


def write_delta(file: Path, rows: Iterable[tuple[int, str]]) -> Path:
    """A delta: index and band of each row; no band for who is removed."""
    lines = [f"{number(index)},{band},{'' if band else 'yes'}\n" for index, band in rows]
    file.write_text("number,age_band,removed\n" + "".join(lines))
    return file


def order_for(file: Path, folder: Path, **more: Any) -> Order:  # noqa: ANN401
    """To import it, without other processes and without waiting before the old callers are removed."""
    order = Order(
        file=file, feed=FEED, bands=BANDS, home_region="CN", as_of=TODAY, folder=folder, workers=0, kept_s=0.0
    )
    return replace(order, **more)


async def run(redis: RedisSettings | str, order: Order, ring: SecretRing = RING) -> Outcome:
    """Import it."""
    settings = RedisSettings(url=redis) if isinstance(redis, str) else redis
    async with open_servers(settings, deadline_s=2.0) as servers:
        return await import_feed(servers, ring, order, unwatched)


async def generation_in(redis: Redis) -> Generation:
    """What is in force."""
    text = await redis.get(REGISTRY_KEY)
    assert isinstance(text, bytes)
    return read_generation(text)


async def stored_in(redis: Redis) -> dict[tuple[int, bytes], int]:
    """All callers of the generation in force: bucket and field → value. Nothing else is in its buckets."""
    now = await generation_in(redis)
    found = {}
    for bucket in range(now.buckets):
        rows = await redis.hgetall(bucket_key(now.generation, bucket, now.buckets))
        found.update({(bucket, field): int(value) for field, value in rows.items() if isinstance(field, bytes)})
    return found


def wanted(values: Mapping[int, int], buckets: int, ring: SecretRing = RING) -> dict[tuple[int, bytes], int]:
    """What ought to be stored of callers by index."""
    secret = ring.newest
    found = {}
    for index, value in values.items():
        who = secret.pseudonym(PhoneNumber(number(index)))
        found[bucket_of(who.place, buckets), who.field] = value
    return found


def oldest_of(rows: Iterable[tuple[int, str]]) -> dict[int, int]:
    """The policy, naively: the oldest band of a number, and whether its bands differ."""
    bands: dict[int, set[str]] = {}
    for index, band in rows:
        bands.setdefault(index, set()).add(band)
    return {
        index: max(CODES[band] for band in held) | (SHARED if len(held) > 1 else 0) for index, held in bands.items()
    }


_BUCKET = re.compile(rb"(elder:\{[0-9a-f]{2}\}:)([0-9a-f]+)(:[0-9a-f]+)")
_NOT_COMPARED = re.compile(rb'"(?:generation|loaded_at|fresh_at)":[0-9.]+')


async def keys_in(redis: Redis) -> list[bytes]:
    """All keys."""
    return [key for key in await redis.keys() if isinstance(key, bytes)]


async def dumped(redis: Redis) -> dict[bytes, bytes | None]:
    """All that is there, as Redis would save it."""
    return {key: await redis.dump(key) for key in await keys_in(redis)}


async def comparable(redis: Redis) -> dict[bytes, bytes | None]:
    """The same without what differs from run to run: when it was, and how many generations were begun."""
    found: dict[bytes, bytes | None] = {}
    for key in await keys_in(redis):
        if key == REGISTRY_KEY.encode():
            text = await redis.get(key)
            assert isinstance(text, bytes)
            found[key] = _NOT_COMPARED.sub(b"", text)
        elif bucket := _BUCKET.fullmatch(key):
            found[bucket[1] + b"N" + bucket[3]] = await redis.dump(key)
        elif key != GENERATIONS_KEY.encode():
            found[key] = await redis.dump(key)
    return found
