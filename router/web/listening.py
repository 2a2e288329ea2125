"""What to say when something cannot be served where the settings say."""

from __future__ import annotations

import errno


def not_served(what: str, address: str, port: int, error: OSError) -> str:
    """In words for the person who has to mend it."""
    place = f"port {port} of {address}"
    if error.errno == errno.EADDRINUSE:
        return f"{what} cannot be served: another program listens on {place}; write another port"
    return f"{what} cannot be served at {place}: {error.strerror}"
