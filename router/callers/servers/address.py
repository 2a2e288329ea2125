"""Where a Redis server is and how to log in there: by password, as an ACL user, over TLS."""

from __future__ import annotations

import ssl
from typing import Any, Final, Self

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from router.callers.settings import RedisSettings, RedisTls
from router.errors import ConfigurationError, Problem

# Redis's own word for a server: a URL may hold a password, this may not.
_SHOWN: Final = ("host", "port", "path", "db")
_PORTS: Final = range(1, 65_536)
MOST_CONNECTIONS: Final = 64
"""Of a client for all but lookups: one more is an error, and each Asterisk remembers one choice at a time."""


class RegistryAddress:
    """Where a server is and how to log in. Its `repr` and `str` show the place only, never the password.

    Args:
        url: `redis://host:port/db`, `rediss://…` (TLS) or `unix:///path?db=0`.
        password: Stronger than one written into the URL; None leaves that.
        username: The same.
        tls: TLS whatever the URL says; None leaves it to the URL.

    Raises:
        ConfigurationError: The URL is of no such form, or a file of `tls` cannot be used.
    """

    def __init__(
        self, url: str, password: str | None = None, username: str | None = None, tls: RedisTls | None = None
    ) -> None:
        if tls is not None:
            _check(tls)
        try:
            options: dict[str, Any] = dict(parse_url(url))
            self._connection_class: type[AbstractConnection] = options.pop("connection_class", Connection)
            if password is not None:
                options["password"] = password
            if username is not None:
                options["username"] = username
            if tls is not None and "path" not in options:
                self._connection_class = SSLConnection
                options |= _tls_options(tls)
            self._options = options
            self.connection(connect_s=1.0)
        except (ValueError, TypeError, RedisError):
            # Without the cause: its text may quote the URL, and with it the password.
            wanted = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB"
            raise ConfigurationError([Problem("Redis URL", 0, 0, f"cannot be used; write {wanted}")]) from None

    @classmethod
    def of(cls, settings: RedisSettings) -> Self:
        """That of one server, by its settings. Raises as the class does."""
        return cls(settings.url, settings.password, settings.username, settings.tls)

    @classmethod
    def login(cls, settings: RedisSettings, *, password: str | None, username: str | None, database: int = 0) -> Self:
        """How to log in at servers that are still to be found, see `at`. Raises as the class does."""
        return cls(f"redis://localhost/{database}", password, username, settings.tls)

    def __repr__(self) -> str:
        return "redis " + " ".join(f"{name}={self._options[name]}" for name in _SHOWN if name in self._options)

    @property
    def name(self) -> str:
        """`host:port`, or the path of a socket."""
        if "path" in self._options:
            return str(self._options["path"])
        return server_name(self._options.get("host", "localhost"), self._options.get("port", 6379))

    def at(self, server: str) -> Self:
        """The address of another server, `host:port`, with the same way to log in."""
        host, port = host_and_port(server)
        other = object.__new__(type(self))
        other._connection_class = self._connection_class
        other._options = {**self._options, "host": host, "port": port}
        return other

    def connection(self, *, connect_s: float, answer_s: float | None = None) -> AbstractConnection:
        """A connection that is not connected yet and tries nothing twice; without `answer_s` it waits for ever."""
        return self._connection_class(**self._options, **bounded(connect_s=connect_s, answer_s=answer_s))

    def options(self, *, connect_s: float, answer_s: float) -> dict[str, Any]:
        """The same as options of redis-py's clients, without the place."""
        kept = {name: value for name, value in self._options.items() if name not in ("host", "port", "path")}
        tls = {"ssl": True} if issubclass(self._connection_class, SSLConnection) else {}
        return {**kept, **tls, **bounded(connect_s=connect_s, answer_s=answer_s)}

    def client(self, *, timeout_s: float) -> Redis:
        """A client for everything but lookups, where waiting `timeout_s` for an answer does no harm."""
        settings = bounded(connect_s=timeout_s, answer_s=timeout_s)
        pool = ConnectionPool(self._connection_class, max_connections=MOST_CONNECTIONS, **self._options, **settings)
        return Redis.from_pool(pool)


def bounded(*, connect_s: float, answer_s: float | None) -> dict[str, Any]:
    """Options of a connection that gives up in time: redis-py's own would try ten times."""
    return {
        "socket_connect_timeout": connect_s,
        "socket_timeout": answer_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # needs no HELLO, so that connecting is one round trip less
    }


def server_name(host: str, port: int) -> str:
    """A server as `host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(server: str) -> tuple[str, int]:
    """The parts of `host:port`.

    Raises:
        ValueError: It is none.
    """
    host, _, port = server.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) not in _PORTS:
        raise ValueError(f"{server!r} is no HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _tls_options(tls: RedisTls) -> dict[str, Any]:
    options: dict[str, Any] = {"ssl_cert_reqs": "required" if tls.verify else "none"}
    options["ssl_check_hostname"] = tls.verify
    if tls.ca_file is not None:
        options["ssl_ca_certs"] = str(tls.ca_file)
    if tls.certificate is not None:
        options["ssl_certfile"] = str(tls.certificate)
    if tls.key is not None:
        options["ssl_keyfile"] = str(tls.key)
    return options


def _check(tls: RedisTls) -> None:
    """Find out now, and not at the first call, that a file is missing or is something else."""
    problems: list[Problem] = []
    context = ssl.create_default_context()
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except OSError as error:  # ssl.SSLError is one
            problems.append(Problem(str(tls.ca_file), 0, 0, f"is no file of certificates (ca_file): {_why(error)}"))
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except OSError as error:
            what = f"with its key {tls.key or tls.certificate} cannot be used (certificate, key)"
            problems.append(Problem(str(tls.certificate), 0, 0, f"{what}: {_why(error)}"))
    if problems:
        raise ConfigurationError(problems)


def _why(error: OSError) -> str:
    return error.strerror or str(error)
