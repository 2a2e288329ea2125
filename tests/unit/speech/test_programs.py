from __future__ import annotations

import contextvars
import sys
import threading
import time
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech import programs
from router.speech.programs import find_program, remaining_s, run, within

PYTHON = Path(sys.executable)


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpeechError, match="sox, which stretches, is not installed: install the package sox"):
        find_program("sox", purpose="stretches")


def test_a_path_that_leads_to_no_program_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "piper").write_text("not executable")
    with pytest.raises(SpeechError, match=r"piper, which speaks, is no program that this user can run: check its path"):
        find_program(str(tmp_path / "piper"), purpose="speaks")


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


SLEEPS = ["-c", "import time; time.sleep(60)"]


def test_a_program_may_be_given_less_time() -> None:
    with pytest.raises(SpeechError, match=r"did not end within 0\.2 s and was stopped"):
        run(PYTHON, SLEEPS, deadline_s=0.2)


def test_all_programs_within_a_deadline_share_it() -> None:
    begun = time.monotonic()
    with within(1.0):
        run(PYTHON, ["-c", ""])
        with pytest.raises(SpeechError, match="did not end within 0"):
            run(PYTHON, SLEEPS, deadline_s=30.0)
        with pytest.raises(SpeechError, match="there was no time left to speak"):
            run(PYTHON, ["-c", ""])
    assert time.monotonic() - begun < 5
    run(PYTHON, ["-c", ""])


def test_a_deadline_within_another_can_only_be_shorter() -> None:
    assert remaining_s() is None
    with within(100.0):
        with within(1000.0):
            assert 90 < (remaining_s() or 0) <= 100
        with within(10.0):
            assert (remaining_s() or 0) <= 10
        with within(None):
            assert (remaining_s() or 0) > 90
        assert (remaining_s() or 0) > 90
    assert remaining_s() is None


def test_a_deadline_is_of_this_thread_and_of_those_that_copy_its_context() -> None:
    seen: list[float | None] = []
    with within(100.0):
        for context in (contextvars.Context(), contextvars.copy_context()):
            thread = threading.Thread(target=context.run, args=(lambda: seen.append(remaining_s()),))
            thread.start()
            thread.join()
    assert [left_s is None for left_s in seen] == [True, False]


def test_a_program_with_a_name_that_no_program_can_have_is_told() -> None:
    with pytest.raises(SpeechError, match="could not be started: embedded null byte"):
        run(PYTHON, ["a\0b"])


def test_a_program_is_told_where_things_are_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECH_KEY", "sk-very-secret")
    monkeypatch.setenv("LC_MESSAGES", "C")
    seen = run(PYTHON, ["-c", "import os; print(*os.environ.items(), sep='\\n')"]).decode()
    assert "sk-very-secret" not in seen
    assert "('PATH', " in seen
    assert "('LC_MESSAGES', 'C')" in seen
