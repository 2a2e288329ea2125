"""Where prompts, sounds and voices are, and what is spoken during calls, as the settings file tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from router.errors import ConfigurationError, Problem
from router.speech.formats import DEFAULT_FORMATS

# 160 gives about 165 English words a minute (comfortable synthetic speech: 150 to 200, for old and young).
USUAL_WORDS_PER_MINUTE: Final = 160
# What servers of /v1/audio/speech send as `pcm`.
PCM_RATE_HZ: Final = 24_000


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice of espeak-ng, and its usual speed in espeak-ng's words a minute."""

    name: str
    words_per_minute: int = USUAL_WORDS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class CommandVoice:
    """Any program that speaks.

    Attributes:
        command: The program and its arguments, with placeholders.
        voice: What `{voice}` stands for.
        raw_rate_hz: The sample rate where it writes bare 16-bit samples; None where it writes a WAV.
        ssml: Whether it is sent SSML.
    """

    command: tuple[str, ...]
    voice: str = ""
    raw_rate_hz: int | None = None
    ssml: bool = False


@dataclass(frozen=True, slots=True)
class HttpVoice:
    """A server with the `/v1/audio/speech` interface.

    Attributes:
        url: The whole address.
        model: Which of its models.
        voice: Which of its voices.
        key: Sent as `Authorization: Bearer`; None where it asks for none.
        format: `wav`, or `pcm` for bare 16-bit samples.
        raw_rate_hz: The sample rate of `pcm`.
        ssml: Whether it is sent SSML.
        native_rate: Whether its `speed` (or, with `ssml`, `prosody rate`) works.
        ca_file: Whose certificates to trust, instead of the system's.
    """

    url: str
    model: str
    voice: str
    key: str | None = field(default=None, repr=False)
    format: str = "wav"
    raw_rate_hz: int = PCM_RATE_HZ
    ssml: bool = False
    native_rate: bool = True
    ca_file: Path | None = None


VoiceSettings: TypeAlias = EspeakVoice | CommandVoice | HttpVoice


@dataclass(frozen=True, slots=True)
class DuringCallsSettings:
    """What is spoken during calls.

    Attributes:
        folder: Where it is kept; Asterisk reads it there.
        most_mb: How much of it, in megabytes; what was played longest ago goes first.
        keep_s: How long after it was last played.
        at_once: How many are spoken side by side.
        deadline_s: Later than that, the dialplan says it by itself.
    """

    folder: Path
    most_mb: int = 500
    keep_s: float = 7 * 86_400.0
    at_once: int = 2
    deadline_s: float = 1.5


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where an Asterisk on another machine fetches what was spoken.

    Attributes:
        address: An IP address of this machine.
        port: The port.
        url: How Asterisk reaches it, without a slash at the end.
        file: The settings file, of which `line` and `column` say so.
    """

    address: str
    port: int
    url: str
    file: str = ""
    line: int = 0
    column: int = 0

    def wrong(self, message: str) -> ConfigurationError:
        """It cannot be served there."""
        return ConfigurationError([Problem(self.file, self.line, self.column, message)])


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """All that is told of speech.

    Attributes:
        prompts: The folder of the catalogue.
        sounds: Asterisk's directory of sounds; None where the file does not say.
        formats: The sample formats to make, such as `ulaw`; at least one.
        voices: Who speaks a language; espeak-ng speaks all others.
        during_calls: None where nothing is spoken during calls.
        serve: None where Asterisk reads the files itself.
    """

    prompts: Path
    sounds: Path | None = None
    formats: tuple[str, ...] = DEFAULT_FORMATS
    voices: Mapping[str, VoiceSettings] = field(default_factory=dict)
    during_calls: DuringCallsSettings | None = None
    serve: ServeSettings | None = None
