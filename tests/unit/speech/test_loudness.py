from __future__ import annotations

import math

import numpy as np
import pytest

from router.speech.loudness import CEILING, active_level_db, louder
from router.speech.sound import silence
from tests.unit.speech.voice_like import clipped_samples, loudness_db, voice_like

RATES_HZ = (8000, 16000)


def signal(samples: bytes) -> np.ndarray:
    return np.frombuffer(samples, np.int16).astype(float)


def test_pauses_do_not_count_for_loudness() -> None:
    voice = voice_like(1.0)
    with_pauses = silence(0.5) + voice + silence(2.0) + voice + silence(1.0)
    assert active_level_db(with_pauses, 8000) == pytest.approx(active_level_db(voice, 8000), abs=0.1)
    assert loudness_db(with_pauses) < active_level_db(voice, 8000) - 3
    assert active_level_db(silence(1.0), 8000) == active_level_db(b"", 8000) == -math.inf


def test_what_is_over_16_db_softer_than_speech_does_not_count_for_loudness() -> None:
    loud = voice_like(1.0)
    for below_db, counts in ((12, True), (25, False)):
        soft = np.rint(signal(loud) * 10 ** (-below_db / 20)).astype(np.int16).tobytes()
        change_db = active_level_db(loud + soft, 8000) - active_level_db(loud, 8000)
        assert (change_db < -1) == counts
        assert counts or change_db == pytest.approx(0.0, abs=0.1)


def test_a_square_wave_at_full_scale_is_at_zero() -> None:
    square = np.tile(np.repeat(np.array([32767, -32767], np.int16), 20), 100).tobytes()
    assert active_level_db(square, 8000) == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("gain_db", [1.0, 3.0, 6.0, -4.0])
def test_loudness_changes_by_what_was_asked(gain_db: float, rate_hz: int) -> None:
    voice = voice_like(2.0, peak=0.6)
    changed = louder(voice, gain_db, rate_hz)
    assert len(changed) == len(voice)
    rise = active_level_db(changed, rate_hz) - active_level_db(voice, rate_hz)
    assert rise == pytest.approx(gain_db, abs=0.5)
    assert clipped_samples(changed) == 0


@pytest.mark.parametrize("gain_db", [3.0, 12.0, 24.0])
@pytest.mark.parametrize(
    "hard",
    [
        np.full(4000, 32767),
        np.tile([32767, -32768], 2000),
        np.eye(1, 4000, 2000)[0] * -32768,
        np.eye(1, 4000, 0)[0] * 32767 + 300,
        np.random.default_rng(1).integers(-32768, 32768, 4000),
        np.array([20000]),
        np.array([-32768, 32767, 5]),
    ],
    ids=["constant", "alternating", "click", "click at the beginning", "noise", "one sample", "three samples"],
)
def test_nothing_is_ever_raised_above_the_ceiling(hard: np.ndarray, gain_db: float) -> None:
    for rate_hz in RATES_HZ:
        raised = louder(hard.astype(np.int16).tobytes(), gain_db, rate_hz)
        assert np.abs(signal(raised)).max() <= math.ceil(CEILING)
        assert signal(raised).size == hard.size


def test_what_is_raised_without_reaching_the_ceiling_is_only_raised() -> None:
    quiet = voice_like(1.0, peak=0.2)
    raised = signal(louder(quiet, 6.0, 8000))
    assert np.abs(raised - signal(quiet) * 10 ** (6 / 20)).max() <= 0.5


def test_the_limiter_takes_hold_and_lets_go_without_a_click() -> None:
    # A steady tone with one loud moment: what the limiter does to the tone is seen in its envelope.
    time_s = np.arange(8000) / 8000
    tone = np.sin(2 * np.pi * 1000 * time_s) * 8000
    tone[4000:4004] *= 3.5
    before, after = tone, signal(louder(tone.astype(np.int16).tobytes(), 3.0, 8000))
    loud = np.abs(before) > 4000
    gains = (after[loud] / before[loud])[10:-10]
    steps = np.abs(np.diff(gains)) / gains[:-1]
    assert gains.min() < 0.9 * gains.max()
    assert steps.max() < 0.12  # from one sample to the next but one; a clipper's would be 1


def test_silence_and_the_noise_of_a_recorded_silence_are_left_alone() -> None:
    noise = np.random.default_rng(1).integers(-2, 3, 8000).astype(np.int16).tobytes()
    for nothing in (b"", silence(0.5), noise):
        assert louder(nothing, 6.0, 8000) == nothing


def test_no_change_changes_nothing() -> None:
    voice = voice_like(0.5)
    assert louder(voice, 0.0, 8000) is voice
