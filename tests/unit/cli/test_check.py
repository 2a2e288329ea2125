from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli.check import check

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
