"""Reading a file for long in a thread, so that the lock is prolonged meanwhile, and it can be stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from router.callers.loading.steps import Step, Watch
from router.errors import RouterError

_Done = TypeVar("_Done")


async def in_thread(work: Callable[[Watch], _Done], watch: Watch) -> _Done:
    """Do it; it tells each step to what it is handed, and is stopped there when this task is cancelled."""
    loop = asyncio.get_running_loop()
    stopped = threading.Event()

    def told(step: Step) -> None:
        if stopped.is_set():
            raise _StoppedError
        loop.call_soon_threadsafe(watch, step)

    working = asyncio.ensure_future(asyncio.to_thread(work, told))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stopped.set()
        with suppress(_StoppedError, RouterError):
            await working  # until the block that is being read is done
        raise


class _StoppedError(Exception):
    """It is being stopped."""
