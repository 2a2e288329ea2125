"""How far an import has come: bars with rate and time left on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from router.callers.loading.steps import Step, Watch
from router.cli.tracing import printable

FIRST_LINE_S: Final = 2.0
"""What takes no longer needs no line."""
LINE_EVERY_S: Final = 10.0
_COUNTED: Final = frozenset({"callers", "rows", "buckets"})
_LEAST_FOR_RATE_S: Final = 1.0


class Rates:
    """What is said of a step, with the rate since its kind of work began.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doing = ""
        self._began_s = 0.0
        self._began_at = 0

    def said(self, step: Step) -> str:
        """`12,000,000 of 200,000,000 rows, 912,000/s, 0:03:26 left`; as much of it as is known."""
        now_s = self._clock()
        if step.doing != self._doing:
            # What was there already was done by an earlier run.
            self._doing, self._began_s, self._began_at = step.doing, now_s, step.done
        if step.total is None and not step.done:
            return ""
        if step.unit not in _COUNTED:
            return _portion(step)
        words = [f"{step.done:,}" + (f" of {step.total:,}" if step.total is not None else "") + f" {step.unit}"]
        took_s, done = now_s - self._began_s, step.done - self._began_at
        if took_s >= _LEAST_FOR_RATE_S and done > 0:
            words.append(f"{done / took_s:,.0f}/s")
            if step.total is not None:
                words.append(f"{_clock_time((step.total - step.done) * took_s / done)} left")
        return ", ".join(words)


def _portion(step: Step) -> str:
    if step.unit == "s":
        return f"{step.done} s left"
    return f"{100 * step.done // step.total} %" if step.total else ""


def _clock_time(duration_s: float) -> str:
    minutes, seconds = divmod(round(max(0.0, duration_s)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


@contextmanager
def import_progress(console: Console | None = None) -> Iterator[Watch]:
    """Show steps until the end, on standard error."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._rates = Rates()
        self._tasks: dict[str, TaskID] = {}
        self._noted = ""

    def __call__(self, step: Step) -> None:
        if step.doing not in self._tasks:
            self._tasks[step.doing] = self._bars.add_task(step.doing, said="")
        for doing, task in self._tasks.items():  # one at a time: beside the longest name no rate would fit a terminal
            self._bars.update(task, visible=doing == step.doing)
        if step.note and step.note != self._noted:
            self._noted = step.note
            self._bars.console.print(printable(step.note), highlight=False, markup=False)
        said = self._rates.said(step)
        self._bars.update(self._tasks[step.doing], completed=step.done, total=step.total, said=said)


class Lines:
    """A line after two seconds, then one every ten.

    Args:
        clock: Seconds.
        echo: Prints a line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, echo: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._echo = echo or (lambda line: click.echo(line, err=True))
        self._rates = Rates(clock)
        self._next_s = clock() + FIRST_LINE_S
        self._noted = ""

    def __call__(self, step: Step) -> None:
        """Tell of a step, if it is time to."""
        said = self._rates.said(step)
        if step.note and step.note != self._noted:
            self._noted = step.note
            self._echo(printable(step.note))
        if (now_s := self._clock()) >= self._next_s:
            self._next_s = now_s + LINE_EVERY_S
            self._echo(f"{step.doing}: {said}" if said else step.doing)
