"""Whatever an event holds, it is read, refused or none of ours; nothing else comes of it."""

from __future__ import annotations

import contextlib

import pytest
from asterisk.ami import Event
from hypothesis import given
from hypothesis import strategies as st

from router.ami.messages import to_event
from router.calls.events import (
    WANTED_EVENTS,
    CallEvent,
    Ended,
    FellBack,
    Refused,
    RouteRequested,
    decoded,
    read_event,
)

TOKEN = "5f3a9c01d2e47b60"
HEADERS = (
    *("UserEvent", "Token", "Call", "LinkedCall", "Ask", "CallChannel", "Caller", "Presentation", "Called"),
    *("CallLanguage", "Reason", "Queue", "Slot", "Step", "Detail", "Cause", "Uniqueid", "MemberName"),
)
NAMES = ("RouteRequest", "RouteFallback", "RouteStep", "RouteEnded")

texts = st.one_of(
    st.sampled_from([*NAMES, TOKEN, "", "1", "-1", "9" * 30, "²", "%", "%4", "%FF%00", "%E2%80%A8", "prohib"]),
    st.text(max_size=40),
    st.text(alphabet="%0123456789ABCDEFé", max_size=40),
    st.characters().map(lambda character: character * 5000),
)
# A header that came once, or several times: what router.ami makes of any message.
values = st.one_of(texts, st.lists(texts, min_size=2, max_size=4))
names = st.one_of(st.sampled_from(sorted(WANTED_EVENTS)), st.text(max_size=10))
headers = st.dictionaries(st.one_of(st.sampled_from(HEADERS), st.text(max_size=8)), values, max_size=12)
# Past the token and the name of the call, so that what is behind them is reached as well.
numbers = st.one_of(
    st.text("0123456789", max_size=30), st.text(st.characters(categories=["Nd", "No"]), max_size=25), texts
)
believable = st.builds(
    lambda keys, name, number: {
        **keys,
        **dict.fromkeys(("Ask", "Slot", "Cause"), number),
        "UserEvent": name,
        "Token": TOKEN,
        "Call": "1.1",
    },
    headers,
    st.sampled_from(NAMES),
    numbers,
)


def sound(happened: CallEvent | None) -> None:
    match happened:
        case RouteRequested(request) | FellBack(request):
            assert request.uniqueid
            assert request.linkedid
            assert request.ask >= 1
            assert max(map(len, (request.caller, request.called, request.channel))) <= 512
            assert len(request.language) <= 1536
        case Ended(_, cause):
            assert 0 <= cause < 2**63


def read(event: Event, token: str) -> None:
    with contextlib.suppress(Refused):
        sound(read_event(event, token))


@given(names, headers, st.one_of(st.just(TOKEN), texts))
def test_any_headers_are_read_or_refused(name: str, keys: dict[str, str | list[str]], token: str) -> None:
    read(Event(name, keys), token)


@given(believable)
def test_any_headers_behind_the_right_token_are_read(keys: dict[str, str | list[str]]) -> None:
    sound(read_event(Event("UserEvent", keys), TOKEN))


@given(headers.filter(lambda keys: keys.get("Token") != TOKEN), st.sampled_from(NAMES))
def test_without_the_token_nothing_is_believed(keys: dict[str, str | list[str]], name: str) -> None:
    token = keys.get("Token", "")
    if isinstance(token, list) and token[-1] == TOKEN:
        return
    with pytest.raises(Refused):
        read_event(Event("UserEvent", {**keys, "UserEvent": name}), TOKEN)


@given(st.lists(st.tuples(st.sampled_from(HEADERS), st.binary(max_size=30)), max_size=12), st.sampled_from(NAMES))
def test_any_bytes_of_a_message_are_read_or_refused(lines: list[tuple[str, bytes]], name: str) -> None:
    forged = b"".join(key.encode() + b": " + value + b"\r\n" for key, value in lines)
    raw = b"Event: UserEvent\r\n" + forged + f"UserEvent: {name}\r\nToken: {TOKEN}\r\nCall: 1.1".encode()
    read(to_event(raw), TOKEN)


@given(st.text())
def test_decoding_never_fails_and_never_grows(value: str) -> None:
    assert len(decoded(value)) <= min(len(value), 512)
