from __future__ import annotations

from itertools import islice

from router.ami.backoff import FIRST_DELAY_S, MAX_DELAY_S, backoff


def test_the_upper_ends_double_until_the_largest_delay() -> None:
    longest = list(islice(backoff(1.0, 10.0, 2.0, uniform=lambda _, high: high), 6))
    assert longest == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_lower_ends_are_half_of_them_so_that_no_attempt_comes_at_once() -> None:
    shortest = list(islice(backoff(1.0, 10.0, 2.0, uniform=lambda low, _: low), 6))
    assert shortest == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_two_routers_do_not_return_in_step() -> None:
    one, other = list(islice(backoff(), 20)), list(islice(backoff(), 20))
    assert one != other
    assert all(FIRST_DELAY_S / 2 <= delay <= MAX_DELAY_S for delay in one)
