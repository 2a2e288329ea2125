"""What a caller hears: the RTP sent to them, recorded and turned back into sound (RFC 3550, G.711 µ-law)."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lab.ports import free_udp_port

RATE_HZ = 8000
_LONGEST_GAP_S = 10  # what is longer is another stream
Samples = npt.NDArray[np.float64]


def _ulaw_table() -> npt.NDArray[np.float64]:
    """The 256 values of G.711 µ-law, as numbers from -1 to 1."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude) / 32768.0


_ULAW = _ulaw_table()


@dataclass(frozen=True, slots=True)
class Recording:
    """What was heard; and where no packets came, from sample to sample, which is silence there.

    Asterisk sends none between two applications. Within a sound there should be none: a machine that is too busy to
    send in time leaves a hole, and tells so by the next packet's timestamp.
    """

    samples: Samples
    holes: tuple[tuple[int, int], ...]


class Recorder(asyncio.DatagramProtocol):
    """Records the RTP that arrives at a port of its own. An async context manager."""

    def __init__(self) -> None:
        self.port = free_udp_port()
        self._packets: dict[int, bytes] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Recorder:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's call
        """Keep one packet (asyncio's call)."""
        if len(data) > 12 and data[0] >> 6 == 2 and data[1] & 0x7F == 0:  # noqa: PLR2004 - RTP version 2, PCMU
            (timestamp,) = struct.unpack_from(">I", data, 4)
            self._packets.setdefault(timestamp, data[12:])

    def samples(self) -> Samples:
        """All that was heard, -1 to 1 at 8 kHz, gaps as silence. Each change of stream starts where it came."""
        return self.recording().samples

    def recording(self) -> Recording:
        """The same, and where nothing came."""
        if not self._packets:
            return Recording(np.zeros(0), ())
        pieces: list[Samples] = []
        holes: list[tuple[int, int]] = []
        position, length = next(iter(self._packets)), 0
        for timestamp, payload in self._packets.items():
            gap = timestamp - position
            if 0 < gap < _LONGEST_GAP_S * RATE_HZ:
                pieces.append(np.zeros(gap))
                holes.append((length, length + gap))
                length += gap
            pieces.append(_ULAW[np.frombuffer(payload, np.uint8)])
            position = timestamp + len(payload)
            length += len(payload)
        return Recording(np.concatenate(pieces), tuple(holes))
