"""From what the settings say to servers that can be asked."""

from __future__ import annotations

from collections.abc import Callable

from router.callers.breaker import Breaker
from router.callers.servers.address import RegistryAddress
from router.callers.servers.asking import Servers
from router.callers.servers.cluster import ClusterFinder
from router.callers.servers.finder import Finder, SingleServer
from router.callers.servers.sentinel import SentinelFinder
from router.callers.settings import RedisSettings
from router.errors import ConfigurationError, Problem


def open_servers(
    settings: RedisSettings,
    *,
    deadline_s: float = 0.05,
    connect_s: float = 0.5,
    max_batch: int = 256,
    max_waiting: int = 1024,
    breaker: Callable[[], Breaker] = Breaker,
) -> Servers:
    """The servers of the registry. Connects at the first question, so that the router starts without Redis too.

    Args:
        settings: Where they are and how to log in.
        deadline_s: After this long a question has its answer or its failure, connecting included.
        connect_s: How long one attempt to connect may take, while questions fail at their own deadline.
        max_batch: Most questions in one round trip, so that it holds Redis up for a millisecond at most.
        max_waiting: Most questions waiting for one server's next round trip; one more fails at once. At 3,000/s and
            the default deadline 150 wait at worst.
        breaker: Makes the breaker of each server.

    Raises:
        ConfigurationError: The URL is of no known form, a server is no `host:port`, a file for TLS cannot be used.
    """
    return Servers(
        _finder(settings, connect_s),
        prefer_replicas=settings.prefer_replicas,
        deadline_s=deadline_s,
        connect_s=connect_s,
        max_batch=max_batch,
        max_waiting=max_waiting,
        breaker=breaker,
    )


def _finder(settings: RedisSettings, connect_s: float) -> Finder:
    replicas = settings.prefer_replicas
    try:
        if settings.cluster:
            login = RegistryAddress.login(settings, password=settings.password, username=settings.username)
            return ClusterFinder(settings.cluster, login=login, answer_s=connect_s, replicas=replicas)
        if settings.sentinels:
            return SentinelFinder(
                settings.sentinels,
                settings.service,
                login=RegistryAddress.login(
                    settings, password=settings.password, username=settings.username, database=settings.database
                ),
                sentinel_login=RegistryAddress.login(settings, password=settings.sentinel_password, username=None),
                answer_s=connect_s,
                replicas=replicas,
            )
    except ValueError as error:
        raise ConfigurationError([Problem("Redis servers", 0, 0, f"{error}; write each as HOST:PORT")]) from error
    return SingleServer(RegistryAddress.of(settings))
