"""Who may see the wallboard: whoever reaches its address, or has its token.

A browser gives the token once, in the login form or as `?token=`, and has from then on a cookie that stands for it: an
expiry and a keyed hash of it under the token. It outlives a restart of the router, and another token ends it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

COOKIE: Final = "elder_router_wallboard"
COOKIE_S: Final = 90 * 86_400
"""How long a browser need not log in again. It is given another cookie long before, whenever it loads the page."""

MOST_WRONG: Final = 10
"""Wrong tokens from one address within `WRONG_WITHIN_S`; then none is looked at, the right one neither."""
WRONG_WITHIN_S: Final = 60.0
MOST_ADDRESSES: Final = 1_000
"""Addresses whose wrong tokens are counted; of more, those heard of last."""

_PURPOSE: Final = b"elder-router wallboard cookie 1 "


def is_named_so(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header is one that the wallboard goes by: localhost, an address, or one of the names.

    Args:
        host: With or without a port.
        names: In lower case.
    """
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0].removesuffix(".")
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Access:
    """Tells those who have the token from others.

    Args:
        token: None lets everybody see it.
        wall_clock: Epoch seconds.
        monotonic: Seconds.
    """

    def __init__(
        self,
        token: str | None,
        *,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token.encode() if token is not None else None
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return self._token is None

    def is_token(self, given: str, address: str) -> bool:
        """Whether this is the token; takes as long for one that is nearly right. A wrong one is counted.

        Args:
            given: What was given for it.
            address: Whose. Ask `is_held_off` first.
        """
        if self._token is not None and hmac.compare_digest(_digest(_bytes(given)), _digest(self._token)):
            return True
        times = self._wrong.setdefault(address, deque(maxlen=MOST_WRONG))
        times.append(self._monotonic())
        self._wrong.move_to_end(address)
        if len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        return False

    def is_held_off(self, address: str) -> bool:
        """Whether so many wrong tokens came from an address that no more are looked at for now."""
        times = self._wrong.get(address)
        return times is not None and len(times) == MOST_WRONG and self._monotonic() - times[0] < WRONG_WITHIN_S

    def cookie(self) -> str:
        """What stands for the token in a browser that had it."""
        expires = str(int(self._wall_clock()) + COOKIE_S)
        return f"{expires}.{self._sealed(expires)}"

    def is_cookie(self, given: str) -> bool:
        """Whether this is a cookie of ours that has not expired."""
        expires, _, seal = given.partition(".")
        if not expires.isascii() or not expires.isdigit() or len(expires) > len("99999999999"):
            return False
        is_ours = hmac.compare_digest(_bytes(seal), self._sealed(expires).encode())
        return is_ours and int(expires) > self._wall_clock()

    def _sealed(self, expires: str) -> str:
        return hmac.new(self._token or b"", _PURPOSE + expires.encode(), hashlib.sha256).hexdigest()


def _bytes(given: str) -> bytes:
    """As they came: what is no UTF-8 in a header is half a character here."""
    return given.encode(errors="surrogatepass")


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
