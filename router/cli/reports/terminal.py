"""A report on a terminal of 80 columns or more: the one question first, then everything that it takes to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.cli.reports.measures import IN_GROUPS, MEASURES, Change, Verdict, change, said, said_share
from router.cli.reports.notes import notes
from router.cli.reports.shown import SECTIONS, Reason, Row, Shown
from router.cli.reports.words import Words
from router.cli.tracing import printable, show_table, shown_text
from router.journal.counting.figures import Tally

_WIDE: Final = 136  # both spans' numbers beside each other
_ALL_WIDE: Final = 114  # less, and words are shortened
_BAR_WIDE: Final = 100
_BAR: Final = 14
_NARROW: Final = 80
_NAME_WIDE: Final = 22
_MOST_ROWS: Final = 25
_MOST_TROUBLES: Final = 20
_STYLES: Final[dict[Verdict, str]] = {"better": "green", "worse": "red", "chance": "dim", "same": "dim"}


def print_report(console: Console, shown: Shown, words: Words) -> None:
    """Everything for people. Names of rules and queues go into `Text`, so that brackets in them are no markup."""
    _print_head(console, shown, words)
    console.print()
    _print_overall(console, shown, words)
    for section in SECTIONS:
        if rows := shown.rows(section):
            console.print()
            _print_section(console, shown, words, section, rows)
    for what in ("fallback", "unknown"):
        if reasons := shown.reasons(what):
            console.print()
            _print_reasons(console, words, what, reasons)
    console.print()
    _print_troubles(console, shown, words)
    if told := list(notes(shown, words)):
        console.print()
        console.print(f"{words.says['to_know']}:")
        grid = Table.grid(padding=(0, 1))
        for note in told:
            grid.add_row("-", shown_text(note))
        show_table(console, grid, indent=2)


def headline(shown: Shown, words: Words) -> str:
    """The one question and its answer."""
    protected = shown.now.protected
    bands = "" if shown.was_protected_otherwise else words.names(shown.protected_bands)
    whom = words.says["older_of"].format(bands=bands) if bands else words.says["older"]
    if not protected.ended and not protected.offered:
        return f"{whom}: {words.says['none']}"
    answer = words.says["headline"].format(
        person=said_share(protected.share_without_assistant), fast=said_share(protected.answered_within_15s)
    )
    return f"{whom}: {answer}"


def _print_head(console: Console, shown: Shown, words: Words) -> None:
    console.print(shown_text(headline(shown, words), "bold"))
    compared = words.says["compared" if shown.is_compared else "not_compared"]
    line = f"{words.span(shown.asked)}, {shown.zone.key}; {compared} {words.before(shown.asked)}"
    console.print(Text(line, "dim"))


def _print_overall(console: Console, shown: Shown, words: Words) -> None:
    """All figures of older callers and of all, with what changed."""
    is_wide = shown.is_compared and console.width >= _WIDE
    is_narrow = console.width < _ALL_WIDE
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0) if is_narrow else (0, 1))
    table.add_column("", no_wrap=True)
    for whom in ("older", "all"):
        table.add_column(words.says[f"narrow_{whom}" if is_narrow else whom], justify="right", no_wrap=True)
        if is_wide:
            table.add_column(words.says["before"], justify="right", no_wrap=True, style="dim")
        if shown.is_compared:
            table.add_column(words.says["change"], no_wrap=True)
    pairs = ((shown.now.protected, shown.before.protected), (shown.now.overall, shown.before.overall))
    for measure in MEASURES:
        is_shortened = is_narrow and measure.name == "without_assistant"
        name = words.says["narrow_person"] if is_shortened else words.figure(measure.name, shown.now.within_s)
        cells: list[Text | str] = [name]
        for now, before in pairs:
            cells.append(said(measure.value(now)))
            if is_wide:
                cells.append(said(measure.value(before)))
            if shown.is_compared:
                cells.append(_change(change(measure, now, before), words, is_narrow=is_narrow))
        table.add_row(*cells)
    show_table(console, table)
    if shown.now.overall.offered:
        promise = words.says["promised"].format(percent=f"{shown.percent:g}%")
        console.print(Text(f"{promise} ({words.figure('service_level', shown.now.within_s)})", "dim"))


def _change(what: Change | None, words: Words, *, is_narrow: bool) -> Text:
    if what is None or what.verdict == "same":
        return Text("")
    is_shortened = is_narrow and what.verdict == "chance"
    verdict = words.says["narrow_chance"] if is_shortened else words.verdicts[what.verdict]
    return Text(f"{what.text} {verdict}", _STYLES.get(what.verdict, ""))


def name_of(section: str, name: str, words: Words) -> str:
    """How a group without a name is called."""
    if name:
        return name
    return words.says[{"band": "unknown_band", "rule": "no_rule"}.get(section, "no_name")]


def _print_section(console: Console, shown: Shown, words: Words, section: str, rows: Sequence[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    wide = _NAME_WIDE + max(0, console.width - _NARROW)
    table.add_column(words.sections[section], max_width=wide, overflow="fold")
    for measure in IN_GROUPS:
        name = words.figure(measure.name, shown.now.within_s, short=True)
        table.add_column(name, justify="right", no_wrap=True)
    has_bar = section in {"hour", "day"} and console.width >= _BAR_WIDE and console.is_terminal
    if has_bar:
        table.add_column("")
    most = max(row.now.calls for row in rows)
    kept = rows if section in {"hour", "day"} else sorted(rows, key=lambda row: -row.now.calls)[:_MOST_ROWS]
    for row in rows:
        if row in kept:
            bar = [Text("█" * round(_BAR * row.now.calls / most), "blue")] if has_bar and most else []
            table.add_row(shown_text(name_of(section, row.name, words)), *_figures(row.now), *bar)
    show_table(console, table)
    if len(rows) > len(kept):
        console.print(Text(words.says["others"].format(count=len(rows) - len(kept)), "dim"))


def _figures(tally: Tally) -> list[str]:
    return [said(measure.value(tally)).removesuffix(" min").removesuffix(" s") for measure in IN_GROUPS]


def _print_reasons(console: Console, words: Words, what: str, reasons: Sequence[Reason]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(words.says[what])
    table.add_column(words.says["calls"], justify="right")
    table.add_column(words.says["before"], justify="right", style="dim")
    for reason in reasons[:_MOST_ROWS]:
        table.add_row(shown_text(words.reason(reason.name)), f"{reason.now:,}", f"{reason.before:,}")
    show_table(console, table)


def _print_troubles(console: Console, shown: Shown, words: Words) -> None:
    troubles = shown.now.troubles
    if not troubles:
        console.print(Text.assemble((words.says["troubles"], "bold"), ": ", words.says["no_troubles"]))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(words.says["troubles"])
    for head in ("where", "from", "to", "why"):
        table.add_column(words.says[head])
    for one in troubles[:_MOST_TROUBLES]:
        table.add_row(
            shown_text(one.what, "red"),
            shown_text(one.node or "–"),
            moment(one.began, shown.zone, words.says["before_span"]),
            moment(one.ended, shown.zone, words.says["still"]),
            shown_text(one.why),
        )
    show_table(console, table)
    if len(troubles) > _MOST_TROUBLES:
        console.print(Text(words.says["others"].format(count=len(troubles) - _MOST_TROUBLES), "dim"))


def moment(at: datetime | None, zone: ZoneInfo, missing: str) -> str:
    """A moment in the report's zone."""
    return printable(f"{at.astimezone(zone):%m-%d %H:%M:%S}") if at else missing
