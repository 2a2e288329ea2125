from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech.catalogue import load_catalogue
from router.speech.engines import EspeakNg
from router.speech.profile import SpokenProfile
from router.speech.sentence import Sentence
from router.speech.sound import Sox, seconds, wav_of
from router.speech.speaking import BASE_SENTENCE_PAUSE_S, speak
from tests.unit.speech.voice_like import clipped_samples, loudness_db, pitch_hz, voice_like

SHIPPED = Path(__file__).parents[3] / "config" / "prompts"
STANDARD = SpokenProfile("standard")


@pytest.fixture(scope="module")
def sox() -> Sox:
    return Sox()


@pytest.fixture(scope="module")
def espeak() -> EspeakNg:
    return EspeakNg()


class StubbornEngine:
    """Speaks in steps of a quarter of its speed only, as no calibration can even out."""

    native_rate = True
    takes_pauses = False

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], float]] = []

    def identity(self, language: str) -> str:
        return f"{type(self).__name__} {id(self)} {language}"

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,  # noqa: ARG002 - the protocol's
        rate: float,
        pause_s: float = 0.0,
        *,
        deadline_s: float | None = None,  # noqa: ARG002 - the protocol's
    ) -> bytes:
        self.asked.append((tuple(phrases), rate))
        return wav_of(self.sound(rate, pause_s))

    def sound(self, rate: float, pause_s: float) -> bytes:  # noqa: ARG002 - it takes no pauses
        return voice_like(1.0 / (max(1, round(rate * 4)) / 4))


class DraggingEngine(StubbornEngine):
    """Slows less than it is asked to."""

    def sound(self, rate: float, pause_s: float) -> bytes:  # noqa: ARG002 - it takes no pauses
        return voice_like(rate**-0.8)


class FixedEngine(StubbornEngine):
    """Has one speed."""

    native_rate = False

    def sound(self, rate: float, pause_s: float) -> bytes:  # noqa: ARG002 - it takes no pauses
        assert rate == 1.0
        return voice_like(1.0)


class MuteEngine(StubbornEngine):
    def sound(self, rate: float, pause_s: float) -> bytes:  # noqa: ARG002 - it takes no pauses
        return bytes(16000)


def sentences(*texts: str) -> list[Sentence]:
    return [Sentence((text,)) for text in texts]


@pytest.mark.parametrize("rate", [0.85, 0.7, 1.2])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_shipped_prompt_lasts_one_over_the_rate_at_the_same_pitch(
    espeak: EspeakNg, sox: Sox, language: str, rate: float
) -> None:
    catalogue = load_catalogue(SHIPPED)
    prompts = {name: catalogue.prompt(name).sentences(language) for name in ("greeting", "menu", "goodbye")}
    for name in ("greeting", "menu", "goodbye"):
        pauses = len(prompts[name]) - 1
        usual = speak(espeak, sox, prompts[name], language, STANDARD)
        slowed = speak(espeak, sox, prompts[name], language, SpokenProfile("slow", rate, sentence_pause_s=0.4))
        usual_s = seconds(usual) - pauses * BASE_SENTENCE_PAUSE_S
        slowed_s = seconds(slowed) - pauses * (BASE_SENTENCE_PAUSE_S + 0.4)
        assert slowed_s == pytest.approx(usual_s / rate, rel=0.015), name
        assert pitch_hz(slowed) == pytest.approx(pitch_hz(usual), rel=0.03), name


def test_a_pause_is_added_between_sentences_only(espeak: EspeakNg, sox: Sox) -> None:
    def spoken_s(*texts: str, pause_s: float) -> float:
        return seconds(speak(espeak, sox, sentences(*texts), "en", SpokenProfile("p", sentence_pause_s=pause_s)))

    assert spoken_s("One.", pause_s=0.0) == spoken_s("One.", pause_s=2.0)
    apart_s = spoken_s("One.", "Two.", "Three.", pause_s=0.5) - spoken_s("One.", "Two.", "Three.", pause_s=0.0)
    assert apart_s == pytest.approx(2 * 0.5)


def test_a_louder_profile_is_louder_and_not_clipped(espeak: EspeakNg, sox: Sox) -> None:
    sentence = sentences("Please stay on the line.")
    usual = speak(espeak, sox, sentence, "en", STANDARD)
    louder = speak(espeak, sox, sentence, "en", SpokenProfile("loud", gain_db=6.0))
    assert loudness_db(louder) > loudness_db(usual) + 3
    assert clipped_samples(louder) == 0


def test_what_an_engine_cannot_meet_is_stretched_away(sox: Sox) -> None:
    usual = speak(StubbornEngine(), sox, sentences("x"), "en", STANDARD)
    slowed = speak(StubbornEngine(), sox, sentences("x"), "en", SpokenProfile("slow", rate=0.85))
    assert seconds(slowed) == pytest.approx(seconds(usual) / 0.85, rel=0.005)
    assert pitch_hz(slowed) == pytest.approx(190.0, rel=0.03)


def test_an_engine_is_asked_again_before_its_speech_is_stretched(sox: Sox, monkeypatch: pytest.MonkeyPatch) -> None:
    def stretched(*_: object) -> bytes:
        raise AssertionError("native speech was stretched")

    monkeypatch.setattr(Sox, "at_rate", stretched)
    usual = speak(DraggingEngine(), sox, sentences("x"), "en", STANDARD)
    slowed = speak(DraggingEngine(), sox, sentences("x"), "en", SpokenProfile("slow", rate=0.7))
    assert seconds(slowed) == pytest.approx(seconds(usual) / 0.7, rel=0.015)


def test_a_sentence_of_which_nothing_is_heard_is_refused(sox: Sox) -> None:
    with pytest.raises(SpeechError, match=r"nothing is heard of '\.\.\.': write words"):
        speak(MuteEngine(), sox, sentences("..."), "en", STANDARD)
