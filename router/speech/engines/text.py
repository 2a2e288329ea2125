"""Text as engines may be given it."""

from __future__ import annotations


def plain(text: str) -> str:
    """`text` on one line, without control characters: to espeak-ng, Ctrl-A begins a command."""
    return "".join(c if c.isprintable() else " " for c in text)
