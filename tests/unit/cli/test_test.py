from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from router.cli import main
from router.cli.tracing import console_for_answers, trace_table
from router.rules.book import load_rules
from router.rules.cases import load_cases, run_cases

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
rules:
  - {name: "[bold]VIP[/bold]", when: {caller: "+44*"}, then: {to: people}}
  - {name: seniors, when: {age_band: senior}, then: {to: care, head_start: 5m, speech: unhurried, agent_label: 60+}}
  - {name: rest, then: {to: assistant}}
fallback: {to: people}
"""
CASES = """\
tests:
  - name: who is 60 and over reaches a person
    call: {caller: "+8613900000001", band: senior, called: 95519}
    expect: {to: care, head_start: 5m}
  - name: "[red]nobody[/red] knows the age"
    call: {called: 95519}
    expect: {to: assistant}
"""
VIP = """\
tests:
  - name: from London
    call: {caller: "+442079460000"}
    expect: {to: people}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rules and their cases, in which commands are given."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "routing.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "config" / "routing-tests.yaml").write_text(CASES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["test", *arguments])


def test_cases_that_pass_are_a_line_each_and_rules_that_none_reaches_are_named() -> None:
    result = run()
    assert result.stdout == (
        "ok      who is 60 and over reaches a person\n"
        "ok      [red]nobody[/red] knows the age\n"
        "\n"
        "2 cases in config/routing-tests.yaml: 2 passed, 0 failed; 2 of 3 rules reached\n"
        "\n"
        "Rules that no case reaches:\n"
        "  config/routing.yaml:10  [bold]VIP[/bold]\n"
    )
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_case_that_fails_shows_what_is_different_and_why(folder: Path) -> None:
    changed = CASES.replace("{to: assistant}", "{to: care, head_start: 8m, speech: standard, agent_label: 60+}")
    (folder / "config" / "routing-tests.yaml").write_text(changed, encoding="utf-8")
    result = run()
    assert result.stdout == (
        "ok      who is 60 and over reaches a person\n"
        "FAILED  [red]nobody[/red] knows the age  config/routing-tests.yaml:5\n"
        "\n"
        "                     expected  got\n"
        "        to           care      assistant\n"
        "        head_start   8m        0s\n"
        '        agent_label  "60+"     ""\n'
        "\n"
        "           rule              answer\n"
        "        1  [bold]VIP[/bold]  caller is short, not +44*\n"
        "        2  seniors           age_band is unknown, not senior\n"
        "        3  rest              matched\n"
        "\n"
        "\n"
        "2 cases in config/routing-tests.yaml: 1 passed, 1 failed; 2 of 3 rules reached\n"
        "\n"
        "Rules that no case reaches:\n"
        "  config/routing.yaml:10  [bold]VIP[/bold]\n"
    )
    assert (result.exit_code, result.stderr) == (1, "")


def test_rules_that_no_case_reaches_fail_where_all_must_be_reached(folder: Path) -> None:
    result = run("--require-coverage")
    assert result.exit_code == 1
    assert "2 passed, 0 failed" in result.stdout
    (folder / "vip.yaml").write_text(VIP, encoding="utf-8")
    both = run("--require-coverage", "config/routing-tests.yaml", "vip.yaml")
    assert both.exit_code == 0
    assert both.stdout.endswith(
        "ok      from London\n\n"
        "3 cases in config/routing-tests.yaml, vip.yaml: 3 passed, 0 failed; 3 of 3 rules reached\n"
    )
    assert run("--require-coverage", "vip.yaml").exit_code == 1


def test_the_cases_lie_beside_the_rules_unless_files_are_named(folder: Path) -> None:
    other = folder / "other"
    (folder / "config").rename(other)
    assert f"2 cases in {other / 'routing-tests.yaml'}: 2 passed" in run("--rules", str(other / "routing.yaml")).stdout
    (folder / "vip.yaml").write_text(VIP, encoding="utf-8")
    one = run("--rules", str(other / "routing.yaml"), "vip.yaml")
    assert "1 case in vip.yaml: 1 passed, 0 failed; 1 of 3 rules reached" in one.stdout


def test_the_settings_file_says_where_the_rules_and_the_cases_are(folder: Path) -> None:
    (folder / "config").rename(folder / "mine")
    settings = folder / "elder-router.yaml"
    text = (
        "asterisk:\n  - {name: pbx1, secret_file: none}\ncallers: {redis: redis://127.0.0.1:1/0}\n"
        "rules: mine/routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
    )
    settings.write_text(text, encoding="utf-8")
    arguments = ["--config", str(settings), "test"]
    assert (
        f"2 cases in {folder / 'mine' / 'routing-tests.yaml'}: 2 passed" in CliRunner().invoke(main, arguments).stdout
    )
    (folder / "vip.yaml").write_text(VIP, encoding="utf-8")
    settings.write_text(f"{text}rules_tests: vip.yaml\n", encoding="utf-8")
    assert f"1 case in {folder / 'vip.yaml'}: 1 passed" in CliRunner().invoke(main, arguments).stdout
    assert (
        "2 cases in mine/routing-tests.yaml: 2 passed"
        in CliRunner().invoke(main, [*arguments, "mine/routing-tests.yaml"]).stdout
    )


