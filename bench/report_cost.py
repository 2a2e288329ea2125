"""What `elder-router report` costs: a day of calls counted, plain and compressed, and how that grows with its size.

Beside it the same figures by plain pandas, which reads the lines and groups them in memory, on a day that it can hold.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from rich.console import Console

from bench.plan import FULL, Plan
from bench.report_day import write_days
from lab.centre import ELDER_ROUTER
from lab.places import PROJECT
from lab.processes import LabError

FIRST: Final = datetime(2026, 11, 24, tzinfo=ZoneInfo("Asia/Shanghai"))
DAY: Final = "2026-11-25"
TENTH: Final = 10
"""Costs are measured at a tenth of the day, too."""

Means = Literal["report", "pandas"]


@dataclass(frozen=True, slots=True)
class Counting:
    """One run. `calls` are those of the day counted; the journal holds as many of the day before where `compared`."""

    means: Means
    calls: int
    compressed: bool
    compared: bool
    file_bytes: int
    took_s: float
    cpu_s: float
    peak_rss_bytes: int


def measure_report(scratch: Path, plan: Plan, console: Console) -> list[Counting]:
    """Count a day and a tenth of one by each means, plain; the whole day compressed, too, and beside another.

    Raises:
        LabError: What counts fails, or the two do not give the same figures.
    """
    console.print("[bold]==>[/] a day reported")
    scratch.mkdir(parents=True, exist_ok=True)
    runs = []
    for calls in (plan.day_calls // TENTH, plan.day_calls):
        plain = scratch / "day.jsonl"
        write_days(plain, FIRST + timedelta(days=1), 1, calls)
        ours, told = _report(plain, calls, compared=False)
        theirs, expected = _pandas(plain, calls)
        if told != expected:
            raise LabError(f"the report counts {told}, pandas {expected}")
        runs += [ours, theirs]
        if calls == plan.day_calls:
            runs.append(_report(_compressed(plain), calls, compared=False)[0])
            both = scratch / "both.jsonl"
            write_days(both, FIRST, 2, calls)
            runs.append(_report(both, calls, compared=True)[0])
        for file in scratch.glob("*.jsonl*"):
            file.unlink()
    for run in runs:
        console.print(f"    {_line(run)}")
    return runs


def report_section(runs: Iterable[Counting]) -> list[str]:
    """A section of docs/benchmarks.md."""
    runs = list(runs)
    ours = {(run.calls, run.compressed, run.compared): run for run in runs if run.means == "report"}
    whole = max(run.calls for run in runs)
    lines = [
        "## A day reported",
        "",
        "`elder-router report` from its start to its end, and the same figures by `pandas.read_json` and `groupby`.",
        "",
        "| calls | journal | by | seconds | processor s | MiB at most | beside the report |",
        "|---:|---|---|---:|---:|---:|---:|",
    ]
    for run in runs:
        base = ours[run.calls, False, False]
        kind = f"{run.file_bytes / 2**30:.2f} GiB, {'gzip' if run.compressed else 'plain'}"
        if run.compared:
            kind += ", the day before as large"
        lines.append(
            f"| {run.calls:,} | {kind} | {run.means} | {run.took_s:.1f} | {run.cpu_s:.1f} | "
            f"{run.peak_rss_bytes / 2**20:.0f} | {run.took_s / base.took_s:.1f} × time, "
            f"{run.peak_rss_bytes / base.peak_rss_bytes:.1f} × memory |"
        )
    tenth = ours[whole // TENTH, False, False]
    grown = ours[whole, False, False]
    lines += [
        "",
        f"Ten times the calls take {grown.took_s / tenth.took_s:.1f} times as long and "
        f"{grown.peak_rss_bytes / tenth.peak_rss_bytes:.1f} times the memory.",
    ]
    return lines


def _line(run: Counting) -> str:
    kind = f"{'gzip' if run.compressed else 'plain'}{', two days' if run.compared else ''}"
    return (
        f"{run.means}, {run.calls:,} calls, {kind}: {run.took_s:.1f} s, processor {run.cpu_s:.1f} s, "
        f"{run.peak_rss_bytes / 2**20:.0f} MiB at most"
    )


def _report(journal: Path, calls: int, *, compared: bool) -> tuple[Counting, dict[str, Any]]:
    rules = str(PROJECT / "config" / "routing.yaml")
    command = [str(ELDER_ROUTER), "report", "--rules", rules, "--day", DAY, "--json", "--journal", str(journal)]
    run, answer = _timed("report", command, journal, calls, compared=compared)
    return run, _essence(answer["figures"])


def _essence(figures: dict[str, Any]) -> dict[str, Any]:
    """What is compared with what pandas counts."""
    return {
        row["name"] or "": [
            row["calls"],
            row["answered"],
            row["answered_within_15s"]["happened"],
            row["wait_longest_s"],
        ]
        for row in figures["by_band"]
    }


def _pandas(journal: Path, calls: int) -> tuple[Counting, dict[str, Any]]:
    command = [sys.executable, "-c", _BY_PANDAS, str(journal)]
    return _timed("pandas", command, journal, calls, compared=False)


def _timed(
    means: Means, command: list[str], journal: Path, calls: int, *, compared: bool
) -> tuple[Counting, dict[str, Any]]:
    answer = journal.with_name("answer.json")
    with answer.open("wb") as into:
        began = time.perf_counter()
        child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, into.fileno(), 1)])
        _, status, usage = os.wait4(child, 0)
        took_s = time.perf_counter() - began
    if code := os.waitstatus_to_exitcode(status):
        raise LabError(f"`{' '.join(command[:3])} …` went wrong: exit status {code}")
    run = Counting(
        means=means,
        calls=calls,
        compressed=journal.suffix == ".gz",
        compared=compared,
        file_bytes=journal.stat().st_size,
        took_s=took_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_rss_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )
    return run, json.loads(answer.read_bytes())


def _compressed(plain: Path) -> Path:
    """As `logrotate` compresses, if not told otherwise."""
    gzip = shutil.which("gzip")
    if gzip is None:
        raise LabError("gzip is not installed")
    subprocess.run([gzip, "-6", "--force", str(plain)], check=True)
    return plain.with_suffix(".jsonl.gz")


# By chunks, since all lines at once would take some 20 GB; what is kept of each is what is asked for.
_BY_PANDAS: Final = """
import json, sys
import pandas as pd
decided = ["node", "uniqueid", "ask", "time", "age_band", "rule", "target", "protected", "fallback"]
ended = ["node", "uniqueid", "ended", "queue", "wait_s", "touched_assistant"]
decisions, outcomes = [], []
for chunk in pd.read_json(sys.argv[1], lines=True, chunksize=100_000, dtype=False):
    decisions.append(chunk.loc[chunk["record"] == "decision", decided])
    outcomes.append(chunk.loc[chunk["record"] == "outcome", ended])
