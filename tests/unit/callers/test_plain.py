from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import RedisError, ResponseError

from router.callers.number import PhoneNumber
from router.callers.plain import PlainKeys
from router.callers.settings import PlainLayout
from router.callers.stored import Fed

CALLER = PhoneNumber("+8613900000001")
NAMES = PlainKeys(PlainLayout("customer:{e164}:band"))
WORDS = PlainKeys(PlainLayout("{{crm}}:{digits}", "age", {"S": "senior", "E": "elder"}))


def test_the_key_has_the_number_as_the_template_says() -> None:
    assert NAMES.command(CALLER) == ("GET", "customer:+8613900000001:band")
    assert WORDS.command(CALLER) == ("HGET", "{crm}:8613900000001", "age")


@given(st.sampled_from(["senior", "elder"]))
def test_what_is_stored_is_found_again(band: str) -> None:
    assert NAMES.read(band.encode()) == Fed(band)
    word = next(word for word, name in WORDS.layout.bands.items() if name == band)
    assert WORDS.read(word.encode()) == Fed(band)


def test_a_caller_who_is_not_there_is_nobody() -> None:
    assert NAMES.read(None) is WORDS.read(None) is None


@pytest.mark.parametrize("value", [b"", b"x" * 65, b"\xff\xfe", b"el\nder"])
def test_a_value_that_cannot_be_a_band_is_wrong(value: bytes) -> None:
    for here in (NAMES, WORDS):
        with pytest.raises(ValueError, match="none of the words"):
            here.read(value)


@pytest.mark.parametrize("value", [b"senior", b"s", b"SE"])
def test_a_word_that_the_settings_do_not_have_is_wrong_and_no_band(value: bytes) -> None:
    with pytest.raises(ValueError, match="none of the words"):
        WORDS.read(value)


@pytest.mark.parametrize("reply", [ResponseError("WRONGTYPE"), [b"senior"], 1])
def test_a_refusal_or_anything_else_is_an_error_of_redis(reply: object) -> None:
    with pytest.raises(RedisError):
        NAMES.read(reply)
