"""The section `speech:` of the settings file, field by field, and what it comes to.

Every description completes the sentence "it must be …". What single fields cannot say of themselves is checked here
too; reading secrets and gathering problems is left to whoever reads the whole file.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from router.rules.document import DocumentPath, open_ordinary
from router.rules.durations import DurationS
from router.rules.fields import Address, EnvironmentName, FilePath, Port, SettingsModel, SettingsReader, Text, TrueFalse
from router.rules.wording import did_you_mean, listed
from router.speech.engines.command import PLACEHOLDER, PLACEHOLDERS
from router.speech.engines.espeak import FASTEST_WORDS_PER_MINUTE, SLOWEST_WORDS_PER_MINUTE
from router.speech.engines.wav import HIGHEST_RATE_HZ, LOWEST_RATE_HZ
from router.speech.formats import DEFAULT_FORMATS, FORMATS
from router.speech.profile import is_language
from router.speech.settings import (
    PCM_RATE_HZ,
    USUAL_WORDS_PER_MINUTE,
    CommandVoice,
    DuringCallsSettings,
    EspeakVoice,
    HttpVoice,
    ServeSettings,
    SpeechSettings,
    VoiceSettings,
)

DEFAULT_PROMPTS: Final = "prompts"
DEFAULT_SERVE_PORT: Final = 9106
# What separates sounds and arguments in the dialplan, where this path or URL ends up.
_DIALPLAN_SEPARATES: Final = re.compile(r"[\s&,|;\"'$]")
# Which key chooses the engine, and which others go with it.
_KEYS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "espeak": frozenset({"words_per_minute"}),
        "command": frozenset({"voice", "raw_rate_hz", "ssml"}),
        "url": frozenset(
            {"model", "voice", "key_file", "key_env", "format", "raw_rate_hz", "ssml", "native_rate", "ca_file"}
        ),
    }
)
_EXAMPLE: Final = "`espeak: en-us`, `command: [PROGRAM, ARGUMENT]` or `url: ADDRESS`"


def _format(value: str) -> str:
    if value not in FORMATS:
        raise ValueError(f"{value[:20]!r} cannot be made; {did_you_mean(value, FORMATS)}choose among {listed(FORMATS)}")
    return value


Folder = Annotated[str, Field(min_length=1, max_length=4096, description="a folder's path, from this file's folder")]
RateHz = Annotated[
    int,
    Field(
        ge=LOWEST_RATE_HZ,
        le=HIGHEST_RATE_HZ,
        description=f"samples a second, from {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}",
    ),
]


class VoiceEntry(SettingsModel):
    """Who speaks one language. Exactly one of `espeak`, `command` and `url` says which engine it is."""

    espeak: (
        Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9_+/-]{0,60}$",
                description="the name of a voice that espeak-ng --voices lists, like en-us",
            ),
        ]
        | None
    ) = None
    words_per_minute: Annotated[
        int,
        Field(
            ge=SLOWEST_WORDS_PER_MINUTE,
            le=FASTEST_WORDS_PER_MINUTE,
            description=f"a number from {SLOWEST_WORDS_PER_MINUTE} to {FASTEST_WORDS_PER_MINUTE}",
        ),
    ] = USUAL_WORDS_PER_MINUTE
    command: (
        Annotated[list[Text], Field(min_length=1, max_length=100, description="a list of a program and its arguments")]
        | None
    ) = None
    url: Annotated[Text, Field(description="an address like http://127.0.0.1:8000/v1/audio/speech")] | None = None
    model: Text | None = None
    voice: Text | None = None
    key_file: FilePath | None = None
    key_env: EnvironmentName | None = None
    format: Annotated[Literal["wav", "pcm"], Field(description="wav or pcm")] = "wav"
    raw_rate_hz: RateHz | None = None
    ssml: TrueFalse = False
    native_rate: TrueFalse = True
    ca_file: FilePath | None = None


class DuringCallsEntry(SettingsModel):
    """What is spoken during calls."""

    folder: Folder
    most_mb: Annotated[int, Field(ge=1, le=1_000_000, description="a number of megabytes from 1 to 1000000")] = 500
    keep: Annotated[DurationS, Field(ge=60, le=366 * 86_400, description="a time from 1m to 366d")] = 7 * 86_400.0
    at_once: Annotated[int, Field(ge=1, le=32, description="a number from 1 to 32")] = 2
    deadline: Annotated[
        DurationS, Field(ge=0.1, le=1.9, description="a time from 100ms to 1900ms, as the dialplan waits 2s")
    ] = 1.5


class ServeEntry(SettingsModel):
    """Where an Asterisk on another machine fetches what was spoken."""

    address: Address = "127.0.0.1"
    port: Port = DEFAULT_SERVE_PORT
    url: Text | None = None


class SpeechEntry(SettingsModel):
    """The whole section."""

    prompts: Folder = DEFAULT_PROMPTS
    sounds: Folder | None = None
    formats: Annotated[
        list[Annotated[str, AfterValidator(_format), Field(description="a sound format, like ulaw")]],
        Field(min_length=1, max_length=10, description="a list of sound formats, like [ulaw, alaw]"),
    ] = Field(default_factory=lambda: list(DEFAULT_FORMATS))
    voices: Annotated[
        dict[str, VoiceEntry], Field(max_length=100, description="a group with a language a line, like en: {…}")
    ] = Field(default_factory=dict)
    during_calls: (
        Annotated[DuringCallsEntry, Field(description="a group like {folder: /var/lib/elder-router/spoken}")] | None
    ) = None
    serve: ServeEntry | None = None


def speech_settings(entry: SpeechEntry, reader: SettingsReader) -> SpeechSettings:
    """The section as the rest of the program wants it; what is wrong with it is told to `reader`."""
    voices = {
        language: voice
        for language, written in entry.voices.items()
        if (voice := _Voice(reader, language, written).settings()) is not None
    }
    return SpeechSettings(
        prompts=reader.base / entry.prompts,
        sounds=reader.base / entry.sounds if entry.sounds else None,
        formats=tuple(dict.fromkeys(entry.formats)),
        voices=MappingProxyType(voices),
        during_calls=_during_calls(entry.during_calls, reader),
        serve=_serve(entry, reader),
    )


def _during_calls(entry: DuringCallsEntry | None, reader: SettingsReader) -> DuringCallsSettings | None:
    if entry is None:
        return None
    folder = reader.base / entry.folder
    if found := _DIALPLAN_SEPARATES.search(str(folder)):
        what = f"the whole path {folder} has {found[0]!r} in it, which means something else in Asterisk's dialplan"
        reader.wrong(("speech", "during_calls", "folder"), f"{what}; choose a folder without")
    return DuringCallsSettings(folder, entry.most_mb, entry.keep, entry.at_once, entry.deadline)


def _serve(entry: SpeechEntry, reader: SettingsReader) -> ServeSettings | None:
    serve = entry.serve
    if serve is None:
        return None
    place = ("speech", "serve")
    if entry.during_calls is None:
        reader.wrong(place, "only what is spoken during calls is served; add `during_calls`, or remove `serve`")
    host = f"[{serve.address}]" if ":" in serve.address else serve.address
    url = serve.url or f"http://{host}:{serve.port}"
    if serve.url is None and ip_address(serve.address).is_unspecified:
        reader.wrong(place, f"{serve.address} is every address of this machine; add the `url` that Asterisk uses")
    if (parts := _split(url)) is None or parts.query or parts.fragment or _DIALPLAN_SEPARATES.search(url):
        reader.wrong((*place, "url"), "`url` is not an address; write it like http://192.0.2.7:9106")
    line, column = reader.document.position((*place, "port"))
    return ServeSettings(serve.address, serve.port, url.rstrip("/"), reader.document.file, line, column)


def _split(url: str) -> SplitResult | None:
    """The parts of an http address; None where it is none."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if is_right and url.isascii() and url.isprintable() and " " not in url else None


