"""The section `callers:` of the settings file, field by field, and what it comes to.

Every description completes the sentence "it must be …". Reading secrets and gathering problems is left to whoever
reads the whole file.
"""

from __future__ import annotations

import re
import string
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from router.callers.number import is_home_region
from router.callers.past import CHOICE_KEPT_S
from router.callers.settings import (
    DATE_FORMS,
    DEFAULT_URL,
    MOST_CHANGE_PERCENT,
    STALE_AFTER_S,
    FeedSettings,
    PlainLayout,
    RedisSettings,
    RedisTls,
    RegistrySettings,
)
from router.rules.document import DocumentPath
from router.rules.durations import DurationS
from router.rules.fields import EnvironmentName, FilePath, SettingsModel, SettingsReader, Text, TrueFalse

DEFAULT_SECRET_FILE: Final = "registry.secrets"  # noqa: S105 - where it is, not what
DEFAULT_WORK_FOLDER: Final = "import"
_HOST_PORT: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_DATE_FORMS: Final = ", ".join(DATE_FORMS)


def known_region(value: str) -> str:
    """A region's code as it is.

    Raises:
        ValueError: No region is called so.
    """
    if not is_home_region(value):
        raise ValueError(f"no region is called {value[:20]!r}; write two capital letters, like CN or GB")
    return value


def _host_port(value: str) -> str:
    if not _HOST_PORT.fullmatch(value) or not 1 <= int(value.rpartition(":")[2]) <= 65535:  # noqa: PLR2004
        raise ValueError(f"{value[:60]!r} is not of the form HOST:PORT, like 192.0.2.7:6379")
    return value


def _key_template(value: str) -> str:
    try:
        fields = [(name, form, how) for _, name, form, how in string.Formatter().parse(value) if name is not None]
    except ValueError:
        fields = []
    if fields not in ([("e164", "", None)], [("digits", "", None)]) or ":}" in value:
        raise ValueError("the key must hold {e164} (like +8613900000001) or {digits} (like 8613900000001) once")
    return value


Region = Annotated[
    str, AfterValidator(known_region), Field(description="a region's two capital letters, like CN or GB")
]
Servers = Annotated[
    list[Annotated[str, AfterValidator(_host_port), Field(description="HOST:PORT, like 192.0.2.7:6379")]],
    Field(min_length=1, max_length=64, description="a list of HOST:PORT"),
]
Column = Annotated[
    str, Field(min_length=1, max_length=200, description="a column's name, as the feed's first line has it")
]


class SentinelEntry(SettingsModel):
    """Redis Sentinel: who knows which server is the primary."""

    servers: Servers
    service: Text
    database: Annotated[int, Field(ge=0, le=65535, description="a whole number from 0")] = 0
    password_file: FilePath | None = None
    password_env: EnvironmentName | None = None


class RedisTlsEntry(SettingsModel):
    """TLS towards Redis."""

    ca_file: FilePath | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    verify: TrueFalse = True


class PlainEntry(SettingsModel):
    """How another system writes callers."""

    key: Annotated[str, Field(max_length=200), AfterValidator(_key_template), Field(description="a key with {e164}")]
    hash_field: Text | None = None
    bands: Annotated[dict[str, str], Field(default_factory=dict, description="a group like {S: senior}")]


class ColumnsEntry(SettingsModel):
    """What a feed calls its columns."""

    number: Column = "number"
    birth_date: Column = "birth_date"
    age_band: Column = "age_band"
    removed: Column | None = None


class FeedEntry(SettingsModel):
    """What a feed of callers looks like."""

    file: FilePath | None = None
    columns: ColumnsEntry = ColumnsEntry()
    bands: Annotated[dict[str, str], Field(default_factory=dict, description="a group like {S: senior}")]
    removed_words: Annotated[
        list[Text],
        Field(default_factory=lambda: ["1", "true", "yes"], min_length=1, max_length=20, description="a list of words"),
    ]
    dates: Annotated[
        Literal["YYYY-MM-DD", "YYYYMMDD", "DD/MM/YYYY", "MM/DD/YYYY"], Field(description=f"one of {_DATE_FORMS}")
    ] = "YYYY-MM-DD"
    separator: Annotated[str, Field(pattern=r"^[,;\t|]$", description='"," or ";" or "|" or a tab, written "\\t"')] = (
        ","
    )
    most_change_percent: Annotated[float, Field(gt=0, le=100, strict=False, description="a number up to 100")] = (
        MOST_CHANGE_PERCENT
    )


