"""Something on a Unix socket that answers once, with what a test tells it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Answering:
    """What listens, and what it was sent."""

    def __init__(self) -> None:
        self.asked = b""
        self.hold = threading.Event()


@contextmanager
def answering(path: Path, *replies: bytes, silent: bool = False) -> Iterator[Answering]:
    """Answer one connection with `replies`, a write each, and hang up; `silent` keeps it open until the end."""
    state = Answering()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(5)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                state.asked = connection.recv(8192)
                for reply in replies:
                    connection.sendall(reply)
                if silent:
                    state.hold.wait(5)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield state
        finally:
            state.hold.set()
            thread.join()
