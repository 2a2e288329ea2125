"""The commands that load callers, as somebody types them, against a real Redis."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from router.callers.loading import job
from router.cli import main
from tests.unit.cli.test_callers import RULES

FEED = "number,birth_date\n"
OTHERS = "".join(f"+86139000010{n:02d},1990-01-01\n" for n in range(40))


class Desk:
    """A folder with settings, rules and an empty Redis."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.redis = folder, Redis.from_url(url)
        self.redis.flushall()
        self.settings = folder / "elder-router.yaml"
        self.feed = folder / "feed.csv"
        (folder / "routing.yaml").write_text(RULES)
        self.write(url)

    def write(self, url: str, more: str = "") -> None:
        self.settings.write_text(
            "asterisk:\n  - {name: pbx1, secret_file: not-for-everyone}\n"
            f"callers:\n  redis: {url}\n  work_folder: work\n{more}"
            "rules: routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
        )

    def run(self, *words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["--config", str(self.settings), "callers", *map(str, words)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result

    def write_feed(self, *rows: str) -> Path:
        self.feed.write_text(FEED + "".join(f"{row}\n" for row in rows) + OTHERS)
        return self.feed

    def band(self, number: str, code: int = 0) -> str:
        return self.run("get", number, code=code).stdout.split(": ")[1].split(" (")[0].split(", which")[0].strip()

    def in_force(self) -> dict[str, Any]:
        text = self.redis.get("elder:registry")
        assert isinstance(text, bytes)
        found: dict[str, Any] = json.loads(text)
        return found


@pytest.fixture
def desk(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(os, "nice", lambda _: 0)  # the tests that come after shall not be slower
    kept = job.Order.__dataclass_fields__["kept_s"]
    assert kept.default == 60.0
    monkeypatch.setattr("router.cli.callers_import.Order", lambda **how: job.Order(**how, kept_s=0.0))
    return Desk(tmp_path, redis_url)


def columns(text: str) -> dict[str, int]:
    """The aligned lines of a summary: name → count."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.strip().partition("  ")
        if rest.split() and rest.split()[0].replace(",", "").isdigit():
            found[name] = int(rest.split()[0].replace(",", ""))
    return found


def test_the_shipped_sample_is_taken_whole(desk: Desk) -> None:
    told = desk.run("import", Path(__file__).parents[3] / "config" / "callers.sample.csv", "--as-of", "2026-11-25")
    assert columns(told.stdout) == {
        "rows read": 12, "rejected": 0, "callers now": 12, "minor": 2, "adult": 3, "senior": 3, "elder": 4,
    }  # fmt: skip
    assert desk.band("139 0000 0001") == "elder"
    assert desk.in_force()["as_of"] == "2026-11-25"


def test_counts_stand_under_each_other(desk: Desk) -> None:
    lines = desk.run("import", desk.write_feed("13900000001,1938-05-17")).stdout.splitlines()
    assert len({len(line) for line in lines}) == 1, lines


def test_rejected_rows_are_shown_masked_and_written_where_asked(desk: Desk) -> None:
    file = desk.write_feed("13900000101,1938-13-17", "13900000102,1938-05-17", "x,1938-05-17")
    rejects = desk.folder / "rejects.csv"
    told = desk.run("import", file, "--rejects", rejects, code=1)
    shown = told.stderr.splitlines()
    assert shown[0].startswith("line 2: +86139****0101: birth_date is not a day of the calendar")
    assert shown[1].startswith("line 4: has letters where the number should be")
    assert columns(told.stdout)["rejected"] == 2
    assert "13900000101" not in told.output + rejects.read_text()
    assert len(rejects.read_text().splitlines()) == 3
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    assert desk.band("13900000102") == "elder"


def test_of_many_rejected_rows_some_are_shown_and_none_are_left_lying(desk: Desk) -> None:
    file = desk.write_feed(*("13900000101,never" for _ in range(30)))
    told = desk.run("import", file, code=1)
    assert told.stderr.splitlines()[-1] == "… and 10 more; --rejects FILE writes all to a file"
    assert [path.name for path in (desk.folder / "work").iterdir()] == ["lock"]


def test_a_household_takes_the_oldest_band_and_is_told_of(desk: Desk) -> None:
    told = desk.run("import", desk.write_feed("13900000001,1938-05-17", "13900000001,2015-05-17"))
    assert "1  a number on several rows takes the oldest of their bands" in told.stdout
    assert "shared by callers of several bands" in desk.run("get", "13900000001").stdout


def test_a_dry_run_counts_and_stores_nothing(desk: Desk) -> None:
    told = desk.run("import", desk.write_feed("13900000001,1938-05-17"), "--dry-run")
    assert columns(told.stdout)["added"] == 41
    assert told.stdout.splitlines()[-1] == "nothing was stored"
    assert desk.redis.keys() == []


def test_a_dry_run_without_redis_counts_all_the_same(desk: Desk) -> None:
    file = desk.write_feed("13900000001,1938-05-17")
    told = desk.run("import", file, "--dry-run", "--redis", "redis://127.0.0.1:1/0")
    assert columns(told.stdout)["callers in it"] == 41
    assert "what is there could not be compared: Redis cannot be reached" in told.stderr


def test_what_would_be_refused_is_told_by_a_dry_run_too(desk: Desk) -> None:
    desk.run("import", desk.write_feed())
    desk.feed.write_text(FEED + OTHERS[: len(OTHERS) // 2])
    assert "this would be refused: the feed has 20 callers, the registry 40" in (
        desk.run("import", desk.feed, "--dry-run").stderr
    )
    before = desk.redis.keys()
    told = desk.run("import", desk.feed, code=2)
    assert "50.0 % fewer, above the 5 %" in told.stderr
    assert desk.redis.keys() == before
    desk.run("import", desk.feed, "--allow-change", "51")
    assert desk.in_force()["callers"] == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import", "missing.csv"), "missing.csv: error: cannot be read"),
        (("import", "feed.csv", "--redis", "redis://127.0.0.1:1/0"), "Redis cannot be reached"),
        (("import", "feed.csv", "--rules", "missing.yaml"), "missing.yaml"),
        (("import", "feed.csv", "--as-of", "yesterday"), "write a day like 2026-11-23"),
        (("import", "feed.csv", "--delta"), "import a full feed first"),
        (("update",), "no feed is named; give FILE"),
        (("due", "feed.csv", "--until", "2027-01-01"), "there are no callers yet"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(
    desk: Desk, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    desk.write_feed()
    assert said in desk.run(*words, code=2).stderr
    assert desk.redis.keys() == []


def test_nothing_is_imported_where_another_system_writes(desk: Desk, redis_url: str) -> None:
    desk.write(redis_url, '  layout: plain\n  plain: {key: "customer:{e164}"}\n')
    assert "another system writes the callers" in desk.run("import", desk.write_feed(), code=2).stderr


def test_a_delta_says_what_it_changed(desk: Desk, redis_url: str) -> None:
    desk.write(redis_url, "  feed: {columns: {removed: left}, most_change_percent: 50}\n")
    desk.run("import", desk.write_feed("13900000001,1938-05-17", "13900000002,1990-05-17"))
    delta = desk.folder / "delta.csv"
    delta.write_text("number,age_band,left\n13900000001,,yes\n13900000002,senior,\n13900000003,minor,\n")
    told = desk.run("import", delta, "--delta")
    counts = columns(told.stdout)
    assert (counts["added"], counts["changed"], counts["removed"], counts["the same"]) == (1, 1, 1, 0)
    assert counts["adult → senior"] == 1
    assert counts["callers now"] == 42
    assert desk.band("13900000001", code=1) == "not in the registry"
    assert desk.band("13900000002") == "senior"


def test_who_is_due_is_counted_and_written_as_a_delta(desk: Desk) -> None:
    file = desk.write_feed("13900000001,1966-12-01", "13900000002,1966-12-24", "13900000003,1951-12-02")
    desk.run("import", file, "--as-of", "2026-11-25")
    output = desk.folder / "due.csv"
    told = desk.run("due", file, "--until", "2026-12-05", "--output", output)
    assert told.stdout.splitlines()[0] == "from 2026-11-25 to 2026-12-05 2 callers come into another age band"
    assert columns(told.stdout) == {"senior": 1, "elder": 1}
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert output.read_text().splitlines() == ["number,age_band", "+8613900000001,senior", "+8613900000003,elder"]
    assert desk.band("13900000001") == "adult", "only counted"
    desk.run("import", output, "--delta")
    assert (desk.band("13900000001"), desk.band("13900000003")) == ("senior", "elder")
    assert "lies before 2026-11-25" in desk.run("due", file, "--until", "2026-11-24", code=2).stderr


def test_the_nightly_job_loads_a_new_feed_then_birthdays_then_nothing(desk: Desk, redis_url: str) -> None:
    desk.write(redis_url, "  feed: {file: feed.csv}\n")
    desk.write_feed("13900000001,1966-12-01", "13900000002,1951-12-02", "13900000003,1966-12-01")
    assert desk.run("update", "--as-of", "2026-11-25").stdout.startswith("there was nothing yet, a full load:\n")
    desk.run("forget", "13900000003")
    desk.run("set", "13900000004", "elder")
    assert desk.run("update", "--as-of", "2026-11-25").stdout == (
        "nothing to do: the feed is loaded, and bands are as of 2026-11-25\n"
    )
    told = desk.run("update", "--as-of", "2026-12-05", "--allow-change", "10")
    assert told.stdout.startswith("the feed is loaded already; birthdays from 2026-11-25 to 2026-12-05:\n")
    assert columns(told.stdout)["changed"] == 2
    assert columns(told.stdout)["added"] == 0
    assert (desk.band("13900000001"), desk.band("13900000002")) == ("senior", "elder")
    assert desk.band("13900000003", code=1) == "not in the registry", "whoever was forgotten stays so"
    assert desk.band("13900000004") == "elder"
    assert desk.in_force()["as_of"] == "2026-12-05"
    assert desk.in_force()["generation"] == 1
    before = desk.redis.get("elder:registry")
    assert desk.run("update", "--as-of", "2026-12-05").stdout.startswith("nothing to do")
    assert desk.redis.get("elder:registry") == before
    desk.write_feed("13900000001,1966-12-01", "13900000009,1951-12-02")
    assert desk.run("update", "--as-of", "2026-12-05").stdout.startswith("there was a new feed:\n")
    assert desk.in_force()["generation"] == 2
    assert [path.name for path in (desk.folder / "work").iterdir()] == ["lock"]


def test_a_birthday_in_a_household_leaves_the_number_shared(desk: Desk) -> None:
    households = (
        "13900000005,1966-12-01",
        "13900000005,2015-01-01",
        "13900000006,1966-12-01",
        "13900000006,1938-01-01",
    )
    file = desk.write_feed(*households)
    desk.run("update", file, "--as-of", "2026-11-25")
    desk.run("update", file, "--as-of", "2026-12-05", "--allow-change", "10")
    assert "senior (from the feed" in desk.run("get", "13900000005").stdout
    assert "shared by callers of several bands" in desk.run("get", "13900000005").stdout
    assert desk.band("13900000006") == "elder"


def test_who_is_due_is_written_in_the_words_of_the_feed(desk: Desk, redis_url: str) -> None:
    desk.write(
        redis_url,
        "  feed:\n    columns: {number: MSISDN, birth_date: DOB, age_band: segment, removed: churned}\n"
        '    bands: {S60: senior, S75: elder, STD: adult, KID: minor}\n    separator: ";"\n'
        "    most_change_percent: 100\n",
    )
    desk.feed.write_text("MSISDN;DOB\n13900000001;1966-12-01\n13900000001;2015-01-01\n13900000002;1990-01-01\n")
    desk.run("import", desk.feed, "--as-of", "2026-11-25")
    output = desk.folder / "due.csv"
    desk.run("due", desk.feed, "--until", "2026-12-05", "--output", output)
    assert output.read_text() == "MSISDN;segment;churned\n+8613900000001;KID;\n+8613900000001;S60;\n"
    desk.run("import", output, "--delta")
    assert "shared by callers of several bands" in desk.run("get", "13900000001").stdout
    assert desk.band("13900000001") == "senior"


def test_a_night_without_birthdays_makes_the_registry_younger_all_the_same(desk: Desk) -> None:
    file = desk.write_feed("13900000001,1938-05-17")
    desk.run("update", file, "--as-of", "2026-11-25")
    before = desk.in_force()
    told = desk.run("update", file, "--as-of", "2026-11-26")
    assert columns(told.stdout)["changed"] == 0
    after = desk.in_force()
    assert after["as_of"] == "2026-11-26"
    assert after["fresh_at"] > before["fresh_at"]
    assert after["by_band"] == before["by_band"]


def test_a_feed_without_dates_of_birth_is_loaded_once_and_nothing_is_due(desk: Desk) -> None:
    desk.feed.write_text("number,age_band\n13900000001,elder\n")
    desk.run("update", desk.feed, "--as-of", "2026-11-25")
    said = "nothing to do: the feed is loaded, and has no dates of birth that would come due\n"
    assert desk.run("update", desk.feed, "--as-of", "2026-12-25").stdout == said
    assert "nobody's birthday is known" in desk.run("due", desk.feed, "--until", "2026-12-25", code=2).stderr


def test_birthdays_make_nobody_younger(desk: Desk) -> None:
    file = desk.write_feed("13900000001,1966-12-01")
    desk.run("import", file, "--as-of", "2026-11-25")
    delta = desk.folder / "delta.csv"
    delta.write_text("number,age_band\n13900000001,elder\n")
    desk.run("import", delta, "--delta")
    desk.run("update", file, "--as-of", "2026-12-05")
    assert desk.band("13900000001") == "elder"


def test_told_to_stop_it_says_how_to_go_on_and_does(desk: Desk) -> None:
    rows = [f"139{n:08d},1990-01-01" for n in range(20_000)]  # the others are among them
    file = desk.write_feed(*rows)
    words = ("--config", str(desk.settings), "callers", "import", str(file), "--as-of", "2026-11-25")
    with subprocess.Popen(
        [Path(sys.executable).with_name("elder-router"), *words, "--rate", "8000"], stderr=subprocess.PIPE, text=True
    ) as process:
        deadline_s = time.monotonic() + 60
        while not desk.redis.keys("elder:{1*"):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)  # a poll with a deadline
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stopped while loading; run the same command again, it goes on where it stopped"
    assert desk.redis.get("elder:registry") is None
    desk.run("import", file, "--as-of", "2026-11-25")
    assert desk.in_force()["generation"] == 1
    assert desk.in_force()["callers"] == 20_000


def test_rejected_rows_and_who_is_due_are_not_written_over_the_feed(desk: Desk) -> None:
    feed = desk.write_feed("+8613900000001,1950-03-02", "10086,1950-03-02")
    before = feed.read_bytes()
    for words in (["import", feed], ["import", feed, "--dry-run"], ["update", feed]):
        assert "this is the feed itself" in desk.run(*words, "--rejects", feed, code=2).stderr
    told = desk.run("due", feed, "--since", "2026-01-01", "--until", "2027-01-01", "--output", feed, code=2)
    assert "this is the feed itself" in told.stderr
    assert feed.read_bytes() == before


def test_a_load_leaves_the_work_folder_to_its_owner_and_no_core(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Path] = []
    monkeypatch.setattr(sys.modules["router.cli.work_folder"], "_ROOT", os.geteuid())
    monkeypatch.setattr(sys.modules["router.cli.work_folder"], "_owner", lambda _: (4321, 1234))
    monkeypatch.setattr(sys.modules["router.cli.work_folder"], "_give", lambda folder, *_: given.append(folder))
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, soft_hard: limits.append((what, soft_hard[0])))
    feed = desk.write_feed("+8613900000001,1950-03-02")
    desk.run("import", feed)
    desk.run("update", feed)
    assert given == [desk.folder / "work"] * 2
    assert limits == [(resource.RLIMIT_CORE, 0)] * 2


def test_callers_are_not_loaded_under_a_secret_that_no_router_has(desk: Desk) -> None:
    feed = desk.write_feed("+8613900000001,1950-03-02")
    desk.run("import", feed)
    before = desk.in_force()
    other = desk.folder / "other.secrets"  # as on a machine to which the file was not copied
    for words in (["import", feed], ["import", feed, "--delta"], ["update", feed]):
        told = desk.run(*words, "--secrets", other, code=2).stderr
        assert f"hashed with the secret {before['secret']}, which is not in {other}" in told
    assert desk.in_force() == before
    assert "another secret" in desk.run("import", feed, "--secrets", other, "--dry-run").stderr
    desk.run("import", feed, "--secrets", other, "--new-secret")
    assert desk.in_force()["secret"] != before["secret"]
    desk.run("update", feed, "--secrets", other)


@pytest.mark.parametrize("text", ["garbage", '{"format":2}', "x" * 100_000])
def test_what_cannot_be_read_is_left_to_be_removed_by_hand_and_then_all_is_well(desk: Desk, text: str) -> None:
    feed = desk.write_feed("+8613900000001,1950-03-02")
    desk.run("import", feed)
    desk.redis.set("elder:registry", text)
    for words in (["import", feed], ["import", feed, "--new-secret"], ["update", feed]):
        assert "redis-cli DEL elder:registry" in desk.run(*words, code=2).stderr
    assert desk.redis.get("elder:registry") == text.encode()
    desk.redis.delete("elder:registry")
    desk.run("import", feed)
    assert desk.band("13900000001") == "elder"


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_today_is_by_the_clock_of_the_rules(desk: Desk, zone: str) -> None:
    (desk.folder / "routing.yaml").write_text(RULES.replace("Asia/Shanghai", zone))
    feed = desk.write_feed("+8613900000001,1990-01-01")
    before = datetime.now(ZoneInfo(zone)).date()  # of both it is never the same day
    desk.run("import", feed)
    assert date.fromisoformat(desk.in_force()["as_of"]) in {before, datetime.now(ZoneInfo(zone)).date()}
