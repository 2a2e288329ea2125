"""Questions to one server that hangs, lies, hangs up, comes back; those of a real one are in tests/integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError

from router.callers.breaker import Breaker, BreakerState
from router.callers.servers.address import RegistryAddress
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.lane import Lane, RoundTrips
from router.callers.servers.link import RegistryLink
from router.callers.servers.wire import Reply
from tests.unit.callers.servers.answering import (
    NIL,
    OK,
    Command,
    answering,
    array,
    gone,
    never,
    tasks_named,
    text,
    until,
)


@asynccontextmanager
async def lane_to(
    server: str,
    *,
    deadline_s: float = 1.0,
    connect_s: float = 0.5,
    breaker: Breaker | None = None,
    max_batch: int = 256,
    max_waiting: int = 1024,
) -> AsyncIterator[Lane]:
    link = RegistryLink(RegistryAddress(f"redis://{server}/0"), answer_s=deadline_s, connect_s=connect_s)
    limits = {"max_batch": max_batch, "max_waiting": max_waiting}
    lane = Lane(server, link, breaker=breaker or Breaker(), trips=RoundTrips(), **limits)
    yield lane
    await lane.close()


async def ask(lane: Lane, *commands: tuple[str, ...], within_s: float = 1.0) -> list[Reply]:
    return await lane.ask(commands or (("GET", "a"),), asyncio.get_running_loop().time() + within_s)


async def failure(lane: Lane, within_s: float = 1.0) -> LookupFailedError:
    with pytest.raises(LookupFailedError) as raised:
        await ask(lane, within_s=within_s)
    return raised.value


def echo(command: Command) -> bytes:
    return text(b" ".join(command))


async def test_answers_come_in_the_order_of_the_commands_and_a_refusal_is_one() -> None:
    def answer(command: Command) -> bytes:
        return b"-WRONGTYPE no list\r\n" if command[0] == b"HGET" else array(text("x"), NIL)

    async with answering(answer) as server, lane_to(server.name) as lane:
        first, refused, third = await ask(lane, ("MGET", "a", "b"), ("HGET", "a", "f"), ("MGET", "c", "d"))
        assert first == third == [b"x", None]
        assert isinstance(refused, ResponseError)
        assert lane.breaker_state is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("reply", "why", "detail"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", LookupFailure.REFUSED, "LOADING Redis is loading"),
        (b"-NOAUTH Authentication required.\r\n", LookupFailure.REFUSED, "NOAUTH Authentication required."),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", LookupFailure.REFUSED, ""),
        (b"\xff\xfe\r\n", LookupFailure.REFUSED, ""),
        (b"-MOVED nonsense\r\n", LookupFailure.REFUSED, "without a server"),
        (b"-ASK\r\n", LookupFailure.REFUSED, "without a server"),
        (b"", LookupFailure.UNREACHABLE, ""),
    ],
)
async def test_what_no_redis_in_order_says_fails_the_question_and_says_why(
    reply: bytes, why: LookupFailure, detail: str
) -> None:
    async with answering(reply) as server, lane_to(server.name) as lane:
        failed = await failure(lane)
        assert failed.failure is why
        assert detail in failed.detail
        assert failed.detail.isprintable()


async def test_what_is_no_printable_text_is_not_handed_on() -> None:
    async with answering(b"-LOADING \x1b[31mred\x07\r\n") as server, lane_to(server.name) as lane:
        assert (await failure(lane)).detail == "LOADING ?[31mred?"


async def test_silence_ends_at_the_deadline_and_leaves_no_task_behind() -> None:
    async with answering(never) as server, lane_to(server.name, deadline_s=0.05) as lane:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        assert (await failure(lane, within_s=0.02)).failure is LookupFailure.DEADLINE
        assert loop.time() - began_s < 0.2
        await lane.close()
        assert not tasks_named("registry-lookups")


async def test_half_an_answer_is_none() -> None:
    async def half(command: Command) -> bytes:
        return b"$5\r\nel" if command[1] == b"a" else OK

    async with answering(half) as server, lane_to(server.name, deadline_s=0.05) as lane:
        assert (await failure(lane)).failure is LookupFailure.DEADLINE
        assert await ask(lane, ("GET", "b")) == [b"OK"]


async def test_a_late_answer_is_never_given_to_the_next_question() -> None:
    release = asyncio.Event()

    async def first_late(command: Command) -> bytes:
        if command[1] == b"slow":
            await release.wait()
            return text("wrong")
        return text("right")

    async with answering(first_late) as server, lane_to(server.name, deadline_s=0.05) as lane:
        with pytest.raises(LookupFailedError):
            await ask(lane, ("GET", "slow"))
        release.set()
        for _ in range(3):
            await asyncio.sleep(0.01)  # let the late answer arrive where it could do harm
            assert await ask(lane, ("GET", "b")) == [b"right"]


@pytest.mark.parametrize("more", [text("of somebody else"), OK * 2, b"$5\r\nhal"])
async def test_what_nobody_asked_for_is_never_given_to_the_next_question(more: bytes) -> None:
    def answer(command: Command) -> bytes:
        return text(command[1]) + (more if command[1] == b"first" else b"")

    async with answering(answer) as server, lane_to(server.name) as lane:
        assert await ask(lane, ("GET", "first")) == [b"first"]
        for _ in range(2):
            assert await ask(lane, ("GET", "a"), ("GET", "b")) == [b"a", b"b"]
        assert server.connections == 2


async def test_a_deadline_of_the_one_who_asks_is_kept_while_the_round_trip_goes_on() -> None:
    release = asyncio.Event()

    async def late(_command: Command) -> bytes:
        await release.wait()
        return OK

    async with answering(late) as server, lane_to(server.name, deadline_s=5.0) as lane:
        patient = asyncio.create_task(ask(lane, within_s=5.0))
        assert (await failure(lane, within_s=0.02)).failure is LookupFailure.DEADLINE
        release.set()
        assert await patient == [b"OK"], "the connection was not dropped for the other's haste"
        assert server.connections == 1


async def test_a_connection_that_redis_closed_meanwhile_costs_no_question() -> None:
    def hang_up_on_the_second(_command: Command) -> bytes:
        return b"" if len(server.asked) == 2 else OK

    async with answering(hang_up_on_the_second) as server, lane_to(server.name) as lane:
        assert await ask(lane) == [b"OK"]
        assert await ask(lane) == [b"OK"]
        assert len(server.asked) == 3


async def test_questions_of_one_turn_share_one_round_trip_and_each_gets_its_own_answers() -> None:
    async with answering(echo) as server, lane_to(server.name, max_batch=10) as lane:
        wanted = [[f"GET {number}".encode()] * (1 + number % 3) for number in range(25)]
        asked = [ask(lane, *[("GET", str(number))] * len(wanted[number])) for number in range(25)]
        assert await asyncio.gather(*asked) == wanted
        assert lane._trips.batches == 3
        assert server.reads == 3


async def test_what_comes_while_a_round_trip_is_out_forms_the_next() -> None:
    release = asyncio.Event()

    async def first_waits(command: Command) -> bytes:
        if command[1] == b"first":
            await release.wait()
        return echo(command)

    async with answering(first_waits) as server, lane_to(server.name) as lane:
        first = asyncio.create_task(ask(lane, ("GET", "first")))
        await until(lambda: bool(server.asked))
        later = [asyncio.create_task(ask(lane, ("GET", str(number)))) for number in range(20)]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(first, *later)
        assert lane._trips.batches == 2


async def test_more_than_may_wait_are_turned_away_at_once_the_last_first() -> None:
    async with answering(echo) as server, lane_to(server.name, max_waiting=2) as lane:
        asked = [ask(lane, ("GET", str(number))) for number in range(3)]
        first, second, third = await asyncio.gather(*asked, return_exceptions=True)
        assert (first, second) == ([b"GET 0"], [b"GET 1"])
        assert isinstance(third, LookupFailedError)
        assert third.failure is LookupFailure.TOO_MANY


async def test_those_who_gave_up_are_not_asked_for_any_more() -> None:
    release = asyncio.Event()

    async def first_waits(command: Command) -> bytes:
        if command[1] == b"first":
            await release.wait()
        return echo(command)

    async with answering(first_waits) as server, lane_to(server.name, deadline_s=5.0) as lane:
        first = asyncio.create_task(ask(lane, ("GET", "first"), within_s=5.0))
        await until(lambda: bool(server.asked))
        assert (await failure(lane, within_s=0.01)).failure is LookupFailure.DEADLINE
        second = asyncio.create_task(ask(lane, ("GET", "second"), within_s=5.0))
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(first, second)
        assert [command[1] for command in server.asked] == [b"first", b"second"]


async def test_a_server_that_is_gone_is_asked_no_more_until_the_breaker_lets_one_through() -> None:
    now_s = 0.0
    breaker = Breaker(failures_to_open=2, open_s=1.0, clock=lambda: now_s)
    async with answering(OK) as server, lane_to(server.name, breaker=breaker) as lane:
        await server.stop()
        for _ in range(2):
            failed = await failure(lane)
            assert str(failed) == "Redis cannot be reached: Connection refused"
        assert (await failure(lane)).failure is LookupFailure.BREAKER_OPEN
        assert lane._trips.batches == 2
        would = [lane.would_ask]
        now_s = 1.0
        assert [*would, lane.would_ask] == [False, True]
        await server.start()
        assert await ask(lane) == [b"OK"]
        assert lane.breaker_state is BreakerState.CLOSED


async def test_while_a_probe_is_out_others_are_turned_away() -> None:
    now_s = 0.0
    breaker = Breaker(failures_to_open=1, open_s=1.0, clock=lambda: now_s)
    async with answering(OK) as server, lane_to(server.name, breaker=breaker) as lane:
        breaker.failed()
        now_s = 1.0
        probe = asyncio.create_task(ask(lane))
        await asyncio.sleep(0)
        assert not lane.would_ask
        assert (await failure(lane)).failure is LookupFailure.BREAKER_OPEN
        assert await probe == [b"OK"]


async def test_those_who_wait_when_the_breaker_opens_fail_at_once() -> None:
    breaker = Breaker(failures_to_open=1)
    async with answering(never) as server, lane_to(server.name, deadline_s=0.05, breaker=breaker, max_batch=1) as lane:
        asked = [asyncio.create_task(ask(lane, within_s=5.0)) for _ in range(3)]
        async with asyncio.timeout(2):
            failed = await asyncio.gather(*asked, return_exceptions=True)
        reasons = [one.failure for one in failed if isinstance(one, LookupFailedError)]
        assert reasons == [LookupFailure.DEADLINE, LookupFailure.BREAKER_OPEN, LookupFailure.BREAKER_OPEN]


async def test_a_probe_whose_asker_went_away_still_tells_the_breaker() -> None:
    now_s = 0.0
    breaker = Breaker(failures_to_open=1, open_s=1.0, clock=lambda: now_s)
    async with answering(OK) as server, lane_to(server.name, breaker=breaker) as lane:
        breaker.failed()
        now_s = 1.0
        probe = asyncio.create_task(ask(lane))
        await asyncio.sleep(0)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert lane._drainer
        await asyncio.wait([lane._drainer], timeout=5)
        assert breaker.state is BreakerState.CLOSED
        assert await ask(lane) == [b"OK"]


async def test_a_probe_whose_asker_went_away_finds_out_that_the_server_still_hangs() -> None:
    now_s = 0.0
    breaker = Breaker(failures_to_open=1, open_s=1.0, clock=lambda: now_s)
    async with answering(never) as server, lane_to(server.name, breaker=breaker, deadline_s=0.05) as lane:
        breaker.failed()
        now_s = 1.0
        probe = asyncio.create_task(ask(lane))
        await asyncio.sleep(0)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert lane._drainer
        await asyncio.wait([lane._drainer], timeout=5)
        assert breaker.state is BreakerState.OPEN
        assert server.asked, "it was asked although nobody waits any more"


async def test_whoever_is_cancelled_anywhere_harms_nobody_else() -> None:
    async with answering(echo) as server, lane_to(server.name) as lane:
        for turns in range(12):
            leaving = asyncio.create_task(ask(lane, ("GET", "leaving")))
            staying = asyncio.create_task(ask(lane, ("GET", "staying")))
            for _ in range(turns):
                await asyncio.sleep(0)
            leaving.cancel()
            assert await staying == [b"GET staying"]
            await asyncio.gather(leaving, return_exceptions=True)
            assert await ask(lane, ("GET", "after")) == [b"GET after"]
        assert lane.breaker_state is BreakerState.CLOSED


async def test_an_error_of_ours_fails_its_batch_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_commands: list[object]) -> list[object]:
        raise ZeroDivisionError

    async with answering(OK) as server, lane_to(server.name) as lane:
        with monkeypatch.context() as patch:
            patch.setattr(lane._link, "ask", broken)
            assert (await failure(lane)).failure is LookupFailure.INTERNAL
        assert await ask(lane) == [b"OK"]


async def test_closing_answers_those_who_wait_and_those_who_come_later() -> None:
    async with answering(never) as server, lane_to(server.name, deadline_s=5.0, max_batch=1) as lane:
        waiting = [asyncio.create_task(ask(lane, within_s=5.0)) for _ in range(3)]
        await until(lambda: bool(server.asked))
        await lane.close()
        async with asyncio.timeout(1):
            failed = await asyncio.gather(*waiting, return_exceptions=True)
        assert {one.failure for one in failed if isinstance(one, LookupFailedError)} == {LookupFailure.CLOSED}
        assert (await failure(lane)).failure is LookupFailure.CLOSED


async def test_a_lane_that_is_let_go_answers_what_it_was_asked() -> None:
    release = asyncio.Event()

    async def waits(_command: Command) -> bytes:
        await release.wait()
        return OK

    async with answering(waits) as server, lane_to(server.name, deadline_s=5.0) as lane:
        asked = asyncio.create_task(ask(lane, within_s=5.0))
        await until(lambda: bool(server.asked))
        finishing = asyncio.create_task(lane.finish())
        await asyncio.sleep(0)
        release.set()
        assert await asked == [b"OK"]
        await finishing
        assert (await failure(lane)).failure is LookupFailure.CLOSED


async def test_each_who_is_told_of_a_failure_gets_an_error_of_their_own() -> None:
    async with lane_to(await gone()) as lane:
        first, second = await asyncio.gather(ask(lane), ask(lane), return_exceptions=True)
        assert isinstance(first, LookupFailedError)
        assert isinstance(second, LookupFailedError)
        assert first is not second


async def test_a_greeting_that_is_refused_fails_the_question() -> None:
    def answer(command: Command) -> bytes:
        return b"-ERR This instance has cluster support disabled\r\n" if command == [b"READONLY"] else OK

    async with answering(answer) as server:
        address = RegistryAddress(server.url)
        link = RegistryLink(address, answer_s=1.0, connect_s=1.0, greeting=[("READONLY",)])
        lane = Lane(server.name, link, breaker=Breaker(), max_batch=1, max_waiting=1, trips=RoundTrips())
        assert "cluster support disabled" in (await failure(lane)).detail
        server.answer = lambda _: OK
        assert await ask(lane) == [b"OK"]
        await lane.close()
