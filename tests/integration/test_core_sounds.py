"""Asterisk's own recorded sounds, a 20th of them, as they are made for a slower and louder profile."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from lab.places import SOUNDS
from router.speech.formats import alaw_of, samples_of_alaw, samples_of_ulaw, ulaw_of
from router.speech.sound import Sox, seconds
from tests.unit.speech.voice_like import loudness_db, pitch_ratio


@pytest.fixture(scope="module")
def sounds() -> dict[Path, bytes]:
    heard = [path for path in sorted(SOUNDS.glob("en/**/*.wav")) if path.parent.name != "silence"]
    assert len(heard) > 500
    return {path: path.read_bytes() for path in heard[::20]}


def samples_of(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as file:
        return bytes(file.readframes(file.getnframes()))


@pytest.mark.parametrize("gain_db", [3.0, 6.0])
def test_they_rise_by_what_was_asked_through_either_codec(sounds: dict[Path, bytes], gain_db: float) -> None:
    missed = []
    for sound in map(samples_of, sounds.values()):
        raised = Sox().louder(sound, gain_db)
        for heard in (raised, samples_of_ulaw(ulaw_of(raised)), samples_of_alaw(alaw_of(raised))):
            assert np.abs(np.frombuffer(heard, np.int16).astype(int)).max() < 32000
            missed.append(loudness_db(heard) - loudness_db(sound) - gain_db)
    assert max(missed) < 0.25
    # Dense sounds cannot be raised by 6 dB; by 3 dB all can.
    assert min(missed) > (-0.5 if gain_db < 6 else -2.0)
    assert np.median(missed) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("rate", [0.85, 0.7])
def test_they_last_longer_at_the_same_pitch(sounds: dict[Path, bytes], rate: float) -> None:
    sox = Sox()
    for path, wav in sounds.items():
        before, slowed = samples_of(wav), sox.stretched(wav, ".wav", rate=rate)
        assert seconds(slowed) == pytest.approx(seconds(before) / rate, abs=0.001), path
        if seconds(before) > 0.7:
            assert pitch_ratio(before, slowed, rate) == pytest.approx(1, abs=0.02), path
