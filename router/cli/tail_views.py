"""The ways in which `elder-router tail` shows calls: lines in a pipe, JSON, or rows of a terminal that change."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TextIO

import click
import orjson

from router.cli.tail_lines import CallLines, Cell, shortened
from router.cli.tail_screen import Screen
from router.cli.tracing import printable
from router.journal.joining import Happened, Told
from router.journal.records import ConditionRecord, PromotionRecord


class View(Protocol):
    """Where what is to be shown goes."""

    def call(self, told: Told) -> None:
        """A call, for the first time or because something is new."""

    def apart(self, record: ConditionRecord | PromotionRecord, line: bytes) -> None:
        """What is no part of a call."""

    def complain(self, text: str) -> None:
        """Something about the journal that the reader should know."""

    def rest(self) -> bool:
        """There is nothing more to show for now. False if nobody looks any more."""

    def close(self) -> None:
        """Nothing more will come."""


@dataclass(slots=True)
class _LinesView:
    """Lines that are written and stay as they are."""

    out: TextIO

    def complain(self, text: str) -> None:
        """See `View`."""
        self.out.flush()
        click.echo(printable(text), err=True)

    def rest(self) -> bool:
        """See `View`."""
        self.out.flush()
        return _is_read(self.out)

    def close(self) -> None:
        """See `View`."""
        self.out.flush()


@dataclass(slots=True)
class PlainView(_LinesView):
    """A line when a call is decided, and one when it has ended."""

    lines: CallLines

    def call(self, told: Told) -> None:
        """See `View`. Where a call that came back is sent to stands in the line that ends it, or in `explain`."""
        if told.happened is not Happened.SENT_ON:
            self.out.write(self.lines.call_in_full(told.call) + "\n")

    def apart(self, record: ConditionRecord | PromotionRecord, line: bytes) -> None:  # noqa: ARG002 - for JSON
        """See `View`."""
        self.out.write(_cell_of(self.lines, record, with_date=True).text + "\n")


@dataclass(slots=True)
class JsonView(_LinesView):
    """An object a line; docs/tail.md has what stands in them."""

    def call(self, told: Told) -> None:
        """See `View`."""
        if told.happened is Happened.ENDED:
            self._print(b'{"event":"ended","decision":' + told.call.line + b',"outcome":' + told.line + b"}")
        else:
            self._print(b'{"event":"decided","decision":' + told.line + b"}")

    def apart(self, record: ConditionRecord | PromotionRecord, line: bytes) -> None:
        """See `View`."""
        self._print(f'{{"event":"{record.record}","{record.record}":'.encode() + line + b"}")

    def _print(self, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace")
        if not text.isprintable():
            # Controls that a terminal would obey, should this be read on one.
            text = json.dumps(orjson.loads(line))
        self.out.write(text + "\n")


@dataclass(slots=True)
class ScreenView:
    """A row a call, which changes when something is new as long as it is on the screen.

    Args:
        status: What stands in the last line, made anew for each frame.
        held: What is done within it is done whole.
    """

    lines: CallLines
    screen: Screen
    status: Callable[[], str]
    held: Callable[[], AbstractContextManager[None]]
    clock: Callable[[], float] = time.monotonic
    _day: str = field(init=False)
    _has_rows: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._day = self._day_of(datetime.now(UTC))

    def call(self, told: Told) -> None:
        """See `View`."""
        call = told.call
        key = (call.node, call.uniqueid)
        if told.happened is Happened.DECIDED or not self.screen.change(key):
            self._begin_day(call.decided_at)
            self.screen.add(partial(self.lines.call, call), key)
        self._draw_if_due()

    def apart(self, record: ConditionRecord | PromotionRecord, line: bytes) -> None:  # noqa: ARG002 - for JSON
        """See `View`."""
        cell = _cell_of(self.lines, record, with_date=False)
        self._begin_day(record.time)
        self.screen.add(lambda width: [Cell(shortened(cell.text, width), cell.style)])
        self._draw_if_due()

    def complain(self, text: str) -> None:
        """See `View`."""
        said = printable(text)
        self.screen.add(lambda width: [Cell(shortened(said, width), "yellow")])

    def rest(self) -> bool:
        """See `View`."""
        self._draw_if_due()
        return True

    def close(self) -> None:
        """See `View`."""
        with self.held():
            self.screen.draw(self.lines.titles, self.status(), self.clock())
            self.screen.close()

    def _draw_if_due(self) -> None:
        now_s = self.clock()
        if self.screen.is_due(now_s):
            with self.held():
                self.screen.draw(self.lines.titles, self.status(), now_s)

    def _begin_day(self, time: datetime) -> None:
        """Rows have the time only; the day stands in one of its own where it is another."""
        day = self._day_of(time)
        if day > self._day or (day != self._day and not self._has_rows):
            self._day = day
            self.screen.add(lambda _: [Cell(day, "bold")])
        self._has_rows = True

    def _day_of(self, time: datetime) -> str:
        return f"{self.lines.local(time):%Y-%m-%d}"


def _cell_of(lines: CallLines, record: ConditionRecord | PromotionRecord, *, with_date: bool) -> Cell:
    if isinstance(record, ConditionRecord):
        return lines.condition(record, with_date=with_date)
    return lines.promotion(record, with_date=with_date)


def _is_read(out: TextIO) -> bool:
    """Whether somebody is at the other end of a pipe still, who would otherwise be noticed at the next line only."""
    try:
        poll = select.poll()
        poll.register(out.fileno(), 0)
    except (OSError, ValueError):
        return True
    return not any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(0))
