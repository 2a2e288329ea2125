"""Writes docs/benchmarks.md, or some of its sections: the numbers, how they were got, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import registry_section, sections, speech_latency, speech_sections
from bench.added_latency import AtRate, quantile
from bench.building import Built
from bench.day_replayed import DayReplayed
from bench.intelligibility import Intelligibility
from bench.intelligibility_section import intelligibility
from bench.machine import Machine
from bench.markdown import TIE, compared, wrapped
from bench.plan import Plan
from bench.readers import Reading
from bench.registry_results import RegistryResults, read_results
from bench.replay import Memory, Run
from bench.report_cost import Counting, report_section
from bench.rule_cost import AtSize
from bench.speech_latency import Spoken
from bench.stretchers import Comparison
from bench.tail_lag import TailMeasured, tail_lag
from bench.wallboard_viewers import Viewers, wallboard_section
from lab.places import PROJECT
from router.calls.desk import MOST_CALLS

REPORT = PROJECT / "docs" / "benchmarks.md"
SECTION = "## "
GROWTH = "How cost grows with size"


@dataclass(slots=True)
class Results:
    """Everything that was measured."""

    machine: Machine
    plan: Plan
    latency: list[AtRate] = field(default_factory=list)
    replay: list[Run] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    memory: Memory | None = None
    rules: list[AtSize] = field(default_factory=list)
    days: list[DayReplayed] = field(default_factory=list)
    reported: list[Counting] = field(default_factory=list)
    tail: TailMeasured | None = None
    viewers: Viewers | None = None
    building: list[Built] = field(default_factory=list)
    stretchers: Comparison | None = None
    intelligibility: Intelligibility | None = None
    speech: list[Spoken] = field(default_factory=list)


def write_report(results: Results, file: Path) -> None:
    """Write the whole page; a part that was not measured is left out, but for the registry, which has its own bench."""
    registry = read_results()
    parts = [_head(results.machine), *_sections(results)]
    if registry.sizes:
        parts.append(registry_section.section(registry))
    lines = [*_growth(results), *registry_section.growth(registry)]
    file.write_text(wrapped("\n\n".join([*parts, f"{SECTION}{GROWTH}\n\n" + "\n".join(lines)])) + "\n")


def rewrite_sections(results: Results, file: Path) -> None:
    """Write anew only what was measured; the rest of the page stays as it is."""
    measured = f"Measured by itself {results.machine.described()}"
    _rewrite(file, [f"{section}\n\n{measured}" for section in _sections(results)], _growth(results))


def write_registry_section(results: RegistryResults, file: Path) -> None:
    """Write the registry's section anew; the rest of the page stays as it is."""
    _rewrite(file, [registry_section.section(results)], registry_section.growth(results))


def _rewrite(file: Path, sections: list[str], growth_lines: list[str]) -> None:
    head, *rest = file.read_text().rstrip("\n").split("\n\n" + SECTION)
    page = {_heading(section): section for section in rest}
    growth = [line.replace("\n  ", " ") for line in page.pop(GROWTH).split("\n- ")[1:]]
    lines = {_label(line): line for line in growth}
    for section in sections:
        text = wrapped(section).removeprefix(SECTION)
        page[_heading(text)] = text
    for line in growth_lines:
        lines[_label(line.removeprefix("- "))] = line.removeprefix("- ")
    page[GROWTH] = wrapped(f"{GROWTH}\n\n" + "\n".join(f"- {line}" for line in lines.values()))
    file.write_text(("\n\n" + SECTION).join([head, *page.values()]) + "\n")


def _heading(section: str) -> str:
    return section.partition("\n")[0]


def _label(line: str) -> str:
    """What a line of the last section is about, in bold at its beginning."""
    return line.split("**")[1]


def _sections(results: Results) -> list[str]:
    parts = []
    if results.latency:
        parts += [sections.latency(results.latency, results.plan.order), sections.cost(results.latency)]
    if results.replay:
        parts.append(sections.replays(results.replay))
    if results.readings:
        parts.append(sections.clients(results.readings, results.replay))
    if results.memory:
        parts.append(sections.memory(results.memory))
    if results.rules:
        parts.append(sections.rules(results.rules))
    if results.days:
        parts.append(sections.days(results.days))
    return parts + _supervision_sections(results) + _speech_sections(results)


