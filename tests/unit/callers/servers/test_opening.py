"""From settings to servers: what is told before anything is asked, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.callers.servers.address import RegistryAddress, host_and_port, server_name
from router.callers.servers.failure import LookupFailedError
from router.callers.servers.opening import open_servers
from router.callers.settings import RedisSettings, RedisTls
from router.errors import ConfigurationError
from tests.unit.callers.servers.answering import OK, Command, answering


@pytest.mark.parametrize("url", ["localhost:6379", "http://h/", "redis://h:port/", "redis://h/?nonsense=1", ""])
def test_a_url_of_another_form_says_which_forms_there_are(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write redis://HOST:PORT/DB"):
        open_servers(RedisSettings(url))


@pytest.mark.parametrize("server", ["host", "host:", ":6379", "host:0", "host:65536", "host:+1", "host:٣"])
def test_a_server_of_another_form_is_told_with_what_was_written(server: str) -> None:
    for settings in (RedisSettings(cluster=(server,)), RedisSettings(sentinels=(server,), service="callers")):
        with pytest.raises(ConfigurationError) as raised:
            open_servers(settings)
        assert f"{server!r} is no HOST:PORT; write each as HOST:PORT" in str(raised.value)


@pytest.mark.parametrize(
    ("server", "parts"), [("h:1", ("h", 1)), ("[::1]:6379", ("::1", 6379)), ("192.0.2.1:65535", ("192.0.2.1", 65535))]
)
def test_a_server_is_taken_apart_and_put_together_again(server: str, parts: tuple[str, int]) -> None:
    assert host_and_port(server) == parts
    assert server_name(*parts) == server


SECRETIVE = [
    RedisSettings("redis://user:hunter2@127.0.0.1:6379/3", password="hunter2"),
    RedisSettings(cluster=("127.0.0.1:1",), username="elder", password="hunter2"),
    RedisSettings(sentinels=("127.0.0.1:1",), service="s", password="hunter2", sentinel_password="hunter2"),
    RedisSettings("unix:///run/redis.sock?db=1", password="hunter2"),
]


@pytest.mark.parametrize("settings", SECRETIVE)
async def test_nothing_that_is_shown_has_the_password(settings: RedisSettings) -> None:
    async with open_servers(settings, deadline_s=0.2) as servers:
        shown = repr(servers) + repr(servers._finder) + repr(servers._finder.address("127.0.0.1:1"))
        with pytest.raises(LookupFailedError) as raised:
            await servers.ask("a", [("GET", "a")])
        assert "hunter2" not in shown + str(raised.value)


def test_a_url_that_is_wrong_is_not_quoted_with_its_password() -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_servers(RedisSettings("redis://user:hunter2@127.0.0.1:nonsense/0"))
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_what_is_shown_of_each_kind_says_where_it_is() -> None:
    shown = [repr(open_servers(settings)) for settings in SECRETIVE]
    assert shown == [
        "<Servers redis host=127.0.0.1 port=6379 db=3 breaker=closed>",
        "<Servers redis cluster=127.0.0.1:1 breaker=closed>",
        "<Servers redis service=s sentinels=127.0.0.1:1 breaker=closed>",
        "<Servers redis path=/run/redis.sock db=1 breaker=closed>",
    ]


async def test_user_password_and_database_of_the_settings_are_stronger_than_the_urls() -> None:
    async with answering(OK) as server:
        url = f"redis://other:wrong@{server.name}/2"
        async with open_servers(RedisSettings(url, username="elder", password="right")) as servers:
            await servers.ask("a", [("GET", "a")])
        assert server.asked == [[b"AUTH", b"elder", b"right"], [b"SELECT", b"2"], [b"GET", b"a"]]


async def test_another_server_is_logged_in_at_in_the_same_way() -> None:
    login = RegistryAddress("redis://elder:secret@192.0.2.1:1/2")
    async with answering(OK) as server:
        connection = login.at(server.name).connection(connect_s=1.0)
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.disconnect()
        assert server.asked == [[b"AUTH", b"elder", b"secret"], [b"SELECT", b"2"]]
    assert login.name == "192.0.2.1:1"


async def test_a_socket_is_a_server_too(tmp_path: Path) -> None:
    async with open_servers(RedisSettings(f"unix://{tmp_path}/redis.sock")) as servers:
        assert await servers.primaries() == [f"{tmp_path}/redis.sock"]
        with pytest.raises(LookupFailedError, match="No such file"):
            await servers.ask("a", [("GET", "a")])


def test_files_for_tls_that_are_no_certificates_are_told_each(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigurationError) as raised:
        open_servers(RedisSettings(tls=RedisTls(nonsense, nonsense, nonsense)))
    assert [problem.file for problem in raised.value.problems] == [str(nonsense)] * 2


async def test_one_server_is_asked_also_where_it_says_what_only_a_cluster_says() -> None:
    def answer(command: Command) -> bytes:
        return b"-MOVED 1 127.0.0.1:1\r\n" if command[1] == b"a" else b"-CLUSTERDOWN no\r\n"

    async with answering(answer) as server, open_servers(RedisSettings(server.url), deadline_s=1.0) as servers:
        for key in ("a", "b"):
            with_error = await servers.ask(key, [("GET", key)])
            assert len(with_error) == 1
            assert isinstance(with_error[0], Exception)
