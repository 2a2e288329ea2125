from __future__ import annotations

from typing import SupportsIndex

import pytest

from router.ami.framing import (
    MAX_BUFFER_BYTES,
    MAX_GREETING_BYTES,
    MAX_LINE_BYTES,
    MAX_MESSAGE_BYTES,
    Framer,
)
from router.errors import AmiProtocolError

from .wire import GREETING, chunkings, message

TWO = message("Event: Newchannel", "CallerIDName: ") + message("Response: Success", "ActionID: 1")
TWO_FRAMED = [b"Event: Newchannel\r\nCallerIDName: ", b"Response: Success\r\nActionID: 1"]


def greeted() -> Framer:
    framer = Framer()
    assert framer.feed(GREETING) == []
    return framer


def fed(chunks: list[bytes]) -> list[bytes]:
    framer = Framer()
    return [framed for chunk in chunks for framed in framer.feed(chunk)]


@pytest.mark.parametrize("trailing", [b"", b"E", b"Event: Hangup\r\n", b"\r", b"\r\n", b"\r\n\r"])
def test_messages_are_the_same_however_the_stream_is_cut(trailing: bytes) -> None:
    for chunks in chunkings(GREETING + TWO + trailing):
        assert fed(chunks) == TWO_FRAMED, chunks


def test_what_trails_is_completed_by_the_next_read() -> None:
    framer = greeted()
    assert framer.feed(TWO + b"Event: Hang") == TWO_FRAMED
    assert framer.feed(b"up\r\n\r\n" + TWO) == [b"Event: Hangup", *TWO_FRAMED]


def test_the_greeting_is_kept_apart_from_the_messages() -> None:
    for chunks in chunkings(GREETING):
        framer = Framer()
        assert framer.greeting is None
        for chunk in chunks:
            assert framer.feed(chunk) == []
        assert framer.greeting == "Asterisk Call Manager/11.0.0"


@pytest.mark.parametrize(
    "inside", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\r", "\n", "\n\n", "\r\r", "\n\r\n\r"]
)
def test_only_cr_lf_ends_a_line(inside: str) -> None:
    framed = f"Event: Newchannel\r\nCallerIDName: a{inside}b".encode()
    for chunks in chunkings(GREETING + framed + b"\r\n\r\n"):
        assert fed(chunks) == [framed]


def test_a_character_cut_between_two_reads_is_whole_again() -> None:
    framed = "Event: Newchannel\r\nCallerIDName: 张三😀".encode()
    for chunks in chunkings(GREETING + framed + b"\r\n\r\n"):
        assert fed(chunks) == [framed]


@pytest.mark.parametrize("more", [1, 2, 3, 4])
def test_empty_lines_too_many_make_no_message(more: int) -> None:
    for chunks in chunkings(GREETING + TWO + b"\r\n" * more + TWO):
        assert fed(chunks) == TWO_FRAMED * 2


@pytest.mark.parametrize("stream", [b"HTTP/1.1 400 Bad Request\r\n", b"\x15\x03\x01\x00\x02\x02\x16", b"\r\n"])
def test_a_peer_that_is_not_asterisk_is_told_by_its_first_bytes(stream: bytes) -> None:
    for chunks in chunkings(stream):
        with pytest.raises(AmiProtocolError, match="check that host and port"):
            fed(chunks)


def test_a_greeting_without_an_end_is_refused() -> None:
    endless = b"Asterisk Call Manager/".ljust(MAX_GREETING_BYTES, b"1")
    assert fed([endless[:-1]]) == []
    with pytest.raises(AmiProtocolError, match="greeting"):
        fed([endless[:-1], endless[-1:]])


def sized(length: int, line: int = 1000) -> bytes:
    """Return one message of exactly `length` bytes, none of its lines longer than `line`."""
    framed = b"\r\n".join([b"Event: Big", *[b"X: ".ljust(line, b"x")] * (length // (line + 2))])
    framed = framed[:length] if len(framed) > length else framed + b"x" * (length - len(framed))
    assert len(framed) == length
    return framed.replace(b"\r\n\r\n", b"xxxx")


@pytest.mark.parametrize("chunk", [7_777, 262_144, 10_000_000])
def test_a_message_of_the_largest_size_is_taken_and_one_byte_more_is_not(chunk: int) -> None:
    largest = sized(MAX_MESSAGE_BYTES)
    for framed, taken in ((largest, True), (largest + b"x", False)):
        stream = GREETING + framed + b"\r\n\r\n" + TWO
        chunks = [stream[i : i + chunk] for i in range(0, len(stream), chunk)]
        if taken:
            assert fed(chunks) == [framed, *TWO_FRAMED]
        else:
            with pytest.raises(AmiProtocolError, match=str(MAX_MESSAGE_BYTES)):
                fed(chunks)


def test_a_message_of_the_largest_size_may_be_cut_within_its_end() -> None:
    largest = sized(MAX_MESSAGE_BYTES)
    framer = greeted()
    assert [framer.feed(piece) for piece in (largest, b"\r", b"\n", b"\r", b"\n")] == [[], [], [], [], [largest]]


def test_a_line_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    longest = b"Variable: ".ljust(MAX_LINE_BYTES, b"x")
    framed = b"Event: VarSet\r\n" + longest
    assert greeted().feed(framed + b"\r\n\r\n") == [framed]
    with pytest.raises(AmiProtocolError, match=str(MAX_LINE_BYTES)):
        greeted().feed(framed + b"x\r\n\r\n")


@pytest.mark.parametrize("filler", [b"x", b"X: y\r\n"])
def test_the_buffer_is_bounded_when_no_message_ends(filler: bytes) -> None:
    framer = greeted()
    chunk = filler * (65_536 // len(filler))
    for _ in range(MAX_BUFFER_BYTES // len(chunk)):
        assert framer.feed(chunk) == []
    with pytest.raises(AmiProtocolError, match="did not end"):
        framer.feed(chunk)
    assert len(framer._pending) <= MAX_BUFFER_BYTES + len(chunk)


class CountingBuffer(bytearray):
    """Counts the bytes that are searched."""

    searched = 0

    def find(
        self,
        sub: object,
        start: SupportsIndex | None = 0,
        end: SupportsIndex | None = None,
        /,
    ) -> int:
        assert isinstance(start, int)
        assert isinstance(sub, bytes)
        assert end is None
        self.searched += len(self) - start
        return super().find(sub, start)


def test_a_long_message_byte_by_byte_is_searched_once_not_from_its_start_each_time() -> None:
    framer = greeted()
    buffer = CountingBuffer()
    framer._pending = buffer
    stream = sized(100_000) + b"\r\n\r\n"
    messages = [framed for i in range(len(stream)) for framed in framer.feed(stream[i : i + 1])]
    assert [len(framed) for framed in messages] == [100_000]
    assert buffer.searched <= 4 * len(stream)
