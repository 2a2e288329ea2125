"""Sound as samples: conversion, stretching with the pitch kept, gain with a limiter. The only user of sox.

Everything is kept as mono 16-bit samples in the machine's own byte order at 8 kHz, what a telephone line
carries.

Stretching is sox's `tempo -s` (WSOLA, its speech setting). Compared on Asterisk's 568 English core sounds
(0.2 to 25 s, 8 kHz) on 2 cores at rate 0.85 / 0.7; pitch is the median ratio of f0, frame by frame at the
same place in the speech, over 138 of the files; HNR is the harmonics-to-noise ratio against the original:

    ==============  =============  ================  ====================  ==================
    .               568 files, s   duration error    pitch error, max %    HNR change, dB
    ==============  =============  ================  ====================  ==================
    sox tempo -s    1.7 / 1.0      under 0.1 ms      2.3 / 2.7             +1.6 / +2.8
    sox tempo       1.1 / 0.7      under 0.1 ms      2.6 / 4.8             +0.8 / -0.1
    rubberband R2   6.9 / 3.9      under 0.1 ms      1.0 / 0.7             -2.4 / -2.9
    rubberband R3   34.4 / 21.7    under 0.1 ms      1.0 / 0.7             -1.6 / -1.4
    ==============  =============  ================  ====================  ==================

All keep the duration, on sounds under a second too. sox keeps the pitch within 3 %, loses no clarity of the
voice (a phase vocoder smears it, a negative HNR change), is 4 to 20 times faster, and is needed for the rest
anyway.

Gain is sox's `gain -l`: its limiter is a curve that maps full scale to full scale, so it cannot clip,
whatever comes in. Speech gains a little less than asked for: 2.1 dB for 3 dB, 4.1 for 6, over 69 prompts and
core sounds (plain `gain 3` clipped 34 of them, a compander 15).
"""

from __future__ import annotations

import array
import io
import wave
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from router.errors import SpeechError
from router.speech.programs import find_program, run

SAMPLE_RATE_HZ: Final = 8000
SAMPLE_BYTES: Final = 2
# What a change to how sounds are made must raise, so that they are made again.
RECIPE: Final = f"1:{SAMPLE_RATE_HZ}:s16:mono"

# −54 dB of full scale: below any speech, above the noise that an engine leaves around it.
_SILENCE_BELOW: Final = 66
# Kept around what is louder, so that an unvoiced first or last consonant is whole.
_MARGIN_SAMPLES: Final = SAMPLE_RATE_HZ // 100

# How sox reads each of Asterisk's file formats, the best source first.
SOX_INPUT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        ".wav": ("-t", "wav"),
        ".wav16": ("-t", "wav"),
        ".sln16": ("-t", "s16", "-r", "16000", "-c", "1"),
        ".sln48": ("-t", "s16", "-r", "48000", "-c", "1"),
        ".sln": ("-t", "s16", "-r", "8000", "-c", "1"),
        ".ulaw": ("-t", "ul", "-r", "8000", "-c", "1"),
        ".alaw": ("-t", "al", "-r", "8000", "-c", "1"),
        ".gsm": ("-t", "gsm", "-r", "8000", "-c", "1"),
        ".WAV": ("-t", "wav"),
        ".wav49": ("-t", "wav"),
    }
)
_OUTPUT: Final = ("-t", "s16", "-r", str(SAMPLE_RATE_HZ), "-c", "1", "-")


class Sox:
    """The installed sox.

    Raises:
        SpeechError: sox is not installed.
    """

    def __init__(self) -> None:
        self._program = find_program("sox", purpose="converts and stretches sounds")
        self.version = run(self._program, ["--version"]).decode("ascii", "replace").split(":")[-1].strip()

    def samples(self, wav: bytes) -> bytes:
        """Turn a synthesised WAV of any rate, depth and channels into samples.

        Its length field is not believed: an engine that writes into a pipe does not know it.

        Raises:
            SpeechError: it is not a WAV that sox can read.
        """
        return self._converted(("-t", "wav", "--ignore-length"), wav)

    def stretched(self, sound: bytes, suffix: str, *, rate: float, gain_db: float = 0.0) -> bytes:
        """Change a recording's speed, keeping its pitch.

        Args:
            sound: A file's content.
            suffix: The file's, one of `SOX_INPUT`.
            rate: 0.85 makes it 1/0.85 as long.
            gain_db: Loudness to add.

        Returns:
            Samples.

        Raises:
            SpeechError: sox cannot read it, or there is no sound in it.
        """
        made = self._stretched(SOX_INPUT[suffix], sound, rate)
        if not made:
            raise SpeechError("there is no sound in it: restore it from where it was installed from")
        return self.louder(made, gain_db)

    def at_rate(self, samples: bytes, rate: float) -> bytes:
        """Change the speed of samples, keeping their pitch; `rate` as for `stretched`."""
        return samples if rate == 1.0 else self._stretched(SOX_INPUT[".sln"], samples, rate)

    def louder(self, samples: bytes, gain_db: float) -> bytes:
        """Change the loudness of samples, never clipping them."""
        if gain_db == 0.0:
            return samples
        limited = ("-l",) if gain_db > 0 else ()
        return self._run(*SOX_INPUT[".sln"], "-", *_OUTPUT, "gain", *limited, f"{gain_db:.2f}", stdin=samples)

    def _stretched(self, reading: Sequence[str], sound: bytes, rate: float) -> bytes:
        tempo = () if rate == 1.0 else ("tempo", "-s", f"{rate:.6f}")
        return self._converted(reading, sound, *tempo)

    def _converted(self, reading: Sequence[str], sound: bytes, *effects: str) -> bytes:
        # -G: converting from a higher sample rate may overshoot full scale, and is given room to. sox refuses it
        # together with `gain -l`, which is why gain is a run of its own.
        return self._run("-G", *reading, "-", *_OUTPUT, *effects, stdin=sound)

    def _run(self, *arguments: str, stdin: bytes) -> bytes:
        # -D: no dither, so that the same input always gives the same file.
        return run(self._program, ["-D", *arguments], stdin=stdin)


def seconds(samples: bytes) -> float:
    """How long samples sound, in seconds."""
    return len(samples) / SAMPLE_BYTES / SAMPLE_RATE_HZ


def silence(duration_s: float) -> bytes:
    """Silent samples of that many seconds."""
    return bytes(round(duration_s * SAMPLE_RATE_HZ) * SAMPLE_BYTES)


def trimmed(samples: bytes) -> bytes:
    """Cut the silence (under −54 dB of full scale) before and after speech, but for 10 ms."""
    heard = array.array("h", samples)
    first = next((i for i, value in enumerate(heard) if abs(value) >= _SILENCE_BELOW), None)
    if first is None:
        return b""
    last = next(i for i in range(len(heard) - 1, -1, -1) if abs(heard[i]) >= _SILENCE_BELOW)
    return heard[max(0, first - _MARGIN_SAMPLES) : last + 1 + _MARGIN_SAMPLES].tobytes()


def wav_of(samples: bytes) -> bytes:
    """A WAV file's content: PCM, 8 kHz, 16 bits, mono, as Asterisk's `format_wav` reads it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(SAMPLE_BYTES)
        wav.setframerate(SAMPLE_RATE_HZ)
        wav.writeframes(samples)
    return file.getvalue()
