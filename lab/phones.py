"""SIP phones: agents that answer and callers that call, each a real SIPp."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.places import PROJECT
from lab.ports import free_udp_port
from lab.processes import Child, LabError, Server

SCENARIOS = PROJECT / "lab" / "sipp"


@dataclass(frozen=True, slots=True)
class Key:
    """A key pressed on the phone, `after_ms` milliseconds after the answer or the key before."""

    after_ms: int
    key: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call to place: the caller's number (or a whole From header's value), and the number called."""

    caller: str
    called: str = "95500"
    display_name: str = ""
    media_port: int = 6000
    """UDP port of 127.0.0.1 to which the caller's voice is sent; nothing needs to listen there."""

    @property
    def from_value(self) -> str:
        """The value of the From header."""
        if self.caller == "anonymous":
            return '"Anonymous" <sip:anonymous@anonymous.invalid>'
        name = f'"{self.display_name}" ' if self.display_name else ""
        return f"{name}<sip:{self.caller}@127.0.0.1>"


class AgentPhone(Server):
    """An agent's phone that answers after `ring_ms` and hangs up after `talk_ms` (unless the caller does)."""

    def __init__(self, directory: Path, name: str, *, ring_ms: int = 100, talk_ms: int = 2000) -> None:
        super().__init__()
        self.directory = directory
        self.name = name
        self.port = free_udp_port()
        self.ring_ms = ring_ms
        self.talk_ms = talk_ms

    async def start(self) -> None:
        """Switch the phone on."""
        self.directory.mkdir(parents=True, exist_ok=True)
        scenario = self.directory / f"{self.name}.xml"
        text = (SCENARIOS / "agent.xml").read_text()
        text = text.replace("@RING_MS@", str(self.ring_ms)).replace("@TALK_MS@", str(self.talk_ms))
        scenario.write_text(text)
        command = ["sipp", "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(self.port)]
        # SIPp also takes the ports behind that of the voice, for RTCP and for pictures.
        voice = free_udp_port(behind=3)
        command += ["-mi", "127.0.0.1", "-mp", str(voice), "-nostdin", "-nd", "-aa"]
        self._child = await Child.start(self.name, command, self.directory / f"{self.name}.out", self.directory)

    async def stop(self, sig: signal.Signals = signal.SIGKILL) -> int:
        """Switch it off at once: SIPp ends slowly when asked."""
        return await super().stop(sig)


@dataclass(frozen=True, slots=True)
class Placed:
    """How a run of calls ended: SIPp's exit status (0: every call ended as the scenario says) and its output."""

    status: int
    output: str
    directory: Path

    @property
    def succeeded(self) -> bool:
        """Whether every call was answered and ended in order."""
        return self.status == 0


async def place(
    directory: Path,
    sip_port: int,
    calls: Iterable[Call],
    *,
    hold_ms: int = 20_000,
    keys: Sequence[Key] = (),
    rate_per_s: float = 10.0,
    extra: Sequence[str] = (),
    limit_s: float = 120.0,
) -> Placed:
    """Place calls with one SIPp, `rate_per_s` a second, and wait until all of them have ended.

    Args:
        directory: For SIPp's own files; made if missing, one for each use.
        sip_port: Where Asterisk takes SIP.
        calls: What to call.
        hold_ms: How long a caller stays after the last key, unless the other side hangs up.
        keys: Pressed by every caller, in order.
        rate_per_s: New calls a second.
        extra: Further options of SIPp.
        limit_s: After this many seconds SIPp is ended and the run counts as failed.
    """
    rows = _write_scenario(directory, list(calls), hold_ms, keys)
    command = ["sipp", f"127.0.0.1:{sip_port}", "-sf", str(directory / "caller.xml")]
    command += ["-inf", str(directory / "calls.csv"), "-i", "127.0.0.1", "-p", str(free_udp_port())]
    command += ["-m", str(rows), "-r", str(max(1, round(rate_per_s * 1000))), "-rp", "1000000"]
    command += ["-nostdin", "-nd", "-aa", "-l", str(rows), "-trace_err"]
    command += ["-error_file", str(directory / "errors.log"), *extra]
    child = await Child.start("sipp", command, directory / "sipp.out", directory)
    try:
        status = await asyncio.wait_for(child.process.wait(), limit_s)
    except TimeoutError:
        status = await child.stop(patience_s=1) or 1
    except asyncio.CancelledError:
        await child.stop(patience_s=1)
        raise
    if status == 255:  # noqa: PLR2004 - SIPp's own number for a fatal error
        raise LabError(f"sipp could not run:\n{child.tail()}")
    return Placed(status, child.output.read_text(errors="replace"), directory)


def _write_scenario(directory: Path, calls: Sequence[Call], hold_ms: int, keys: Sequence[Key]) -> int:
    """Write SIPp's scenario and its table of calls; returns how many calls."""
    directory.mkdir(parents=True, exist_ok=True)
    # A table cannot hold a semicolon: such a caller stands in the scenario, alone.
    alone = ";" in calls[0].from_value
    rows = [f"{'' if alone else call.from_value};{call.called};{call.media_port};" for call in calls]
    (directory / "calls.csv").write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
    pressed = (SCENARIOS / "key.xml").read_text()
    steps = [
        pressed.replace("@AFTER_MS@", str(key.after_ms)).replace("@KEY@", key.key).replace("@CSEQ@", str(2 + n))
        for n, key in enumerate(keys)
    ]
    text = (SCENARIOS / "caller.xml").read_text()
    text = text.replace("@KEYS@", "\n".join(steps)).replace("@HOLD_MS@", str(hold_ms))
    if alone:
        text = text.replace("[field0]", calls[0].from_value)
    (directory / "caller.xml").write_text(text)
    return len(rows)
