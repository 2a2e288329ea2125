"""Writes docs/benchmarks.md: the numbers, how they were got, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import sections
from bench.added_latency import AtRate, quantile
from bench.machine import Machine
from bench.markdown import TIE, compared, wrapped
from bench.plan import Plan
from bench.readers import Reading
from bench.replay import Memory, Run
from router.calls.desk import MOST_CALLS


@dataclass(slots=True)
class Results:
    """Everything that was measured."""

    machine: Machine
    plan: Plan
    latency: list[AtRate] = field(default_factory=list)
    replay: list[Run] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    memory: Memory | None = None


def write_report(results: Results, file: Path) -> None:
    """Write the whole page; a part that was not measured is left out."""
    parts = [_head(results.machine)]
    if results.latency:
        parts += [sections.latency(results.latency, results.plan.order), sections.cost(results.latency)]
    if results.replay:
        parts.append(sections.replays(results.replay))
    if results.readings:
        parts.append(sections.clients(results.readings, results.replay))
    if results.memory:
        parts.append(sections.memory(results.memory))
    parts.append(_growth(results))
    file.write_text(wrapped("\n\n".join(parts)) + "\n")


def _head(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return f"""\
# Benchmarks

Written by `make bench`, which measures and asserts nothing. Do not edit it by hand.

**How to read it.** Numbers hold for this run on this machine; what carries over to others is their ratios within
one run. Everything, the callers' phones included, ran on the same {machine.cores} cores over loopback, so that a
neighbour on the host, or one part of the bench crowding out another, shows as slowness. Ratios under {TIE} (and
over 1/{TIE}) are ties. Where something was measured several times, the lowest and the highest are given: what lies
between them is noise.

Measured {machine.when} on {machine.cores} cores of {machine.cpu}, {machine.memory_gib:.0f} GiB, {machine.kernel};
load average of the minute before: {machine.load_1m:.2f}. {versions}."""


def _growth(results: Results) -> str:
    lines = []
    if results.latency:
        lines.append(_growth_with_rate(results.latency[0], results.latency[-1]))
    if results.replay:
        lines.append(_growth_with_outstanding(results.replay))
    if results.memory:
        lines += _growth_with_calls(results.memory)
    return "## How cost grows with size\n\n" + "\n".join(lines)


def _growth_with_rate(low: AtRate, high: AtRate) -> str:
    cost = compared(high.routed.router_us_per_call, low.routed.router_us_per_call)
    p50, p99 = (
        compared(quantile(high.routed.times_ms, share), quantile(low.routed.times_ms, share)) for share in (0.5, 0.99)
    )
    return (
        f"- **Calls a second.** From {low.rate} to {high.rate} calls/s ({high.rate / low.rate:.1f} times as many), the "
        f"router's processor time for one call becomes {cost} times what it was, the p50 from INVITE to 200 OK {p50} "
        f"times, the p99 {p99} times."
    )


def _growth_with_outstanding(runs: list[Run]) -> str:
    least, most = (pick(run.outstanding for run in runs) for pick in (min, max))
    rates, costs = (
        [median(getattr(run, what) for run in runs if run.outstanding == number) for number in (least, most)]
        for what in ("per_s", "us_per_call")
    )
    return (
        f"- **Requests at once.** With {most} outstanding instead of {least}, one decision takes "
        f"{compared(costs[1], costs[0])} times the processor time, and {compared(rates[1], rates[0])} times as many "
        "are made a second."
    )


def _growth_with_calls(memory: Memory) -> list[str]:
    *_, before, most = sorted(memory.rss_bytes)
    per_call = (memory.rss_bytes[most] - memory.rss_bytes[before]) / (most - before)
    slower = compared(memory.full.us_per_call, memory.empty.us_per_call)
    return [
        f"- **Calls in hand.** From {before:,} to {most:,} calls in hand, memory grows by {per_call:,.0f} bytes a "
        f"call. At that, {MOST_CALLS:,} calls, the most that the router takes on, add "
        f"{per_call * MOST_CALLS / sections.MIB:.0f} MiB to {memory.rss_bytes[0] / sections.MIB:.0f} MiB.",
        f"- With {most:,} calls in hand, a decision takes {slower} times the processor time that it takes with none.",
    ]
