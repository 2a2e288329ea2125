"""However a stream is cut, it holds the same messages; whatever a peer sends, only AmiProtocolError is raised."""

from __future__ import annotations

import contextlib
from itertools import pairwise

from asterisk.ami import Event, SimpleAction
from hypothesis import given
from hypothesis import strategies as st

from router.ami.framing import Framer
from router.ami.messages import _as_may_be, _as_usual, to_event
from router.ami.session import Exchange, Greeting, Session
from router.errors import AmiProtocolError

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
CRLF = b"\r\n"

# Values made of what line ends and characters are cut from, so that chance finds the joints.
joints = st.sampled_from(
    [
        *[b"\r", b"\n", b"\n\r", b": ", b" ", b"ActionID: p-1", b"p-1", b"p-2", b"Complete"],
        *[b"\xc2\x85", b"\xe2\x80\xa8", b"\xe5\xbc", "张".encode()],
    ]
)
values = st.lists(st.one_of(joints, st.binary(max_size=6)), max_size=6).map(b"".join)
lines = st.tuples(st.sampled_from([b"Event", b"Response", b"ActionID", b"EventList", b"X"]), values).map(b": ".join)
whole_lines = lines.filter(lambda line: CRLF not in line and not line.endswith(b"\r"))
framed_messages = st.lists(st.lists(whole_lines, min_size=1, max_size=5).map(CRLF.join), max_size=8)
streams = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(lines, joints, st.just(CRLF), st.just(CRLF + CRLF)), max_size=20).map(b"".join),
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


places = st.lists(st.integers(min_value=0, max_value=2**20), max_size=12)


@given(framed_messages, places)
def test_any_chunking_gives_the_messages_that_were_written(messages: list[bytes], at: list[int]) -> None:
    framer = Framer()
    stream = GREETING + b"".join(message + CRLF + CRLF for message in messages)
    assert [message for chunk in cut(stream, at) for message in framer.feed(chunk)] == messages


@given(streams, places)
def test_any_chunking_of_any_bytes_gives_the_same(stream: bytes, at: list[int]) -> None:
    whole, chunked = Framer(), Framer()
    expected = whole.feed(GREETING + stream)
    assert [message for chunk in cut(GREETING + stream, at) for message in chunked.feed(chunk)] == expected


@given(st.one_of(streams, st.tuples(st.just(GREETING), streams).map(b"".join)), places)
def test_arbitrary_bytes_raise_nothing_but_a_protocol_error(stream: bytes, at: list[int]) -> None:
    session = Session({"X", "UserEvent", "FullyBooted"}, prefix="p")
    asked = [session.ask([SimpleAction("Status")], is_list=is_list)[0] for is_list in (True, False)]
    with contextlib.suppress(AmiProtocolError):
        for chunk in cut(stream, at):
            for happening in session.receive(chunk):
                match happening:
                    case Greeting():
                        assert happening.line.startswith("Asterisk Call Manager/")
                    case Event():
                        assert happening.name in {"X", "UserEvent", "FullyBooted"}
                    case Exchange():
                        asked.remove(happening)  # each happens once


@given(st.binary(max_size=300))
def test_any_message_parses(raw: bytes) -> None:
    event = to_event(raw)
    assert all(isinstance(value, str | list) for value in event.keys.values())


@given(
    st.lists(st.text(st.sampled_from("Aa: \u2028\r1"), max_size=8).filter(lambda line: "\r\n" not in line), max_size=6)
)
def test_the_quick_way_of_reading_headers_agrees_with_the_thorough_one(lines: list[str]) -> None:
    quick = _as_usual(lines)
    assert quick is None or quick == _as_may_be(lines)
