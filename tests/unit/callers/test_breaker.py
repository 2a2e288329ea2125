from __future__ import annotations

from router.callers.breaker import Breaker, BreakerState


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(failures_to_open=2, open_s=1.0, clock=clock)
    breaker.failed()
    breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(failures_to_open=2, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert breaker.admits()
    breaker.failed()
    breaker.failed()
    assert breaker.state is BreakerState.OPEN


def test_open_admits_nothing_until_its_time_is_over() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now_s += 0.999
    assert not breaker.admits()
    assert breaker.state is BreakerState.OPEN


def test_half_open_admits_one_probe() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now_s += 1.0
    assert breaker.admits()
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admits()


def test_a_probe_that_succeeds_closes_it() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now_s += 1.0
    breaker.admits()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    breaker.failed()
    assert breaker.admits()


def test_a_probe_that_fails_opens_it_for_the_whole_time_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now_s += 1.0
    breaker.admits()
    clock.now_s += 0.5
    breaker.failed()
    clock.now_s += 0.9
    assert not breaker.admits()
    clock.now_s += 0.1
    assert breaker.admits()
