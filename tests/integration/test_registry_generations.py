"""The registry, while calls come in: callers loaded anew, the secret changed, a person forgotten. Beside real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from lab.redis import RedisServer
from lab.redis_groups import RedisCluster
from lab.registry import load
from router.callers import person, watching
from router.callers.bands import AgeBand, AgeBands
from router.callers.buckets import generation_of, key_of
from router.callers.former import former_keys_of
from router.callers.generation import Generation
from router.callers.keys import IMPORT_KEY
from router.callers.number import PhoneNumber
from router.callers.person import Kind, forget, held
from router.callers.registry import BandLookup, BandSource, Registry, open_registry
from router.callers.rotation import remove_under, stored_under
from router.callers.secret_ring import SecretRing, add_secret, load_or_create_ring, load_ring, retire_secret
from router.callers.servers.failure import LookupFailedError
from router.callers.settings import PlainLayout, RedisSettings, RegistrySettings
from router.callers.stored import Visit

pytestmark = pytest.mark.integration

CALLERS = [PhoneNumber(f"+861390000{index:04d}") for index in range(400)]
CALLER, OTHER = CALLERS[:2]
MANY = [PhoneNumber(f"+86138{index:08d}") for index in range(20_000)]
# One band for each load, so that a lookup's band tells of which load it is.
LOADS = AgeBands(tuple(AgeBand(f"load{number}", number) for number in range(20)))
PATIENCE_S = 20.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    load_or_create_ring(tmp_path / "registry.secrets")
    return tmp_path / "registry.secrets"


def registry_at(
    redis: RedisSettings | RedisServer, secrets: Path, plain: PlainLayout | None = None, **more: float
) -> Registry:
    place = redis if isinstance(redis, RedisSettings) else RedisSettings(redis.url)
    settings = RegistrySettings(place, secrets, deadline_s=5.0, layout=plain or "buckets", **more)  # type: ignore[arg-type]
    return open_registry(settings, load_ring(secrets))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what happens in the background; what was never read yet is not known yet."""
    async with asyncio.timeout(PATIENCE_S):
        for pause_s in repeat(0.005):
            with suppress(LookupFailedError):
                if holds():
                    return
            await asyncio.sleep(pause_s)


def known(registry: Registry) -> Generation:
    """The generation that is known to be in force."""
    generation = registry.known_in_force()
    assert generation is not None
    return generation


