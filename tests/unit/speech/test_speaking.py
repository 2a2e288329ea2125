from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from router.errors import SpeechError
from router.speech.catalogue import load_catalogue
from router.speech.engines import EspeakNg, SpeechServer
from router.speech.profile import BASE_PHRASE_PAUSE_S, BASE_SENTENCE_PAUSE_S, SpokenProfile
from router.speech.sentence import Sentence
from router.speech.settings import HttpVoice
from router.speech.sound import Sox, seconds, silence, trimmed, wav_of
from router.speech.speaking import join, speak, speak_sentence
from tests.unit.speech.engines.speech_server import speech_server
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


class PausingEngine(StubbornEngine):
    """Takes SSML: each phrase lasts a second at rate 1, and pauses last as told."""

    takes_pauses = True

    def sound(self, rate: float, pause_s: float) -> bytes:
        phrases, _ = self.asked[-1]
        return silence(pause_s).join(trimmed(voice_like(1.0 / rate)) for _ in phrases)


class DeafToPausesEngine(PausingEngine):
    def sound(self, rate: float, pause_s: float) -> bytes:  # noqa: ARG002 - it is deaf to them
        return voice_like(1.0 / rate)


class HummingEngine(StubbornEngine):
    """Something is wrong with it: it never comes to an end."""

    def sound(self, rate: float, pause_s: float) -> bytes:  # noqa: ARG002 - it takes no pauses
        return voice_like(60.0)


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


def pauses_s(samples: bytes, at_least_s: float = 0.06) -> list[float]:
    """The silences within, in order, to the millisecond."""
    loud = np.flatnonzero(np.abs(np.frombuffer(samples, np.int16)) >= 66)
    gaps = np.diff(loud) / 8000
    return [round(float(gap), 3) for gap in gaps if gap >= at_least_s]


@pytest.mark.parametrize("rate", [1.0, 0.7])
def test_pauses_lie_between_phrases_and_longer_ones_between_sentences(sox: Sox, rate: float) -> None:
    said = [Sentence(("a", "b", "c")), Sentence(("d",)), Sentence(("e", "f"))]
    profile = SpokenProfile("p", rate, sentence_pause_s=0.7, value_pause_s=0.5)
    spoken = speak(StubbornEngine(), sox, said, "en", profile)
    phrase_s, sentence_s = BASE_PHRASE_PAUSE_S + 0.5, BASE_SENTENCE_PAUSE_S + 0.7
    # Around each phrase 10 ms of its own silence are kept, which are stretched with it.
    expected = [phrase_s, phrase_s, sentence_s, sentence_s, phrase_s]
    assert pauses_s(spoken) == pytest.approx(expected, abs=0.04)


def test_what_is_essential_is_said_again_at_the_end_to_those_who_want_it(sox: Sox) -> None:
    said = [Sentence(("a", "b"), essential=True), Sentence(("c",))]
    once = speak(StubbornEngine(), sox, said, "en", SpokenProfile("p"))
    engine = StubbornEngine()
    twice = speak(engine, sox, said, "en", SpokenProfile("p", repeat_essential=True))
    essential = speak(StubbornEngine(), sox, said[:1], "en", SpokenProfile("p"))
    assert twice == once + silence(BASE_SENTENCE_PAUSE_S) + essential
    assert [phrases for phrases, _ in engine.asked] == [("a",), ("b",), ("c",)]


def test_nothing_is_said_again_where_nothing_is_essential(sox: Sox) -> None:
    said = sentences("a", "b")
    assert speak(StubbornEngine(), sox, said, "en", SpokenProfile("p", repeat_essential=True)) == speak(
        StubbornEngine(), sox, said, "en", STANDARD
    )


def test_one_that_has_one_speed_is_asked_for_that_and_stretched(sox: Sox) -> None:
    engine = FixedEngine()
    usual = speak(FixedEngine(), sox, sentences("x"), "en", STANDARD)
    slowed = speak(engine, sox, sentences("x"), "en", SpokenProfile("slow", rate=0.7))
    assert engine.asked == [(("x",), 1.0)]
    assert seconds(slowed) == pytest.approx(seconds(usual) / 0.7, rel=0.005)


@pytest.mark.parametrize("rate", [0.85, 0.7])
def test_one_that_takes_pauses_is_given_whole_sentences_and_its_pauses_are_not_slowed(sox: Sox, rate: float) -> None:
    engine = PausingEngine()
    profile = SpokenProfile("slow", rate, value_pause_s=0.5)
    spoken = speak(engine, sox, [Sentence(("a", "b")), Sentence(("c",))], "en", profile)
    assert {phrases for phrases, _ in engine.asked} == {("a", "b"), ("c",)}
    assert pauses_s(spoken) == pytest.approx([0.6, BASE_SENTENCE_PAUSE_S], abs=0.03)
    assert seconds(spoken) == pytest.approx(3 * 0.96 / rate + 0.6 + BASE_SENTENCE_PAUSE_S, rel=0.02)


def test_one_that_is_deaf_to_pauses_is_found_out(sox: Sox) -> None:
    said = [Sentence(("a", "b", "c"))]
    with pytest.raises(SpeechError, match="the pauses in 'a b c' are missing: this engine does not take SSML as told"):
        speak(DeafToPausesEngine(), sox, said, "en", SpokenProfile("slow", 0.7, value_pause_s=0.5))


