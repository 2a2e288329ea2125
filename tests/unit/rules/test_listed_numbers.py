"""The numbers of a list are a set of them, whichever share each lies in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rules.listed_numbers import SHARES, ListedNumbers

# Few digits, so that numbers meet, and the longest there are.
NUMBERS = st.from_regex(r"\+[1-9][0-9]{4,5}|\+[1-9][0-9]{14}", fullmatch=True)


@given(st.lists(NUMBERS, max_size=50), st.lists(NUMBERS, max_size=20))
def test_it_holds_what_a_set_holds(listed: list[str], asked: list[str]) -> None:
    numbers = ListedNumbers(listed)
    assert sorted(numbers) == sorted(set(listed))
    assert len(numbers) == len(set(listed))
    assert [number in numbers for number in [*listed, *asked]] == [number in listed for number in [*listed, *asked]]


def test_lists_of_the_same_numbers_are_equal_and_others_are_not() -> None:
    numbers, again = ListedNumbers(["+13900", "+13901"]), ListedNumbers(["+13901", "+13900", "+13900"])
    assert numbers == again
    assert {numbers: "found"}[again] == "found"
    assert numbers != ListedNumbers(["+13900", "+13902"])
    assert numbers != {"+13900", "+13901"}


def test_numbers_of_the_same_share_are_told_apart() -> None:
    numbers = [f"+{10_000 + SHARES * step}" for step in range(40)]
    even = ListedNumbers(numbers[::2])
    assert [number in even for number in numbers] == [True, False] * 20


@pytest.mark.parametrize(
    "other",
    ["+", "", "+139x", "+013900", "+1390#", "+1_3900", "+13900 ", "+１３９００", "113900", "13900", 13900, None],
)
def test_what_is_no_number_is_not_in_it(other: object) -> None:
    assert other not in ListedNumbers(["+13900"])


def test_a_number_is_in_the_same_share_of_every_list() -> None:
    first, second = (list(ListedNumbers(numbers).shares()) for numbers in (["+13900", "+13901"], ["+13901", "+23901"]))
    assert len(first) == len(second) == SHARES
    (shared,) = [pair for pair in zip(first, second, strict=True) if all("+13901" in share for share in pair)]
    assert "+13901" in shared[0]


def test_thousands_of_numbers_in_sequence_lie_in_all_shares_alike() -> None:
    for step in (1, 10, 1000):
        shares = ListedNumbers(f"+86{1_000_000_000 + number * step}" for number in range(SHARES * 4)).shares()
        assert max(len(share) for share in shares) <= 8
