"""The daemon's own settings file: where Asterisk, Redis, the rules and the journal are.

It is read by the same YAML reader as the rules, so that its mistakes are told the same way, all at once and by
line. Secrets are never in it: it names the files or environment variables that hold them. Relative paths are
relative to the settings file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from router.ami.settings import LinkSettings, TlsSettings
from router.callers.servers.address import RegistryAddress
from router.callers.settings import RegistrySettings
from router.errors import ConfigurationError, Problem
from router.journal.settings import (
    NOT_ROTATED,
    SHORTEST_KEPT_S,
    USUAL_SERVICE_LEVEL,
    RotationSettings,
    ServiceLevel,
)
from router.rules.document import Document, load_document, open_ordinary, read_source, validate
from router.rules.durations import DurationS
from router.rules.fields import Address, EnvironmentName, FilePath, Port, SettingsModel, Size, Text, TrueFalse
from router.settings_callers import CallersEntry, Region, registry_settings
from router.speech.settings import SpeechSettings
from router.speech.settings_file import SpeechEntry, speech_settings
from router.web.settings import MetricsSettings, WallboardSettings

DEFAULT_FILE: Final = Path("/etc/elder-router/elder-router.yaml")
MAX_SECRET_BYTES: Final = 4096
SHORTEST_TOKEN: Final = 16
# What Linux has room for, `sun_path` in unix(7), less the NUL that ends it.
MAX_SOCKET_PATH_BYTES: Final = 107
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
# The line that Asterisk's own file of the same secret holds.
_ASTERISKS_LINE: Final = re.compile(r"secret\s*=", re.IGNORECASE)


NodeName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,30}$", description="a name of letters, digits, - and _, like pbx1"),
]


class TlsEntry(SettingsModel):
    """TLS towards one Asterisk."""

    ca_file: FilePath | None = None
    verify: TrueFalse = True
    server_name: Text | None = None


class AsteriskEntry(SettingsModel):
    """One Asterisk. Exactly one of `secret_file` and `secret_env` says where the AMI secret is."""

    name: NodeName
    host: Text = "127.0.0.1"
    port: Port = 5038
    username: Text = "elder-router"
    home_region: Region | None = None
    secret_file: FilePath | None = None
    secret_env: EnvironmentName | None = None
    auth: Annotated[Literal["md5", "plain"], Field(description="md5 or plain")] = "md5"
    tls: TlsEntry | None = None


class RotationEntry(SettingsModel):
    """When the journal begins a new file; what was the file until then is compressed."""

    every: Annotated[Literal["hour", "day", "week"] | None, Field(description="hour, day or week")] = None
    size: Size | None = None
    compress: TrueFalse = True
    keep: DurationS | None = None


class JournalEntry(SettingsModel):
    """The journal. `secret_file` holds the key of the callers' hashes and is made at the first start."""

    file: FilePath
    secret_file: FilePath
    full_numbers: TrueFalse = False
    rotate: RotationEntry | None = None


class ServiceLevelEntry(SettingsModel):
    """What the centre promises: so many of a hundred callers answered within a time."""

    percent: Annotated[float, Field(gt=0, le=100, description="a share from 0 to 100")] = 80
    within: DurationS = 20.0


class WallboardEntry(SettingsModel):
    """Where supervisors see how it goes. Beyond this machine it wants a token, see docs/wallboard.md."""

    port: Port = 9107
    address: Address = "127.0.0.1"
    token_file: FilePath | None = None
    token_env: EnvironmentName | None = None
    hosts: Annotated[list[Text], Field(default_factory=list, max_length=64, description="a list of host names")]


class ControlEntry(SettingsModel):
    """Where commands such as `elder-router promote` reach the running router."""

    socket: FilePath


class MetricsEntry(SettingsModel):
    """Where Prometheus reads the router's metrics."""

    port: Port = 9105
    address: Address = "127.0.0.1"


