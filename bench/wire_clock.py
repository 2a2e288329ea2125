"""When each INVITE and its 200 OK passed the loopback interface, by the kernel's clock.

SIPp's own response times are of no use here: it reads a clock that goes in steps of 4 ms. A packet socket sees
the same datagrams, each stamped by the kernel, and slows nobody down. Needs CAP_NET_RAW.

Sources: packet(7), socket(7) for SO_TIMESTAMPNS; linux/filter.h for the filter's instructions.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TypeAlias

from lab.processes import LabError

SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
ETH_P_IP = 0x0800
PACKET_HOST = 0
RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
_LOOK_AGAIN_S = 0.2

Instruction: TypeAlias = tuple[int, int, int, int]
"""One of a filter: its code, where to go on if true and if false, its operand."""


class WireClock:
    """Watches one SIP port of 127.0.0.1. A context manager.

    Attributes:
        invited: Call-ID → when its first INVITE arrived, in ns.
        answered: Call-ID → when its first 200 OK for the INVITE arrived.
    """

    def __init__(self, sip_port: int) -> None:
        self.invited: dict[bytes, int] = {}
        self.answered: dict[bytes, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="wire-clock", daemon=True)
        self._socket = loopback_packets(_only_udp_port(sip_port))

    def response_times_ms(self) -> list[float]:
        """From INVITE to 200 OK, sorted, of every call that was answered."""
        pairs = ((self.invited[call], at) for call, at in self.answered.items() if call in self.invited)
        return sorted((answered - invited) / 1e6 for invited, answered in pairs)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                packet, ancillary, _, address = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            # Loopback shows each datagram twice, going out and coming in.
            if address[2] != PACKET_HOST:
                continue
            payload = packet[(packet[0] & 0xF) * 4 + 8 :]
            if payload.startswith(b"INVITE "):
                self.invited.setdefault(_header(payload, b"\r\nCall-ID: "), stamp_ns(ancillary))
            elif payload.startswith(b"SIP/2.0 200 ") and _header(payload, b"\r\nCSeq: ").endswith(b"INVITE"):
                self.answered.setdefault(_header(payload, b"\r\nCall-ID: "), stamp_ns(ancillary))

    def __enter__(self) -> WireClock:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()


def loopback_packets(wanted: Sequence[Instruction]) -> socket.socket:
    """A socket that is shown the loopback interface's IP packets, stamped by the kernel, for which a filter says yes.

    Raises:
        LabError: This user may not see them.
    """
    try:
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    except PermissionError as error:
        raise LabError("watching the loopback interface needs CAP_NET_RAW: run `make bench` as root") from error
    packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    packets.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in wanted))
    header = struct.pack("HL", len(wanted), ctypes.addressof(code))
    packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, header)
    packets.bind(("lo", ETH_P_IP))
    packets.settimeout(_LOOK_AGAIN_S)
    return packets


def _header(payload: bytes, name: bytes) -> bytes:
    start = payload.find(name) + len(name)
    return payload[start : payload.find(b"\r\n", start)]


def stamp_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """When the kernel saw a packet, in ns."""
    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
    return int(seconds * 1_000_000_000 + nanoseconds)


def _only_udp_port(port: int) -> list[Instruction]:
    """Pass only UDP datagrams from or to `port`; offsets are from the IP header."""
    return [
        (0x30, 0, 0, 9),  # the protocol
        (0x15, 0, 6, 17),  # is UDP, or drop
        (0xB1, 0, 0, 0),  # the IP header's length
        (0x48, 0, 0, 0),  # the port it comes from
        (0x15, 2, 0, port),
        (0x48, 0, 0, 2),  # the port it goes to
        (0x15, 0, 1, port),
        (0x06, 0, 0, 0xFFFF),  # take it
        (0x06, 0, 0, 0),  # drop it
    ]
