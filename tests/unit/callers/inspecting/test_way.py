from __future__ import annotations

import pytest

from router.callers.inspecting.findings import Level
from router.callers.inspecting.way import is_loopback, way_finding
from router.callers.settings import RedisSettings, RedisTls

PLAIN = "in plain text over the network, the password too"


@pytest.mark.parametrize(
    ("settings", "server", "level", "says"),
    [
        (RedisSettings(), "127.0.0.1:6379", Level.OK, "answers (one server), on this machine"),
        (RedisSettings(), "[::1]:6379", Level.OK, "answers (one server), on this machine"),
        (RedisSettings(), "localhost:6379", Level.OK, "answers (one server), on this machine"),
        (RedisSettings("unix:///run/redis.sock"), "/run/redis.sock", Level.OK, "answers at a socket of this machine"),
        (RedisSettings("redis://192.0.2.1"), "192.0.2.1:6379", Level.WARNING, f"answers (one server), {PLAIN}"),
        (RedisSettings("redis://redis.example"), "redis.example:6379", Level.WARNING, f"answers (one server), {PLAIN}"),
        (RedisSettings("rediss://192.0.2.1"), "192.0.2.1:6379", Level.OK, "answers (one server), over TLS"),
        (
            RedisSettings(cluster=("192.0.2.1:6379",), tls=RedisTls()),
            *("192.0.2.2:6379", Level.OK, "answers (a cluster), over TLS"),
        ),
        (
            RedisSettings(sentinels=("192.0.2.1:26379",), service="callers"),
            *("[2001:db8::1]:6379", Level.WARNING, f"answers (the primary of callers), {PLAIN}"),
        ),
        (
            RedisSettings("rediss://192.0.2.1", tls=RedisTls(verify=False)),
            *("192.0.2.1:6379", Level.WARNING, "answers (one server), over TLS, and its certificate is not looked at"),
        ),
    ],
)
def test_who_can_read_along_is_told(settings: RedisSettings, server: str, level: Level, says: str) -> None:
    finding = way_finding(settings, server)
    assert (finding.about, finding.level, finding.says) == (f"redis {server}", level, says)
    assert bool(finding.do) == (level is Level.WARNING)


def test_a_url_of_a_cluster_is_not_looked_at() -> None:
    settings = RedisSettings("rediss://127.0.0.1", cluster=("192.0.2.1:6379",))
    assert way_finding(settings, "192.0.2.1:6379").level is Level.WARNING


@pytest.mark.parametrize("host", ["127.8.0.1", "::1", "[::1]", "localhost"])
def test_addresses_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "localhost.example", "", "128.0.0.1"])
def test_addresses_of_others(host: str) -> None:
    assert not is_loopback(host)
