"""The newest picture of the centre, made once for all who look, and not at all while nobody does."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import orjson
import structlog

from router.web.wallboard.board import Board

EVERY_S: Final = 1.0

_COMPLAIN_EVERY_S: Final = 60.0

log = structlog.get_logger(__name__)


class Feed:
    """The newest picture, for all who look.

    Args:
        board: What pictures are made of.
        version: Of the page, told in each, so that an older page loads itself anew.
    """

    def __init__(self, board: Board, version: str) -> None:
        self.newest = b""
        """As an event; empty while there is none that is new enough."""
        self.viewers = 0
        self.is_closed = False
        self._board = board
        self._version = version
        self._turned = asyncio.Event()
        self._watched = asyncio.Event()
        self._complained_at = float("-inf")

    @property
    def turned(self) -> asyncio.Event:
        """Set once there is a newer picture than now."""
        return self._turned

    def came(self) -> None:
        """Somebody looks."""
        self.viewers += 1
        self._watched.set()

    def went(self) -> None:
        """Somebody no longer looks."""
        self.viewers -= 1
        if not self.viewers:
            self._watched.clear()
            self.newest = b""  # it would be old when the next one comes

    def close(self) -> None:
        """Tell all who look that it is over."""
        self.is_closed = True
        self._turn()

    async def run(self) -> None:
        """Make a picture every second while somebody looks. One that cannot be made is logged, and left out."""
        while True:
            await self._watched.wait()
            try:
                self.newest = await self._picture()
            except Exception as error:  # noqa: BLE001 - the boundary of one picture: the page tells how old the last is
                self._complain(error)
            else:
                self._turn()
            await asyncio.sleep(EVERY_S)

    async def _picture(self) -> bytes:
        looking = self._board.look()
        while True:
            try:
                next(looking)
            except StopIteration as done:
                return b"data: " + _json({"page": self._version, **done.value}) + b"\n\n"
            await asyncio.sleep(0)

    def _turn(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    def _complain(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = now
            log.error("wallboard not drawn", exc_info=error)


def _json(picture: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(picture)
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        # Half of a surrogate pair, from a name that was cut: one character is lost, not the picture.
        return json.dumps(picture, ensure_ascii=False).encode("utf-8", errors="replace")
