from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from router.errors import SpeechError
from router.speech.catalogue import load_catalogue
from router.speech.engines import EspeakNg, espeak
from router.speech.engines.espeak import VOICES, voice_for
from router.speech.programs import run
from router.speech.settings import EspeakVoice
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


def test_phonemes_in_a_text_are_spoken_not_obeyed(engine: EspeakNg) -> None:
    # To espeak-ng, [[wVn h'VndrId]] is not these letters but the words "one hundred".
    obeyed = trimmed(Sox().samples(engine.synthesise(["one hundred"], "en", 1.0)))
    assert heard_s(engine, "[[wVn h'VndrId]]") > 1.5 * seconds(obeyed)
    assert heard_s(engine, "[\x00[wVn h'VndrId]]") > 1.5 * seconds(obeyed)


def test_a_slower_rate_takes_longer(engine: EspeakNg) -> None:
    sentence = "Please stay on the line."
    assert heard_s(engine, sentence, rate=0.7) > 1.3 * heard_s(engine, sentence)


def programs_run(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The options of each run of espeak-ng from now on."""
    runs: list[Sequence[str]] = []

    def counted(program: Path, options: Sequence[str], *, stdin: bytes, deadline_s: float | None) -> bytes:
        runs.append(options)
        return run(program, options, stdin=stdin, deadline_s=deadline_s)

    monkeypatch.setattr(espeak, "run", counted)
    return runs


@pytest.mark.parametrize(
    ("language", "phrase"),
    [
        ("en", "1234.50 yuan."),
        ("en", "Are you there? Wait… No!"),
        ("zh", "一千二百三十四元五角。"),
        ("de", "Sonntag"),
        ("en", "5"),
    ],
)
@pytest.mark.parametrize("rates", [(1.0, 0.85), (1.0, 0.5), (1.0, 1.5, 0.7)])
def test_takes_of_one_run_are_what_a_run_each_gives(
    engine: EspeakNg, monkeypatch: pytest.MonkeyPatch, language: str, phrase: str, rates: tuple[float, ...]
) -> None:
    alone_s = [heard_s(engine, phrase, language, rate) for rate in rates]
    runs = programs_run(monkeypatch)
    takes_s = [seconds(trimmed(Sox().samples(take))) for take in engine.takes(phrase, language, rates)]
    assert len(runs) == 1
    # One alone may end without the 10 ms behind it.
    assert takes_s == pytest.approx(alone_s, rel=0.01, abs=0.015)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("rate", [0.85, 0.7])
def test_a_rate_is_nearly_met_at_the_first_attempt(engine: EspeakNg, language: str, rate: float) -> None:
    amounts = {"en": ("1234.50 yuan.", "7,090.16 yuan."), "zh": ("一千二百三十四元五角。", "七千零九十元一角六分。")}
    for amount in amounts[language]:
        usual_s, slow_s = (
            seconds(trimmed(Sox().samples(take))) for take in engine.takes(amount, language, (1.0, rate))
        )
        assert slow_s == pytest.approx(usual_s / rate, rel=0.025)


@pytest.mark.parametrize("phrase", ["one < two & three", "<break time='9s'/>", "&lt;", "…", "hello : : there"])
def test_what_one_run_cannot_tell_apart_is_spoken_in_several(
    engine: EspeakNg, monkeypatch: pytest.MonkeyPatch, phrase: str
) -> None:
    alone = [engine.synthesise([phrase], "en", rate) for rate in (1.0, 0.85)]
    assert engine.takes(phrase, "en", (1.0, 0.85)) == alone
    # Whatever comes between, nothing of one take is ever in another.
    monkeypatch.setattr(espeak, "_SILENT_FOR_S", 0.01)
    alone = [engine.synthesise(["Hello. Yes."], "en", rate) for rate in (1.0, 0.85)]
    assert engine.takes("Hello. Yes.", "en", (1.0, 0.85)) == alone


def test_takes_are_of_text_not_of_commands(engine: EspeakNg) -> None:
    usual_s = heard_s(engine, "90S Please stay on the line while we find someone.")
    for take in engine.takes("\x0190S Please stay on the line while we find someone.", "en", (1.0, 1.0)):
        assert seconds(trimmed(Sox().samples(take))) == pytest.approx(usual_s, rel=0.02)
    obeyed_s = heard_s(engine, "one hundred")
    for take in engine.takes("[[wVn h'VndrId]]", "en", (1.0, 1.0)):
        assert seconds(trimmed(Sox().samples(take))) > 1.5 * obeyed_s


def test_a_language_without_a_voice_has_no_identity(engine: EspeakNg) -> None:
    with pytest.raises(
        SpeechError, match=r"espeak-ng has no voice tlh-x for tlh_X: choose one that espeak-ng --voices"
    ):
        engine.identity("tlh_X")


def test_a_voice_that_was_not_told_of_once_is_asked_for_again(
    engine: EspeakNg, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> bytes:
        raise SpeechError("espeak-ng did not end within 2 s and was stopped")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(espeak, "run", busy)
        with pytest.raises(SpeechError, match="has no voice de"):
            engine.identity("de")
    assert " de " in engine.identity("de")


def test_a_voice_that_was_chosen_speaks_whatever_the_language() -> None:
    engine = EspeakNg(EspeakVoice("en-gb", 200))
    assert "en-gb 200" in engine.identity("en_US")
    assert heard_s(engine, "Please stay on the line.") < heard_s(EspeakNg(), "Please stay on the line.")


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], EspeakNg]:
    """An espeak-ng that does something else when it is to speak."""

    def made(does: str) -> EspeakNg:
        file = tmp_path / "espeak-ng"
        real = shutil.which("espeak-ng")
        file.write_text(f'#!/bin/sh\ncase "$*" in *--stdout*) {does};; *) exec {real} "$@";; esac\n')
        file.chmod(0o700)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return EspeakNg()

    return made


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("head -c 2000 /dev/zero; kill -9 $$", r"espeak-ng failed: it was killed \(SIGKILL\)"),
        ("exit 1", "espeak-ng failed: status 1"),
        ("echo garbage", "it gave no WAV but 'garbage '"),
        ("true", "it gave no sound at all"),
        ("printf RIFF0000WAVE", "its WAV has no samples: it was cut off"),
        ("sleep 60", r"espeak-ng did not end within 0\.3 s and was stopped"),
    ],
)
def test_one_that_fails_is_told_and_never_heard(stub: Callable[[str], EspeakNg], does: str, message: str) -> None:
    with pytest.raises(SpeechError, match=message):
        stub(does).synthesise(["Hello."], "en", 1.0, deadline_s=0.3)


def test_an_unknown_voice_says_what_to_do(engine: EspeakNg) -> None:
    with pytest.raises(SpeechError, match=r"the voice tlh-x could not speak tlh_X: .*install espeak-ng 1\.51"):
        engine.synthesise(["nuqneH"], "tlh_X", 1.0)


def test_a_language_without_a_chosen_voice_is_spoken_by_the_voice_of_its_name() -> None:
    assert voice_for("en_GB").name == "en-gb"
    assert voice_for("de").name == "de"


@pytest.mark.parametrize("language", ["zh", "zh_CN", "zh-TW"])
def test_all_mandarins_have_the_voice_that_reads_characters(language: str) -> None:
    assert voice_for(language).name == "cmn-latn-pinyin"


def test_the_loudest_prompts_leave_room_below_full_scale_on_a_telephone_line(engine: EspeakNg) -> None:
    for sentence in ("我们马上为您服务。", "为您转到人工客服。", "现在所有客服都在忙。"):
        samples = np.frombuffer(Sox().samples(engine.synthesise([sentence], "zh", 1.0)), np.int16)
        assert 0.4 < np.abs(samples).max() / 32768 < 0.9, sentence


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
