from __future__ import annotations

import math

import numpy as np
import pytest

from router.callers.loading.sizing import CALLERS_A_BUCKET, MOST_A_BUCKET, bucket_count, fullest_bucket

SIZES = [100_000, 107_000, 130_000, 300_000, 1_000_000, 10_000_000, 200_000_000]
# An entry of the dictionary with its place there, the key, the object; measured with the listpacks below.
OVERHEAD_BYTES = 92


def allocated(wanted_bytes: int) -> int:
    """What jemalloc gives: four classes in each doubling."""
    if wanted_bytes <= 128:
        return -(-wanted_bytes // 16) * 16
    step = 1 << ((wanted_bytes - 1).bit_length() - 3)
    return -(-wanted_bytes // step) * step


def bytes_a_caller(mean: float) -> float:
    """With Poisson's chances of a bucket of each size."""
    chance, total = math.exp(-mean), 0.0
    for size in range(1, 2 * MOST_A_BUCKET):
        chance *= mean / size
        total += chance * (allocated(10 * size + 7) + OVERHEAD_BYTES)
    return total / mean


@pytest.mark.parametrize("callers", SIZES)
def test_a_caller_takes_twelve_bytes_at_most_from_100_000_up(callers: int) -> None:
    assert bytes_a_caller(callers / bucket_count(callers)) < 11.8


def test_it_takes_twelve_bytes_at_most_whatever_the_number_of_callers() -> None:
    for callers in range(100_000, 600_000, 500):
        assert bytes_a_caller(callers / bucket_count(callers)) < 11.8


def test_no_other_mean_up_to_200_wastes_less() -> None:
    best = min(range(100, 200), key=bytes_a_caller)
    assert abs(best - CALLERS_A_BUCKET) <= 5
    assert bytes_a_caller(CALLERS_A_BUCKET) < 11.35


def test_deltas_may_fill_buckets_until_a_full_load_is_advised() -> None:
    assert all(bytes_a_caller(mean) < 12 for mean in range(CALLERS_A_BUCKET, MOST_A_BUCKET + 1))


@pytest.mark.parametrize("callers", [0, 1, 12, 5_000, 11_264, 50_000, *SIZES])
def test_buckets_are_a_multiple_of_64(callers: int) -> None:
    buckets = bucket_count(callers)
    assert buckets >= 64
    assert buckets % 64 == 0


@pytest.mark.parametrize("callers", [12, 5_000, 100_000, 2_000_000])
def test_no_bucket_is_fuller_than_foretold_and_not_by_far_emptier(callers: int) -> None:
    buckets = bucket_count(callers)
    foretold = fullest_bucket(callers, buckets)
    for seed in range(5):
        places = np.random.default_rng(seed).integers(0, buckets, callers)
        fullest = int(np.bincount(places, minlength=buckets).max())
        assert fullest < foretold <= 1.6 * fullest + 12


def test_the_fullest_of_200_million_callers_fits_redis_own_limit() -> None:
    assert fullest_bucket(200_000_000, bucket_count(200_000_000)) < 300
