"""`{"do": "promote", "call": …, "why": …}`: who asks is worked out here, the rest is `router.calls.promote`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from router.ami.messages import for_log
from router.calls.promote import Asker, NotPromoted, Promotions
from router.control.protocol import ErrorKind, Request, Unanswerable
from router.control.server import Handler, Peer

MAX_CALL_CHARS: Final = 150
"""A channel's name has at most 80 characters, a uniqueid 149 (AST_MAX_UNIQUEID)."""

MAX_WHY_CHARS: Final = 200
_MAX_USER_CHARS: Final = 64


def promotion(promotions: Promotions) -> Handler:
    """The handler of `promote`.

    The answer has the fields of `Promoted`.
    """

    async def promote(request: Request, peer: Peer) -> Mapping[str, object]:
        call = request.text("call", MAX_CALL_CHARS, required=True)
        why = request.text("why", MAX_WHY_CHARS)
        sudo_user = request.text("sudo_user", _MAX_USER_CHARS)
        outcome = await promotions.promote(call, asker(peer, sudo_user), why)
        if isinstance(outcome, NotPromoted):
            raise Unanswerable(ErrorKind.REFUSED, outcome.why)
        return asdict(outcome)

    return promote


def asker(peer: Peer, sudo_user: str) -> Asker:
    """Who asks. Only root is believed about who used sudo to become root: root could become anybody."""
    claimed = f" (sudo by {for_log(sudo_user)})" if sudo_user and peer.uid == 0 else ""
    return Asker(f"{peer.user}{claimed}", peer.uid)
