"""Whether bands mean today what they meant when callers were loaded. Does no I/O.

A caller is stored with the code of a band, and the bands with the callers (see `generation`). Who edits the rules may
move a threshold or rename a band; nobody is re-labelled by that. Until callers are loaded anew, a band of the old name
holds whom it held before, and a name that the rules do not define counts as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from router.callers.bands import AgeBands

AgesOf: TypeAlias = tuple[int, int | None]
"""The youngest of a band, and the oldest; None where there is no end. In years."""


@dataclass(frozen=True, slots=True)
class MeaningDiffers:
    """A band that callers are stored with and that means something else in the rules; None where they have none."""

    name: str
    stored: AgesOf
    ruled: AgesOf | None

    def __str__(self) -> str:
        stored = f"«{self.name}» is {_in_words(self.stored)} in the registry"
        if self.ruled is None:
            return f"{stored}, and the rules define no such band: these callers count as unknown"
        return f"{stored} and {_in_words(self.ruled)} in the rules"


def meanings_that_differ(stored: AgeBands, ruled: AgeBands) -> tuple[MeaningDiffers, ...]:
    """The stored bands, youngest first, that are not the same ages in the rules. None of them: all is as it was.

    A band that only the rules have changes the ages of one that is stored, so it needs no mention of its own.
    """
    now = _ages(ruled)
    return tuple(
        MeaningDiffers(name, ages, now.get(name)) for name, ages in _ages(stored).items() if now.get(name) != ages
    )


def _ages(bands: AgeBands) -> dict[str, AgesOf]:
    begins = [band.from_years for band in bands.bands]
    ends = [*(following - 1 for following in begins[1:]), None]
    return {name: (begin, end) for name, begin, end in zip(bands.names, begins, ends, strict=True)}


def _in_words(ages: AgesOf) -> str:
    youngest, oldest = ages
    return f"{youngest} and over" if oldest is None else f"{youngest} to {oldest}"
