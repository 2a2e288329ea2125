"""A server on a free loopback port that answers each command as a test says, also with what no Redis would say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import repeat

import hiredis

Command = list[bytes]
Answer = Callable[[Command], bytes | Awaitable[bytes]]
"""What goes back for one command; nothing hangs up."""

OK = b"+OK\r\n"
NIL = b"$-1\r\n"


def text(value: bytes | str) -> bytes:
    """As Redis writes a text."""
    value = value.encode() if isinstance(value, str) else value
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*parts: bytes) -> bytes:
    """As Redis writes an array of what is written already."""
    return b"*%d\r\n" % len(parts) + b"".join(parts)


def number(value: int) -> bytes:
    return b":%d\r\n" % value


class Answering:
    """See `answering`."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self._tls = tls
        self.asked: list[Command] = []
        self.reads = 0
        """How often something was read: so many round trips at most."""
        self.connections = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.name}/0"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)  # some are closing already
            await self._server.wait_closed()
            self._server = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        commands = hiredis.Reader()
        try:
            while received := await reader.read(1 << 20):
                commands.feed(received)
                seen = len(self.asked)
                while (command := commands.gets()) is not False:
                    if not (answer := await self._answered(command)):
                        return
                    writer.write(answer)
                self.reads += len(self.asked) > seen
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answered(self, command: Command) -> bytes:
        if b"SETINFO" in command:
            return OK
        self.asked.append(command)
        answer = self.answer(command)
        return answer if isinstance(answer, bytes) else await answer


@asynccontextmanager
async def answering(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Answering]:
    """A server for as long as the context lasts; `answer` may be one for everything."""
    server = Answering((lambda _: answer) if isinstance(answer, bytes) else answer, tls)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def never(_command: Command) -> bytes:
    """Hangs."""
    await asyncio.Event().wait()
    return b""


async def gone() -> str:
    """Where nobody listens: `host:port`."""
    async with answering(OK) as server:
        return server.name


def tasks_named(*names: str) -> set[str]:
    """Of those names the tasks that still run."""
    return {task.get_name() for task in asyncio.all_tasks()} & set(names)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    async with asyncio.timeout(5):
        for pause_s in repeat(0.001):
            if holds():
                return
            await asyncio.sleep(pause_s)
