"""The dashboard and the alerts that are shipped: Prometheus' own promtool takes them, and what they ask for is told."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from lab.places import PROJECT
from lab.promtool import promtool

from .everything import scrape

ALERTS = PROJECT / "config" / "prometheus-alerts.yaml"
DASHBOARD = PROJECT / "config" / "grafana-dashboard.json"
CASES = Path(__file__).parent / "testdata" / "prometheus-alerts.test.yaml"

BOARD: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in YAML(typ="safe").load(ALERTS)["groups"] for rule in group["rules"]]
PROMETHEUS_ADDS = frozenset({"job", "instance"})
PROMETHEUS_MAKES = frozenset({"up", "ALERTS"})
_NAMES_SERIES = re.compile(r"\b(elder_router_\w+|process_\w+|python_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def board_expressions() -> Iterator[str]:
    """Every expression of the dashboard, as Grafana sends it."""
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in BOARD["annotations"]["list"])


def sent(expression: str) -> str:
    """An expression with Grafana's variables filled in."""
    filled = {"$__rate_interval": "1m", "$__range": "6h", "$job": "elder-router", "$instance": ".*"}
    for name, value in filled.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def every_expression() -> list[str]:
    labels = (variable["definition"] for variable in BOARD["templating"]["list"] if variable["type"] == "query")
    asked = [match[1] for text in labels if (match := re.fullmatch(r"label_values\((.*), \w+\)", text))]
    return [*map(sent, board_expressions()), *map(sent, asked), *(rule["expr"] for rule in RULES)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Sample → label → its values, of a router in whose day everything has happened."""
    every: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(scrape(tmp_path_factory.mktemp("journal"))):
        for sample in family.samples:
            labels = every.setdefault(sample.name, defaultdict(set))
            for label, value in sample.labels.items():
                labels[label].add(value)
    return every


def test_promtool_takes_the_alerts() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_when_it_should_and_no_other_with_it(tmp_path: Path) -> None:
    for file in (ALERTS, CASES):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tested = promtool("test", "rules", CASES.name, cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    cases = YAML(typ="safe").load(CASES)["tests"]
    tested = {
        name
        for case in cases
        for expected in case["promql_expr_test"]
        for sample in expected["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', sample["labels"])
    }
    assert tested == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_each_alert_says_what_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert len(rule["annotations"]["summary"]) < 110
    assert len(rule["annotations"]["description"]) > 100
    assert "`" in rule["annotations"]["description"] or "metrics:" in rule["annotations"]["description"]
    titles = {panel["title"] for panel in panels()}
    assert set(re.findall("«(.+?)»", rule["annotations"]["description"])) <= titles


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"dashboard:{n}", "expr": sent(expr)} for n, expr in enumerate(board_expressions())]
    file = tmp_path / "dashboard.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint=none", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def _outcomes(**calls: int) -> dict[str, int]:
    """Series → calls a minute: of outcomes of protected callers, `ended`, or `ended__assistant` where it was heard."""
    name = 'elder_router_outcomes_total{job="elder-router",instance="a",band="elder",protected="yes"'
    series = {}
    for ended, count in calls.items():
        what, _, heard = ended.partition("__")
        series[f'{name},ended="{what}",assistant="{"yes" if heard else "no"}"}}'] = count
    return series


def _within_15_s(calls: int) -> dict[str, int]:
    labels = 'job="elder-router",instance="a",band="elder",protected="yes",ended="answered",le="15.0"'
    return {f"elder_router_queue_wait_seconds_bucket{{{labels}}}": calls}


@pytest.mark.parametrize(
    ("series", "shares"),
    [
        (
            _within_15_s(6)
            | _outcomes(answered=7, answered__assistant=1, abandoned=2, self_served__assistant=5)
            | _outcomes(hung_up_early=1, unseen=3),
            (6 / 10, 7 / 16, 2 / 10),
        ),
        (_outcomes(abandoned=4), (0.0, 0.0, 1.0)),
        (_outcomes(answered=0, abandoned=0, unseen=2), (None, None, None)),
    ],
    ids=["a usual day", "nobody is answered", "a share of nothing is not told"],
)
def test_the_shares_on_the_dashboard_are_those_of_the_figures_page(
    series: dict[str, int], shares: tuple[float | None, ...], tmp_path: Path
) -> None:
    titles = ("Answered within 15 s", "By a person, without the assistant", "Abandoned")
    asked = {panel["title"]: sent(panel["targets"][0]["expr"]) for panel in panels()}
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": f"0+{calls}x600"} for name, calls in series.items()],
        "promql_expr_test": [
            {
                "expr": asked[title],
                "eval_time": "8h",
                "exp_samples": [] if share is None else [{"labels": "{}", "value": share}],
            }
            for title, share in zip(titles, shares, strict=True)
        ],
    }
    (tmp_path / "shares.yaml").write_text(json.dumps({"rule_files": [], "tests": [case]}))
    tested = promtool("test", "rules", "shares.yaml", cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("expression", every_expression())
def test_whatever_is_asked_for_is_told_by_the_router(expression: str, told: dict[str, dict[str, set[str]]]) -> None:
    named = [match for match in _NAMES_SERIES.findall(expression) if match[0] not in PROMETHEUS_MAKES]
    assert named or "up{" in expression
    for name, matchers in named:
        assert name in told, name
        for label, how, value in _MATCHER.findall(matchers):
            if label in PROMETHEUS_ADDS:
                continue
            assert label in told[name], f"{name} has no label {label}"
            for one in value.split("|") if how.endswith("~") else [value]:
                assert one in told[name][label], f"{name}: {label} is never {one}"
    grouped = {label.strip() for by in re.findall(r"by \(([^)]+)\)", expression) for label in by.split(",")}
    assert grouped <= PROMETHEUS_ADDS.union(*(told[name] for name, _ in named)), expression


def test_what_the_router_tells_is_named_as_prometheus_wants_it(tmp_path: Path) -> None:
    checked = promtool("check", "metrics", stdin=scrape(tmp_path))
    assert [line for line in checked.stderr.splitlines() if "elder_router" in line] == []


def test_the_dashboard_is_one_for_grafana_10() -> None:
    assert BOARD["schemaVersion"] >= 38
    assert BOARD["id"] is None
    assert BOARD["uid"]
    variables = {variable["name"]: variable["type"] for variable in BOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query", "instance": "query"}


def test_every_panel_asks_the_data_source_that_was_chosen_and_says_what_it_shows() -> None:
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)) > 0
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}


def test_no_two_panels_are_the_same_or_lie_on_each_other() -> None:
    every = BOARD["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({panel["title"] for panel in every}) == len(every)
    assert all(panel["gridPos"]["x"] >= 0 and _right(panel) <= 24 for panel in every)
    for one, other in combinations(every, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def _right(panel: dict[str, Any]) -> int:
    place: dict[str, int] = panel["gridPos"]
    return place["x"] + place["w"]


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )
