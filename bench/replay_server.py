"""A stand-in for Asterisk's manager interface that replays recorded calls as fast as they are answered.

It runs in a process of its own. It answers every action at once, and takes a call for decided when ELDER_TARGET is
set on its channel: then it sends what followed in the recording, and the next call's request. All messages are made
before the clock starts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from bench.population import Resident
from bench.stream import END, RecordedCalls

GREETING = b"Asterisk Call Manager/11.0.0\r\n"


@dataclass(frozen=True, slots=True)
class Replay:
    """What to replay: `calls` calls from these callers, `outstanding` at a time.

    Those of a replay with `hold` are told to have joined a queue, and never end.
    """

    residents: list[Resident]
    calls: int
    outstanding: int
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """How it went: `took_s` is from the first request to the last decision; counts are of AMI messages."""

    took_s: float
    server_cpu_s: float
    events: int
    actions: int


class ReplayServer(asyncio.Protocol):
    """The one connection of the daemon."""

    def __init__(self, recorded: RecordedCalls) -> None:
        self._recorded = recorded
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._token = b""
        self._serial = 0
        self._requests: deque[bytes] = deque()
        self._rest: dict[bytes, bytes] = {}
        self._events = self._actions = 0
        self._waiting = 0
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass of asyncio's
        self._write(GREETING)

    def data_received(self, data: bytes) -> None:
        *actions, self._buffer = (self._buffer + data).split(END)
        out: list[bytes] = []
        for action in actions:
            self._actions += 1
            start = action.find(b"\r\nActionID: ") + 12
            end = action.find(b"\r\n", start)
            action_id = action[start:end] if end >= 0 else action[start:]
            if not action.startswith(b"Action: Setvar\r\n"):
                out.append(self._answer(action, action_id))
                continue
            out.append(b"Response: Success\r\nActionID: %b\r\nMessage: Variable Set\r\n\r\n" % action_id)
            if b"\r\nVariable: ELDER_TARGET\r\n" in action:
                self._decided(_value(action, b"\r\nChannel: "), out)
            elif b"\r\nVariable: ELDER_TOKEN\r\n" in action:
                self._token = _value(action, b"\r\nValue: ")
        self._write(b"".join(out))

    async def replay(self, asked: Replay) -> Replayed:
        """Replay calls until all are decided."""
        self._prepare(asked)
        self._events = self._actions = 0
        self._done = asyncio.get_running_loop().create_future()
        first = [self._requests.popleft() for _ in range(min(asked.outstanding, asked.calls))]
        self._waiting = asked.calls
        began, cpu_before = time.perf_counter(), time.process_time()
        self._events += len(first)
        self._write(b"".join(first))
        await self._done
        return Replayed(
            took_s=time.perf_counter() - began,
            server_cpu_s=time.process_time() - cpu_before,
            events=self._events,
            actions=self._actions,
        )

    def _prepare(self, asked: Replay) -> None:
        self._rest.clear()
        for index in range(asked.calls):
            who = asked.residents[index % len(asked.residents)]
            self._serial += 1
            messages = self._recorded.of(who).replayed(self._serial, who, self._token)
            self._requests.append(messages[0])
            rest = messages[1:2] if asked.hold else messages[1:]
            self._rest[b"PJSIP/anonymous-%08x" % self._serial] = b"".join(rest)

    def _decided(self, channel: bytes, out: list[bytes]) -> None:
        rest = self._rest.pop(channel)
        self._events += rest.count(END)
        out.append(rest)
        self._waiting -= 1
        if self._requests:
            self._events += 1
            out.append(self._requests.popleft())
        if not self._waiting and self._done is not None:
            self._done.set_result(None)

    def _answer(self, action: bytes, action_id: bytes) -> bytes:
        name = action[len(b"Action: ") : action.find(b"\r\n")]
        answer = b"Response: Success\r\nActionID: %b\r\n" % action_id
        match name:
            case b"Challenge":
                return answer + b"Challenge: 123456789\r\n\r\n"
            case b"Ping":
                return answer + b"Ping: Pong\r\nTimestamp: %.6f\r\n\r\n" % time.time()
            case b"Getvar":
                return answer + b"Variable: %b\r\nValue: \r\n\r\n" % _value(action, b"\r\nVariable: ")
            case b"Status" | b"QueueStatus":
                complete = b"Event: %bComplete\r\nActionID: %b\r\nEventList: Complete\r\nListItems: 0\r\n\r\n"
                return answer + b"EventList: start\r\n\r\n" + complete % (name, action_id)
        return answer + b"Message: Authentication accepted\r\n\r\n"

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


def serve(orders: Connection[Any, Any], recorded: RecordedCalls) -> None:
    """Serve until `None` is ordered; answers each order (a Replay) with how it went. Says its port first."""
    uvloop.run(_serve(orders, recorded))


async def _serve(orders: Connection[Any, Any], recorded: RecordedCalls) -> None:
    loop = asyncio.get_running_loop()
    server = ReplayServer(recorded)
    listener = await loop.create_server(lambda: server, "127.0.0.1", 0)
    orders.send(listener.sockets[0].getsockname()[1])
    while (order := await loop.run_in_executor(None, orders.recv)) is not None:
        orders.send(await server.replay(order))


def _value(action: bytes, header: bytes) -> bytes:
    start = action.find(header)
    if start < 0:
        return b""
    start += len(header)
    end = action.find(b"\r\n", start)
    return action[start:] if end < 0 else action[start:end]
