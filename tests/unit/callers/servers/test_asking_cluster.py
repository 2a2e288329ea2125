"""A cluster of played servers that move slots, lie, hang and talk nonsense; a real one is in tests/integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.crc import key_slot
from redis.exceptions import MovedError, ResponseError

from router.callers.breaker import Breaker, BreakerState
from router.callers.servers.asking import Servers
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.layout import SLOTS
from router.callers.servers.opening import open_servers
from router.callers.servers.server_map import LOOK_EVERY_S
from router.callers.servers.wire import Command as WireCommand
from router.callers.settings import RedisSettings
from tests.unit.callers.servers.answering import (
    NIL,
    OK,
    Answering,
    Command,
    answering,
    array,
    gone,
    never,
    number,
    tasks_named,
    text,
    until,
)

KEY = "elder:{3f}:a"
SLOT = key_slot(KEY.encode())
Answer = Callable[[Command], bytes]


def slots(*shards: Sequence[Answering | str]) -> bytes:
    """CLUSTER SLOTS of shards that have equal parts of the slots; in each the primary first."""
    entries = []
    for place, shard in enumerate(shards):
        first, last = SLOTS * place // len(shards), SLOTS * (place + 1) // len(shards) - 1
        nodes = []
        for server in shard:
            host, port = (server if isinstance(server, str) else server.name).split(":")
            nodes.append(array(text(host), number(int(port)), text("0" * 40), array()))
        entries.append(array(number(first), number(last), *nodes))
    return array(*entries)


class PlayedCluster:
    """Servers that all tell the same `slots`, and answer other commands each by its own `answers`."""

    def __init__(self, servers: Sequence[Answering]) -> None:
        self.servers = servers
        self.slots = slots(*[[server] for server in servers])
        self.answers: list[Answer] = [lambda _: OK] * len(servers)

    def answer_of(self, place: int) -> Answer:
        def answer(command: Command) -> bytes:
            if command == [b"CLUSTER", b"SLOTS"]:
                return self.slots
            return OK if command in ([b"READONLY"], [b"ASKING"]) else self.answers[place](command)

        return answer

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(server.name for server in self.servers)

    def asked(self, place: int) -> list[Command]:
        """What a server was asked, but for the slots."""
        return [command for command in self.servers[place].asked if command[0] != b"CLUSTER"]


@asynccontextmanager
async def playing(count: int) -> AsyncIterator[PlayedCluster]:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(answering(OK)) for _ in range(count)]
        cluster = PlayedCluster(servers)
        for place, server in enumerate(servers):
            server.answer = cluster.answer_of(place)
        yield cluster


def servers_of(
    names: Sequence[str], *, deadline_s: float = 1.0, connect_s: float = 1.0, prefer_replicas: bool = False
) -> Servers:
    settings = RedisSettings(cluster=tuple(names), prefer_replicas=prefer_replicas)
    return open_servers(settings, deadline_s=deadline_s, connect_s=connect_s)


def holder(count: int) -> int:
    """Which of so many servers has the key's slot."""
    return SLOT * count // SLOTS


def moved(server: Answering | str, word: str = "MOVED") -> bytes:
    return f"-{word} {SLOT} {server if isinstance(server, str) else server.name}\r\n".encode()


async def failure(servers: Servers, key: str = KEY) -> LookupFailedError:
    with pytest.raises(LookupFailedError) as raised:
        await servers.ask(key, [("GET", key)])
    return raised.value


async def test_a_key_is_asked_of_the_server_that_holds_its_slot() -> None:
    async with playing(3) as cluster, servers_of(cluster.names[:1]) as servers:
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]
        assert [len(cluster.asked(place)) for place in range(3)] == [int(place == holder(3)) for place in range(3)]
        assert await servers.server_for(KEY, writing=True) == cluster.names[holder(3)]
        assert set(await servers.primaries()) == set(cluster.names)


async def test_moved_is_followed_within_the_question_and_learnt_from_it() -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        here, there = holder(2), 1 - holder(2)
        cluster.answers[here] = lambda _: moved(cluster.servers[there])
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]
        assert (len(cluster.asked(here)), len(cluster.asked(there))) == (1, 2)
        assert servers.stats.repeated == 1


async def test_moved_without_a_host_is_the_host_that_was_asked() -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        here, there = holder(2), 1 - holder(2)
        cluster.answers[here] = lambda _: moved(f":{cluster.servers[there].port}")
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]


