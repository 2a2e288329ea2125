from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from router.journal.intervals import Interval, newcombe, wilson

CALLS = st.integers(1, 100_000)
LEVELS = st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.999])


@st.composite
def shares(draw: st.DrawFn) -> tuple[int, int]:
    calls = draw(CALLS)
    return draw(st.integers(0, calls)), calls


@given(shares(), LEVELS)
def test_wilson_is_scipy_s(share: tuple[int, int], level: float) -> None:
    theirs = stats.binomtest(*share).proportion_ci(level, method="wilson")
    ours = wilson(*share, level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


# Newcombe 1998, table II, method 10.
@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_is_as_published(one: tuple[int, int], other: tuple[int, int], low: float, high: float) -> None:
    found = newcombe(*one, *other)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.0001)


@given(shares(), shares(), LEVELS)
def test_an_interval_holds_what_was_seen_and_stays_in_bounds(
    one: tuple[int, int], other: tuple[int, int], level: float
) -> None:
    share = wilson(*one, level)
    assert 0 <= share.low <= one[0] / one[1] + 1e-12
    assert one[0] / one[1] - 1e-12 <= share.high <= 1
    difference = newcombe(*one, *other, level)
    seen = one[0] / one[1] - other[0] / other[1]
    assert -1 - 1e-12 <= difference.low <= seen <= difference.high <= 1 + 1e-12


@given(shares(), shares())
def test_what_is_compared_the_other_way_round_has_the_other_sign(one: tuple[int, int], other: tuple[int, int]) -> None:
    there, back = newcombe(*one, *other), newcombe(*other, *one)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)


@given(shares())
def test_more_calls_tell_more(share: tuple[int, int]) -> None:
    few, many = wilson(*share), wilson(share[0] * 4, share[1] * 4)
    assert many.high - many.low < few.high - few.low


@given(shares(), shares())
def test_a_higher_level_takes_a_wider_interval(one: tuple[int, int], other: tuple[int, int]) -> None:
    usual, sure = newcombe(*one, *other), newcombe(*one, *other, 0.995)
    assert sure.low <= usual.low
    assert usual.high <= sure.high


def test_of_no_calls_nothing_is_known() -> None:
    assert wilson(0, 0) == Interval(0, 1)
    assert newcombe(0, 0, 3, 4) == Interval(-1, 1)


@pytest.mark.parametrize(("happened", "calls"), [(2, 1), (-1, 5), (1, 0)])
def test_more_than_all_is_refused(happened: int, calls: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(happened, calls)


def test_nobody_of_many_is_nearly_nobody() -> None:
    assert wilson(0, 100).low == 0
    assert wilson(100, 100).high == 1
    assert math.isclose(wilson(0, 100).high, 0.036994, abs_tol=1e-5)
