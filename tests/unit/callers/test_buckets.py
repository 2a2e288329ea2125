from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import RedisError, ResponseError

from router.callers.bands import AgeBand, AgeBands
from router.callers.buckets import Buckets, generation_of, key_of, keys_with
from router.callers.generation import SHARED, Generation, stored_bands
from router.callers.keys import TAGS, bucket_of, tag_of
from router.callers.number import PhoneNumber
from router.callers.pseudonym import CallerSecret
from router.callers.stored import Fed

SECRET = CallerSecret(bytes(range(32)))
BANDS = AgeBands((AgeBand("adult", 0), AgeBand("senior", 60)))


def buckets(number: int = 1, count: int = TAGS, secret: CallerSecret = SECRET) -> Buckets:
    generation = Generation(
        generation=number,
        secret=secret.name,
        buckets=count,
        bands=stored_bands(BANDS),
        callers=1,
        by_band={"senior": 1},
        as_of="2026-11-25",
        loaded_at=0.0,
        fresh_at=0.0,
    )
    return Buckets(generation, secret)


@given(
    st.dictionaries(
        st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True).map(PhoneNumber),
        st.tuples(st.sampled_from(BANDS.names), st.booleans()),
        max_size=50,
    ),
    st.integers(1, 1000).map(lambda number: number * TAGS),
    st.integers(1, 1 << 31),
    st.binary(min_size=32, max_size=32).map(CallerSecret),
)
def test_what_is_stored_is_found_again(
    callers: dict[PhoneNumber, tuple[str, bool]], count: int, number: int, secret: CallerSecret
) -> None:
    here = buckets(number, count, secret)
    stored: dict[tuple[str, bytes], bytes] = {}
    for caller, (band, shared) in callers.items():
        who = secret.pseudonym(caller)
        value = BANDS.names.index(band) + 1 + (SHARED if shared else 0)
        stored[key_of(here.generation, who), who.field] = str(value).encode()
    for caller, (band, shared) in callers.items():
        name, key, field = here.command(caller)
        assert name == "HGET"
        assert isinstance(field, bytes)
        assert here.read(stored[str(key), field]) == Fed(band, shared)
        assert generation_of(str(key).encode()) == number


def test_the_command_names_no_number() -> None:
    who = SECRET.pseudonym(PhoneNumber("+8613900000001"))
    bucket = bucket_of(who.place, 640)
    key = f"elder:{{{tag_of(who.place)}}}:1f:{bucket:x}"
    assert buckets(0x1F, 640).command(PhoneNumber("+8613900000001")) == ("HGET", key, who.field)
    assert key.startswith(keys_with(who).removesuffix("*"))


def test_a_caller_who_is_not_there_is_nobody() -> None:
    assert buckets().read(None) is None


@pytest.mark.parametrize("value", [b"", b"0", b"3", b"35", b"senior", b"\xff"])
def test_a_value_that_stands_for_no_band_is_wrong(value: bytes) -> None:
    with pytest.raises(ValueError, match="no band of the generation in force"):
        buckets().read(value)


@pytest.mark.parametrize("reply", [ResponseError("WRONGTYPE"), [b"1"], 1, True])
def test_a_refusal_or_anything_else_is_an_error_of_redis(reply: object) -> None:
    with pytest.raises(RedisError):
        buckets().read(reply)


@pytest.mark.parametrize(
    "key",
    [
        "elder:registry",
        "elder:import",
        "elder:{3f}:set:0123abcd:00",
        "elder:{3f}:1",
        "other:{3f}:1:1",
        "elder:{3f}:1:1:1",
    ],
)
def test_no_other_key_is_a_bucket(key: str) -> None:
    assert generation_of(key.encode()) is None
