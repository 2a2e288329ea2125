"""Lists of callers' numbers in files of their own: one number, or beginning of numbers, a line.

    # anyone may write this with any editor
    +8613900000001
    +861390000*      # a beginning

Blank lines and what follows a # are passed over. Everything wrong is reported, up to `MAX_PROBLEMS` lines of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from router.errors import Problem
from router.rules.document import Source
from router.rules.listed_numbers import ListedNumbers
from router.rules.scalars import quoted
from router.rules.values import CALLER_PATTERN

# Half a million numbers; reading them takes half a second.
MAX_LIST_BYTES: Final = 8 * 1024 * 1024
# The proof goes through each beginning: so many take half a second, and calls wait up to 15 ms for one step of it.
MAX_BEGINNINGS: Final = 10_000
MAX_PROBLEMS: Final = 20

ReadList: TypeAlias = Callable[[str], Source | Problem]
"""Reads the list of a name; a Problem says why it cannot be read."""

_PATTERN = re.compile(CALLER_PATTERN)
# As editors count lines; `splitlines` has more of them. One by one: a whole text is split in one long step.
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\n|\r|\Z)")


@dataclass(frozen=True, slots=True)
class CallerList:
    """What stands in a list: whole numbers, and beginnings of numbers without their `*`."""

    numbers: ListedNumbers
    beginnings: frozenset[str]


def parse_list(source: Source) -> tuple[CallerList, list[Problem]]:
    """The numbers of a list, and what is wrong with it."""
    problems: list[Problem] = []
    beginnings: set[str] = set()
    numbers = ListedNumbers(_whole_numbers(source, beginnings, problems))
    if not numbers and not beginnings and not problems:
        message = "no number stands in this list; write one into it, or take its name out of the rules"
        problems.append(Problem(source.file, 0, 0, message))
    return CallerList(numbers, frozenset(beginnings)), problems


def _whole_numbers(source: Source, beginnings: set[str], problems: list[Problem]) -> Iterator[str]:
    """The whole numbers, one by one. What else there is goes into `beginnings` and `problems`."""
    for number, match in enumerate(_LINE.finditer(source.text), 1):
        line = match[1]
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        if _PATTERN.fullmatch(entry):
            if not entry.endswith("*"):
                yield entry
            elif len(beginnings) < MAX_BEGINNINGS:
                beginnings.add(entry[:-1])
            elif entry[:-1] not in beginnings:
                message = (
                    f"a list may have {MAX_BEGINNINGS:,} beginnings of numbers (with *), and this is one more; "
                    "write whole numbers, or shorter beginnings that each stand for several"
                )
                problems.append(Problem(source.file, number, _column(line), message))
                break
            continue
        column = _column(line)
        message = f"a number needs + and its country code, like +8613900000005 or +8610*; found {quoted(entry)}"
        problems.append(Problem(source.file, number, column, message))
        if len(problems) == MAX_PROBLEMS:
            problems.append(
                Problem(source.file, number, column, "there may be more wrong after this; mend these first")
            )
            break


def _column(line: str) -> int:
    return len(line) - len(line.lstrip()) + 1
