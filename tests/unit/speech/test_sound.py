from __future__ import annotations

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from router.errors import SpeechError
from router.speech.engines import EspeakNg
from router.speech.sound import STUDIO_INPUT, Sox, seconds, silence, trimmed, wav_of
from tests.unit.speech.voice_like import clipped_samples, loudness_db, pitch_hz, voice_like, voice_like_wav

_FFMPEG = "-v error -f g722 -i pipe:0 -f s16le -ar 16000 -ac 1 pipe:1"


@pytest.fixture(scope="module")
def sox() -> Sox:
    return Sox()


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.85, 1.3])
@pytest.mark.parametrize("duration_s", [0.2, 0.9, 4.0])
def test_stretching_takes_one_over_the_rate_and_keeps_the_pitch(sox: Sox, duration_s: float, rate: float) -> None:
    stretched = sox.stretched(voice_like_wav(duration_s), ".wav", rate=rate)
    assert seconds(stretched) == pytest.approx(duration_s / rate, abs=0.001)
    if duration_s > 0.5:
        assert pitch_hz(stretched) == pytest.approx(190.0, rel=0.03)


def test_stretching_keeps_the_end_of_the_sound(sox: Sox) -> None:
    voice = voice_like(0.5)
    for rate in (0.85, 0.7):
        stretched = sox.stretched(wav_of(trimmed(voice)), ".wav", rate=rate)
        # 10 ms of silence after the voice, stretched, and the 15 ms by which WSOLA may move what it copies.
        ends_silent_s = seconds(stretched) - seconds(trimmed(stretched)) + 2 * 0.01
        assert ends_silent_s < 2 * 0.01 / rate + 0.015


@pytest.mark.parametrize("rate", [0.7, 0.85])
def test_stretching_at_sixteen_kilohertz_takes_as_long(sox: Sox, rate: float) -> None:
    wide = sox.stretched(voice_like_wav(2.0), ".wav", rate=rate, rate_hz=16000)
    assert seconds(wide, 16000) == pytest.approx(2.0 / rate, abs=0.001)
    again = sox.at_rate(wide, 1 / rate, 16000)
    assert seconds(again, 16000) == pytest.approx(2.0, abs=0.001)
    narrow = sox.resampled(wide, 16000, 8000)
    assert seconds(narrow) == pytest.approx(2.0 / rate, abs=0.001)
    assert pitch_hz(narrow) == pytest.approx(190.0, rel=0.02)


def test_a_recording_is_stretched_and_raised_in_one(sox: Sox) -> None:
    plain = sox.stretched(voice_like_wav(1.0), ".wav", rate=0.85)
    raised = sox.stretched(voice_like_wav(1.0), ".wav", rate=0.85, gain_db=3.0)
    assert loudness_db(raised) - loudness_db(plain) == pytest.approx(3.0, abs=0.5)
    assert clipped_samples(raised) == 0


def test_the_same_sound_gives_the_same_bytes(sox: Sox) -> None:
    wav = voice_like_wav(1.0)
    assert sox.stretched(wav, ".wav", rate=0.85, gain_db=3) == sox.stretched(wav, ".wav", rate=0.85, gain_db=3)


def test_no_change_runs_no_program_and_changes_nothing(sox: Sox) -> None:
    voice = voice_like(0.5)
    assert sox.louder(voice, 0.0) is voice
    assert sox.at_rate(voice, 1.0) is voice


@pytest.mark.parametrize("rate_hz", [8000, 16000])
@pytest.mark.parametrize(("language", "text"), [("en", "Please stay on the line."), ("zh", "一千二百三十四元五角。")])
def test_a_wav_is_read_without_a_program_as_sox_reads_it(
    sox: Sox, monkeypatch: pytest.MonkeyPatch, language: str, text: str, rate_hz: int
) -> None:
    # The Chinese overshoots full scale when it is converted, which sox's -G makes fit.
    wav = EspeakNg().synthesise((text,), language, 1.0)
    piped = wav[:40] + bytes(4) + wav[44:]
    by_sox = np.frombuffer(sox._converted(("-t", "wav", "--ignore-length"), wav, rate_hz), np.int16)
    monkeypatch.setattr("router.speech.sound.run", lambda *_, **__: pytest.fail("a program was run"))
    for one in (wav, piped):
        read = np.frombuffer(sox.samples(one, rate_hz), np.int16).astype(int)
        assert read.size == by_sox.size
        assert np.abs(read - by_sox).max() <= 6