def test_sound_that_is_far_too_long_for_its_text_is_refused(sox: Sox) -> None:
    with pytest.raises(SpeechError, match="60 s of sound for 'Hello' are no speech"):
        speak(HummingEngine(), sox, sentences("Hello"), "en", STANDARD)


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_it_is_spoken_at_the_sample_rate_that_is_wanted(espeak: EspeakNg, sox: Sox, rate_hz: int) -> None:
    said = [Sentence(("You are", "number three."))]
    narrow_s = seconds(speak(espeak, sox, said, "en", SpokenProfile("slow", 0.7)))
    spoken = speak(espeak, sox, said, "en", SpokenProfile("slow", 0.7, gain_db=3.0), rate_hz=rate_hz)
    assert seconds(spoken, rate_hz) == pytest.approx(narrow_s, rel=0.03)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("rate", [0.85, 0.7])
def test_quickly_spoken_it_lasts_as_long(espeak: EspeakNg, sox: Sox, language: str, rate: float) -> None:
    said = [Sentence({"en": ("You are", "number 13."), "zh": ("您前面还有", "十三位。")}[language])]
    usual = speak(espeak, sox, said, language, STANDARD, quick=True)
    slowed = speak(espeak, sox, said, language, SpokenProfile("slow", rate), quick=True)
    words_s = seconds(usual) - BASE_PHRASE_PAUSE_S
    assert seconds(slowed) - BASE_PHRASE_PAUSE_S == pytest.approx(words_s / rate, rel=0.015)


def test_quickly_espeak_is_run_once_a_phrase(espeak: EspeakNg, sox: Sox, monkeypatch: pytest.MonkeyPatch) -> None:
    alone: list[object] = []
    monkeypatch.setattr(EspeakNg, "synthesise", lambda *asked, **_: alone.append(asked))
    said = [Sentence(("You are", "number 13."))]
    assert speak(espeak, sox, said, "en", SpokenProfile("slow", 0.85), quick=True)
    assert not alone


def test_quickly_an_engine_is_asked_twice_a_phrase_and_no_more(sox: Sox) -> None:
    engine = StubbornEngine()
    speak(engine, sox, sentences("a", "b", "a"), "en", SpokenProfile("slow", 0.7), quick=True)
    assert engine.asked == [(("a",), 1.0), (("a",), 0.7), (("b",), 1.0), (("b",), 0.7)]


def test_a_single_sentence_is_that_of_the_whole_but_for_the_gain(espeak: EspeakNg, sox: Sox) -> None:
    said = sentences("Please stay.", "We are coming.")
    profile = SpokenProfile("slow", 0.7, sentence_pause_s=0.4, gain_db=3.0)
    single = {each: speak_sentence(espeak, sox, each, "en", profile) for each in said}
    assert join(sox, said, single, profile) == speak(espeak, sox, said, "en", profile)


def test_a_server_is_asked_for_several_phrases_side_by_side(sox: Sox) -> None:
    with speech_server() as server:
        meeting = threading.Barrier(4, timeout=10)
        server.before_answering = lambda: None if meeting.broken else meeting.wait()
        engine = SpeechServer(HttpVoice(server.url, server.model, "alice"))
        said = [Sentence(("You are", "number three."))]
        slow = speak(engine, sox, said, "en", SpokenProfile("slow", 0.7), quick=True, deadline_s=10.0)
        asked = sorted((asked.body["input"], asked.body["speed"]) for asked in server.requests)
        assert asked == [("You are", 0.7), ("You are", 1.0), ("number three.", 0.7), ("number three.", 1.0)]
        server.before_answering = lambda: None
        usual = speak(engine, sox, said, "en", STANDARD)
    words_s = seconds(usual) - BASE_PHRASE_PAUSE_S
    assert seconds(slow) - BASE_PHRASE_PAUSE_S == pytest.approx(words_s / 0.7, rel=0.015)


@pytest.mark.parametrize("quick", [False, True])
def test_a_server_that_hangs_is_waited_for_no_longer_than_the_deadline(sox: Sox, *, quick: bool) -> None:
    with speech_server() as server:
        server.always = "hang"
        engine = SpeechServer(HttpVoice(server.url, server.model, "alice"))
        begun = time.monotonic()
        said = [Sentence(tuple("abcdefgh"))]
        with pytest.raises(SpeechError, match=r"did not answer within 0\.\d+ s"):
            speak(engine, sox, said, "en", SpokenProfile("slow", 0.7), quick=quick, deadline_s=0.5)
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("program", ["espeak-ng", "sox"])
def test_a_program_that_hangs_is_killed_at_the_deadline(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pid = shutil.which(program), tmp_path / "pid"
    stub = tmp_path / program
    stub.write_text(f'#!/bin/sh\ncase "$*" in *--version) exec {real} "$@";; *) echo $$ >{pid}; exec sleep 60;; esac\n')
    stub.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    # The one speaks, the other stretches what has one speed only.
    engine, sox = EspeakNg() if program == "espeak-ng" else FixedEngine(), Sox()
    begun = time.monotonic()
    with pytest.raises(SpeechError, match=f"{program} did not end within .* s and was stopped"):
        speak(engine, sox, sentences("Hello."), "en", SpokenProfile("slow", 0.7), deadline_s=1.0)
    assert time.monotonic() - begun < 5
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_without_time_nothing_is_begun(sox: Sox) -> None:
    engine = StubbornEngine()
    with pytest.raises(SpeechError, match="there was no time left to speak"):
        speak(engine, sox, sentences("Hello."), "en", STANDARD, deadline_s=0.0)
    assert engine.asked == []
