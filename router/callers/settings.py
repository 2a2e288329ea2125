"""What the registry is told: where its servers are, how callers lie there, what feeds of callers look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from router.callers.past import CHOICE_KEPT_S

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
STALE_AFTER_S: Final = 36 * 3600.0
"""A nightly job that failed once is noticed the next morning."""
MOST_CHANGE_PERCENT: Final = 5.0
"""In a night some 0.01 % of a population come of an age that counts; a feed that lost a region changes far more."""
DATE_FORMS: Final[Mapping[str, str]] = MappingProxyType(
    {"YYYY-MM-DD": "%Y-%m-%d", "YYYYMMDD": "%Y%m%d", "DD/MM/YYYY": "%d/%m/%Y", "MM/DD/YYYY": "%m/%d/%Y"}
)
"""How dates of birth may be written, and the same for `strptime`."""


@dataclass(frozen=True, slots=True)
class RedisTls:
    """TLS towards Redis; `certificate` and `key` are ours, if Redis asks for them."""

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where Redis is and how to log in.

    Attributes:
        url: One server: `redis://host:port/db`, `rediss://…` (TLS) or `unix:///path?db=0`. With `sentinels` or
            `cluster` it is not used.
        cluster: Some `host:port` of a Redis Cluster, from which the others are learnt.
        sentinels: Each `host:port` of the Sentinels that know the primary of `service`.
        service: What the Sentinels call it.
        database: With Sentinel.
        username: An ACL user; None for the default one.
        password: Stronger than one in `url`; None when Redis asks for none.
        sentinel_password: Of the Sentinels themselves.
        tls: For the servers, and the Sentinels.
        prefer_replicas: Whether lookups go to replicas while there are any.
    """

    url: str = DEFAULT_URL
    cluster: tuple[str, ...] = ()
    sentinels: tuple[str, ...] = ()
    service: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_password: str | None = None
    tls: RedisTls | None = None
    prefer_replicas: bool = False

    def __repr__(self) -> str:
        """Without passwords, and without the URL, which may hold one."""
        where = f"cluster={self.cluster}" if self.cluster else f"service={self.service!r}" if self.sentinels else "url"
        return f"RedisSettings({where}, username={self.username!r}, prefer_replicas={self.prefer_replicas})"


@dataclass(frozen=True, slots=True)
class PlainLayout:
    """One key a caller, written by another system; the router only reads them.

    Attributes:
        key: With `{e164}` (+8613900000001) or `{digits}` (8613900000001) where the number stands.
        hash_field: The field, where the key holds a hash; None where it holds a text.
        bands: What is stored → the band; empty where bands' names are stored.
    """

    key: str
    hash_field: str | None = None
    bands: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What a feed of callers looks like.

    Attributes:
        number: The column of the number.
        birth_date: The column of the date of birth; a feed may have it or not.
        age_band: The column of the band; the same.
        removed: In a delta, the column that says whether the caller is to be removed; None without one.
        removed_words: What stands there if so.
        bands: What a feed calls a band → its name; empty where it uses the names.
        date_form: How dates are written; a key of `DATE_FORMS`.
        separator: Between columns of a CSV file.
        file: Where the nightly job finds the full feed; None without one.
        most_change_percent: A load that would change more than this of what is there is refused.
    """

    number: str = "number"
    birth_date: str = "birth_date"
    age_band: str = "age_band"
    removed: str | None = None
    removed_words: tuple[str, ...] = ("1", "true", "yes")
    bands: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    date_form: str = "YYYY-MM-DD"
    separator: str = ","
    file: Path | None = None
    most_change_percent: float = MOST_CHANGE_PERCENT


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """All that the registry is told.

    Attributes:
        layout: `buckets`, or how another system writes callers.
        secret_file: What callers are hashed with, see `secret_ring`.
        deadline_s: After this long a lookup has returned.
        home_region: Where numbers without a country code belong, if an Asterisk has none of its own.
        choice_kept_s: How long a choice is remembered that is not made again.
        stale_after_s: A registry older than this is warned of.
        work_folder: Where an import keeps what it has read, until all of it is loaded.
    """

    redis: RedisSettings
    secret_file: Path
    deadline_s: float = 0.05
    home_region: str = "CN"
    layout: Literal["buckets"] | PlainLayout = "buckets"
    choice_kept_s: float = CHOICE_KEPT_S
    stale_after_s: float = STALE_AFTER_S
    work_folder: Path = Path("/var/lib/elder-router/import")
    feed: FeedSettings = FeedSettings()
