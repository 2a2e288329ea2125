"""HTTP connections that a deadline cuts.

A socket's timeout begins anew with each byte that comes, so a server that sends one now and then is never late.
Here a timer shuts the socket when the time is up, whatever is being waited for. Looking up the server's name is
left to the system's resolver and its own time limits.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

# As many as eight answers at once ask for; more are opened and closed again, which urllib3 logs.
_KEPT_CONNECTIONS = 32


@contextmanager
def cut_after(deadline_s: float, cut: Callable[[], None]) -> Iterator[None]:
    """Call `cut` from another thread when what stands inside takes longer than `deadline_s`."""

    def quietly() -> None:
        with suppress(OSError, ValueError, RuntimeError):  # it was closed meanwhile
            cut()

    timer = threading.Timer(deadline_s, quietly)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _answered(connection: HTTPConnection, get: Callable[[], HTTPResponse]) -> HTTPResponse:
    """Wait for the headers of an answer, for no longer than the read timeout altogether."""
    waited_on, timeout_s = connection.sock, connection.timeout
    if waited_on is None or timeout_s is None:
        return get()
    # Not an SSLSocket's own `shutdown`, which changes what the other thread is reading with.
    with cut_after(timeout_s, lambda: socket.socket.shutdown(waited_on, socket.SHUT_RDWR)):
        return get()


class _CutHttp(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3's own
        return _answered(self, super().getresponse)


class _CutHttps(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3's own
        return _answered(self, super().getresponse)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _CutHttp


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _CutHttps


def connections(scheme: str, host: str, port: int | None, ca_file: str | None) -> HTTPConnectionPool:
    """Connections to one server, kept open between requests; certificates are always verified.

    They take no proxy from the environment.
    """
    if scheme == "https":
        return _HttpsPool(host, port, maxsize=_KEPT_CONNECTIONS, cert_reqs="CERT_REQUIRED", ca_certs=ca_file)
    return _HttpPool(host, port, maxsize=_KEPT_CONNECTIONS)
