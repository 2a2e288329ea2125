from __future__ import annotations

import sys
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech import programs
from router.speech.programs import find_program, run

PYTHON = Path(sys.executable)


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpeechError, match="sox, which stretches, is not installed: install the package sox"):
        find_program("sox", purpose="stretches")


def test_standard_input_goes_in_and_standard_output_comes_out() -> None:
    program = "import sys; sys.stdout.write(sys.stdin.read().upper())"
    assert run(PYTHON, ["-c", program], stdin=b"hello") == b"HELLO"


def test_a_failure_carries_the_programs_own_last_line() -> None:
    with pytest.raises(SpeechError, match=r"failed: no\s+such voice"):
        run(PYTHON, ["-c", "import sys; sys.exit('first\\nno\\tsuch voice')"])


def test_a_silent_failure_carries_its_status() -> None:
    with pytest.raises(SpeechError, match="failed: status 3"):
        run(PYTHON, ["-c", "raise SystemExit(3)"])


def test_a_program_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "DEADLINE_S", 0.2)
    with pytest.raises(SpeechError, match=r"did not end within 0\.2 s"):
        run(PYTHON, ["-c", "import time; time.sleep(60)"])


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match="nothing-here could not be started: No such file"):
        run(tmp_path / "nothing-here", [])


def test_an_argument_is_never_read_by_a_shell(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    echoed = run(PYTHON, ["-c", "import sys; print(sys.argv[1])", f"$(touch {marker}); | `touch {marker}`"])
    assert b"$(touch" in echoed
    assert not marker.exists()
