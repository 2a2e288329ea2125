"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; the exit status of who reports it."""

    OK = 0
    WARNING = 1
    WRONG = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """How something is.

    Attributes:
        level: How bad.
        about: What was looked at, in a word or two.
        says: How it is.
        do: What to do about it, if there is anything.
    """

    level: Level
    about: str
    says: str
    do: str = ""


def ok(about: str, says: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, about, says)


def warning(about: str, says: str, do: str) -> Finding:
    """Somebody should look at it, and calls are routed."""
    return Finding(Level.WARNING, about, says, do)


def wrong(about: str, says: str, do: str) -> Finding:
    """Calls are not routed as they should be, or will not be."""
    return Finding(Level.WRONG, about, says, do)