def test_a_wav_of_another_kind_is_read_by_sox(sox: Sox) -> None:
    voice = voice_like_wav(1.0)
    for options in (["-b", "8"], ["-b", "24"], ["-c", "2"], ["-e", "mu-law"], ["-e", "floating-point", "-b", "32"]):
        made = ["sox", "-D", "-t", "wav", "-", *options, "-t", "wav", "-"]
        other = subprocess.run(made, input=voice, capture_output=True, check=True).stdout
        assert seconds(sox.samples(other)) == pytest.approx(1.0, abs=0.001), options


@pytest.mark.parametrize("suffix", sorted(STUDIO_INPUT))
def test_every_format_of_asterisks_is_read_at_its_own_speed(sox: Sox, suffix: str) -> None:
    reading = STUDIO_INPUT[suffix]
    rate = ["-r", "16000"] if suffix == ".wav16" else []
    if suffix == ".au":
        rate = ["-e", "mu-law", "-b", "8"]
    encoding = ["-e", "gsm-full-rate"] if suffix in {".WAV", ".wav49"} else []
    source = subprocess.run(
        ["sox", "-D", "-t", "wav", "-", *reading, *rate, *encoding, "-"],
        input=voice_like_wav(1.0),
        capture_output=True,
        check=True,
    ).stdout
    stretched = sox.stretched(source, suffix, rate=0.85, gain_db=3.0)
    assert seconds(stretched) == pytest.approx(1 / 0.85, rel=0.05)
    assert pitch_hz(stretched) == pytest.approx(190.0, rel=0.03)


def test_g722_is_read_through_ffmpeg_at_sixteen_kilohertz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = tmp_path / "decoded"
    decoded.write_bytes(Sox().samples(voice_like_wav(2.0), 16000))
    stand_in = tmp_path / "ffmpeg"
    stand_in.write_text(f'#!/bin/sh\n[ "$*" = "{_FFMPEG}" ] || exit 9\n/bin/cat >/dev/null\n/bin/cat {decoded}\n')
    stand_in.chmod(0o755)
    (tmp_path / "sox").symlink_to("/usr/bin/sox")
    monkeypatch.setenv("PATH", str(tmp_path))
    sox = Sox()
    assert sox.readable(16000).index(".g722") < sox.readable(16000).index(".wav")
    assert sox.readable(8000).index(".wav") < sox.readable(8000).index(".g722")
    for rate_hz in (8000, 16000):
        slowed = sox.stretched(b"coded", ".g722", rate=0.85, rate_hz=rate_hz)
        assert seconds(slowed, rate_hz) == pytest.approx(2.0 / 0.85, abs=0.001)


def test_without_ffmpeg_g722_is_not_said_to_be_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sox").symlink_to("/usr/bin/sox")
    monkeypatch.setenv("PATH", str(tmp_path))
    sox = Sox()
    assert ".g722" not in sox.readable(16000)
    with pytest.raises(SpeechError, match="install the package ffmpeg"):
        sox.stretched(b"coded", ".g722", rate=0.85)


def test_a_loud_wideband_recording_is_not_clipped_by_conversion(sox: Sox) -> None:
    time_s = np.arange(22050) / 22050
    square = (np.sign(np.sin(2 * np.pi * 220 * time_s)) * 32000).astype(np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 22050, 0, "NONE", ""))
        wav.writeframes(square.tobytes())
    assert clipped_samples(sox.samples(file.getvalue())) == 0


@pytest.mark.parametrize("content", [b"", b"not a sound", b"RIFF\x00\x00\x00\x00WAVE"])
def test_what_is_no_sound_is_refused_in_a_sentence(sox: Sox, content: bytes) -> None:
    with pytest.raises(SpeechError, match=r"sox failed|no sound"):
        sox.stretched(content, ".wav", rate=0.85)


def test_an_empty_recording_is_refused(sox: Sox) -> None:
    with pytest.raises(SpeechError, match="there is no sound in it"):
        sox.stretched(wav_of(b""), ".wav", rate=0.85)


def test_silence_around_speech_is_cut_but_for_ten_milliseconds() -> None:
    loud = np.full(800, 5000, np.int16).tobytes()
    assert seconds(trimmed(silence(0.5) + loud + silence(0.7))) == pytest.approx(0.1 + 2 * 0.01)
    assert trimmed(loud) == loud
    assert trimmed(silence(1.0)) == b""
    assert trimmed(b"") == b""


def test_the_file_is_what_asterisk_plays() -> None:
    with wave.open(io.BytesIO(wav_of(voice_like(0.25)))) as wav:
        assert (wav.getframerate(), wav.getsampwidth(), wav.getnchannels()) == (8000, 2, 1)
        assert wav.getnframes() == 2000
