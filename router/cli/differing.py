"""How a difference between recorded decisions and new rules is shown: to people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.cli.tracing import printable, show_table, shown_text
from router.journal.difference import Difference, NotTold
from router.journal.harm import Calls, Example, Harm, Harmed, Place, Route
from router.journal.stream import Read
from router.rules.book import RuleBook
from router.rules.durations import in_words
from router.rules.wording import listed

MOST_CHANGES_SHOWN: Final = 50
_UNKNOWN = "unknown"
_COUNT_WIDTH: Final = 9
_PASSED: Final = (
    "no protected caller ({}) loses a person, a head start or an overflow or waits longer for it, and no others join "
    "their queue or get further ahead of them. How busy a queue is, is not judged."
)
_ASKED_FOR = {
    "repeat": "how often a caller has called",
    "choice": "what a caller has had remembered",
    "queue": "the state of the queue of",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """All there is to show.

    `untold` is why the gate may not be passed although it finds nothing; `notes` are about the rules of that time.
    """

    new_rules: Path
    journals: tuple[Path, ...]
    book: RuleBook
    difference: Difference
    read: Read
    protected: frozenset[str]
    untold: str
    notes: tuple[str, ...]

    def all_notes(self) -> list[str]:
        """What the reader must know to trust the numbers."""
        found = self.difference
        notes = [*self.notes, *map(_not_told, found.not_told)]
        if found.time_of_writing:
            notes.append(
                f"{_decisions(found.time_of_writing)} tell when they were written, not when they were made: calendars "
                "are asked for that moment, some milliseconds later"
            )
        notes += [
            f"{_decisions(band.calls)} are of the age band `{band.band}`, which the new rules do not define: they "
            "count as of unknown age, as the router takes them"
            for band in found.bands
            if band.calls and not band.is_defined
        ]
        notes += [
            f"{_decisions(one.calls)} of `{one.band}` would have callers of other protected age bands further ahead of "
            f"them in the queue {one.queue}; the gate leaves that to you"
            for one in found.outranked
        ]
        if found.faster:
            notes.append(
                f"{_decisions(found.faster)} of protected callers would be spoken to faster; the gate leaves that to "
                "you"
            )
        return notes


def print_difference(console: Console, shown: Shown) -> None:
    """Everything for people. Texts from files go into `Text`, so that brackets in them are no markup."""
    found = shown.difference
    _print_head(console, shown)
    _print_bands(console, found)
    if found.changes:
        console.print()
        console.print("From → to, most decisions first:")
        for change in found.changes[:MOST_CHANGES_SHOWN]:
            old, new = _apart(change.old, change.new)
            console.print()
            _print_counted(
                console, change.calls.count, shown_text(old, "red"), Text.assemble("→ ", shown_text(new, "green"))
            )
            _print_examples(console, shown, change.calls.examples)
        if left_out := found.changes[MOST_CHANGES_SHOWN:]:
            console.print()
            calls = sum(change.calls.count for change in left_out)
            _print_counted(console, calls, shown_text(f"others, of {len(left_out)} kinds"))
    if notes := shown.all_notes():
        console.print()
        console.print("To know:")
        told = Table.grid(padding=(0, 1))
        for note in notes:
            told.add_row("-", shown_text(note))
        show_table(console, told, indent=2)
    console.print()
    _print_gate(console, shown)


def _print_head(console: Console, shown: Shown) -> None:
    found, zone = shown.difference, ZoneInfo(shown.book.timezone)
    grid = Table.grid(padding=(0, 2))
    grid.add_row("new rules", shown_text(f"{shown.new_rules}, version {shown.book.version}"))
    old = [
        f"{version} ({calls:,})" if len(found.versions) > 1 else version for version, calls in found.versions.items()
    ]
    grid.add_row("decided by", shown_text(f"version{'s' if len(old) > 1 else ''} {listed(old)}"))
    grid.add_row("journals" if len(shown.journals) > 1 else "journal", shown_text(listed(map(str, shown.journals))))
    if found.first and found.last:
        first, last = found.first.astimezone(zone), found.last.astimezone(zone)
        grid.add_row("made", f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} {last:%Z}")
    grid.add_row("compared", _decisions(found.compared))
    for count, what in (
        (found.fell_back, "went to people without the rules being asked"),
        (found.undecided, "have no decision, for an error in the router"),
        (found.elsewhen, "lie outside of the time asked for"),
        (shown.read.bad, "could not be read"),
    ):
        if count:
            grid.add_row("not compared", f"{count:,} that {what}")
    grid.add_row("routed differently", shown_text(f"{found.differ:,} ({_share(found.differ, found.compared)})", "bold"))
    show_table(console, grid)


def _print_bands(console: Console, found: Difference) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("age band")
    for title in ("decisions", "routed differently", ""):
        table.add_column(title, justify="right")
    for band in found.bands:
        what = ["protected"] * band.is_protected + ["not defined by the new rules"] * (not band.is_defined)
        name = (band.band or _UNKNOWN) + (f" ({', '.join(what)})" if what else "")
        share = _share(band.differ, band.calls) if band.differ else ""
        table.add_row(shown_text(name), f"{band.calls:,}", f"{band.differ:,}", share)
    console.print()
    show_table(console, table)


def _print_counted(console: Console, count: int, *lines: Text) -> None:
    """A number of calls, and beside it what they have in common, a line each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=_COUNT_WIDTH, justify="right")
    for number, line in enumerate(lines):
        table.add_row("" if number else f"{count:,}", line)
    show_table(console, table)


