"""`python -m bench`: measure everything, or one part of it, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.added_latency import measure_latency
from bench.building import measure_building
from bench.day_replayed import measure_days
from bench.intelligibility import measure_intelligibility
from bench.machine import Machine
from bench.plan import FULL, QUICK, Plan
from bench.readers import measure_readers
from bench.recording import record_calls
from bench.replay import measure_memory, measure_replay, profile_replay
from bench.report import REPORT, Results, rewrite_sections, write_report
from bench.report_cost import measure_report
from bench.rule_cost import measure_rules
from bench.speech_latency import measure_speech
from bench.stretchers import measure_stretchers
from bench.tail_lag import measure_tail
from bench.wallboard_viewers import measure_viewers
from lab.places import PROJECT
from lab.processes import LabError

RECORDED = ("replay", "readers", "memory", "wallboard", "profile")
"""The parts that replay real calls."""
PARTS = ("latency", "rules", "day", "report", "tail", "building", "stretchers", "intelligibility", "speech", *RECORDED)


async def measure(plan: Plan, parts: frozenset[str], console: Console) -> Results:
    """Measure the parts asked for, one after the other."""
    results = Results(Machine.look(), plan)
    if (load := results.machine.load_1m) > 0.5:
        console.print(f"[yellow]the machine is not idle (load {load:.2f}): expect noise[/]")
    with tempfile.TemporaryDirectory(prefix="elder-bench-") as name:
        scratch = Path(name)
        if "latency" in parts:
            results.latency = await measure_latency(scratch / "latency", plan, console)
        _measure_without_calls(results, scratch, parts, console)
        if "speech" in parts:
            results.speech = await measure_speech(scratch / "speech", plan, console)
        if parts.intersection(RECORDED):
            console.print("[bold]==>[/] recording real calls")
            recorded = await record_calls(scratch / "recording")
            if "replay" in parts:
                results.replay = await measure_replay(scratch / "replay", recorded, plan, console)
            if "readers" in parts:
                results.readings = await measure_readers(recorded, plan, console)
            if "memory" in parts:
                results.memory = await measure_memory(scratch / "memory", recorded, plan, console)
            if "wallboard" in parts:
                results.viewers = await measure_viewers(scratch / "wallboard", recorded, console)
            if "profile" in parts:
                await profile_replay(scratch / "profile", recorded, plan, console)
    return results


def _measure_without_calls(results: Results, scratch: Path, parts: frozenset[str], console: Console) -> None:
    """Measure what needs no Asterisk."""
    if "rules" in parts:
        results.rules = measure_rules(scratch / "rules", results.plan, console)
    if "day" in parts:
        results.days = measure_days(scratch / "day", results.plan, console)
    if "report" in parts:
        results.reported = measure_report(scratch / "report", results.plan, console)
    if "tail" in parts:
        results.tail = measure_tail(scratch / "tail", results.plan, console)
    if "building" in parts:
        results.building = measure_building(scratch / "building", results.plan, console)
    if "stretchers" in parts:
        console.print("[bold]==>[/] stretching")
        results.stretchers = measure_stretchers(results.plan, console)
    if "intelligibility" in parts:
        results.intelligibility = measure_intelligibility(scratch / "intelligibility", results.plan, console)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("--quick", action="store_true", help="much shorter runs, for work on the bench itself")
    parser.add_argument(
        "--only",
        action="append",
        choices=PARTS,
        help="measure only this part (may be repeated) and rewrite only its sections; profile has none and is shown",
    )
    words = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    parts = frozenset(words.only or PARTS[:-1])
    try:
        results = asyncio.run(measure(QUICK if words.quick else FULL, parts, console))
    except LabError as error:
        console.print(f"[red]stopped:[/] {error}")
        return 1
    if not words.quick and parts != {"profile"}:
        write = rewrite_sections if words.only else write_report
        write(results, REPORT)
        console.print(f"[bold]==>[/] written: {REPORT.relative_to(PROJECT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
