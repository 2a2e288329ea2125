"""What AMI clients manage that do nothing but read the stream that the daemon decides by.

Each runs in a process of its own and counts events in its callback. The stream is written by another process on the
other core, as fast as it is read.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import structlog
import uvloop
from rich.console import Console

from bench.machine import pin
from bench.plan import Plan
from bench.population import population
from bench.replay_server import GREETING
from bench.stream import END, RecordedCalls
from lab.processes import LabError
from router.ami.link import Link, LinkSettings
from router.calls.events import WANTED_EVENTS

READER_CORE, WRITER_CORE = 0, 1
USER, SECRET = "elder-router", "the writer takes any"
_START_S = 15.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one client read: `took_s` and `cpu_s` are from the first message to the last."""

    client: str
    messages: int
    took_s: float
    cpu_s: float
    messages_per_call: float

    @property
    def per_s(self) -> float:
        """Messages a second."""
        return self.messages / self.took_s if self.took_s else float("nan")

    @property
    def calls_per_s(self) -> float:
        """As many calls a second have so many messages."""
        return self.per_s / self.messages_per_call


class Counter:
    """Counts messages. `done` is set at the last one."""

    def __init__(self, expected: int) -> None:
        self.done = threading.Event()
        self.count = 0
        self._expected = expected
        self._began = self._ended = (0.0, 0.0)

    def __call__(self, *_: object, **__: object) -> None:
        """Count one message; takes whatever a client's callback is given."""
        self.count += 1
        if self.count == 1:
            self._began = self._now()
        if self.count == self._expected:
            self._ended = self._now()
            self.done.set()

    def result(self) -> tuple[int, float, float]:
        """Messages after the first one, seconds, and seconds of processor time, so far if it is not done."""
        ended = self._ended if self.done.is_set() else self._now()
        return self.count - 1, ended[0] - self._began[0], ended[1] - self._began[1]

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()


def read_with_asterisk_ami(port: int, counter: Counter, limit_s: float) -> None:
    # Not a typed import: the project's stub of this package has only what the router uses of it.
    client = importlib.import_module("asterisk.ami").AMIClient(address="127.0.0.1", port=port)
    client.add_event_listener(counter)
    client.login(USER, SECRET)
    counter.done.wait(limit_s)


def read_with_pyst2(port: int, counter: Counter, limit_s: float) -> None:
    manager = importlib.import_module("asterisk.manager").Manager()
    manager.register_event("*", counter)
    manager.connect("127.0.0.1", port)
    manager.login(USER, SECRET)
    counter.done.wait(limit_s)


def read_with_panoramisk(port: int, counter: Counter, limit_s: float) -> None:
    async def read() -> None:
        manager = importlib.import_module("panoramisk").Manager(
            host="127.0.0.1", port=port, username=USER, secret=SECRET, loop=asyncio.get_running_loop()
        )
        manager.register_event("*", counter)
        await manager.connect()
        await _until(counter, limit_s)

    logging.disable()
    asyncio.run(read())


def read_with_own_link(port: int, counter: Counter, limit_s: float) -> None:
    async def read() -> None:
        settings = LinkSettings("pbx1", "127.0.0.1", USER, SECRET, port, auth="plain")
        link = Link(settings, wanted_events=WANTED_EVENTS, on_event=counter)
        running = asyncio.create_task(link.run())
        await _until(counter, limit_s)
        running.cancel()

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    uvloop.run(read())


async def _until(counter: Counter, limit_s: float) -> None:
    await asyncio.to_thread(counter.done.wait, limit_s)


CLIENTS: dict[str, Callable[[int, Counter, float], None]] = {
    "elder-router's own link": read_with_own_link,
    "asterisk-ami": read_with_asterisk_ami,
    "panoramisk": read_with_panoramisk,
    "pyst2": read_with_pyst2,
}


def _read(client: str, port: int, expected: int, limit_s: float, results: Connection[Any, Any]) -> None:
    pin(os.getpid(), READER_CORE)
    counter = Counter(expected)
    CLIENTS[client](port, counter, limit_s)
    results.send(counter.result())
    results.close()
    os._exit(0)  # some of them leave threads behind that never end


def write_stream(ports: Connection[Any, Any], recorded: RecordedCalls, calls: int) -> None:
    """Send the stream to each that connects and logs in, one after the other, for ever."""
    pin(os.getpid(), WRITER_CORE)
    stream = b"".join(recorded.stream(population(), calls))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports.send((listener.getsockname()[1], stream.count(END)))
        while True:
            peer, _ = listener.accept()
            with peer:
                try:
                    _write(peer, stream)
                except OSError:  # it was cut off for taking too long
                    continue


def _write(peer: socket.socket, stream: bytes) -> None:
    peer.sendall(GREETING)
    _answer(peer)
    peer.sendall(stream)
    while _answer(peer):
        pass


def _answer(peer: socket.socket) -> bool:
    """Say yes to what the client asks next, a login or a ping; False when it has hung up."""
    action = b""
    while not action.endswith(END):
        if not (received := peer.recv(65536)):
            return False
        action += received
    start = action.find(b"ActionID: ")
    line = action[start : action.find(b"\r\n", start)]
    peer.sendall(b"Response: Success\r\n%b\r\nMessage: accepted\r\n\r\n" % line)
    return True


async def measure_readers(recorded: RecordedCalls, plan: Plan, console: Console) -> list[Reading]:
    """Have each client read the stream."""
    console.print("[bold]==>[/] clients that only read the same stream")
    return await asyncio.to_thread(_measure, recorded, plan, console)


def _measure(recorded: RecordedCalls, plan: Plan, console: Console) -> list[Reading]:
    spawn = multiprocessing.get_context("spawn")
    ports, theirs = spawn.Pipe()
    writer = spawn.Process(target=write_stream, args=(theirs, recorded, plan.stream_calls), daemon=True)
    writer.start()
    readings = []
    try:
        if not ports.poll(_START_S):
            raise LabError("the stream was not ready in time")
        port, expected = ports.recv()
        for client in CLIENTS:
            results, sender = spawn.Pipe()
            args = (client, port, expected, plan.reader_limit_s, sender)
            reader = spawn.Process(target=_read, args=args, daemon=True)
            reader.start()
            if not results.poll(_START_S + plan.reader_limit_s):
                raise LabError(f"{client} did not end in time")
            messages, took_s, used_s = results.recv()
            readings.append(Reading(client, messages, took_s, used_s, expected / plan.stream_calls))
            reader.join()
            last = readings[-1]
            console.print(f"    {client}: {last.per_s:.0f} messages/s, as in {last.calls_per_s:.0f} calls/s")
    finally:
        writer.kill()
        writer.join()
    return readings
