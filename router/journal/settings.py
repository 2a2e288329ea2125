"""What the settings file says of the journal's files, and of the service level that calls are counted by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SHORTEST_KEPT_S: Final = 86_400.0
"""Calls under way are taken up from the journal after a restart, and reports compare days."""


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """When the journal begins a new file, and what becomes of the one before.

    Attributes:
        every: At the full hour, at midnight, or at that before Monday, by the rules' time zone; None: not by time.
        size_bytes: When it has grown to this; None: not by size. With neither, somebody else rotates, or nobody.
        keep_s: Files whose last record is older are removed; None: never.
    """

    every: Literal["hour", "day", "week"] | None = None
    size_bytes: int | None = None
    compress: bool = True
    keep_s: float | None = None


NOT_ROTATED: Final = RotationSettings()


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What the centre promises: `percent` of those who want a person are answered within `within_s`."""

    percent: float = 80.0
    within_s: float = 20.0


USUAL_SERVICE_LEVEL: Final = ServiceLevel()
