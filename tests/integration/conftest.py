"""Real servers for every test in this folder: Asterisk, Redis, SIP phones, the router."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lab.asterisk_server import AsteriskServer
from lab.centre import Centre
from lab.phones import Call, Placed, place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/integration" in str(item.path):
            item.add_marker(pytest.mark.integration)


@pytest_asyncio.fixture
async def centre_of(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes call centres that end with the test: `await centre_of(rules="…", agents=…)`."""
    async with AsyncExitStack() as stack:

        async def make(*, rules: str | None = None, name: str = "centre", **options: Any) -> Centre:  # noqa: ANN401
            directory = tmp_path / name
            directory.mkdir()
            if rules is not None:
                file = directory / "routing.yaml"
                file.write_text(rules)
                options["rules"] = file
            return await stack.enter_async_context(Centre(directory, **options))

        yield make


class Callers:
    """Places calls in the background, each from a SIPp of its own, and remembers them."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._count = 0
        self._tasks: list[asyncio.Task[Placed]] = []

    def call(self, caller: str, called: str = "95500", **options: Any) -> asyncio.Task[Placed]:  # noqa: ANN401
        """Place one call; the task ends when the call does."""
        self._count += 1
        call = Call(caller, called, options.pop("display_name", ""), media_port=options.pop("media_port", 6000))
        directory = self._centre.directory / f"sipp{self._count}"
        task = asyncio.create_task(place(directory, self._centre.asterisk.sip_port, [call], **options))
        self._tasks.append(task)
        return task

    async def all_ended(self) -> list[Placed]:
        """Wait for the end of all calls."""
        return await asyncio.gather(*self._tasks)

    async def hang_up(self) -> None:
        """End all that still talk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest_asyncio.fixture
async def one_asterisk(tmp_path: Path) -> AsyncIterator[AsteriskServer]:
    """An Asterisk alone, with the shipped dialplan and AMI user."""
    async with AsteriskServer(tmp_path / "asterisk", agents={"agent1": 9}, members={"agents": ["agent1"]}) as server:
        yield server
