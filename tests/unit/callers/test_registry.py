"""What lookups make of what they are answered; with a real Redis in tests/integration/test_registry.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import pytest
from redis.crc import key_slot
from structlog.testing import capture_logs

from router.callers.bands import AgeBand, AgeBands
from router.callers.buckets import key_of
from router.callers.generation import SHARED, TRUSTED_S, Generation, stored_bands
from router.callers.keys import REGISTRY_KEY, OwnKeys, own_keys
from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.callers.past import MOST_EARLIER_CALLS
from router.callers.pseudonym import CallerSecret
from router.callers.registry import BandLookup, BandSource, LookupFailure, Registry, open_registry
from router.callers.secret_ring import SecretRing
from router.callers.settings import PlainLayout, RedisSettings, RegistrySettings
from router.callers.stored import Visit
from router.callers.watching import READ_EVERY_S, RegistryWatch
from router.errors import ConfigurationError, RegistryError

from .played_servers import Asked, PlayedServers

CALLER, OTHER = PhoneNumber("+8613900000001"), PhoneNumber("+8613900000002")
OLD, NEW = CallerSecret(bytes(range(32))), CallerSecret(b"\x01" * 32)
BANDS = AgeBands((AgeBand("adult", 0), AgeBand("senior", 60), AgeBand("elder", 75)))
LOADED_AT = 1_795_618_800.0


@dataclass
class Rig:
    """A registry with servers that are played, a file of secrets, and clocks that are set."""

    file: Path
    servers: PlayedServers
    registry: Registry
    watch: RegistryWatch
    now_s: float = 0.0

    def load(self, secret: CallerSecret = OLD, number: int = 1, **callers: int) -> None:
        """Put a generation in force that holds these callers by the end of their number, as their values."""
        generation = Generation(
            generation=number,
            secret=secret.name,
            buckets=64,
            bands=stored_bands(BANDS),
            callers=len(callers),
            by_band={},
            as_of="2026-11-25",
            loaded_at=LOADED_AT,
            fresh_at=LOADED_AT,
        )
        for name, value in callers.items():
            who = secret.pseudonym(PhoneNumber(f"+861390000000{name.removeprefix('n')}"))
            self.servers.hashes[key_of(generation, who), who.field] = str(value).encode()
        self.servers.texts[REGISTRY_KEY] = generation.text()

    async def lookup(self, caller: PhoneNumber = CALLER, visit: Visit | None = None) -> BandLookup:
        """A lookup that is answered, without how long it took."""
        return replace(await self.registry.lookup(caller, visit), took_s=0.0)

    def known(self) -> int | None:
        """The number of the generation that is known to be in force."""
        try:
            generation = self.registry.known_in_force()
        except RegistryError:
            return None
        return generation.generation if generation else None

    def write_secrets(self, *secrets: CallerSecret) -> None:
        self.file.write_text("".join(f"{secret.key.hex()}\n" for secret in secrets))
        self.file.chmod(0o600)


Make = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(*secrets: CallerSecret, redis: RedisSettings | None = None, plain: PlainLayout | None = None) -> Rig:
        ring = SecretRing(secrets or (OLD,))
        file = tmp_path / "registry.secrets"
        servers = PlayedServers()
        settings = RegistrySettings(redis or RedisSettings(), file, deadline_s=0.05, layout=plain or "buckets")
        rig: Rig
        watch = RegistryWatch(
            servers.as_servers(),
            ring,
            file,
            has_generations=plain is None,
            has_replicas=settings.redis.prefer_replicas,
            clock=lambda: rig.now_s,
        )
        registry = Registry(settings, servers.as_servers(), watch, now=lambda: LOADED_AT + 3600.0)
        rig = Rig(file, servers, registry, watch)
        rig.write_secrets(*ring.secrets)
        return rig

    return made


def own(number: PhoneNumber = CALLER, secret: CallerSecret = OLD) -> OwnKeys:
    return own_keys(secret.name, secret.pseudonym(number))


def failed(failure: LookupFailure, detail: str = "", **found: object) -> BandLookup:
    said = f"{failure}: {detail}" if detail else failure.value
    return replace(BandLookup(None, BandSource.LOOKUP_FAILED, said, 0.0), **found)  # type: ignore[arg-type]


async def test_a_caller_of_the_feed_is_found_and_the_data_is_as_old_as_its_load(make: Make) -> None:
    rig = make()
    rig.load(n1=3, n2=2 | SHARED)
    assert await rig.lookup() == BandLookup("elder", BandSource.REGISTRY, "", 0.0, "", None, 3600.0)
    shared = "shared by callers of several bands"
    assert await rig.lookup(OTHER) == BandLookup("senior", BandSource.REGISTRY, shared, 0.0, "", None, 3600.0)
    assert (rig.registry.stats.lookups, rig.registry.stats.found) == (2, 2)


async def test_who_is_not_there_is_unknown_to_data_of_that_age_and_no_failure(make: Make) -> None:
    rig = make()
    rig.load()
    assert await rig.lookup() == BandLookup(None, BandSource.NOT_FOUND, "", 0.0, "", None, 3600.0)
    assert rig.registry.stats.not_found == 1


async def test_nothing_loaded_is_an_empty_registry_in_which_what_was_set_is_found(make: Make) -> None:
    rig = make()
    found = await rig.lookup()
    assert (found.source, found.age_s) == (BandSource.NOT_FOUND, None)
    assert found.detail == "the registry is empty; load callers with `elder-router callers import`"
    rig.servers.texts[own().set] = b"senior"
    assert await rig.lookup() == BandLookup("senior", BandSource.REGISTRY, "set by hand", 0.0, "", None, None)


async def test_what_was_set_by_hand_is_stronger_than_the_feed(make: Make) -> None:
    rig = make()
    rig.load(n1=3)
    rig.servers.texts |= {own().set: b"adult", own().choice: b"slower:slow+person"}
    found = await rig.lookup()
    assert (found.band, found.detail, found.age_s, found.choice) == ("adult", "set by hand", None, "slower:slow+person")


async def test_a_caller_without_a_number_is_not_looked_up(make: Make) -> None:
    rig = make()
    found = await rig.registry.lookup(NoNumber(NoNumberReason.WITHHELD, ""))
    assert (found.source, found.detail) == (BandSource.NO_NUMBER, "withheld")
    assert rig.servers.asked == []
    assert rig.registry.stats.no_number == 1


@pytest.mark.parametrize("value", [b"", b"x" * 65, b"\xff\xfe", b"el\nder"])
async def test_a_value_set_that_cannot_be_a_band_is_a_failed_lookup(make: Make, value: bytes) -> None:
    rig = make()
    rig.load(n1=3)
    rig.servers.texts[own().set] = value
    assert await rig.lookup() == failed(LookupFailure.BAD_VALUE, choice="")
    assert rig.registry.stats.failures == {LookupFailure.BAD_VALUE: 1}


async def test_a_code_that_the_generation_does_not_have_is_a_failed_lookup_and_never_another_band(make: Make) -> None:
    rig = make()
    rig.load(n1=4)
    rig.servers.texts[own().choice] = b"person"
    assert await rig.lookup() == failed(LookupFailure.BAD_VALUE, "no band of the generation in force", choice="person")


async def test_a_refusal_says_why_and_costs_only_what_was_refused(make: Make) -> None:
    rig = make()
    rig.load(n1=3)
    rig.servers.texts[own().choice] = b"person"
    rig.servers.refused = {"HGET"}
    why = "WRONGTYPE Operation against a key holding the wrong kind of value"
    assert await rig.lookup() == failed(LookupFailure.REFUSED, why, choice="person")
    rig.servers.texts[own().set] = b"adult"
    assert (await rig.lookup()).band == "adult"
    rig.servers.refused = {"MGET"}
    assert await rig.lookup() == failed(LookupFailure.REFUSED, why)


@pytest.mark.parametrize("name", ["ZADD", "ZREMRANGEBYRANK", "EXPIRE", "ZRANGE"])
async def test_a_refusal_about_calls_costs_the_calls_at_most(make: Make, name: str) -> None:
    rig = make()
    rig.load(n1=3)
    rig.servers.calls[own().calls] = {b"pbx1/1": 900.0}
    rig.servers.refused = {name}
    found = await rig.lookup(visit=Visit("pbx1/2", 1000.0, 600.0))
    assert (found.band, found.earlier_calls_s) == ("elder", None if name == "ZRANGE" else (100.0,))


@pytest.mark.parametrize(("within_s", "expires_s"), [(600.0, 600), (90.5, 91)])
async def test_calls_are_kept_as_long_as_one_looks_back_and_no_longer(
    make: Make, within_s: float, expires_s: int
) -> None:
    rig = make()
    await rig.lookup(visit=Visit("pbx1/1", 1000.0, within_s))
    key = own().calls
    assert rig.servers.asked[-1].commands[-4:] == [
        ("ZADD", key, 1000.0, "pbx1/1"),
        ("ZREMRANGEBYRANK", key, 0, -MOST_EARLIER_CALLS - 2),
        ("EXPIRE", key, expires_s),
        ("ZRANGE", key, 0, -1, "WITHSCORES"),
    ]
    assert rig.servers.asked[-1].writing


async def test_only_calls_within_reach_count_and_not_this_one(make: Make) -> None:
    rig = make()
    rig.servers.calls[own().calls] = {b"pbx1/1": 399.5, b"pbx1/2": 400.0, b"pbx1/3": 990.25}
    found = await rig.lookup(visit=Visit("pbx1/4", 1000.0, 600.0))
    assert found.earlier_calls_s == (9.75, 600.0), "newest first"


async def test_under_several_secrets_the_newest_counts_and_calls_are_counted_over_all(make: Make) -> None:
    rig = make(NEW, OLD)
    rig.load(OLD, n1=3)
    rig.servers.texts |= {own(secret=OLD).choice: b"person", own(secret=OLD).set: b"adult"}
    rig.servers.calls |= {own(secret=OLD).calls: {b"pbx1/1": 900.0, b"pbx1/2": 950.0}}
    rig.servers.calls |= {own(secret=NEW).calls: {b"pbx1/2": 950.0}}
    found = await rig.lookup(visit=Visit("pbx1/3", 1000.0, 600.0))
    assert (found.band, found.choice, found.earlier_calls_s) == ("adult", "person", (50.0, 100.0))
    rig.servers.texts |= {own(secret=NEW).choice: b"slower", own(secret=NEW).set: b"senior"}
    found = await rig.lookup()
    assert (found.band, found.choice) == ("senior", "slower")
    assert b"pbx1/3" in rig.servers.calls[own(secret=NEW).calls]
    assert b"pbx1/3" not in rig.servers.calls[own(secret=OLD).calls]


async def test_a_choice_that_is_none_of_ours_counts_as_nothing_and_hides_no_older_one(make: Make) -> None:
    rig = make(NEW, OLD)
    rig.servers.texts |= {own(secret=NEW).choice: b"louder", own(secret=OLD).choice: b"person"}
    assert (await rig.lookup()).choice == "person"


async def test_what_is_in_force_is_read_once_for_all_who_come_first_and_not_by_each_lookup(make: Make) -> None:
    rig = make()
    rig.load(n1=3)
    found = await asyncio.gather(*(rig.lookup() for _ in range(20)))
    assert {lookup.band for lookup in found} == {"elder"}
    await rig.lookup()
    assert rig.servers.names() == [["GET"], *[["HGET", "MGET"]] * 21]


async def test_who_is_not_watching_reads_again_after_a_second(make: Make) -> None:
    rig = make()
    rig.load(n1=3)
    await rig.lookup()
    rig.load(number=2, n1=2)
    assert (await rig.lookup()).band == "elder"
    rig.now_s += READ_EVERY_S + 0.1
    assert (await rig.lookup()).band == "senior"


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    async with asyncio.timeout(5):
        for pause_s in repeat(0.001):
            if holds():
                return
            await asyncio.sleep(pause_s)


async def watched(rig: Rig) -> asyncio.Task[None]:
    """Have it read in the background, and wait for the first time."""
    task = asyncio.create_task(rig.registry.watch())
    await until(lambda: not rig.watch.is_due)
    return task


async def test_what_is_watched_is_relied_on_for_half_a_minute_and_then_no_more(make: Make) -> None:
    rig = make()
    rig.load(n1=3)
    task = await watched(rig)
    rig.servers.fails = lambda asked: LookupFailure.UNREACHABLE if asked.key == REGISTRY_KEY else None
    rig.now_s += TRUSTED_S
    assert (await rig.lookup()).band == "elder"
    rig.now_s += 1
    detail = "it was last read 31 s ago: Redis cannot be reached"
    assert await rig.lookup() == failed(LookupFailure.NOT_CURRENT, detail, choice="")
    rig.servers.texts[own().set] = b"senior"
    assert (await rig.lookup()).band == "senior", "what was set by hand does not depend on it"
    task.cancel()
    await asyncio.wait([task])


async def test_the_daemon_reads_in_the_background_and_tells_what_is_in_force(make: Make) -> None:
    rig = make()
    with capture_logs() as logs:
        task = await watched(rig)
        rig.load(n1=3)
        await rig.watch.read()
        assert rig.known() == 1
        await rig.watch.read()
        task.cancel()
        await asyncio.wait([task])
    assert [(entry["event"], entry.get("generation")) for entry in logs] == [("registry in force", 1)]


WRONG_TEXTS = [b"{}", b"\xff", b"elder"]


@pytest.mark.parametrize("text", WRONG_TEXTS)
async def test_a_text_that_is_wrong_fails_lookups_and_says_why(make: Make, text: bytes) -> None:
    rig = make()
    rig.load(n1=3)
    task = await watched(rig)
    rig.servers.texts[REGISTRY_KEY] = text
    for _ in range(3):
        await rig.watch.read()
        found = await rig.lookup()
        assert found.source is BandSource.LOOKUP_FAILED
        assert found.detail.startswith("what is in force in the registry cannot be used: what Redis holds under")
        assert "load callers anew" in found.detail
    rig.load(n1=3)
    await rig.watch.read()
    assert (await rig.lookup()).band == "elder"
    task.cancel()
    await asyncio.wait([task])


async def test_a_secret_that_is_not_known_is_named_with_its_file_and_found_once_it_is_there(make: Make) -> None:
    rig = make(OLD)
    rig.load(NEW, n1=3)
    detail = (
        f"callers are hashed with the secret {NEW.name}, which is not in {rig.file}; copy that file from where callers "
        "are loaded"
    )
    assert await rig.lookup() == failed(LookupFailure.HASHED_OTHERWISE, detail, choice="")
    rig.write_secrets(NEW, OLD)
    await rig.watch.read()
    assert (await rig.lookup()).band == "elder"
    assert rig.registry.ring == SecretRing((NEW, OLD))


async def test_a_secret_in_force_is_used_after_it_has_left_the_file(make: Make) -> None:
    rig = make(NEW, OLD)
    rig.load(OLD, n1=3)
    assert (await rig.lookup()).band == "elder"
    rig.write_secrets(NEW)
    await rig.watch.read()
    assert rig.registry.ring == SecretRing((NEW,))
    assert (await rig.lookup()).band == "elder"
    rig.load(OLD, number=2, n1=2)
    await rig.watch.read()
    assert (await rig.lookup()).band == "senior", "also when a delta changes the text"


async def test_a_file_of_secrets_that_is_gone_or_wrong_changes_nothing_and_is_logged_once(make: Make) -> None:
    rig = make(OLD)
    rig.load(n1=3)
    with capture_logs() as logs:
        task = await watched(rig)
        for broken in (rig.file.unlink, lambda: rig.file.write_text("nonsense\n")):
            broken()
            for _ in range(2):
                await rig.watch.read()
                assert (await rig.lookup()).band == "elder"
        task.cancel()
        await asyncio.wait([task])
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "the secrets read before are used"
    ] * 2


async def test_a_failure_of_redis_is_the_lookups(make: Make) -> None:
    rig = make()
    for failure in (LookupFailure.UNREACHABLE, LookupFailure.BREAKER_OPEN, LookupFailure.TOO_MANY):
        rig.servers.fails = lambda _, failure=failure: failure  # type: ignore[misc]
        assert await rig.lookup() == failed(failure)
    assert rig.known() is None
    assert rig.registry.stats.failures.total() == 3
    assert [name for name in rig.servers.names() if name != ["GET"]] == [], "what cannot be read is not asked twice"


async def test_a_lookup_that_must_read_first_keeps_its_deadline_too(make: Make) -> None:
    rig = make()
    rig.servers.hangs = True
    began_s = asyncio.get_running_loop().time()
    assert await rig.lookup() == failed(LookupFailure.DEADLINE)
    assert asyncio.get_running_loop().time() - began_s < 0.5
    await rig.registry.close()
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"registry-in-force"})


async def test_an_error_of_ours_fails_its_lookup_and_no_more(make: Make) -> None:
    rig = make()
    rig.load(n1=3)
    await rig.lookup()
    rig.servers.fails = lambda _: ZeroDivisionError()
    with capture_logs() as logs:
        assert await rig.lookup() == failed(LookupFailure.INTERNAL)
    assert [entry["event"] for entry in logs] == ["registry lookup failed"]
    rig.servers.fails = lambda _: None
    assert (await rig.lookup()).band == "elder"


async def test_an_error_of_ours_does_not_end_the_watching(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make()
    rig.load(n1=3)
    monkeypatch.setattr("router.callers.watching.READ_EVERY_S", 0.001)
    rig.servers.fails = lambda _: ZeroDivisionError()
    with capture_logs() as logs:
        task = asyncio.create_task(rig.registry.watch())
        await until(lambda: bool(logs))
    rig.servers.fails = lambda _: None
    await until(lambda: rig.known() == 1)
    task.cancel()
    await asyncio.wait([task])


async def test_a_closed_registry_says_so(make: Make) -> None:
    rig = make()
    await rig.registry.close()
    assert await rig.lookup() == failed(LookupFailure.CLOSED)


async def test_closing_fails_the_lookups_that_wait_for_what_is_in_force_and_cancels_nobody(make: Make) -> None:
    rig = make()
    rig.servers.hangs = True
    waiting = asyncio.create_task(rig.lookup())
    await until(lambda: bool(rig.servers.asked))
    await rig.registry.close()
    assert await waiting == failed(LookupFailure.CLOSED)


def slots(asked: Asked) -> set[int]:
    return {key_slot(str(key).encode()) for _, *keys in asked.commands for key in keys if str(key).startswith("elder:")}


async def test_in_a_cluster_each_question_is_about_one_slot(make: Make) -> None:
    rig = make(NEW, OLD, redis=RedisSettings(cluster=("192.0.2.1:6379",)))
    rig.load(OLD, n1=3)
    rig.servers.texts[own(secret=OLD).choice] = b"person"
    found = await rig.lookup(visit=Visit("pbx1/1", 1000.0, 600.0))
    assert (found.band, found.choice, found.earlier_calls_s) == ("elder", "person", ())
    assert [len(slots(asked)) for asked in rig.servers.asked] == [1] * len(rig.servers.asked)
    assert {key_slot(asked.key.encode()) for asked in rig.servers.asked} == {
        *(key_slot(own(secret=secret).set.encode()) for secret in (OLD, NEW)),
        key_slot(REGISTRY_KEY.encode()),
    }


async def test_of_a_cluster_that_is_gone_in_part_no_half_answer_is_given(make: Make) -> None:
    rig = make(NEW, OLD, redis=RedisSettings(cluster=("192.0.2.1:6379",)))
    rig.load(OLD, n1=3)
    await rig.lookup()
    rig.servers.fails = lambda asked: LookupFailure.DEADLINE if asked.key == own(secret=NEW).set else None
    assert await rig.lookup() == failed(LookupFailure.DEADLINE), "a band set by hand may be there"


async def test_with_replicas_only_calls_need_the_primary(make: Make) -> None:
    rig = make(redis=RedisSettings(prefer_replicas=True))
    rig.load(n1=3)
    await rig.lookup()
    rig.servers.asked.clear()
    found = await rig.lookup(visit=Visit("pbx1/1", 1000.0, 600.0))
    assert (found.band, found.earlier_calls_s) == ("elder", ())
    assert sorted((len(asked.commands), asked.writing) for asked in rig.servers.asked) == [(2, False), (4, True)]
    rig.servers.fails = lambda asked: LookupFailure.UNREACHABLE if asked.writing else None
    found = await rig.lookup(visit=Visit("pbx1/2", 1000.0, 600.0))
    assert (found.band, found.earlier_calls_s) == ("elder", None)


async def test_what_is_in_force_is_read_from_the_primary_and_from_a_replica_only_without_one(make: Make) -> None:
    rig = make(redis=RedisSettings(prefer_replicas=True))
    rig.load(n1=3)
    await rig.lookup()
    assert (rig.servers.asked[0].key, rig.servers.asked[0].writing) == (REGISTRY_KEY, True)
    rig.servers.asked.clear()
    rig.servers.fails = lambda asked: LookupFailure.UNREACHABLE if asked.writing else None
    rig.load(number=2, n1=2)
    rig.now_s += READ_EVERY_S + 0.1
    assert (await rig.lookup()).band == "senior"
    assert [asked.writing for asked in rig.servers.asked] == [True, False, False]


async def test_another_systems_keys_are_read_as_they_are_and_ours_beside_them(make: Make) -> None:
    rig = make(plain=PlainLayout("customer:{e164}", None, {"S": "senior"}))
    rig.servers.texts |= {"customer:+8613900000001": b"S", own().choice: b"slower"}
    assert await rig.lookup() == BandLookup("senior", BandSource.REGISTRY, "", 0.0, "slower", None, None)
    assert await rig.lookup(OTHER) == BandLookup(None, BandSource.NOT_FOUND, "", 0.0, "", None, None)
    rig.servers.texts["customer:+8613900000001"] = b"X"
    detail = "none of the words that stand for a band"
    assert await rig.lookup() == failed(LookupFailure.BAD_VALUE, detail, choice="slower")
    rig.servers.texts[own().set] = b"elder"
    assert (await rig.lookup()).detail == "set by hand"
    assert ["GET"] not in rig.servers.names(), "there is nothing in force to be read"


async def test_another_systems_key_is_asked_of_its_own_server(make: Make) -> None:
    rig = make(redis=RedisSettings(cluster=("192.0.2.1:6379",)), plain=PlainLayout("customer:{digits}", "age"))
    rig.servers.hashes["customer:8613900000001", "age"] = b"elder"
    assert (await rig.lookup()).band == "elder"
    assert {asked.key for asked in rig.servers.asked} == {"customer:8613900000001", own().set}


@pytest.mark.parametrize("url", ["localhost:6379", "http://h/", "redis://h:port/", "redis://h/?nonsense=1", ""])
def test_a_url_of_another_form_says_which_forms_there_are(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="write redis://HOST:PORT/DB"):
        open_registry(RegistrySettings(RedisSettings(url), tmp_path / "secrets"), SecretRing((OLD,)))


def test_no_repr_shows_the_password_or_the_secret(tmp_path: Path) -> None:
    settings = RegistrySettings(RedisSettings("redis://user:hunter2@127.0.0.1:6379/3", password="hunter2"), tmp_path)
    registry = open_registry(settings, SecretRing((OLD,)))
    shown = f"{registry!r} {settings!r} {registry.ring!r}"
    assert "host=127.0.0.1 port=6379 db=3" in shown
    assert "hunter2" not in shown
    assert OLD.key.hex() not in shown


async def test_writing_to_a_redis_that_is_gone_raises_and_says_where(tmp_path: Path) -> None:
    settings = RegistrySettings(RedisSettings("redis://127.0.0.1:1/0"), tmp_path / "secrets")
    async with open_registry(settings, SecretRing((OLD,))) as registry:
        for attempt in (
            registry.set(CALLER, "elder"),
            registry.clear(CALLER),
            registry.choice(CALLER),
            registry.in_force(),
            registry.old_keys(),
        ):
            with pytest.raises(RegistryError, match=r"cannot be reached.*host=127\.0\.0\.1 port=1"):
                await attempt
