from __future__ import annotations

import pytest
from asterisk.ami import Response, SimpleAction
from hypothesis import given
from hypothesis import strategies as st

from router.ami.messages import (
    MAX_SENT_HEADERS,
    MAX_SENT_LINE_BYTES,
    action_id,
    encode,
    event_name,
    for_log,
    is_response,
    one,
    to_event,
    to_response,
)
from router.errors import AmiValueError


def test_an_event_is_named_without_its_headers_being_read() -> None:
    assert event_name(b"Event: UserEvent\r\nUserEvent: RouteRequest") == b"UserEvent"
    assert event_name(b"Event: FullyBooted") == b"FullyBooted"
    assert event_name(b"Event:Bare\r\nA: b") == b"Bare"
    assert event_name(b"Response: Success\r\nEvent: not") is None
    assert event_name(b"\xff\xff") is None
    assert is_response(b"Response: Error")
    assert not is_response(b"Event: Response: ")


def test_the_action_id_is_the_first_one() -> None:
    assert action_id(b"Response: Success\r\nActionID: a-1\r\nMessage: x") == b"a-1"
    assert action_id(b"Response: Success\r\nActionID: a-1") == b"a-1"
    assert action_id(b"Response: Success\r\nActionID: a-1\r\nActionID: a-2") == b"a-1"
    assert action_id(b"Event: X\r\nCallerIDName: ActionID: a-1") == b""
    assert action_id(b"Event: X\r\nCallerIDName: \nActionID: a-1") == b""


def test_headers_split_at_the_first_colon_and_lose_one_space() -> None:
    event = to_event(b"Event: X\r\nA: b: c\r\nB:d\r\nC:  e \r\nVariable: T=10:30")
    assert event.name == "X"
    assert event.keys == {"A": "b: c", "B": "d", "C": " e ", "Variable": "T=10:30"}


def test_empty_values_are_kept_and_odd_lines_lose_nothing_else() -> None:
    response = to_response(b"Response: Error\r\nMessage:\r\nodd line\r\n: x\r\n\r\nActionID: 7\r\nLast: ")
    assert response.status == "Error"
    assert response.keys == {"Message": "", "ActionID": "7", "Last": ""}


def test_repeated_headers_are_all_kept_in_order() -> None:
    event = to_event(b"Event: X\r\nChanVariable: a=1\r\nChanVariable: b=2\r\nChanVariable: c=3\r\nY: z")
    assert event.keys == {"ChanVariable": ["a=1", "b=2", "c=3"], "Y": "z"}


def test_one_returns_the_last_of_repeated_values_and_nothing_for_none() -> None:
    event = to_event(b"Event: UserEvent\r\nCaller: spoofed\r\nCaller: true\r\nEmpty: ")
    assert one(event, "Caller") == "true"
    assert one(event, "Empty") == ""
    assert one(event, "Missing") == ""
    assert one(Response("Success", {}), "Missing") == ""


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\r", "\n"])
def test_no_other_line_end_starts_a_header(inside: str) -> None:
    name = f"Eve{inside}CallerIDNum: 911"
    event = to_event(f"Event: X\r\nCallerIDNum: 123\r\nCallerIDName: {name}\r\nExten: 1".encode())
    assert event.keys == {"CallerIDNum": "123", "CallerIDName": name, "Exten": "1"}


@given(st.lists(st.binary(max_size=20).filter(lambda value: b"\r\n" not in value + b"\r"), max_size=5))
def test_decoding_a_message_at_once_is_decoding_each_value(values: list[bytes]) -> None:
    raw = b"Event: X" + b"".join(b"\r\nV: " + value for value in values)
    found = to_event(raw).keys.get("V", [])
    assert ([found] if isinstance(found, str) else found) == [
        value.decode("utf-8", errors="replace") for value in values
    ]


def test_a_broken_sequence_does_not_reach_into_the_next_line() -> None:
    event = to_event(b"Event: X\r\nName: \xe5\xbc\r\nExten: 1")
    assert event.keys == {"Name": "\ufffd", "Exten": "1"}


def test_every_message_has_headers_of_its_own() -> None:
    to_event(b"Event: X").keys["a"] = "b"
    assert to_event(b"Event: X").keys == {}


