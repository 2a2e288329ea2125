"""Lists of callers' numbers in files of their own: one number, or beginning of numbers, a line.

    # anyone may write this with any editor
    +8613900000001
    +861390000*      # a beginning

Blank lines and what follows a # are passed over. Everything wrong is reported, up to `MAX_PROBLEMS` lines of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from router.errors import Problem
from router.rules.document import Source
from router.rules.scalars import quoted
from router.rules.values import CALLER_PATTERN

# Half a million numbers; reading them takes half a second.
MAX_LIST_BYTES: Final = 8 * 1024 * 1024
MAX_PROBLEMS: Final = 20

ReadList: TypeAlias = Callable[[str], Source | Problem]
"""Reads the list of a name; a Problem says why it cannot be read."""

_PATTERN = re.compile(CALLER_PATTERN)
_LINE_END = re.compile(r"\r\n|\n|\r")  # as editors count lines; `splitlines` has more of them


def parse_list(source: Source) -> tuple[frozenset[str], list[Problem]]:
    """The number patterns of a list, and what is wrong with it."""
    patterns: set[str] = set()
    problems: list[Problem] = []
    for number, line in enumerate(_LINE_END.split(source.text), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        if _PATTERN.fullmatch(entry):
            patterns.add(entry)
            continue
        column = len(line) - len(line.lstrip()) + 1
        message = f"a number needs + and its country code, like +8613912345678 or +8610*; found {quoted(entry)}"
        problems.append(Problem(source.file, number, column, message))
        if len(problems) == MAX_PROBLEMS:
            problems.append(
                Problem(source.file, number, column, "there may be more wrong after this; mend these first")
            )
            break
    if not patterns and not problems:
        problems.append(
            Problem(
                source.file, 0, 0, "no number stands in this list; write one into it, or take its name out of the rules"
            )
        )
    return frozenset(patterns), problems
