from __future__ import annotations

import os
import sys
from datetime import date, datetime, tzinfo
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli.check import check
from router.rules.calendars import holidays_of

GOOD = """\
timezone: Asia/Shanghai
age_bands: [{name: any, from: 0}]
protected: []
targets: {people: {queue: agents}}
rules: [{name: all, then: {to: people}}]
fallback: {to: people}
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(check, [str(argument) for argument in arguments])


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_prints_no_problem_and_exits_0(tmp_path: Path) -> None:
    result = run(written(tmp_path / "good.yaml", GOOD))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "1 file checked: 0 errors, 0 warnings; good to load\n"


def test_each_error_is_one_line_on_stdout_and_exits_1(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.yaml", GOOD.replace("name: all, then: {to: people}", "name: all, then: {to: peopl}"))
    result = run(path)
    assert result.exit_code == 1
    assert (
        result.stdout == f"{path}:5:32: error: there is no target `peopl`; did you mean `people`? defined are people\n"
    )
    assert result.stderr == "1 file checked: 1 error, 0 warnings; not loaded\n"


def test_a_warning_is_printed_and_exits_0(tmp_path: Path) -> None:
    path = written(tmp_path / "unused.yaml", GOOD.replace("{people:", "{spare: {queue: spare}, people:"))
    result = run(path)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{path}:4:11: warning: the target `spare` is not used")


def test_what_cannot_be_read_is_said_in_the_same_form_and_exits_2(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0\xff")
    cases = {
        tmp_path / "missing.yaml": "there is no such file; check the path",
        tmp_path: "this is a directory; name a file in it",
        tmp_path / "binary": "this is not a text file in UTF-8; save it as plain text, encoding UTF-8",
    }
    for path, message in cases.items():
        result = run(path)
        assert (result.exit_code, result.stdout) == (2, f"{path}: error: {message}\n")


def test_what_may_not_be_read_is_said_in_the_same_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path / "good.yaml", GOOD)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(os, "open", refused)
    result = run(path)
    assert result.exit_code == 2
    assert result.stdout == f"{path}: error: you may not read this file; check its owner and mode\n"


def test_what_root_alone_may_read_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["router.cli.check"], "_ROOT", os.geteuid())
    rules = written(tmp_path / "good.yaml", GOOD)
    cases = written(tmp_path / "routing-tests.yaml", CASES.replace("TARGET", "people"))
    command = [str(rules)]
    settings = {"rules_path": str(rules)}
    for path, other in ((rules, cases), (cases, rules)):
        path.chmod(0o600)
        other.chmod(0o644)
        result = CliRunner().invoke(check, command, default_map=settings)
        assert result.stdout == (
            f"{path}: warning: only root may read this file, and the router runs as another user; run `chmod 644` on "
            "it\n"
        )
        assert result.exit_code == 0
        assert run(*command).stdout == "", "without settings nothing is known of a router"
    cases.chmod(0o640)
    assert CliRunner().invoke(check, command, default_map=settings).stdout == ""


def test_several_files_are_all_checked_and_the_worst_decides(tmp_path: Path) -> None:
    good = written(tmp_path / "good.yaml", GOOD)
    bad = written(tmp_path / "bad.yaml", GOOD.replace("fallback", "fallbakc"))
    result = run(bad, tmp_path / "missing.yaml", good)
    assert result.exit_code == 2
    assert "unknown key `fallbakc`; did you mean `fallback`?" in result.stdout
    assert "missing.yaml: error: there is no such file" in result.stdout
    assert run(bad, good).exit_code == 1


def test_the_default_is_the_configuration_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    written(tmp_path / "config" / "routing.yaml", GOOD.replace("rules:", "rulez:"))
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code == 1
    assert result.stdout.startswith("config/routing.yaml:")


WITH_HOLIDAYS = GOOD.replace(
    "rules: [",
    """calendars: {open: {hours: "09:00-21:00", holidays: CN}}
rules: [{name: open, when: {calendar: open}, then: {to: people}}, """,
)


@pytest.mark.parametrize(("year", "known"), [(2026, True), (2060, True), (2027, False)])
def test_holidays_that_lack_this_years_notice_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int, known: bool
) -> None:
    path = written(tmp_path / "holidays.yaml", WITH_HOLIDAYS)
    days = holidays_of("CN")._days
    for each in range(2020, 2070):  # a year is loaded once; this must not be while another set stands in
        assert date(each, 10, 1) in days
    worked = {day for day in days.weekend_workdays if day.year < 2027} | {date(y, 2, 7) for y in (2024, 2025, 2026)}
    monkeypatch.setattr(days, "weekend_workdays", worked)

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Then:
            return cls(year, 6, 1, tzinfo=tz)

    monkeypatch.setattr(sys.modules["router.cli.check"], "datetime", Then)
    result = run(path)
    assert result.exit_code == 0
    warning = (
        f"{path}: warning: no weekend day of 2027 is known to be worked in CN, as some were in other years; if there "
        "are any, update the Python package `holidays`\n"
    )
    assert result.stdout == ("" if known else warning)


def test_sounds_without_live_is_no_sense(tmp_path: Path) -> None:
    result = run(written(tmp_path / "good.yaml", GOOD), "--sounds", tmp_path)
    assert result.exit_code == 2
    assert "give --live too" in result.stderr


def test_live_without_settings_says_where_asterisk_would_be_found(tmp_path: Path) -> None:
    path = written(tmp_path / "good.yaml", GOOD)
    result = CliRunner().invoke(check, [str(path), "--live"], obj=tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "--live needs the settings file" in result.stderr
    assert "there is no such file" in result.stderr


CASES = """\
tests:
  - name: everybody reaches people
    call: {called: 95519}
    expect: {to: TARGET}
"""


def test_rules_that_fail_their_cases_are_not_loaded_by_the_router_and_so_not_good(tmp_path: Path) -> None:
    path = written(tmp_path / "good.yaml", GOOD.replace("{people:", "{other: {queue: other}, people:"))
    cases = written(tmp_path / "routing-tests.yaml", CASES.replace("TARGET", "other"))
    result = run(path)
    assert result.exit_code == 1
    assert f'{cases}:2:11: error: the case "everybody reaches people" expects' in result.stdout
    assert result.stderr == f"1 file checked with the cases in {cases}: 1 error, 1 warning; not loaded\n"
    written(cases, CASES.replace("TARGET", "people"))
    assert run(path).exit_code == 0
    elsewhere = written(tmp_path / "cases.yaml", CASES.replace("TARGET", "other"))
    assert run(path, "--tests", elsewhere).exit_code == 1


def test_named_cases_that_are_not_there_keep_rules_out_as_in_the_router(tmp_path: Path) -> None:
    path = written(tmp_path / "good.yaml", GOOD)
    result = run(path, "--tests", tmp_path / "none.yaml")
    assert result.exit_code == 1
    assert result.stdout == (
        f"{tmp_path / 'none.yaml'}: error: there is no such file; write the cases into it, or take `rules_tests` "
        "out of the settings\n"
    )
