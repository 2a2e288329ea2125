"""Every Redis and Valkey that is supported: callers lie in buckets as compactly, and all that is asked works."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from lab.redis import RedisServer
from lab.redis_groups import said
from lab.redis_versions import VERSIONS
from lab.registry import BANDS
from router.callers.keys import TAGS, bucket_key
from router.callers.loading.job import Order, import_feed
from router.callers.number import PhoneNumber
from router.callers.past import Chosen
from router.callers.person import forget
from router.callers.registry import BandSource, open_registry
from router.callers.secret_ring import load_or_create_ring
from router.callers.servers.opening import open_servers
from router.callers.settings import FeedSettings, RedisSettings, RegistrySettings
from router.callers.stored import Visit

A_BUCKET = 190
LIMITS = ["--hash-max-ziplist-entries", "1024", "--hash-max-ziplist-value", "64"]  # a name that all of them know
MOST_BYTES = 12.0
EXPECTED = {"redis-6.2": r"6\.2\.", "redis-8": r"8\.", "valkey-8": r"8\.", "valkey-sid": r"(9|[1-9][0-9])\."}


@pytest.fixture(params=VERSIONS)
async def redis(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    program = VERSIONS[request.param]()
    async with RedisServer(tmp_path / "redis", program=program, options=LIMITS) as server:
        yield SimpleNamespace(name=request.param, server=server)


async def info(redis: SimpleNamespace, section: str) -> dict[str, str]:
    told = (await said(redis.server.port, "INFO", section)).decode()
    return dict(line.split(":", 1) for line in told.splitlines() if ":" in line)


async def test_it_is_the_version_that_its_name_says(redis: SimpleNamespace) -> None:
    told = await info(redis, "server")
    version = told.get("valkey_version") or told["redis_version"]
    assert re.match(EXPECTED.get(redis.name, ""), version)
    assert ("valkey_version" in told) == redis.name.startswith("valkey")


async def test_a_caller_takes_twelve_bytes_at_most(redis: SimpleNamespace) -> None:
    buckets = 8 * TAGS
    async with Redis(port=redis.server.port) as client:
        used = []
        for generation in (1, 2):  # the first pays for what the server makes room for once
            pipeline = client.pipeline(transaction=False)
            for bucket in range(buckets):
                fields = (number.to_bytes(6, "little") for number in range(bucket * A_BUCKET, (bucket + 1) * A_BUCKET))
                pipeline.hset(bucket_key(generation, bucket, buckets), mapping=dict.fromkeys(fields, 7))
            await pipeline.execute()
            used.append(int((await info(redis, "memory"))["used_memory"]))
    before, after = used
    each = (after - before) / (buckets * A_BUCKET)
    print(f"{redis.name}: {each:.2f} bytes a caller at {A_BUCKET} a bucket")  # noqa: T201 - for whoever runs it with -s
    encoding = await said(redis.server.port, "OBJECT", "ENCODING", bucket_key(1, 5, buckets))
    assert encoding == (b"ziplist" if redis.name == "redis-6.2" else b"listpack")
    assert each <= MOST_BYTES


async def test_all_that_is_done_works(redis: SimpleNamespace, tmp_path: Path) -> None:
    feed = tmp_path / "callers.csv"
    rows = "".join(f"+86139000{index:05d},{1930 + index % 80}-06-01\n" for index in range(5000))
    feed.write_text(f"number,birth_date\n{rows}")
    ring = load_or_create_ring(tmp_path / "registry.secrets")
    settings = RegistrySettings(RedisSettings(redis.server.url), tmp_path / "registry.secrets", deadline_s=2.0)
    order = Order(feed, FeedSettings(), BANDS, "CN", date(2026, 1, 1), tmp_path / "work", kept_s=0.0)
    async with open_registry(settings, ring) as registry:
        await import_feed(registry.servers, ring, order, lambda _step: None)
        for index, band in ((0, "elder"), (30, "senior"), (50, "adult"), (79, "minor")):
            found = await registry.lookup(PhoneNumber(f"+8613900000{index:03d}"))
            assert (found.band, found.source) == (band, BandSource.REGISTRY)
        caller = PhoneNumber("+8613900000050")
        await registry.set(caller, "elder")
        await registry.remember(caller, Chosen(person=True))
        for earlier in (0, 1):
            found = await registry.lookup(caller, Visit(f"pbx1/{earlier}", time.time(), 600.0))
            assert (found.band, len(found.earlier_calls_s or ())) == ("elder", earlier)
            assert found.choice
        assert (await forget(registry, caller)).removed
        assert (await registry.lookup(caller)).source is BandSource.NOT_FOUND


async def test_what_one_command_is_refused_costs_the_others_nothing(redis: SimpleNamespace) -> None:
    async with open_servers(RedisSettings(redis.server.url), deadline_s=2.0) as servers:
        await servers.ask("elder:a", [("SET", "elder:a", 1)], writing=True)
        number, refused, nothing = await servers.ask(
            "elder:a", [("GET", "elder:a"), ("HGET", "elder:a", b"f"), ("MGET", "elder:b", "elder:c")]
        )
        assert number == b"1"
        assert refused.status_code is None
        assert str(refused).startswith("WRONGTYPE")
        assert nothing == [None, None]