first = pd.concat(decisions).sort_values(["ask", "time"]).drop_duplicates(["node", "uniqueid"])
calls = first.merge(pd.concat(outcomes), on=["node", "uniqueid"], how="left")
calls["band"] = calls["age_band"].fillna("")
calls["hour"] = pd.to_datetime(calls["time"]).dt.tz_convert("Asia/Shanghai").dt.hour
calls["answered"] = calls["ended"] == "answered"
calls["offered"] = calls["ended"].isin(["answered", "abandoned"])
calls["in_time"] = calls["answered"] & (calls["wait_s"] <= 15)
calls["wait_offered"] = calls["wait_s"].where(calls["offered"])
told = {}
for by in ("hour", "queue", "rule", "target", "protected", "band"):
    groups = calls.groupby(by)
    sums = groups.agg(calls=("uniqueid", "size"), answered=("answered", "sum"), in_time=("in_time", "sum"),
                      longest=("wait_offered", "max"))
    ranks = calls[calls["answered"]].groupby(by)["wait_s"].quantile([0.5, 0.95], interpolation="higher")
    told = {name: [int(row.calls), int(row.answered), int(row.in_time), float(row.longest)]
            for name, row in sums.iterrows()}
print(json.dumps(told))
"""


def main() -> None:
    """Measure at the size given, 2,120,000 calls by default, and print the section."""
    plan = replace(FULL, day_calls=int(sys.argv[1])) if len(sys.argv) > 1 else FULL
    with tempfile.TemporaryDirectory(prefix="elder-bench-") as name:
        runs = measure_report(Path(name), plan, Console(stderr=True))
    print("\n".join(report_section(runs)))


if __name__ == "__main__":
    main()
