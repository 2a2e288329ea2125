from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lab.ports import free_port
from router.callers.secret_ring import load_or_create_ring
from router.cli import main

ROOT = Path(__file__).parents[3]
RULES = (ROOT / "config" / "routing.yaml").read_text()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(RULES.replace("name: everyone else meets the assistant", "name: mine"))
    file = tmp_path / "elder-router.yaml"
    file.write_text(
        "asterisk:\n  - {name: pbx1, secret_file: not-for-everyone}\n"
        f"callers: {{redis: redis://127.0.0.1:{free_port()}/0, home_region: GB}}\n"
        "rules: mine.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
    )
    return file


def run(settings: Path, *words: str, **variables: str) -> Result:
    return CliRunner(env=variables).invoke(main, ["--config", str(settings), *words])


def test_commands_find_the_rules_in_the_settings_file_without_reading_its_secrets(settings: Path) -> None:
    explained = run(settings, "explain", "--caller", "02079460000", "--called", "95500", "--band", "adult")
    assert explained.exit_code == 0
    assert "mine" in explained.output
    assert "+4420****0000" in explained.output, "numbers are read in the settings' home region"


def test_check_takes_the_rules_of_the_settings_file(settings: Path) -> None:
    (settings.parent / "mine.yaml").write_text("nonsense: 1\n")
    checked = run(settings, "check")
    assert checked.exit_code == 1
    assert str(settings.parent / "mine.yaml") in checked.output


def test_commands_find_redis_in_the_settings_file_and_options_are_stronger(settings: Path) -> None:
    port = settings.read_text().partition("127.0.0.1:")[2].partition("/")[0]
    load_or_create_ring(settings.parent / "registry.secrets")
    assert port in run(settings, "callers", "get", "02079460000").output
    assert port not in run(settings, "callers", "get", "02079460000", "--redis", "redis://127.0.0.1:1/0").output
    by_variable = run(settings, "callers", "get", "02079460000", ELDER_REDIS_URL="redis://127.0.0.1:1/0")
    assert port not in by_variable.output


def test_the_file_of_the_secrets_is_the_settings_one_and_an_option_is_stronger(settings: Path) -> None:
    assert str(settings.parent / "registry.secrets") in run(settings, "callers", "get", "02079460000").output
    other = settings.parent / "others.secrets"
    named = run(settings, "callers", "get", "02079460000", "--secrets", str(other))
    assert (named.exit_code, str(other) in named.output) == (2, True)
    assert "the router makes it when it starts" in named.output


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks may read nothing, as far as can be told beforehand."""
    monkeypatch.setattr(os, "access", lambda *_, **__: False)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("explain", "--caller", "02079460000", "--called", "95500", "--band", "adult"), 0),
        (("explain", "--call", "1.1"), 1),
        (("diff", "mine.yaml"), 2),
        (("check",), 0),
        (("rules", "history"), 1),
        (("callers", "get", "02079460000"), 2),
        (("promote", "1.1"), 2),
    ],
)
def test_what_a_command_does_not_need_need_not_be_readable(
    settings: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int
) -> None:
    folder = settings.parent
    monkeypatch.chdir(folder)
    text = settings.read_text().replace("home_region", "password_file: redis.password, home_region")
    settings.write_text(f"{text}control: {{socket: control.sock}}\n")
    for name in ("callers.key", "redis.password", "journal.jsonl", "control.sock"):
        (folder / name).write_text("secret")
    (folder / "rules-history").mkdir()
    done = run(settings, *words)
    assert done.exit_code == code
    assert "is not readable" not in done.output


def test_a_settings_file_that_may_not_be_looked_at_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "elder-router.yaml"
    monkeypatch.setattr(main.params[0], "default", file)
    monkeypatch.delenv("ELDER_ROUTER_CONFIG", raising=False)
    monkeypatch.setattr(os, "stat", refused)
    monkeypatch.setattr(os, "open", refused)
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 2
    assert done.stderr == f"{file}: error: you may not read this file; check its owner and mode\n"


def test_a_wrong_settings_file_is_told_by_line(settings: Path) -> None:
    settings.write_text(settings.read_text().replace("rules:", "rulez:"))
    told = run(settings, "check")
    assert told.exit_code == 2
    assert f"{settings}:4:1: error: " in told.output


def test_a_settings_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    told = run(tmp_path / "none.yaml", "check")
    assert told.exit_code == 2
    assert "there is no such file" in told.output
