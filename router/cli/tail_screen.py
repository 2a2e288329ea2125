"""The end of a terminal as a place where lines can still change: `elder-router tail`'s calls under way.

The lines that are on the screen are drawn again when one of them has changed; what moves off its top stays above, in
the terminal's own history, as it was. Nothing is known of calls here: a row makes its own text for a width.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NamedTuple, Self

from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from router.cli.tail_lines import Cell

REDRAW_S: Final = 0.1
_MOST_ROWS_WAITING: Final = 2_000
_TWO_BELOW: Final = 2
_SMALLEST_HEIGHT: Final = 4
_COLOUR_SYSTEMS: Final = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
}


class Size(NamedTuple):
    """Of a terminal, in cells."""

    columns: int
    lines: int


@dataclass(slots=True)
class _Row:
    make: Callable[[int], Iterable[Cell]]
    name: Hashable | None
    drawn: str = ""


class Screen:
    """Draws rows, and two lines below them that stay.

    Args:
        write: Takes what is for the terminal.
        size: Its size just now.
        styles: Turns cells into what the terminal shows.
    """

    def __init__(self, write: Callable[[str], object], size: Callable[[], Size], styles: Styles) -> None:
        self._write = write
        self._size_now = size
        self._styles = styles
        self._size = size()
        self._rows: deque[_Row] = deque()
        self._named: dict[Hashable, _Row] = {}
        self._lines_drawn = 0
        self._below: tuple[str, str] = ("", "")
        self._has_changed = True
        self._must_begin_anew = False
        self._drawn_at_s = float("-inf")

    def add(self, make: Callable[[int], Iterable[Cell]], name: Hashable | None = None) -> None:
        """Add a row at the end. What it shows on a terminal so many cells wide is asked for when it is drawn."""
        row = _Row(make, name)
        self._rows.append(row)
        if name is not None:
            self._named[name] = row
        self._has_changed = True

    def change(self, name: Hashable) -> bool:
        """Draw the row of that name anew; whether it still is on the screen."""
        row = self._named.get(name)
        if row is None:
            return False
        row.drawn = ""
        self._has_changed = True
        return True

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to draw again."""
        return now_s - self._drawn_at_s >= REDRAW_S or len(self._rows) > _MOST_ROWS_WAITING

    def draw(self, titles: Callable[[int], str], status: str, now_s: float) -> None:
        """Bring the terminal up to date, if there is anything to be brought."""
        self._drawn_at_s = now_s
        size = self._size_now()
        if self._must_begin_anew:
            self._must_begin_anew = False
            self._redraw_all()
            self._write("\r\n")
        elif size != self._size:
            # The terminal has broken our lines anew, and where they are now is not known. What is seen is drawn again.
            self._size = size
            self._redraw_all()
            self._write("\x1b[H\x1b[2J")
        width = self._width
        below = (titles(width), status)
        if not self._has_changed and below == self._below:
            return
        lines = [self._drawn(row) for row in self._rows]
        lines.append(self._styles.line([Cell(below[0], "dim underline")], width))
        lines.append(self._styles.line([Cell(set_cell_size(below[1], width), "reverse")], width))
        text = "\x1b[K\n".join(lines)
        self._write(f"\x1b[?2026h{self._back()}{text}\x1b[K\x1b[J\x1b[?2026l")
        self._forget()
        self._lines_drawn = len(self._rows) + _TWO_BELOW
        self._below = below
        self._has_changed = False

    def begin_anew(self) -> None:
        """Others have written to the terminal: go on below that, when it is drawn next. May be told by a signal."""
        self._must_begin_anew = True

    @property
    def _width(self) -> int:
        # Not the last cell of a line: whether the cursor is still in the line after that differs between terminals.
        return max(1, self._size.columns - 1)

    def close(self) -> None:
        """Leave the rows as they are, without the lines below, and the cursor at the beginning of a new one."""
        if not self._lines_drawn:
            return
        lines = [self._drawn(row) for row in self._rows]
        text = "".join(f"{line}\x1b[K\n" for line in lines)
        self._write(f"{self._back()}{text}\x1b[J")
        self._lines_drawn = 0

    def _drawn(self, row: _Row) -> str:
        row.drawn = row.drawn or self._styles.line(row.make(self._width), self._width)
        return row.drawn

    def _back(self) -> str:
        """To the beginning of the first of the lines that were drawn; the cursor is in the last."""
        up = self._lines_drawn - 1
        return f"\r\x1b[{up}A" if up > 0 else "\r"

    def _forget(self) -> None:
        """Those rows that have moved off the screen."""
        kept = max(_SMALLEST_HEIGHT, self._size.lines) - _TWO_BELOW
        while len(self._rows) > kept:
            row = self._rows.popleft()
            if row.name is not None and self._named.get(row.name) is row:
                del self._named[row.name]

    def _redraw_all(self) -> None:
        self._forget()
        for row in self._rows:
            row.drawn = ""
        self._lines_drawn = 0
        self._has_changed = True


class Styles:
    """Cells as a terminal shows them, by what it and NO_COLOR say of colours."""

    def __init__(self, console: Console) -> None:
        self._system = None if console.no_color else _COLOUR_SYSTEMS.get(console.color_system or "")
        self._has_styles = console.color_system is not None
        self._no_color = console.no_color
        self._styles: dict[str, Style] = {}

    def line(self, cells: Iterable[Cell], width: int) -> str:
        """Cells in one line of at most that width, with the marks of their styles."""
        parts = []
        left = width
        for text, style in cells:
            size = cell_len(text)
            shown = text if size <= left else set_cell_size(text, left)
            left -= min(size, left)
            parts.append(self._styled(shown, style))
            if not left:
                break
        return "".join(parts)

    def _styled(self, text: str, style: str) -> str:
        if not style or not text or not self._has_styles:
            return text
        if style not in self._styles:
            parsed = Style.parse(style)
            self._styles[style] = parsed.without_color if self._no_color else parsed
        return self._styles[style].render(text, color_system=self._system or ColorSystem.STANDARD)


def size_of(descriptor: int) -> Size:
    """The size of a terminal; the usual one where it does not tell."""
    try:
        columns, lines = os.get_terminal_size(descriptor)
    except OSError:
        return Size(80, 24)
    return Size(columns or 80, lines or 24)


@contextmanager
def terminal_for_drawing(descriptor: int, on_return: Callable[[], object]) -> Iterator[None]:
    """Keep keys from moving what is drawn, and leave the terminal as it was, however this ends.

    Args:
        descriptor: The terminal.
        on_return: Told when the program goes on after it was stopped (Ctrl-Z).
    """
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:
        before = None

    def quiet() -> None:
        if before is not None:
            now = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
            with suppress(termios.error):
                termios.tcsetattr(descriptor, termios.TCSADRAIN, now)

    def back(_signal: int, _frame: FrameType | None) -> None:
        quiet()
        on_return()

    previous = signal.signal(signal.SIGCONT, back)
    quiet()
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, previous)
        if before is not None:
            with suppress(termios.error):
                termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Ending:
    """Lets the signals that end a program end this one in order, with the status that a shell gives them.

    As a context: from then on.
    """

    def __init__(self) -> None:
        self._is_held = False
        self._came: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[each] = signal.signal(each, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let something be done whole before the end: what is half drawn cannot be cleared."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._came is not None:
            sys.exit(128 + self._came)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_held:
            sys.exit(128 + number)
        self._came = number
