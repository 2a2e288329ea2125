"""Tables, ratios and wrapped paragraphs for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill

WIDTH = 115
TIE = 1.2


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column stands left and whose others stand right."""
    lines = [_row(head), "| :--- |" + " ---: |" * (len(head) - 1)]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def compared(this: float, that: float) -> str:
    """A ratio in words; one that noise could have made is a tie."""
    ratio = this / that
    return f"{ratio:.2f} (a tie)" if 1 / TIE < ratio < TIE else f"{ratio:.2f}"


def between(values: Sequence[float], digits: int = 2) -> str:
    """The lowest and the highest."""
    return f"{min(values):,.{digits}f} – {max(values):,.{digits}f}"


def wrapped(text: str) -> str:
    """Break the lines of all paragraphs and list items anew; headings and tables stay."""
    return "\n\n".join(_wrapped(paragraph) for paragraph in text.split("\n\n"))


def _wrapped(paragraph: str) -> str:
    if paragraph.startswith(("#", "|")):
        return paragraph
    items = paragraph.split("\n") if paragraph.startswith("- ") else [paragraph]
    indent = "  " if paragraph.startswith("- ") else ""
    return "\n".join(
        fill(item, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) for item in items
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