def _supervision_sections(results: Results) -> list[str]:
    parts = []
    if results.reported:
        parts.append("\n".join(report_section(results.reported)))
    if results.tail:
        parts.append(tail_lag(results.tail))
    if results.viewers:
        parts.append(wallboard_section(results.viewers))
    return parts


def _speech_sections(results: Results) -> list[str]:
    parts = []
    if results.building:
        parts.append(speech_sections.building(results.building, results.machine.cores))
    if results.stretchers:
        parts.append(speech_sections.stretchers(results.stretchers))
    if results.intelligibility:
        parts.append(intelligibility(results.intelligibility))
    if results.speech:
        parts.append(speech_latency.section(results.speech))
    return parts


def _head(machine: Machine) -> str:
    return f"""\
# Benchmarks

Written by `make bench` and `make bench-registry`, which measure and assert nothing. Do not edit it by hand.

**How to read it.** Numbers hold for this run on this machine; what carries over to others is their ratios within
one run. Everything, the callers' phones included, ran on the same {machine.cores} cores over loopback, so that a
neighbour on the host, or one part of the bench crowding out another, shows as slowness. Ratios under {TIE} (and
over 1/{TIE}) are ties. Where something was measured several times, the lowest and the highest are given: what lies
between them is noise.

Measured {machine.described()}"""


def _growth(results: Results) -> list[str]:
    lines = []
    if results.latency:
        lines.append(_growth_with_rate(results.latency[0], results.latency[-1]))
    if results.replay:
        lines.append(_growth_with_outstanding(results.replay))
    if results.memory:
        lines.append(_growth_with_calls(results.memory))
    if results.rules:
        lines += _growth_with_rules(results.rules, max(results.plan.rates))
    return lines


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


def _growth_with_calls(memory: Memory) -> str:
    *_, before, most = sorted(memory.rss_bytes)
    per_call = (memory.rss_bytes[most] - memory.rss_bytes[before]) / (most - before)
    slower = compared(memory.full.us_per_call, memory.empty.us_per_call)
    return (
        f"- **Calls in hand.** From {before:,} to {most:,} calls in hand, memory grows by {per_call:,.0f} bytes a "
        f"call. At that, {MOST_CALLS:,} calls, the most that the router takes on, add "
        f"{per_call * MOST_CALLS / sections.MIB:.0f} MiB to {memory.rss_bytes[0] / sections.MIB:.0f} MiB. "
        f"With {most:,} calls in hand, a decision takes {slower} times the processor time that it takes with none."
    )


def _growth_with_rules(found: list[AtSize], rate: int) -> list[str]:
    few, many = found[0], found[-1]
    ours, theirs = (
        compared(median(getattr(many.last.decide_us, whose)), median(getattr(few.last.decide_us, whose)))
        for whose in ("ours", "theirs")
    )
    load = compared(median(many.load_ms.ours), median(few.load_ms.ours))
    by_rule = (many.last.record_bytes - few.last.record_bytes) / (many.rules - few.rules)
    busy = [(median(at.any.decide_us.ours) + median(at.any.record_us)) * rate / 1e6 for at in (few, many)]
    slower = compared(median(many.any.record_us), median(many.any.decide_us.ours))
    day = [at.any.record_bytes * sections.CALLS_A_DAY / 1e9 for at in (few, many)]
    return [
        f"- **Rules.** From {few.rules} to {many.rules} rules ({many.rules / few.rules:.0f} times as many), a decision "
        f"by the last rule takes {ours} times as long (rule-engine's: {theirs}), loading the file {load} times. A "
        "decision costs by the rules before the one that matches: what matches most calls belongs near the top.",
        f"- **Rules and records.** A record tells of each rule up to the one that matched, about {by_rule:,.0f} bytes "
        f"for each. With {many.rules} rules instead of {few.rules} it has {many.any.record_bytes:,.0f} bytes instead "
        f"of {few.any.record_bytes:,.0f} where any rule is as likely to match, which makes {day[1]:,.1f} GB instead "
        f"of {day[0]:,.1f} GB for {sections.CALLS_A_DAY:,} calls a day. Making and writing it takes {slower} "
        f"times as long as the decision with {many.rules} rules; both together take {busy[1]:.1%} of one core at "
        f"{rate} calls/s instead of {busy[0]:.1%}.",
    ]
