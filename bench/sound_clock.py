"""When a call was answered and when its caller first heard something, by the kernel's clock; see `wire_clock`.

A caller is known by the UDP port for their voice, which their INVITE names. Asterisk sends no packet there before it
has something to play.
"""

from __future__ import annotations

import re
import struct
import threading
from dataclasses import dataclass
from types import TracebackType

from bench.wire_clock import PACKET_HOST, Instruction, loopback_packets, stamp_ns

VOICE_PORTS = range(50_000, 60_000, 2)
"""Where callers of this bench have their voice sent; nothing listens there."""

_INVITE = re.compile(rb"INVITE sip:(\d+)@.*\r\nCall-ID: (\S+)\r\n.*\r\nm=audio (\d+) ", re.DOTALL)
_ANSWER = re.compile(rb"SIP/2.0 200 .*\r\nCall-ID: (\S+)\r\n.*CSeq: \d+ INVITE", re.DOTALL)


@dataclass(slots=True)
class Timed:
    """One call, in ns: `heard` is the first packet of sound to its caller."""

    number: str
    invited: int
    answered: int | None = None
    heard: int | None = None


class SoundClock:
    """Watches one SIP port of 127.0.0.1 and the callers' voice ports. A context manager.

    Attributes:
        calls: Every call seen, by Call-ID.
    """

    def __init__(self, sip_port: int) -> None:
        self.calls: dict[bytes, Timed] = {}
        self._by_voice_port: dict[int, Timed] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sound-clock", daemon=True)
        self._socket = loopback_packets(_only_sip_and_voices(sip_port))

    def to_answer_ms(self, number: str) -> list[float]:
        """From INVITE to 200 OK, sorted, of the answered calls to a number."""
        return sorted(
            (call.answered - call.invited) / 1e6
            for call in self.calls.values()
            if call.answered is not None and call.number == number
        )

    def to_sound_ms(self, prefix: str) -> list[float]:
        """From 200 OK to the first sound, sorted, of the calls to numbers that begin so and heard something."""
        return sorted(
            (call.heard - call.answered) / 1e6
            for call in self.calls.values()
            if call.answered is not None and call.heard is not None and call.number.startswith(prefix)
        )

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                packet, ancillary, _, address = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            # Loopback shows each datagram twice, going out and coming in.
            if address[2] == PACKET_HOST:
                udp = (packet[0] & 0xF) * 4
                (port,) = struct.unpack_from(">H", packet, udp + 2)
                self._take(port, packet[udp + 8 :], stamp_ns(ancillary))

    def _take(self, port: int, payload: bytes, at: int) -> None:
        if port in VOICE_PORTS:
            call = self._by_voice_port.get(port)
            if call is not None and call.heard is None:
                call.heard = at
        elif (invite := _INVITE.match(payload)) and invite[2] not in self.calls:
            self.calls[invite[2]] = self._by_voice_port[int(invite[3])] = Timed(invite[1].decode(), at)
        elif (answer := _ANSWER.match(payload)) and (call := self.calls.get(answer[1])) is not None:
            call.answered = call.answered or at

    def __enter__(self) -> SoundClock:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()


def _only_sip_and_voices(sip_port: int) -> list[Instruction]:
    """Pass only SIP, and what goes to a voice port; offsets are from the IP header."""
    return [
        (0x30, 0, 0, 9),  # the protocol
        (0x15, 0, 8, 17),  # is UDP, or drop
        (0xB1, 0, 0, 0),  # the IP header's length
        (0x48, 0, 0, 0),  # the port it comes from
        (0x15, 4, 0, sip_port),
        (0x48, 0, 0, 2),  # the port it goes to
        (0x15, 2, 0, sip_port),
        (0x35, 0, 2, VOICE_PORTS.start),  # is a voice port, or drop
        (0x25, 1, 0, VOICE_PORTS.stop),
        (0x06, 0, 0, 0xFFFF),  # take it
        (0x06, 0, 0, 0),  # drop it
    ]
