"""A manager interface on loopback that does what a test tells it to."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .wire import GREETING, message

Headers = dict[str, str]
Answer = Callable[[Headers], bytes | None]
"""From an action's headers to the bytes to send, or None to hang up."""

CHALLENGE = "840415273"


def success(action: Headers, *more: str) -> bytes:
    return message("Response: Success", f"ActionID: {action['ActionID']}", *more)


def error(action: Headers, text: str) -> bytes:
    return message("Response: Error", f"ActionID: {action['ActionID']}", f"Message: {text}")


def silence(_: Headers) -> bytes:
    return b""


def hang_up(_: Headers) -> None:
    return None


class FakeAsterisk:
    """Answers challenge, login, ping and logoff as Asterisk does; `answers` adds to these or replaces them.

    Attributes:
        actions: the headers of every action read, of all connections.
        greeting: sent to each that connects.
    """

    def __init__(self, *, secret: str = "secret5", tls: ssl.SSLContext | None = None) -> None:
        self.secret = secret
        self.greeting = GREETING
        self.actions: list[Headers] = []
        self.answers: dict[str, Answer] = {
            "Challenge": lambda action: success(action, f"Challenge: {CHALLENGE}"),
            "Login": self._login,
            "Ping": lambda action: success(action, "Ping: Pong", "Timestamp: 1700000000.250000"),
            "Logoff": lambda action: message("Response: Goodbye", f"ActionID: {action['ActionID']}"),
        }
        self.read = asyncio.Condition()
        self._tls = tls
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self.hang_up()
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def send(self, data: bytes) -> None:
        """Send to whoever connected last."""
        self._writers[-1].write(data)

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    def named(self, name: str) -> list[Headers]:
        return [action for action in self.actions if action["Action"] == name]

    async def has_read(self, name: str, count: int = 1) -> None:
        """Wait until as many actions of that name were read."""
        async with asyncio.timeout(5), self.read:
            await self.read.wait_for(lambda: len(self.named(name)) >= count)

    def _login(self, action: Headers) -> bytes:
        key = hashlib.md5((CHALLENGE + self.secret).encode(), usedforsecurity=False).hexdigest()
        if action.get("Secret") == self.secret or action.get("Key") == key:
            return success(action, "Message: Authentication accepted")
        return error(action, "Authentication failed")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(self.greeting)
        try:
            while raw := await reader.readuntil(b"\r\n\r\n"):
                lines = raw.decode().split("\r\n")[:-2]
                action = dict(line.split(": ", 1) for line in lines)
                self.actions.append(action)
                answer = self.answers.get(action["Action"], success)(action)
                if answer is None:
                    break
                writer.write(answer)
                async with self.read:
                    self.read.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
