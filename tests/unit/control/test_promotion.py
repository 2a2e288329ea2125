from __future__ import annotations

from typing import cast

import pytest

from router.calls.promote import Asker, NotPromoted, Promoted, Promotions
from router.control.promotion import asker, promotion
from router.control.protocol import ErrorKind, Request, Unanswerable
from router.control.server import Peer

ALICE, ROOT = Peer(1001, 42, "alice"), Peer(0, 43, "root")


class PlayedPromotions:
    def __init__(self, outcome: Promoted | NotPromoted) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, Asker, str]] = []

    async def promote(self, call: str, asker: Asker, why: str = "") -> Promoted | NotPromoted:
        self.asked.append((call, asker, why))
        return self.outcome


@pytest.mark.parametrize(
    ("peer", "sudo_user", "by"),
    [
        (ALICE, "", "alice"),
        (ROOT, "", "root"),
        (ROOT, "alice", "root (sudo by alice)"),
        (ALICE, "bob", "alice"),
    ],
)
def test_only_root_is_believed_about_who_became_root(peer: Peer, sudo_user: str, by: str) -> None:
    assert asker(peer, sudo_user) == Asker(by, peer.uid)


async def test_what_is_asked_is_passed_on_and_what_was_done_is_answered() -> None:
    played = PlayedPromotions(Promoted("pbx1", "1.1", "agents", 3, 1, 200))
    handler = promotion(cast("Promotions", played))
    answer = await handler(Request("promote", {"call": "1.1", "why": "has fallen", "sudo_user": "alice"}), ROOT)
    assert played.asked == [("1.1", Asker("root (sudo by alice)", 0), "has fallen")]
    assert answer == {
        "node": "pbx1",
        "uniqueid": "1.1",
        "queue": "agents",
        "from_position": 3,
        "to_position": 1,
        "wait_s": 200,
    }


async def test_what_was_not_done_is_refused() -> None:
    handler = promotion(cast("Promotions", PlayedPromotions(NotPromoted("not waiting"))))
    with pytest.raises(Unanswerable) as caught:
        await handler(Request("promote", {"call": "1.1"}), ALICE)
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.REFUSED, "not waiting")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "`call` must be a text of 1 to 150 printable characters"),
        ({"call": "1.1\r\nAction: Hangup"}, "`call` must be a text of 1 to 150 printable characters"),
        ({"call": "1.1", "why": "x" * 201}, "`why` must be a text of at most 200 printable characters"),
        ({"call": "1.1", "sudo_user": "a\nb"}, "`sudo_user` must be a text of at most 64 printable characters"),
    ],
)
async def test_what_cannot_be_meant_is_not_passed_on(fields: dict[str, object], message: str) -> None:
    played = PlayedPromotions(NotPromoted(""))
    with pytest.raises(Unanswerable) as caught:
        await promotion(cast("Promotions", played))(Request("promote", fields), ALICE)
    assert str(caught.value) == message
    assert played.asked == []
