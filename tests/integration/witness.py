"""pyst2's Manager as an independent witness: it reads queues and channels, so that the router is not its own judge."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

from asterisk.manager import Event, Manager, ManagerException

from lab.asterisk_server import WITNESS_USER, AsteriskServer

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One event: `at` is Asterisk's own clock in seconds."""

    name: str
    uniqueid: str
    at: float
    headers: dict[str, str]


class Witness:
    """Sees what happens on one Asterisk. An async context manager."""

    def __init__(self, asterisk: AsteriskServer) -> None:
        self._asterisk = asterisk
        self._manager = Manager()
        self._listed: list[dict[str, str]] = []
        self._complete = threading.Event()
        self.seen: list[Seen] = []

    async def __aenter__(self) -> Witness:
        await asyncio.to_thread(self._connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        """End pyst2's threads. Its `close` fails while Asterisk is quicker to hang up than it to flush its Logoff."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._manager.close()
            except (ValueError, ManagerException):
                assert time.monotonic() < deadline, "pyst2 does not notice that the connection is closed"
                time.sleep(0.01)  # until its reading thread has noticed
            else:
                return

    def _connect(self) -> None:
        self._manager.connect("127.0.0.1", self._asterisk.ami_port)
        self._manager.login(WITNESS_USER, self._asterisk.witness_secret)
        for name in ("Newchannel", "QueueCallerJoin", "QueueCallerAbandon", "AgentConnect", "Hangup"):
            self._manager.register_event(name, self._note)
        self._manager.register_event("CoreShowChannel", self._list)
        self._manager.register_event("CoreShowChannelsComplete", self._end_list)

    def _note(self, event: Event, _manager: Manager) -> None:
        headers = event.headers
        self.seen.append(
            Seen(event.name, headers.get("Uniqueid", ""), float(headers.get("Timestamp", "0")), dict(headers))
        )

    def _list(self, event: Event, _manager: Manager) -> None:
        self._listed.append(dict(event.headers))

    def _end_list(self, _event: Event, _manager: Manager) -> None:
        self._complete.set()

    def _show_channels(self) -> list[dict[str, str]]:
        self._listed = []
        self._complete.clear()
        self._manager.send_action({"Action": "CoreShowChannels"})
        assert self._complete.wait(PATIENCE_S), "no end of the list of channels"
        return self._listed

    def _queue_entries(self, queue: str) -> list[dict[str, str]]:
        # pyst2 takes «Queue status will follow» for the Status action, and returns all of the list as one message.
        lines = self._manager.send_action({"Action": "QueueStatus", "Queue": queue}).response
        blocks = "".join(lines).split("\r\n\r\n")
        events = [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in blocks]
        return [event for event in events if event.get("Event") == "QueueEntry"]

    async def waiting(self, queue: str) -> list[str]:
        """Uniqueids of the callers waiting in a queue, first the one who is next."""
        entries = await asyncio.to_thread(self._queue_entries, queue)
        return [entry["Uniqueid"] for entry in sorted(entries, key=lambda entry: int(entry["Position"]))]

    async def channels(self) -> list[dict[str, str]]:
        """All channels there are."""
        return await asyncio.to_thread(self._show_channels)

    async def hang_up(self, uniqueid: str) -> None:
        """End a call from Asterisk's side."""
        (channel,) = [entry["Channel"] for entry in await self.channels() if entry["Uniqueid"] == uniqueid]
        assert "Success" in await self.action(Action="Hangup", Channel=channel)

    async def action(self, **headers: str) -> str:
        """Send any action; returns the response's Response header and message."""
        message = await asyncio.to_thread(self._manager.send_action, dict(headers))
        return f"{message.get_header('Response', '')}: {message.get_header('Message', '')}"

    async def variable(self, channel: str, name: str) -> str:
        """The value of a channel's variable."""
        action = {"Action": "Getvar", "Channel": channel, "Variable": name}
        return (await asyncio.to_thread(self._manager.send_action, action)).get_header("Value", "")

    def events(self, name: str) -> list[Seen]:
        """Events of one name so far, in order."""
        return [seen for seen in self.seen if seen.name == name]

    async def wait_for(self, name: str, count: int = 1, patience_s: float = PATIENCE_S) -> list[Seen]:
        """Wait until so many events of one name have been seen; return them."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while len(found := self.events(name)) < count:
            assert asyncio.get_running_loop().time() < deadline, f"{len(found)} of {count} {name}"
            await asyncio.sleep(0.02)
        return found

    def seconds_to_queue(self, uniqueid: str) -> float:
        """Seconds by Asterisk's clock from a channel's creation to its joining a queue."""
        began = next(seen.at for seen in self.events("Newchannel") if seen.uniqueid == uniqueid)
        joined = next(seen.at for seen in self.events("QueueCallerJoin") if seen.uniqueid == uniqueid)
        return joined - began
