from __future__ import annotations

import struct

import pytest

from router.errors import SpeechError
from router.speech.engines.wav import checked_wav, wav_of_raw
from router.speech.sound import Sox, seconds
from tests.unit.speech.engines.speech_server import whole_wav
from tests.unit.speech.voice_like import voice_like

WAV = whole_wav(voice_like(0.5), 8000)
DATA_AT = 40


def told(length: int) -> bytes:
    return WAV[:DATA_AT] + struct.pack("<I", length) + WAV[DATA_AT + 4 :]


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


@pytest.mark.parametrize("wav", [WAV, told(0), told(0xFFFF_FFFF), told(0x7FFF_F000), told(100)])
def test_a_whole_wav_is_given_back_as_it_is_whatever_a_pipes_writer_wrote_as_its_length(wav: bytes) -> None:
    assert checked_wav(wav) is wav


def test_other_chunks_are_passed_over() -> None:
    extra = chunk(b"LIST", b"INFOabc")
    assert checked_wav(WAV[:12] + extra + WAV[12:36] + extra + WAV[36:])


@pytest.mark.parametrize(
    "behind", [chunk(b"LIST", b"INFOabc" * 500), chunk(b"id3 ", b"\x7f" * 9) + chunk(b"cue ", b"")]
)
def test_what_stands_behind_the_samples_is_not_played(behind: bytes) -> None:
    assert checked_wav(WAV + behind) == WAV


@pytest.mark.parametrize("at", [1, 11, 12, 20, 35, 36, 43, 44, 45, len(WAV) // 2, len(WAV) - 1])
def test_a_wav_that_was_cut_off_is_refused_wherever(at: int) -> None:
    with pytest.raises(SpeechError, match=r"cut off|no samples|no WAV"):
        checked_wav(WAV[:at])


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (b"", "it gave no sound at all"),
        (b"ID3\x04\x00mp3", "it gave no WAV but 'ID3  mp3'"),
        (b"<html>\x1b[2J" + b"x" * 200, r"it gave no WAV but '<html> \[2Jx+'$"),
        (WAV[:20] + b"\x55\x00" + WAV[22:], r"its WAV is compressed \(format 0x0055\): let it make PCM"),
        (WAV[:22] + b"\x00\x00" + WAV[24:], "its WAV says 0 channels at 8000 Hz"),
        (WAV[:24] + struct.pack("<I", 99) + WAV[28:], "its WAV says 1 channels at 99 Hz: that is no speech"),
        (WAV[:12] + WAV[36:], "its WAV does not say what its samples are"),
    ],
)
def test_what_is_no_sound_is_refused(sound: bytes, message: str) -> None:
    with pytest.raises(SpeechError, match=message):
        checked_wav(sound)


def test_bare_samples_become_a_wav_that_sox_reads() -> None:
    assert seconds(Sox().samples(wav_of_raw(voice_like(0.5), 16_000))) == pytest.approx(0.25)
