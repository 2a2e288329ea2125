"""Loads that change so much that a feed is more likely to be broken than right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from router.callers.generation import Generation, StoredBand
from router.errors import RegistryError

MOST_REJECTED_PERCENT: Final = 50.0


class TooMuchChangedError(RegistryError):
    """A load was refused for what it would change; its text says how much, and how to go on. Nothing was changed."""


def check_rejected(rows: int, rejected: int, allow_percent: float | None) -> None:
    """Refuse a feed of which most cannot be used.

    Raises:
        TooMuchChangedError: More were rejected than are let through.
    """
    percent = 100.0 * rejected / rows if rows else 0.0
    if percent > max(MOST_REJECTED_PERCENT, allow_percent or 0.0):
        raise TooMuchChangedError(
            f"{rejected:,} of {rows:,} rows cannot be used, {percent:.1f} %, more than the {MOST_REJECTED_PERCENT:g} % "
            f"that are let through; nothing was changed; see which and why by --dry-run --rejects FILE; "
            + _if_meant(percent)
        )


def check_size(there: int, coming: int, most_percent: float, allow_percent: float | None) -> None:
    """Refuse a full load of far fewer or far more callers than are there.

    Raises:
        TooMuchChangedError: The difference is above what is let through.
    """
    if not there:
        return
    percent = 100.0 * abs(coming - there) / there
    most = most_percent if allow_percent is None else allow_percent
    if percent > most:
        word = "fewer" if coming < there else "more"
        raise TooMuchChangedError(
            f"the feed has {coming:,} callers, the registry {there:,}: {percent:.1f} % {word}, above the {most:g} % "
            f"that are let through; nothing was changed; {_if_meant(percent)}"
        )


def check_bands(
    there: Generation | None,
    bands: Sequence[StoredBand],
    coming: Mapping[str, int],
    most_percent: float,
    allow_percent: float | None,
) -> None:
    """Refuse a full load that gives many callers another band: dates of birth that were lost or turned round do.

    By how many each band has, so that fewer are seen than change. Where the bands are others, that is no wonder.

    Raises:
        TooMuchChangedError: They are more than is let through.
    """
    if there is None or not there.callers or there.bands != bands:
        return
    grown = {name: count - there.by_band.get(name, 0) for name, count in coming.items()}
    changed = max(sum(max(0, more) for more in grown.values()), sum(max(0, -more) for more in grown.values()))
    percent = 100.0 * changed / there.callers
    most = most_percent if allow_percent is None else allow_percent
    if percent > most:
        largest = max(grown, key=lambda name: (abs(grown[name]), -grown[name]))
        raise TooMuchChangedError(
            f"the feed has {coming[largest]:,} callers of the band {largest}, the registry "
            f"{there.by_band.get(largest, 0):,}; at least {percent:.1f} % of its callers would change, above the "
            f"{most:g} % that are let through; nothing was changed; {_if_meant(percent)}"
        )


def check_changes(there: int, changed: int, most_percent: float, allow_percent: float | None) -> None:
    """Refuse a delta that changes too many callers.

    Raises:
        TooMuchChangedError: They are more than is let through.
    """
    if not there:
        return
    percent = 100.0 * changed / there
    most = most_percent if allow_percent is None else allow_percent
    if percent > most:
        raise TooMuchChangedError(
            f"the delta would add, change or remove {changed:,} of {there:,} callers, {percent:.1f} %, above the "
            f"{most:g} % that are let through; nothing was changed; {_if_meant(percent)}"
        )


def _if_meant(percent: float) -> str:
    return f"if that is meant, run the same command again with --allow-change {math.floor(percent) + 1}"
