from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lab.ports import free_port
from router.cli.callers import callers

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "config" / "callers.sample.csv"
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


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # Not the lab's server: the commands run an event loop of their own, so this must live outside of one.
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed: run `make setup`"
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL) as process:
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "routing.yaml"
    path.write_text(RULES)
    return path


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(callers, [str(argument) for argument in arguments], env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_importing_the_sample_stores_every_caller(redis_url: str, rules: Path) -> None:
    result = run("import", SAMPLE, "--rules", rules, "--redis", redis_url)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].split() == ["rows", "read", "12"]
    got = run("get", "139 0000 0001", "--redis", redis_url)
    assert (got.exit_code, got.stdout) == (0, "+86139****0001: elder\n")


def test_importing_with_bad_rows_ends_with_1_and_shows_them_masked(redis_url: str, rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "callers.csv"
    path.write_text("number,age_band\n13900000101,ancient\n13900000102,elder\n13900000102,adult\n")
    result = run("import", path, "--rules", rules, "--redis", redis_url)
    assert result.exit_code == 1
    assert "line 2: +86139****0101: age_band is not one of minor, adult, senior, elder" in result.stderr
    assert "duplicates                1  (a number on several lines has its oldest band)" in result.stdout
    assert "13900000101" not in result.output
    assert run("get", "13900000102", "--redis", redis_url).stdout == "+86139****0102: elder\n"


def test_a_dry_run_stores_nothing_and_needs_no_redis(rules: Path) -> None:
    result = run("import", SAMPLE, "--dry-run", "--rules", rules, "--redis", "redis://127.0.0.1:1/0")
    assert result.exit_code == 0
    assert "would be stored" in result.stdout


def test_importing_without_redis_ends_with_2_and_says_why(rules: Path) -> None:
    result = run("import", SAMPLE, "--rules", rules, "--redis", "redis://127.0.0.1:1/0")
    assert result.exit_code == 2
    assert "Redis cannot be reached" in result.stderr


def test_importing_with_wrong_rules_or_columns_ends_with_2(rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "callers.csv"
    path.write_text("phone,age_band\n")
    assert run("import", path, "--rules", rules, "--dry-run").exit_code == 2
    assert run("import", SAMPLE, "--rules", tmp_path / "missing.yaml", "--dry-run").exit_code == 2


def test_set_get_and_forget_one_caller(redis_url: str, rules: Path) -> None:
    place = {"ELDER_REDIS_URL": redis_url}
    assert run("get", "13900000201", env=place).exit_code == 1
    assert run("set", "13900000201", "senior", "--rules", rules, env=place).exit_code == 0
    assert run("get", "+86 139 0000 0201", env=place).stdout == "+86139****0201: senior\n"
    assert run("forget", "13900000201", env=place).stdout == "+86139****0201: forgotten\n"
    assert run("forget", "13900000201", env=place).exit_code == 1


def test_a_choice_is_remembered_shown_and_forgotten(redis_url: str, rules: Path) -> None:
    place = {"ELDER_REDIS_URL": redis_url}
    run("set", "13900000401", "adult", "--rules", rules, env=place)
    assert run("choose", "13900000401", "slower", env=place).stdout == "+86139****0401: slower\n"
    assert run("get", "13900000401", env=place).stdout == "+86139****0401: adult, chose slower\n"
    assert run("choose", "13900000401", "none", env=place).stdout == "+86139****0401: nothing remembered\n"
    assert run("get", "13900000401", env=place).stdout == "+86139****0401: adult\n"
    chosen = run("choose", "13900000401", "slower:slow+person", env=place)
    assert chosen.stdout == "+86139****0401: slower (slow), person\n"
    assert run("get", "13900000401", env=place).stdout == "+86139****0401: adult, chose slower (slow), person\n"
    assert run("forget", "13900000401", env=place).exit_code == 0
    assert run("get", "13900000401", env=place).stdout == "+86139****0401: not in the registry\n"
    assert run("choose", "13900000401", "louder", env=place).exit_code == 2


def test_set_takes_only_bands_of_the_rules_and_names_the_nearest(redis_url: str, rules: Path) -> None:
    result = run("set", "13900000301", "sennior", "--rules", rules, "--redis", redis_url)
    assert result.exit_code == 2
    assert "'sennior' is not one of minor, adult, senior, elder; did you mean senior?" in result.stderr
    assert run("get", "13900000301", "--redis", redis_url).exit_code == 1


@pytest.mark.parametrize("number", ["10086", "anonymous", "alice"])
def test_what_is_no_number_is_refused(number: str) -> None:
    result = run("get", number)
    assert result.exit_code == 2
    assert "this is no caller's number" in result.stderr


def test_an_unknown_home_region_is_refused() -> None:
    result = run("get", "13900000001", "--home-region", "China")
    assert result.exit_code == 2
    assert "two-letter code" in result.stderr


def test_the_password_comes_from_a_file_and_is_not_shown(redis_url: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    result = run("get", "13900000001", "--redis", redis_url, env={"ELDER_REDIS_PASSWORD_FILE": str(secret)})
    assert result.exit_code == 2
    assert "Redis answered with an error" in result.stderr
    assert "hunter2" not in result.output
