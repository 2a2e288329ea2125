from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech.engines import EspeakNg, SpeechServer, Voices, open_voices
from router.speech.engines.command import Command
from router.speech.settings import CommandVoice, EspeakVoice, HttpVoice, SpeechSettings, VoiceSettings


class Named:
    """An engine that says which it is."""

    def __init__(self, name: str, *, native_rate: bool = True, takes_pauses: bool = False) -> None:
        self.name = name
        self.native_rate = native_rate
        self.takes_pauses = takes_pauses

    def identity(self, language: str) -> str:
        return f"{self.name} {language}"

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,
        rate: float,
        pause_s: float = 0.0,
        *,
        deadline_s: float | None = None,
    ) -> bytes:
        return f"{self.name} {phrases} {language} {rate} {pause_s} {deadline_s}".encode()


def settings(**voices: VoiceSettings) -> SpeechSettings:
    return SpeechSettings(Path("prompts"), voices=voices)


def test_each_language_has_its_engine_and_countries_share_their_languages() -> None:
    voices = Voices({"en": Named("a"), "zh": Named("b"), "zh_TW": Named("c"), "pt-BR": Named("e")}, Named("d"))
    languages = ("en", "en_GB", "zh", "zh_CN", "zh-CN", "zh_TW", "zh_TW_slow", "pt_BR", "pt-BR", "de")
    assert [voices.identity(language).split()[0] for language in languages] == list("aabbbcceed")


def test_what_is_asked_of_it_reaches_the_engine_whole() -> None:
    voices = Voices({"zh": Named("b")})
    assert voices.synthesise(["x", "y"], "zh_CN", 0.7, 0.25, deadline_s=1.5) == b"b ['x', 'y'] zh_CN 0.7 0.25 1.5"


def test_a_language_that_nobody_speaks_is_told() -> None:
    with pytest.raises(SpeechError, match=r"there is no voice for de \(only for en\): add one under speech: voices:"):
        Voices({"en": Named("a")}).identity("de")


def test_it_can_do_what_all_of_them_can() -> None:
    able, unable = Named("a", takes_pauses=True), Named("b", native_rate=False)
    assert (Voices({"en": able}).native_rate, Voices({"en": able}).takes_pauses) == (True, True)
    both = Voices({"en": able}, unable)
    assert (both.native_rate, both.takes_pauses) == (False, False)


def test_espeak_speaks_all_languages_where_the_settings_name_none() -> None:
    for voices in (open_voices(), open_voices(settings())):
        assert voices.identity("zh_CN").startswith("espeak-ng 1.")
        assert "cmn-latn-pinyin 180" in voices.identity("zh_CN")
        assert "en-gb 160" in voices.identity("en_GB")


def test_the_settings_choose_the_engines() -> None:
    chosen: dict[str, VoiceSettings] = {
        "en": EspeakVoice("en-gb", 140),
        "zh": CommandVoice(("espeak-ng",)),
        "de": HttpVoice("http://127.0.0.1:1/v1/audio/speech", "m", "v"),
    }
    voices = open_voices(settings(**chosen))
    assert "en-gb 140" in voices.identity("en_US")
    assert isinstance(voices.of("en"), EspeakNg)
    assert isinstance(voices.of("zh"), Command)
    assert isinstance(voices.of("de"), SpeechServer)
    assert "espeak-ng" in voices.identity("fr")


def test_espeak_may_be_missing_where_others_speak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    voices = open_voices(settings(de=HttpVoice("http://127.0.0.1:1/v1/audio/speech", "m", "v")))
    assert voices.identity("de")
    with pytest.raises(SpeechError, match="there is no voice for fr"):
        voices.of("fr")
    with pytest.raises(SpeechError, match="espeak-ng, which speaks the prompts, is not installed"):
        open_voices()
