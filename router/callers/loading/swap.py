"""Changing a key only if it still holds what it held, with the commands that any Redis user has: no script."""

from __future__ import annotations

from typing import Final

from router.callers.generation import Generation, read_generation
from router.callers.keys import REGISTRY_KEY
from router.callers.loading.lines import Line, Lines, accepted
from router.callers.servers.wire import Command
from router.errors import RegistryError

CHANGED_MEANWHILE: Final = (
    "somebody changed elder:registry in Redis meanwhile, so that nothing was switched; run the same command again"
)


async def swap(line: Line, key: str, expected: bytes | None, command: Command) -> bool:
    """Run one command on a key if it holds `expected`, None for nothing; returns whether it did."""
    _, held = [accepted(reply) for reply in await line.ask(("WATCH", key), ("GET", key))]
    if held != expected:
        await line.get("UNWATCH")
        return False
    # Of refusals the command's own comes first, which says more than that nothing was executed.
    *_, done = [accepted(reply) for reply in await line.ask(("MULTI",), command, ("EXEC",))]
    return done is not None


async def text_in_force(lines: Lines) -> bytes | None:
    """What stands under `elder:registry`."""
    held = await (await lines.to(REGISTRY_KEY)).get("GET", REGISTRY_KEY)
    return held if isinstance(held, bytes) else None


def in_force(text: bytes | None) -> Generation | None:
    """The same, read.

    Raises:
        RegistryError: It is not ours, or of a newer format.
    """
    return None if text is None else read_generation(text)


async def put_in_force(lines: Lines, expected: bytes | None, new: bytes) -> None:
    """Write `elder:registry`, from where on it is what counts.

    Raises:
        RegistryError: It was not `expected` any more, or Redis could not be asked.
    """

    async def once() -> bool:
        line = await lines.to(REGISTRY_KEY)
        # If the answer to an earlier try was lost, it may have been done.
        return await swap(line, REGISTRY_KEY, expected, ("SET", REGISTRY_KEY, new)) or await text_in_force(lines) == new

    if not await lines.persistently(once):
        raise RegistryError(CHANGED_MEANWHILE)
