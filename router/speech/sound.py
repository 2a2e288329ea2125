"""Sound as samples: conversion, and stretching with the pitch kept. The only user of sox.

Samples are mono, 16 bits, in the machine's own byte order, at 8 kHz unless a rate is given: what a telephone line
carries. `loudness` makes them louder, `formats` makes files of them.

Stretching is sox's `tempo` (WSOLA) with a segment of 20 ms, a search of 12 ms and an overlap of 8 ms, in place of its
preset for speech (35, 16.4 and 14 ms): the pitch strays half as far, and slowed speech is closer to what it was made
from. docs/stretching.md compares it with other tools.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import soxr

from router.errors import SpeechError
from router.speech.formats import NARROW_HZ, SAMPLE_BYTES, WIDE_HZ, samples_of_wav, wav_of
from router.speech.loudness import louder
from router.speech.programs import find_program, run

__all__ = [
    "RECIPE",
    "SAMPLE_BYTES",
    "SAMPLE_RATE_HZ",
    "SOX_INPUT",
    "STUDIO_INPUT",
    "TEMPO",
    "Sox",
    "seconds",
    "silence",
    "trimmed",
    "wav_of",
]

SAMPLE_RATE_HZ: Final = NARROW_HZ
# Segment, search and overlap in ms. The search must reach over most of a period of the voice, 13 ms for a low one.
TEMPO: Final = ("20", "12", "8")
# What a change to how sounds are made must change, so that they are made again.
RECIPE: Final = f"5 {' '.join(TEMPO)}"

_FULL_SCALE: Final = 32767
# −54 dB of full scale: below any speech, above the noise that an engine leaves around it.
_SILENCE_BELOW: Final = 66
# Kept around what is louder, so that an unvoiced first or last consonant is whole.
_MARGIN_S: Final = 0.01

# How sox reads each of Asterisk's file formats, the best source first; in the order of their sample rates.
_WIDE_INPUT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        ".wav16": ("-t", "wav"),
        ".sln16": ("-t", "s16", "-r", "16000", "-c", "1"),
        ".sln48": ("-t", "s16", "-r", "48000", "-c", "1"),
        ".sln44": ("-t", "s16", "-r", "44100", "-c", "1"),
        ".sln32": ("-t", "s16", "-r", "32000", "-c", "1"),
        ".sln24": ("-t", "s16", "-r", "24000", "-c", "1"),
        ".sln96": ("-t", "s16", "-r", "96000", "-c", "1"),
        ".sln192": ("-t", "s16", "-r", "192000", "-c", "1"),
    }
)
_NARROW_INPUT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        ".wav": ("-t", "wav"),
        ".sln": ("-t", "s16", "-r", "8000", "-c", "1"),
        ".slin": ("-t", "s16", "-r", "8000", "-c", "1"),
        ".sln12": ("-t", "s16", "-r", "12000", "-c", "1"),
        **dict.fromkeys((".ulaw", ".pcm", ".ul", ".mu", ".ulw"), ("-t", "ul", "-r", "8000", "-c", "1")),
        **dict.fromkeys((".alaw", ".al", ".alw"), ("-t", "al", "-r", "8000", "-c", "1")),
        ".au": ("-t", "au"),
        ".gsm": ("-t", "gsm", "-r", "8000", "-c", "1"),
        ".WAV": ("-t", "wav"),
        ".wav49": ("-t", "wav"),
    }
)
SOX_INPUT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({**_NARROW_INPUT, **_WIDE_INPUT})
# What ffmpeg reads for sox, where it is installed: at 16 kHz.
_G722: Final = ".g722"
_WIDE: Final = (*_WIDE_INPUT, _G722)
# What a studio delivers beside these.
STUDIO_INPUT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {**SOX_INPUT, ".flac": ("-t", "flac"), ".aiff": ("-t", "aiff"), ".aif": ("-t", "aiff")}
)


class Sox:
    """The installed sox.

    Raises:
        SpeechError: sox is not installed.
    """

    def __init__(self) -> None:
        self._program = find_program("sox", purpose="converts and stretches sounds")
        self.version = run(self._program, ["--version"]).decode("ascii", "replace").split(":")[-1].strip()
        self._ffmpeg = Path(found).absolute() if (found := shutil.which("ffmpeg")) else None

    def readable(self, rate_hz: int = SAMPLE_RATE_HZ) -> tuple[str, ...]:
        """The suffixes of Asterisk's file formats that can be read here, the best for that sample rate first."""
        found = (*_WIDE, *_NARROW_INPUT) if rate_hz > SAMPLE_RATE_HZ else (*_NARROW_INPUT, *_WIDE)
        return found if self._ffmpeg else tuple(suffix for suffix in found if suffix != _G722)

    def samples(self, wav: bytes, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
        """Turn a synthesised WAV of any rate, depth and channels into samples.

        Its length field is not believed: an engine that writes into a pipe does not know it.

        Raises:
            SpeechError: it is not a WAV that sox can read.
        """
        plain = samples_of_wav(wav)
        if plain is None:
            return self._converted(("-t", "wav", "--ignore-length"), wav, rate_hz)
        samples, from_hz = plain
        return self.resampled(samples, from_hz, rate_hz)

    def stretched(
        self, sound: bytes, suffix: str, *, rate: float, gain_db: float = 0.0, rate_hz: int = SAMPLE_RATE_HZ
    ) -> bytes:
        """Change a recording's speed, keeping its pitch.

        Args:
            sound: A file's content.
            suffix: The file's, one of `readable` or `STUDIO_INPUT`.
            rate: 0.85 makes it 1/0.85 as long.
            gain_db: Loudness to add.
            rate_hz: The sample rate of what is returned.

        Returns:
            Samples.

        Raises:
            SpeechError: sox cannot read it, or there is no sound in it.
        """
        reading = STUDIO_INPUT.get(suffix) or _raw(WIDE_HZ)
        made = self._converted(reading, self._decoded(sound, suffix), rate_hz, *_tempo(rate))
        if not made:
            raise SpeechError("there is no sound in it: restore it from where it was installed from")
        return self.louder(made, gain_db, rate_hz)

    def at_rate(self, samples: bytes, rate: float, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
        """Change the speed of samples, keeping their pitch; `rate` as for `stretched`."""
        return samples if rate == 1.0 else self._converted(_raw(rate_hz), samples, rate_hz, *_tempo(rate))

    def resampled(self, samples: bytes, from_hz: int, to_hz: int) -> bytes:
        """Bring samples to another sample rate.

        As sox's `rate` does it, which is the same library: a run of sox takes some 4 ms, this a tenth of that.
        """
        if from_hz == to_hz or not samples:
            return samples
        signal = soxr.resample(np.frombuffer(samples, np.int16).astype(np.float32), from_hz, to_hz)
        # What has overshot full scale is made to fit, as by sox's -G.
        overshoot = max(1.0, float(np.abs(signal).max(initial=0.0)) / _FULL_SCALE)
        return bytes(np.rint(signal / overshoot).astype(np.int16))

    def louder(self, samples: bytes, gain_db: float, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
        """Change the loudness of samples, never clipping them; see `loudness.louder`."""
        return louder(samples, gain_db, rate_hz)

    def _decoded(self, sound: bytes, suffix: str) -> bytes:
        """A recording as sox can read it."""
        if suffix != _G722:
            return sound
        if self._ffmpeg is None:
            raise SpeechError("g722 is read by ffmpeg, which is not installed: install the package ffmpeg")
        reading = ("-v", "error", "-f", "g722", "-i", "pipe:0")
        return run(self._ffmpeg, [*reading, "-f", "s16le", "-ar", str(WIDE_HZ), "-ac", "1", "pipe:1"], stdin=sound)

    def _converted(self, reading: Sequence[str], sound: bytes, rate_hz: int, *effects: str) -> bytes:
        # -D: no dither, so that the same input always gives the same file. -G: converting from a higher sample rate
        # may overshoot full scale, and is given room to.
        return run(self._program, ["-D", "-G", *reading, "-", *_raw(rate_hz), "-", *effects], stdin=sound)


def seconds(samples: bytes, rate_hz: int = SAMPLE_RATE_HZ) -> float:
    """How long samples sound, in seconds."""
    return len(samples) / SAMPLE_BYTES / rate_hz


def silence(duration_s: float, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """Silent samples of that many seconds."""
    return bytes(round(duration_s * rate_hz) * SAMPLE_BYTES)


def trimmed(samples: bytes, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """Cut the silence (under −54 dB of full scale) before and after speech, but for 10 ms."""
    heard = np.frombuffer(samples, np.int16)
    loud = (heard >= _SILENCE_BELOW) | (heard <= -_SILENCE_BELOW)
    if not loud.any():
        return b""
    margin = round(_MARGIN_S * rate_hz)
    first, behind = int(loud.argmax()), loud.size - int(loud[::-1].argmax())
    return heard[max(0, first - margin) : behind + margin].tobytes()


def _raw(rate_hz: int) -> tuple[str, ...]:
    return ("-t", "s16", "-r", str(rate_hz), "-c", "1")


def _tempo(rate: float) -> tuple[str, ...]:
    return () if rate == 1.0 else ("tempo", f"{rate:.6f}", *TEMPO)
