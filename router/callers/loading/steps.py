"""What full loads and deltas share: what they are told, what they work with, and how they tell how far they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from router.callers.bands import AgeBands
from router.callers.generation import KEPT_AFTER_SWITCH_S
from router.callers.loading.lines import Lines
from router.callers.loading.lock import ImportLock
from router.callers.loading.pacing import Pacer
from router.callers.pseudonym import CallerSecret


@dataclass(frozen=True, slots=True)
class Terms:
    """What a load is told beside its feed.

    Attributes:
        bands: Those of the rules.
        secret: What the callers of the feed are hashed with.
        as_of: The day on which their ages counted.
        records: How many rows of the feed can be used.
        most_change_percent: A load that changes more is refused.
        allow_change_percent: What is let through this time instead.
        kept_s: How long buckets stay that were replaced.
    """

    bands: AgeBands
    secret: CallerSecret
    as_of: date
    records: int
    most_change_percent: float
    allow_change_percent: float | None = None
    kept_s: float = KEPT_AFTER_SWITCH_S


@dataclass(frozen=True, slots=True)
class Step:
    """How far something has come, for whoever watches.

    Attributes:
        doing: What is being done.
        done: How much of it is.
        total: Of how much, as it looks now; None where that is not known.
        unit: Of both.
        note: What should be known about it.
    """

    doing: str
    done: int
    total: int | None
    unit: str = "callers"
    note: str = ""


Watch = Callable[[Step], None]


class Load:
    """One load, on the lock that is held.

    Args:
        lines: To the servers.
        lock: Held.
        pacer: Says when to go on.
        folder: The work folder, locked.
        watch: Is told how far it has come.
    """

    def __init__(self, lines: Lines, lock: ImportLock, pacer: Pacer, folder: Path, watch: Watch) -> None:
        self._lines = lines
        self._lock = lock
        self._pacer = pacer
        self._folder = folder
        self._watch = watch
        self.warnings: list[str] = []
