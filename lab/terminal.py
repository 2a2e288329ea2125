"""A terminal: a program writes to its one end, what it shows is looked at from the other. For tests and pictures."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyte
import pyte.screens
from rich.style import Style
from rich.text import Text

DEADLINE_S = 20.0


@dataclass
class Terminal:
    """What a program that runs on it has written so far, as it is seen.

    Attributes:
        process: The program.
    """

    columns: int
    lines: int
    process: subprocess.Popen[bytes]
    _ours: int
    _screen: pyte.HistoryScreen = field(init=False)
    _stream: pyte.ByteStream = field(init=False)

    def __post_init__(self) -> None:
        self._screen = pyte.HistoryScreen(self.columns, self.lines, history=5_000)
        self._stream = pyte.ByteStream(self._screen)

    def read(self, for_s: float) -> bool:
        """Take what comes within a time; whether anything did."""
        ready, _, _ = select.select([self._ours], [], [], for_s)
        if not ready:
            return False
        try:
            self._stream.feed(os.read(self._ours, 65_536))
        except OSError:  # how the end of a terminal is told on Linux
            return False
        return True

    def until(self, holds: Callable[[list[str]], bool]) -> list[str]:
        """Wait until what is seen is as it should be."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not holds(self.seen()):
            if time.monotonic() > deadline_s:
                raise AssertionError("\n".join(["not seen in time; there is:", *self.seen()]))
            self.read(0.05)
        return self.seen()

    def seen(self) -> list[str]:
        """The lines on the screen, without the empty ones at its end."""
        shown = [line.rstrip() for line in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def above(self) -> list[str]:
        """The lines that have scrolled off its top."""
        rows = self._screen.history.top
        return ["".join(row[column].data for column in range(self.columns)).rstrip() for row in rows]

    def rows(self) -> list[Text]:
        """The same with their colours."""
        rows = []
        for number in range(self.lines):
            row = Text()
            for column in range(self.columns):
                cell = self._screen.buffer[number][column]
                row.append(cell.data, _style_of(cell))
            rows.append(row)
        return rows[: len(self.seen())]

    def style_of(self, word: str) -> tuple[str, bool]:
        """Colour and boldness of the first place where a word is seen."""
        for number, line in enumerate(self._screen.display):
            if (place := line.find(word)) >= 0:
                cell = self._screen.buffer[number][place]
                return cell.fg, cell.bold
        raise AssertionError(f"{word!r} is not seen")

    def resize(self, columns: int, lines: int) -> None:
        """As when somebody pulls at the corner of the window."""
        self.columns, self.lines = columns, lines
        self._screen.resize(lines, columns)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def echoes(self) -> bool:
        """Whether keys are seen, as they are before and after."""
        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def end(self) -> int:
        """Read what is left and wait for the program's end; its exit status."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self.process.poll() is None and time.monotonic() < deadline_s:
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.process.wait(timeout=1)


def _style_of(cell: pyte.screens.Char) -> Style:
    colour = {"default": None, "brown": "yellow"}.get(cell.fg, cell.fg)  # brown was what VGA made of yellow
    # pyte does not know faint letters, and underlines only titles here.
    return Style(color=colour, bold=cell.bold, reverse=cell.reverse, underline=cell.underscore)


@contextmanager
def on_terminal(
    command: Sequence[str], *, columns: int = 110, lines: int = 20, environment: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run a program on a terminal of its own, whose Ctrl-C it gets."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    usual = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
    words = usual | {"TERM": "xterm-256color"} | dict(environment or {})
    # setsid -c makes it the terminal that the program belongs to.
    with subprocess.Popen(["setsid", "-c", *command], stdin=its, stdout=its, stderr=its, env=words) as process:
        terminal = Terminal(columns, lines, process, ours)
        try:
            yield terminal
        finally:
            process.kill()
            process.wait()
            os.close(its)
            os.close(ours)
