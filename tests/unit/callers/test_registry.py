"""The registry against servers that misbehave on purpose; against a real Redis in tests/integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from lab.redis import RedisServer
from router.callers.breaker import Breaker, BreakerState
from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.callers.registry import BandLookup, BandSource, LookupFailure, Registry, open_registry
from router.callers.stored import Visit
from router.errors import ConfigurationError, RegistryError

CALLER = PhoneNumber("+8613900000001")
Answer = Callable[[bytes], Awaitable[bytes]]


class Server:
    """Answers whatever it reads by `answer`; an empty answer hangs up."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.serving: set[asyncio.Task[None]] = set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self.serve(reader, writer))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while asked := await reader.read(65536):
                reply = b"+OK\r\n" * asked.count(b"SETINFO") or await self.answer(asked)
                if not reply:
                    break
                writer.write(reply)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def answering(answer: Answer, port: int = 0) -> AsyncIterator[str]:
    here = Server(answer)
    server = await asyncio.start_server(here.connected, "127.0.0.1", port)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        for task in here.serving:
            task.cancel()
        await asyncio.gather(*here.serving)


def always(reply: bytes) -> Answer:
    async def answer(_asked: bytes) -> bytes:
        return reply

    return answer


ELDER = always(b"*2\r\n$5\r\nelder\r\n$-1\r\n")


async def lookup_of(reply: bytes) -> BandLookup:
    async with answering(always(reply)) as url, open_registry(url, deadline_s=1.0) as registry:
        return await registry.lookup(CALLER)


async def test_a_band_that_is_stored_is_found() -> None:
    found = await lookup_of(b"*2\r\n$5\r\nelder\r\n$-1\r\n")
    assert (found.band, found.source, found.detail) == ("elder", BandSource.REGISTRY, "")


async def test_a_number_that_is_not_stored_is_unknown_and_no_failure() -> None:
    found = await lookup_of(b"*2\r\n$-1\r\n$-1\r\n")
    assert (found.band, found.source, found.detail) == (None, BandSource.NOT_FOUND, "")


async def test_a_caller_without_a_number_is_not_looked_up() -> None:
    async with open_registry("redis://127.0.0.1:1/0") as registry:
        found = await registry.lookup(NoNumber(NoNumberReason.WITHHELD, ""))
        assert (found.source, found.detail) == (BandSource.NO_NUMBER, "withheld")
        assert registry.stats.batches == 0


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING Redis is loading"),
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH Authentication required."),
        (b"-READONLY You can't write\r\n", "READONLY You can't"),
        (b"-OOM command not allowed\r\n", "OOM command"),
        (b"-WRONGTYPE Operation against a key\r\n", "WRONGTYPE Operation"),
        (b"-ERR \x1b[31mred\x07\r\n", "?[31mred?"),
        (b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", "asked for 2 values"),
        (b"+OK\r\n", "asked for 2 values"),
    ],
)
async def test_an_error_reply_is_a_failed_lookup_that_says_why(reply: bytes, detail: str) -> None:
    found = await lookup_of(reply)
    assert found.source is BandSource.LOOKUP_FAILED
    assert found.detail.startswith("Redis answered with an error: ")
    assert detail in found.detail


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\r\n", b""])
async def test_a_server_that_is_no_redis_is_a_failed_lookup(reply: bytes) -> None:
    assert (await lookup_of(reply)).source is BandSource.LOOKUP_FAILED


@pytest.mark.parametrize("value", [b"", b"x" * 65, b"\xff\xfe", b"el\nder"])
async def test_a_value_that_cannot_be_a_band_is_a_failed_lookup(value: bytes) -> None:
    found = await lookup_of(b"*2\r\n$%d\r\n%s\r\n$-1\r\n" % (len(value), value))
    assert (found.source, found.detail) == (BandSource.LOOKUP_FAILED, LookupFailure.BAD_VALUE.value)


