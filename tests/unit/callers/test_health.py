"""How the registry is, by a real Redis; nothing waits for the second in which it would be looked at again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from lab.redis import RedisServer
from router.callers.bands import AgeBand, AgeBands
from router.callers.breaker import BreakerState
from router.callers.generation import Generation, StoredBand
from router.callers.health import BANDS_DIFFER, EMPTY, LIMITS, REDIS, STALE, UNUSABLE, HealthWatch
from router.callers.inspecting.limits import limits_too_small
from router.callers.keys import REGISTRY_KEY
from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.callers.registry import Registry, open_registry
from router.callers.secret_ring import load_or_create_ring
from router.callers.settings import PlainLayout, RedisSettings, RegistrySettings
from router.errors import RegistryError

BANDS = AgeBands((AgeBand("adult", 0), AgeBand("senior", 60)))
MOVED = AgeBands((AgeBand("adult", 0), AgeBand("senior", 65)))
HOUR_S = 3600.0


@dataclass
class Ward:
    """The registry, and who looks after it."""

    redis: RedisServer
    registry: Registry
    secret: str
    ruled: AgeBands = BANDS
    too_small: str = ""
    limits_asked: list[int] = field(default_factory=list)
    watch: HealthWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = HealthWatch(self.registry, lambda: self.ruled, self.limits)

    async def limits(self, generation: Generation) -> str:
        self.limits_asked.append(generation.generation)
        if self.too_small == "refused":
            raise RegistryError("NOPERM")
        return self.too_small

    async def load(self, age_s: float = 0.0, number: int = 1, **changes: object) -> None:
        loaded = time.time() - age_s
        generation = Generation.model_validate(
            {
                "generation": number,
                "secret": self.secret,
                "buckets": 64,
                "bands": [StoredBand(name="adult", from_years=0), StoredBand(name="senior", from_years=60)],
                "callers": 5,
                "by_band": {"adult": 3, "senior": 2},
                "as_of": "2026-11-25",
                "loaded_at": loaded,
                "fresh_at": loaded,
                "largest_bucket": 240,
                **changes,
            }
        )
        async with Redis.from_url(self.redis.url) as client:
            await client.set(REGISTRY_KEY, generation.text())

    async def look(self) -> tuple[set[str], list[tuple[str, str]]]:
        """What is wrong, and what the log was told of it."""
        with suppress(RegistryError):
            await self.registry.in_force()
        with capture_logs() as logs:
            await self.watch.look()
        return set(self.watch.health.warnings), [(line["event"], line["what"]) for line in logs if "what" in line]


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    redis = RedisServer(tmp_path / "redis")
    await redis.start()
    settings = RegistrySettings(RedisSettings(redis.url), tmp_path / "registry.secrets", deadline_s=1.0)
    ring = load_or_create_ring(settings.secret_file)
    async with open_registry(settings, ring) as registry:
        yield Ward(redis, registry, ring.newest.name)
    await redis.stop()


NEWS, OVER = "registry needs attention", "registry needs no attention any more"


async def test_a_registry_that_is_well_has_no_warnings(ward: Ward) -> None:
    await ward.load()
    assert await ward.look() == (set(), [])
    health = ward.watch.health
    assert health.generation is not None
    assert health.generation.by_band == {"adult": 3, "senior": 2}


async def test_a_stale_registry_is_told_once_and_once_more_when_it_is_fresh_again(ward: Ward) -> None:
    await ward.load(age_s=35.9 * HOUR_S)
    assert await ward.look() == (set(), [])
    await ward.load(age_s=37 * HOUR_S)
    assert await ward.look() == ({STALE}, [(NEWS, STALE)])
    assert "37.0 hours ago, and `stale_after` is 36.0 hours" in ward.watch.health.warnings[STALE]
    assert await ward.look() == ({STALE}, [])
    await ward.load(number=2)
    assert await ward.look() == (set(), [(OVER, STALE)])
    await ward.load(age_s=37 * HOUR_S)
    assert await ward.look() == ({STALE}, [(NEWS, STALE)])


async def test_bands_that_mean_something_else_are_told_after_rules_or_callers_have_changed(ward: Ward) -> None:
    await ward.load()
    assert await ward.look() == (set(), [])
    ward.ruled = MOVED
    assert await ward.look() == ({BANDS_DIFFER}, [(NEWS, BANDS_DIFFER)])
    assert [differs.name for differs in ward.watch.health.differing] == ["adult", "senior"]
    assert await ward.look() == ({BANDS_DIFFER}, [])
    ward.ruled = AgeBands((AgeBand("adult", 0), AgeBand("senior", 70)))
    assert await ward.look() == ({BANDS_DIFFER}, [(NEWS, BANDS_DIFFER)])
    await ward.load(number=2, bands=[StoredBand(name="adult", from_years=0), StoredBand(name="senior", from_years=70)])
    assert await ward.look() == (set(), [(OVER, BANDS_DIFFER)])


async def test_a_registry_that_was_never_loaded_is_told(ward: Ward) -> None:
    assert await ward.look() == ({EMPTY}, [(NEWS, EMPTY)])
    await ward.load()
    assert await ward.look() == (set(), [(OVER, EMPTY)])


async def test_what_cannot_be_used_is_told_once(ward: Ward) -> None:
    await ward.load(secret="0123abcd")
    assert await ward.look() == ({UNUSABLE}, [(NEWS, UNUSABLE)])
    assert "0123abcd" in ward.watch.health.warnings[UNUSABLE]
    assert await ward.look() == ({UNUSABLE}, [])
    await ward.load(number=2)
    assert await ward.look() == (set(), [(OVER, UNUSABLE)])


async def test_what_redis_refuses_to_tell_is_told_once_as_no_server_is_lost_by_that(ward: Ward) -> None:
    async with Redis.from_url(ward.redis.url) as client:
        await client.lpush(REGISTRY_KEY, "none of ours")
        assert await ward.look() == ({UNUSABLE}, [(NEWS, UNUSABLE)])
        assert "WRONGTYPE" in ward.watch.health.warnings[UNUSABLE]
        assert await ward.look() == ({UNUSABLE}, [])


async def test_a_server_that_does_not_answer_is_a_warning(ward: Ward) -> None:
    await ward.load()
    await ward.look()
    await ward.redis.stop()
    for _ in range(4):
        await ward.registry.lookup(PhoneNumber("+8613900000001"))
    warnings, logged = await ward.look()
    assert REDIS in warnings
    assert (NEWS, REDIS) not in logged
    assert list(ward.watch.health.breakers.values()) == [BreakerState.OPEN]
    assert sum(ward.watch.health.failures.values()) == 4


async def test_limits_are_asked_for_once_a_generation(ward: Ward) -> None:
    ward.too_small = "too small"
    await ward.load()
    assert await ward.look() == ({LIMITS}, [(NEWS, LIMITS)])
    await ward.look()
    ward.too_small = ""
    await ward.load(number=2)
    assert await ward.look() == (set(), [(OVER, LIMITS)])
    assert ward.limits_asked == [1, 2]


async def test_limits_that_may_not_be_read_are_no_warning(ward: Ward) -> None:
    ward.too_small = "refused"
    await ward.load()
    assert await ward.look() == (set(), [])


async def test_a_real_server_with_small_limits_is_told_what_to_set(ward: Ward) -> None:
    await ward.load()
    in_force = await ward.registry.in_force()
    assert in_force is not None
    assert await limits_too_small(ward.registry.servers, in_force.generation) == ""
    async with Redis.from_url(ward.redis.url) as client:
        await client.config_set("hash-max-listpack-entries", 128)
        said = await limits_too_small(ward.registry.servers, in_force.generation)
        assert said.startswith(f"127.0.0.1:{ward.redis.port}: hash-max-listpack-entries 128")
        assert "`CONFIG SET hash-max-listpack-entries 512`" in said
        await client.acl_setuser("default", commands=["-config"], reset=False, enabled=True, nopass=True, keys=["*"])
        assert await limits_too_small(ward.registry.servers, in_force.generation) == ""


async def test_lookups_are_counted_by_their_result(ward: Ward) -> None:
    await ward.load()
    await ward.registry.lookup(PhoneNumber("+8613900000001"))
    await ward.registry.lookup(NoNumber(NoNumberReason.WITHHELD, ""))
    await ward.look()
    assert ward.watch.health.lookups == {"found": 0, "not_found": 1, "no_number": 1}
    assert ward.watch.health.batches >= 1


async def test_keys_that_another_system_writes_are_neither_stale_nor_empty(tmp_path: Path, ward: Ward) -> None:
    layout = PlainLayout("customer:{e164}")
    settings = RegistrySettings(RedisSettings(ward.redis.url), tmp_path / "registry.secrets", layout=layout)
    async with open_registry(settings, load_or_create_ring(settings.secret_file)) as registry:
        plain = Ward(ward.redis, registry, ward.secret)
        assert await plain.look() == (set(), [])
