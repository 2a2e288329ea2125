"""Free loopback ports, never the same twice, though several test runs look for them side by side."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

# Above what rtp.conf gives to Asterisk's RTP, below what the kernel takes for outgoing connections.
_PORTS: Final = range(30_000, 32_768)
_given: set[int] = set()
# A byte of this file is locked for each port given, until this process ends: between looking and listening, no other
# run takes it.
_claims = Path(tempfile.gettempdir(), "elder-router-lab.ports").open("a+b")  # noqa: SIM115 - for as long as we live


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM, *, behind: int = 0) -> int:
    """A port of 127.0.0.1 that nothing listens on, and that nobody else of the lab is given.

    Args:
        kind: Of the socket that will have it.
        behind: How many ports behind it are given with it.

    Raises:
        RuntimeError: There is none.
    """
    firsts = _PORTS[: len(_PORTS) - behind]
    for first in random.sample(firsts, len(firsts)):
        ports = range(first, first + behind + 1)
        if _given.isdisjoint(ports) and all(_claimed(port) and _is_free(port, kind) for port in ports):
            _given.update(ports)
            return first
    raise RuntimeError(f"no port of {_PORTS.start} to {_PORTS.stop - 1} is free")


def free_udp_port(*, behind: int = 0) -> int:
    """A free UDP port of 127.0.0.1, and as many behind it."""
    return free_port(socket.SOCK_DGRAM, behind=behind)


def _claimed(port: int) -> bool:
    with suppress(OSError):
        fcntl.lockf(_claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        return True
    return False


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", port))
        return True
    return False