def test_a_copy_elsewhere_is_put_to_the_cases_of_the_rules_in_force_by_check_as_by_test(folder: Path) -> None:
    settings = folder / "elder-router.yaml"
    settings.write_text(
        "asterisk:\n  - {name: pbx1, secret_file: none}\ncallers: {redis: redis://127.0.0.1:1/0}\n"
        "rules: config/routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
    )
    copy = folder / "new" / "routing.yaml"
    copy.parent.mkdir()
    copy.write_text(RULES.replace("to: assistant", "to: people"), encoding="utf-8")
    cases = folder / "config" / "routing-tests.yaml"
    tested = CliRunner().invoke(main, ["--config", str(settings), "test", "--rules", str(copy)])
    checked = CliRunner().invoke(main, ["--config", str(settings), "check", str(copy)])
    assert (tested.exit_code, checked.exit_code) == (1, 1)
    assert f"\n2 cases in {cases}: 1 passed, 1 failed; 2 of 3 rules reached\n" in tested.stdout
    assert checked.stderr == f"1 file checked with the cases in {cases}: 1 error, 1 warning; not loaded\n"
    own = copy.with_name("routing-tests.yaml")
    own.write_text(VIP, encoding="utf-8")
    tested = CliRunner().invoke(main, ["--config", str(settings), "test", "--rules", str(copy)])
    checked = CliRunner().invoke(main, ["--config", str(settings), "check", str(copy)])
    assert (tested.exit_code, checked.exit_code) == (0, 0), "those beside it come first"
    assert f"\n1 case in {own}: 1 passed" in tested.stdout
    assert checked.stderr.startswith(f"1 file checked with the cases in {own}: 0 errors")


def test_files_with_mistakes_are_told_all_at_once_and_exit_2(folder: Path) -> None:
    cases = folder / "config" / "routing-tests.yaml"
    cases.write_text(CASES.replace("band: senior", "band: sinior"), encoding="utf-8")
    result = run(str(cases), "none.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"{cases}:3:44: error: the rules have no age band `sinior`; did you mean `senior`? they have adult, senior, "
        "unknown\n"
        "none.yaml: error: there is no such file; check the path\n"
    )


def test_rules_with_mistakes_are_not_tried_and_exit_2(folder: Path) -> None:
    (folder / "config" / "routing.yaml").write_text(RULES.replace("to: care", "to: cares"), encoding="utf-8")
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("config/routing.yaml:11:")
    assert "did you mean `care`?" in result.stderr


def test_no_cases_at_all_do_not_pass(folder: Path) -> None:
    (folder / "config" / "routing-tests.yaml").unlink()
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "config/routing-tests.yaml: error: there is no such file; check the path\n"


def test_json_holds_every_case_with_its_decision_and_what_is_not_reached(folder: Path) -> None:
    changed = CASES.replace("{to: assistant}", "{to: care}")
    (folder / "config" / "routing-tests.yaml").write_text(changed, encoding="utf-8")
    result = run("--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    first, second = answer["cases"]
    assert (answer["passed"], answer["failed"]) == (1, 1)
    assert answer["rules_version"] == load_rules(Path("config/routing.yaml")).version
    assert answer["rules_not_reached"] == [{"rule": "[bold]VIP[/bold]", "line": 10}]
    assert (first["passed"], first["differences"]) == (True, [])
    assert first["decision"]["target"]["kind"] == "queue"
    assert second["differences"] == [{"key": "to", "expected": "care", "got": "assistant"}]
    assert (second["name"], second["file"], second["line"]) == (
        *("[red]nobody[/red] knows the age", "config/routing-tests.yaml", 5),
    )
    assert [entry["rule"] for entry in second["decision"]["trace"]] == ["[bold]VIP[/bold]", "seniors", "rest"]
    assert second["decision"]["calendars"] == []


def test_no_callers_number_is_shown(folder: Path) -> None:
    changed = CASES.replace("to: care", "to: assistant")
    (folder / "config" / "routing-tests.yaml").write_text(changed, encoding="utf-8")
    for options in ((), ("--json",)):
        result = run(*options)
        assert "+86139****0001" in result.stdout
        assert "13900000001" not in result.output


def test_a_terminal_gets_colours_and_a_pipe_whole_lines() -> None:
    book = load_rules(Path("config/routing.yaml"))
    cases, _ = load_cases(Path("config/routing-tests.yaml"), book)
    decision = run_cases(book, cases or ()).results[0].decision
    terminal = Console(force_terminal=True, width=30, color_system="standard")
    with terminal.capture() as captured:
        terminal.print(trace_table(book, decision))
    assert "\x1b[1;32mmatched" in captured.get()
    assert console_for_answers().width > 1000
