"""Records what Asterisk tells the router about real calls, one of each kind."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from bench.population import Resident, write_csv
from bench.stream import END, RecordedCall, RecordedCalls
from lab.centre import Centre
from lab.phones import Call, Key, place
from lab.processes import LabError

OLDER_CALLER = Resident("+8613900000001", "senior")
OTHER_CALLER = Resident("+8613900000002", "adult")
_PATIENCE_S = 20.0


async def record_calls(directory: Path) -> RecordedCalls:
    """Place one call of each kind with the shipped rules, and keep what the router's AMI user is sent."""
    callers = write_csv([OLDER_CALLER, OTHER_CALLER], directory / "callers.csv")
    async with Centre(directory / "centre", callers=callers, agents={"agent1": 300}) as centre:
        reader, writer = await asyncio.open_connection("127.0.0.1", centre.asterisk.ami_port)
        try:
            login = f"Action: Login\r\nUsername: elder-router\r\nSecret: {centre.asterisk.ami_secret}\r\n\r\n"
            writer.write(login.encode())
            older = await _record(centre, reader, OLDER_CALLER, (), 15_000)
            other = await _record(centre, reader, OTHER_CALLER, (Key(1000, "1"),), 1_000)
        finally:
            writer.close()
            await writer.wait_closed()
    return RecordedCalls(older, other)


async def _record(
    centre: Centre, reader: asyncio.StreamReader, who: Resident, keys: tuple[Key, ...], hold_ms: int
) -> RecordedCall:
    async with asyncio.timeout(_PATIENCE_S):
        placed, messages = await asyncio.gather(
            place(centre.directory / who.e164, centre.asterisk.sip_port, [Call(who.e164)], keys=keys, hold_ms=hold_ms),
            _until_ended(reader),
        )
    if not placed.succeeded:
        raise LabError(f"the call to be recorded failed:\n{placed.output}")
    request = messages[0]
    return RecordedCall(
        messages=tuple(messages),
        uniqueid=_header(request, "Call"),
        channel_end=_header(request, "CallChannel").rpartition(b"%2F")[2],
        digits=who.e164[1:].encode(),
        token=_header(request, "Token"),
    )


async def _until_ended(reader: asyncio.StreamReader) -> list[bytes]:
    messages: list[bytes] = []
    while True:
        message = await reader.readuntil(END)
        if b"UserEvent: RouteRequest\r\n" in message or messages:
            messages.append(message)
        if b"UserEvent: RouteEnded\r\n" in message:
            return messages


def _header(message: bytes, name: str) -> bytes:
    found = re.search(rf"^{name}: (.*)\r$".encode(), message, re.MULTILINE)
    if found is None:
        raise LabError(f"the recorded request has no {name}:\n{message.decode(errors='replace')}")
    return found[1]
