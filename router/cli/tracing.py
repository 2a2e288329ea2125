"""How a decision and its trace are shown: the same wherever a command says why the rules decided something."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from router.ami.messages import for_log
from router.journal.records import TraceStep
from router.rules.book import RuleBook
from router.rules.model import Decision, QueueTarget, RuleTrace

# Wider than any line: what reads a pipe wants each in one piece.
_PIPE_WIDTH = 2000
# What JSON may hold as it is: controls, what turns the direction of writing, and half characters, which are no UTF-8.
_NOT_FOR_TERMINALS: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def console_for_answers() -> Console:
    """A console with colours and lines broken between words on a terminal; plain, whole lines in a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


@contextmanager
def reading_bar(what: str) -> Iterator[Callable[..., None]]:
    """A bar of how much of some journals has been read, on a terminal that can take it away again.

    Takes `total` and `completed`, in bytes.
    """
    console = Console(stderr=True)
    can_draw = console.is_terminal and not console.is_dumb_terminal
    bar = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*bar, console=console, transient=True, disable=not can_draw) as progress:
        yield partial(progress.update, progress.add_task(what, total=None))


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


def facts_grid() -> Table:
    """A table of names and what is to be said of each, without lines."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    return grid


def steps_table(steps: Iterable[RuleTrace | TraceStep], not_asked: Iterable[str]) -> Table:
    """Every rule in its order: its number, its name, and its answer to the call.

    Args:
        steps: Those that were asked, just now or as the journal has it.
        not_asked: The names of those behind them.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "rule", "answer"):
        table.add_column(title)
    answers = [(step.rule, _answer(step)) for step in steps]
    answers += [(name, Text("not asked", style="dim")) for name in not_asked]
    for number, (name, answer) in enumerate(answers, start=1):
        table.add_row(str(number), shown_text(name), answer)
    return table


def _answer(step: RuleTrace | TraceStep) -> Text:
    if step.matched:
        return Text("matched", style="bold green")
    return shown_text(f"{step.failed} is {step.saw or '(empty)'}, not {step.wanted}")


def trace_table(book: RuleBook, decision: Decision) -> Table:
    """The same of a decision of these rules."""
    return steps_table(decision.trace, (rule.name for rule in book.rules[len(decision.trace) :]))


def target_in_words(name: str, *, queue: str, context: str, overflow: tuple[int, str] | None) -> str:
    """A target, and where a call waits or goes there; `overflow` has its seconds and its queue."""
    if not queue:
        return f"{name}: context {context}"
    onward = f", after {overflow[0]} s queue {overflow[1]}" if overflow else ""
    return f"{name}: queue {queue}{onward}"


def speech_in_words(speech: str, speech_from: str, rule: str, book: RuleBook | None, rate: float | None = None) -> str:
    """A speech profile, its rate if given, and why it is not the rule's where it is not."""
    remarks = [] if rate is None else [f"rate {rate:g}"]
    if speech_from == "choice":
        remarks.append("the caller's own choice")
        remarks += [f"the rule says {each.speech.name}" for each in (book.rules if book else ()) if each.name == rule]
    return f"{speech} ({'; '.join(remarks)})" if remarks else speech


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def json_text(plain: object) -> str:
    """JSON to be read by people too; what a terminal would obey is escaped."""
    return _NOT_FOR_TERMINALS.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(plain, ensure_ascii=False, indent=2)
    )


def decision_as_plain(decision: Decision) -> dict[str, object]:
    """A decision with its trace for JSON; its target says of which kind it is."""
    kind = "queue" if isinstance(decision.target, QueueTarget) else "context"
    plain = {**asdict(decision), "target": {"kind": kind, **asdict(decision.target)}}
    plain["calendars"] = sorted(decision.calendars)
    return plain