async def test_of_commands_that_were_refused_in_part_only_those_are_repeated() -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        here, there = holder(2), 1 - holder(2)
        cluster.answers[here] = lambda command: (
            moved(cluster.servers[there]) if command[1] == b"b" else text(b"here " + command[1])
        )
        cluster.answers[there] = lambda command: text(b"there " + command[1])
        replies = await servers.ask(KEY, [("GET", "a"), ("GET", "b"), ("GET", "c")])
        assert replies == [b"here a", b"there b", b"here c"]
        assert cluster.asked(there) == [[b"GET", b"b"]]


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
async def test_servers_that_send_each_other_the_question_get_it_twice_and_no_more(word: str) -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        cluster.answers[0] = lambda _: moved(cluster.servers[1], word)
        cluster.answers[1] = lambda _: moved(cluster.servers[0], word)
        (reply,) = await servers.ask(KEY, [("GET", KEY)])
        assert isinstance(reply, ResponseError)
        assert len([one for place in (0, 1) for one in cluster.asked(place) if one != [b"ASKING"]]) == 2


async def test_a_server_that_names_itself_is_not_asked_again() -> None:
    async with playing(1) as cluster, servers_of(cluster.names) as servers:
        cluster.answers[0] = lambda _: moved(cluster.servers[0])
        (reply,) = await servers.ask(KEY, [("GET", KEY)])
        assert isinstance(reply, MovedError)
        assert len(cluster.asked(0)) == 1


async def test_a_cluster_that_names_ever_new_servers_is_not_believed_for_long() -> None:
    async with playing(1) as cluster, servers_of(cluster.names) as servers:
        ports = iter(range(1, 100))
        cluster.answers[0] = lambda _: moved(f"127.0.0.1:{next(ports)}")
        for _ in range(50):
            await asyncio.gather(servers.ask(KEY, [("GET", KEY)]), return_exceptions=True)
        assert len(servers.breakers) <= 1 + 8


async def test_a_server_that_was_named_and_is_none_of_the_clusters_is_let_go_at_the_next_look() -> None:
    lost = await gone()
    async with playing(1) as cluster, servers_of(cluster.names) as servers:
        cluster.answers[0] = lambda _: moved(lost)
        for _ in range(4):
            await asyncio.gather(servers.ask(KEY, [("GET", KEY)]), return_exceptions=True)
        assert servers.breakers[lost] is BreakerState.OPEN
        await servers.primaries()
        await asyncio.sleep(LOOK_EVERY_S)
        await servers.primaries()
        assert set(servers.breakers) == set(cluster.names), "or it would be told for ever that a server does not answer"


@pytest.mark.parametrize("where", ["127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:-1"])
async def test_a_server_that_cannot_exist_is_not_asked(where: str) -> None:
    async with playing(1) as cluster, servers_of(cluster.names) as servers:
        cluster.answers[0] = lambda _: moved(where)
        (reply,) = await servers.ask(KEY, [("GET", KEY)])
        assert isinstance(reply, MovedError)


async def test_ask_is_followed_for_this_question_only_and_lets_each_key_in_by_itself() -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        here, there = holder(2), 1 - holder(2)
        cluster.answers[here] = lambda _: moved(cluster.servers[there], "ASK")
        cluster.answers[there] = lambda command: text(command[1]) if command[0] == b"GET" else NIL
        for _ in range(2):
            assert await servers.ask(KEY, [("HGET", "h", "f"), ("MGET", "a", "b")]) == [None, [b"a", b"b"]]
        once = [[b"ASKING"], [b"HGET", b"h", b"f"], [b"ASKING"], [b"GET", b"a"], [b"ASKING"], [b"GET", b"b"]]
        assert cluster.asked(there) == once * 2
        assert len(cluster.asked(here)) == 4


async def test_a_key_refused_after_ask_is_a_refusal_of_its_command_alone() -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        here, there = holder(2), 1 - holder(2)
        cluster.answers[here] = lambda _: moved(cluster.servers[there], "ASK")
        cluster.answers[there] = lambda command: b"-TRYAGAIN later\r\n" if command[1] == b"b" else text(command[1])
        refused, other = await servers.ask(KEY, [("MGET", "a", "b"), ("GET", "c")])
        assert isinstance(refused, ResponseError)
        assert other == b"c"


async def test_a_replica_is_read_from_after_it_was_told_and_written_to_never() -> None:
    async with playing(2) as cluster, servers_of(cluster.names, prefer_replicas=True) as servers:
        cluster.slots = slots(cluster.servers)
        cluster.answers[1] = lambda _: text("replica")
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"replica"]
        assert await servers.ask(KEY, [("SET", KEY, 1)], writing=True) == [b"OK"]
        assert cluster.asked(1) == [[b"READONLY"], [b"GET", KEY.encode()]]
        assert await servers.server_for(KEY, writing=False) == cluster.names[0], "who would have to say READONLY first"


