"""How far `elder-router tail` is behind the journal at 500 decisions and 500 outcomes a second, beside plain `tail -F`.

A process writes the journal at that pace with the router's own writer, which rotates it meanwhile. What is read from
the other program's pipe is dated when it comes; its lag is from the time in the record, which is that of its writing,
to the millisecond. The two programs follow the same journal, one after the other.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.added_latency import quantile
from bench.machine import cpu_s, rss_bytes
from bench.markdown import compared, table
from bench.plan import Plan
from lab.centre import ELDER_ROUTER
from lab.processes import LabError

CALLS_PER_S: Final = 500
QUICK_S: Final = 5.0
FULL_S: Final = 60.0
ROTATE_BYTES: Final = 1024 * 1024
_START_S: Final = 3.0
_END_S: Final = 15.0
_TIME: Final = re.compile(rb'"time":"([^"]+)"')
_PLAIN, _OURS, _SCREEN = "tail -F", "elder-router tail --json", "elder-router tail, on a terminal"


@dataclass(frozen=True, slots=True)
class Followed:
    """What one program did. `lag_ms` is sorted; of a terminal, which shows no milliseconds, it is empty.

    `cpu_share` is of one core, `came` how many records came, `written` how many there were.
    """

    program: str
    lag_ms: list[float]
    came: int
    written: int
    rotations: int
    cpu_share: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class TailMeasured:
    """All of them, and how long it took to look through what had been written.

    `past_s` is of `past_records` records with a filter that none of them passes, Python's start included.
    """

    followed: list[Followed]
    past_records: int
    past_s: float


@dataclass(slots=True)
class _Reader:
    """Dates lines as they come out of a pipe."""

    lag_ms: list[float] = field(default_factory=list)

    def read(self, stream: int) -> None:
        rest = b""
        while chunk := os.read(stream, 1 << 20):
            now = time.time()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                # The last time that is told: of a call that has ended, its outcome's.
                written = datetime.fromisoformat(_TIME.findall(line)[-1].decode())
                self.lag_ms.append(max(0.0, (now - written.timestamp()) * 1000))


def measure_tail(scratch: Path, plan: Plan, console: Console, *, for_s: float | None = None) -> TailMeasured:
    """Follow with one program after the other.

    Raises:
        LabError: A program ended before its time.
    """
    console.print("[bold]==>[/] tail")
    scratch.mkdir(parents=True, exist_ok=True)
    for_s = for_s or (QUICK_S if plan.day_calls < 1_000_000 else FULL_S)
    found = []
    for number, program in enumerate((_PLAIN, _OURS, _SCREEN)):
        journal = scratch / f"{number}.jsonl"
        journal.touch()
        found.append(_follow(program, journal, for_s))
        last = found[-1]
        lags = f"p50 {quantile(last.lag_ms, 0.5):.1f} ms, p99 {quantile(last.lag_ms, 0.99):.1f} ms, " * bool(
            last.lag_ms
        )
        console.print(f"    {program}: {lags}{last.cpu_share:.1%} of a core, {last.came:,} of {last.written:,} records")
    return TailMeasured(found, *_past(scratch / "1.jsonl"))


def _follow(program: str, journal: Path, for_s: float) -> Followed:
    if program == _SCREEN:
        return _follow_on_terminal(journal, for_s)
    command = ["tail", "-n", "0", "-F", str(journal)] if program == _PLAIN else [*_command(journal), "--json"]
    reader = _Reader()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        thread = threading.Thread(target=reader.read, args=(process.stdout.fileno(),))
        thread.start()
        with _kept_running(process):
            calls, rotations, share = _write(journal, for_s, process.pid)
            _wait_until(lambda: len(reader.lag_ms) >= 2 * calls)
            memory = rss_bytes(process.pid)
        thread.join()
    return Followed(program, sorted(reader.lag_ms), len(reader.lag_ms), 2 * calls, rotations, share, memory)


def _follow_on_terminal(journal: Path, for_s: float) -> Followed:
    ours, its = pty.openpty()
    words = os.environ | {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
    shown = [b""]

    def read() -> None:
        while process.poll() is None:
            if select.select([ours], [], [], 0.1)[0]:
                shown[0] = (shown[0] + os.read(ours, 1 << 16))[-20_000:]

    with subprocess.Popen(_command(journal), stdin=its, stdout=its, stderr=its, env=words) as process:
        thread = threading.Thread(target=read)
        thread.start()
        with _kept_running(process):
            calls, rotations, share = _write(journal, for_s, process.pid)
            _wait_until(lambda: b" 0 under way" in shown[0])
            is_done = b" 0 under way" in shown[0]
            memory = rss_bytes(process.pid)
        thread.join()
    os.close(ours)
    os.close(its)
    return Followed(_SCREEN, [], 2 * calls if is_done else 0, 2 * calls, rotations, share, memory)


def _command(journal: Path) -> list[str]:
    return [str(ELDER_ROUTER), "tail", "--journal", str(journal), "-n", "0"]


@contextmanager
def _kept_running(process: subprocess.Popen[bytes]) -> Iterator[None]:
    time.sleep(_START_S)  # Python's start is not what is measured
    try:
        yield
        if process.poll() is not None:
            raise LabError(f"what follows the journal ended by itself with status {process.returncode}")
    finally:
        process.kill()


def _write(journal: Path, for_s: float, pid: int) -> tuple[int, int, float]:
    """Write for so long; calls, rotations, and what share of a core the process that follows took."""
    before_s, began = cpu_s(pid), time.perf_counter()
    command = [sys.executable, "-m", "lab.paced_journal", str(journal), str(CALLS_PER_S), str(for_s), str(ROTATE_BYTES)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    share = (cpu_s(pid) - before_s) / (time.perf_counter() - began)
    calls, rotations = map(int, said.split())
    return calls, rotations, share


def _wait_until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _END_S
    while time.monotonic() < deadline and not is_done():
        time.sleep(0.05)


def _past(journal: Path) -> tuple[int, float]:
    """Look through what lies there."""
    records = sum(file.read_bytes().count(b"\n") for file in journal.parent.glob(f"{journal.name}*"))
    command = [*_command(journal)[:-2], "--no-follow", "--since", "2000-01-01", "--outcome", "unseen"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return records, time.perf_counter() - began


def tail_lag(found: TailMeasured) -> str:
    """The section of docs/benchmarks.md."""
    rows = [_row(one) for one in found.followed]
    head = ("program", "p50, ms", "p95, ms", "p99, ms", "most, ms", "records", "missing", "of one core", "MB")
    plain, ours = found.followed[0], found.followed[1]
    ratio = compared(ours.cpu_share, plain.cpu_share)
    rate = found.past_records / found.past_s
    return f"""\
## Following the journal

{CALLS_PER_S} decisions and {CALLS_PER_S} outcomes a second, written by the router's own writer in another process,
which began {ours.rotations} new files meanwhile. The lag is from the time in a record to when its line was read from
the pipe. `tail -F` is told of changes by the kernel and copies lines; `elder-router tail` looks every 50 ms, checks
each record, joins it to its call and writes both. On a terminal it draws at most ten times a second.

{table(head, rows)}

It takes {ratio} times the processor time of `tail -F`. What lies in the journal already is looked through at
{rate:,.0f} records a second ({found.past_records:,} in {found.past_s:.1f} s, Python's start included), from the
moment asked for in a plain file, which is found by halving."""


def _row(one: Followed) -> Sequence[str]:
    lags = [f"{quantile(one.lag_ms, share):.1f}" if one.lag_ms else "–" for share in (0.5, 0.95, 0.99)]
    most = f"{one.lag_ms[-1]:.0f}" if one.lag_ms else "–"
    missing = f"{one.written - one.came:,}"
    return (
        one.program, *lags, most, f"{one.written:,}", missing, f"{one.cpu_share:.1%}", f"{one.rss_bytes / 2**20:.0f}",
    )  # fmt: skip
