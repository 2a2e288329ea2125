"""What is shipped to run the nightly job: a systemd service with its timer, and a line for cron."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[3] / "config"
COMMAND = "/usr/local/bin/elder-router"
FIELDS = ("--config", "/etc/elder-router/elder-router.yaml", "callers", "update")


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    parser.read(CONFIG / name)
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    program = tmp_path / "elder-router"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    files = []
    for name in ("elder-router-callers.service", "elder-router-callers.timer"):
        text = (CONFIG / name).read_text().replace(COMMAND, str(program)).replace("User=elder-router", "User=root")
        files.append(tmp_path / name)
        files[-1].write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "elder-router" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


def test_the_job_is_let_no_more_than_the_router() -> None:
    router, job = unit("elder-router.service")["Service"], unit("elder-router-callers.service")["Service"]
    for name in (
        "User",
        "LimitCORE",
        "NoNewPrivileges",
        "ProtectSystem",
        "ProtectHome",
        "PrivateTmp",
        "StateDirectory",
    ):
        assert job[name] == router[name], name
    assert job["ExecStart"].split() == [COMMAND, *FIELDS]
    assert int(job["Nice"]) > 0


def test_the_timer_runs_it_once_a_night_and_makes_up_for_a_lost_one() -> None:
    timer = unit("elder-router-callers.timer")["Timer"]
    assert timer["OnCalendar"] == "*-*-* 03:30"
    assert timer["Persistent"] == "true"
    assert "RandomizedDelaySec" in timer


def test_the_line_for_cron_runs_the_same_command(tmp_path: Path) -> None:
    text = (CONFIG / "elder-router-callers.cron").read_text()
    assert text.endswith("\n"), "cron ignores a last line without an end"
    lines = [line for line in text.splitlines() if line and not line.startswith("#") and not re.match(r"[A-Z]+=", line)]
    assert len(lines) == 1
    minute, hour, day, month, weekday, user, command = lines[0].split(None, 6)
    assert (minute, hour, day, month, weekday, user) == ("30", "3", "*", "*", "*", "elder-router")
    assert "%" not in command, "which cron takes for the end of the line"
    program, said = tmp_path / "elder-router", tmp_path / "said"
    program.write_text(f'#!/bin/sh\nnice >"{said}"\nprintf "%s\\n" "$@" >>"{said}"\n')
    program.chmod(0o755)
    subprocess.run(["/bin/sh", "-c", command.replace(COMMAND, str(program))], check=True, timeout=60)
    niceness, *words = said.read_text().splitlines()
    assert tuple(words) == FIELDS
    assert int(niceness) >= 10
