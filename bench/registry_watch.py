"""What happens while callers are loaded: the importer's memory, its folder, Redis, and the moment of the switch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from rich.console import Console

from lab.processes import LabError
from router.callers.keys import REGISTRY_KEY

_LOOK_S: Final = 0.05
_LOOK_AT_MEMORY_S: Final = 0.3
_PAUSES: Final = 25
"""The kernel walks all pages for that: however many there are, it takes a few percent of a core at most."""
_SAY_S: Final = 10.0
_CAME_BYTES: Final = 256 * 1024
"""Redis has grown by more than connections take: callers are coming."""
MIB: Final = 2**20


@dataclass(slots=True)
class Watched:
    """What was seen. Times are those of `time.monotonic`, 0 for what did not happen yet.

    Attributes:
        began: When the watch began.
        came: When the first callers were in Redis.
        switched: When `elder:registry` was another than at the beginning.
        peak_pss_bytes, peak_anonymous_bytes: Of the process and its children, shared pages counted once.
        spool_bytes: The most that lay in the folder.
    """

    began: float = field(default_factory=time.monotonic)
    came: float = 0.0
    switched: float = 0.0
    peak_pss_bytes: int = 0
    peak_anonymous_bytes: int = 0
    spool_bytes: int = 0


@asynccontextmanager
async def watching(client: Redis, pid: int, folder: Path, console: Console, say: str) -> AsyncIterator[Watched]:
    """Watch Redis, a process with its children, and a folder, while the block runs; tell of it now and then."""
    watch = _Watch(client, await client.get(REGISTRY_KEY), await used_bytes(client))
    watches = [
        asyncio.ensure_future(part) for part in (watch.redis(), watch.memory(pid, folder), watch.tell(console, say))
    ]
    try:
        yield watch.watched
    finally:
        for part in watches:
            part.cancel()
        for ended in await asyncio.gather(*watches, return_exceptions=True):
            if isinstance(ended, Exception):
                raise LabError(f"{say}: what happened cannot be told: {ended!r}") from ended


class _Watch:
    def __init__(self, client: Redis, text_before: object, bytes_before: int) -> None:
        self.watched = Watched()
        self._client = client
        self._text_before = text_before
        self._bytes_before = bytes_before
        self._grown_bytes = 0

    async def redis(self) -> None:
        watched = self.watched
        while True:
            async with self._client.pipeline(transaction=False) as asked:
                asked.get(REGISTRY_KEY)
                asked.info("memory")
                text, memory = await asked.execute()
            now = time.monotonic()
            self._grown_bytes = memory["used_memory"] - self._bytes_before
            if not watched.came and self._grown_bytes > _CAME_BYTES:
                watched.came = now
            if not watched.switched and text != self._text_before:
                watched.switched = now
            await asyncio.sleep(_LOOK_S)

    async def memory(self, pid: int, folder: Path) -> None:
        watched = self.watched
        while True:
            began = time.monotonic()
            pss, anonymous = await asyncio.to_thread(_memory_of_all, pid)
            watched.peak_pss_bytes = max(watched.peak_pss_bytes, pss)
            watched.peak_anonymous_bytes = max(watched.peak_anonymous_bytes, anonymous)
            watched.spool_bytes = max(watched.spool_bytes, await asyncio.to_thread(_size_of, folder))
            await asyncio.sleep(max(_LOOK_AT_MEMORY_S, _PAUSES * (time.monotonic() - began)))

    async def tell(self, console: Console, say: str) -> None:
        watched = self.watched
        while True:
            await asyncio.sleep(_SAY_S)
            state = "switched" if watched.switched else "storing" if watched.came else "reading"
            spool, grown, peak = (
                f"{size_bytes / MIB:,.0f} MiB"
                for size_bytes in (watched.spool_bytes, self._grown_bytes, watched.peak_pss_bytes)
            )
            console.print(
                f"    {say}, {time.monotonic() - watched.began:.0f} s: {state}; spool {spool}, Redis grown by {grown}, "
                f"importer at most {peak}"
            )


async def used_bytes(client: Redis) -> int:
    """What Redis holds, by its own account."""
    return int((await client.info("memory"))["used_memory"])


async def settled_bytes(client: Redis) -> tuple[int, int]:
    """What Redis holds once buffers of connections that were closed are freed, and what the system gave to it."""
    memory: dict[str, Any] = await client.info("memory")
    for _ in range(50):
        await asyncio.sleep(0.1)
        before, memory = memory, await client.info("memory")
        if abs(memory["used_memory"] - before["used_memory"]) < 16 * 1024:
            break
    return int(memory["used_memory"]), int(memory["used_memory_rss"])


async def wait_until(what: str, patience_s: float, done: Callable[[], bool]) -> None:
    """Wait until `done`.

    Raises:
        LabError: It was not after `patience_s`.
    """
    ends = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > ends:
            raise LabError(f"{what} was not done after {patience_s:.0f} s")
        await asyncio.sleep(0.02)


def _memory_of_all(pid: int) -> tuple[int, int]:
    """Memory of a process and its children, all pages and anonymous ones, by proc(5), smaps_rollup."""
    pss = anonymous = 0
    waiting = [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        with suppress(OSError):  # ended meanwhile
            for line in (folder / "smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name == "Pss":
                    pss += int(rest.split()[0]) * 1024
                elif name == "Pss_Anon":
                    anonymous += int(rest.split()[0]) * 1024
            for thread in (folder / "task").iterdir():
                waiting.extend(map(int, (thread / "children").read_text().split()))
    return pss, anonymous


def _size_of(folder: Path) -> int:
    size = 0
    with suppress(OSError):
        for path in folder.rglob("*"):
            with suppress(OSError):
                size += path.stat().st_size
    return size
