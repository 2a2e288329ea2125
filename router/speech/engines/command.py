"""Any program as an engine: text on its standard input, sound on its standard output.

It is started without a shell. The text is never an argument; what is put in for a placeholder is a number, the
language, or what the settings themselves say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from router.errors import SpeechError
from router.speech.engines.ssml import ssml_of
from router.speech.engines.text import plain
from router.speech.engines.wav import checked_wav, wav_of_raw
from router.speech.profile import is_language
from router.speech.programs import find_program, run
from router.speech.settings import CommandVoice

# What stands for the speed; without one of them (or SSML), the program's sound is stretched.
RATE_PLACEHOLDERS: Final = frozenset({"{rate}", "{percent}", "{length_scale}"})
PLACEHOLDERS: Final = RATE_PLACEHOLDERS | {"{language}", "{voice}"}
PLACEHOLDER: Final = re.compile(r"\{[a-z_]+\}")


class Command:
    """One program.

    Raises:
        SpeechError: it is not installed.
    """

    def __init__(self, voice: CommandVoice) -> None:
        self._voice = voice
        self._program = find_program(voice.command[0], purpose="is to speak as the settings say")
        named = set(PLACEHOLDER.findall(" ".join(voice.command[1:])))
        self.native_rate = voice.ssml or bool(named & RATE_PLACEHOLDERS)
        self.takes_pauses = voice.ssml
        self._identity = _identity(voice, self._program)

    def identity(self, language: str) -> str:
        """See `Engine.identity`: a change to its arguments, or to a file that they name, makes another voice."""
        return f"{self._identity} {_checked(language)}"

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,
        rate: float,
        pause_s: float = 0.0,
        *,
        deadline_s: float | None = None,
    ) -> bytes:
        """See `Engine.synthesise`."""
        values = {
            "{rate}": f"{rate:.4g}",
            "{percent}": f"{rate * 100:.4g}",
            "{length_scale}": f"{1 / rate:.4g}",
            "{language}": _checked(language),
            "{voice}": self._voice.voice,
        }
        arguments = [
            PLACEHOLDER.sub(lambda found: values.get(found[0], found[0]), argument)
            for argument in self._voice.command[1:]
        ]
        text = ssml_of(phrases, rate, pause_s) if self._voice.ssml else plain(" ".join(phrases))
        try:
            sound = run(self._program, arguments, stdin=f"{text}\n".encode(), deadline_s=deadline_s)
            raw_rate_hz = self._voice.raw_rate_hz
            return checked_wav(sound) if raw_rate_hz is None else wav_of_raw(sound, raw_rate_hz)
        except SpeechError as error:
            whose = f"the voice {self._voice.voice}" if self._voice.voice else self._program.name
            raise SpeechError(f"{whose} could not speak {language}: {error}") from error


def _checked(language: str) -> str:
    if not is_language(language):
        raise SpeechError(f"{language[:40]!r} is not a language; write it like en, zh or en_GB")
    return language


def _identity(voice: CommandVoice, program: Path) -> str:
    """The arguments and, of those that are files (a model, the program itself), their sizes and dates."""
    parts = [*voice.command, voice.voice, str(voice.raw_rate_hz), str(voice.ssml)]
    for name in (str(program), *voice.command[1:]):
        try:
            found = Path(name).stat()
        except (OSError, ValueError):
            continue
        parts.append(f"{found.st_size} {found.st_mtime_ns}")
    return f"command {program.name} {hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"
