"""The charts of a report's page as coordinates: a template draws them as SVG. Pure.

Four simple charts in the colours, print and dark mode of the page: a library of charts would bring scripts,
styles or fonts of its own, and draw shapes that cannot be told from those of any other page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from router.cli.reports.measures import said, said_share
from router.cli.reports.shown import Row, Shown
from router.journal.counting.figures import NOTHING

WIDTH: Final = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 8.0, 10.0, 26.0
_GAP: Final = 0.28  # of a column
_MOST_TICKS: Final = 4
_LABELS_FIT: Final = 12


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid, or a label below a column, at `at`."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A box; `title` says its number."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """Points in a row, broken where there is nothing to tell; `dots` are (x, y, title)."""

    kind: str
    parts: tuple[str, ...]
    dots: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `bottom` is where its columns stand."""

    height: int
    bottom: float
    left: float
    right: float
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()


class _Plane:
    """Places values in a chart: columns side by side, values from 0 to `most` upwards."""

    def __init__(self, height: int, columns: int, most: float) -> None:
        self.height = height
        self.bottom = height - _BOTTOM
        self._most = most or 1.0
        self.column_wide = (WIDTH - _LEFT - _RIGHT) / max(1, columns)

    def x(self, nth: int) -> float:
        """The middle of a column."""
        return round(_LEFT + (nth + 0.5) * self.column_wide, 1)

    def y(self, value: float) -> float:
        return round(self.bottom - (self.bottom - _TOP) * value / self._most, 1)

    def bar(self, nth: int, low: float, high: float, kind: str, title: str) -> Bar:
        width = round(self.column_wide * (1 - _GAP), 1)
        top = self.y(high)
        return Bar(round(self.x(nth) - width / 2, 1), top, width, round(self.y(low) - top, 1), kind, title)

    def line(self, kind: str, values: Sequence[float | None], titles: Sequence[str]) -> Line:
        parts: list[list[str]] = [[]]
        dots = []
        for nth, (value, title) in enumerate(zip(values, titles, strict=True)):
            if value is None:
                parts.append([])
                continue
            x, y = self.x(nth), self.y(value)
            parts[-1].append(f"{x},{y}")
            dots.append((x, y, title))
        return Line(kind, tuple(" ".join(part) for part in parts if len(part) > 1), tuple(dots))

    def chart(self, names: Sequence[str], rows: Sequence[tuple[float, str]], **what: tuple[Bar | Line, ...]) -> Chart:
        every = math.ceil(len(names) / _LABELS_FIT)
        columns = tuple(Tick(self.x(nth), name) for nth, name in enumerate(names) if nth % every == 0)
        grid = tuple(Tick(self.y(value), label) for value, label in rows)
        return Chart(self.height, self.bottom, _LEFT, WIDTH - _RIGHT, grid, columns, **what)  # type: ignore[arg-type]


def by_hour_share(shown: Shown, older: str, everybody: str) -> Chart:
    """Answered within 15 s by hour, of older callers and of all."""
    rows = shown.rows("hour")
    plane = _Plane(190, len(rows), 1.0)
    lines = []
    of_all = [row.now.answered_within_15s for row in rows]
    of_older = [shown.now.protected_by_hour.get(_hour(row), NOTHING).answered_within_15s for row in rows]
    for kind, name, shares in (("other", everybody, of_all), ("older", older, of_older)):
        titles = [f"{row.name} {name}: {said_share(share)}" for row, share in zip(rows, shares, strict=True)]
        lines.append(plane.line(kind, [share.value for share in shares], titles))
    grid = [(value / 100, f"{value}%") for value in (0, 25, 50, 75, 100)]
    return plane.chart([row.name[:2] for row in rows], grid, lines=tuple(lines))


def by_hour_calls(shown: Shown, older: str, others: str) -> Chart:
    """Calls by hour: those of older callers, and the others upon them."""
    rows = shown.rows("hour")
    grid = _grid(max(row.now.calls for row in rows))
    plane = _Plane(190, len(rows), grid[-1])
    bars = []
    for nth, row in enumerate(rows):
        of_older = shown.now.protected_by_hour.get(_hour(row), NOTHING).calls
        bars.append(plane.bar(nth, 0, of_older, "older", f"{row.name} {older}: {of_older:,}"))
        rest = row.now.calls - of_older
        bars.append(plane.bar(nth, of_older, row.now.calls, "other", f"{row.name} {others}: {rest:,}"))
    return plane.chart([row.name[:2] for row in rows], [(v, f"{v:,.0f}") for v in grid], bars=tuple(bars))


def by_hour_waits(shown: Shown, median: str, p95: str) -> Chart:
    """Waits of older callers by hour, median and 95th percentile; of all callers where none is protected."""
    rows = shown.rows("hour")
    if shown.now.protected.calls:
        tallies = [shown.now.protected_by_hour.get(_hour(row), NOTHING) for row in rows]
    else:
        tallies = [row.now for row in rows]
    grid = _grid(max((tally.wait_95th_s or 0.0 for tally in tallies), default=0.0))
    plane = _Plane(190, len(rows), grid[-1])
    lines = []
    for kind, name, values in (
        ("other", p95, [tally.wait_95th_s for tally in tallies]),
        ("older", median, [tally.wait_median_s for tally in tallies]),
    ):
        titles = [f"{row.name} {name}: {said(value)}" for row, value in zip(rows, values, strict=True)]
        lines.append(plane.line(kind, values, titles))
    return plane.chart([row.name[:2] for row in rows], [(v, f"{v:,.0f} s") for v in grid], lines=tuple(lines))


@dataclass(frozen=True, slots=True)
class BandBars:
    """One age band: its name, and two shares as (figure, width from 0 to 1, text)."""

    name: str
    shares: tuple[tuple[str, float, str], ...]


def by_band(rows: Sequence[Row], names: Sequence[str]) -> list[BandBars]:
    """Answered by a person without the assistant, and within 15 s, of each age band."""
    return [
        BandBars(
            name,
            tuple(
                (which, share.value or 0.0, said_share(share))
                for which, share in (
                    ("without_assistant", row.now.share_without_assistant),
                    ("answered_within_15s", row.now.answered_within_15s),
                )
            ),
        )
        for row, name in zip(rows, names, strict=True)
    ]


def _hour(row: Row) -> int:
    return int(row.name[:2])


def _grid(most: float) -> list[float]:
    """Round values from 0 up to one that is not below `most`."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(1.0, next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough))
    return [nth * step for nth in range(math.ceil(most / step) + 1)]