class _Voice:
    """One language's voice, checked."""

    def __init__(self, reader: SettingsReader, language: str, entry: VoiceEntry) -> None:
        self._reader = reader
        self._language = language
        self._entry = entry
        self._place: DocumentPath = ("speech", "voices", language)

    def settings(self) -> VoiceSettings | None:
        if not is_language(self._language):
            self._wrong(f"`{self._language}` is not a language; write it like en, zh or en_GB")
            return None
        engine = self._engine()
        entry = self._entry
        if engine == "espeak" and entry.espeak is not None:
            return EspeakVoice(entry.espeak, entry.words_per_minute)
        if engine == "command" and entry.command is not None:
            return self._command(entry.command)
        if engine == "url" and entry.url is not None:
            return self._http(entry.url)
        return None

    def _engine(self) -> str | None:
        given = self._entry.model_fields_set
        engines = [engine for engine in _KEYS if engine in given]
        if len(engines) != 1:
            what = f"{_quoted(engines)} are given; keep one" if engines else f"no engine is named; add {_EXAMPLE}"
            self._wrong(what)
            return None
        engine = engines[0]
        for key in sorted(given - _KEYS[engine] - {engine}):
            others = _quoted([other for other, keys in _KEYS.items() if key in keys], "or")
            self._wrong(f"`{key}` is for a voice with {others}, not for one with `{engine}`; remove it", key)
        return engine

    def _command(self, command: list[str]) -> CommandVoice:
        for number, argument in enumerate(command):
            for found in PLACEHOLDER.findall(argument):
                if found == "{text}":
                    said = "the text goes to the program's standard input, and never into an argument; remove {text}"
                elif found in PLACEHOLDERS and number > 0:
                    continue
                else:
                    known = ", ".join(sorted(PLACEHOLDERS))
                    said = f"nothing is put in for {found} here; in arguments these are: {known}"
                self._wrong(said, "command", number)
        if "{voice}" in " ".join(command) and self._entry.voice is None:
            self._wrong("{voice} stands in `command`; add `voice: NAME`", "command")
        program = str(self._reader.base / command[0]) if "/" in command[0] else command[0]
        return CommandVoice((program, *command[1:]), self._entry.voice or "", self._entry.raw_rate_hz, self._entry.ssml)

    def _http(self, url: str) -> HttpVoice:
        entry = self._entry
        for needed in ("model", "voice"):
            if getattr(entry, needed) is None:
                self._wrong(f"`{needed}` is missing; write one that the server has")
        if entry.raw_rate_hz is not None and entry.format != "pcm":
            self._wrong("`raw_rate_hz` is for `format: pcm`; a wav tells its own", "raw_rate_hz")
        key = self._reader.secret(self._place, "key", entry.key_file, entry.key_env)
        if key and not (key.isascii() and key.isprintable()):
            where = "key_file" if entry.key_file else "key_env"
            self._wrong("the key holds characters that no key has; write it anew, as one line of ASCII", where)
        self._check_url(url, has_key=key is not None)
        return HttpVoice(
            url=url,
            model=entry.model or "",
            voice=entry.voice or "",
            key=key or None,
            format=entry.format,
            raw_rate_hz=entry.raw_rate_hz or PCM_RATE_HZ,
            ssml=entry.ssml,
            native_rate=entry.native_rate,
            ca_file=self._ca_file(is_https=url.lower().startswith("https:")),
        )

    def _check_url(self, url: str, *, has_key: bool) -> None:
        parts = _split(url)
        if parts is None or parts.fragment:
            self._wrong("`url` is not an address; write it like http://127.0.0.1:8000/v1/audio/speech", "url")
        elif parts.username is not None or parts.password is not None:
            self._wrong("`url` holds a name or password; use `key_file` or `key_env`", "url")
        elif parts.path in {"", "/"}:
            self._wrong(f"`url` has no path; write {url.rstrip('/')}/v1/audio/speech", "url")
        elif has_key and parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
            self._wrong("over http:// everybody on the way can read the key; use https://", "url")

    def _ca_file(self, *, is_https: bool) -> Path | None:
        if self._entry.ca_file is None:
            return None
        ca_file = self._reader.base / self._entry.ca_file
        if not is_https:
            self._wrong("`ca_file` is for https://; use that, or remove it", "ca_file")
            return None
        try:
            with open_ordinary(ca_file):  # a pipe would keep whoever reads it waiting
                pass
            ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            self._wrong(f"{ca_file}: no certificates can be read from it: {error}", "ca_file")
        return ca_file

    def _wrong(self, message: str, *steps: str | int) -> None:
        self._reader.wrong((*self._place, *steps), message)


def _quoted(names: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join(f"`{name}`" for name in names)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
