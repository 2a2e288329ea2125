"""Child processes, each stopped by its own process id, and servers made of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Self


class LabError(Exception):
    """Something of the lab could not be started; the message says what to do."""


class Child:
    """One running program, its output in a file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: Path) -> None:
        self.name = name
        self.process = process
        self.output = output

    @classmethod
    async def start(cls, name: str, command: Sequence[str], output: Path, cwd: Path | None = None) -> Child:
        """Start `command` with its standard output and error appended to the file `output`."""
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=cwd
            )
        return cls(name, process, output)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    def send(self, sig: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sig)

    async def stop(self, sig: signal.Signals = signal.SIGTERM, patience_s: float = 10.0) -> int:
        """End it: first with `sig`, after `patience_s` seconds with SIGKILL. Returns its exit status."""
        if self.running:
            self.send(signal.SIGCONT)
            self.send(sig)
            try:
                await asyncio.wait_for(self.process.wait(), patience_s)
            except TimeoutError:
                self.send(signal.SIGKILL)
        return await self.process.wait()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its output, for an error message."""
        with contextlib.suppress(OSError):
            return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])
        return ""


class Server:
    """A server of the lab: one child process that can be started again after it was stopped. A context manager."""

    name = "server"

    def __init__(self) -> None:
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        """Its process; LabError before the first start."""
        if self._child is None:
            raise LabError(f"{self.name} was not started")
        return self._child

    async def start(self) -> None:
        """Start it and wait until it can be used."""
        raise NotImplementedError

    async def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, if it was started; returns its exit status."""
        return await self._child.stop(sig) if self._child else 0

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
