from __future__ import annotations

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.control.protocol import (
    MAX_REQUEST_BYTES,
    ErrorKind,
    Request,
    Unanswerable,
    read_answer,
    read_request,
    unknown,
    write_answer,
    write_refusal,
    write_request,
)
from router.errors import ControlError


def test_a_request_is_read_as_it_was_written() -> None:
    assert read_request(write_request("promote", {"call": "1.1", "why": "着急"})) == Request(
        "promote", {"call": "1.1", "why": "着急"}
    )


def test_the_longest_promotion_is_far_below_the_limit() -> None:
    line = write_request("promote", {"call": "c" * 150, "why": "\U0001f600" * 200, "sudo_user": "u" * 64})
    assert len(line) < MAX_REQUEST_BYTES / 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"promote 1.1\n", 'the request is no JSON, like {"do": "promote", …}'),
        (b"\xff\n", 'the request is no JSON, like {"do": "promote", …}'),
        (b'["promote"]\n', 'the request must be a JSON object, like {"do": "promote", …}'),
        (b"{}\n", 'the request must say what to do, like {"do": "promote", …}'),
        (b'{"do": 1}\n', 'the request must say what to do, like {"do": "promote", …}'),
    ],
)
def test_what_is_no_request_is_told(line: bytes, message: str) -> None:
    with pytest.raises(Unanswerable) as caught:
        read_request(line)
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.BAD_REQUEST, message)


@given(st.binary(max_size=MAX_REQUEST_BYTES))
def test_any_bytes_are_a_request_or_are_said_not_to_be(line: bytes) -> None:
    with contextlib.suppress(Unanswerable):
        assert isinstance(read_request(line).do, str)


def test_brackets_without_end_are_no_request() -> None:
    with pytest.raises(Unanswerable):
        read_request(b"[" * MAX_REQUEST_BYTES)


@pytest.mark.parametrize("value", ["", "x" * 11, "a\nb", "a\x1b[31m", "\u2028", 7, None, ["x"]])
def test_a_field_that_must_be_there_is_a_printable_text(value: object) -> None:
    with pytest.raises(Unanswerable) as caught:
        Request("promote", {"call": value}).text("call", 10, required=True)
    assert str(caught.value) == "`call` must be a text of 1 to 10 printable characters"


def test_a_field_may_be_missing_where_that_is_allowed() -> None:
    assert Request("promote", {}).text("why", 10) == ""
    with pytest.raises(Unanswerable, match="`why` must be a text of at most 10 printable characters"):
        Request("promote", {"why": "x" * 11}).text("why", 10)


def test_what_nobody_does_is_told_with_what_can_be_done() -> None:
    message = str(unknown("dance\x1b", {"rules": 1, "promote": 2}))
    assert message == (
        "`do` must be one of promote, rules; found 'dance\\\\u001b': is the router older than the command?"
    )


def test_an_answer_is_read_as_it_was_written() -> None:
    assert read_answer(write_answer({"queue": "agents", "to_position": None})) == {
        "queue": "agents",
        "to_position": None,
    }


@pytest.mark.parametrize("kind", ErrorKind)
def test_a_refusal_is_read_as_it_was_written(kind: ErrorKind) -> None:
    with pytest.raises(Unanswerable) as caught:
        read_answer(write_refusal(Unanswerable(kind, "not now")))
    assert (caught.value.kind, str(caught.value)) == (kind, "not now")


def test_a_kind_of_refusal_that_is_not_known_is_a_failure_with_its_message() -> None:
    with pytest.raises(Unanswerable) as caught:
        read_answer(orjson.dumps({"ok": False, "error": "tired", "message": "later\x1b[2J"}))
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.FAILED, "later\\u001b[2J")


@pytest.mark.parametrize(
    "line", [b"", b"HTTP/1.1 400\r\n", b"[]", b"{}", b'{"ok": true}', b'{"ok": false, "error": 1}']
)
def test_what_is_no_answer_is_told(line: bytes) -> None:
    with pytest.raises(ControlError, match=r"^the answer is (no JSON|not of this version's kind)"):
        read_answer(line)
