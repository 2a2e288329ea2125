from __future__ import annotations

from collections import Counter

import numpy as np

from lab.registry import BANDS
from router.callers.generation import SHARED, Generation, stored_bands
from router.callers.loading.differences import Differences, Stored, differences_of

NOW = Generation(
    generation=1, secret="0123abcd", buckets=64, bands=stored_bands(BANDS), callers=100,
    by_band={"minor": 10, "adult": 60, "senior": 20, "elder": 10}, as_of="2026-11-25", loaded_at=0, fresh_at=0,
)  # fmt: skip
FOUND = Differences(
    Counter({(0, 1): 5, (2, 3): 4, (2, 2 | SHARED): 3, (4, 0): 2, (3, 3): 50, (0, 0): 7, (2 | SHARED, 3): 1})
)


def test_callers_are_added_changed_removed_or_stay() -> None:
    assert (FOUND.added, FOUND.changed, FOUND.removed, FOUND.same) == (5, 8, 2, 50)
    assert FOUND.looked_at == 72


def test_changes_are_told_by_band() -> None:
    assert FOUND.between_bands(NOW) == {("", "minor"): 5, ("adult", "senior"): 5, ("elder", ""): 2}


def test_what_there_is_of_each_band_afterwards() -> None:
    assert FOUND.applied_to(NOW) == {"minor": 15, "adult": 55, "senior": 25, "elder": 8}


def test_parts_are_added_up() -> None:
    both = Differences(Counter({(0, 1): 1}), 7)
    both.add(Differences(Counter({(0, 1): 2, (1, 0): 1}), 5))
    assert (both.added, both.removed, both.largest_bucket) == (3, 1, 7)


def test_what_rows_come_to_is_counted_by_what_was_there_and_what_they_leave() -> None:
    stored = Stored(np.array([0, 2, 3, 3], np.int16), 9)
    assert differences_of(stored, np.array([1, 2, 0, 4], np.int16)).changes == {
        (0, 1): 1,
        (2, 2): 1,
        (3, 0): 1,
        (3, 4): 1,
    }