@dataclass
class Calls:
    """Lookups on a schedule, whatever becomes of those before, each held against what may be found."""

    registry: Registry
    right: Callable[[PhoneNumber, BandLookup], bool]
    rate_hz: float = 1000.0
    made: int = 0
    wrong: list[BandLookup] = field(default_factory=list)

    async def __aenter__(self) -> Calls:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._watching = self._group.create_task(self.registry.watch())
        self._calling = self._group.create_task(self._call())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._calling.cancel()
        await asyncio.wait([self._calling])
        self._watching.cancel()
        await self._group.__aexit__(*error)  # type: ignore[arg-type]

    async def enough(self, calls: int) -> None:
        """Wait until so many more were made."""
        enough = self.made + calls
        await until(lambda: self.made >= enough)

    async def _call(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for number in range(1_000_000):
            await asyncio.sleep(max(0.0, began_s + number / self.rate_hz - loop.time()))
            self._group.create_task(self._lookup(CALLERS[number % len(CALLERS)]))

    async def _lookup(self, caller: PhoneNumber) -> None:
        found = await self.registry.lookup(caller)
        self.made += 1
        if not self.right(caller, found):
            self.wrong.append(found)


async def test_lookups_see_the_old_load_or_the_new_one_and_never_half_of_either(
    server: RedisServer, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "READ_EVERY_S", 0.05)
    ring = load_ring(secrets)
    in_force = 0
    found: set[str | None] = set()

    def right(_caller: PhoneNumber, lookup: BandLookup) -> bool:
        found.add(lookup.band)
        # A lookup may have begun before a switch, and read what is in force before that.
        return lookup.source is BandSource.REGISTRY and lookup.band in {f"load{in_force - ago}" for ago in range(3)}

    async def load_next(number: int) -> None:
        nonlocal in_force
        # Every other one is so large that it has more buckets: the same caller lies elsewhere.
        callers = dict.fromkeys([*CALLERS, *(MANY if number % 2 else ())], f"load{number}")
        in_force = number  # what is being loaded may be found as soon as it is in force
        generation = await load(server.url, ring, callers, bands=LOADS)
        assert generation.buckets == (128 if number % 2 else 64)

    async with registry_at(server, secrets) as registry, Redis.from_url(server.url) as redis:
        await load_next(1)
        async with Calls(registry, right) as calls:
            for number in range(2, 10):
                await load_next(number)
                await until(lambda number=number: known(registry).generation == number)  # type: ignore[misc]
                await calls.enough(150)
                old = [key async for key in redis.scan_iter("elder:{*") if (generation_of(key) or number) < number - 1]
                if old:
                    await redis.delete(*old)
        assert calls.wrong == []
        assert calls.made > 1000
        assert {f"load{number}" for number in range(2, 10)} <= found


async def test_the_secret_is_changed_and_no_lookup_fails_or_is_wrong(
    server: RedisServer, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "READ_EVERY_S", 0.05)
    bands = {caller: ("senior", "elder")[index % 2] for index, caller in enumerate(CALLERS)}
    (old,) = load_ring(secrets).secrets
    await load(server.url, load_ring(secrets), bands)
    async with registry_at(server, secrets) as registry, registry_at(server, secrets) as other:
        await registry.set(CALLER, "senior")
        await registry.choose(CALLER, "slower")
        await registry.choose(OTHER, "person")
        await registry.lookup(OTHER, Visit("pbx1/1", 1000.0, 600.0))

        set_by_hand = bands | {CALLER: "senior"}
        async with Calls(registry, lambda caller, lookup: lookup.band == set_by_hand[caller]) as calls:
            await calls.enough(100)
            new = add_secret(secrets).newest
            await until(lambda: registry.ring.newest == new)
            found = await registry.lookup(OTHER, Visit("pbx1/2", 1100.0, 600.0))
            assert (found.band, found.choice, found.earlier_calls_s) == ("elder", "person", (100.0,))
            assert (await registry.lookup(CALLER)).detail == "set by hand"
            await registry.choose(OTHER, "normal:standard")
            await calls.enough(100)

            await load(server.url, load_ring(secrets), bands)
            await until(lambda: known(registry).secret == new.name)
            await calls.enough(100)
            await other.in_force()
            under = await stored_under(other)
            assert under.in_force == new.name
            assert [(name, stored.set, stored.choices, stored.calls) for name, stored in under.by_name.items()] == [
                (new.name, 0, 1, 1),
                (old.name, 1, 1, 1),
            ]

            await registry.set(CALLER, "senior")
            retire_secret(secrets, old.name)
            assert await remove_under(other, old.name) == 2
            await until(lambda: registry.ring == SecretRing((new,)))
            await calls.enough(100)
        assert calls.wrong == []
        found = await registry.lookup(OTHER, Visit("pbx1/3", 1200.0, 600.0))
        assert (found.band, found.choice, found.earlier_calls_s) == ("elder", "normal:standard", (100.0,))
        assert (await registry.lookup(CALLER)).choice == "", "what was not chosen again is gone with the secret"


async def test_each_caller_has_the_right_band_throughout_a_change_of_the_secret(
    server: RedisServer, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "READ_EVERY_S", 0.05)
    await load(server.url, load_ring(secrets), {CALLER: "elder"})
    async with registry_at(server, secrets) as registry:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(registry.watch())
            before = load_ring(secrets).newest
            add_secret(secrets)
            await load(server.url, load_ring(secrets), {CALLER: "elder"})
            retire_secret(secrets, before.name)  # at once: the load before is still in this one's mind
            bands = {(await registry.lookup(CALLER)).band for _ in range(50)}
            await until(lambda: known(registry).generation == 2)
            bands |= {(await registry.lookup(CALLER)).band for _ in range(50)}
            watch.cancel()
        assert bands == {"elder"}


@asynccontextmanager
async def full(server: RedisServer, secrets: Path) -> AsyncIterator[Registry]:
    """A registry that holds all there can be of CALLER, and of many others."""
    bands = dict.fromkeys(CALLERS, "elder")
    old = load_ring(secrets)
    await load(server.url, old, bands)
    async with registry_at(server, secrets) as registry, Redis.from_url(server.url) as redis:
        await registry.set(CALLER, "adult")
        await registry.choose(CALLER, "slower")
        await registry.lookup(CALLER, Visit("pbx1/1", 1000.0, 600.0))
        add_secret(secrets)
        await registry.in_force()
        await load(server.url, load_ring(secrets), bands)
        await registry.in_force()
        # Beside what stands under the older secret, as if another router had not read the file yet.
        own = load_ring(secrets).newest.pseudonym(CALLER)
        await redis.set(f"elder:{{{own.place >> 26:02x}}}:choice:{load_ring(secrets).newest.name}:{own.hex}", "person")
        await registry.lookup(CALLER, Visit("pbx1/2", 1100.0, 600.0))
        generation = await load(server.url, load_ring(secrets), bands)
        # A load that was begun and is not in force: what Redis holds of it has the next number.
        key = key_of(generation.model_copy(update={"generation": 9, "buckets": 6400}), own)
        await redis.hset(key, own.field, "4")
        await redis.hset(key, b"others", "4")
        await redis.set(former_keys_of(CALLER, None)[0], "elder")
        yield registry


def dumped(server: RedisServer, needles: Mapping[str, bytes]) -> set[str]:
    """Which of these bytes are in what Redis writes to disk."""
    dump = (server.directory / "dump.rdb").read_bytes()
    return {name for name, needle in needles.items() if needle in dump}


async def test_who_is_forgotten_is_nowhere_in_redis_and_everybody_else_is(server: RedisServer, secrets: Path) -> None:
    async with full(server, secrets) as registry, Redis.from_url(server.url) as redis:
        await redis.config_set("rdbcompression", "no")
        needles = {"number": CALLER.e164.encode()}
        for secret in load_ring(secrets).secrets:
            who = secret.pseudonym(CALLER)
            needles |= {f"{secret.name} key": who.hex.encode(), f"{secret.name} field": who.field}
        await redis.save()
        assert dumped(server, needles) == set(needles), "else nothing is learnt from looking for them"
        done = await forget(registry, CALLER)
        assert done.removed == set(Kind)
        assert (done.left, done.importing, done.is_complete) == (frozenset(), False, True)
        assert done.looked_at[Kind.FED] == 1
        assert done.looked_at[Kind.CHOICE] == 2
        await redis.save()
        assert dumped(server, needles) == set()
        assert (await registry.lookup(CALLER)).source is BandSource.NOT_FOUND
        assert {(await registry.lookup(other)).band for other in CALLERS[1:]} == {"elder"}
        again = await forget(registry, CALLER)
        assert (again.removed, again.is_complete) == (frozenset(), True)
        assert (await held(registry, CALLER)).keys == {}


async def test_what_is_held_is_all_told(server: RedisServer, secrets: Path) -> None:
    async with full(server, secrets) as registry:
        found = await held(registry, CALLER)
        assert (found.band, found.set_band, found.choice) == ("adult", "adult", "person")
        assert found.fed is not None
        assert found.fed.band == "elder"
        assert [call.call for call in found.calls] == ["pbx1/2", "pbx1/1"]
        kinds = sorted(found.keys.values())
        assert kinds == sorted([Kind.FED, Kind.SET, *[Kind.CHOICE] * 2, *[Kind.CALLS] * 2, Kind.FORMER])


async def test_forgetting_while_callers_are_loaded_says_that_it_must_be_done_again(
    server: RedisServer, secrets: Path
) -> None:
    async with full(server, secrets) as registry, Redis.from_url(server.url) as redis:
        await redis.set(IMPORT_KEY, "somebody")
        done = await forget(registry, CALLER)
        assert (done.left, done.importing, done.is_complete) == (frozenset(), True, False)


async def test_what_comes_back_meanwhile_is_told(
    server: RedisServer, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = person._each

    async def then_chosen_again(registry: Registry, places: Sequence[Any], *, remove: bool) -> frozenset[Kind]:
        found = await real(registry, places, remove=remove)
        if remove:
            await registry.choose(CALLER, "person")
        return found

    async with full(server, secrets) as registry:
        with monkeypatch.context() as patch:
            patch.setattr(person, "_each", then_chosen_again)
            done = await forget(registry, CALLER)
        assert (set(done.left), done.is_complete) == ({Kind.CHOICE}, False)
        again = await forget(registry, CALLER)
        assert (set(again.removed), again.is_complete) == ({Kind.CHOICE}, True)


async def test_another_systems_entry_is_read_and_told_of_and_left_alone(server: RedisServer, secrets: Path) -> None:
    plain = PlainLayout("elder:caller:{e164}", None, {})
    async with registry_at(server, secrets, plain) as registry, Redis.from_url(server.url) as redis:
        await redis.set("elder:caller:+8613900000000", "senior")
        await redis.set("elder:choice:+8613900000000", "slower")
        assert (await registry.lookup(CALLER)).band == "senior"
        assert await registry.old_keys() == 1, "that of the layout is none of them"
        await registry.set(CALLER, "elder")
        found = await held(registry, CALLER)
        assert (found.band, found.fed.band if found.fed else None, found.generation) == ("elder", "senior", None)
        done = await forget(registry, CALLER)
        assert done.removed == {Kind.SET, Kind.FORMER}
        assert (done.elsewhere, done.is_complete) == ("elder:caller:+8613900000000", False)
        assert await redis.keys("*") == [b"elder:caller:+8613900000000"]


async def test_keys_in_clear_are_found_and_no_others(server: RedisServer, secrets: Path) -> None:
    async with full(server, secrets) as registry, Redis.from_url(server.url) as redis:
        await redis.set("elder:calls:+8613900000009", "1")
        await redis.set("elder:calls:something", "1")
        await redis.set("elder:cats:+8613900000009", "1")
        assert await registry.old_keys() == 2


async def test_in_a_cluster_all_of_it_works_across_servers(tmp_path: Path, secrets: Path) -> None:
    async with RedisCluster(tmp_path / "cluster") as cluster:
        redis = RedisSettings(cluster=cluster.names)
        async with registry_at(redis, secrets) as registry:
            for _ in range(2):
                await load(registry.admin(), load_ring(secrets), dict.fromkeys(CALLERS, "elder"))
                await registry.in_force()
                bands = {(await registry.lookup(caller, Visit("a/1", 100.0, 60.0))).band for caller in CALLERS}
                assert bands - {"senior"} == {"elder"}
                await registry.set_many((caller, "senior") for caller in CALLERS[:20])
                await registry.choose(CALLER, "slower")
                add_secret(secrets)
                await registry.in_force()
            assert {(await registry.lookup(caller)).band for caller in CALLERS[:20]} == {"senior"}
            assert (await registry.lookup(CALLER)).choice == await registry.choice(CALLER) == "slower"
            assert await registry.earlier_calls(CALLER, 110.0, 60.0) == (10.0,)
            under = await stored_under(registry)
            assert [(stored.set, stored.calls) for stored in under.by_name.values()] == [(0, 0), (20, 400), (0, 400)]
            done = await forget(registry, CALLER)
            assert done.removed == {Kind.FED, Kind.OTHER_LOAD, Kind.SET, Kind.CHOICE, Kind.CALLS}
            assert done.is_complete
            assert (await held(registry, CALLER)).keys == {}
            oldest = load_ring(secrets).secrets[-1].name
            assert await remove_under(registry, oldest) == 399
            assert (await stored_under(registry)).by_name[oldest].counts.total() == 0