class SettingsFile(SettingsModel):
    """The whole file."""

    asterisk: Annotated[list[AsteriskEntry], Field(min_length=1, max_length=64, description="a list of one or more")]
    callers: Annotated[CallersEntry, Field(default_factory=lambda: CallersEntry.model_validate({}))]
    rules: FilePath
    rules_tests: FilePath | None = None
    rules_history: FilePath | None = None
    journal: Annotated[JournalEntry, Field(description="a group like {file: journal.jsonl, secret_file: callers.key}")]
    control: ControlEntry | None = None
    metrics: MetricsEntry | None = None
    service_level: Annotated[ServiceLevelEntry, Field(default_factory=ServiceLevelEntry)]
    wallboard: WallboardEntry | None = None
    speech: SpeechEntry | None = None

    @property
    def state_folder(self) -> Path:
        """Where the router keeps things of its own that the file does not place."""
        return Path(self.journal.secret_file).parent

    @property
    def rules_history_folder(self) -> str:
        """Where earlier versions of the rules are kept: beside the other things that the router itself keeps."""
        return self.rules_history or str(self.state_folder / "rules-history")


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the daemon is told, with secrets read and paths made absolute.

    `home_regions` is by an Asterisk's name: where numbers without a country code belong that it sees, if that is not
    where those of the registry do.
    """

    links: tuple[LinkSettings, ...]
    registry: RegistrySettings
    rules_file: Path
    rules_history: Path
    journal_file: Path
    journal_secret_file: Path
    full_numbers: bool
    control_socket: Path | None = None
    rules_tests: Path | None = None
    journal_rotation: RotationSettings = NOT_ROTATED
    metrics: MetricsSettings | None = None
    service_level: ServiceLevel = USUAL_SERVICE_LEVEL
    wallboard: WallboardSettings | None = None
    speech: SpeechSettings | None = None
    home_regions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def home_region(self, node: str) -> str:
        """Where numbers without a country code belong that an Asterisk sees."""
        return self.home_regions.get(node, self.registry.home_region)


def read_settings(path: Path) -> tuple[SettingsFile, Document]:
    """Read the settings file alone, for whom the secrets are none of their business.

    Raises:
        ConfigurationError: Carries everything that is wrong with it.
    """
    source = read_source(path)
    if isinstance(source, Problem):
        raise ConfigurationError([source])
    document = load_document(source.text, source.file)
    file, problems = validate(document, SettingsFile)
    if file is None:
        raise ConfigurationError(problems)
    return file, document


def load_settings(path: Path) -> Settings:
    """Read the settings file and the secrets it names.

    Raises:
        ConfigurationError: Carries everything that is wrong with it.
    """
    file, document = read_settings(path)
    reader = _Secrets(document, path.resolve().parent)
    links = tuple(reader.link(number, entry) for number, entry in enumerate(file.asterisk))
    registry = reader.registry(file.callers, reader.base / file.state_folder)
    control_socket = reader.control_socket(file.control)
    reader.check_unique_names(file.asterisk)
    rotation, wallboard = reader.rotation(file.journal.rotate), reader.wallboard(file.wallboard)
    speech = speech_settings(file.speech, reader) if file.speech is not None else None
    if reader.problems:
        raise ConfigurationError(sorted(reader.problems))
    return Settings(
        links=links,
        registry=registry,
        rules_file=reader.base / file.rules,
        journal_file=reader.base / file.journal.file,
        journal_secret_file=reader.base / file.journal.secret_file,
        full_numbers=file.journal.full_numbers,
        control_socket=control_socket,
        rules_history=reader.base / file.rules_history_folder,
        rules_tests=reader.base / file.rules_tests if file.rules_tests else None,
        journal_rotation=rotation,
        metrics=reader.metrics(file.metrics),
        service_level=ServiceLevel(file.service_level.percent, file.service_level.within),
        wallboard=wallboard,
        speech=speech,
        home_regions=MappingProxyType({entry.name: entry.home_region for entry in file.asterisk if entry.home_region}),
    )


def load_speech(path: Path) -> SpeechSettings | None:
    """Read only what the settings say of speech, with its secrets and no others.

    Returns:
        None where the file has no section `speech:`.

    Raises:
        ConfigurationError: Carries everything that is wrong with it.
    """
    file, document = read_settings(path)
    reader = _Secrets(document, path.resolve().parent)
    speech = speech_settings(file.speech, reader) if file.speech is not None else None
    if reader.problems:
        raise ConfigurationError(sorted(reader.problems))
    return speech


def load_registry(path: Path) -> RegistrySettings:
    """Read only what the settings say of the registry of callers, with its secrets and no others.

    Raises:
        ConfigurationError: Carries everything that is wrong with it.
    """
    file, document = read_settings(path)
    reader = _Secrets(document, path.resolve().parent)
    settings = reader.registry(file.callers, reader.base / file.state_folder)
    if reader.problems:
        raise ConfigurationError(sorted(reader.problems))
    return settings


class _Secrets:
    """Reads what the settings point at, and gathers what is wrong with it."""

    def __init__(self, document: Document, base: Path) -> None:
        self.document = document
        self.base = base
        self.problems: list[Problem] = []

    def link(self, number: int, entry: AsteriskEntry) -> LinkSettings:
        place = ("asterisk", number)
        secret = self.secret(place, "secret", entry.secret_file, entry.secret_env)
        if secret is None:
            self.wrong(place, "the AMI secret is missing: add `secret_file: FILE` or `secret_env: VARIABLE`")
        tls = None
        if entry.tls is not None:
            ca_file = self.base / entry.tls.ca_file if entry.tls.ca_file else None
            tls = TlsSettings(ca_file, entry.tls.verify, entry.tls.server_name)
            try:
                tls.context()
            except ConfigurationError as error:
                self.wrong((*place, "tls", "ca_file"), f"{ca_file}: {error.problems[0].message}")
        return LinkSettings(
            name=entry.name,
            host=entry.host,
            port=entry.port,
            username=entry.username,
            secret=secret or "",
            auth=entry.auth,
            tls=tls,
        )

    def registry(self, entry: CallersEntry, state_folder: Path) -> RegistrySettings:
        settings = registry_settings(entry, self, state_folder)
        try:
            RegistryAddress.of(settings.redis)
        except ConfigurationError as error:
            for problem in error.problems:
                if settings.redis.tls is not None and Path(problem.file).is_absolute():
                    self.wrong(("callers", "tls"), f"{problem.file} {problem.message}")
                else:
                    self.wrong(("callers", "redis"), f"`redis` {problem.message}")
        return settings

    def control_socket(self, entry: ControlEntry | None) -> Path | None:
        if entry is None:
            return None
        path = self.base / entry.socket
        if (size := len(os.fsencode(path))) > MAX_SOCKET_PATH_BYTES:
            self.wrong(
                ("control", "socket"),
                f"the socket's whole path is {size} bytes long, and Linux takes {MAX_SOCKET_PATH_BYTES} at most; "
                "write a shorter one, like /run/elder-router/control.sock",
            )
        return path

    def metrics(self, entry: MetricsEntry | None) -> MetricsSettings | None:
        if entry is None:
            return None
        line, column = self.document.position(("metrics", "port"))
        return MetricsSettings(entry.address, entry.port, self.document.file, line, column)

    def rotation(self, entry: RotationEntry | None) -> RotationSettings:
        if entry is None:
            return NOT_ROTATED
        if entry.every is None and entry.size is None:
            self.wrong(("journal", "rotate"), "add when: `every: day`, or `size: 1GB`, or both")
        if entry.keep is not None and entry.keep < SHORTEST_KEPT_S:
            self.wrong(("journal", "rotate", "keep"), "write a day or more, like 90d")
        return RotationSettings(entry.every, entry.size, compress=entry.compress, keep_s=entry.keep)

    def wallboard(self, entry: WallboardEntry | None) -> WallboardSettings | None:
        if entry is None:
            return None
        line, column = self.document.position(("wallboard", "port"))
        token = self.secret(("wallboard",), "token", entry.token_file, entry.token_env)
        if token is None and not ip_address(entry.address).is_loopback:
            self.wrong(
                ("wallboard", "address"),
                "whoever reaches this address would see the wallboard: add `token_file: FILE`, or keep to 127.0.0.1 "
                "with a reverse proxy before it that asks who they are",
            )
        if token is not None and len(token) < SHORTEST_TOKEN and not self.problems:
            self.wrong(
                ("wallboard", "token_file" if entry.token_file else "token_env"),
                f"the token is shorter than {SHORTEST_TOKEN} characters and can be guessed; make one with "
                "`openssl rand -hex 24`",
            )
        for number, host in enumerate(entry.hosts):
            if not _HOST_NAME.fullmatch(host):
                self.wrong(
                    ("wallboard", "hosts", number),
                    f"`{host}` is no name that browsers ask for; write it without https://, port, path and *, "
                    "like wall.example.org (of another script: its form that begins with xn--)",
                )
        hosts = frozenset(host.lower() for host in entry.hosts)
        return WallboardSettings(entry.address, entry.port, self.document.file, line, column, token=token, hosts=hosts)

    def check_unique_names(self, entries: list[AsteriskEntry]) -> None:
        seen: set[str] = set()
        for number, entry in enumerate(entries):
            if entry.name in seen:
                self.wrong(("asterisk", number, "name"), f"`{entry.name}` is named twice; each needs its own name")
            seen.add(entry.name)

    def secret(self, place: tuple[str | int, ...], word: str, file: str | None, env: str | None) -> str | None:
        if file is not None and env is not None:
            self.wrong(place, f"both `{word}_file` and `{word}_env` are given; keep one")
        if file is not None:
            return self._from_file((*place, f"{word}_file"), self.base / file)
        if env is not None:
            value = os.environ.get(env)
            if not value:
                self.wrong((*place, f"{word}_env"), f"the environment variable {env} is not set, or is empty")
            return value or ""
        return None

    def _from_file(self, place: tuple[str | int, ...], file: Path) -> str:
        try:
            with open_ordinary(file) as stream:
                raw = stream.read(MAX_SECRET_BYTES + 1)
            secret = raw.decode().strip()
        except OSError as error:
            self.wrong(place, f"the secret cannot be read from {file}: {error.strerror}")
            return ""
        except UnicodeDecodeError:
            self.wrong(place, f"{file} holds no text; write the secret into it as one line")
            return ""
        if len(secret.splitlines()) != 1 or len(raw) > MAX_SECRET_BYTES:
            self.wrong(place, f"{file} must hold the secret as one line, and nothing else")
        elif _ASTERISKS_LINE.match(secret):
            self.wrong(place, f"{file} must hold the secret alone, without `secret =`")
        return secret

    def wrong(self, place: tuple[str | int, ...], message: str) -> None:
        self.problems.append(self.document.problem(place, message))
