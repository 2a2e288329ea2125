"""docs/monitoring.md: its tables are what the router tells, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from router.cli import main
from router.journal.conditions import EVERY_CONDITION
from router.settings import load_settings

from .web.everything import scrape

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `(elder_router_\w+)(?:\{([\w,]+)\})?` \| (.*) \|$", re.MULTILINE)
_OF_HISTOGRAMS = re.compile(r"_(?:bucket|sum|count)$")


def section(title: str) -> str:
    """What stands under a heading, up to the next of its kind."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Metric as it stands on the page → label → its values."""
    every: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(scrape(tmp_path_factory.mktemp("journal"))):
        for sample in family.samples:
            name = _OF_HISTOGRAMS.sub("", sample.name) if family.type == "histogram" else sample.name
            labels = every.setdefault(name, {})
            for label, value in sample.labels.items():
                if label != "le":
                    labels.setdefault(label, set()).add(value)
    return {name: labels for name, labels in every.items() if name.startswith("elder_router_")}


def test_every_metric_is_on_the_page_with_its_labels(told: dict[str, dict[str, set[str]]]) -> None:
    on_the_page = {name: set(labels.split(",")) - {""} for name, labels, _ in _ROW.findall(PAGE)}
    assert on_the_page == {name: set(labels) for name, labels in told.items()}


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("elder_router_decisions_total", "reason"),
        ("elder_router_decision_seconds", "stage"),
        ("elder_router_fallbacks_total", "reason"),
        ("elder_router_outcomes_total", "ended"),
        ("elder_router_registry_lookups_total", "result"),
        ("elder_router_rules_reloads_total", "result"),
        ("elder_router_speech_answers_total", "result"),
        ("elder_router_registry_warnings", "what"),
    ],
)
def test_every_value_of_a_closed_label_is_on_the_page(
    told: dict[str, dict[str, set[str]]], metric: str, label: str
) -> None:
    (words,) = (words for name, _, words in _ROW.findall(PAGE) if name == metric)
    assert {value for value in told[metric][label] if f"`{value}`" not in words} == set()


def test_every_condition_is_on_the_page() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", section("What was wrong, in the journal"), re.MULTILINE)
    assert set(rows) == set(EVERY_CONDITION)


def test_every_alert_is_on_the_page_with_its_severity() -> None:
    groups = YAML(typ="safe").load(ROOT / "config" / "prometheus-alerts.yaml")["groups"]
    rules: list[dict[str, Any]] = [rule for group in groups for rule in group["rules"]]
    rows = re.findall(r"^\| `(ElderRouter\w+)` \| .+ \| (\w+) \|$", section("Alerts"), re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in rules]


def test_the_settings_on_the_page_load(tmp_path: Path) -> None:
    example = next(text for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    (tmp_path / "ami.secret").write_text("open sesame\n")
    rest = (
        "asterisk:\n  - {name: pbx1, secret_file: ami.secret}\n"
        "rules: routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
    )
    file = tmp_path / "elder-router.yaml"
    file.write_text(example + rest)
    metrics = load_settings(file).metrics
    assert metrics is not None
    assert (metrics.port, metrics.address) == (9105, "127.0.0.1")


NOBODY = click.Context(main)


def test_every_command_that_page_and_alerts_name_is_there_with_its_options() -> None:
    texts = PAGE + (ROOT / "config" / "prometheus-alerts.yaml").read_text(encoding="utf-8")
    named = [line.split() for line in re.findall(r"`elder-router\s+([^`]+)`", texts)]
    assert ["tail", "--outcome", "abandoned", "--since", "30m"] in named
    for words in named:
        command: click.Command = main
        while isinstance(command, click.Group) and words and (found := command.get_command(NOBODY, words[0])):
            command = found
            words.pop(0)
        assert command is not main, words
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, (command.name, words)
