"""The listening end of the control socket.

Who asks is taken from the kernel, never from what they say. Whatever is asked, and however, calls go on: every wait
has a deadline, connections are few, and what breaks is logged and costs that one request.
"""

from __future__ import annotations

import asyncio
import pwd
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from router.control.protocol import (
    MAX_REQUEST_BYTES,
    ErrorKind,
    Request,
    Unanswerable,
    read_request,
    unknown,
    write_answer,
    write_refusal,
)
from router.errors import ConfigurationError, Problem

SOCKET_MODE: Final = 0o660
"""The router's user and group: whoever may ask is a member of the group."""

MOST_CONNECTIONS: Final = 16
REQUEST_WITHIN_S: Final = 5.0
HANDLED_WITHIN_S: Final = 15.0
"""A promotion waits 5 s for its turn and then for three answers of Asterisk, 2 s each."""
SENT_WITHIN_S: Final = 5.0
STOP_PATIENCE_S: Final = 2.0

_PROBE_WITHIN_S = 1.0
_NAME_WITHIN_S = 1.0
_PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid; see unix(7)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, as the kernel and the user database know them."""

    uid: int
    pid: int
    user: str


Handler: TypeAlias = Callable[[Request, Peer], Awaitable[Mapping[str, object]]]
"""Does what one request asks, and returns the answer; raises Unanswerable. Its deadline is HANDLED_WITHIN_S."""


class ControlServer:
    """Listens for operators' requests. `serve` once, `stop`, then `remove` the socket whatever happened.

    Made before anything else is started, so that a second router does not begin to route.

    Args:
        path: Where the socket is; one that a dead router left behind is replaced.

    Raises:
        ConfigurationError: Another router answers there, or there is something that is no socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handlers: Mapping[str, Handler] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._server: asyncio.Server | None = None
        self._asking: set[asyncio.Task[None]] = set()
        """Connections whose request is not here yet."""
        self._connections: set[asyncio.Task[None]] = set()
        self._inode = 0
        self._socket = self._bound()

    async def serve(self, handlers: Mapping[str, Handler], tasks: asyncio.TaskGroup) -> None:
        """Answer requests until `stop`.

        Args:
            handlers: By the name that a request's `do` has.
            tasks: Runs the answering of each.
        """
        if self._socket is None:
            return
        self._handlers, self._tasks = handlers, tasks
        self._server = await asyncio.start_unix_server(
            self._connected, sock=self._socket, limit=MAX_REQUEST_BYTES, backlog=MOST_CONNECTIONS
        )
        log.info("control socket open", path=str(self.path))

    async def stop(self) -> None:
        """Take no more requests; finish those in hand, within STOP_PATIENCE_S."""
        if self._server is not None:
            self._server.close()
        for task in self._asking:
            task.cancel()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=STOP_PATIENCE_S)
            for task in late:
                task.cancel()

    def remove(self) -> None:
        """Remove the socket, unless another one stands there by now."""
        if self._socket is None:
            return
        self._socket.close()
        with suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()

    def _bound(self) -> socket.socket | None:
        """The socket, not yet listening. None if it cannot be made, which keeps no call from being routed."""
        try:
            _make_room(self.path)
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                bound.bind(str(self.path))
                # Nobody can connect before it listens, so the mode it had until here opens it to nobody.
                self.path.chmod(SOCKET_MODE)
                self._inode = self.path.lstat().st_ino
            except OSError:
                bound.close()
                raise
        except OSError as error:
            log.error(  # noqa: TRY400 - the reason says it all
                "control socket not opened, commands such as promote cannot reach this router",
                path=str(self.path),
                reason=str(error),
            )
            return None
        return bound

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tasks is None or len(self._connections) >= MOST_CONNECTIONS:
            busy = Unanswerable(ErrorKind.BUSY, f"{MOST_CONNECTIONS} requests are in hand already; try again")
            writer.write(write_refusal(busy))
            writer.close()
            return
        task = self._tasks.create_task(self._converse(reader, writer))
        self._asking.add(task)
        self._connections.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its request to its answer. Whatever goes wrong, the others go on."""
        try:
            try:
                reply = write_answer(await self._handled(reader, writer))
            except Unanswerable as why:
                reply = write_refusal(why)
            writer.write(reply)
            async with asyncio.timeout(SENT_WITHIN_S):
                await writer.drain()
        except OSError as error:  # a TimeoutError too
            log.info("operator went away", reason=str(error) or "the answer was not taken")
            writer.transport.abort()
        except Exception:
            log.exception("request not answered")
            writer.write(write_refusal(Unanswerable(ErrorKind.FAILED, "an error in the router; see its log")))
        finally:
            writer.close()

    async def _handled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Mapping[str, object]:
        line = await _line(reader)
        if (task := asyncio.current_task()) is not None:
            self._asking.discard(task)
        request = read_request(line)
        handler = self._handlers.get(request.do)
        if handler is None:
            raise unknown(request.do, self._handlers)
        peer = await _peer(writer)
        try:
            async with asyncio.timeout(HANDLED_WITHIN_S):
                return await handler(request, peer)
        except TimeoutError as error:
            log.warning("request given up", do=request.do, by=peer.user, after_s=HANDLED_WITHIN_S)
            message = f"it was not finished within {HANDLED_WITHIN_S:g} s; see the router's log"
            raise Unanswerable(ErrorKind.FAILED, message) from error
        except OSError as error:  # of what was asked for, not of this connection
            log.warning("request failed", do=request.do, by=peer.user, reason=str(error))
            raise Unanswerable(ErrorKind.FAILED, f"it could not be done: {error}") from error


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(REQUEST_WITHIN_S):
            return await reader.readuntil(b"\n")
    except TimeoutError as error:
        message = f"no request came within {REQUEST_WITHIN_S:g} s; send one line of JSON"
        raise Unanswerable(ErrorKind.BAD_REQUEST, message) from error
    except asyncio.LimitOverrunError as error:
        message = f"the request is longer than {MAX_REQUEST_BYTES} bytes"
        raise Unanswerable(ErrorKind.BAD_REQUEST, message) from error
    except asyncio.IncompleteReadError as error:
        raise Unanswerable(ErrorKind.BAD_REQUEST, "the request must be a line that ends with a line end") from error


async def _peer(writer: asyncio.StreamWriter) -> Peer:
    connection = writer.get_extra_info("socket")
    pid, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    user = f"uid {uid}"
    # In a thread: the user database may be a directory server that is slow, and calls must not wait for it.
    with suppress(KeyError, TimeoutError):
        async with asyncio.timeout(_NAME_WITHIN_S):
            user = (await asyncio.to_thread(pwd.getpwuid, uid)).pw_name
    return Peer(uid, pid, user)


def _make_room(path: Path) -> None:
    """Remove the socket of a router that is dead.

    Raises:
        ConfigurationError: It is not dead, or it is no socket.
        OSError: The path cannot be looked at.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise _wrong(path, "there is something here already that is no socket; name another file as `control.socket`")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_WITHIN_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except (TimeoutError, BlockingIOError):
            pass  # somebody listens there and has much to do
    raise _wrong(path, "another router answers on this socket; stop it first, two must not route the same calls")


def _wrong(path: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), 0, 0, message)])
