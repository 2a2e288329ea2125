"""TLS towards a real Redis: who is believed, who is let in, and what the registry says when it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.certificates import Authority
from lab.ports import free_port
from lab.redis import RedisServer, wait_for_port
from lab.redis_groups import RedisCluster
from router.callers.servers.failure import LookupFailedError, LookupFailure
from router.callers.servers.opening import open_servers
from router.callers.settings import RedisSettings, RedisTls
from router.errors import ConfigurationError

PASSWORD = "a-password"
ACL = ["--user", "elder", "on", f">{PASSWORD}", "~elder:*", "+@read", "+@write"]


class TlsRedis:
    """A Redis that speaks TLS only, wants a certificate of its authority, and knows one ACL user."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.made(directory / "authority")
        self.port = free_port()
        self.server = RedisServer(directory / "redis", port=free_port(), options=[*self.options(self.port), *ACL])
        self.settings = RedisSettings(
            f"rediss://127.0.0.1:{self.port}/0",
            username="elder",
            password=PASSWORD,
            tls=RedisTls(self.authority.ca, *self.authority.signed("router")),
        )

    def options(self, port: int) -> list[str]:
        certificate, key = self.authority.signed("redis")
        return [
            *("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
            *("--tls-ca-cert-file", str(self.authority.ca), "--tls-auth-clients", "yes"),
        ]


@pytest.fixture
async def tls_redis(tmp_path: Path) -> AsyncIterator[TlsRedis]:
    redis = TlsRedis(tmp_path)
    async with redis.server:
        await wait_for_port(redis.port, redis.server.child)
        yield redis


async def asked(settings: RedisSettings) -> list[object]:
    async with open_servers(settings, deadline_s=2.0, connect_s=2.0) as servers:
        return await servers.ask("elder:a", [("SET", "elder:a", 1), ("GET", "elder:a")], writing=True)


async def failed(settings: RedisSettings) -> LookupFailedError:
    with pytest.raises(LookupFailedError) as raised:
        await asked(settings)
    return raised.value


async def test_with_authority_certificate_user_and_password_it_is_asked(tls_redis: TlsRedis) -> None:
    assert await asked(tls_redis.settings) == [b"OK", b"1"]
    async with open_servers(tls_redis.settings) as servers:
        assert await servers.admin().get("elder:a") == b"1"
        (server,) = await servers.primaries()
        connection = await servers.connection(server, connect_s=2.0, answer_s=2.0)
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.send_command("GET", "elder:a")
        assert await connection.read_response() == b"1"
        await connection.disconnect()


async def test_a_server_of_another_authority_is_not_believed(tls_redis: TlsRedis, tmp_path: Path) -> None:
    assert tls_redis.settings.tls
    stranger = Authority.made(tmp_path / "stranger", "stranger")
    tls = replace(tls_redis.settings.tls, ca_file=stranger.ca)
    error = await failed(replace(tls_redis.settings, tls=tls))
    assert error.failure is LookupFailure.UNREACHABLE
    assert "certificate verify failed" in error.detail
    assert await asked(replace(tls_redis.settings, tls=replace(tls, verify=False))) == [b"OK", b"1"]


async def test_a_server_of_another_name_is_not_believed(tls_redis: TlsRedis) -> None:
    url = tls_redis.settings.url.replace("127.0.0.1", "127.0.0.2")
    await tls_redis.server.stop()
    await tls_redis.server.start("--bind", "127.0.0.1", "127.0.0.2")
    await wait_for_port(tls_redis.port, tls_redis.server.child)
    error = await failed(replace(tls_redis.settings, url=url))
    assert error.failure is LookupFailure.UNREACHABLE
    assert "certificate verify failed" in error.detail


async def test_without_a_certificate_of_ours_it_lets_nobody_in(tls_redis: TlsRedis) -> None:
    error = await failed(replace(tls_redis.settings, tls=RedisTls(tls_redis.authority.ca)))
    assert error.failure is LookupFailure.UNREACHABLE
    assert error.detail


async def test_a_wrong_password_says_so_and_shows_none(tls_redis: TlsRedis) -> None:
    error = await failed(replace(tls_redis.settings, password="wrong-hunter2"))
    assert error.failure is LookupFailure.REFUSED
    assert error.detail.startswith("WRONGPASS")
    assert "hunter2" not in str(error)


async def test_text_to_a_port_of_tls_is_a_failure_within_the_deadline(tls_redis: TlsRedis) -> None:
    settings = RedisSettings(f"redis://127.0.0.1:{tls_redis.port}/0")
    error = await failed(settings)
    assert error.failure in (LookupFailure.UNREACHABLE, LookupFailure.REFUSED)


async def test_tls_to_a_port_of_text_is_a_failure_within_the_deadline(tls_redis: TlsRedis) -> None:
    settings = replace(tls_redis.settings, url=f"rediss://127.0.0.1:{tls_redis.server.port}/0")
    error = await failed(settings)
    assert error.failure in (LookupFailure.UNREACHABLE, LookupFailure.DEADLINE)


async def test_a_cluster_is_found_and_asked_over_tls(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path / "authority")
    certificate, key = authority.signed("redis")
    options = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(authority.ca)]
    options += ["--tls-auth-clients", "no", "--tls-cluster", "yes"]
    async with RedisCluster(tmp_path / "cluster", options=options, tls=True) as cluster:
        settings = RedisSettings(cluster=cluster.tls_names, tls=RedisTls(authority.ca))
        async with open_servers(settings, deadline_s=2.0, connect_s=2.0) as servers:
            for tag in range(64):
                key_of_tag = f"elder:{{{tag:02x}}}:a"
                assert await servers.ask(key_of_tag, [("SET", key_of_tag, tag)], writing=True) == [b"OK"]
            assert set(await servers.primaries()) == set(cluster.tls_names)
            assert await servers.admin().get("elder:{3f}:a") == b"63"


@pytest.mark.parametrize("broken", ["ca_file", "certificate"])
def test_a_file_that_cannot_be_used_is_told_before_any_call(tmp_path: Path, broken: str) -> None:
    authority = Authority.made(tmp_path / "authority")
    certificate, key = authority.signed("router")
    missing = tmp_path / "missing.pem"
    tls = RedisTls(authority.ca, certificate, key)
    tls = replace(tls, ca_file=missing) if broken == "ca_file" else replace(tls, certificate=missing)
    with pytest.raises(ConfigurationError, match=rf"missing\.pem: .*\({broken}.*No such file"):
        open_servers(RedisSettings(tls=tls))
