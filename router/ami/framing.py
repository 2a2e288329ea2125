"""Cuts the byte stream of the Asterisk Manager Interface into messages.

A message is lines that end in CR LF, ended itself by an empty line; before the first stands one greeting
line, `Asterisk Call Manager/x.y.z`. Nothing else ends a line: a lone LF, U+0085 or U+2028 in a caller's
display name is part of the value. What a message means is left to `messages`. Does no I/O.

Source: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Manager-Interface-AMI/
"""

from __future__ import annotations

from router.errors import AmiProtocolError

CRLF = b"\r\n"
END_OF_MESSAGE = b"\r\n\r\n"
GREETING_PREFIX = b"Asterisk Call Manager/"

# The caps are security limits: a peer that never ends a line or a message must not fill our memory.
MAX_GREETING_BYTES = 128
"""The greeting is 30 bytes long in every version; whatever is much longer is not Asterisk."""
MAX_LINE_BYTES = 64 * 1024
"""Asterisk keeps an application's argument in 8 KiB (EXT_DATA_SIZE in pbx.c), the longest single value
that a dialplan can shape. Eight times that leaves room for values put together from several."""
MAX_MESSAGE_BYTES = 256 * 1024
"""A channel's event with its snapshot is under 4 KiB; a Status event that lists every channel variable
can reach tens of KiB. The buffer holds no more than this and what one read of the socket (256 KiB in asyncio)
added."""
MAX_BUFFER_BYTES = MAX_MESSAGE_BYTES + len(END_OF_MESSAGE) - 1
"""One message of full length of which only the last byte of the empty line is missing."""


class Framer:
    """Bytes in, whole messages out.

    Attributes:
        greeting: the greeting line without its CR LF, or None while it has not come.
    """

    __slots__ = ("_pending", "greeting")

    def __init__(self) -> None:
        self.greeting: str | None = None
        # The start of a message whose end has not come, free of END_OF_MESSAGE. A bytearray, because it grows
        # at its end without being copied each time.
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what one read gave; return the messages it completed, without the CR LF that end them.

        Raises:
            AmiProtocolError: the peer is not Asterisk, or sent more than a cap allows. The framer is of no
                use afterwards: drop the connection.
        """
        if self.greeting is None:
            after_greeting = self._greet(data)
            if not after_greeting:
                return []
            data = after_greeting
        pending = self._pending
        if not pending:
            parts = data.split(END_OF_MESSAGE)
        else:
            # Only the last three bytes can have begun an END_OF_MESSAGE; the rest was searched when it came.
            searched = max(0, len(pending) - len(END_OF_MESSAGE) + 1)
            pending += data
            end = pending.find(END_OF_MESSAGE, searched)
            if end < 0:
                _check_unfinished(len(pending))
                return []
            first = bytes(pending[:end])
            parts = bytes(pending[end + len(END_OF_MESSAGE) :]).split(END_OF_MESSAGE)
            parts.insert(0, first)
            pending.clear()
        unfinished = parts.pop()
        if unfinished:
            _check_unfinished(len(unfinished))
            pending += unfinished
        # After a split at its first occurrences, at most one CR LF can be left over in front of a message.
        messages = [message for part in parts if (message := part.removeprefix(CRLF))]
        for message in messages:
            if len(message) > MAX_LINE_BYTES:
                _check_message(message)
        return messages

    def _greet(self, data: bytes) -> bytes:
        """Look for the greeting; return what came behind it."""
        pending = self._pending
        pending += data
        start = bytes(pending[: len(GREETING_PREFIX)])
        if not GREETING_PREFIX.startswith(start) and not start.startswith(GREETING_PREFIX):
            raise AmiProtocolError(
                "the peer did not greet as `Asterisk Call Manager`: check that host and port are those of "
                "manager.conf, and that TLS is on at both ends or at neither"
            )
        end = pending.find(CRLF, 0, MAX_GREETING_BYTES)
        if end < 0:
            if len(pending) >= MAX_GREETING_BYTES:
                raise AmiProtocolError(f"the greeting did not end within {MAX_GREETING_BYTES} bytes")
            return b""
        self.greeting = bytes(pending[:end]).decode("utf-8", errors="replace")
        rest = bytes(pending[end + len(CRLF) :])
        pending.clear()
        return rest


def _check_unfinished(length: int) -> None:
    if length > MAX_BUFFER_BYTES:
        raise AmiProtocolError(f"a message did not end within {MAX_MESSAGE_BYTES} bytes")


def _check_message(message: bytes) -> None:
    """Check a message long enough that it could break a cap; shorter ones cannot and are spared this."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise AmiProtocolError(f"a message of {len(message)} bytes came; {MAX_MESSAGE_BYTES} are the most taken")
    longest = max(map(len, message.split(CRLF)))
    if longest > MAX_LINE_BYTES:
        raise AmiProtocolError(f"a line of {longest} bytes came; {MAX_LINE_BYTES} are the most taken")
