"""Which tool stretches speech best: programs and packages side by side on recorded and on synthesised speech.

Each is given sounds as 16-bit WAV at 8 and at 16 kHz, slows them, and brings what it made back to normal speed. It is
run as a build would run it: a process a sound, one after the other. What is not installed is named and left out;
nothing is installed here.

Measured on each sound, against the sound it was made from:

- the length, against the length asked for;
- the pitch: Praat's f0, frame by frame at the same place in the speech, the median of the ratios;
- the clarity of the voice: Praat's harmonics-to-noise ratio, and by how much it changed;
- the round trip: ESTOI (Jensen & Taal 2016, doi 10.1109/TASLP.2016.2585878) of the sound slowed and hurried again,
  against the sound itself, moved to where the two are most alike;
- the spectrum: the distance in dB between the mel spectra (26 bands) of each frame and of the nearest of the frames
  within 25 ms of the same place in what was made. Also without a round trip.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import parselmouth
from pystoi import stoi
from rich.console import Console

from bench.plan import Plan
from bench.stretching_tools import Stretcher, installed, through
from lab.places import CACHE, SOUNDS
from router.speech.sound import Sox

Signal: TypeAlias = npt.NDArray[np.float64]

# Asterisk's core sounds at 16 kHz: where Debian's asterisk-core-sounds-en-g722 was unpacked, if it was.
WIDEBAND: Final = CACHE / "wideband"
# Below it there is too little voice for a pitch, and ESTOI needs 30 frames.
_SHORTEST_S: Final = 0.7
_STEP_S: Final = 0.01
_MELS: Final = 26
_LARGEST_DELAY_S: Final = 0.05


@dataclass(slots=True)
class Stretched:
    """How well one stretcher did with one set of sounds at one rate."""

    name: str
    sounds: str
    rate_hz: int
    rate: float
    took_s: float = 0.0
    length_errors_ms: list[float] = field(default_factory=list)
    pitch_errors: list[float] = field(default_factory=list)
    clarity_changes_db: list[float] = field(default_factory=list)
    round_trips: list[float] = field(default_factory=list)
    distances_db: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Comparison:
    """All that was measured, and what was missing."""

    found: list[Stretched]
    missing: list[str]
    sounds: dict[str, int]


def measure_stretchers(plan: Plan, console: Console) -> Comparison:
    """Let every stretcher that is installed stretch every set of sounds."""
    stretchers, missing = installed()
    for name in missing:
        console.print(f"    not installed, left out: {name}")
    comparison = Comparison([], missing, {})
    for what, rate_hz, sounds in _sets(plan.stretched_sounds):
        comparison.sounds[f"{what}, {rate_hz // 1000} kHz"] = len(sounds)
        for rate in plan.stretched_rates:
            for stretcher in stretchers:
                console.print(f"    {what} at {rate_hz} Hz, rate {rate}: {stretcher.name}")
                comparison.found.append(_measure(stretcher, what, rate_hz, rate, sounds))
    return comparison


def _measure(stretcher: Stretcher, what: str, rate_hz: int, rate: float, sounds: list[bytes]) -> Stretched:
    found = Stretched(stretcher.name, what, rate_hz, rate)
    started = time.perf_counter()
    made = [stretcher.stretch(sound, rate_hz, rate) for sound in sounds]
    found.took_s = time.perf_counter() - started
    for sound, slowed in zip(sounds, made, strict=True):
        before, after = _signal(sound), _signal(slowed)
        found.length_errors_ms.append((after.size - before.size / rate) / rate_hz * 1000)
        if before.size < _SHORTEST_S * rate_hz:
            continue
        back = _signal(stretcher.stretch(slowed, rate_hz, 1 / rate))
        back = _aligned(back, before, rate_hz)
        found.round_trips.append(float(stoi(before, back, rate_hz, extended=True)))
        if (ratio := _pitch_ratio(before, after, rate_hz, rate)) is not None:
            found.pitch_errors.append(abs(ratio - 1))
        found.clarity_changes_db.append(_clarity_db(after, rate_hz) - _clarity_db(before, rate_hz))
        found.distances_db.append(_distance_db(before, after, rate_hz, rate))
    return found


def _sets(most: int) -> Iterator[tuple[str, int, list[bytes]]]:
    """Sets of sounds: what they are, their sample rate, their samples."""
    recorded = sorted((SOUNDS / "en").glob("**/*.wav"))
    recorded = [path for path in recorded if path.parent.name not in {"silence", "elder"}]
    sox = Sox()
    yield "recorded", 8000, [sox.samples(path.read_bytes()) for path in _spread(recorded, most)]
    wide = sorted(path for path in WIDEBAND.glob("**/*.g722") if path.parent.name != "silence")
    if wide and shutil.which("ffmpeg"):
        yield "recorded", 16000, [_decoded(path) for path in _spread(wide, most)]
    for rate_hz in (8000, 16000):
        yield "synthesised", rate_hz, [sox.samples(_spoken(text), rate_hz) for text in _TEXTS]


def _spread(paths: list[Path], most: int) -> list[Path]:
    return paths[:: max(1, len(paths) // most)]


_TEXTS: Final = (
    "Welcome, and thank you for calling.",
    "You will be connected to a person right away.",
    "Please stay on the line; all our people are speaking at the moment.",
    "You are number three, and will wait about four minutes.",
    "For questions about your bill, press one.",
    "To hear this again, more slowly, press seven.",
    "I did not understand. Which city are you calling from?",
    "Your appointment is on Thursday, the nineteenth of November, at half past ten.",
)


def _spoken(text: str) -> bytes:
    return subprocess.run(
        ["espeak-ng", "-v", "en-us", "-s", "160", "--stdin", "--stdout"],
        input=text.encode(),
        capture_output=True,
        check=True,
    ).stdout


def _decoded(path: Path) -> bytes:
    return through(["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "s16le", "-ac", "1", "-"], b"")


def _signal(samples: bytes) -> Signal:
    return np.frombuffer(samples, np.int16).astype(np.float64)


def _aligned(back: Signal, before: Signal, rate_hz: int) -> Signal:
    """`back`, moved as a whole to where it is most like `before`, and as long: a constant delay is no fault."""
    reach = round(_LARGEST_DELAY_S * rate_hz)
    back = np.pad(back, (reach, reach + max(0, before.size - back.size)))[: before.size + 2 * reach]
    spectrum = np.fft.rfft(back, 2 * back.size) * np.conj(np.fft.rfft(before, 2 * back.size))
    at = int(np.argmax(np.fft.irfft(spectrum)[: 2 * reach + 1]))
    return back[at : at + before.size]


def _pitch_ratio(before: Signal, after: Signal, rate_hz: int, rate: float) -> float | None:
    """The median ratio of f0 at the same places; None where too little is voiced."""
    was, is_ = (_sound(signal, rate_hz).to_pitch_ac(pitch_floor=75, pitch_ceiling=400) for signal in (before, after))
    times = np.arange(0, before.size / rate_hz, _STEP_S)
    ratios = np.array([is_.get_value_at_time(at / rate) / was.get_value_at_time(at) for at in times])
    ratios = ratios[np.isfinite(ratios)]
    return float(np.median(ratios)) if ratios.size >= 20 else None


def _clarity_db(signal: Signal, rate_hz: int) -> float:
    values = _sound(signal, rate_hz).to_harmonicity_cc(minimum_pitch=75).values
    voiced = values[values > -100]
    return float(voiced.mean()) if voiced.size else 0.0


def _sound(signal: Signal, rate_hz: int) -> parselmouth.Sound:
    return parselmouth.Sound(signal / 32768, float(rate_hz))


def _distance_db(before: Signal, after: Signal, rate_hz: int, rate: float) -> float:
    """The mean distance in dB between the mel spectra of the speech, each frame with the nearest near its place."""
    was, is_ = _mels(before, rate_hz), _mels(after, rate_hz)
    loud = was.mean(axis=1) > was.mean(axis=1).max() - 40
    places = np.minimum(np.round(np.arange(len(was)) / rate).astype(int), len(is_) - 1)
    reach = [np.clip(places + shift, 0, len(is_) - 1) for shift in range(-5, 6)]
    distances = np.min([np.sqrt(np.mean((was - is_[at]) ** 2, axis=1)) for at in reach], axis=0)
    return float(distances[loud].mean())


def _mels(signal: Signal, rate_hz: int) -> Signal:
    """Mel spectra in dB of frames of 25 ms, every 5 ms."""
    size, step = round(0.025 * rate_hz), round(0.005 * rate_hz)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(signal, size), size)[::step] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    edges = 700 * (np.exp(np.linspace(np.log1p(80 / 700), np.log1p(rate_hz / 2 / 700), _MELS + 2)) - 1)
    bins = np.arange(power.shape[1]) * rate_hz / 512
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(10 * np.log10(power @ np.maximum(0, np.minimum(rise, fall)).T + 1.0))
