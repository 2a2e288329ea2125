"""The AMI byte stream of one real call, turned into that of any number of calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.population import OLDER, Resident

END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """What Asterisk sent the router about one call, and what in it belongs to that call alone.

    Attributes:
        messages: In order, each with the empty line that ends it. The first is the request.
        uniqueid: Asterisk's, also its linkedid.
        channel_end: The part of the channel's name behind the slash, which differs between channels.
        digits: The caller's number without the plus, which may be written `%2B`.
        token: What the dialplan's events carry.
    """

    messages: tuple[bytes, ...]
    uniqueid: bytes
    channel_end: bytes
    digits: bytes
    token: bytes

    def replayed(self, serial: int, who: Resident, token: bytes) -> list[bytes]:
        """The messages of another call: the `serial`-th, from another caller."""
        changes = (
            (self.uniqueid, b"pbx1-1790000000.%d" % serial),
            (self.channel_end, channel_end(serial)),
            (self.digits, who.e164[1:].encode()),
            (self.token, token),
        )
        whole = b"\0".join(self.messages)  # which no message holds
        for old, new in changes:
            whole = whole.replace(old, new)
        return whole.split(b"\0")


@dataclass(frozen=True, slots=True)
class RecordedCalls:
    """One call of each kind: of an older caller to a person, of another to the assistant."""

    older: RecordedCall
    other: RecordedCall

    def of(self, who: Resident) -> RecordedCall:
        """The call that this caller makes."""
        return self.older if who.band in OLDER else self.other

    def stream(self, residents: Sequence[Resident], calls: int) -> list[bytes]:
        """All messages of so many calls, one call after the other."""
        callers = (residents[serial % len(residents)] for serial in range(calls))
        return [
            message
            for serial, who in enumerate(callers)
            for message in self.of(who).replayed(serial, who, b"0123456789abcdef")
        ]


def channel_end(serial: int) -> bytes:
    """How the name of the `serial`-th call's channel ends."""
    return b"anonymous-%08x" % serial
