from __future__ import annotations

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from router.errors import SpeechError
from router.speech.formats import (
    FORMATS,
    alaw_of,
    formats_named,
    highest_rate_hz,
    samples_of_alaw,
    samples_of_ulaw,
    ulaw_of,
    wav_of,
)
from tests.unit.speech.voice_like import voice_like

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16).tobytes()
EVERY_CODE = bytes(range(256))


def by_sox(kind: str, content: bytes, *, encoding: bool) -> bytes:
    """What sox makes of it: samples of codes, or codes of samples."""
    samples, codes = (("-t", name, "-r", "8000", "-c", "1") for name in ("s16", kind))
    ways = (*samples, "-", *codes) if encoding else (*codes, "-", *samples)
    return subprocess.run(["sox", "-D", *ways, "-"], input=content, capture_output=True, check=True).stdout


@pytest.mark.parametrize(("kind", "decoded"), [("ul", samples_of_ulaw), ("al", samples_of_alaw)])
def test_every_code_of_g711_stands_for_what_sox_says(kind: str, decoded: object) -> None:
    assert callable(decoded)
    assert decoded(EVERY_CODE) == by_sox(kind, EVERY_CODE, encoding=False)


@pytest.mark.parametrize(
    ("kind", "encoded", "decoded"), [("ul", ulaw_of, samples_of_ulaw), ("al", alaw_of, samples_of_alaw)]
)
def test_every_sample_is_coded_as_sox_does_but_for_those_midway_between_two_codes(
    kind: str, encoded: object, decoded: object
) -> None:
    assert callable(encoded)
    assert callable(decoded)
    ours, theirs = encoded(EVERY_SAMPLE), by_sox(kind, EVERY_SAMPLE, encoding=True)
    differ = np.frombuffer(ours, np.uint8) != np.frombuffer(theirs, np.uint8)
    assert differ.mean() < 0.02
    samples = np.frombuffer(EVERY_SAMPLE, np.int16).astype(int)
    errors = [np.abs(np.frombuffer(decoded(codes), np.int16) - samples) for codes in (ours, theirs)]
    assert np.abs(errors[0] - errors[1])[np.abs(samples) < 31000].max() <= 512


def test_the_well_known_codes_of_g711() -> None:
    def code_of(encode: object, sample: int) -> int:
        assert callable(encode)
        return int(encode(np.array([sample], np.int16).tobytes())[0])

    assert [code_of(ulaw_of, sample) for sample in (0, 32767, -32768)] == [0xFF, 0x80, 0x00]
    assert [code_of(alaw_of, sample) for sample in (0, -1, 32767, -32768)] == [0xD5, 0x55, 0xAA, 0x2A]


@pytest.mark.parametrize(("encode", "decode"), [(ulaw_of, samples_of_ulaw), (alaw_of, samples_of_alaw)])
def test_coding_what_was_decoded_changes_nothing(encode: object, decode: object) -> None:
    assert callable(encode)
    assert callable(decode)
    once = decode(encode(EVERY_SAMPLE))
    assert decode(encode(once)) == once


def test_a_wav_is_what_asterisk_plays() -> None:
    for name, rate_hz in (("wav", 8000), ("wav16", 16000)):
        with wave.open(io.BytesIO(FORMATS[name].encode(voice_like(0.25)))) as file:
            assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (rate_hz, 2, 1)
            assert file.getnframes() == 2000
    assert FORMATS["wav"].encode(b"\0\1") == wav_of(b"\0\1")


def test_raw_formats_are_the_samples() -> None:
    voice = voice_like(0.1)
    assert FORMATS["sln"].encode(voice) == FORMATS["sln16"].encode(voice) == voice


def test_formats_are_worked_on_at_the_highest_rate_of_all() -> None:
    assert highest_rate_hz(formats_named(["ulaw", "alaw"])) == 8000
    assert highest_rate_hz(formats_named(["ulaw", "sln16"])) == 16000
    assert len(formats_named(["ulaw", "ulaw"])) == 1


@pytest.mark.parametrize(("names", "message"), [(["g729"], "'g729' is not a sound format"), ([], "no sound format")])
def test_formats_that_cannot_be_made_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(SpeechError, match=f"{message}.*: choose among ulaw, alaw, wav"):
        formats_named(names)


def test_g722_is_made_by_ffmpeg_from_sixteen_kilohertz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "ffmpeg"
    wanted = "-v error -f s16le -ar 16000 -ac 1 -i pipe:0 -f g722 pipe:1"
    stand_in.write_text(f'#!/bin/sh\n[ "$*" = "{wanted}" ] && exec /usr/bin/wc -c\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (g722,) = formats_named(["g722"])
    assert (g722.rate_hz, int(g722.encode(bytes(3200)))) == (16000, 3200)


def test_g722_is_refused_at_once_where_ffmpeg_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SpeechError, match="ffmpeg, which makes the format g722, is not installed: install the package"):
        formats_named(["ulaw", "g722"])