async def test_silence_ends_at_the_deadline_and_leaves_no_task_behind() -> None:
    async def never(_asked: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with answering(never) as url, open_registry(url, deadline_s=0.02) as registry:
        found = await registry.lookup(CALLER)
        assert (found.source, found.detail) == (BandSource.LOOKUP_FAILED, LookupFailure.DEADLINE.value)
        assert found.took_s < 0.2
        await registry.close()
        assert "registry-lookups" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_late_answer_is_never_given_to_the_next_question() -> None:
    asked = 0

    async def first_late(_request: bytes) -> bytes:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.sleep(0.1)
            return b"*2\r\n$5\r\nwrong\r\n$-1\r\n"
        return b"*2\r\n$5\r\nelder\r\n$-1\r\n"

    async with answering(first_late) as url, open_registry(url, deadline_s=0.05) as registry:
        assert (await registry.lookup(CALLER)).source is BandSource.LOOKUP_FAILED
        for _ in range(3):
            await asyncio.sleep(0.03)  # let the late answer arrive where it could do harm
            assert (await registry.lookup(CALLER)).band == "elder"


async def test_what_is_left_over_from_a_strange_reply_is_never_given_to_the_next_question() -> None:
    asked = 0

    async def first_twice(_request: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return b"+OK\r\n*2\r\n$5\r\nwrong\r\n$-1\r\n" if asked == 1 else b"*2\r\n$5\r\nelder\r\n$-1\r\n"

    async with answering(first_twice) as url, open_registry(url, deadline_s=1.0) as registry:
        assert (await registry.lookup(CALLER)).source is BandSource.LOOKUP_FAILED
        assert (await registry.lookup(CALLER)).band == "elder"


async def test_a_connection_that_redis_closed_meanwhile_costs_no_lookup() -> None:
    asked = 0

    async def hang_up_on_the_second(_request: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return b"" if asked == 2 else b"*2\r\n$5\r\nelder\r\n$-1\r\n"

    async with answering(hang_up_on_the_second) as url, open_registry(url, deadline_s=1.0) as registry:
        assert (await registry.lookup(CALLER)).band == "elder"
        assert (await registry.lookup(CALLER)).band == "elder"
        assert asked == 3


async def test_lookups_of_one_turn_share_one_round_trip_and_later_ones_the_next() -> None:
    requests: list[bytes] = []

    async def count(request: bytes) -> bytes:
        requests.append(request)
        number = request.count(b"elder:caller:") + request.count(b"elder:choice:")
        return b"*%d\r\n" % number + b"$-1\r\n" * number

    async with answering(count) as url, open_registry(url, deadline_s=1.0, max_batch=10) as registry:
        await asyncio.gather(*(registry.lookup(CALLER) for _ in range(25)))
        assert [request.count(b"elder:caller:") for request in requests] == [10, 10, 5]
        assert registry.stats.batches == 3


async def test_more_lookups_than_may_wait_are_turned_away_at_once() -> None:
    two_unknown = always(b"*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n")
    async with answering(two_unknown) as url, open_registry(url, deadline_s=1.0, max_waiting=2) as registry:
        found = await asyncio.gather(*(registry.lookup(CALLER) for _ in range(3)))
    assert [lookup.source for lookup in found] == [BandSource.NOT_FOUND] * 2 + [BandSource.LOOKUP_FAILED]
    assert found[2].detail == "too many lookups waiting"


async def test_a_redis_that_is_gone_is_asked_no_more_until_the_breaker_lets_one_through() -> None:
    now_s = 0.0
    breaker = Breaker(failures_to_open=2, open_s=1.0, clock=lambda: now_s)
    async with answering(ELDER) as url:
        port = int(url.split(":")[2].removesuffix("/0"))
    async with open_registry(url, breaker=breaker, deadline_s=1.0) as registry:
        for _ in range(2):
            assert (await registry.lookup(CALLER)).detail == "Redis cannot be reached: Connection refused"
        assert (await registry.lookup(CALLER)).detail == "breaker open"
        assert registry.stats.batches == 2
        assert registry.stats.failures == {LookupFailure.UNREACHABLE: 2, LookupFailure.BREAKER_OPEN: 1}
        now_s = 1.0
        async with answering(ELDER, port):
            assert (await registry.lookup(CALLER)).band == "elder"
            assert registry.breaker_state is BreakerState.CLOSED


async def test_a_probe_whose_caller_hung_up_still_tells_the_breaker() -> None:
    now_s = 0.0
    breaker = Breaker(failures_to_open=1, open_s=1.0, clock=lambda: now_s)
    async with answering(ELDER) as url, open_registry(url, breaker=breaker, deadline_s=1.0) as registry:
        breaker.failed()
        now_s = 1.0
        probe = asyncio.create_task(registry.lookup(CALLER))
        await asyncio.sleep(0)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert registry._drainer
        await asyncio.wait([registry._drainer], timeout=5)
        assert breaker.state is BreakerState.CLOSED
        assert (await registry.lookup(CALLER)).band == "elder"


async def test_an_error_of_ours_fails_its_batch_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(ELDER) as url, open_registry(url, deadline_s=1.0) as registry:

        async def broken(_commands: list[object]) -> list[object]:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(registry._link, "ask", broken)
            assert (await registry.lookup(CALLER)).detail == LookupFailure.INTERNAL.value
        assert (await registry.lookup(CALLER)).band == "elder"


async def test_closing_answers_those_who_wait() -> None:
    async def never(_asked: bytes) -> bytes:
        await asyncio.sleep(0.2)
        return b""

    async with answering(never) as url:
        registry = open_registry(url, deadline_s=5.0, max_batch=1)
        waiting = [asyncio.create_task(registry.lookup(CALLER)) for _ in range(3)]
        await asyncio.sleep(0.02)
        await registry.close()
        async with asyncio.timeout(1):
            found = await asyncio.gather(*waiting)
        assert {lookup.detail for lookup in found} == {LookupFailure.CLOSED.value}
        assert (await registry.lookup(CALLER)).detail == LookupFailure.CLOSED.value
        with pytest.raises(RegistryError, match="closed"):
            await registry.get(CALLER)


@pytest.mark.parametrize("url", ["localhost:6379", "http://h/", "redis://h:port/", "redis://h/?nonsense=1", ""])
def test_a_url_of_another_form_says_which_forms_there_are(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write redis://HOST:PORT/DB"):
        open_registry(url)


def test_no_repr_or_error_shows_the_password() -> None:
    registry = open_registry("redis://user:hunter2@127.0.0.1:6379/3", password="hunter2")
    assert repr(registry) == "<Registry redis host=127.0.0.1 port=6379 db=3 breaker=closed>"
    with pytest.raises(ConfigurationError) as raised:
        open_registry("redis://user:hunter2@127.0.0.1:nonsense/0")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with RedisServer(tmp_path / "redis") as server, open_registry(server.url, deadline_s=1.0) as registry:
        yield registry


async def test_what_is_set_is_got_looked_up_and_forgotten(registry: Registry) -> None:
    assert await registry.get(CALLER) is None
    await registry.set(CALLER, "senior")
    assert await registry.get(CALLER) == "senior"
    assert (await registry.lookup(CALLER)).band == "senior"
    assert await registry.forget(CALLER) is True
    assert await registry.forget(CALLER) is False
    assert (await registry.lookup(CALLER)).source is BandSource.NOT_FOUND


async def test_a_list_under_a_callers_key_is_unknown_to_lookups_and_an_error_to_get(registry: Registry) -> None:
    await registry._admin_client().lpush("elder:caller:+8613900000001", "elder")
    assert (await registry.lookup(CALLER)).source is BandSource.NOT_FOUND
    with pytest.raises(RegistryError, match="WRONGTYPE"):
        await registry.get(CALLER)
    await registry.set(CALLER, "elder")
    assert (await registry.lookup(CALLER)).band == "elder"


async def test_writing_to_a_redis_that_is_gone_raises_and_says_where() -> None:
    async with open_registry("redis://127.0.0.1:1/0") as registry:
        for attempt in (registry.set(CALLER, "elder"), registry.get(CALLER), registry.forget(CALLER)):
            with pytest.raises(RegistryError, match=r"cannot be reached.*host=127\.0\.0\.1 port=1"):
                await attempt


OTHER = PhoneNumber("+8613900000002")


def array(*values: bytes) -> bytes:
    """As Redis writes an array of texts."""
    return b"*%d\r\n" % len(values) + b"".join(b"$%d\r\n%s\r\n" % (len(value), value) for value in values)


def noted(calls: bytes) -> bytes:
    """The answers to the commands that note one call, the last of them its caller's calls."""
    return b":1\r\n:0\r\n:1\r\n" + calls


async def lookups_of(reply: bytes, *asked: tuple[PhoneNumber, Visit | None]) -> list[BandLookup]:
    """Of one turn, so that they share the round trip that `reply` answers."""
    async with answering(always(reply)) as url, open_registry(url, deadline_s=1.0) as registry:
        return await asyncio.gather(*(registry.lookup(caller, visit) for caller, visit in asked))


@pytest.mark.parametrize(("within_s", "expires_s"), [(600.0, b"600"), (90.5, b"91")])
async def test_calls_are_kept_as_long_as_one_looks_back_and_no_longer(within_s: float, expires_s: bytes) -> None:
    requests: list[bytes] = []

    async def remember(request: bytes) -> bytes:
        requests.append(request)
        return b"*2\r\n$-1\r\n$-1\r\n" + noted(array(b"pbx1/1", b"1000"))

    async with answering(remember) as url, open_registry(url, deadline_s=1.0) as registry:
        await registry.lookup(CALLER, Visit("pbx1/1", 1000.0, within_s))
    assert array(b"EXPIRE", b"elder:calls:+8613900000001", expires_s) in b"".join(requests)


async def test_of_what_redis_still_holds_only_calls_within_reach_count() -> None:
    held = array(b"pbx1/1", b"399.5", b"pbx1/2", b"400", b"pbx1/3", b"990.25", b"pbx1/4", b"1000")
    (found,) = await lookups_of(b"*2\r\n$-1\r\n$-1\r\n" + noted(held), (CALLER, Visit("pbx1/4", 1000.0, 600.0)))
    assert found.earlier_calls_s == (9.75, 600.0), "newest first, without this call and the one before ten minutes"


async def test_each_visit_of_a_batch_gets_the_calls_of_its_own_caller() -> None:
    reply = (
        b"*6\r\n"
        + b"$-1\r\n" * 6
        + noted(array(b"pbx1/1", b"900", b"pbx1/2", b"1000"))
        + noted(array(b"pbx1/3", b"700", b"pbx1/4", b"1000"))
    )
    first, without, second = await lookups_of(
        reply,
        (CALLER, Visit("pbx1/2", 1000.0, 600.0)),
        (CALLER, None),
        (OTHER, Visit("pbx1/4", 1000.0, 600.0)),
    )
    assert (first.earlier_calls_s, without.earlier_calls_s, second.earlier_calls_s) == ((100.0,), None, (300.0,))


@pytest.mark.parametrize("refused", range(4))
async def test_a_refusal_of_one_command_costs_that_caller_their_calls_at_most(refused: int) -> None:
    answers = [b":1\r\n", b":0\r\n", b":1\r\n", array(b"pbx1/1", b"900", b"pbx1/2", b"1000")]
    answers[refused] = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    bands = array(b"elder", b"senior", b"slower", b"normal")
    reply = bands + b"".join(answers) + noted(array(b"pbx1/3", b"700", b"pbx1/4", b"1000"))
    first, second = await lookups_of(
        reply, (CALLER, Visit("pbx1/2", 1000.0, 600.0)), (OTHER, Visit("pbx1/4", 1000.0, 600.0))
    )
    assert (first.band, first.choice, first.earlier_calls_s) == ("elder", "slower", (100.0,) if refused < 3 else None)
    assert (second.band, second.choice, second.earlier_calls_s) == ("senior", "normal", (300.0,))
