from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech.catalogue import load_catalogue
from router.speech.engines import EspeakNg
from router.speech.engines.espeak import VOICES, voice_for
from router.speech.sound import Sox, seconds, trimmed

SHIPPED = Path(__file__).parents[4] / "config" / "prompts"


@pytest.fixture(scope="module")
def engine() -> EspeakNg:
    return EspeakNg()


def heard_s(engine: EspeakNg, text: str, language: str = "en", rate: float = 1.0) -> float:
    return seconds(trimmed(Sox().samples(engine.synthesise([text], language, rate))))


@pytest.mark.parametrize("text", ["-w {marker}", "--version", "-f /etc/hostname", "-v de hello"])
def test_text_that_looks_like_an_option_is_spoken_not_obeyed(engine: EspeakNg, tmp_path: Path, text: str) -> None:
    marker = tmp_path / "marker.wav"
    assert heard_s(engine, text.format(marker=marker)) > 0.5
    assert not marker.exists()


def test_control_characters_command_nothing(engine: EspeakNg) -> None:
    # To espeak-ng, Ctrl-A 450S says: from here on, at 450 words a minute.
    usual_s = heard_s(engine, "450 S Please stay on the line while we find someone.")
    assert heard_s(engine, "\x01450S Please stay on the line while we find someone.") > 0.9 * usual_s


def test_a_slower_rate_takes_longer(engine: EspeakNg) -> None:
    sentence = "Please stay on the line."
    assert heard_s(engine, sentence, rate=0.7) > 1.3 * heard_s(engine, sentence)


def test_an_unknown_voice_says_what_to_do(engine: EspeakNg) -> None:
    with pytest.raises(SpeechError, match=r"the voice tlh-x could not speak tlh_X: .*install espeak-ng 1\.51"):
        engine.synthesise(["nuqneH"], "tlh_X", 1.0)


def test_a_language_without_a_chosen_voice_is_spoken_by_the_voice_of_its_name() -> None:
    assert voice_for("en_GB").name == "en-gb"
    assert voice_for("de").name == "de"


def test_the_identity_tells_voices_apart(engine: EspeakNg) -> None:
    assert engine.identity("en") != engine.identity("zh")
    assert "espeak-ng 1." in engine.identity("en")


def test_mandarin_prompts_are_read_as_mandarin_not_as_english_letters() -> None:
    # The voice `cmn` of espeak-ng 1.51 falls back to English for most characters, which its phonemes show as (en).
    program = shutil.which("espeak-ng")
    assert program
    for prompt in load_catalogue(SHIPPED).prompts:
        # The names of values are English; the words of values have a test of their own.
        text = re.sub(r"\{\w+\}", "", "\n".join(prompt.text["zh"]))
        phonemes = subprocess.run(
            [program, "-b", "1", "-q", "-x", "-v", VOICES["zh"].name, "--stdin"],
            input=text.encode(),
            capture_output=True,
            check=True,
        ).stdout
        assert b"(en)" not in phonemes, text
