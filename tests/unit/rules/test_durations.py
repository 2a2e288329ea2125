from __future__ import annotations

import pytest

from router.rules.durations import roughly_in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (-3, "0s"),
        (12.4, "12s"),
        (130, "2m 10s"),
        (3600, "1h"),
        (27_941.25, "7h 45m"),
        (3 * 86_400 + 59, "3d"),
        (400 * 86_400 + 7200, "400d 2h"),
    ],
)
def test_a_duration_for_people_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert roughly_in_words(seconds) == words
