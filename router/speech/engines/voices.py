"""Which engine speaks which language, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from router.errors import SpeechError
from router.speech.engines.command import Command
from router.speech.engines.engine import Engine
from router.speech.engines.espeak import EspeakNg
from router.speech.engines.http import SpeechServer
from router.speech.settings import CommandVoice, EspeakVoice, HttpVoice, SpeechSettings, VoiceSettings


class Voices:
    """One engine a language; itself an engine for all of them.

    Args:
        engines: By language. `zh` speaks `zh_CN` too, where that has none of its own.
        otherwise: Speaks all other languages; None where they cannot be spoken.
    """

    def __init__(self, engines: Mapping[str, Engine], otherwise: Engine | None = None) -> None:
        self._engines = {language.replace("-", "_"): engine for language, engine in engines.items()}
        self._otherwise = otherwise

    @property
    def native_rate(self) -> bool:
        """Whether all of them speak at another rate by themselves; ask `of(language)` for one."""
        return all(engine.native_rate for engine in self._all())

    @property
    def takes_pauses(self) -> bool:
        """Whether all of them take pauses; ask `of(language)` for one."""
        return all(engine.takes_pauses for engine in self._all())

    def of(self, language: str) -> Engine:
        """Who speaks a language.

        Raises:
            SpeechError: nobody does.
        """
        chosen = self._engines.get(nearest(language, self._engines), self._otherwise)
        if chosen is None:
            known = ", ".join(sorted(self._engines)) or "none"
            raise SpeechError(f"there is no voice for {language} (only for {known}): add one under speech: voices:")
        return chosen

    def identity(self, language: str) -> str:
        """See `Engine.identity`."""
        return self.of(language).identity(language)

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
        return self.of(language).synthesise(phrases, language, rate, pause_s, deadline_s=deadline_s)

    def _all(self) -> list[Engine]:
        return [*self._engines.values(), *([self._otherwise] if self._otherwise else [])]


def nearest(language: str, known: Mapping[str, object]) -> str:
    """`language`, or what is left of it when `_CN` and the like are taken off one by one until it is known."""
    written = language.replace("-", "_")
    while written not in known and "_" in written:
        written = written.rpartition("_")[0]
    return written if written in known else language


def open_voices(settings: SpeechSettings | None = None) -> Voices:
    """The engines that the settings name; espeak-ng for every language that they give no voice.

    Raises:
        SpeechError: a program is not installed, a file of certificates cannot be read. espeak-ng may be missing
            where other voices are named; a language left to it is then told when it is asked for.
    """
    chosen = settings.voices if settings else {}
    engines = {language: _opened(voice) for language, voice in chosen.items()}
    otherwise: Engine | None
    try:
        otherwise = EspeakNg()
    except SpeechError:
        if not engines:
            raise
        otherwise = None
    return Voices(engines, otherwise)


def _opened(voice: VoiceSettings) -> Engine:
    match voice:
        case EspeakVoice():
            return EspeakNg(voice)
        case CommandVoice():
            return Command(voice)
        case HttpVoice():
            return SpeechServer(voice)
        case _:
            assert_never(voice)
