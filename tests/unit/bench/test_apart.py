"""Work in a process of its own: its answer comes back, its failure too, and nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
import uvloop

from bench.apart import Apart, Stop
from lab.processes import LabError

MUCH_BYTES = 20_000_000


def doubled(_stop: Stop, number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def failing(_stop: Stop) -> None:
    raise ValueError("nobody can do that")


def dying(_stop: Stop) -> None:
    os._exit(3)


def until_stopped(stop: Stop) -> str:
    while not stop:
        time.sleep(0.001)
    return "stopped"


def much_after_a_loop_watched(stop: Stop) -> bytes:
    loop = uvloop.new_event_loop()
    loop.add_reader(stop.descriptor, loop.stop)
    loop.run_until_complete(asyncio.sleep(0))
    loop.remove_reader(stop.descriptor)
    loop.close()
    return bytes(MUCH_BYTES)


def for_ever(_stop: Stop, file: Path) -> None:
    file.write_text(str(os.getpid()))
    time.sleep(3600)


async def test_the_answer_is_of_another_process() -> None:
    async with Apart("doubling", doubled, 21) as apart:
        apart.begin()
        answer, pid = await apart.answer()
    assert answer == 42
    assert pid != os.getpid()


async def test_a_failure_is_told_with_what_failed() -> None:
    async with Apart("the impossible", failing) as apart:
        apart.begin()
        with pytest.raises(LabError, match="the impossible failed: ValueError: nobody can do that"):
            await apart.answer()


async def test_a_process_that_dies_is_told() -> None:
    async with Apart("dying", dying) as apart:
        apart.begin()
        with pytest.raises(LabError, match="dying ended without an answer"):
            await apart.answer()


async def test_it_can_be_told_to_end() -> None:
    async with Apart("waiting", until_stopped) as apart:
        apart.begin()
        assert await apart.end() == "stopped"


async def test_a_large_answer_comes_whole_though_an_event_loop_looked_at_the_pipe() -> None:
    async with Apart("much", much_after_a_loop_watched) as apart:
        apart.begin()
        await asyncio.sleep(0.2)  # the pipe is full by now
        assert len(await apart.answer()) == MUCH_BYTES


async def test_leaving_ends_what_does_not_end_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    async with Apart("for ever", for_ever, file) as apart:
        apart.begin()
        deadline = time.monotonic() + 20
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
