from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.callers.buckets import generation_of
from router.callers.keys import TAGS, bucket_key, bucket_of, own_keys, tag_of
from router.callers.pseudonym import FIELD_BYTES, PLACES, Pseudonym

places = st.integers(0, PLACES - 1) | st.sampled_from([0, 1, PLACES // TAGS - 1, PLACES // TAGS, PLACES - 1])
bucket_counts = st.integers(1, 1 << 25).map(lambda number: number * TAGS)
fields = st.binary(min_size=FIELD_BYTES, max_size=FIELD_BYTES)


def tag_in(key: str) -> str:
    """Redis Cluster's hash tag of a key."""
    return key.partition("{")[2].partition("}")[0]


@given(places, bucket_counts)
def test_a_buckets_tag_is_that_of_all_callers_in_it(place: int, buckets: int) -> None:
    bucket = bucket_of(place, buckets)
    assert 0 <= bucket < buckets
    assert tag_in(bucket_key(1, bucket, buckets)) == tag_of(place)


@given(places, places, bucket_counts)
def test_the_order_of_places_is_the_order_of_buckets(one: int, other: int, buckets: int) -> None:
    low, high = sorted((one, other))
    assert bucket_of(low, buckets) <= bucket_of(high, buckets)


@given(places, fields, bucket_counts)
def test_all_keys_of_one_caller_lie_on_one_server_and_hold_nothing_but_the_pseudonym(
    place: int, field: bytes, buckets: int
) -> None:
    who = Pseudonym(place, field)
    own = own_keys("0123abcd", who)
    assert {tag_in(key) for key in [*own, bucket_key(7, bucket_of(place, buckets), buckets)]} == {tag_of(place)}
    assert len(set(own)) == 3
    assert {key.rpartition(":")[2] for key in own} == {f"{place:08x}{field.hex()}"}


@given(st.integers(1, 1 << 40), places, bucket_counts)
def test_a_buckets_key_tells_its_generation_and_no_other_key_has_one(generation: int, place: int, buckets: int) -> None:
    assert generation_of(bucket_key(generation, bucket_of(place, buckets), buckets).encode()) == generation
    who = Pseudonym(place, b"\0" * FIELD_BYTES)
    assert [generation_of(key.encode()) for key in own_keys("0123abcd", who)] == [None] * 3


def test_names_are_as_they_are_told() -> None:
    who = Pseudonym(0xFC00_0001, bytes.fromhex("0102030405ff"))
    assert bucket_key(0x1A, bucket_of(who.place, 1280), 1280) == "elder:{3f}:1a:4ec"
    own = own_keys("0123abcd", who)
    assert own.set == "elder:{3f}:set:0123abcd:fc0000010102030405ff"
    assert own.choice == "elder:{3f}:choice:0123abcd:fc0000010102030405ff"
    assert own.calls == "elder:{3f}:calls:0123abcd:fc0000010102030405ff"
