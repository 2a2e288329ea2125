"""`elder-router doctor` against a real Redis and an Asterisk that is played."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.redis import RedisServer
from router.callers.generation import Generation, StoredBand
from router.callers.secret_ring import load_or_create_ring
from router.cli.doctor import _secret_files
from router.settings import load_settings
from tests.unit.ami.fake_asterisk import FakeAsterisk

ROOT = Path(__file__).parents[3]
PROGRAM = Path(sys.executable).with_name("elder-router")
RULES = (ROOT / "config" / "routing.yaml").read_text()
BANDS = (("minor", 0), ("adult", 18), ("senior", 60), ("elder", 75))


@dataclass(frozen=True, slots=True)
class Told:
    status: int
    lines: list[str]
    verdict: str

    def about(self, word: str) -> str:
        """The line that begins with this word behind its level, and what to do about it."""
        for number, line in enumerate(self.lines):
            if line[9:].startswith(word):
                behind = self.lines[number + 1] if number + 1 < len(self.lines) else ""
                return line + (f" {behind.strip()}" if behind.strip().startswith("→") else "")
        raise AssertionError(f"nothing is said about {word}: {self.lines}")


@dataclass(slots=True)
class Place:
    folder: Path
    redis: RedisServer
    asterisk: FakeAsterisk

    def write(self, *callers: str) -> None:
        """The settings, with further lines for `callers:`."""
        self.folder.joinpath("elder-router.yaml").write_text(
            f"asterisk:\n  - {{name: pbx1, port: {self.asterisk.port}, username: router, secret_file: ami.secret}}\n"
            "rules: routing.yaml\n"
            "journal: {file: journal.jsonl, secret_file: callers.key}\n"
            + "".join(f"{line}\n" for line in ("callers:", f"  redis: {self.redis.url}", *(f"  {c}" for c in callers)))
        )

    async def load(self, *, days_old: float = 0.1, largest: int = 190, **changes: object) -> Generation:
        """Put a generation into Redis, with one bucket."""
        ring = load_or_create_ring(self.folder / "registry.secrets")
        (self.folder / "registry.secrets").chmod(0o640)
        loaded = time.time() - days_old * 86_400
        made = Generation.model_validate(
            {
                "generation": 3,
                "secret": ring.newest.name,
                "buckets": 64,
                "bands": [StoredBand(name=name, from_years=years) for name, years in BANDS],
                "callers": 3,
                "by_band": {"senior": 2, "elder": 1},
                "as_of": "2026-11-20",
                "loaded_at": loaded,
                "fresh_at": loaded,
                "largest_bucket": largest,
                **changes,
            }
        )
        async with Redis.from_url(self.redis.url) as client:
            await client.set("elder:registry", made.text())
            await client.hset("elder:{00}:3:0", mapping={b"sixbyt": b"3"})
        return made

    async def command(self, *words: str) -> None:
        async with Redis.from_url(self.redis.url) as client:
            await client.execute_command(*words)  # type: ignore[no-untyped-call]  # the library's own gap

    async def doctor(self) -> Told:
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "--config", "elder-router.yaml", "doctor"),
            cwd=self.folder,
            env={},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        return Told(process.returncode or 0, out.decode().splitlines(), err.decode())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "ami.secret").write_text("secret5\n")
    (tmp_path / "ami.secret").chmod(0o640)
    (tmp_path / "routing.yaml").write_text(RULES)
    async with running(RedisServer(tmp_path / "redis")) as redis, FakeAsterisk() as asterisk:
        made = Place(tmp_path, redis, asterisk)
        made.write()
        yield made


@asynccontextmanager
async def running(redis: RedisServer) -> AsyncIterator[RedisServer]:
    await redis.start()
    try:
        yield redis
    finally:
        await redis.stop()


async def test_where_all_is_well_the_status_is_0(place: Place) -> None:
    await place.load()
    await place.command("CONFIG", "SET", "save", "3600 1")
    told = await place.doctor()
    assert (told.status, [line for line in told.lines if not line.startswith("ok ")]) == (0, []), told
    assert told.verdict.endswith("checks: 0 wrong, 0 warnings\n")
    assert told.about("registry: ").endswith(
        "3 callers (2 senior, 1 elder), ages as of 2026-11-20, secret "
        + (load_or_create_ring(place.folder / "registry.secrets").newest.name)
    )
    assert told.about("bucket form").rpartition(" ")[2] in {"listpack", "ziplist"}
    assert "the login works" in told.about("asterisk pbx1")
    assert place.asterisk.named("Logoff")


async def test_a_secret_that_root_has_made_is_told_to_be_no_use_to_the_router(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["router.cli.doctor"], "_ROOT", os.geteuid())
    await place.load()
    (place.folder / "registry.secrets").chmod(0o600)
    settings_file = place.folder / "elder-router.yaml"
    (finding,) = _secret_files(settings_file, load_settings(settings_file))
    assert finding.says.endswith("registry.secrets may be read by root only, and the router runs as another user")
    assert finding.do.startswith("chown elder-router ")


async def test_what_the_nightly_job_would_not_find_is_told(place: Place) -> None:
    await place.load()
    place.write("feed: {file: callers.csv.gz}")
    told = await place.doctor()
    assert told.status == 1
    assert "callers.csv.gz: No such file or directory; the nightly job fails" in told.about("feed: ")


async def test_looking_changes_nothing(place: Place) -> None:
    await place.load()
    async with Redis.from_url(place.redis.url) as client:
        before = [(key, await client.dump(key)) for key in sorted(await client.keys("*"))]
        files = sorted(place.folder.iterdir())
        await place.doctor()
        assert [(key, await client.dump(key)) for key in sorted(await client.keys("*"))] == before
    assert sorted(place.folder.iterdir()) == files


async def test_a_fresh_installation_is_told_what_comes_next(place: Place) -> None:
    told = await place.doctor()
    assert told.status == 1
    assert "is not there → copy it from where callers are loaded; if they never were" in told.about("registry secrets")
    said = "warning  registry: no callers are there: none were ever loaded, or Redis has lost them"
    assert told.about("registry: ") == f"{said} → run `elder-router callers import`"
    assert not (place.folder / "registry.secrets").exists()


async def test_what_somebody_woken_at_night_must_know_is_told(place: Place) -> None:
    generation = await place.load(days_old=4)
    rules = RULES.replace("{name: senior, from: 60}", "{name: senior, from: 65}")
    assert rules != RULES
    (place.folder / "routing.yaml").write_text(rules)
    (place.folder / "ami.secret").chmod(0o644)
    await place.command("CONFIG", "SET", "hash-max-listpack-entries", "100")
    await place.command("CONFIG", "SET", "maxmemory", "100mb")
    await place.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await place.command("HSET", "elder:{00}:2:0", "sixbyt", "3")
    await place.command("SET", "elder:caller:+8613900000001", "elder")
    told = await place.doctor()
    assert told.status == 1
    for about, words in (
        ("secrets", "ami.secret may be read by everybody on this machine → chmod 640"),
        ("freshness", "callers were last loaded or updated 4.0 days ago, and `stale_after` is 36.0 hours"),
        ("age bands", "«senior» is 60 to 74 in the registry and 65 to 74 in the rules"),
        ("bucket limits", "→ `CONFIG SET hash-max-listpack-entries 512`"),
        ("memory", "beyond that Redis forgets (allkeys-lru)"),
        ("persistence", "off: a restart of Redis empties the registry"),
        ("leftovers", "buckets of no generation in force: 1 (of generation 2)"),
        ("old keys", "1 of an earlier version, with numbers in clear"),
    ):
        assert words in told.about(about), about
        assert told.about(about).startswith("warning")
    assert "13900000001" not in "\n".join(told.lines)
    assert generation.generation == 3


async def test_buckets_that_have_become_tables_are_seen(place: Place) -> None:
    await place.load()
    await place.command(
        "HSET", "elder:{00}:3:0", "much longer than a listpack's limit of sixty-four bytes allows it", "3"
    )
    assert told_form(await place.doctor()).startswith("warning  bucket form")


def told_form(told: Told) -> str:
    return told.about("bucket form")


async def test_an_import_under_way_is_told_and_its_buckets_are_not_left_over(place: Place) -> None:
    await place.load()
    await place.command("HSET", "elder:{00}:4:0", "sixbyt", "3")
    await place.command("SET", "elder:import", '{"owner":"alice","host":"db1","pid":77}', "EX", "90")
    told = await place.doctor()
    assert "one is under way, by alice on db1 (process 77)" in told.about("import")
    assert told.about("leftovers").startswith("ok")


async def test_a_secret_that_is_not_here_is_wrong(place: Place) -> None:
    await place.load(secret="0123abcd")
    told = await place.doctor()
    assert told.status == 2
    assert "callers are hashed with the secret 0123abcd, which is not in" in told.about("registry: ")


async def test_rights_that_lack_are_named(place: Place) -> None:
    await place.load()
    await place.command("ACL", "SETUSER", "router", "on", ">secret", "~elder:*", "+get", "+mget", "+hget", "+ping")
    (place.folder / "redis.secret").write_text("secret\n")
    (place.folder / "redis.secret").chmod(0o600)
    place.write("username: router", "password_file: redis.secret")
    told = await place.doctor()
    assert told.status == 2
    assert "may not use ZADD, ZREMRANGEBYRANK, EXPIRE, ZRANGE, SET, DEL on keys elder:*" in told.about("rights")
    assert "may not ask with INFO" in told.about("version")
    assert "may not look at keys (SCAN)" in told.about("leftovers")


async def test_redis_and_asterisk_that_are_gone_are_wrong_and_the_rest_is_still_looked_at(place: Place) -> None:
    await place.redis.stop()
    place.asterisk.secret = "another"
    told = await place.doctor()
    assert told.status == 2
    assert "Redis cannot be reached" in told.about(f"redis 127.0.0.1:{place.redis.port}")
    assert "Asterisk refused the login of router" in told.about("asterisk pbx1")
    assert told.about("rules").startswith("ok")


async def test_settings_that_are_wrong_are_told_by_their_lines(place: Place) -> None:
    place.write("stale_after: 36", "home_region: Mars")
    told = await place.doctor()
    assert told.status == 2
    assert [line for line in told.lines if line.startswith("wrong")] == [
        "wrong    settings: elder-router.yaml:7:16: error: `stale_after`: 36 has no unit; write 36s for seconds, "
        "or ms, m, h, d",
        "wrong    settings: elder-router.yaml:8:16: error: `home_region`: no region is called 'Mars'; "
        "write two capital letters, like CN or GB",
    ]


async def test_rules_that_are_wrong_do_not_keep_the_registry_from_being_looked_at(place: Place) -> None:
    await place.load()
    (place.folder / "routing.yaml").write_text("rules: []\n")
    told = await place.doctor()
    assert told.status == 2
    assert told.about("rules").startswith("wrong")
    assert told.about("registry: ").startswith("ok")


async def test_keys_of_another_system_are_told_for_what_they_are(place: Place) -> None:
    place.write("layout: plain", 'plain: {key: "customer:{e164}", bands: {S: senior, X: ancient}}')
    told = await place.doctor()
    assert "written by another system: customer:{e164}" in told.about("registry: ")
    assert "the rules do not define ancient" in told.about("age bands")
    assert not any("bucket limits" in line for line in told.lines)


async def test_a_user_who_may_not_read_the_other_systems_keys_is_told(place: Place) -> None:
    await place.command("ACL", "SETUSER", "default", "resetkeys", "~elder:*")
    place.write("layout: plain", 'plain: {key: "customer:{e164}", hash_field: age}')
    told = await place.doctor()
    assert told.status == 2
    assert any("this user may not use HGET on keys of the other system" in line for line in told.lines)
