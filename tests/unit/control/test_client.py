from __future__ import annotations

import socket
from pathlib import Path

import orjson
import pytest

from router.control import client as client_module
from router.control.client import ask
from router.control.protocol import MAX_ANSWER_BYTES, ErrorKind, Unanswerable, write_answer, write_refusal
from router.errors import ControlError

from .listening import answering


def test_it_asks_in_one_line_and_returns_the_answer(folder: Path) -> None:
    with answering(folder / "s", write_answer({"queue": "agents"})) as listener:
        assert ask(folder / "s", "promote", {"call": "1.1"}) == {"queue": "agents"}
    assert orjson.loads(listener.asked) == {"do": "promote", "call": "1.1"}
    assert listener.asked.endswith(b"\n")


def test_an_answer_may_come_in_pieces(folder: Path) -> None:
    line = write_answer({"queue": "agents"})
    with answering(folder / "s", line[:5], line[5:-1], line[-1:]):
        assert ask(folder / "s", "promote", {}) == {"queue": "agents"}


def test_a_refusal_is_raised_with_its_text(folder: Path) -> None:
    with (
        answering(folder / "s", write_refusal(Unanswerable(ErrorKind.REFUSED, "not now"))),
        pytest.raises(Unanswerable, match=r"^not now$"),
    ):
        ask(folder / "s", "promote", {})


def test_where_no_router_was_ever_it_says_so(folder: Path) -> None:
    with pytest.raises(ControlError) as caught:
        ask(folder / "s", "promote", {})
    assert str(caught.value) == (
        f"no router listens on {folder}/s: is it running? `systemctl status elder-router` tells"
    )


def test_where_a_router_has_died_it_says_so(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(folder / "s"))
    with pytest.raises(ControlError) as caught:
        ask(folder / "s", "promote", {})
    assert str(caught.value) == (
        f"no router listens on {folder}/s any more: it has ended; `systemctl status elder-router` tells why"
    )


def test_who_may_not_is_told_whom_to_join(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(client_module, "_group", lambda _: "elder-router")
    with pytest.raises(ControlError) as caught:
        ask(folder / "s", "promote", {})
    assert str(caught.value) == (
        f"you may not use {folder}/s: only root and members of the group elder-router may; have an administrator add "
        "you, and log in anew"
    )


def test_the_group_is_that_of_the_socket(folder: Path) -> None:
    (folder / "s").touch()
    assert client_module._group(folder / "s") == (folder / "s").group()
    assert client_module._group(folder / "none") == "that it belongs to"


def test_a_path_that_is_too_long_is_told(folder: Path) -> None:
    with pytest.raises(ControlError, match=r"^no router can be asked on .*xxx: AF_UNIX path too long$"):
        ask(folder / ("x" * 120), "promote", {})


def test_a_router_that_does_not_answer_is_waited_for_no_longer_than_told(folder: Path) -> None:
    with answering(folder / "s", silent=True), pytest.raises(ControlError) as caught:
        ask(folder / "s", "promote", {}, patience_s=0.05)
    assert str(caught.value) == "the router did not answer within 0.05 s; see its log"


def test_a_router_that_takes_no_connections_is_not_waited_for(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(str(folder / "s"))
        busy.listen(0)
        first.connect(str(folder / "s"))
        with pytest.raises(ControlError) as caught:
            ask(folder / "s", "promote", {})
    assert str(caught.value) == f"the router on {folder}/s has too much to do to answer; try again"


def test_a_router_that_hangs_up_is_told(folder: Path) -> None:
    with (
        answering(folder / "s", b'{"ok": tr'),
        pytest.raises(ControlError, match=r"^the router hung up without an answer"),
    ):
        ask(folder / "s", "promote", {})


def test_an_answer_without_end_is_not_read_on_for_ever(folder: Path) -> None:
    with (
        answering(folder / "s", b"x" * (MAX_ANSWER_BYTES + 4096)),
        pytest.raises(ControlError, match=r"^the answer is longer than 65536 bytes"),
    ):
        ask(folder / "s", "promote", {})
