from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from router.callers.loading.pacing import EVERY_S, PAUSES_S, Pacer


class Server:
    """A clock, and a server whose answers take their time on it."""

    server = "127.0.0.1:1"

    def __init__(self, takes_s: Iterator[float]) -> None:
        self.now_s = 0.0
        self.takes_s = takes_s
        self.pings = 0
        self.slept_s: list[float] = []
        self.settled = 0

    def clock(self) -> float:
        return self.now_s

    async def get(self, *command: str | bytes | float) -> str:
        assert command == ("PING",)
        self.pings += 1
        self.now_s += next(self.takes_s)
        return "PONG"

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        self.now_s += duration_s

    async def settle(self) -> None:
        self.settled += 1

    def pacer(self, rate: float | None = None) -> Pacer:
        return Pacer(rate=rate, clock=self.clock, sleep=self.sleep)


async def test_a_quick_server_is_asked_every_100_ms_and_never_waited_for() -> None:
    server = Server(itertools.repeat(0.0005))
    pacer = server.pacer()
    for _ in range(1000):
        await pacer.turn(server, server.settle)
        server.now_s += 0.001
    assert 9 <= server.pings <= 14
    assert server.slept_s == []
    assert pacer.waited_s == 0.0


async def test_while_answers_are_slow_nothing_of_ours_is_on_its_way() -> None:
    server = Server(iter([0.001, 0.001, 0.001, 0.020, 0.020, 0.020, 0.001]))
    pacer = server.pacer()
    await pacer.turn(server, server.settle)
    server.now_s += 1.01 * EVERY_S
    await pacer.turn(server, server.settle)
    assert server.slept_s == list(PAUSES_S[:3])
    assert server.settled == 2
    assert pacer.waited_s == pytest.approx(sum(PAUSES_S[:3]) + 0.041)


async def test_a_server_that_stays_slow_without_us_is_loaded_all_the_same() -> None:
    server = Server(itertools.chain([0.001] * 3, itertools.repeat(0.050)))
    pacer = server.pacer()
    await pacer.turn(server, server.settle)
    server.now_s += 1.01 * EVERY_S
    await pacer.turn(server, server.settle)
    assert server.slept_s == list(PAUSES_S)


async def test_a_server_far_away_is_held_against_its_own_idle_answers() -> None:
    server = Server(itertools.repeat(0.030))
    pacer = server.pacer()
    for _ in range(100):
        await pacer.turn(server, server.settle)
        server.now_s += 0.01
    assert server.slept_s == []


async def test_a_server_that_was_slow_at_first_is_held_against_its_best_answer() -> None:
    server = Server(iter([0.050, 0.050, 0.050, 0.001, 0.020, 0.001]))
    pacer = server.pacer()
    await pacer.turn(server, server.settle)
    for _ in range(2):
        server.now_s += 1.01 * EVERY_S
        await pacer.turn(server, server.settle)
    assert server.slept_s == [PAUSES_S[0]]


async def test_no_more_callers_a_second_are_loaded_than_asked_for() -> None:
    server = Server(itertools.repeat(0.0001))
    pacer = server.pacer(rate=1000)
    for _ in range(50):
        await pacer.turn(server, server.settle)
        pacer.loaded(100)
    await pacer.turn(server, server.settle)
    assert server.now_s == pytest.approx(5.0, abs=0.1)


async def test_time_lost_is_not_made_up_for() -> None:
    server = Server(itertools.repeat(0.0001))
    pacer = server.pacer(rate=1000)
    await pacer.turn(server, server.settle)
    server.now_s += 60
    began_s = server.now_s
    for _ in range(10):
        pacer.loaded(100)
        await pacer.turn(server, server.settle)
    assert server.now_s - began_s >= 0.99
