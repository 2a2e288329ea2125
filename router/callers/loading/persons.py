"""What the loading is handed of a feed, and how it is read a part ahead while the part before is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from router.callers.bands import AgeBands
from router.callers.generation import SHARED
from router.callers.keys import TAGS
from router.errors import RegistryError

_Item = TypeVar("_Item")


class Part(Protocol):
    """All persons of one hash tag, each once, by rising place and field; see `feed.spool.Part`."""

    @property
    def place(self) -> NDArray[np.uint32]:
        """Of each."""

    @property
    def field(self) -> NDArray[np.void]:
        """The same, six bytes each."""

    @property
    def value(self) -> NDArray[np.uint8]:
        """The same: band code and flags; 0 removes."""

    @property
    def repeated(self) -> int:
        """How many records repeated a person."""


class Persons(Protocol):
    """A feed that was read; see `feed.spool.Spool`."""

    @property
    def identity(self) -> str:
        """Tells its file from others."""

    def persons(self) -> Iterator[Part]:
        """The 64 parts, in the order of the tags. Reads files; may be asked for again."""

    def remove(self) -> None:
        """Remove what was kept of it."""


@asynccontextmanager
async def read_ahead(items: Iterator[_Item]) -> AsyncIterator[AsyncIterator[_Item]]:
    """Go through what is slow to come in a thread, one ahead of what is worked on."""
    upcoming: asyncio.Future[_Item | None] | None = None

    def ask() -> asyncio.Future[_Item | None]:
        return asyncio.ensure_future(asyncio.to_thread(next, items, None))

    async def each() -> AsyncIterator[_Item]:
        nonlocal upcoming
        upcoming = ask()
        # Shielded: a thread cannot be cancelled, and is waited for below.
        while (item := await asyncio.shield(upcoming)) is not None:
            upcoming = ask()
            yield item

    try:
        yield each()
    finally:
        if upcoming is not None:
            await asyncio.wait([upcoming])
            upcoming.cancelled() or upcoming.exception()  # told already, or of no interest any more


async def numbered(parts: AsyncIterator[Part], first: int) -> AsyncIterator[tuple[int, Part]]:
    """The parts from `first` on, each with its tag.

    Raises:
        RegistryError: They are not as many as tags.
    """
    number = first
    async for part in parts:
        yield number, part
        number += 1
    if number != TAGS:
        raise RegistryError(f"the feed was read into {number} parts, not {TAGS}; run the same command again")


class Counts:
    """How many callers have which band code."""

    def __init__(self) -> None:
        self._by_code = np.zeros(SHARED, np.int64)

    def add(self, part: Part) -> None:
        """Count a part's."""
        self._by_code += np.bincount(part.value & np.uint8(SHARED - 1), minlength=SHARED)

    @property
    def callers(self) -> int:
        """All."""
        return int(self._by_code[1:].sum())

    def by_code(self) -> dict[int, int]:
        """By code, those there are any of."""
        return {code: int(count) for code, count in enumerate(self._by_code) if code and count}

    def by_band(self, bands: AgeBands) -> dict[str, int]:
        """By the bands' names."""
        return {name: int(self._by_code[code]) for code, name in enumerate(bands.names, 1)}


def estimated(seen: list[Part], records: int) -> int:
    """How many callers there are among so many records, from the first parts: parts are fair samples.

    Exact when all parts were seen, and when no number is repeated.
    """
    distinct = sum(len(part.place) for part in seen)
    if len(seen) == TAGS or not distinct:
        return distinct
    return round(records * distinct / (distinct + sum(part.repeated for part in seen)))
