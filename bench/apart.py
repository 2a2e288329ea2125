"""Something measured in a process of its own, so that what measures does not take its time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Generic, Self, TypeVar, cast

from lab.processes import LabError

_SPAWN: Final = multiprocessing.get_context("spawn")
_Answer = TypeVar("_Answer")


class Stop:
    """At the other side: whether the work is to end. `descriptor` becomes readable then."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.descriptor = pipe.fileno()

    def __bool__(self) -> bool:
        return self._pipe.poll()


class Apart(Generic[_Answer]):
    """`work(stop, *words)` in a process of its own; an async context manager, which kills it at the latest."""

    def __init__(self, name: str, work: Callable[..., _Answer], *words: object) -> None:
        self._name = name
        self._pipe, theirs = _SPAWN.Pipe()
        self._theirs = theirs
        self._process = _SPAWN.Process(target=_run, args=(theirs, work, words), daemon=True)

    async def __aenter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        await self._said()  # it has imported everything
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.join)
        self._pipe.close()

    def begin(self) -> None:
        """Let it work."""
        self._pipe.send("begin")

    async def end(self) -> _Answer:
        """Tell it to end early, and wait for what it found."""
        self._pipe.send("end")
        return await self.answer()

    async def answer(self) -> _Answer:
        """Wait for what it found.

        Raises:
            LabError: It failed.
        """
        found = await self._said()
        if isinstance(found, BaseException):
            raise LabError(f"{self._name} failed: {type(found).__name__}: {found}") from found
        return cast("_Answer", found)

    async def _said(self) -> object:
        try:
            return await asyncio.to_thread(self._pipe.recv)
        except (EOFError, OSError) as error:
            raise LabError(f"{self._name} ended without an answer") from error


def _run(pipe: Connection, work: Callable[..., object], words: tuple[object, ...]) -> None:
    pipe.send("ready")
    pipe.recv()
    found: object
    try:
        found = work(Stop(pipe), *words)
    except Exception as error:  # noqa: BLE001 - handed to whoever waits for it
        found = error
    os.set_blocking(pipe.fileno(), True)  # an event loop that looked at it left it otherwise
    pipe.send(found)
