"""docs/registry.md: every example of settings on it loads, and means what the page says; every command on it exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from router.callers.health import BANDS_DIFFER, EMPTY, LIMITS, REDIS, STALE, UNUSABLE
from router.callers.settings import PlainLayout
from router.cli import main
from router.settings import Settings, load_settings
from router.web.registry import RegistryMetrics

from .web.test_registry import HEALTH

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")
EXAMPLES: list[str] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
REST = "rules: routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
ASTERISK = "asterisk:\n  - {name: pbx1, secret_file: ami.secret}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are that the examples name."""
    made = tmp_path_factory.mktemp("settings")
    for name in ("ami.secret", "redis.secret"):
        (made / name).write_text("open sesame\n")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=redis.example", "-days", "2"),
            *("-keyout", str(made / "router.key"), "-out", str(made / "router.pem")),
        ],
        check=True,
        capture_output=True,
    )
    (made / "redis-ca.pem").write_bytes((made / "router.pem").read_bytes())
    return made


def loaded(folder: Path, example: str) -> Settings:
    file = folder / "elder-router.yaml"
    file.write_text((ASTERISK if "asterisk:" not in example else "") + example + REST)
    return load_settings(file)


def the_one_with(word: str) -> str:
    (example,) = (example for example in EXAMPLES if word in example)
    return example


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads(folder: Path, example: str) -> None:
    settings = loaded(folder, example)
    assert settings.links[0].name == "pbx1"


def test_examples_mean_what_the_page_says(folder: Path) -> None:
    plain = loaded(folder, the_one_with("layout: plain")).registry.layout
    assert isinstance(plain, PlainLayout)
    assert plain.key.format(e164="+8613900000001", digits="") == "customer:+8613900000001:band"
    assert loaded(folder, the_one_with("hongkong")).home_region("hongkong") == "HK"
    assert loaded(folder, the_one_with("sentinel:")).registry.redis.service == "callers"
    cluster = loaded(folder, the_one_with("cluster:")).registry.redis
    assert (len(cluster.cluster), cluster.prefer_replicas) == (3, True)
    own = loaded(folder, the_one_with("certificate:")).registry.redis.tls
    assert own is not None
    assert own.key == folder / "router.key"
    crm = loaded(folder, the_one_with("MSISDN")).registry.feed
    assert (crm.number, crm.birth_date, crm.date_form, crm.separator) == ("MSISDN", "DOB", "YYYYMMDD", ";")
    marked = loaded(folder, the_one_with("churned")).registry.feed
    assert (marked.removed, marked.removed_words, marked.separator) == ("churned", ("Y",), "\t")


def commands_on_the_page() -> set[tuple[str, ...]]:
    found = re.findall(r"elder-router ((?:[a-z][a-z-]* ?){1,3})", PAGE)
    return {tuple(words.split()) for words in found}


def test_every_command_on_the_page_exists() -> None:
    for words in commands_on_the_page():
        command: click.Command = main
        for word in words:
            if not isinstance(command, click.Group):
                break
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"elder-router {' '.join(words)}"
            command = found


def test_every_metric_and_warning_of_the_registry_is_on_the_page() -> None:
    names = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in RegistryMetrics(lambda: HEALTH).collect()
    }
    assert {name for name in names if name not in PAGE} == set()
    assert [what for what in (BANDS_DIFFER, EMPTY, LIMITS, REDIS, STALE, UNUSABLE) if f"`{what}`" not in PAGE] == []
