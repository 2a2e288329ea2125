"""Sounds that stand in for recordings: a buzzing voice between silences, made without any speech program."""

from __future__ import annotations

import numpy as np
import parselmouth

from router.speech.sound import SAMPLE_RATE_HZ, wav_of


def voice_like(duration_s: float, pitch_hz: float = 190.0, *, peak: float = 0.5) -> bytes:
    """Samples: ten harmonics under a syllable-like envelope, with 30 ms of silence on either side."""
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * pitch_hz * n * time_s) / n for n in range(1, 11))
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time_s)
    edge = round(0.03 * SAMPLE_RATE_HZ)
    envelope[:edge] = envelope[-edge:] = 0
    sound = buzz * envelope
    return bytes((sound / np.abs(sound).max() * peak * 32767).astype(np.int16).tobytes())


def voice_like_wav(duration_s: float, pitch_hz: float = 190.0) -> bytes:
    return wav_of(voice_like(duration_s, pitch_hz))


def pitch_hz(samples: bytes) -> float:
    """The median pitch, measured by Praat."""
    sound = parselmouth.Sound(np.frombuffer(samples, np.int16) / 32768, float(SAMPLE_RATE_HZ))
    track = sound.to_pitch_ac(time_step=0.005, pitch_floor=60, pitch_ceiling=400).selected_array["frequency"]
    return float(np.median(track[track > 0]))


def loudness_db(samples: bytes) -> float:
    heard = np.frombuffer(samples, np.int16).astype(float)
    return float(20 * np.log10(np.sqrt(np.mean(heard**2)) / 32768))


def clipped_samples(samples: bytes) -> int:
    """How many samples at the end of the scale follow another: a flat top, not a peak that just reaches it."""
    at_end = np.abs(np.frombuffer(samples, np.int16).astype(int)) >= 32767
    return int(np.sum(at_end[1:] & at_end[:-1]))


def pitch_ratio(before: bytes, after: bytes, rate: float) -> float:
    """By how much the pitch changed: the median over 10 ms steps, each at the same place in the speech."""
    was, is_ = (
        parselmouth.Sound(np.frombuffer(samples, np.int16) / 32768, float(SAMPLE_RATE_HZ)).to_pitch_ac(
            pitch_floor=75, pitch_ceiling=400
        )
        for samples in (before, after)
    )
    times_s = np.arange(0, was.duration, 0.01)
    ratios = np.array([is_.get_value_at_time(at / rate) / was.get_value_at_time(at) for at in times_s])
    return float(np.nanmedian(ratios))
