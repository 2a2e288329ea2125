"""The registry beside a real Redis that is stopped, killed, locked, restarted and loaded anew."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from itertools import repeat
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis

from lab.redis import RedisServer
from lab.registry import load
from router.callers.breaker import Breaker, BreakerState
from router.callers.keys import OwnKeys, own_keys
from router.callers.number import PhoneNumber
from router.callers.past import MOST_EARLIER_CALLS, Chosen
from router.callers.registry import BandLookup, BandSource, LookupFailure, Registry, open_registry
from router.callers.secret_ring import SecretRing, load_or_create_ring
from router.callers.settings import PlainLayout, RedisSettings, RegistrySettings
from router.callers.stored import Visit

pytestmark = pytest.mark.integration

BANDS = ("minor", "adult", "senior", "elder")
CALLERS = [PhoneNumber(f"+861390000{index:04d}") for index in range(400)]
PATIENCE_S = 20.0


def band_of(index: int) -> str:
    return BANDS[index % len(BANDS)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


def secrets_of(server: RedisServer) -> Path:
    return server.directory / "registry.secrets"


def ring_of(server: RedisServer) -> SecretRing:
    return load_or_create_ring(secrets_of(server))


def registry_at(
    server: RedisServer,
    *,
    password: str | None = None,
    deadline_s: float = 0.05,
    choice_kept_s: float = 1000.0,
    plain: PlainLayout | None = None,
) -> Registry:
    settings = RegistrySettings(
        RedisSettings(server.url, password=password),
        secrets_of(server),
        deadline_s=deadline_s,
        choice_kept_s=choice_kept_s,
        layout=plain or "buckets",
    )
    # Connecting is given up early too: a stopped Redis accepts connections and then says nothing.
    return open_registry(
        settings,
        ring_of(server),
        connect_s=max(0.1, deadline_s),
        breaker=lambda: Breaker(failures_to_open=3, open_s=0.1),
    )


def own_of(server: RedisServer, number: PhoneNumber) -> OwnKeys:
    """The keys of a caller under the newest secret."""
    newest = ring_of(server).newest
    return own_keys(newest.name, newest.pseudonym(number))


async def fill(registry: Registry, shift: int = 0) -> None:
    """Load all callers, each with the band of the one that many after them."""
    bands = {caller: band_of(index + shift) for index, caller in enumerate(CALLERS)}
    await load(registry.settings.redis.url, registry.ring, bands)


async def found_again(registry: Registry) -> None:
    """Look up until Redis answers; time out if it never does."""
    async with asyncio.timeout(PATIENCE_S):
        for pause_s in repeat(0.01):
            if (await registry.lookup(CALLERS[0])).source is not BandSource.LOOKUP_FAILED:
                return
            await asyncio.sleep(pause_s)


async def test_many_at_once_get_each_their_own_band(server: RedisServer) -> None:
    async with registry_at(server, deadline_s=2.0) as registry:
        await fill(registry)
        found = await asyncio.gather(*(registry.lookup(caller) for caller in CALLERS))
        assert [lookup.band for lookup in found] == [band_of(index) for index in range(len(CALLERS))]
        assert registry.servers.stats.batches <= 4, "one to read what is in force, and 256 lookups in each"


async def test_a_stopped_redis_costs_each_lookup_its_deadline_at_most_and_nothing_afterwards(
    server: RedisServer,
) -> None:
    async with registry_at(server) as registry:
        await fill(registry)
        await found_again(registry)
        before = asyncio.all_tasks()
        server.child.send(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        for _ in range(10):
            began_s = loop.time()
            found = await asyncio.gather(*(registry.lookup(caller) for caller in CALLERS))
            assert {lookup.source for lookup in found} == {BandSource.LOOKUP_FAILED}
            # The deadline, and room for a machine that is busy with other things: Redis would never answer.
            assert loop.time() - began_s < 0.05 + 2.0
        assert registry.stats.failures[LookupFailure.BREAKER_OPEN] > 0
        assert {task.get_name() for task in asyncio.all_tasks() - before} <= {"registry-lookups", "registry-in-force"}
        server.child.send(signal.SIGCONT)
        await found_again(registry)
        for index, caller in enumerate(CALLERS):
            lookup = await registry.lookup(caller)
            if lookup.source is not BandSource.LOOKUP_FAILED:
                assert lookup.band == band_of(index)
        assert registry.breaker_state is BreakerState.CLOSED
    assert asyncio.all_tasks() == before


async def test_answers_stay_with_their_questions_while_redis_stops_and_goes_on(server: RedisServer) -> None:
    async with registry_at(server, deadline_s=0.02) as registry:
        await fill(registry)
        for _ in range(5):
            server.child.send(signal.SIGSTOP)
            await asyncio.gather(*(registry.lookup(caller) for caller in CALLERS))
            server.child.send(signal.SIGCONT)
            await found_again(registry)
            found = await asyncio.gather(*(registry.lookup(caller) for caller in CALLERS))
            for index, lookup in enumerate(found):
                assert lookup.band in {band_of(index), None}
                assert lookup.source is not BandSource.NOT_FOUND


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_an_answer_that_came_while_we_were_kept_from_running_is_taken(
    tmp_path: Path, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def stalled() -> tuple[BandLookup, BreakerState]:
        async with RedisServer(tmp_path / "redis") as server, registry_at(server) as registry:
            await fill(registry)
            await found_again(registry)
            server.child.send(signal.SIGSTOP)
            lookup = asyncio.create_task(registry.lookup(CALLERS[0]))
            for _ in range(5):
                await asyncio.sleep(0)
            server.child.send(signal.SIGCONT)
            time.sleep(0.3)  # noqa: ASYNC251 - the loop is to be kept from running
            return await lookup, registry.breaker_state

    with asyncio.Runner(loop_factory=make_loop) as runner:
        found, breaker = runner.run(stalled())
    assert found.source is BandSource.REGISTRY
    assert breaker is BreakerState.CLOSED


async def test_a_redis_that_is_killed_and_restarted_is_found_again(server: RedisServer) -> None:
    async with registry_at(server) as registry:
        await fill(registry)
        await found_again(registry)
        await server.child.stop(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while (await registry.lookup(CALLERS[0])).detail != "breaker open":
                pass
        await server.start()
        await found_again(registry)
        await fill(registry)
        assert (await registry.lookup(CALLERS[3])).band == "elder"


async def test_a_password_is_used_and_a_wrong_one_is_a_failed_lookup_that_does_not_show_it(
    server: RedisServer,
) -> None:
    async with Redis.from_url(server.url) as admin:
        await admin.config_set("requirepass", "correct horse")
    async with registry_at(server, password="correct horse") as registry:
        await registry.set(CALLERS[0], "elder")
        assert (await registry.lookup(CALLERS[0])).band == "elder"
    for password, detail in ((None, "NOAUTH"), ("battery staple", "WRONGPASS")):
        async with registry_at(server, password=password) as registry:
            lookup = await registry.lookup(CALLERS[0])
            assert lookup.source is BandSource.LOOKUP_FAILED
            assert detail in lookup.detail
            assert "staple" not in lookup.detail


async def test_cancelled_lookups_disturb_nobody(server: RedisServer) -> None:
    async with registry_at(server, deadline_s=2.0) as registry:
        await fill(registry)
        tasks = [asyncio.create_task(registry.lookup(caller)) for caller in CALLERS]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for index, lookup in enumerate(found):
            if index % 2:
                assert not isinstance(lookup, BaseException)
                assert lookup.band == band_of(index)
            else:
                assert isinstance(lookup, asyncio.CancelledError)


async def test_earlier_calls_are_counted_with_the_lookup_and_a_call_that_asks_again_once(server: RedisServer) -> None:
    caller, other = CALLERS[:2]
    async with registry_at(server, deadline_s=2.0) as registry:
        await fill(registry)
        first = await registry.lookup(caller, Visit("pbx1/1", 1000.0, 600.0))
        again = await registry.lookup(caller, Visit("pbx1/1", 1001.0, 600.0))
        second, elsewhere, plain = await asyncio.gather(
            registry.lookup(caller, Visit("pbx1/2", 1300.5, 600.0)),
            registry.lookup(other, Visit("pbx1/3", 1300.5, 600.0)),
            registry.lookup(caller),
        )
        late = await registry.lookup(caller, Visit("pbx1/4", 1650.0, 600.0))
        assert (first.earlier_calls_s, again.earlier_calls_s) == ((), ())
        assert second.earlier_calls_s == (299.5,)
        assert (elsewhere.earlier_calls_s, plain.earlier_calls_s) == ((), None)
        assert late.earlier_calls_s == (349.5,), "what lies further back than is asked for does not count"
        assert {lookup.band for lookup in (first, again, second, plain, late)} == {band_of(0)}


async def test_no_more_earlier_calls_are_kept_than_are_counted_and_they_expire(server: RedisServer) -> None:
    caller = CALLERS[0]
    async with registry_at(server, deadline_s=2.0) as registry, Redis.from_url(server.url) as redis:
        found = await registry.lookup(caller, Visit("pbx1/0", 1000.0, 60.0))
        for number in range(1, MOST_EARLIER_CALLS + 10):
            found = await registry.lookup(caller, Visit(f"pbx1/{number}", 1000.0 + number, 60.0))
        assert found.earlier_calls_s == tuple(float(ago) for ago in range(1, MOST_EARLIER_CALLS + 1))
        assert await redis.zcard(own_of(server, caller).calls) == MOST_EARLIER_CALLS + 1
        assert 0 < await redis.ttl(own_of(server, caller).calls) <= 60


async def test_calls_kept_in_another_shape_cost_nobody_their_band(server: RedisServer) -> None:
    caller, other = CALLERS[:2]
    async with registry_at(server, deadline_s=2.0) as registry, Redis.from_url(server.url) as redis:
        await fill(registry)
        await redis.set(own_of(server, caller).calls, "text")
        odd, good = await asyncio.gather(
            registry.lookup(caller, Visit("pbx1/1", 1000.0, 60.0)),
            registry.lookup(other, Visit("pbx1/2", 1000.0, 60.0)),
        )
        assert (odd.band, odd.earlier_calls_s) == (band_of(0), None)
        assert (good.band, good.earlier_calls_s) == (band_of(1), ())


async def test_a_choice_is_remembered_until_it_is_forgotten(server: RedisServer) -> None:
    caller = CALLERS[0]
    async with registry_at(server, deadline_s=2.0) as registry, Redis.from_url(server.url) as redis:
        assert (await registry.lookup(caller)).choice == ""
        await registry.choose(caller, "slower")
        assert (await registry.lookup(caller)).choice == await registry.choice(caller) == "slower"
        await registry.choose(caller, "")
        assert (await registry.lookup(caller)).choice == ""
        assert await redis.keys("*") == []
        await redis.set(own_of(server, caller).choice, "louder")
        assert (await registry.lookup(caller)).choice == "", "what nobody can choose counts as nothing"


async def test_what_is_chosen_later_is_joined_to_what_was_and_kept_as_long_as_new(server: RedisServer) -> None:
    caller, key = CALLERS[0], own_of(server, CALLERS[0]).choice
    async with (
        registry_at(server, deadline_s=2.0, choice_kept_s=1000.0) as registry,
        Redis.from_url(server.url) as redis,
    ):
        for later, kept in (
            (Chosen("slower", "slow"), b"slower:slow"),
            (Chosen(person=True), b"slower:slow+person"),
            (Chosen("normal", "standard"), b"normal:standard+person"),
        ):
            await registry.remember(caller, later)
            assert await redis.get(key) == kept
            assert 990 <= await redis.ttl(key) <= 1000
            await redis.expire(key, 10)
        await redis.set(key, b"slower:" + b"x" * 100)
        await registry.remember(caller, Chosen(person=True))
        assert (await registry.lookup(caller)).choice == "person", "what is none of ours is replaced"


async def test_the_choices_of_many_asterisks_at_once_are_all_remembered(server: RedisServer) -> None:
    callers = [PhoneNumber(f"+861390000{number:04d}") for number in range(40)]
    async with registry_at(server, deadline_s=2.0) as registry:
        await asyncio.gather(*(registry.remember(caller, Chosen("slower")) for caller in callers))
        assert {await registry.choice(caller) for caller in callers} == {"slower"}


async def test_a_choice_that_redis_did_not_answer_in_time_leaves_no_answer_for_the_next(server: RedisServer) -> None:
    first, second = CALLERS[:2]
    async with registry_at(server, deadline_s=2.0) as registry:
        await registry.choose(first, "slower:slow+person")
        server.child.send(signal.SIGSTOP)
        for caller in (first, second):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await registry.remember(caller, Chosen("normal", "standard"))
        server.child.send(signal.SIGCONT)
        await registry.remember(second, Chosen(person=True))
        assert await registry.choice(second) == "person", "not joined to what another caller chose"
        assert (await registry.choice(first)).endswith("+person")