@pytest.mark.parametrize(
    "says",
    [b"-MASTERDOWN Link with MASTER is down\r\n", b"-LOADING Redis is loading\r\n", b"-CLUSTERDOWN no\r\n", b"", b"?"],
)
async def test_what_a_replica_cannot_answer_the_primary_does(says: bytes) -> None:
    async with playing(2) as cluster, servers_of(cluster.names, prefer_replicas=True) as servers:
        cluster.slots = slots(cluster.servers)
        cluster.answers[1] = lambda _: says + b"\r\n" if says == b"?" else says
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]


async def test_what_a_replica_does_not_have_the_primary_is_asked_for() -> None:
    async with playing(2) as cluster, servers_of(cluster.names, prefer_replicas=True) as servers:
        cluster.slots = slots(cluster.servers)
        cluster.answers[1] = lambda command: NIL if command[0] == b"HGET" else array(text("of the replica"))
        cluster.answers[0] = lambda command: text("here") if command[0] == b"HGET" else array(NIL)
        commands: list[WireCommand] = [("HGET", KEY, "f"), ("MGET", KEY)]
        assert await servers.ask(KEY, commands) == [b"here", [None]]
        cluster.answers[0] = lambda command: NIL if command[0] == b"HGET" else array(NIL)
        assert await servers.ask(KEY, commands) == [None, [None]]
        for broken in (never, lambda _: b""):
            cluster.servers[0].answer = broken
            assert await servers.ask(KEY, commands) == [None, [b"of the replica"]], "while the primary is lost"


async def test_a_replica_that_hangs_leaves_the_primary_half_of_the_time() -> None:
    async with playing(2) as cluster, servers_of(cluster.names, prefer_replicas=True) as servers:
        cluster.slots = slots(cluster.servers)
        cluster.servers[1].answer = never
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]
        assert 0.45 < loop.time() - began_s < 1.0


async def test_replicas_take_turns_and_one_that_is_held_for_gone_is_left_out() -> None:
    lost = await gone()
    async with playing(3) as cluster, servers_of(cluster.names, prefer_replicas=True) as servers:
        cluster.slots = slots([*cluster.servers, lost])
        for _ in range(40):
            assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]
        assert servers.breakers[lost] is BreakerState.OPEN
        asked = [len([one for one in cluster.asked(place) if one[0] == b"GET"]) for place in range(3)]
        assert asked[0] == 3, "the primary, in place of the lost one, until its breaker opened"
        assert min(asked[1:]) > 10


async def test_servers_that_hang_do_not_delay_what_another_tells_of_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(3) as cluster, servers_of(cluster.names, deadline_s=0.3) as servers:
        alive = cluster.names[holder(3)]
        monkeypatch.setattr("router.callers.servers.cluster.random.shuffle", lambda names: names.sort(key=alive.__eq__))
        for server in cluster.servers:
            if server.name != alive:
                server.answer = never
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]


@pytest.mark.parametrize(
    "nonsense",
    [
        OK,
        array(),
        array(text("x")),
        array(array(number(0), number(20_000), array(text("127.0.0.1"), number(1)))),
        array(array(number(5), number(1), array(text("127.0.0.1"), number(1)))),
        array(array(number(0), number(1))),
        array(array(number(0), number(1), array(text("127.0.0.1"), number(70_000)))),
        array(array(number(0), number(1), array(text(b"\xff"), number(7000)))),
        array(array(number(0), number(1), array(number(1), number(7000)))),
        b"-ERR This instance has cluster support disabled\r\n",
        b"",
    ],
)
async def test_nonsense_about_slots_fails_the_question_in_time_and_changes_nothing_known(nonsense: bytes) -> None:
    async with playing(1) as cluster, servers_of(cluster.names, deadline_s=0.5) as servers:
        right, cluster.slots = cluster.slots, nonsense
        failed = await failure(servers)
        assert failed.failure is LookupFailure.UNREACHABLE
        assert failed.detail.startswith("no server tells the cluster's slots")
        await asyncio.sleep(LOOK_EVERY_S)  # for so long nobody looks again
        cluster.slots = right
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]
        cluster.slots = nonsense
        await asyncio.sleep(LOOK_EVERY_S)
        assert await servers.server_for(KEY, writing=True) == cluster.names[0]


async def test_one_server_that_talks_nonsense_is_not_heeded() -> None:
    async with playing(3) as cluster, servers_of(cluster.names) as servers:
        cluster.servers[1 - holder(3)].answer = lambda _: b"-ERR nonsense\r\n"
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]


