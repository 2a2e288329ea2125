from __future__ import annotations

import hiredis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.feeds import MadeFeed
from router.callers.keys import bucket_key, bucket_of
from router.callers.loading.packing import Buckets, buckets_of, packed_buckets
from router.callers.pseudonym import PLACES, Pseudonym

PSEUDONYMS = st.builds(Pseudonym, st.integers(0, PLACES - 1), st.binary(min_size=6, max_size=6))


@given(
    values=st.dictionaries(PSEUDONYMS, st.integers(1, 127), max_size=60),
    buckets=st.sampled_from([64, 128, 640]),
    at_once=st.integers(1, 5),
)
def test_the_commands_are_those_that_the_library_packs(
    values: dict[Pseudonym, int], buckets: int, at_once: int
) -> None:
    wanted: dict[int, list[str | int | float | bytes | memoryview]] = {}
    for who in sorted(values, key=lambda one: (one.place, one.field)):
        wanted.setdefault(bucket_of(who.place, buckets), []).extend((who.field, str(values[who])))
    made: list[bytes] = []
    for part in MadeFeed.of(values).persons():
        held = Buckets.of(part.place, buckets)
        pieces = list(packed_buckets(held, part.field, part.value, generation=31, buckets=buckets, at_once=at_once))
        assert sum(piece.count for piece in pieces) == len(held)
        assert sum(piece.callers for piece in pieces) == len(part.place)
        assert all(piece.count <= at_once for piece in pieces)
        made += [piece.commands for piece in pieces]
    packed = [
        hiredis.pack_command(("HSET", bucket_key(31, bucket, buckets), *rows))  # type: ignore[arg-type]
        for bucket, rows in wanted.items()
    ]
    assert b"".join(made) == b"".join(packed)


@pytest.mark.parametrize("buckets", [64, 1_136_384, 1 << 31])
def test_the_bucket_of_a_place_is_that_of_a_lookup(buckets: int) -> None:
    places = np.random.default_rng(3).integers(0, PLACES, 1000, dtype=np.uint32)
    places[:3] = 0, 1, PLACES - 1
    assert buckets_of(places, buckets).tolist() == [bucket_of(place, buckets) for place in places.tolist()]
