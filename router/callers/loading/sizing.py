"""How many buckets a generation has: chosen from its callers, so that each takes at most 12 bytes from 100,000 up.

A caller takes 10 bytes of a listpack: 8 the six bytes of the field, 2 the value. What else a bucket takes, about 100
bytes, argues for full ones; that a lookup reads half a bucket argues against. jemalloc gives memory in classes, of
1,280, 1,536, 1,792, 2,048 and 2,560 bytes here, and callers fall into buckets by chance (Poisson), so that some means
waste more than others: of those up to 200, 176 wastes least. Reckoned, and measured on Redis 7.0.15 within 0.1 bytes.

    callers a bucket     140   160   176   190   210   250
    bytes a caller      11.6  11.4  11.3  11.4  11.8  11.3
"""

from __future__ import annotations

import math
from typing import Final

from router.callers.keys import TAGS

CALLERS_A_BUCKET: Final = 176
MOST_A_BUCKET: Final = 230
"""A mean above this, after deltas, is worth a full load: not for the memory, but for the limits below."""


def bucket_count(callers: int) -> int:
    """How many buckets to spread so many callers over, a multiple of 64."""
    return max(1, round(callers / (CALLERS_A_BUCKET * TAGS))) * TAGS


def fullest_bucket(callers: int, buckets: int) -> int:
    """How many callers the fullest bucket will hold, but for one chance in a thousand or less.

    The Poisson distribution's upper tail by Chernoff's bound, P(X ≥ x) ≤ exp(−m) (e·m / x)^x, for all buckets together.
    """
    mean = max(callers / buckets, 1e-9)
    least = math.log(1000.0 * buckets)
    fullest = math.ceil(mean) + 1
    while mean - fullest + fullest * math.log(fullest / mean) < least:
        fullest += 1
    return fullest
