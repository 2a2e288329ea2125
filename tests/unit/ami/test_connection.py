from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from asterisk.ami import Event, SimpleAction
from structlog.testing import capture_logs

from router.ami import connection as connection_module
from router.ami.connection import MAX_WRITE_BUFFER_BYTES, Connection
from router.ami.session import Exchange, Session
from router.errors import AmiLinkLost, AmiProtocolError, AmiTimeout, AmiValueError

from .wire import GREETING, message

PING = SimpleAction("Ping")


class RecordingTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.writes = asyncio.Semaphore(0)
        self.unread_bytes = 0
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self.writes.release()

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes

    def abort(self) -> None:
        self.aborted = True


def connected(on_event: Callable[[Event], None] = lambda _: None) -> tuple[Connection, RecordingTransport]:
    connection = Connection(Session({"Wanted"}, prefix="p"), on_event)
    transport = RecordingTransport()
    connection.connection_made(transport)
    connection.data_received(GREETING)
    return connection, transport


def success(action_id: str) -> bytes:
    return message("Response: Success", f"ActionID: {action_id}")


async def start(
    connection: Connection, transport: RecordingTransport, actions: list[SimpleAction]
) -> asyncio.Task[Exchange]:
    """Begin an exchange; return when it has been written."""
    task = asyncio.create_task(connection.exchange(actions, timeout_s=5))
    async with asyncio.timeout(5):
        await transport.writes.acquire()
    return task


async def test_a_batch_is_one_write_in_order_and_returns_with_its_last_answer() -> None:
    connection, transport = connected()
    assert await connection.greeting == "Asterisk Call Manager/11.0.0"
    actions = [SimpleAction("Setvar", Variable=f"V{i}", Value="x") for i in range(7)]
    task = await start(connection, transport, actions)
    assert len(transport.written) == 1
    assert [line for line in transport.written[0].split(b"\r\n") if b"Variable" in line] == [
        f"Variable: V{i}".encode() for i in range(7)
    ]
    for i in range(1, 8):
        assert not task.done()
        connection.data_received(success(f"p-{i}"))
    assert [response.keys["ActionID"] for response in (await task).responses] == [f"p-{i}" for i in range(1, 8)]


async def test_no_answer_in_time_is_a_timeout_and_the_late_one_is_dropped() -> None:
    connection, _ = connected()
    with pytest.raises(AmiTimeout, match="Ping was not answered within"):
        await connection.exchange([PING], timeout_s=0.01)
    with pytest.raises(AmiTimeout, match=r"2 of 2 actions \(Ping, …\)"):
        await connection.exchange([PING, PING], timeout_s=0.01)
    connection.data_received(success("p-1"))
    assert connection._session.counts.unknown_responses == 1
    assert connection._waiters == {}
    assert connection._session._awaiting == {}


async def test_a_cancelled_request_is_forgotten_and_stays_cancelled() -> None:
    connection, transport = connected()
    task = await start(connection, transport, [PING])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    connection.data_received(success("p-1"))
    assert connection._waiters == {}
    assert connection._session._awaiting == {}


async def test_an_answer_to_a_request_cancelled_in_the_same_turn_breaks_nothing() -> None:
    connection, transport = connected()
    task = await start(connection, transport, [PING])
    task.cancel()
    connection.data_received(success("p-1"))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection._waiters == {}


async def test_what_waits_fails_at_once_when_the_connection_is_lost() -> None:
    connection, transport = connected()
    tasks = [await start(connection, transport, [PING]) for _ in range(3)]
    connection.connection_lost(None)
    for task in tasks:
        with pytest.raises(AmiLinkLost, match="Asterisk closed the connection"):
            await task
    assert isinstance(await connection.lost, AmiLinkLost)
    with pytest.raises(AmiLinkLost, match="Asterisk closed"):
        await connection.exchange([PING], timeout_s=60)
    assert len(transport.written) == 3
    assert connection._session._awaiting == {}


async def test_an_answer_ahead_of_the_end_still_counts() -> None:
    connection, transport = connected()
    task = await start(connection, transport, [PING])
    connection.data_received(success("p-1"))
    connection.connection_lost(ConnectionResetError("reset"))
    assert (await task).responses[0].status == "Success"
    assert "reset" in str(await connection.lost)


async def test_an_action_that_cannot_be_sent_writes_nothing() -> None:
    connection, transport = connected()
    with pytest.raises(AmiValueError):
        await connection.exchange([PING, SimpleAction("Setvar", Value="\n")], timeout_s=5)
    assert transport.written == []


async def test_a_peer_that_does_not_read_is_dropped() -> None:
    connection, transport = connected()
    transport.unread_bytes = MAX_WRITE_BUFFER_BYTES - 100
    first = await start(connection, transport, [PING])
    transport.unread_bytes += 60
    with pytest.raises(AmiLinkLost, match="Asterisk does not read: 1048536 bytes"):
        await connection.exchange([PING, PING], timeout_s=60)
    assert transport.aborted
    assert len(transport.written) == 1
    with pytest.raises(AmiLinkLost, match="does not read"):
        await first
    assert connection._session._awaiting == {}


async def test_an_event_callback_that_raises_is_logged_once_and_loses_no_event() -> None:
    seen: list[str] = []

    def on_event(event: Event) -> None:
        number = str(event.keys["N"])
        seen.append(number)
        if number == "1":
            raise RuntimeError("a bug in the owner")

    connection, transport = connected(on_event)
    task = await start(connection, transport, [PING])
    stream = b"".join(message("Event: Wanted", f"N: {i}") for i in range(4))
    with capture_logs() as logs:
        connection.data_received(stream + success("p-1"))
    assert seen == ["0", "1", "2", "3"]
    assert (await task).responses
    assert [entry["event"] for entry in logs] == ["event callback failed"]


async def test_a_peer_that_breaks_the_protocol_is_dropped() -> None:
    connection = Connection(Session(()), lambda _: None)
    transport = RecordingTransport()
    connection.connection_made(transport)
    connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
    assert transport.aborted
    assert isinstance(await connection.lost, AmiProtocolError)
    with pytest.raises(AmiProtocolError, match="did not greet"):
        await connection.greeting
    connection.data_received(GREETING)  # what was on its way still comes: nobody's any more


async def test_a_connection_dropped_while_it_is_made_is_closed() -> None:
    connection = Connection(Session(()), lambda _: None)
    with pytest.raises(AmiLinkLost, match="not connected yet"):
        await connection.exchange([PING], timeout_s=1)
    await connection.close()
    transport = RecordingTransport()
    connection.connection_made(transport)
    assert transport.aborted


async def test_closing_ends_when_the_loop_never_tells_that_the_socket_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT_S", 0.01)
    connection, transport = connected()
    async with asyncio.timeout(5):
        await connection.close()
    assert transport.aborted
