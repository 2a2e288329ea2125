"""Text as engines may be given it."""

from __future__ import annotations

import re

# espeak-ng, and engines like it, take what stands between `[[` and `]]` for phonemes, not for text.
_BETWEEN_BRACKETS = re.compile(r"(?<=\[)(?=\[)")


def plain(text: str) -> str:
    """`text` on one line, in which nothing is a command: to espeak-ng, Ctrl-A begins one, and `[[` begins phonemes."""
    return _BETWEEN_BRACKETS.sub(" ", "".join(c if c.isprintable() else " " for c in text))
