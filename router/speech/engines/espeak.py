"""espeak-ng, the engine that needs nothing but its package.

Of its SSML (`-m`) no more is used than a long silence between two takes: `prosody rate` gives the very lengths that
`-s` gives, and a `break` inside of it is stretched with the speech (1000 ms last 1790 ms at rate 70 %), while pauses
made of silence are exact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from router.errors import SpeechError
from router.speech.engines.text import plain
from router.speech.engines.wav import checked_wav
from router.speech.formats import samples_of_wav, wav_of
from router.speech.programs import find_program, run
from router.speech.settings import USUAL_WORDS_PER_MINUTE, EspeakVoice

# 180 gives about 4.2 Mandarin syllables a second. Mandarin is spoken by `cmn-latn-pinyin`, although the text is
# in characters: the voice `cmn` of espeak-ng 1.51 reads 在, through its pinyin zai4, aloud as the English "zay
# four".
VOICES: Final[Mapping[str, EspeakVoice]] = MappingProxyType(
    {"en": EspeakVoice("en-us", USUAL_WORDS_PER_MINUTE), "zh": EspeakVoice("cmn-latn-pinyin", 180)}
)
# What espeak-ng's -s takes; outside, it silently uses its limits.
SLOWEST_WORDS_PER_MINUTE: Final = 80
FASTEST_WORDS_PER_MINUTE: Final = 450
# espeak-ng's own 100 has some Mandarin sentences reach full scale on a telephone line; so the loudest leave 2 dB.
_AMPLITUDE: Final = 80
# A rate must be asked for as this power of it. Mandarin is slowed by 3 to 7 % more than asked for at 0.85 and 0.7; so
# asked, of new amounts at 0.85 none need stretching, and at 0.7 one in six, in place of all. English needs none.
_TAKEN_AS: Final[Mapping[str, float]] = MappingProxyType({"cmn-latn-pinyin": 0.85})
_ANSWER_WITHIN_S: Final = 2.0

# Between the takes of one run: longer than any pause that espeak-ng makes by itself (under 1 s).
_APART: Final = '\n\n<break time="1500ms"/>\n\n'
_SILENT_FOR_S: Final = 1.3
_STEP_S: Final = 0.01
# What would be taken for SSML; and signs that stand alone, whose pauses differ from take to take.
_NOT_IN_TAKES: Final = re.compile(r"[<>&]|(?<!\S)[^\w\s]+(?!\S)")


class EspeakNg:
    """The installed espeak-ng.

    Args:
        voice: Speaks every language it is asked for; without it, each language has its own.

    Raises:
        SpeechError: espeak-ng is not installed.
    """

    native_rate = True
    takes_pauses = False

    def __init__(self, voice: EspeakVoice | None = None) -> None:
        self._voice = voice
        self._program = find_program("espeak-ng", purpose="speaks the prompts")
        said = run(self._program, ["--version"]).decode("utf-8", "replace")
        found = re.search(r"text-to-speech: (\S+)", said)
        self._version = found[1] if found else said.strip()[:40]
        self._there: set[str] = set()
        for usual in VOICES.values() if voice is None else (voice,):
            self._has(usual.name)

    def identity(self, language: str) -> str:
        """See `Engine.identity`; of a language that was not asked for before, espeak-ng is asked (5 ms)."""
        voice = self._voice or voice_for(language)
        if not self._has(voice.name):
            raise SpeechError(
                f"espeak-ng has no voice {voice.name} for {language}: choose one that espeak-ng --voices lists, or "
                "install espeak-ng 1.51 or later"
            )
        return f"espeak-ng {self._version} {voice.name} {voice.words_per_minute} {_AMPLITUDE}"

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,
        rate: float,
        pause_s: float = 0.0,  # noqa: ARG002 - it takes no pauses
        *,
        deadline_s: float | None = None,
    ) -> bytes:
        """See `Engine.synthesise`; met in steps of a word a minute, between 80 and 450 words a minute."""
        voice = self._voice or voice_for(language)
        return self._run(voice, language, _speed(voice, rate), plain(" ".join(phrases)), deadline_s=deadline_s)

    def takes(
        self, phrase: str, language: str, rates: Sequence[float], *, deadline_s: float | None = None
    ) -> list[bytes]:
        """Speak one phrase at several rates in a single run, as half of what a run costs is its start.

        Returns:
            A WAV for each rate, with silence after all but the last.

        Raises:
            SpeechError: as `synthesise`.
        """
        text = plain(phrase)
        if not _NOT_IN_TAKES.search(text):
            voice = self._voice or voice_for(language)
            speeds = [_speed(voice, rate) for rate in rates]
            # Ctrl-A, a number, S: its own command for the speed, which unlike SSML's changes no intonation. An empty
            # line ends a paragraph, so that each take sounds as if it was alone.
            asked = _APART.join(f"\x01{speed}S{text}" for speed in speeds)
            sound = self._run(voice, language, speeds[0], asked, "-m", deadline_s=deadline_s)
            if takes := _told_apart(sound, len(rates)):
                return takes
        return [self.synthesise((phrase,), language, rate, deadline_s=deadline_s) for rate in rates]

    def _run(
        self, voice: EspeakVoice, language: str, speed: int, text: str, *options: str, deadline_s: float | None
    ) -> bytes:
        # -b 1: UTF-8, whatever the locale. -z: no pause after the sentence; pauses are put in where they are
        # wanted.
        options = (
            "-b",
            "1",
            "-z",
            "-a",
            str(_AMPLITUDE),
            *options,
            "-v",
            voice.name,
            "-s",
            str(speed),
            "--stdin",
            "--stdout",
        )
        try:
            return checked_wav(run(self._program, options, stdin=text.encode(), deadline_s=deadline_s))
        except SpeechError as error:
            raise SpeechError(
                f"the voice {voice.name} could not speak {language}: {error}; if espeak-ng does not list it "
                "(espeak-ng --voices), install espeak-ng 1.51 or later"
            ) from error

    def _has(self, name: str) -> bool:
        if name not in self._there:
            try:
                run(self._program, ["-q", "-v", name, "--stdin"], deadline_s=_ANSWER_WITHIN_S)
            except SpeechError:
                return False  # now; the machine may have been too busy to answer in time
            self._there.add(name)
        return True


def _speed(voice: EspeakVoice, rate: float) -> int:
    """In words a minute."""
    asked = math.pow(rate, _TAKEN_AS.get(voice.name, 1.0))
    return min(max(round(voice.words_per_minute * asked), SLOWEST_WORDS_PER_MINUTE), FASTEST_WORDS_PER_MINUTE)


def _told_apart(sound: bytes, count: int) -> list[bytes]:
    """The takes of one run, cut in the middle of the silences between them; none if there are not so many."""
    if (read := samples_of_wav(sound)) is None:
        return []
    samples, rate_hz = np.frombuffer(read[0], np.int16), read[1]
    step = round(_STEP_S * rate_hz)
    steps = samples[: samples.size // step * step].reshape(-1, step)
    loud = np.flatnonzero(steps.any(axis=1))
    gaps = np.flatnonzero(np.diff(loud) >= _SILENT_FOR_S / _STEP_S)
    if len(gaps) != count - 1:
        return []
    cuts = (loud[gaps] + loud[gaps + 1]) // 2 * step
    return [wav_of(take.tobytes(), rate_hz) for take in np.split(samples, cuts)]


def voice_for(language: str) -> EspeakVoice:
    """The voice for a language: one of `VOICES`, else espeak-ng's voice of that very name.

    All Mandarins have the one of `zh`: espeak-ng has none for `zh_CN`.
    """
    written = language.lower().replace("_", "-")
    return VOICES.get("zh" if written.startswith("zh-") else written) or EspeakVoice(written)
