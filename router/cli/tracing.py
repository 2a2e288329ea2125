"""How a decision and its trace are shown: the same wherever a command says why the rules decided something."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from router.ami.messages import for_log
from router.rules.book import RuleBook
from router.rules.model import Decision, QueueTarget

# Wider than any line: what reads a pipe wants each in one piece.
_PIPE_WIDTH = 2000


def console_for_answers() -> Console:
    """A console with colours and lines broken between words on a terminal; plain, whole lines in a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def printable(text: str) -> str:
    """Text of a journal, a file or an option without what a terminal would obey: control characters escaped."""
    return for_log(text, len(text))


def shown_text(text: str, style: str = "") -> Text:
    """The same for rich, which takes nothing in a `Text` for markup and yet lets control characters through."""
    return Text(printable(text), style)


def show_table(console: Console, table: Table, indent: int = 0) -> None:
    """Print a table some columns from the left; in a pipe, without blanks at the ends of its lines."""
    block = Padding(table, (0, 0, 0, indent), expand=False)
    if console.is_terminal:
        console.print(block)
        return
    with console.capture() as captured:
        console.print(block)
    for line in captured.get().splitlines():
        console.print(Text(line.rstrip()))


def trace_rows(book: RuleBook, decision: Decision) -> list[tuple[str, Text, Text]]:
    """Every rule in its order: its number, its name, and its answer to the call.

    Texts from the file are `Text`, so that brackets in them are not taken for rich's markup.
    """
    rows = []
    for number, rule in enumerate(book.rules, start=1):
        trace = decision.trace[number - 1] if number <= len(decision.trace) else None
        if trace is None:
            answer = Text("not asked", style="dim")
        elif trace.matched:
            answer = Text("matched", style="bold green")
        else:
            answer = Text(f"{trace.failed} is {trace.saw or '(empty)'}, not {trace.wanted}")
        rows.append((str(number), Text(rule.name), answer))
    return rows


def trace_table(book: RuleBook, decision: Decision) -> Table:
    """The same as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "rule", "answer"):
        table.add_column(title)
    for row in trace_rows(book, decision):
        table.add_row(*row)
    return table


def decision_as_plain(decision: Decision) -> dict[str, object]:
    """A decision with its trace for JSON; its target says of which kind it is."""
    kind = "queue" if isinstance(decision.target, QueueTarget) else "context"
    plain = {**asdict(decision), "target": {"kind": kind, **asdict(decision.target)}}
    plain["calendars"] = sorted(decision.calendars)
    return plain
