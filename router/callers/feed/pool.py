"""Blocks to processes that read and hash them, and their runs back, in the order of the blocks.

A process has one block at a time, and none is read ahead by more than there are processes: that bounds the memory.
Each is held by a pipe only. When this process is gone, however it went, the pipe ends, and the worker with it, after
its block at most.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final, cast

import pyarrow as pa

from router.callers.feed.block import BlockReader, Records, Tally
from router.callers.feed.rows import Columns, RowRules
from router.callers.feed.runs import write_run
from router.callers.feed.source import Block
from router.callers.pseudonym import CallerSecret

_STOP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class BlockWork:
    """All that is needed to make runs of blocks. Can be sent to another process."""

    rules: RowRules
    secret: CallerSecret
    columns: Columns | None
    separator: str
    delta: bool
    folder: Path


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a block: the name of its unfinished run, how rows were read, the rejected ones."""

    run: str
    tally: Tally
    rejects: bytes


class WorkerLostError(Exception):
    """A process ended that should not have."""


class BlockWorker:
    """Makes runs of blocks, in this process."""

    def __init__(self, work: BlockWork) -> None:
        self._work = work
        self._reader = BlockReader(work.rules, work.secret.many(), delta=work.delta)

    def run_of(self, data: bytes, first: int) -> Done:
        """Read a block and write its run.

        Raises:
            OSError: It cannot be written.
        """
        records = self._read(data, first)
        return Done(write_run(self._work.folder, records), records.tally, records.rejects)

    def _read(self, data: bytes, first: int) -> Records:
        columns = self._work.columns
        if columns is not None:
            return self._reader.lines(data, columns, self._work.separator, first)
        with pa.ipc.open_stream(data) as stream:
            table = stream.read_all().combine_chunks()
        texts = {name: table[name].combine_chunks() for name in table.column_names}
        return self._reader.texts(texts, first)


def runs_here(blocks: Iterator[Block], work: BlockWork) -> Generator[tuple[Block, Done]]:
    """Each block and what became of it, without other processes.

    Raises:
        OSError: A run cannot be written.
    """
    worker = BlockWorker(work)
    for block in blocks:
        yield block, worker.run_of(block.data, block.first)


def runs_by_processes(blocks: Iterator[Block], work: BlockWork, workers: int) -> Generator[tuple[Block, Done]]:
    """Each block and what became of it, in order, worked on by so many processes.

    Raises:
        OSError: A run cannot be written.
        WorkerLostError: A process was killed.
    """
    pool = _Pool(work, workers)
    try:
        yield from pool.run(blocks)
    finally:
        pool.stop()


class _Pool:
    def __init__(self, work: BlockWork, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._pipes: list[Connection] = []
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, work), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)

    def run(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, Done]]:
        idle = list(self._pipes)
        busy: dict[Connection, int] = {}
        waiting: dict[int, Block] = {}
        done: dict[int, Done] = {}
        sent = given = 0
        exhausted = False
        while True:
            # What is finished out of turn waits, and is bounded like what is being worked on.
            while idle and not exhausted and sent - given < 2 * len(self._pipes):
                block = next(blocks, None)
                if block is None:
                    exhausted = True
                    break
                pipe = idle.pop()
                self._send(pipe, block)
                busy[pipe] = sent
                waiting[sent] = Block(b"", block.first, block.rows, block.end)
                sent += 1
            while given in done:
                yield waiting.pop(given), done.pop(given)
                given += 1
            if not busy:
                if exhausted:
                    return
                continue
            for ready in cast("list[Connection]", wait(list(busy))):
                done[busy.pop(ready)] = self._received(ready)
                idle.append(ready)

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_STOP_S)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()

    def _send(self, pipe: Connection, block: Block) -> None:
        try:
            pipe.send(block.first)
            pipe.send_bytes(block.data)
        except OSError as error:
            raise WorkerLostError from error

    def _received(self, pipe: Connection) -> Done:
        try:
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerLostError from error
        if isinstance(answer, OSError):
            raise answer
        if not isinstance(answer, Done):
            raise WorkerLostError(str(answer))
        return answer


def _work(pipe: Connection, work: BlockWork) -> None:
    # A Ctrl-C reaches all processes of the terminal; the one that reads the file ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    worker = BlockWorker(work)
    while True:
        try:
            first = pipe.recv()
            data = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        answer: Done | OSError
        try:
            answer = worker.run_of(data, first)
        except OSError as error:
            answer = OSError(error.errno or errno.EIO, error.strerror or os.strerror(errno.EIO))
        except MemoryError:
            answer = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        try:
            pipe.send(answer)
        except OSError:
            return
