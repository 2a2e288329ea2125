from __future__ import annotations

import pytest

from router.callers.loading.refusal import TooMuchChangedError, check_changes, check_rejected, check_size


def test_the_first_load_is_free() -> None:
    check_size(0, 200_000_000, 5.0, None)
    check_changes(0, 100, 5.0, None)


@pytest.mark.parametrize("coming", [950, 1000, 1050])
def test_a_load_of_about_as_many_callers_is_let_through(coming: int) -> None:
    check_size(1000, coming, 5.0, None)


@pytest.mark.parametrize(
    ("coming", "text"),
    [
        (
            940,
            "the feed has 940 callers, the registry 1,000: 6.0 % fewer, above the 5 % that are let through; nothing "
            "was changed; if that is meant, run the same command again with --allow-change 7",
        ),
        (
            2000,
            "the feed has 2,000 callers, the registry 1,000: 100.0 % more, above the 5 % that are let through; nothing "
            "was changed; if that is meant, run the same command again with --allow-change 101",
        ),
    ],
)
def test_a_load_of_far_fewer_or_more_is_refused_and_the_advice_lets_it_through(coming: int, text: str) -> None:
    with pytest.raises(TooMuchChangedError) as refused:
        check_size(1000, coming, 5.0, None)
    assert str(refused.value) == text
    check_size(1000, coming, 5.0, float(text.rpartition(" ")[2]))


def test_what_is_allowed_is_instead_of_the_settings_even_if_it_is_less() -> None:
    with pytest.raises(TooMuchChangedError, match=r"above the 1 %"):
        check_size(1000, 980, 5.0, 1.0)


def test_a_delta_that_touches_too_many_is_refused() -> None:
    check_changes(1000, 50, 5.0, None)
    with pytest.raises(TooMuchChangedError, match=r"add, change or remove 51 of 1,000 callers, 5.1 %, above the 5 %"):
        check_changes(1000, 51, 5.0, None)
    check_changes(1000, 51, 5.0, 6.0)


def test_a_feed_of_which_most_rows_are_rejected_is_refused() -> None:
    check_rejected(0, 0, None)
    check_rejected(100, 50, None)
    with pytest.raises(TooMuchChangedError, match=r"51 of 100 rows cannot be used, 51.0 %, .*--allow-change 52$"):
        check_rejected(100, 51, None)
    check_rejected(100, 51, 52)
