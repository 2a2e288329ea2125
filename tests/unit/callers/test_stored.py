from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import RedisError, ResponseError

from router.callers.keys import own_keys
from router.callers.past import MOST_EARLIER_CALLS
from router.callers.pseudonym import Pseudonym
from router.callers.stored import MAX_CHOICE_BYTES, Visit, band_name, choice_name, commands, read

VISIT = Visit("pbx1/now", 10_000.0, 600.0)
choices = st.sampled_from([None, b"slower", b"slower:slow+person", b"person", b"louder", b"", b"\xff", b"x" * 100])
calls = st.dictionaries(st.sampled_from([b"pbx1/now", *(b"pbx1/%d" % n for n in range(30))]), st.integers(9000, 10_000))
under_one_secret = st.tuples(st.sampled_from([None, b"adult", b"elder"]), choices, calls)


@given(st.lists(under_one_secret, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_of_several_secrets_the_newest_counts_and_calls_are_counted_over_all(
    held: list[tuple[bytes | None, bytes | None, dict[bytes, int]]], fed: bool, visiting: bool
) -> None:
    visit = VISIT if visiting else None
    own = [own_keys(f"{number:08x}", Pseudonym(number, bytes(6))) for number in range(len(held))]
    asked = commands(own, ("HGET", "bucket", b"field") if fed else None, visit)
    answers: dict[object, Any] = {"bucket": b"3"}
    for keys, (band, choice, made) in zip(own, held, strict=True):
        answers[keys.set] = [band, choice]
        answers[keys.calls] = [part for call, at in made.items() for part in (call, str(at).encode())]
    replies = [0 if command[0] in {"ZADD", "ZREMRANGEBYRANK", "EXPIRE"} else answers[command[1]] for command in asked]
    stored = read(len(own), replies, fed=fed, visit=visit)
    assert stored.fed == (b"3" if fed else None)
    assert stored.set_band == next((band for band, _, _ in held if band is not None), None)
    good = [choice.decode() for _, choice, _ in held if choice in {b"slower", b"slower:slow+person", b"person"}]
    assert stored.choice == next(iter(good), "")
    if visiting:
        earlier = {(call, at) for _, _, made in held for call, at in made.items() if call != b"pbx1/now" and at >= 9400}
        assert stored.earlier_calls_s == tuple(sorted(10_000.0 - at for _, at in earlier)[:MOST_EARLIER_CALLS])
    else:
        assert stored.earlier_calls_s is None


def test_only_under_the_newest_secret_a_call_is_noted() -> None:
    own = [own_keys(f"{number:08x}", Pseudonym(number, bytes(6))) for number in range(2)]
    writing = [command for command in commands(own, None, VISIT) if command[0] in {"ZADD", "ZREMRANGEBYRANK", "EXPIRE"}]
    assert {command[1] for command in writing} == {own[0].calls}


@pytest.mark.parametrize("reply", [b"adult", None, [b"adult"], [None, None, None], 1])
def test_anything_else_than_two_values_is_an_error_of_redis(reply: object) -> None:
    with pytest.raises(RedisError, match="asked for 2 values"):
        read(1, [reply], fed=False, visit=None)


def test_a_refusal_is_raised_as_it_is() -> None:
    refused = ResponseError("NOPERM")
    with pytest.raises(ResponseError) as raised:
        read(2, [[None, None], refused], fed=False, visit=None)
    assert raised.value is refused


@given(st.binary(max_size=100))
def test_no_value_is_taken_for_a_band_or_a_choice_that_would_not_be_one(value: bytes) -> None:
    band = band_name(value)
    assert band is None or (band.isprintable() and band.encode() == value)
    choice = choice_name(value)
    assert choice == "" or (len(value) <= MAX_CHOICE_BYTES and choice.encode() == value)
