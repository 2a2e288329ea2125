from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech.checking import check_prompts
from router.speech.sound import wav_of
from tests.unit.speech.voice_like import voice_like

SHIPPED = Path(__file__).parents[3] / "config" / "prompts"


class PickyEngine:
    """Has no voice for French, and says nothing of what holds the word nothing."""

    native_rate = True
    takes_pauses = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def identity(self, language: str) -> str:
        if language == "fr":
            raise SpeechError("there is no voice for fr: install one")
        return "picky"

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,  # noqa: ARG002 - the protocol's
        rate: float,  # noqa: ARG002 - the protocol's
        pause_s: float = 0.0,  # noqa: ARG002 - the protocol's
        *,
        deadline_s: float | None = None,  # noqa: ARG002 - the protocol's
    ) -> bytes:
        self.asked.extend(phrases)
        return wav_of(bytes(8000) if "nothing" in " ".join(phrases) else voice_like(0.5))


def problems_of(folder: Path, text: str, engine: PickyEngine | None = None) -> list[str]:
    (folder / "a.yaml").write_text(text)
    return [str(problem).replace(f"{folder}/", "") for problem in check_prompts(folder, engine)]


def test_what_is_shipped_is_well_with_cantonese_too(tmp_path: Path) -> None:
    for file in (*SHIPPED.glob("*.yaml"), SHIPPED / "examples" / "yue.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    assert check_prompts(tmp_path, None) == []


def test_missing_languages_and_values_are_told_at_their_place(tmp_path: Path) -> None:
    text = """\
place:
  use: x
  variables: {position: number, wait: wait}
  text:
    en: ["{position}, {wait}"]
    zh: ["第{position}位"]
bye:
  use: x
  text: {en: [Bye.]}
one:
  use: a word of Asterisk's need not be in all
  sound: digits/1
  text: {zh: [一]}
"""
    assert problems_of(tmp_path, text) == [
        "a.yaml:6:5: error: {wait} is not said in zh; put it into a sentence",
        "a.yaml:7:1: error: `bye` is not in zh; add it under `text`",
    ]


@pytest.mark.parametrize(
    ("language", "sentence", "odd"),
    [
        ("en", "Call us ☎ now", "☎"),
        ("en", "A/B & C", "/, &"),
        ("en", "Press * or #", "*, #"),
        ("en", "您好", "您, 好"),
        ("zh", "您好😀", "😀"),
        ("zh", "请按 1 < 2", "<"),
    ],
)
def test_signs_that_voices_stumble_over_are_told(tmp_path: Path, language: str, sentence: str, odd: str) -> None:
    (problem,) = problems_of(tmp_path, f'a:\n  use: x\n  text: {{{language}: ["{sentence}"]}}\n')
    assert problem == f"a.yaml:3:15: error: voices stumble over {odd}; write words instead"


@pytest.mark.parametrize("sentence", ["It's 20°, isn't it? “Yes”: (1,5 %); 3€ – no!", "Naïve façade №5"])
def test_ordinary_marks_are_no_problem(tmp_path: Path, sentence: str) -> None:
    assert problems_of(tmp_path, f'a:\n  use: x\n  text: {{en: ["{sentence}"]}}\n') == []


def test_a_value_that_the_language_has_no_words_for_is_told(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, 'a:\n  use: x\n  variables: {seats: number}\n  text: {xx: ["{seats}"]}\n')
    assert problem.startswith("a.yaml:4:10: error: seats of the prompt a: how numbers are said in 'xx' is not known")


def test_a_missing_recording_and_one_that_cannot_be_slowed_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"x")
    text = "a:\n  use: x\n  text: {en: [A.], zh: [一]}\n  recording: {en: a.mp3, zh: a.wav}\n"
    assert problems_of(tmp_path, text) == [
        "a.yaml:4:19: error: a.mp3 is not in a format that can be made slower; save it as wav",
        "a.yaml:4:30: error: a.wav cannot be read: No such file or directory; put the recording "
        "there, or remove this line",
    ]


def test_a_recording_that_cannot_be_played_or_heard_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    (tmp_path / "b.wav").write_bytes(wav_of(bytes(8000)))
    (tmp_path / "c.wav").write_bytes(wav_of(voice_like(0.5)))
    os.mkfifo(tmp_path / "d.wav")
    recorded = "a:\n  use: x\n  text: {en: [A.], zh: [一], fr: [A.], de: [A.]}\n  recording:\n"
    recorded += "    en: a.wav\n    zh: b.wav\n    fr: c.wav\n    de: d.wav\n"
    problems = [problem for problem in problems_of(tmp_path, recorded, PickyEngine()) if "fr" not in problem]
    assert problems[0].startswith("a.yaml:5:9: error: a.wav is no recording that can be played: sox failed: ")
    assert problems[1:] == [
        "a.yaml:6:9: error: nothing is heard of b.wav; record it again",
        "a.yaml:8:9: error: d.wav cannot be read: this is no ordinary file but a pipe, a socket or a device; put a "
        "file there; put the recording there, or remove this line",
    ]


def test_each_sentence_is_heard_once_with_examples_for_its_values(tmp_path: Path) -> None:
    engine = PickyEngine()
    text = """\
a:
  use: x
  variables: {position: number}
  text:
    en: ["You are {position}.", "This says nothing."]
    fr: ["Vous êtes {position}.", "Encore."]
"""
    assert problems_of(tmp_path, text, engine) == [
        "a.yaml:5:33: error: nothing is heard of 'This says nothing.': write words that the voice for en can speak",
        "a.yaml:6:5: error: there is no voice for fr: install one",
    ]
    assert sorted(engine.asked) == ["3.", "This says nothing.", "You are"]
