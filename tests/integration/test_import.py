"""Feeds of callers into a real Redis: what is there afterwards, and what is not touched."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.feeds import MadeFeed
from lab.redis import RedisServer
from lab.registry import BANDS
from router.callers.bands import AgeBand, AgeBands
from router.callers.generation import SHARED
from router.callers.keys import IMPORT_KEY, REGISTRY_KEY, bucket_key
from router.callers.loading.checkpoint import FULL, FullCheckpoint, read_checkpoint, write_checkpoint
from router.callers.loading.full import FullLoad
from router.callers.loading.job import import_feed, try_feed
from router.callers.loading.lines import Lines
from router.callers.loading.lock import ImportLock, work_folder
from router.callers.loading.pacing import Pacer
from router.callers.loading.refusal import TooMuchChangedError
from router.callers.loading.steps import Step, Terms
from router.callers.number import PhoneNumber
from router.callers.pseudonym import SECRET_BYTES, CallerSecret, Pseudonym
from router.callers.registry import BandSource, open_registry
from router.callers.secret_ring import SecretRing
from router.callers.servers import open_servers
from router.callers.settings import RedisSettings, RegistrySettings
from router.errors import ConfigurationError, RegistryError
from tests.integration.feeds import (
    CODES,
    RING,
    TODAY,
    comparable,
    dumped,
    generation_in,
    keys_in,
    number,
    oldest_of,
    order_for,
    run,
    stored_in,
    unwatched,
    wanted,
    write_delta,
    write_feed,
)

pytestmark = pytest.mark.integration


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


def rows_of(count: int, seed: int) -> list[tuple[int, str]]:
    """Rows of about as many callers; some numbers stand on several."""
    chance = random.Random(seed)  # noqa: S311 - the same every time
    return [(chance.randrange(count), chance.choice(BANDS.names)) for _ in range(count)]


def after_delta(there: int, coming: int) -> int:
    """What a row of a delta makes of a value; 0 is nobody."""
    if there & SHARED:
        return max(there, coming | SHARED) if coming else there
    return coming


async def keys_appear(redis: Redis, pattern: str) -> None:
    """Return as soon as there are any."""
    async with asyncio.timeout(30):
        while not await redis.keys(pattern):  # noqa: ASYNC110 - only Redis knows
            await asyncio.sleep(0.002)


async def load_made(server: RedisServer, feed: MadeFeed, folder: Path, pacer: Pacer | None = None) -> None:
    """Load persons that no file was read of."""
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        with work_folder(folder):
            lines = Lines(servers)
            try:
                async with ImportLock(servers, folder) as lock:
                    load = FullLoad(lines, lock, pacer or Pacer(), folder, unwatched)
                    await load.run(feed, Terms(BANDS, RING.newest, TODAY, len(feed), 5.0, 1e9, kept_s=0.0))
            finally:
                await lines.close()


async def test_full_delta_and_full_again_are_what_a_dictionary_says(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    rows = rows_of(3000, 1)
    first = await run(server.url, order_for(write_feed(tmp_path / "full.csv", rows), tmp_path / "work"))
    model = oldest_of(rows)
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted(model, now.buckets)
    assert first.callers == now.callers == len(model)
    assert now.by_band == {name: sum(value & 31 == CODES[name] for value in model.values()) for name in BANDS.names}
    assert any(value & SHARED for value in model.values())

    changes = dict.fromkeys(range(0, 400, 7), "elder") | dict.fromkeys(range(5000, 5050), "minor")
    removed = dict.fromkeys(range(1, 300, 11), "")
    delta = write_delta(tmp_path / "delta.csv", [*changes.items(), *removed.items()])
    order = order_for(delta, tmp_path / "work", delta=True, allow_change_percent=10.0)
    order = replace(order, as_of=date(2026, 12, 1))
    applied = await run(server.url, order)
    before = dict(model)
    for index, band in {**removed, **changes}.items():  # of both on one number the band counts
        model[index] = after_delta(model.get(index, 0), CODES.get(band, 0))
    model = {index: value for index, value in model.items() if value}
    found = applied.differences
    assert found is not None
    assert found.added == len(model.keys() - before.keys())
    assert found.removed == len(before.keys() - model.keys())
    assert found.changed == sum(before[index] != model[index] for index in before.keys() & model.keys())
    after = await generation_in(redis)
    assert await stored_in(redis) == wanted(model, after.buckets)
    assert after.callers == len(model)
    assert after.by_band == {name: sum(value & 31 == CODES[name] for value in model.values()) for name in BANDS.names}
    assert after.fresh_at > now.fresh_at
    assert (after.generation, after.loaded_at, after.as_of) == (now.generation, now.loaded_at, now.as_of)

    rows = rows_of(3000, 2)
    await run(server.url, order_for(write_feed(tmp_path / "full.csv", rows), tmp_path / "work"))
    last = await generation_in(redis)
    assert last.generation == now.generation + 1
    assert await stored_in(redis) == wanted(oldest_of(rows), last.buckets)
    assert not [key for key in await keys_in(redis) if f":{now.generation:x}:".encode() in key]
    assert list((tmp_path / "work").iterdir()) == [tmp_path / "work" / "lock"]


async def test_a_delta_makes_a_shared_number_older_but_neither_younger_nor_removes_it(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    households = [(n, band) for n in range(4) for band in ("adult", "senior")]
    await run(server.url, order_for(write_feed(tmp_path / "full.csv", households), tmp_path / "work"))
    rows = [(0, "adult"), (1, "senior"), (2, "elder"), (3, "")]
    order = order_for(
        write_delta(tmp_path / "delta.csv", rows), tmp_path / "work", delta=True, allow_change_percent=100.0
    )
    applied = await run(server.url, order)
    senior, elder = CODES["senior"] | SHARED, CODES["elder"] | SHARED
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted({0: senior, 1: senior, 2: elder, 3: senior}, now.buckets)
    assert applied.differences is not None
    assert (applied.differences.changed, applied.differences.same) == (1, 3)


async def test_the_same_delta_again_changes_nothing(server: RedisServer, redis: Redis, tmp_path: Path) -> None:
    await run(server.url, order_for(write_feed(tmp_path / "full.csv", rows_of(2000, 1)), tmp_path / "work"))
    order = order_for(write_delta(tmp_path / "delta.csv", [(1, "elder"), (2, ""), (9000, "adult")]), tmp_path / "work")
    order = replace(order, delta=True)
    await run(server.url, order)
    before = await comparable(redis)
    again = await run(server.url, order)
    assert await comparable(redis) == before
    assert again.differences is not None
    assert (again.differences.added, again.differences.changed, again.differences.removed) == (0, 0, 0)


async def test_a_dry_run_tells_all_differences_and_writes_nothing(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    rows = rows_of(2000, 1)
    await run(server.url, order_for(write_feed(tmp_path / "full.csv", rows), tmp_path / "work"))
    was, coming = oldest_of(rows), oldest_of(rows_of(2100, 1))
    before = await dumped(redis)
    writes = await redis.info("commandstats")
    order = order_for(write_feed(tmp_path / "other.csv", rows_of(2100, 1)), tmp_path / "work")
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        outcome = await try_feed(servers, RING, order, unwatched)
        assert list((tmp_path / "work").iterdir()) == [tmp_path / "work" / "lock"]
        delta = write_delta(tmp_path / "delta.csv", [(1, "elder"), (2, ""), (9000, "adult")])
        tried = await try_feed(servers, RING, replace(order, file=delta, delta=True), unwatched)
    assert await dumped(redis) == before
    ran = await redis.info("commandstats")
    changed = {name for name in ran if ran[name]["calls"] != writes.get(name, {"calls": 0})["calls"]}
    assert changed <= {
        f"cmdstat_{name}" for name in ("get", "hgetall", "hmget", "hlen", "ping", "keys", "dump", "info")
    }
    found = outcome.differences
    assert found is not None
    assert found.added == len(coming.keys() - was.keys())
    assert found.removed == len(was.keys() - coming.keys())
    assert found.changed == sum(was[index] != coming[index] for index in was.keys() & coming.keys())
    assert found.same == sum(was[index] == coming[index] for index in was.keys() & coming.keys())
    assert outcome.callers == len(coming)
    assert tried.differences is not None
    assert tried.differences.changes.total() == 3
    assert list((tmp_path / "work").iterdir()) == [tmp_path / "work" / "lock"]


async def test_a_dry_run_says_that_redis_cannot_be_asked_and_counts_all_the_same(tmp_path: Path) -> None:
    order = order_for(write_feed(tmp_path / "full.csv", rows_of(100, 1)), tmp_path / "work")
    async with open_servers(RedisSettings(url="redis://127.0.0.1:1/0"), deadline_s=2.0) as servers:
        outcome = await try_feed(servers, RING, order, unwatched)
    assert outcome.callers == len(oldest_of(rows_of(100, 1)))
    assert "Redis cannot be reached" in outcome.not_compared


async def test_what_would_change_too_much_is_refused_and_changes_nothing(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    await run(server.url, order_for(write_feed(tmp_path / "full.csv", [(n, "adult") for n in range(1000)]), folder))
    before = await dumped(redis)
    fewer = order_for(write_feed(tmp_path / "fewer.csv", [(n, "adult") for n in range(900)]), folder)
    with pytest.raises(TooMuchChangedError, match=r"has 900 callers, the registry 1,000: 10.0 % fewer"):
        await run(server.url, fewer)
    delta = order_for(write_delta(tmp_path / "delta.csv", [(n, "") for n in range(60)]), folder, delta=True)
    with pytest.raises(TooMuchChangedError, match=r"remove 60 of 1,000 callers, 6.0 %"):
        await run(server.url, delta)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("number,age_band\n" + "".join(f"{number(n)},{'adult' if n < 400 else 'x'}\n" for n in range(1000)))
    with pytest.raises(TooMuchChangedError, match="600 of 1,000 rows cannot be used"):
        await run(server.url, order_for(wrong, folder))
    assert await dumped(redis) == before
    assert (await run(server.url, replace(fewer, allow_change_percent=11.0))).callers == 900


async def test_a_feed_whose_bands_have_moved_is_refused_though_it_has_as_many_callers(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    bands = ["elder"] * 300 + ["adult"] * 700
    await run(server.url, order_for(write_feed(tmp_path / "full.csv", enumerate(bands)), folder))
    before = await dumped(redis)
    bands = ["elder"] * 240 + ["adult"] * 760
    order = order_for(write_feed(tmp_path / "younger.csv", enumerate(bands)), folder)
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        tried = await try_feed(servers, RING, order, unwatched)
    with pytest.raises(TooMuchChangedError) as raised:
        await run(server.url, order)
    assert str(raised.value) == tried.refusal
    assert str(raised.value).startswith(
        "the feed has 240 callers of the band elder, the registry 300; at least 6.0 % of its callers would change"
    )
    after = await dumped(redis)
    assert after.pop(b"elder:generations") != before.pop(b"elder:generations")
    assert after == before
    await run(server.url, replace(order, allow_change_percent=7.0))
    assert (await generation_in(redis)).by_band["elder"] == 240
    # Who is of which band by other bands is no wonder.
    others = AgeBands((AgeBand("minor", 0), AgeBand("adult", 18), AgeBand("senior", 65), AgeBand("elder", 75)))
    again = order_for(write_feed(tmp_path / "full.csv", [(n, "senior") for n in range(1000)]), folder, bands=others)
    await run(server.url, again)


async def test_lookups_find_the_old_or_the_new_band_of_everybody_all_the_time(
    server: RedisServer, tmp_path: Path
) -> None:
    folder, callers = tmp_path / "work", range(3000)
    await run(server.url, order_for(write_feed(tmp_path / "old.csv", [(n, "senior") for n in callers]), folder))
    new = order_for(write_feed(tmp_path / "new.csv", [(n, "elder") for n in callers]), folder, kept_s=5.0)
    new = replace(
        new, allow_change_percent=100.0, rate=1200.0
    )  # so that routers look at what is in force more than once meanwhile
    settings = RegistrySettings(RedisSettings(url=server.url), tmp_path / "secrets", deadline_s=2.0)
    found: list[str] = []
    async with open_registry(settings, RING) as registry:
        load = asyncio.create_task(run(server.url, new))
        while not load.done():
            lookup = await registry.lookup(PhoneNumber(number(len(found) % len(callers))))
            assert lookup.source is BandSource.REGISTRY, lookup
            found.append(lookup.band or "")
        await load
        assert (await registry.lookup(PhoneNumber(number(0)))).band == "elder"
    assert found[0] == "senior"
    assert found[-1] == "elder"
    assert set(found) == {"senior", "elder"}
    assert found == sorted(found, reverse=True), "no way back once the new ones are in force"


@pytest.mark.parametrize("callers", [100_000, 1_000_000])
async def test_a_caller_takes_twelve_bytes_at_most(
    server: RedisServer, redis: Redis, tmp_path: Path, callers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each kind of command takes 24 kB at its first use, for Redis's statistics: not the callers' doing.
    await load_made(server, MadeFeed.random(64, seed=2), tmp_path / "work")
    await load_made(server, MadeFeed.random(64, seed=2, identity="again"), tmp_path / "work")
    empty = (await redis.info("memory"))["used_memory"]
    feed = MadeFeed.random(callers, identity="all")
    began_s = asyncio.get_running_loop().time()
    await load_made(server, feed, tmp_path / "work")
    took_s = asyncio.get_running_loop().time() - began_s
    taken = ((await redis.info("memory"))["used_memory"] - empty) / callers
    with capsys.disabled():
        print(f"\n{callers:,} callers: {taken:.2f} B each, {callers / took_s:,.0f}/s into Redis")  # noqa: T201 - for people
    assert taken <= 12.0
    now = await generation_in(redis)
    assert await redis.object("ENCODING", bucket_key(now.generation, 0, now.buckets)) in (b"listpack", b"ziplist")


async def test_another_import_is_refused_by_name_and_one_that_was_killed_here_is_not_waited_for(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    order = order_for(write_feed(tmp_path / "full.csv", [(1, "adult")]), tmp_path / "work")
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        elsewhere = ImportLock(servers, tmp_path / "elsewhere")
        async with elsewhere:
            with pytest.raises(
                RegistryError, match=r"somebody else is importing: \S+ on \S+ \(process [0-9]+\), since 20"
            ):
                await run(server.url, order)
        killed = ImportLock(servers, order.folder)
        killed.leave_to_expire = True
        async with killed:
            pass
    assert await redis.ttl(IMPORT_KEY) > 60
    await run(server.url, order)
    assert await redis.exists(IMPORT_KEY) == 0


async def test_an_import_that_has_lost_its_lock_switches_nothing(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        with work_folder(tmp_path / "work") as folder:
            lines = Lines(servers)
            async with ImportLock(servers, folder, renewed_every_s=0.02) as lock:
                await redis.set(IMPORT_KEY, b"{}")
                load = FullLoad(lines, lock, Pacer(rate=2000), folder, unwatched)
                terms = Terms(BANDS, RING.newest, TODAY, 10_000, 5.0)
                with pytest.raises(RegistryError, match="somebody unknown has taken over the import"):
                    await load.run(MadeFeed.random(10_000), terms)
            await lines.close()
    assert await redis.get(REGISTRY_KEY) is None
    assert await redis.get(IMPORT_KEY) == b"{}"


async def test_what_abandoned_loads_left_is_removed_and_nothing_else(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    await run(server.url, order_for(write_feed(tmp_path / "full.csv", [(1, "adult")]), tmp_path / "work"))
    ours = {
        "elder:{3f}:set:0123abcd:fc00000000000000abcd": "senior",
        "elder:{3f}:choice:0123abcd:fc00000000000000abcd": "slower",
        "elder:{3f}:calls:0123abcd:fc00000000000000abcd": "x",
        "customer:1": "theirs",
        "elder:{zz}:1:1": "theirs",
    }
    for key, value in ours.items():
        await redis.set(key, value)
    for bucket in range(0, 640, 3):
        await redis.hset(bucket_key(77, bucket, 640), "field", "1")
    file = write_feed(tmp_path / "new.csv", [(1, "senior")])
    await run(server.url, order_for(file, tmp_path / "work", allow_change_percent=100.0))
    keys = {key.decode() for key in await keys_in(redis)}
    assert keys - set(ours) - {"elder:registry", "elder:generations"} == {
        key for key in keys if key.startswith("elder:{") and key.split(":")[2] == "2"
    }
    assert ours.keys() <= keys


@pytest.mark.parametrize("may_ask", [True, False])
async def test_a_server_that_would_make_hash_tables_of_buckets_is_told_what_to_set(
    server: RedisServer, redis: Redis, tmp_path: Path, *, may_ask: bool
) -> None:
    await redis.config_set("hash-max-listpack-entries", 128)
    if not may_ask:
        await redis.acl_setuser(
            "loader", enabled=True, passwords="+word", keys=["*"], categories=["+@all"], commands=["-config"]
        )
    settings = RedisSettings(
        url=server.url, username=None if may_ask else "loader", password=None if may_ask else "word"
    )
    async with open_servers(settings, deadline_s=2.0) as servers:
        with work_folder(tmp_path / "work") as folder:
            lines = Lines(servers)
            async with ImportLock(servers, folder) as lock:
                load = FullLoad(lines, lock, Pacer(), folder, unwatched)
                with pytest.raises(RegistryError, match=r"`CONFIG SET hash-max-(list|zip)\S+-entries 512`, and in"):
                    await load.run(MadeFeed.random(20_000), Terms(BANDS, RING.newest, TODAY, 20_000, 5.0))
            await lines.close()
    assert await keys_in(redis) == ([] if may_ask else [b"elder:generations"])


async def test_a_server_without_room_is_told_and_the_load_goes_on_when_there_is(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    feed, used = MadeFeed.random(100_000), (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", used + 900_000)
    with pytest.raises(RegistryError, match=r"Redis is out of memory .*raise maxmemory, then run the same"):
        await load_made(server, feed, tmp_path / "work")
    begun = read_checkpoint(tmp_path / "work", FULL, FullCheckpoint)
    assert begun is not None
    assert 0 < begun.parts < 64
    await redis.config_set("maxmemory", 0)
    await load_made(server, feed, tmp_path / "work")
    now = await generation_in(redis)
    assert (now.generation, now.callers) == (begun.planned.generation, 100_000)
    assert len(await stored_in(redis)) == 100_000


async def test_what_redis_loses_during_a_load_is_loaded_again_before_the_switch(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    feed, lost = MadeFeed.random(20_000), asyncio.Event()

    async def lose() -> None:
        await keys_appear(redis, "elder:{2*")
        assert await redis.unlink(*[key for key in await keys_in(redis) if key.startswith(b"elder:{0")]) > 0
        lost.set()

    losing = asyncio.create_task(lose())
    await load_made(server, feed, tmp_path / "work", Pacer(rate=40_000))
    await losing
    assert lost.is_set()
    now = await generation_in(redis)
    assert len(await stored_in(redis)) == now.callers == 20_000


async def test_two_callers_that_fall_on_one_entry_do_not_look_like_a_loss(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    same = b"\x01\x02\x03\x04\x05\x06"
    feed = MadeFeed.of({Pseudonym(0, same): 2, Pseudonym(1, same): 4, Pseudonym(2, bytes(6)): 1})
    await load_made(server, feed, tmp_path / "work")
    assert await stored_in(redis) == {(0, same): 4, (0, bytes(6)): 1}


async def test_a_redis_that_evicts_callers_is_told_of_and_nothing_is_switched(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    await redis.config_set("maxmemory", (await redis.info("memory"))["used_memory"] + 900_000)
    with pytest.raises(RegistryError, match=r"Redis loses callers as they are loaded.*`noeviction`"):
        await load_made(server, MadeFeed.random(100_000), tmp_path / "work")
    assert await redis.get(REGISTRY_KEY) is None


async def test_a_server_that_is_killed_and_comes_back_empty_ends_with_all_callers(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    feed = MadeFeed.random(20_000)
    load = asyncio.create_task(load_made(server, feed, tmp_path / "work", Pacer(rate=40_000)))
    await keys_appear(redis, "elder:{2*")
    await server.stop(signal.SIGKILL)
    await server.start()
    await load
    async with Redis.from_url(server.url) as anew:
        now = await generation_in(anew)
        assert len(await stored_in(anew)) == now.callers == 20_000


async def test_callers_of_before_are_not_removed_when_redis_forgets_the_switch(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    await run(server.url, order_for(write_feed(tmp_path / "old.csv", [(n, "adult") for n in range(500)]), folder))
    before = await redis.get(REGISTRY_KEY)
    await redis.save()
    order = order_for(write_feed(tmp_path / "new.csv", [(n, "elder") for n in range(500)]), folder)
    order = replace(order, allow_change_percent=1e9, kept_s=4.0)
    load = asyncio.create_task(run(server.url, order))
    async with asyncio.timeout(30):
        while await redis.get(REGISTRY_KEY) == before:  # noqa: ASYNC110 - only Redis knows
            await asyncio.sleep(0.01)
    await server.stop(signal.SIGKILL)
    await server.start()
    with pytest.raises(RegistryError, match=r"lost the switch.*run the same command again"):
        await load
    async with Redis.from_url(server.url) as anew:
        assert await anew.get(REGISTRY_KEY) == before
        assert set((await stored_in(anew)).values()) == {CODES["adult"]}
        await run(server.url, replace(order, kept_s=0.0))
        assert set((await stored_in(anew)).values()) == {CODES["elder"]}
        assert len(await stored_in(anew)) == 500


async def test_an_import_killed_between_the_switch_and_its_note_only_removes_the_old_callers(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    await run(server.url, order_for(write_feed(tmp_path / "old.csv", [(n, "adult") for n in range(500)]), folder))
    file = write_feed(tmp_path / "new.csv", [(n, "elder") for n in range(500)])
    order = order_for(file, folder, kept_s=1000.0, allow_change_percent=100.0)
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        switched = asyncio.Event()

        def watch(step: Step) -> None:
            if "in force" in step.note:
                switched.set()

        task = asyncio.create_task(import_feed(servers, RING, order, watch))
        await switched.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await redis.ttl(IMPORT_KEY) > 60, "who imports next elsewhere waits until nobody looks at the old ones"
    assert len([key for key in await keys_in(redis) if b"}:1:" in key]) == 64
    checkpoint = read_checkpoint(folder, FULL, FullCheckpoint)
    assert checkpoint is not None
    write_checkpoint(folder, FULL, checkpoint.model_copy(update={"switched_at": None}))
    text = await redis.get(REGISTRY_KEY)
    await run(server.url, replace(order, kept_s=0.0))
    assert await redis.get(REGISTRY_KEY) == text
    assert [key for key in await keys_in(redis) if b"}:1:" in key] == []
    assert await redis.exists(IMPORT_KEY) == 0


async def test_a_registry_that_somebody_else_changes_meanwhile_is_not_switched(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    load = asyncio.create_task(load_made(server, MadeFeed.random(20_000), tmp_path / "work", Pacer(rate=40_000)))
    await keys_appear(redis, "elder:{2*")
    await redis.set(REGISTRY_KEY, b"{}")
    with pytest.raises(RegistryError, match="somebody changed elder:registry in Redis meanwhile"):
        await load
    assert await redis.get(REGISTRY_KEY) == b"{}"


async def test_a_delta_needs_callers_the_secret_and_the_bands_that_are_there(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    order = order_for(write_delta(tmp_path / "delta.csv", [(1, "elder")]), tmp_path / "work", delta=True)
    with pytest.raises(RegistryError, match="no callers yet that a delta could change; import a full feed first"):
        await run(server.url, order)
    full = write_feed(tmp_path / "full.csv", [(n, "adult") for n in range(100)])
    await run(server.url, order_for(full, tmp_path / "work"))
    other = CallerSecret(b"\x02" * SECRET_BYTES)
    with pytest.raises(RegistryError, match=f"hashed with the secret {RING.newest.name}, which the file of secrets"):
        await run(server.url, order, SecretRing((other,)))
    bands = AgeBands((*BANDS.bands[:2], AgeBand("senior", 65), AgeBand("elder", 75)))
    with pytest.raises(RegistryError, match="«senior» is 60 to 74 in the registry and 65 to 74 in the rules"):
        await run(server.url, replace(order, bands=bands))
    # The secret of what is there, not the newest.
    await run(server.url, order, SecretRing((other, RING.newest)))
    now = await generation_in(redis)
    assert await stored_in(redis) == wanted({1: CODES["elder"]} | {n: 2 for n in range(100) if n != 1}, now.buckets)


async def test_a_load_under_a_new_secret_replaces_what_was_stored_under_the_old(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    file, other = write_feed(tmp_path / "full.csv", rows_of(500, 1)), CallerSecret(b"\x02" * SECRET_BYTES)
    await run(server.url, order_for(file, tmp_path / "work"))
    rotated = SecretRing((other, *RING.secrets))
    await run(server.url, order_for(file, tmp_path / "work"), rotated)
    now = await generation_in(redis)
    assert now.secret == other.name
    assert await stored_in(redis) == wanted(oldest_of(rows_of(500, 1)), now.buckets, rotated)


async def test_a_stopped_load_goes_on_and_the_same_counts_come_out(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder, rows = tmp_path / "work", rows_of(20_000, 3)
    order = order_for(write_feed(tmp_path / "full.csv", rows), folder, rate=20_000.0)
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        reached = asyncio.Event()

        def watch(step: Step) -> None:
            if step.doing == "loading" and step.done > 5000:
                reached.set()

        task = asyncio.create_task(import_feed(servers, RING, order, watch))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await redis.get(REGISTRY_KEY) is None
    assert await redis.exists(IMPORT_KEY) == 0
    assert {path.name for path in folder.iterdir()} == {"lock", "full", "full-load.json"}
    outcome = await run(server.url, replace(order, rate=None))
    now = await generation_in(redis)
    assert now.generation == 1
    assert outcome.by_band == now.by_band
    assert await stored_in(redis) == wanted(oldest_of(rows), now.buckets)


async def test_a_stopped_delta_goes_on_and_the_same_counts_come_out(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    await run(server.url, order_for(write_feed(tmp_path / "f.csv", [(n, "adult") for n in range(5000)]), folder))
    changes = {n: "elder" if n % 2 else "" for n in range(0, 4000, 2)} | dict.fromkeys(range(6000, 7000), "senior")
    file = write_delta(tmp_path / "delta.csv", changes.items())
    order = order_for(file, folder, delta=True, allow_change_percent=100.0, rate=5000.0)
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        reached = asyncio.Event()

        def watch(step: Step) -> None:
            if step.doing == "applying" and step.done > 1000:
                reached.set()

        task = asyncio.create_task(import_feed(servers, RING, order, watch))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(await stored_in(redis)) != 5000, "some of it has been applied"
    outcome = await run(server.url, replace(order, rate=None))
    now = await generation_in(redis)
    model = dict.fromkeys(range(5000), 2) | {n: CODES[band] if band else 0 for n, band in changes.items()}
    model = {n: value for n, value in model.items() if value}
    assert await stored_in(redis) == wanted(model, now.buckets)
    assert now.callers == len(model)
    assert now.by_band == {name: sum(value == CODES[name] for value in model.values()) for name in BANDS.names}
    assert outcome.differences is not None
    assert (outcome.differences.added, outcome.differences.removed) == (1000, 2000)


async def test_a_delta_after_one_that_was_never_finished_counts_right_and_says_so(
    server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    await run(server.url, order_for(write_feed(tmp_path / "f.csv", [(n, "adult") for n in range(2000)]), folder))
    text = await redis.get(REGISTRY_KEY)
    file = write_delta(tmp_path / "delta.csv", [(n, "elder") for n in range(1500, 2500)])
    order = order_for(file, folder, delta=True, allow_change_percent=100.0)
    async with open_servers(RedisSettings(url=server.url), deadline_s=2.0) as servers:
        reached = asyncio.Event()

        def watch(step: Step) -> None:
            if step.doing == "applying" and step.done > 300:
                reached.set()

        task = asyncio.create_task(import_feed(servers, RING, replace(order, rate=2000.0), watch))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await redis.get(REGISTRY_KEY) == text
    other = write_delta(tmp_path / "other.csv", [(1, "elder"), (2, "")])
    outcome = await run(server.url, replace(order, file=other))
    assert outcome.warnings == ["an earlier delta was applied in part only, and never finished; import it again"]
    now, stored = await generation_in(redis), await stored_in(redis)
    assert 2000 < now.callers == len(stored) < 2500
    assert now.by_band == {name: sum(value == CODES[name] for value in stored.values()) for name in BANDS.names}
    assert (await run(server.url, order)).warnings == []
    assert (await generation_in(redis)).by_band == {"minor": 0, "adult": 1498, "senior": 0, "elder": 1001}


async def test_more_bands_than_can_be_stored_are_refused(server: RedisServer, redis: Redis, tmp_path: Path) -> None:
    bands = AgeBands(tuple(AgeBand(f"band{n}", n) for n in range(32)))
    order = order_for(write_feed(tmp_path / "f.csv", [(1, "band31")]), tmp_path / "work", bands=bands)
    with pytest.raises(ConfigurationError, match="there are 32 age bands, and the registry can store 31; use fewer"):
        await run(server.url, order)
    fewer = replace(order, bands=AgeBands(bands.bands[:31]), file=write_feed(tmp_path / "g.csv", [(1, "band30")]))
    await run(server.url, fewer)
    assert list((await stored_in(redis)).values()) == [31]