def _print_examples(console: Console, shown: Shown, examples: Sequence[Example]) -> None:
    zone = ZoneInfo(shown.book.timezone)
    table = Table.grid(padding=(0, 2))
    for one in examples:
        called = f"{one.caller} ({one.age_band or _UNKNOWN}) called {one.called}"
        rules = f'"{one.old_rule}"' + (f' → "{one.new_rule}"' if one.new_rule != one.old_rule else "")
        call = f"{one.time.astimezone(zone):%Y-%m-%d %H:%M:%S}  {called}, call {one.uniqueid} on {one.node}"
        table.add_row("like", shown_text(call, "dim"))
        table.add_row("", shown_text(rules, "dim"))
    if examples:
        show_table(console, table, indent=_COUNT_WIDTH + 2)


def _print_gate(console: Console, shown: Shown) -> None:
    found = shown.difference
    if not shown.protected:
        console.print("GATE: no age band is protected, neither by the new rules nor by the old ones that are known.")
        return
    bands = printable(listed(sorted(shown.protected)))
    every = found.harmed
    if not every and shown.untold:
        console.print(Text.assemble(("GATE: cannot be told", "bold red"), f" ({bands}): {shown.untold}."))
        return
    if not every:
        console.print(Text.assemble(("GATE: passed", "bold green"), f"{_as_far_as(found)}: {_PASSED.format(bands)}"))
        return
    calls = sum(harmed.calls.count for harmed in every)
    console.print(
        Text.assemble(
            ("GATE: not passed", "bold red"), f": {_decisions(calls)} leave protected callers ({bands}) worse off:"
        )
    )
    for harm, alike in groupby(every, lambda harmed: harmed.harm):
        console.print()
        console.print(Text(f"  {harm}", "bold"))
        for harmed in alike:
            _print_counted(console, harmed.calls.count, shown_text(f"{harmed.band}: {_worse(harmed)}"))
            _print_examples(console, shown, harmed.calls.examples)


def _worse(harmed: Harmed) -> str:
    places = f"{_place(harmed.old)} → {_place(harmed.new)}" if harmed.old != harmed.new else _place(harmed.old)
    if not harmed.new.queue:
        return places
    whom = f"other {harmed.band} callers" if harmed.harm is Harm.FELLOWS_AHEAD else "others"
    before, now = _ahead(harmed.old_ahead_s, whom), _ahead(harmed.new_ahead_s, whom)
    where = f" in queue {harmed.queue}" if harmed.queue != harmed.new.queue else ""
    told = f"{places}; {before} before, {now} now{where}"
    still_first = harmed.harm is Harm.SMALLER_HEAD_START and (harmed.new_ahead_s or 0) < 0
    return f"{told}, though ahead of all others still" if still_first else told


def _ahead(seconds: int | None, whom: str) -> str:
    """Where the callers stand towards others of their queue, who can be ahead of them by so much."""
    if seconds is None:
        return f"no {whom}"
    if seconds == 0:
        return f"level with {whom}"
    return f"{in_words(-seconds)} ahead of all {whom}" if seconds < 0 else f"up to {in_words(seconds)} behind {whom}"


def _place(place: Place) -> str:
    if not place.queue:
        return f"context {place.context}"
    overflow_s = place.overflow_s
    after = "" if overflow_s is None else f", overflow after {in_words(overflow_s)} to {place.overflow_queue}"
    return f"queue {place.queue} (head start {in_words(place.head_start_s)}{after})"


