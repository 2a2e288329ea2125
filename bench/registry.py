"""`python -m bench.registry`: measure the registry at sizes up to 200 million callers, and write its section.

Not a part of `python -m bench`: it takes long, and gigabytes of disk. Whatever has been measured is kept at once, in
bench/results/registry.json and in docs/benchmarks.md, so that a run that was cut off goes on with `--parts`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.machine import Machine
from bench.registry_failover import measure_failovers
from bench.registry_feed import MOST_CALLERS
from bench.registry_hashing import measure_hashing
from bench.registry_load import (
    Importer,
    make_feed,
    measure_gzip,
    measure_least,
    measure_load,
    measure_mass_insertion,
    measure_redis_py,
    needed_bytes,
)
from bench.registry_lookups import measure_during, measure_lookups
from bench.registry_results import RegistryResults, read_results, write_results
from bench.report import REPORT, write_registry_section
from lab.processes import LabError
from lab.redis import RedisServer

PARTS: Final = ("load", "plain", "lookups", "during", "failover", "hashing")
_AT_SIZE: Final = frozenset({"load", "plain", "lookups", "during"})
DEFAULT_CALLERS: Final = (1_000_000, 10_000_000)
MOST_PLAIN_KEYS: Final = 10_000_000
"""One key a caller takes 77 bytes and half an hour for 200 million: beyond this it is worked out, not measured."""
_MOST_GZIP: Final = 10_000_000
_MANY: Final = 100_000_000
"""From so many callers on, one load under lookups is long enough to see all of it."""
_BYTES_PER_CALLER, _BYTES_PER_PLAIN_KEY, _BYTES_FOR_PROCESSES = 40, 110, 3 << 30
_GIB: Final = 2**30
_QUICK: Final = 0.05


@dataclass(slots=True)
class Run:
    """What this run measures, and where."""

    parts: frozenset[str]
    scratch: Path
    results: RegistryResults
    machine: Machine
    quick: bool
    console: Console

    def keep(self) -> None:
        """Keep what there is so far."""
        if not self.quick:
            write_results(self.results)
            write_registry_section(self.results, REPORT)

    def put(self, callers: int, **found: object) -> None:
        """Put what was measured at a size to the results, and keep it."""
        self.results.put(callers, **found, measured=self.machine.described())
        self.keep()


async def measure(run: Run, sizes: list[int]) -> None:
    """Measure the parts asked for, the small sizes first.

    Raises:
        LabError: There is no room for them, found out before anything is begun; or something does not run.
    """
    if run.parts & _AT_SIZE:
        for callers in sizes:
            _check_room(callers, run.scratch)
    if "hashing" in run.parts:
        run.console.print("[bold]==>[/] hashing")
        run.results.hashed = await asyncio.to_thread(measure_hashing)
        run.results.hashed_measured = run.machine.described()
        run.keep()
    if "failover" in run.parts:
        run.console.print("[bold]==>[/] killing primaries under lookups")
        run.results.failovers = await measure_failovers(run.scratch, run.console)
        run.results.failovers_measured = run.machine.described()
        run.keep()
    if run.parts & _AT_SIZE:
        for callers in sizes:
            folder = run.scratch / str(callers)
            folder.mkdir()
            try:
                await _measure_size(run, callers, folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder)


async def _measure_size(run: Run, callers: int, folder: Path) -> None:
    parts, console = run.parts, run.console
    console.print(f"[bold]==>[/] {callers:,} callers")
    feed = make_feed(folder / "callers.csv", callers, console)
    plain_keys = min(callers, MOST_PLAIN_KEYS)
    async with AsyncExitStack() as stack:
        plain = RedisServer(folder / "plain")
        if "plain" in parts and callers == plain_keys:
            async with RedisServer(folder / "redis-py") as server:
                directly = [await measure_redis_py(feed, server, console)]
            await stack.enter_async_context(plain)
            directly.append(await measure_mass_insertion(plain_keys, folder, plain, console))
            run.put(callers, directly=directly)
        elif "lookups" in parts:
            await stack.enter_async_context(plain)
            await measure_mass_insertion(plain_keys, folder, plain, console)
        if not parts & {"load", "lookups", "during"}:
            return
        least_s = await measure_least(folder / "least", console)
        server = await stack.enter_async_context(RedisServer(folder / "redis"))
        importer = Importer(folder / "importer", server, console)
        loaded = await measure_load(feed, least_s, importer, server, console)
        if "load" in parts:
            run.put(callers, load=loaded)
        if "lookups" in parts:
            shorter = _QUICK if run.quick else 1.0
            asked = await measure_lookups(importer, server, callers, plain, plain_keys, shorter, console)
            run.put(callers, asked=asked, plain_keys=plain_keys)
        if "load" in parts and callers <= _MOST_GZIP:
            gzip_s = await measure_gzip(feed, folder / "gzip", console)
            run.put(callers, load=loaded.model_copy(update={"gzip_s": gzip_s}))
        if "during" in parts:
            await plain.stop()  # gives its memory back
            loads = 1 if run.quick or callers >= _MANY else 2
            during = await measure_during(feed, importer, server, loads, console)
            run.put(
                callers,
                asked_during=during.asked,
                during_s=during.took_s,
                after_lookups=during.after_lookups,
                after_late=during.after_late,
            )


def _check_room(callers: int, folder: Path) -> None:
    """See that there is room, or raise LabError."""
    plain_keys = min(callers, MOST_PLAIN_KEYS)
    needed, free = needed_bytes(callers, plain_keys), shutil.disk_usage(folder).free
    if free < needed:
        raise LabError(
            f"{callers:,} callers need {needed / _GIB:.1f} GiB of disk for feeds and dumps, and {folder.parent} has "
            f"{free / _GIB:.1f} GiB free; name a folder on a larger disk with BENCH_DIR=…"
        )
    needed = callers * _BYTES_PER_CALLER + plain_keys * _BYTES_PER_PLAIN_KEY + _BYTES_FOR_PROCESSES
    free = _memory_available_bytes()
    if free < needed:
        raise LabError(
            f"{callers:,} callers, loaded twice, need {needed / _GIB:.1f} GiB of memory, and {free / _GIB:.1f} GiB are "
            "available; name smaller sizes with CALLERS=…"
        )


def _memory_available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _size(text: str) -> int:
    callers = int(text.replace("_", "").replace(",", ""))
    if not 1_000 <= callers <= MOST_CALLERS:
        raise argparse.ArgumentTypeError(f"a size is a number from 1000 to {MOST_CALLERS}")
    return callers


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.registry", description="Measure the registry of callers.")
    parser.add_argument("--callers", nargs="+", type=_size, default=list(DEFAULT_CALLERS), help="the sizes")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="measure only these")
    parser.add_argument(
        "--quick", action="store_true", help="short lookups, nothing kept: for work on the bench itself"
    )
    return parser.parse_args()


def _place() -> str:
    """The folder for temporary files."""
    place = os.environ.get("BENCH_DIR") or tempfile.gettempdir()
    if not Path(place).is_dir():
        raise LabError(f"BENCH_DIR={place} is no folder; name one that is there")
    return place


async def _until_stopped(run: Run, sizes: list[int]) -> None:
    """Measure; SIGTERM ends it as Ctrl-C does, with everything cleaned up."""
    task = asyncio.ensure_future(measure(run, sizes))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def main() -> int:
    words = _words()
    console = Console(soft_wrap=True, highlight=False)
    try:
        place = _place()
        machine = Machine.look()
        if machine.load_1m > 0.5:
            console.print(f"[yellow]the machine is not idle (load {machine.load_1m:.2f}): expect noise[/]")
        with tempfile.TemporaryDirectory(prefix="elder-registry-bench-", dir=place) as name:
            run = Run(frozenset(words.parts), Path(name), read_results(), machine, words.quick, console)
            asyncio.run(_until_stopped(run, sorted(set(words.callers))))
    except LabError as error:
        console.print(f"[red]stopped:[/] {error}")
        console.print("    what was measured before is kept; name what is missing with PARTS=… and CALLERS=…")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("[red]stopped[/] by hand; what was measured before is kept")
        return 130
    except OSError as error:
        console.print(f"[red]stopped:[/] {error.filename or 'the system'}: {error.strerror}")
        return 1
    if not words.quick:
        console.print(f"[bold]==>[/] written: {REPORT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
