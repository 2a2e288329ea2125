"""A caller as the journal kept them is recognised like the caller themselves."""

from __future__ import annotations

from functools import partial

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.callers.number import MASK, PhoneNumber, masked, parse_caller
from router.journal.hashing import caller_key
from router.rules.conditions import CallerIs, NumberPatterns
from router.rules.model import Facts
from router.rules.recorded import Recogniser, RecordedCaller
from tests.unit.rules.test_conditions import FACTS

SECRET = b"a secret that only this test uses"
key_of = partial(caller_key, SECRET)
COUNTRIES = (
    "86",
    "1",
    "44",
    "49",
    "43",
    "39",
    "852",
    "65",
    "91",
    "358",
    "7",
    "81",
    "61",
    "55",
    "33",
    "46",
    "372",
    "883",
)


def recorded(number: str, recogniser: Recogniser) -> RecordedCaller:
    return RecordedCaller(masked(PhoneNumber(number)), key_of(number), recogniser)


def matches(caller: PhoneNumber | RecordedCaller, *patterns: str) -> bool:
    facts = Facts(caller, FACTS.called, FACTS.language, FACTS.age_band, FACTS.at)
    return CallerIs(NumberPatterns.of(patterns), "").accepts(facts)


def digits_left_open(number: str, prefix: str) -> int:
    """How many digits have to be tried for a beginning."""
    head, _, tail = masked(PhoneNumber(number)).partition(MASK)
    return len(number) - len(tail) - max(len(head), len(prefix))


numbers = st.builds(
    lambda country, digits: f"+{country}{digits}",
    st.sampled_from(COUNTRIES),
    st.text("0123456789", min_size=5, max_size=12),
).filter(lambda number: isinstance(parse_caller(number, "CN"), PhoneNumber))


@st.composite
def patterns_about(draw: st.DrawFn, number: str) -> str:
    """The number, or a beginning of it, or one that differs in a digit."""
    text = number[: draw(st.integers(1, len(number)))]
    if len(text) > 2 and draw(st.booleans()):
        place = draw(st.integers(2, len(text) - 1))
        text = text[:place] + draw(st.sampled_from("0123456789")) + text[place + 1 :]
    return text if len(text) > 5 and draw(st.booleans()) else f"{text}*"


@settings(max_examples=150)
@given(st.data())
def test_who_was_recorded_matches_what_the_caller_matched(data: st.DataObject) -> None:
    number = data.draw(numbers, label="number")
    patterns = data.draw(st.lists(patterns_about(number), min_size=1, max_size=4), label="patterns")
    # Trying them takes too long, by design.
    assume(all(digits_left_open(number, p.rstrip("*")) <= 4 for p in patterns if len(p) > 6))
    caller = parse_caller(number, "CN")
    assert isinstance(caller, PhoneNumber)
    recogniser = Recogniser(key_of)
    assert matches(recorded(caller.e164, recogniser), *patterns) == matches(caller, *patterns)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+8613900000001", "+86139****0001"),
        ("+861012345678", "+8610****5678"),
        ("+12025550123", "+120****0123"),
        ("+442079460123", "+4420****0123"),
        ("+85221234567", "+852****4567"),
        ("+6561234567", "+65****4567"),
        ("+372512345", "+372****45"),
        ("+49301234567", "+493****4567"),
        ("+491511234567890", "+49151****7890"),
    ],
)
def test_a_caller_of_any_country_is_recognised_from_mask_and_key(number: str, shown: str) -> None:
    caller = recorded(number, Recogniser(key_of))
    assert caller.shown == shown
    assert number not in repr(caller)
    assert matches(caller, number)
    assert not matches(caller, number[:-1] + str((int(number[-1]) + 1) % 10))
    head, _, tail = shown.partition(MASK)
    assert matches(caller, f"{head}*")
    assert matches(caller, "+*")
    assert not matches(caller, "+999*")
    for end in range(len(head), len(number) + 1):
        if digits_left_open(number, number[:end]) <= 4:
            assert matches(caller, f"{number[:end]}*"), number[:end]
            other = number[: end - 1] + str((int(number[end - 1]) + 1) % 10) if end > len(head) else f"{head}x"
            assert not matches(caller, f"{other}*"), other
    assert tail == number[len(number) - len(tail) :]


def test_digits_are_tried_once_and_only_where_the_mask_does_not_tell() -> None:
    tried: list[str] = []

    def counting(number: str) -> str:
        tried.append(number)
        return key_of(number)

    caller = RecordedCaller("+86139****0001", key_of("+8613900000001"), Recogniser(counting))
    assert not matches(caller, "+861391*")
    every = 10**3 + 10**4  # China's numbers have eleven digits, or twelve
    assert len(tried) == every
    assert not matches(caller, "+861391*")
    assert len(tried) == every, "what was tried is remembered"
    assert not matches(caller, "+86138*", "+8613900000002")
    assert matches(caller, "+8613*")
    assert len(tried) == every, "the mask alone told these apart"


def test_of_a_long_list_only_numbers_with_the_same_mask_are_hashed() -> None:
    hashed: list[str] = []

    def counting(number: str) -> str:
        hashed.append(number)
        return key_of(number)

    listed = frozenset(f"+86139{number:08}" for number in range(0, 100_000, 7))
    recogniser = Recogniser(counting)
    assert recogniser.is_listed("+86139****0007", key_of("+8613900000007"), listed)
    assert 0 < len(hashed) < 20
    assert not recogniser.is_listed("+86139****0007", key_of("+8613800000007"), listed)


def test_another_key_recognises_nobody() -> None:
    caller = RecordedCaller("+86139****0001", key_of("+8613900000001"), Recogniser(partial(caller_key, b"another")))
    assert not matches(caller, "+8613900000001")
    assert not matches(caller, "+861390*")
    assert matches(caller, "+86139*"), "which the mask shows"


def test_every_country_code_there_is_can_be_masked() -> None:
    for country in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        number = f"+{country}".ljust(13, "5")
        assert matches(recorded(number, Recogniser(key_of)), number)