def test_an_action_is_written_in_order() -> None:
    action = SimpleAction("Originate", Channel="Local/1@x", Timeout="1")
    action.variables["A"] = "1=2"
    action.variables["B"] = "张"
    assert (
        encode(action, "p-1")
        == (
            "Action: Originate\r\nActionID: p-1\r\nChannel: Local/1@x\r\nTimeout: 1\r\n"
            "Variable: A=1=2\r\nVariable: B=张\r\n\r\n"
        ).encode()
    )


@pytest.mark.parametrize("bad", ["\r\n\r\nAction: Hangup", "\r", "\n", "\0", "\r\n"])
@pytest.mark.parametrize("place", ["action", "name", "value", "variable", "its value", "id"])
def test_nothing_can_become_a_second_action(bad: str, place: str) -> None:
    text = f"secret{bad}secret"
    action = SimpleAction("Setvar" + (text if place == "action" else ""), Value="x")
    if place in ("name", "value"):
        action.keys["Header" + (text if place == "name" else "")] = text if place == "value" else ""
    if place in ("variable", "its value"):
        action.variables[text if place == "variable" else "V"] = text if place == "its value" else ""
    with pytest.raises(AmiValueError):
        encode(action, text if place == "id" else "1")


def test_the_error_names_the_header_and_keeps_its_value_to_itself() -> None:
    with pytest.raises(AmiValueError, match="action Login: header Secret holds a CR") as caught:
        encode(SimpleAction("Login", Username="u", Secret="hunter2\r\n"), "1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["Action", "ACTIONID", "actionid", "", "a b", "a:b", "é", "Value "])
def test_a_header_name_that_would_be_read_otherwise_is_refused(name: str) -> None:
    action = SimpleAction("Ping")
    action.keys[name] = "x"
    with pytest.raises(AmiValueError, match="header"):
        encode(action, "1")


@pytest.mark.parametrize("character", ["x", "é", "张", "😀"])
def test_a_line_of_1024_bytes_is_written_and_a_longer_one_refused(character: str) -> None:
    room = MAX_SENT_LINE_BYTES - len("Value: \r\n")
    width = len(character.encode())
    value = character * (room // width) + "x" * (room % width)
    sent = encode(SimpleAction("Setvar", Value=value), "1")
    assert max(map(len, sent.splitlines(keepends=True))) == 1024
    with pytest.raises(AmiValueError, match="header Value makes a line of more than 1024 bytes"):
        encode(SimpleAction("Setvar", Value=value + "x"), "1")


def test_128_headers_are_written_and_one_more_refused() -> None:
    action = SimpleAction("Setvar")
    for i in range(MAX_SENT_HEADERS - 2):
        action.variables[f"V{i}"] = "x"
    assert encode(action, "1").count(b"\r\n") == 128 + 1
    action.variables["W"] = "x"
    with pytest.raises(AmiValueError, match="129 headers"):
        encode(action, "1")


@pytest.mark.parametrize("padding", [0, 500])
def test_half_a_surrogate_pair_is_refused_without_showing_it(padding: int) -> None:
    with pytest.raises(AmiValueError, match="surrogate") as caught:
        encode(SimpleAction("Setvar", Value="\ud83d" + "x" * padding), "1")
    assert caught.value.__suppress_context__


@given(st.text(max_size=1500))
def test_whatever_is_written_is_one_message_with_that_value(value: str) -> None:
    try:
        sent = encode(SimpleAction("Setvar", Value=value), "1")
    except AmiValueError:
        return
    assert sent.endswith(b"\r\n\r\n")
    assert sent.count(b"\r\n\r\n") == 1
    assert sent.count(b"\n") == sent.count(b"\r") == 4
    assert to_event(sent[:-4]).keys == {"ActionID": "1", "Value": value}


def test_a_peers_text_is_harmless_in_a_log() -> None:
    assert for_log("老人专线 ok") == "老人专线 ok"
    assert for_log("a\x1b[31mb\r\nc\u2028\x00") == "a\\u001b[31mb\\u000d\\u000ac\\u2028\\u0000"
    assert for_log("x" * 300) == "x" * 200 + "…"
