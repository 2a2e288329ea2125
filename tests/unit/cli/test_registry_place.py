"""Where commands look for the registry: the settings file, and options that are stronger."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from router.callers.settings import PlainLayout, RedisSettings, RegistrySettings
from router.cli import main
from router.cli.options import RegistryPlace, registry_options
from router.errors import ConfigurationError

SETTINGS = """\
asterisk:
  - {name: pbx1, secret_file: not-for-everyone}
callers:
  cluster: [192.0.2.1:6379, 192.0.2.2:6379]
  username: elder-import
  password_file: redis.password
  home_region: GB
  layout: plain
  plain: {key: "customer:{e164}"}
  choice_kept: 10d
rules: mine.yaml
journal: {file: journal.jsonl, secret_file: state/callers.key}
"""
URL = "redis://127.0.0.1:1/0"


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    (tmp_path / "redis.password").write_text("hunter2\n")
    file = tmp_path / "elder-router.yaml"
    file.write_text(SETTINGS)
    return file


def place_of(*options: str, settings: Path | None = None, **variables: str) -> RegistryPlace:
    """What a command is given that takes the registry's options."""
    given: list[RegistryPlace] = []

    @click.command("look")
    @registry_options
    def look(place: RegistryPlace) -> None:
        given.append(place)

    config = ["--config", str(settings)] if settings else []
    main.add_command(look)
    try:
        told = CliRunner(env=variables).invoke(
            main if settings else look, [*config, *(["look"] * bool(settings)), *options]
        )
    finally:
        del main.commands["look"]
    assert told.exit_code == 0, told.output
    return given[0]


def test_without_a_settings_file_or_options_it_is_this_machines_redis_and_this_folders_secrets() -> None:
    assert place_of().settings() == RegistrySettings(RedisSettings(), Path("registry.secrets"), home_region="CN")


def test_the_settings_file_says_everything(settings_file: Path) -> None:
    settings = place_of("--home-region", "GB", settings=settings_file).settings()
    assert settings.redis.cluster == ("192.0.2.1:6379", "192.0.2.2:6379")
    assert (settings.redis.username, settings.redis.password) == ("elder-import", "hunter2")
    assert settings.layout == PlainLayout("customer:{e164}")
    assert settings.choice_kept_s == 864_000
    assert settings.secret_file == settings_file.parent / "state" / "registry.secrets"


def test_a_url_takes_the_place_of_the_servers_and_nothing_else(settings_file: Path) -> None:
    for place in (
        place_of("--redis", URL, settings=settings_file),
        place_of(settings=settings_file, ELDER_REDIS_URL=URL),
    ):
        redis = place.settings().redis
        assert (redis.url, redis.cluster, redis.username, redis.password) == (URL, (), "elder-import", "hunter2")


def test_files_that_are_named_take_the_place_of_the_settings_ones(settings_file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("battery staple\n")
    names = ("--redis-password-file", str(tmp_path / "other"), "--secrets", str(tmp_path / "ring"))
    settings = place_of(*names, settings=settings_file).settings()
    assert (settings.redis.password, settings.secret_file) == ("battery staple", tmp_path / "ring")
    by_variable = place_of(settings=settings_file, ELDER_REGISTRY_SECRETS=str(tmp_path / "ring"))
    assert by_variable.settings().secret_file == tmp_path / "ring"


def test_a_mistake_in_the_settings_is_told_by_line_when_the_registry_is_asked(settings_file: Path) -> None:
    (settings_file.parent / "redis.password").unlink()
    place = place_of(settings=settings_file)
    with pytest.raises(ConfigurationError, match=rf"{settings_file}:6:\d+: error: the secret cannot be read"):
        place.settings()


def test_the_help_says_where_secrets_are_looked_for() -> None:
    told = " ".join(CliRunner().invoke(main, ["callers", "get", "--help"]).output.split())
    assert "[default: as the settings file says, else registry.secrets in this folder]" in told
    assert "[default: as the settings file says, else redis://127.0.0.1:6379/0]" in told
