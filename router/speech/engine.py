"""Engines that turn text into speech. espeak-ng is the one that needs nothing but its package.

An engine speaks at its own native rate: slowing how the words are formed harms them less than stretching the
sound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from router.errors import SpeechError
from router.speech.programs import find_program, run


class Engine(Protocol):
    """Anything that can speak."""

    def identity(self, language: str) -> str:
        """What, beside text and rate, decides how it sounds: engine, version, voice.

        A change makes prompts be made again.

        Raises:
            SpeechError: the engine has no voice for the language.
        """
        ...

    def synthesise(self, text: str, language: str, rate: float) -> bytes:
        """Speak one sentence.

        Args:
            text: What to say.
            language: Of the catalogue, such as `en`.
            rate: Against the voice's usual speed. It need not be met exactly; the caller measures.

        Returns:
            A WAV of any sample rate, with or without silence around the speech.

        Raises:
            SpeechError: it could not be spoken.
        """
        ...


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of espeak-ng, and its usual speed in espeak-ng's words a minute."""

    name: str
    words_per_minute: int


# 160 gives about 165 English words a minute (comfortable synthetic speech: 150 to 200, for old and young),
# and 180 about 4.2 Mandarin syllables a second. Mandarin is spoken by `cmn-latn-pinyin`, although the text is
# in characters: the voice `cmn` of espeak-ng 1.51 reads 在, through its pinyin zai4, aloud as the English "zay
# four".
VOICES: Final[Mapping[str, Voice]] = MappingProxyType({"en": Voice("en-us", 160), "zh": Voice("cmn-latn-pinyin", 180)})
_OTHER_VOICES_WORDS_PER_MINUTE: Final = 160
# What espeak-ng's -s takes; outside, it silently uses its limits.
_SLOWEST, _FASTEST = 80, 450


class EspeakNg:
    """The installed espeak-ng.

    Raises:
        SpeechError: espeak-ng is not installed.
    """

    def __init__(self) -> None:
        self._program = find_program("espeak-ng", purpose="speaks the prompts")
        said = run(self._program, ["--version"]).decode("utf-8", "replace")
        found = re.search(r"text-to-speech: (\S+)", said)
        self._version = found[1] if found else said.strip()[:40]

    def identity(self, language: str) -> str:
        """See `Engine.identity`."""
        voice = voice_for(language)
        return f"espeak-ng {self._version} {voice.name} {voice.words_per_minute}"

    def synthesise(self, text: str, language: str, rate: float) -> bytes:
        """See `Engine.synthesise`; met in steps of a word a minute, between 80 and 450 words a minute."""
        voice = voice_for(language)
        speed = min(max(round(voice.words_per_minute * rate), _SLOWEST), _FASTEST)
        # -b 1: UTF-8, whatever the locale. -z: no pause after the sentence; pauses are put in where they are
        # wanted.
        options = ["-b", "1", "-z", "-v", voice.name, "-s", str(speed), "--stdin", "--stdout"]
        try:
            return run(self._program, options, stdin=_plain(text).encode())
        except SpeechError as error:
            raise SpeechError(
                f"the voice {voice.name} could not speak {language}: {error}; if espeak-ng does not list it "
                "(espeak-ng --voices), install espeak-ng 1.51 or later"
            ) from error


def voice_for(language: str) -> Voice:
    """The voice for a language: one of `VOICES`, else espeak-ng's voice of that very name."""
    return VOICES.get(language) or Voice(language.lower().replace("_", "-"), _OTHER_VOICES_WORDS_PER_MINUTE)


def _plain(text: str) -> str:
    """`text` without control characters: to espeak-ng, Ctrl-A begins a command."""
    return "".join(c if c.isprintable() else " " for c in text)
