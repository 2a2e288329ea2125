from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.cli.promote import promote as promote_command
from router.control.protocol import ErrorKind, Unanswerable, write_answer, write_refusal
from tests.unit.control.listening import answering

DONE = {"node": "pbx1", "uniqueid": "1.1", "queue": "senior-care", "from_position": 7, "to_position": 1, "wait_s": 200}
SETTINGS = """\
asterisk: [{name: pbx1, secret_file: may-not-be-read}]
rules: routing.yaml
journal: {file: journal.jsonl, secret_file: callers.key}
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short name, as a socket's path must be; the settings file is in it."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    with tempfile.TemporaryDirectory(prefix="elder-") as name:
        folder = Path(name)
        (folder / "elder-router.yaml").write_text(f"{SETTINGS}control: {{socket: control.sock}}\n")
        yield folder


def promote(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(folder / "elder-router.yaml"), "promote", *words])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (DONE, "moved from place 7 to the front of senior-care; was waiting 3 min 20 s"),
        (DONE | {"wait_s": 59}, "moved from place 7 to the front of senior-care; was waiting 59 s"),
        (DONE | {"wait_s": 60}, "moved from place 7 to the front of senior-care; was waiting 1 min 0 s"),
        (DONE | {"wait_s": 3725}, "moved from place 7 to the front of senior-care; was waiting 1 h 2 min"),
        (DONE | {"from_position": 1}, "already at the front of senior-care; has been waiting 3 min 20 s"),
        (
            DONE | {"to_position": None},
            "moved from place 7 to the front of senior-care; was waiting 3 min 20 s, and has left the queue since: "
            "answered, or hung up",
        ),
        (
            DONE | {"queue": "a\x1b[2J", "wait_s": None},
            "moved from place 7 to the front of a\\u001b[2J; was waiting for an unknown time",
        ),
    ],
)
def test_what_was_done_is_one_sentence(folder: Path, answer: dict[str, object], sentence: str) -> None:
    with answering(folder / "control.sock", write_answer(answer)):
        result = promote(folder, "1.1")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{sentence}\n", "")


@pytest.mark.parametrize(
    ("words", "sudo_user", "asked"),
    [
        (["1.1"], "", {"do": "promote", "call": "1.1"}),
        (["1.1", "--why", "摔倒了"], "", {"do": "promote", "call": "1.1", "why": "摔倒了"}),
        (["1.1"], "alice", {"do": "promote", "call": "1.1", "sudo_user": "alice"}),
        (["1.1"], "a\nb", {"do": "promote", "call": "1.1", "sudo_user": "a\\u000ab"}),
    ],
)
def test_what_is_asked_and_who_used_sudo_is_passed_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sudo_user: str, asked: dict[str, str]
) -> None:
    monkeypatch.setenv("SUDO_USER", sudo_user)
    with answering(folder / "control.sock", write_answer(DONE)) as listener:
        promote(folder, *words)
    assert orjson.loads(listener.asked) == asked


@pytest.mark.parametrize(
    ("kind", "status"),
    [(ErrorKind.REFUSED, 1), (ErrorKind.BUSY, 2), (ErrorKind.FAILED, 2), (ErrorKind.BAD_REQUEST, 2)],
)
def test_a_refusal_exits_1_and_what_did_not_come_to_a_decision_2(folder: Path, kind: ErrorKind, status: int) -> None:
    with answering(folder / "control.sock", write_refusal(Unanswerable(kind, "this caller waits in no queue"))):
        result = promote(folder, "1.1")
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr == "not promoted: this caller waits in no queue\n"


def test_without_a_router_it_exits_2(folder: Path) -> None:
    result = promote(folder, "1.1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"not promoted: no router listens on {folder.resolve()}/control.sock: is it running? "
        "`systemctl status elder-router` tells\n"
    )


def test_where_the_settings_name_no_socket_it_says_which_lines_to_add(folder: Path) -> None:
    (folder / "elder-router.yaml").write_text(SETTINGS)
    result = promote(folder, "1.1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"{folder}/elder-router.yaml names no control socket, so the router has none; add these two lines, and restart "
        "the router:\ncontrol:\n  socket: /run/elder-router/control.sock\n"
    )


def test_where_there_is_no_settings_file_it_says_so(folder: Path) -> None:
    result = CliRunner().invoke(promote_command, ["1.1"], obj=folder / "none.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"there is no {folder}/none.yaml; name the settings file as in `elder-router --config FILE promote …`, or the "
        "router's socket with --socket\n"
    )


def test_the_socket_can_be_named_without_a_settings_file(folder: Path) -> None:
    with answering(folder / "other.sock", write_answer(DONE)):
        result = CliRunner().invoke(
            promote_command, ["1.1", "--socket", str(folder / "other.sock")], obj=folder / "none.yaml"
        )
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a\nb"], "Invalid value for 'CALL': give 1 to 150 printable characters"),
        ([""], "Invalid value for 'CALL': give 1 to 150 printable characters"),
        (["x" * 151], "Invalid value for 'CALL': give 1 to 150 printable characters"),
        (["1.1", "--why", "x" * 201], "Invalid value for '--why': give 1 to 200 printable characters"),
        (["1.1", "--why", "\x1b[2J"], "Invalid value for '--why': give 1 to 200 printable characters"),
        ([], "Missing argument 'CALL'."),
    ],
)
def test_what_cannot_be_meant_exits_2_before_anybody_is_asked(folder: Path, words: list[str], message: str) -> None:
    result = promote(folder, *words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: {message}"
