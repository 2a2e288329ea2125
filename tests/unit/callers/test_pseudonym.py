from __future__ import annotations

import hmac
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import PhoneNumber
from router.callers.pseudonym import FIELD_BYTES, PLACES, PSEUDONYM_BYTES, CallerSecret, Pseudonym

SECRET = CallerSecret(bytes(range(32)))
numbers = st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True)
secrets = st.binary(min_size=32, max_size=32).map(CallerSecret)


def test_a_pseudonym_is_the_beginning_of_what_openssl_says() -> None:
    # printf +8613900000001 | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1e1f
    digest = "d2baf2a2b344e50d8b6fa1459078e52c1a6cdcf26d13807188e5c4e6c41f323c"
    who = SECRET.pseudonym(PhoneNumber("+8613900000001"))
    assert who == Pseudonym(0xD2BAF2A2, bytes.fromhex("b344e50d8b6f"))
    assert who.hex == digest[: 2 * PSEUDONYM_BYTES]


def test_a_secrets_name_is_what_openssl_says_and_none_of_it_is_shown() -> None:
    # printf 'elder-router secret name' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1e1f
    assert SECRET.name == "038a3c13"
    assert repr(SECRET) == "CallerSecret(name='038a3c13')"


@given(secrets, st.lists(numbers))
def test_many_at_once_are_the_same_as_one_by_one(secret: CallerSecret, e164s: list[str]) -> None:
    joined = secret.many()(e164.encode() for e164 in e164s)
    assert joined == b"".join(hmac.digest(secret.key, e164.encode(), "sha256")[:PSEUDONYM_BYTES] for e164 in e164s)
    for place, e164 in enumerate(e164s):
        here = joined[PSEUDONYM_BYTES * place :][:PSEUDONYM_BYTES]
        assert secret.pseudonym(PhoneNumber(e164)).hex == here.hex()


@given(secrets, st.lists(st.binary(max_size=200)))
def test_many_are_hashed_whatever_they_are(secret: CallerSecret, texts: list[bytes]) -> None:
    assert secret.many()(texts) == b"".join(hmac.digest(secret.key, text, "sha256")[:PSEUDONYM_BYTES] for text in texts)


@given(secrets, secrets, numbers)
def test_another_secret_makes_another_caller_of_a_number(one: CallerSecret, other: CallerSecret, e164: str) -> None:
    number = PhoneNumber(e164)
    assert (one.pseudonym(number) == other.pseudonym(number)) is (one == other)


@given(secrets, numbers)
def test_place_and_field_have_their_sizes(secret: CallerSecret, e164: str) -> None:
    who = secret.pseudonym(PhoneNumber(e164))
    assert 0 <= who.place < PLACES
    assert len(who.field) == FIELD_BYTES


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_secret_has_32_bytes(key: bytes) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        CallerSecret(key)


def any_two_are_one(callers: int, buckets: int, field_bytes: int) -> float:
    """How likely some two of all callers have the same bucket and field: the birthday problem."""
    return -math.expm1(-callers * (callers - 1) / 2 / (buckets * 2.0 ** (8 * field_bytes)))


def test_how_likely_callers_are_taken_for_one_another_is_as_it_is_told() -> None:
    callers, buckets = 200_000_000, 1_200_000
    assert any_two_are_one(callers, buckets, FIELD_BYTES) == pytest.approx(6e-5, rel=0.05)
    a_stranger_is_somebody = callers / buckets / 2.0 ** (8 * FIELD_BYTES)
    assert a_stranger_is_somebody == pytest.approx(6e-13, rel=0.05)


def test_the_hash_spreads_callers_as_evenly_as_chance_would() -> None:
    # With two bytes of the field instead of six there are collisions to be counted: those expected, within four
    # standard deviations. All is fixed, so that this holds always or never.
    callers, buckets, runs = 2000, 64, 100
    many = [f"+86139{number:08d}".encode() for number in range(callers)]
    collided = 0
    for run in range(runs):
        joined = CallerSecret(bytes([run]) * 32).many()(many)
        shortened = {
            (int.from_bytes(joined[start : start + 4], "big") * buckets // PLACES, joined[start + 4 : start + 6])
            for start in range(0, len(joined), PSEUDONYM_BYTES)
        }
        collided += callers - len(shortened)
    expected = runs * callers * (callers - 1) / 2 / (buckets * 2**16)
    assert abs(collided - expected) < 4 * math.sqrt(expected)
