"""Played Sentinels that lie, hang and talk nonsense, primaries that are replaced; real ones in tests/integration."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import pytest
from redis.exceptions import ReadOnlyError

from lab.certificates import Authority
from router.callers.servers import server_map
from router.callers.servers.asking import Servers
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.opening import open_servers
from router.callers.servers.server_map import LOOK_EVERY_S
from router.callers.settings import RedisSettings, RedisTls
from tests.unit.callers.servers.answering import (
    OK,
    Answering,
    Command,
    answering,
    array,
    gone,
    never,
    tasks_named,
    text,
    until,
)

SERVICE = "callers"
READONLY = b"-READONLY You can't write against a read only replica.\r\n"


@dataclass
class PlayedSentinel:
    """Says what it is told to say of one service."""

    primary: str
    epoch: int = 0
    flags: str = "master"
    replicas: list[str] = field(default_factory=list)
    password: bytes = b""
    service: str = SERVICE

    def answer(self, command: Command) -> bytes:
        match [part.upper() for part in command[:2]]:
            case [b"AUTH", *_]:
                return OK if command[1:] == [self.password] else b"-WRONGPASS no\r\n"
            case [b"SENTINEL", b"MASTERS"]:
                return array(self._state(self.service, self.primary, self.flags))
            case [b"SENTINEL", b"SLAVES" | b"REPLICAS"]:
                return array(*(self._state(replica, replica, "slave") for replica in self.replicas))
            case _:
                return b"-ERR unknown command\r\n"

    def _state(self, name: str, server: str, flags: str) -> bytes:
        host, port = server.split(":")
        state = {"name": name, "ip": host, "port": port, "flags": flags, "config-epoch": str(self.epoch)}
        state |= {"num-other-sentinels": "2", "num-slaves": "1", "quorum": "2"}
        return array(*(text(part) for pair in state.items() for part in pair))


@asynccontextmanager
async def sentinels(*played: PlayedSentinel) -> AsyncIterator[list[Answering]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(answering(one.answer)) for one in played]


def servers_of(
    asked: Sequence[Answering | str],
    *,
    deadline_s: float = 1.0,
    connect_s: float = 1.0,
    prefer_replicas: bool = False,
    password: str | None = None,
) -> Servers:
    names = tuple(one if isinstance(one, str) else one.name for one in asked)
    settings = RedisSettings(
        sentinels=names, service=SERVICE, prefer_replicas=prefer_replicas, sentinel_password=password
    )
    return open_servers(settings, deadline_s=deadline_s, connect_s=connect_s)


async def ask(servers: Servers) -> list[object]:
    return await servers.ask("a", [("GET", "a")])


async def failure(servers: Servers) -> LookupFailedError:
    with pytest.raises(LookupFailedError) as raised:
        await ask(servers)
    return raised.value


async def test_the_primary_that_most_name_is_asked_whatever_one_says() -> None:
    async with answering(text("right")) as right, answering(text("wrong")) as wrong:
        truth = PlayedSentinel(right.name)
        async with sentinels(PlayedSentinel(wrong.name, epoch=9), truth, truth) as asked, servers_of(asked) as servers:
            assert await ask(servers) == [b"right"]
            assert not wrong.asked


async def test_where_two_disagree_the_newest_configuration_counts() -> None:
    old, new = PlayedSentinel("127.0.0.1:1", epoch=3), PlayedSentinel("127.0.0.1:2", epoch=4)
    for played in ((old, new), (new, old)):
        async with sentinels(*played) as asked, servers_of(asked) as servers:
            assert await servers.primaries() == ["127.0.0.1:2"]


async def test_one_that_sees_it_alive_counts_before_one_that_does_not() -> None:
    dead, alive = PlayedSentinel("127.0.0.1:1", 9, "master,s_down"), PlayedSentinel("127.0.0.1:2", 1)
    async with sentinels(dead, alive) as asked, servers_of(asked) as servers:
        assert await servers.primaries() == ["127.0.0.1:2"]


async def test_a_primary_that_all_hold_for_dead_is_the_primary_until_there_is_another() -> None:
    dead = PlayedSentinel("127.0.0.1:1", 1, "master,s_down,o_down")
    async with sentinels(dead, dead, dead) as asked, servers_of(asked) as servers:
        assert await servers.primaries() == ["127.0.0.1:1"]
        assert (await failure(servers)).failure is LookupFailure.UNREACHABLE


@pytest.mark.parametrize(
    "reply",
    [OK, array(), array(OK), array(array(text("name"), text(SERVICE))), b"-ERR no\r\n", b"\xff\r\n", b""],
)
async def test_a_sentinel_that_talks_nonsense_is_not_heeded(reply: bytes) -> None:
    async with answering(text("right")) as primary, answering(reply) as strange:
        truth = PlayedSentinel(primary.name)
        async with sentinels(truth) as asked, servers_of([strange, *asked]) as servers:
            assert await ask(servers) == [b"right"]
        async with servers_of([strange]) as servers:
            failed = await failure(servers)
            assert failed.failure is LookupFailure.UNREACHABLE
            assert failed.detail.startswith("no Sentinel helps: ")


async def test_a_port_that_is_none_is_not_asked() -> None:
    async with sentinels(PlayedSentinel("127.0.0.1:70000")) as asked, servers_of(asked) as servers:
        assert (await failure(servers)).failure is LookupFailure.UNREACHABLE


async def test_the_first_that_hangs_delays_nothing_while_most_answer() -> None:
    async with answering(OK) as primary, answering(never) as hanging:
        truth = PlayedSentinel(primary.name)
        async with sentinels(truth, truth) as asked, servers_of([hanging, *asked], deadline_s=0.2) as servers:
            assert await ask(servers) == [b"OK"]


async def test_where_half_of_them_hang_the_others_are_believed_after_a_moment() -> None:
    async with answering(OK) as primary, answering(never) as hanging, sentinels(PlayedSentinel(primary.name)) as asked:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with servers_of([hanging, *asked]) as servers:
            assert await ask(servers) == [b"OK"]
            assert loop.time() - began_s < 0.5


async def test_a_service_they_do_not_know_is_named() -> None:
    async with sentinels(PlayedSentinel("127.0.0.1:1", service="another")) as asked, servers_of(asked) as servers:
        assert "it knows no service 'callers'" in (await failure(servers)).detail


async def test_sentinels_are_shown_their_password() -> None:
    async with answering(OK) as primary, sentinels(PlayedSentinel(primary.name, password=b"hunter2")) as asked:
        async with servers_of(asked, password="hunter2") as servers:
            assert await ask(servers) == [b"OK"]
            assert "hunter2" not in repr(servers)
            assert servers._finder.address(primary.name)._options.get("password") is None
        async with servers_of(asked, password="hunter3") as servers:
            assert "WRONGPASS" in (await failure(servers)).detail


async def test_a_write_that_a_primary_of_old_refuses_goes_to_the_new_one_within_the_question() -> None:
    async with answering(OK) as old, answering(OK) as new:
        told = PlayedSentinel(old.name)
        async with sentinels(told) as asked, servers_of(asked) as servers:
            assert await servers.ask("a", [("SET", "a", 1)], writing=True) == [b"OK"]
            await asyncio.sleep(LOOK_EVERY_S)  # for so long nobody looks again
            told.primary, told.epoch = new.name, 1
            old.answer = lambda command: READONLY if command[0] == b"SET" else text("read")
            replies = await servers.ask("a", [("GET", "a"), ("SET", "a", 1)], writing=True)
            assert replies == [b"read", b"OK"]
            assert new.asked == [[b"SET", b"a", b"1"]]


async def test_a_write_that_is_refused_where_nobody_knows_better_stays_refused() -> None:
    async with answering(READONLY) as primary, sentinels(PlayedSentinel(primary.name)) as asked:
        servers = servers_of(asked)
        (reply,) = await servers.ask("a", [("SET", "a", 1)], writing=True)
        assert isinstance(reply, ReadOnlyError)
        assert len(primary.asked) == 1
        await servers.close()


async def test_the_first_question_after_a_failover_in_a_quiet_time_is_answered() -> None:
    async with answering(OK) as old, answering(text("new")) as new:
        told = PlayedSentinel(old.name)
        async with sentinels(told) as asked, servers_of(asked) as servers:
            assert await ask(servers) == [b"OK"]
            await asyncio.sleep(LOOK_EVERY_S)  # for so long nobody looks again
            told.primary, told.epoch = new.name, 1
            await old.stop()
            assert await ask(servers) == [b"new"]


async def test_a_dropped_connection_makes_it_ask_the_sentinels_even_if_the_server_is_there_again() -> None:
    async with answering(OK) as old, answering(text("new")) as new:
        told = PlayedSentinel(old.name)
        async with sentinels(told) as asked, servers_of(asked) as servers:
            assert await ask(servers) == [b"OK"]
            await asyncio.sleep(LOOK_EVERY_S)  # for so long nobody looks again
            told.primary, told.epoch = new.name, 1
            await old.stop()
            await old.start()
            assert await ask(servers) == [b"OK"], "of the server that was the primary before"
            await until(lambda: servers._map.layout is not None and new.name in servers._map.layout.servers)
            assert await ask(servers) == [b"new"]


async def test_now_and_then_it_asks_the_sentinels_though_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_map, "KEEP_S", 0.05)
    monkeypatch.setattr(server_map, "LOOK_EVERY_S", 0.01)
    async with answering(OK) as old, answering(text("new")) as new:
        told = PlayedSentinel(old.name)
        async with sentinels(told) as asked, servers_of(asked) as servers:
            assert await ask(servers) == [b"OK"]
            told.primary, told.epoch = new.name, 1
            async with asyncio.timeout(5):
                for pause_s in repeat(0.01):
                    if await ask(servers) == [b"new"]:
                        break
                    await asyncio.sleep(pause_s)
            assert old.connections == 1


async def test_replicas_that_are_preferred_are_asked_and_the_primary_without_them() -> None:
    lost = await gone()
    async with answering(text("primary")) as primary, answering(text("replica")) as replica:
        told = PlayedSentinel(primary.name, replicas=[replica.name])
        async with sentinels(told) as asked, servers_of(asked, prefer_replicas=True) as servers:
            assert await ask(servers) == [b"replica"]
            assert await servers.ask("a", [("SET", "a", 1)], writing=True) == [b"primary"]
            assert await servers.server_for("a", writing=False) == replica.name
            told.replicas = [lost]
            await asyncio.sleep(LOOK_EVERY_S)  # for so long nobody looks again
            await servers.primaries()
            assert await ask(servers) == [b"primary"]
        async with sentinels(told) as asked, servers_of(asked) as servers:
            assert await ask(servers) == [b"primary"]


async def test_sentinels_and_the_primary_are_asked_over_tls_by_lookups_and_by_all_else(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path / "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    context.load_cert_chain(*authority.signed("redis"))
    context.verify_mode = ssl.CERT_REQUIRED
    tls = RedisTls(authority.ca, *authority.signed("router"))

    async with answering(text("over TLS"), context) as primary:
        sentinel = PlayedSentinel(primary.name)
        async with answering(sentinel.answer, context) as asked:
            settings = RedisSettings(sentinels=(asked.name,), service=SERVICE, password="secret", tls=tls)
            primary.answer = lambda command: OK if command[0] == b"AUTH" else text("over TLS")
            async with open_servers(settings, deadline_s=2.0, connect_s=2.0) as servers:
                assert await ask(servers) == [b"over TLS"]
                assert await servers.admin().get("a") == b"over TLS"


async def test_nobody_there_is_said_at_once_and_nothing_is_left_behind() -> None:
    servers = servers_of([await gone(), await gone()])
    failed = await failure(servers)
    assert str(failed) == "Redis cannot be reached: no Sentinel helps: Redis cannot be reached: Connection refused"
    await servers.close()
    assert not tasks_named("sentinel", "registry-servers")
    assert (await failure(servers)).failure is LookupFailure.CLOSED