class CallersEntry(SettingsModel):
    """The registry of callers."""

    redis: Text | None = None
    cluster: Servers | None = None
    sentinel: SentinelEntry | None = None
    username: Text | None = None
    password_file: FilePath | None = None
    password_env: EnvironmentName | None = None
    tls: RedisTlsEntry | None = None
    prefer_replicas: TrueFalse = False
    lookup_deadline: Annotated[
        DurationS, Field(ge=0.001, le=1.5, description="a time from 1ms to 1500ms, as the dialplan waits 2s")
    ] = 0.05
    home_region: Region = "CN"
    layout: Annotated[Literal["buckets", "plain"], Field(description="buckets or plain")] = "buckets"
    plain: PlainEntry | None = None
    secret_file: FilePath | None = None
    choice_kept: Annotated[
        DurationS, Field(ge=60, le=3660 * 86_400, description="a time from 1m to 3660d, like 180d")
    ] = CHOICE_KEPT_S
    stale_after: Annotated[
        DurationS, Field(ge=60, le=3660 * 86_400, description="a time from 1m to 3660d, like 36h")
    ] = STALE_AFTER_S
    work_folder: FilePath | None = None
    feed: Annotated[FeedEntry, Field(default_factory=lambda: FeedEntry.model_validate({}))]


def feed_settings(entry: FeedEntry, base: Path) -> FeedSettings:
    """What a feed looks like."""
    columns = entry.columns
    return FeedSettings(
        number=columns.number,
        birth_date=columns.birth_date,
        age_band=columns.age_band,
        removed=columns.removed,
        removed_words=tuple(entry.removed_words),
        bands=MappingProxyType(dict(entry.bands)),
        date_form=entry.dates,
        separator=entry.separator,
        file=base / entry.file if entry.file else None,
        most_change_percent=entry.most_change_percent,
    )


def registry_settings(entry: CallersEntry, reader: SettingsReader, state_folder: Path) -> RegistrySettings:
    """What the registry is told; what is wrong is noted with the reader.

    Args:
        entry: The section.
        reader: Reads the secrets.
        state_folder: Where the router keeps its own things, for what the section does not place.
    """
    here: DocumentPath = ("callers",)
    given = [name for name in ("redis", "cluster", "sentinel") if getattr(entry, name) is not None]
    if len(given) > 1:
        reader.wrong((*here, given[-1]), f"{' and '.join(f'`{name}`' for name in given)} are given; keep one of them")
    if entry.layout == "plain" and entry.plain is None:
        reader.wrong(
            (*here, "layout"), '`layout: plain` needs to know the keys; add `plain: {key: "customer:{e164}:band"}`'
        )
    if entry.layout != "plain" and entry.plain is not None:
        reader.wrong((*here, "plain"), "this does nothing without `layout: plain`; add that, or remove this")
    if entry.tls is not None and not _is_whole(entry.tls):
        reader.wrong((*here, "tls"), "`certificate` and `key` belong together; give both or neither")
    base = reader.base
    return RegistrySettings(
        redis=_redis(entry, reader),
        secret_file=base / entry.secret_file if entry.secret_file else state_folder / DEFAULT_SECRET_FILE,
        deadline_s=entry.lookup_deadline,
        home_region=entry.home_region,
        layout=_plain(entry.plain) if entry.layout == "plain" and entry.plain else "buckets",
        choice_kept_s=entry.choice_kept,
        stale_after_s=entry.stale_after,
        work_folder=base / entry.work_folder if entry.work_folder else state_folder / DEFAULT_WORK_FOLDER,
        feed=feed_settings(entry.feed, base),
    )


def _is_whole(tls: RedisTlsEntry) -> bool:
    return (tls.certificate is None) == (tls.key is None)


def _redis(entry: CallersEntry, reader: SettingsReader) -> RedisSettings:
    here: DocumentPath = ("callers",)
    sentinel, tls, base = entry.sentinel, entry.tls, reader.base
    return RedisSettings(
        url=entry.redis or DEFAULT_URL,
        cluster=tuple(entry.cluster or ()),
        sentinels=tuple(sentinel.servers) if sentinel else (),
        service=sentinel.service if sentinel else "",
        database=sentinel.database if sentinel else 0,
        username=entry.username,
        password=reader.secret(here, "password", entry.password_file, entry.password_env),
        sentinel_password=reader.secret((*here, "sentinel"), "password", sentinel.password_file, sentinel.password_env)
        if sentinel
        else None,
        tls=RedisTls(
            ca_file=base / tls.ca_file if tls.ca_file else None,
            certificate=base / tls.certificate if tls.certificate else None,
            key=base / tls.key if tls.key else None,
            verify=tls.verify,
        )
        if tls and _is_whole(tls)
        else None,
        prefer_replicas=entry.prefer_replicas,
    )


def _plain(entry: PlainEntry) -> PlainLayout:
    return PlainLayout(entry.key, entry.hash_field, MappingProxyType(dict(entry.bands)))
