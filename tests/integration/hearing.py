"""Measures what was heard: finds a prompt in a recording, its length there, and its pitch."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import parselmouth

from lab.rtp import RATE_HZ, Samples
from router.speech.formats import samples_of_ulaw

_CHUNK = RATE_HZ  # 1 s


def read_sound(directory: Path, name: str) -> Samples:
    """A sound as Asterisk plays it to a phone that speaks µ-law: as built, or else a WAV of its own; at 8 kHz."""
    built = directory / f"{name}.ulaw"
    if built.exists():
        return np.frombuffer(samples_of_ulaw(built.read_bytes()), np.int16) / 32768.0
    with wave.open(str(directory / f"{name}.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE_HZ, 1, 2)
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32768.0


@dataclass(frozen=True, slots=True)
class Found:
    """Where a piece of a prompt was found: its first sample in the recording, and how alike they are, up to 1."""

    at: int
    likeness: float


def find(piece: Samples, recording: Samples) -> Found:
    """Find a piece of sound by normalised cross-correlation."""
    size = 1 << (len(recording) + len(piece)).bit_length()
    spectrum = np.fft.rfft(recording, size) * np.conj(np.fft.rfft(piece, size))
    correlation = np.fft.irfft(spectrum, size)[: len(recording) - len(piece) + 1]
    energy = np.concatenate([[0.0], np.cumsum(recording**2)])
    local = np.sqrt(np.maximum(energy[len(piece) :] - energy[: -len(piece)], 1e-9))
    likeness = correlation / (local * np.sqrt(np.sum(piece**2)))
    at = int(np.argmax(likeness))
    return Found(at, float(likeness[at]))


def heard_part(prompt: Samples, recording: Samples) -> tuple[Samples, float]:
    """The part of the recording in which a prompt is heard, by its first and last second; and their likeness.

    The part's length is measured in the recording, not taken from the prompt.
    """
    first, last = find(prompt[:_CHUNK], recording), find(prompt[-_CHUNK:], recording)
    return recording[first.at : last.at + _CHUNK], min(first.likeness, last.likeness)


def pitch_hz(sound: Samples) -> float:
    """The median pitch, by Praat."""
    track = parselmouth.Sound(sound, sampling_frequency=RATE_HZ).to_pitch_ac(pitch_floor=60, pitch_ceiling=400)
    frequencies = track.selected_array["frequency"]
    return float(np.median(frequencies[frequencies > 0]))
