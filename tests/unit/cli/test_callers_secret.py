from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from lab.registry import load
from router.callers.keys import IMPORT_KEY
from router.callers.number import PhoneNumber
from router.callers.secret_ring import load_or_create_ring, load_ring
from router.cli.callers import callers


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    load_or_create_ring(tmp_path / "registry.secrets")
    return tmp_path / "registry.secrets"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


class Command:
    """`elder-router callers` with this Redis and these secrets."""

    def __init__(self, url: str, secrets: Path) -> None:
        self.url = url
        self.secrets = secrets

    def __call__(self, *words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(callers, [*words, "--redis", self.url, "--secrets", str(self.secrets)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result

    def shown(self) -> list[str]:
        """What is said of each secret."""
        heading, *lines = self("secret", "show").stdout.splitlines()
        assert heading.split() == ["secret", "loaded", "callers", "set", "by", "hand", "choices", "last", "calls"]
        return lines

    def load(self) -> str:
        """Load a caller under the newest secret; returns its name."""
        ring = load_ring(self.secrets)
        asyncio.run(load(self.url, ring, {PhoneNumber("+8613900000001"): "elder"}))
        return ring.newest.name


@pytest.fixture
def command(redis: Redis, redis_url: str, secrets: Path) -> Command:
    assert redis.dbsize() == 0
    return Command(redis_url, secrets)


def test_a_secret_is_changed_step_by_step(command: Command, redis: Redis) -> None:
    old = command.load()
    command("choose", "13900000001", "slower")
    assert command.shown() == [f"{old}  yes                        0           1           0  the newest"]
    told = command("secret", "add").stdout
    new = load_ring(command.secrets).newest.name
    assert told.startswith(f"{new} is the newest secret in {command.secrets}\nnext: copy that file")
    assert command("get", "13900000001").stdout.startswith("+86139****0001: elder (from the feed, ")
    refused = command("secret", "retire", old, code=1).stderr
    assert refused == f"loaded callers are hashed with {old}: add a secret and load all callers anew first\n"

    assert command.load() == new
    command("choose", "13900000002", "person")
    assert command.shown() == [
        f"{new}  yes                        0           1           0  the newest",
        f"{old}  no                         0           1           0",
    ]
    refused = command("secret", "retire", old, code=1).stderr
    assert "bands set by hand: 0, choices: 1, callers' last calls: 0" in refused
    assert command("get", "13900000001").stdout.count("chose slower") == 1
    retired = command("secret", "retire", old, "--yes").stdout.splitlines()
    assert retired[0] == f"{old} is retired; keys removed that were stored under it: 1"
    assert [secret.name for secret in load_ring(command.secrets).secrets] == [new]
    assert "chose" not in command("get", "13900000001").stdout
    assert redis.keys(f"*{old}*") == []
    assert "chose person" in command("get", "13900000002", code=1).stdout


def test_a_secret_that_nothing_is_stored_under_is_retired_without_asking(command: Command) -> None:
    old = load_ring(command.secrets).newest.name
    command("secret", "add")
    assert "stored under it: 0\n" in command("secret", "retire", old).stdout


def test_the_newest_is_not_retired_nor_one_that_is_not_there(command: Command) -> None:
    command("secret", "add")
    newest = load_ring(command.secrets).newest.name
    assert command("secret", "retire", newest, code=1).stderr == (
        f"{newest} is the newest, which callers are stored under from now on: add another one first\n"
    )
    assert "there is no secret 'ffffffff', only " in command("secret", "retire", "ffffffff", code=2).stderr
    assert len(load_ring(command.secrets).secrets) == 2


def test_none_is_retired_while_callers_are_loaded(command: Command, redis: Redis) -> None:
    old = load_ring(command.secrets).newest.name
    command("secret", "add")
    redis.set(IMPORT_KEY, "somebody")
    assert "callers are being loaded" in command("secret", "retire", old, code=1).stderr
    assert "callers are being loaded\n" in command("secret", "show").stdout


def test_what_is_left_of_a_secret_that_is_not_in_the_file_is_shown_and_removed(command: Command, redis: Redis) -> None:
    command("choose", "13900000001", "slower")
    gone = load_ring(command.secrets).newest.name
    command.secrets.unlink()
    load_or_create_ring(command.secrets)
    left = f"{gone}  no                         0           1           0  not in the file: "
    assert command.shown()[-1].startswith(left)
    assert "choices: 1" in command("secret", "retire", gone, code=1).stderr
    command("secret", "retire", gone, "--yes")
    assert redis.keys(f"*{gone}*") == []


def test_the_secret_itself_is_never_shown(command: Command) -> None:
    shown = command("secret", "show").output + command("secret", "add").output + command("secret", "show").output
    for secret in load_ring(command.secrets).secrets:
        assert secret.name in shown
        assert secret.key.hex() not in shown
