from __future__ import annotations

import io
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
import structlog
from click.testing import CliRunner

from router.cli import main
from router.cli.run import set_up_logging

ROOT = Path(__file__).parents[3]
PROGRAM = Path(sys.executable).with_name("elder-router")
RULES = (ROOT / "config" / "routing.yaml").read_text()
NOT_STARTED = "elder-router: not started; mend what is said above and start it again"
GOOD = """\
asterisk:
  - {name: pbx1, secret_file: ami.secret}
rules: routing.yaml
journal: {file: journal.jsonl, secret_file: callers.key}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ami.secret").write_text("open sesame 47\n")
    (tmp_path / "routing.yaml").write_text(RULES)
    (tmp_path / "elder-router.yaml").write_text(GOOD)
    return tmp_path


def run(folder: Path, *arguments: str, variables: dict[str, str] | None = None) -> tuple[int, str, list[str]]:
    """Start the command in a folder; return its exit code, what it said on stdout, and the lines on stderr."""
    done = subprocess.run(
        [PROGRAM, *arguments, "run"],
        cwd=folder,
        env=variables or {},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_a_broken_configuration_exits_1_with_all_that_is_wrong_with_it(folder: Path) -> None:
    (folder / "elder-router.yaml").write_text(
        "asterisk:\n  - {name: pbx1, secret_file: none}\n  - {name: pbx1, secret_env: NOT_SET}\n"
        "callers: {redis: nowhere}\nrules: routing.yaml\njournal: {file: j, secret_file: k}\n"
    )
    assert run(folder, "--config", "elder-router.yaml") == (
        1,
        "",
        [
            f"elder-router.yaml:2:31: error: the secret cannot be read from {folder / 'none'}: "
            "No such file or directory",
            "elder-router.yaml:3:12: error: `pbx1` is named twice; each needs its own name",
            "elder-router.yaml:3:30: error: the environment variable NOT_SET is not set, or is empty",
            "elder-router.yaml:4:18: error: `redis` cannot be used; write redis://HOST:PORT/DB, "
            "rediss://HOST:PORT/DB or unix:///PATH?db=DB",
            NOT_STARTED,
        ],
    )


def test_broken_rules_exit_1_with_all_that_is_wrong_with_them(folder: Path) -> None:
    broken = RULES.replace("{to: assistant}", "{to: asistant}").replace("rate: 0.85", "rate: fast")
    (folder / "routing.yaml").write_text(broken)
    code, said, (rate, target, last) = run(folder, "--config", "elder-router.yaml")
    assert (code, said, last) == (1, "", NOT_STARTED)
    assert rate.startswith(f"{folder}/routing.yaml:")
    assert "`rate` must be a number from 0.5 (half as fast) to 2.0, like 0.85" in rate
    assert "there is no target `asistant`; did you mean `assistant`?" in target


def test_a_port_of_the_metrics_that_is_in_use_exits_1_and_names_the_settings_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (folder / "elder-router.yaml").write_text(f"{GOOD}metrics: {{port: {port}}}\ncontrol: {{socket: c.sock}}\n")
        code, said, lines = run(folder, "--config", "elder-router.yaml")
    assert (code, said, lines[-2:]) == (
        *(1, ""),
        [
            "elder-router.yaml:5:17: error: metrics cannot be served: another program listens on "
            f"port {port} of 127.0.0.1; write another port",
            NOT_STARTED,
        ],
    )
    assert not any("router started" in line for line in lines)
    assert not (folder / "c.sock").exists()


def test_the_file_can_be_named_by_the_environment(folder: Path) -> None:
    code, _, lines = run(folder, variables={"ELDER_ROUTER_CONFIG": "elsewhere.yaml"})
    assert (code, lines) == (1, ["elsewhere.yaml: error: there is no such file; check the path", NOT_STARTED])


def test_a_certificate_that_cannot_be_read_is_told_without_a_traceback(folder: Path) -> None:
    (folder / "elder-router.yaml").write_text(GOOD.replace("secret}", "secret, tls: {ca_file: ami.secret}}"))
    code, _, lines = run(folder, "--config", "elder-router.yaml")
    assert code == 1
    assert [line.partition("no certificates")[0] for line in lines[:-1]] == [
        f"elder-router.yaml:2:58: error: {folder / 'ami.secret'}: "
    ]


def test_a_key_of_the_journal_that_cannot_be_kept_is_told_without_a_traceback(folder: Path) -> None:
    (folder / "callers.key").mkdir()
    code, _, lines = run(folder, "--config", "elder-router.yaml")
    assert code == 1
    assert "callers.key" in lines[0]
    assert lines[1:] == [NOT_STARTED]


def test_no_line_of_the_log_stands_amid_the_answer_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def tell() -> None:
        structlog.get_logger().error("redis servers found")
        click.echo("{}")

    monkeypatch.setitem(main.commands, "tell", tell)
    assert CliRunner().invoke(main, ["tell"]).output == "{}\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "service"])
def test_a_traceback_in_the_log_shows_no_variables(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: str) -> None:
        raise ZeroDivisionError(len(number))

    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logging()
    number = "+8613900000001"
    try:
        fail(number)
    except ZeroDivisionError:
        structlog.get_logger().exception("a call failed")
    assert "ZeroDivisionError" in stream.getvalue()
    assert "13900000001" not in stream.getvalue()
