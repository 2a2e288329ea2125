"""What Asterisk writes, with CR LF as on the wire."""

from __future__ import annotations

from collections.abc import Iterator

GREETING = b"Asterisk Call Manager/11.0.0\r\n"


def message(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def chunkings(stream: bytes) -> Iterator[list[bytes]]:
    """Return the stream whole, byte by byte, and in every cut into two."""
    yield [stream]
    yield [stream[i : i + 1] for i in range(len(stream))]
    for cut in range(1, len(stream)):
        yield [stream[:cut], stream[cut:]]
