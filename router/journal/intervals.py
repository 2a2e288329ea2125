"""Confidence intervals of shares and of their differences, which hold for few calls and near 0 % and 100 % too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`: shares from 0 to 1, or differences of two from -1 to 1."""

    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether 0 is in it, so that a difference may be none."""
        return self.low <= 0.0 <= self.high


ANYTHING: Final = Interval(0.0, 1.0)


def wilson(happened: int, calls: int, level: float = LEVEL) -> Interval:
    """The score interval of a share.

    Wilson, Probable inference, the law of succession, and statistical inference, J. Am. Stat. Assoc. 22 (1927) 209.

    Args:
        happened: In so many.
        calls: Of so many; of none, the share may be anything.
        level: How often such an interval holds the true share.

    Raises:
        ValueError: More happened than there were calls.
    """
    if not 0 <= happened <= calls:
        raise ValueError(f"{happened} of {calls} is no share")
    if calls == 0:
        return ANYTHING
    z = _z(level)
    share = happened / calls
    spread = z * math.sqrt(share * (1 - share) / calls + z * z / (4 * calls * calls))
    middle = share + z * z / (2 * calls)
    scale = 1 + z * z / calls
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if happened == 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if happened == calls else min(1.0, (middle + spread) / scale)
    return Interval(low, high)


def newcombe(happened: int, calls: int, other_happened: int, other_calls: int, level: float = LEVEL) -> Interval:
    """The hybrid score interval of the difference of two independent shares, the first less the second.

    Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17 (1998)
    873, method 10: without continuity correction.

    Args:
        happened: In so many of the first.
        calls: Of so many.
        other_happened: In so many of the second.
        other_calls: Of so many.
        level: How often such an interval holds the true difference.

    Raises:
        ValueError: More happened than there were calls.
    """
    one, other = wilson(happened, calls, level), wilson(other_happened, other_calls, level)
    if not calls or not other_calls:
        return Interval(-1.0, 1.0)
    first, second = happened / calls, other_happened / other_calls
    difference = first - second
    return Interval(
        difference - math.hypot(first - one.low, other.high - second),
        difference + math.hypot(one.high - first, second - other.low),
    )


@lru_cache(maxsize=64)
def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
