from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from lab.registry import load
from router.callers.keys import IMPORT_KEY
from router.callers.number import PhoneNumber
from router.callers.secret_ring import load_or_create_ring, load_ring
from router.cli import main
from router.cli.callers import callers
from router.journal.hashing import caller_key, load_or_create_secret
from tests.unit.journal.samples import DECISION, OUTCOME

RULES = """\
timezone: Asia/Shanghai
age_bands:
  - {name: minor, from: 0}
  - {name: adult, from: 18}
  - {name: senior, from: 60}
  - {name: elder, from: 75}
protected: [senior, elder]
speech:
  standard: {rate: 1.0}
targets:
  people: {queue: agents}
rules:
  - name: everyone
    then: {to: people}
fallback: {to: people}
"""
HOUR_S = 3600.0


class Place:
    """A settings file, the rules and the secrets beside it, and a Redis that is empty at first."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.redis = Redis.from_url(redis_url)
        self.url = redis_url
        self.secrets = folder / "registry.secrets"
        self.settings = folder / "elder-router.yaml"
        self.write()
        (folder / "routing.yaml").write_text(RULES)

    def write(self, more: str = "") -> None:
        """Write the settings, with more of the section `callers:`."""
        self.settings.write_text(
            "asterisk:\n  - {name: pbx1, secret_file: not-for-everyone}\n"
            f"callers:\n  redis: {self.url}\n  home_region: CN\n{more}"
            "rules: routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
        )

    def run(self, *words: str, code: int = 0) -> Result:
        """Run `elder-router callers WORDS`, which must end with `code`."""
        result = CliRunner().invoke(main, ["--config", str(self.settings), "callers", *words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result

    def load(self, bands: Mapping[str, str], ago_s: float = 9 * HOUR_S, shared: tuple[str, ...] = ()) -> None:
        """Put callers in force who were loaded so long ago."""
        callers = {PhoneNumber(number): band for number, band in bands.items()}
        ring = load_or_create_ring(self.secrets)
        with_others = [PhoneNumber(number) for number in shared]
        at = self.redis.time()[0] - ago_s
        asyncio.run(load(self.url, ring, callers, shared=with_others, loaded_at=at))


@pytest.fixture
def place(tmp_path: Path, redis_url: str) -> Iterator[Place]:
    place = Place(tmp_path, redis_url)
    place.redis.flushall()
    yield place
    place.redis.close()


def test_a_caller_of_the_feed_is_shown_with_the_age_of_the_data(place: Place) -> None:
    place.load({"+8613900000001": "elder", "+8613900000002": "senior"}, shared=("+8613900000002",))
    assert place.run("get", "139 0000 0001").stdout == "+86139****0001: elder (from the feed, 9h old)\n"
    shared = "+86139****0002: senior (from the feed, 9h old, shared by callers of several bands)\n"
    assert place.run("get", "+86 13900000002").stdout == shared
    unknown = place.run("get", "13900000003", code=1).stdout
    assert unknown == "+86139****0003: not in the registry, which is 9h old\n"


def test_nothing_was_ever_loaded(place: Place) -> None:
    load_or_create_ring(place.secrets)
    assert place.run("get", "13900000001", code=1).stdout == "+86139****0001: not in the registry\n"


def test_a_band_set_by_hand_is_stronger_than_the_feed_until_it_is_cleared(place: Place) -> None:
    place.load({"+8613900000001": "adult"})
    assert place.run("set", "13900000001", "elder").stdout == "+86139****0001: elder, set by hand\n"
    assert place.run("set", "13900000002", "senior").exit_code == 0
    both = "+86139****0001: elder (set by hand; the feed says adult)\n"
    assert place.run("get", "13900000001").stdout == both
    place.load({"+8613900000001": "adult"}, ago_s=0)
    assert place.run("get", "13900000001").stdout == both, "also after another load"
    assert place.run("get", "13900000002").stdout.endswith(": senior (set by hand; the feed does not know it)\n")
    assert place.run("set", "13900000001", "--clear").stdout == "+86139****0001: the band set by hand is removed\n"
    assert place.run("get", "13900000001").stdout.startswith("+86139****0001: adult (from the feed, ")
    assert place.run("set", "13900000001", "--clear", code=1).stdout == "+86139****0001: no band was set by hand\n"


def test_setting_makes_the_secrets_if_there_are_none_and_looking_does_not(place: Place) -> None:
    missing = place.run("get", "13900000001", code=2).stderr
    assert missing.startswith(f"{place.secrets}: error: ")
    assert not place.secrets.exists()
    place.run("set", "13900000001", "elder")
    assert len(load_ring(place.secrets).secrets) == 1
    assert place.run("get", "13900000001").stdout == "+86139****0001: elder (set by hand)\n"


def test_set_takes_only_bands_of_the_rules_and_names_the_nearest(place: Place) -> None:
    told = place.run("set", "13900000001", "sennior", code=2).stderr
    assert "'sennior' is not one of minor, adult, senior, elder; did you mean senior?" in told
    for words in (("set", "13900000001"), ("set", "13900000001", "elder", "--clear")):
        assert "give a band, or --clear" in place.run(*words, code=2).stderr
    assert place.redis.keys("*") == []


def test_a_choice_is_remembered_as_long_as_the_settings_say_shown_and_forgotten(place: Place) -> None:
    place.write("  choice_kept: 10d\n")
    place.load({"+8613900000001": "adult"}, ago_s=0)
    assert place.run("choose", "13900000001", "slower").stdout == "+86139****0001: slower\n"
    (key,) = place.redis.keys("elder:*:choice:*")
    assert 10 * 86_400 - 60 < place.redis.ttl(key) <= 10 * 86_400
    assert ", chose slower until 20" in place.run("get", "13900000001").stdout
    assert place.run("choose", "13900000001", "none").stdout == "+86139****0001: nothing remembered\n"
    assert "chose" not in place.run("get", "13900000001").stdout
    chosen = place.run("choose", "13900000001", "slower:slow+person").stdout
    assert chosen == "+86139****0001: slower (slow), person\n"
    assert ", chose slower (slow), person until " in place.run("get", "13900000001").stdout
    place.run("choose", "13900000001", "louder", code=2)


def fill(place: Place) -> None:
    """All that there can be of 13900000001, and something of another."""
    place.load({"+8613900000001": "elder", "+8613900000002": "elder"})
    for number in ("13900000001", "13900000002"):
        place.run("set", number, "adult")
        place.run("choose", number, "slower:slow+person")
    place.redis.set("elder:caller:+8613900000001", "elder")


def test_who_is_forgotten_is_gone_and_it_is_told_where_it_was_looked(place: Place) -> None:
    fill(place)
    before = place.redis.dbsize()
    told = place.run("forget", "13900000001").stdout.splitlines()
    assert told == [
        "+86139****0001: removed the band from the feed, the band set by hand, the choice, what an earlier version "
        "stored in clear",
        "looked again: the band set by hand (1), the choice (1), the earlier calls (1), what an earlier version stored "
        "in clear (3), the band from the feed (1)",
        "nothing is left of it in the registry now; a feed that still has the number brings it back",
        f"the journal: there is no {place.folder / 'journal.jsonl'} on this machine",
    ]
    assert "not in the registry" in place.run("get", "13900000001", code=1).stdout
    assert "adult (set by hand; the feed says elder), chose" in place.run("get", "13900000002").stdout
    assert before - place.redis.dbsize() in (3, 4), "and the bucket, if nobody else was in it"
    assert place.run("forget", "13900000001", code=1).stdout.startswith("+86139****0001: nothing was held\n")


def test_forgetting_while_callers_are_loaded_has_more_to_do(place: Place) -> None:
    fill(place)
    place.redis.set(IMPORT_KEY, "somebody")
    told = place.run("forget", "13900000001", code=3)
    assert told.stderr == "callers are being loaded: forget the number again when that is over\n"


def test_what_another_system_holds_is_to_be_removed_there(place: Place) -> None:
    place.write('  layout: plain\n  plain: {key: "customer:{e164}"}\n')
    place.redis.set("customer:+8613900000001", "senior")
    place.run("choose", "13900000001", "slower")
    shown = place.run("get", "13900000001").stdout
    assert shown.startswith("+86139****0001: senior (from another system), chose slower until ")
    assert place.run("set", "13900000001", "adult").exit_code == 0
    assert "adult (set by hand; the feed says senior)" in place.run("get", "13900000001").stdout
    told = place.run("forget", "13900000001", code=3)
    assert "removed the band set by hand, the choice" in told.stdout
    assert told.stderr == "another system holds the number under customer:+86139****0001: have it removed there\n"
    assert place.redis.keys("*") == [b"customer:+8613900000001"]


def exported(place: Place, *words: str, code: int = 0) -> dict[str, Any]:
    text: dict[str, Any] = json.loads(place.run("export", "13900000001", *words, code=code).stdout)
    return text


def test_all_that_is_held_is_exported_under_a_masked_number(place: Place) -> None:
    fill(place)
    held = exported(place, "--no-journal")
    kinds = [entry["what"] for entry in held.pop("stored_under")]
    assert kinds == [
        "the band from the feed",
        "the band set by hand",
        "the choice",
        "what an earlier version stored in clear",
    ]
    assert held.pop("choice_kept_until") > held["registry"].pop("updated_at") == held["registry"].pop("loaded_at")
    assert len(held.pop("registry").pop("as_of")) == 10
    assert held == {
        "number": "+86139****0001",
        "age_band": "adult",
        "set_by_hand": "adult",
        "feed": {"age_band": "elder", "shared_by_several_bands": False},
        "choice": "slower:slow+person",
        "last_calls": [],
        "journal": None,
    }
    assert exported(place, "--no-journal", "--full-number")["number"] == "+8613900000001"


def test_keys_in_clear_are_exported_with_the_number_only_if_that_is_asked_for(place: Place) -> None:
    place.write('  layout: plain\n  plain: {key: "customer:{digits}"}\n')
    load_or_create_ring(place.secrets)
    place.redis.set("customer:8613900000001", "senior")
    place.redis.set("elder:caller:+8613900000001", "elder")
    told = place.run("export", "13900000001", "--no-journal").stdout
    assert "3900000001" not in told
    keys = [entry["key"] for entry in json.loads(told)["stored_under"]]
    assert keys == ["customer:86139****0001", "elder:caller:+86139****0001"]
    keys = [entry["key"] for entry in exported(place, "--no-journal", "--full-number")["stored_under"]]
    assert keys == ["customer:8613900000001", "elder:caller:+8613900000001"]


def test_of_who_is_not_known_nothing_is_exported(place: Place) -> None:
    place.load({})
    held = exported(place, code=1)
    assert (held["age_band"], held["feed"], held["stored_under"], held["journal"]) == (None, None, [], None)
    told = place.run("export", "13900000001", code=1).stderr
    assert f"there is no journal {place.folder / 'journal.jsonl'} on this machine" in told
    assert place.run("export", "13900000001", "--no-journal", code=1).stderr == ""


def write_journal(place: Place, name: str, *records: Mapping[str, object]) -> None:
    lines = [json.dumps(record, separators=(",", ":")) for record in records]
    (place.folder / name).write_text("".join(f"{line}\n" for line in lines))


def as_written(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the records
    fields: dict[str, Any] = json.loads(record.model_dump_json())
    return fields


def test_the_journals_records_of_the_caller_are_exported_and_nobody_elses(place: Place) -> None:
    place.load({})
    key = caller_key(load_or_create_secret(place.folder / "callers.key"), "+8613900000001")
    theirs = as_written(DECISION) | {"caller_key": key, "uniqueid": "1.10", "node": "pbx1"}
    theirs_ended = as_written(OUTCOME) | {"uniqueid": "1.10", "node": "pbx1"}
    others = as_written(DECISION) | {"caller_key": "0" * 16, "uniqueid": "1.1", "node": "pbx1"}
    others_ended = as_written(OUTCOME) | {"uniqueid": "1.1", "node": "pbx1"}
    elsewhere = as_written(OUTCOME) | {"uniqueid": "1.10", "node": "pbx2"}
    write_journal(place, "journal.jsonl.1", others, theirs)
    write_journal(place, "journal.jsonl", others_ended, theirs_ended, elsewhere)
    held = exported(place)
    assert held["journal"]["records"] == [theirs, theirs_ended]
    assert [Path(file).name for file in held["journal"]["files"]] == ["journal.jsonl.1", "journal.jsonl"]
    one = exported(place, "--journal", str(place.folder / "journal.jsonl.1"))
    assert one["journal"]["records"] == [theirs]
    assert exported(place, "--no-journal", code=1)["journal"] is None


def test_a_journal_that_cannot_be_read_or_whose_key_is_missing_is_told(place: Place) -> None:
    place.load({"+8613900000001": "elder"})
    write_journal(place, "journal.jsonl", as_written(DECISION))
    assert str(place.folder / "callers.key") in place.run("export", "13900000001", code=2).stderr
    load_or_create_secret(place.folder / "callers.key")
    told = place.run("export", "13900000001", "--journal", str(place.folder / "none"), code=2).stderr
    assert "none: cannot be read" in told
    words = ["export", "13900000001", "--journal", str(place.folder / "journal.jsonl"), "--secrets", str(place.secrets)]
    alone = CliRunner().invoke(callers, [*words, "--redis", place.url])
    assert alone.exit_code == 2
    assert "name that with --secret-file" in " ".join(alone.stderr.split())


def write_calls(place: Place, name: str, packed: bool = False) -> Path:
    """A journal with a call of 13900000001 and one of somebody else."""
    key = caller_key(load_or_create_secret(place.folder / "callers.key"), "+8613900000001")
    theirs = as_written(DECISION) | {"caller_key": key, "caller": "+86139****0001", "uniqueid": "1.10"}
    others = as_written(DECISION) | {"caller_key": "0" * 16, "uniqueid": "1.1"}
    write_journal(place, name, theirs, others)
    file = place.folder / name
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    return file


def callers_in(file: Path) -> list[tuple[str, str]]:
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    records = [json.loads(line) for line in content.splitlines()]
    return [(record["caller"], record["caller_key"]) for record in records]


def test_forgetting_reaches_the_journal_and_what_was_rotated_away_from_it(place: Place) -> None:
    place.load({})
    files = [write_calls(place, "journal.jsonl"), write_calls(place, "journal.jsonl.1")]
    files.append(write_calls(place, "journal.jsonl.20251120T160000Z.gz", packed=True))
    told = place.run("forget", "13900000001")
    assert told.stdout.splitlines()[-1] == (
        "the journal: taken out of 3 records in 3 files of 3 files; looked again, and nothing is left; other routers' "
        "journals, and copies, are not reached: do the same there"
    )
    for file in files:
        assert callers_in(file) == [("erased", ""), ("+86139****0001", "0" * 16)]
    again = place.run("forget", "13900000001", code=1).stdout
    assert "the journal: nothing of it in 3 files; other routers'" in again
    assert exported(place, code=1)["journal"]["records"] == []


def test_what_of_the_journal_cannot_be_reached_is_more_to_do(place: Place) -> None:
    place.load({})
    write_calls(place, "journal.jsonl")
    (place.folder / "journal.jsonl.1.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    told = place.run("forget", "13900000001", code=3)
    assert "journal.jsonl.1.zst: is compressed with zstd, which is not changed here: unpack it" in told.stderr
    assert "taken out of 1 record in 1 file" in told.stdout
    assert "nothing is left" not in told.stdout.splitlines()[-1]


def test_journals_may_be_named_or_left_out(place: Place) -> None:
    place.load({})
    usual, other = write_calls(place, "journal.jsonl"), write_calls(place, "other.jsonl")
    place.run("forget", "13900000001", "--no-journal", code=1)
    assert callers_in(usual)[0][0] == callers_in(other)[0][0] == "+86139****0001"
    place.run("forget", "13900000001", "--journal", str(other))
    assert callers_in(usual)[0][0] == "+86139****0001"
    assert callers_in(other)[0][0] == "erased"
    told = place.run("forget", "13900000001", "--journal", str(place.folder / "none"), code=2)
    assert "there is no " in told.stderr


def test_without_the_journals_key_nothing_is_removed_at_all(place: Place) -> None:
    place.load({"+8613900000001": "elder"})
    write_calls(place, "journal.jsonl")
    (place.folder / "callers.key").unlink()
    assert str(place.folder / "callers.key") in place.run("forget", "13900000001", code=2).stderr
    assert "elder" in place.run("get", "13900000001").stdout


@pytest.mark.parametrize("number", ["10086", "anonymous", "alice"])
def test_what_is_no_number_is_refused(place: Place, number: str) -> None:
    assert "this is no caller's number" in place.run("get", number, code=2).stderr


def test_a_number_may_come_on_standard_input_where_nobody_else_sees_it(place: Place) -> None:
    place.load({"+8613900000001": "senior"})

    def told(*words: str, given: str, code: int) -> str:
        result = CliRunner().invoke(main, ["--config", str(place.settings), "callers", *words], input=given)
        assert result.exit_code == code, result.output
        return result.output

    assert "+86139****0001: senior" in told("get", "-", given=" 139 0000 0001\n", code=0)
    assert "removed the band" in told("forget", "-", given="+8613900000001\n", code=0)
    assert "this is no caller's number (withheld)" in told("get", "-", given="", code=2)


def test_nothing_is_stored_under_a_secret_that_no_router_has(place: Place) -> None:
    place.load({"+8613900000001": "senior"})
    other = str(place.folder / "other.secrets")
    before = sorted(place.redis.keys())
    for words in (["set", "13900000001", "adult"], ["choose", "13900000001", "slower"]):
        assert f"which is not in {other}" in place.run(*words, "--secrets", other, code=2).stderr
    assert sorted(place.redis.keys()) == before


def test_an_unknown_home_region_is_refused(place: Place) -> None:
    assert "two-letter code" in place.run("get", "13900000001", "--home-region", "China", code=2).stderr


def test_the_password_comes_from_a_file_and_is_not_shown(place: Place, tmp_path: Path) -> None:
    place.load({})
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    told = place.run("get", "13900000001", "--redis-password-file", str(secret), code=2)
    assert "Redis answered with an error" in told.stderr
    assert "hunter2" not in told.output


def test_a_redis_that_is_gone_is_told_by_every_command(place: Place) -> None:
    place.load({})
    for words in (
        ("get", "13900000001"),
        ("export", "13900000001"),
        ("forget", "13900000001"),
        ("set", "13900000001", "elder"),
        ("set", "13900000001", "--clear"),
        ("choose", "13900000001", "person"),
        ("remove-old",),
        ("secret", "show"),
    ):
        told = place.run(*words, "--redis", "redis://127.0.0.1:1/0", code=2)
        assert "Redis cannot be reached" in told.stderr, words


def test_what_stands_in_clear_is_counted_and_removed_when_told(place: Place) -> None:
    fill(place)
    for number in range(2500):
        place.redis.set(f"elder:choice:+86139{number:08d}", "slower")
    place.redis.set("elder:choice:of-somebody-else", "x")
    before = place.redis.dbsize()
    counted = place.run("remove-old", code=1).stdout
    assert counted == "keys of an earlier version, which show numbers in clear: 2,501; give --yes to remove them\n"
    assert place.redis.dbsize() == before
    assert place.run("remove-old", "--yes").stdout == "keys of an earlier version removed: 2,501\n"
    assert place.redis.dbsize() == before - 2501
    assert place.run("remove-old").stdout == "keys of an earlier version, which show numbers in clear: 0\n"
    assert "adult" in place.run("get", "13900000001").stdout


def test_what_redis_refuses_is_told_without_the_number_and_its_key(place: Place) -> None:
    place.load({"+8613900000001": "senior"})
    rights = ["resetchannels", "-@all", "+get", "+mget", "+hget", "+exists", "+scan", "+select"]
    try:
        for more, words in (
            (["~elder:*"], ["choose", "13900000001", "slower"]),
            (["%RW~elder:{*", "%R~elder:*", "+del", "+hdel", "+hexists"], ["forget", "13900000001"]),
        ):
            place.redis.execute_command("ACL", "SETUSER", "weak", "reset", "on", ">weak", *rights, *more)  # type: ignore[no-untyped-call]
            told = place.run(*words, "--redis", place.url.replace("//", "//weak:weak@"), code=2).stderr
            assert "permissions" in told
            assert not any(part in told for part in ("elder:{", "+86139", "elder:caller", "Command #"))
    finally:
        place.redis.acl_deluser("weak")


@pytest.mark.parametrize("group", [["callers"], ["callers", "secret"]])
def test_lists_of_commands_are_not_cut_off_on_a_narrow_terminal(group: list[str]) -> None:
    told = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*group, "--help"]).output
    commands = told.partition("Commands:\n")[2].splitlines()
    assert len(commands) >= 3
    assert not [line for line in commands if line.endswith("...") or len(line) > 80]