async def test_a_server_that_knows_only_a_part_is_believed_if_no_other_knows_more() -> None:
    async with playing(2) as cluster, servers_of(cluster.names, deadline_s=3.0) as servers:
        host, port = cluster.names[1].split(":")
        part = array(array(number(0), number(SLOT), array(text(host), number(int(port)), text("0" * 40))))
        cluster.servers[1].answer = lambda command: part if command[0] == b"CLUSTER" else text("part")

        async def later(command: Command) -> bytes:
            await until(lambda: bool(cluster.servers[1].asked))
            await asyncio.sleep(0.05)  # the other, which knows less, is first
            return cluster.answer_of(0)(command)

        cluster.servers[0].answer = later
        cluster.slots = slots([cluster.servers[0]])
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]
        await cluster.servers[0].stop()
        await asyncio.sleep(LOOK_EVERY_S)  # for so long nobody looks again
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"part"]


async def test_a_slot_that_nobody_serves_says_so_and_the_others_are_asked() -> None:
    async with playing(1) as cluster, servers_of(cluster.names) as servers:
        host, port = cluster.names[0].split(":")
        node = array(text(host), number(int(port)), text("0" * 40))
        cluster.slots = array(array(number(0), number(SLOT - 1), node), array(number(SLOT + 1), number(16383), node))
        failed = await failure(servers)
        assert failed.failure is LookupFailure.UNREACHABLE
        assert "no server of the cluster holds" in failed.detail
        assert await servers.ask("elder:{00}:a", [("GET", "a")]) == [b"OK"]


async def test_when_nobody_answers_it_says_so_at_once_and_looks_now_and_then_only() -> None:
    async with servers_of([await gone(), await gone()], deadline_s=0.2) as servers:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        failures = [await failure(servers) for _ in range(100)]
        assert {one.failure for one in failures} == {LookupFailure.UNREACHABLE}
        assert "Connection refused" in failures[-1].detail
        assert servers._map.looks <= 1 + (loop.time() - began_s) / LOOK_EVERY_S


async def test_servers_that_hang_all_of_them_keep_nobody_longer_than_the_deadline() -> None:
    async with answering(never) as server, servers_of([server.name], deadline_s=0.05) as servers:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            began_s = loop.time()
            assert (await failure(servers)).failure is LookupFailure.DEADLINE
            assert loop.time() - began_s < 0.2


async def test_whoever_is_cancelled_while_it_is_sent_on_harms_nobody() -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        here, there = holder(2), 1 - holder(2)
        cluster.answers[here] = lambda _: moved(cluster.servers[there], "ASK")
        cluster.answers[there] = lambda command: text(command[1])
        for turns in range(30):
            leaving = asyncio.create_task(servers.ask(KEY, [("GET", "leaving")]))
            for _ in range(turns):
                await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            assert await servers.ask(KEY, [("GET", "staying")]) == [b"staying"]


async def test_closing_while_it_looks_leaves_nothing_behind() -> None:
    async with answering(never) as server:
        servers = servers_of([server.name], deadline_s=5.0, connect_s=2.0)
        asked = asyncio.create_task(servers.ask(KEY, [("GET", KEY)]))
        await until(lambda: bool(server.asked))
        async with asyncio.timeout(1):
            await servers.close()
            await asyncio.gather(asked, return_exceptions=True)
        assert not tasks_named("registry-servers", "cluster", "registry-lookups")
        assert (await failure(servers)).failure is LookupFailure.CLOSED
        with pytest.raises(LookupFailedError, match="closed"):
            servers.admin()


async def test_a_server_that_left_the_cluster_is_let_go_once_it_has_answered() -> None:
    async with playing(2) as cluster, servers_of(cluster.names) as servers:
        for key in (KEY, "elder:{00}:a"):
            await servers.ask(key, [("GET", key)])
        cluster.slots = slots([cluster.servers[0]])
        await asyncio.sleep(LOOK_EVERY_S)  # for so long nobody looks again
        assert await servers.primaries() == [cluster.names[0]]
        assert set(servers.breakers) <= {cluster.names[0]}
        assert await servers.ask(KEY, [("GET", KEY)]) == [b"OK"]


async def test_the_breaker_of_one_server_is_no_others() -> None:
    lost = await gone()
    async with playing(1) as cluster:
        settings = RedisSettings(cluster=cluster.names)
        async with open_servers(settings, deadline_s=0.5, breaker=lambda: Breaker(failures_to_open=1)) as servers:
            there = "elder:{00}:a" if key_slot(b"elder:{00}:a") > SLOT else KEY
            here = KEY if there != KEY else "elder:{00}:a"
            cluster.slots = slots([cluster.servers[0]], [lost])
            await failure(servers, there)
            assert (await failure(servers, there)).failure is LookupFailure.BREAKER_OPEN
            assert await servers.ask(here, [("GET", here)]) == [b"OK"]
            assert servers.breakers == {lost: BreakerState.OPEN, cluster.names[0]: BreakerState.CLOSED}
            assert servers.breaker_state is BreakerState.OPEN