def _apart(old: Route, new: Route) -> tuple[str, str]:
    """Both in words, as far as they differ; the target's name always."""
    both = list(zip(_parts(old), _parts(new), strict=True))
    differing = [(before, after) for before, after in both if before != after]
    return _in_words(old, (before for before, _ in differing)), _in_words(new, (after for _, after in differing))


def _in_words(route: Route, parts: Iterable[str]) -> str:
    said = ", ".join(part for part in parts if part)
    return f"{route.target} ({said})" if said else route.target


def _parts(route: Route) -> Iterator[str]:
    yield f"queue {route.queue}" if route.queue else f"context {route.context}"
    yield f"head start {in_words(route.head_start_s)}" if route.queue or route.head_start_s else ""
    yield f"speech {route.speech}"
    yield f"language {route.language}" if route.language else ""
    yield f"agent label {route.agent_label}" if route.agent_label else "no agent label"
    overflow_s = route.overflow_s
    yield "no overflow" if overflow_s is None else f"overflow after {in_words(overflow_s)} to {route.overflow_queue}"


def _not_told(what: NotTold) -> str:
    asked = _ASKED_FOR[what.field] + (f" `{what.target}`" if what.target else "")
    return (
        f"`{what.field}`: the new rules ask for {asked}, which {_decisions(what.calls)} do not tell; "
        "taken as not matching"
    )


def _as_far_as(found: Difference) -> str:
    """What of the decisions does not tell, where the new rules ask for more than was recorded."""
    parts = []
    for whose, protected in (("protected callers", True), ("others", False)):
        bands = [band for band in found.bands if band.is_protected is protected]
        calls, not_told = sum(band.calls for band in bands), sum(band.not_told for band in bands)
        if not_told:
            parts.append(f"{calls - not_told:,} of {_decisions(calls)} of {whose}")
    return f", as far as {listed(parts)} tell" if parts else ""


def _decisions(count: int) -> str:
    return f"{count:,} decision{'' if count == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}"


def as_plain(shown: Shown) -> dict[str, object]:
    """Everything for JSON."""
    found = shown.difference
    left_out = found.changes[MOST_CHANGES_SHOWN:]
    return {
        "new_rules": str(shown.new_rules),
        "rules_version": shown.book.version,
        "journals": [str(file) for file in shown.journals],
        "versions": found.versions,
        "first": found.first.isoformat() if found.first else None,
        "last": found.last.isoformat() if found.last else None,
        "compared": found.compared,
        "differ": found.differ,
        "not_compared": {
            "fell_back": found.fell_back,
            "undecided": found.undecided,
            "outside_of_time": found.elsewhen,
            "bad_lines": shown.read.bad,
        },
        "bands": [
            {
                "band": band.band,
                "protected": band.is_protected,
                "defined": band.is_defined,
                "compared": band.calls,
                "differ": band.differ,
                "not_told": band.not_told,
                "refused": band.refused,
            }
            for band in found.bands
        ],
        "changes": [
            {"from": asdict(change.old), "to": asdict(change.new), **_calls_as_plain(change.calls)}
            for change in found.changes[:MOST_CHANGES_SHOWN]
        ],
        "changes_left_out": {"kinds": len(left_out), "calls": sum(change.calls.count for change in left_out)},
        "gate": {
            "passed": not found.harmed and not (shown.protected and shown.untold),
            "cannot_be_told": shown.untold if shown.protected else "",
            "protected": sorted(shown.protected),
            "worse_off": [
                {
                    "harm": harmed.harm.name.lower(),
                    "band": harmed.band,
                    "queue": harmed.queue,
                    "from": asdict(harmed.old),
                    "to": asdict(harmed.new),
                    "others_ahead_s": {"from": harmed.old_ahead_s, "to": harmed.new_ahead_s},
                    **_calls_as_plain(harmed.calls),
                }
                for harmed in found.harmed
            ],
            "outranked": [asdict(one) for one in found.outranked],
            "spoken_to_faster": found.faster,
        },
        "not_told": [asdict(what) for what in found.not_told],
        "notes": shown.all_notes(),
        "complaints": shown.read.complaints(),
    }


def _calls_as_plain(calls: Calls) -> dict[str, object]:
    examples = [{**asdict(example), "time": example.time.isoformat()} for example in calls.examples]
    return {"calls": calls.count, "examples": examples}
