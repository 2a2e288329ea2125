"""The file formats that prompts are kept in, each the one that some call is played from without transcoding.

Asterisk takes, of a sound's files, the one that is cheapest to bring to the call's codec: a caller whose phone
speaks µ-law hears `x.ulaw` byte by byte, one in wideband `x.g722`. µ-law and A-law are ITU-T G.711's, written as its
two tables; the raw formats have no header, so that their suffix alone says what they are.

Everything is made at the highest sample rate that is wanted and brought down once (`highest_rate_hz`).
"""

from __future__ import annotations

import functools
import io
import struct
import wave
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from router.errors import SpeechError
from router.speech.programs import find_program, run

SAMPLE_BYTES: Final = 2
NARROW_HZ: Final = 8000
WIDE_HZ: Final = 16000
# A telephone line's two formats, of which a call uses one: what Asterisk plays without transcoding.
DEFAULT_FORMATS: Final = ("ulaw", "alaw")
# `WAVE_FORMAT_PCM` of mmreg.h; a chunk has a name and a size.
_PCM: Final = 0x0001
_CHUNK_HEADER_BYTES: Final = 8
_FFMPEG: Final = "ffmpeg"
_FOR_G722: Final = "makes the format g722"

# G.711: a magnitude lies in one of eight segments, each twice as long as the one below, of sixteen steps each.
_SEGMENTS, _STEPS = 8, 16
# Added before µ-law's logarithm; and its and A-law's magnitudes are kept as 14 and 13 bits at the top of 16.
_ULAW_BIAS: Final = 33
_ALAW_EVEN_BITS: Final = 0x55


@dataclass(frozen=True, slots=True)
class Format:
    """One of Asterisk's file formats.

    Attributes:
        suffix: Of its files, with the dot.
        rate_hz: Its sample rate.
        encode: Turns mono 16-bit samples of that rate into a file's content.
        program: What has to be installed for it; empty for nothing.
    """

    suffix: str
    rate_hz: int
    encode: Callable[[bytes], bytes]
    program: str = ""


def wav_of(samples: bytes, rate_hz: int = NARROW_HZ) -> bytes:
    """A WAV file's content: PCM, 16 bits, mono, as Asterisk's `format_wav` reads it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(SAMPLE_BYTES)
        wav.setframerate(rate_hz)
        wav.writeframes(samples)
    return file.getvalue()


def samples_of_wav(wav: bytes) -> tuple[bytes, int] | None:
    """The samples of a WAV of mono 16-bit PCM, and their rate in Hz; None for any other.

    Everything behind its header is taken, whatever length that tells: who writes into a pipe does not know it.
    """
    at, rate_hz = 12, 0
    while at + _CHUNK_HEADER_BYTES <= len(wav):
        name, size = struct.unpack_from("<4sI", wav, at)
        at += _CHUNK_HEADER_BYTES
        if name == b"fmt " and at + 16 <= len(wav):
            tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", wav, at)
            if (tag, channels, bits) != (_PCM, 1, 8 * SAMPLE_BYTES):
                return None
        elif name == b"data" and rate_hz:
            whole = (len(wav) - at) // SAMPLE_BYTES
            return np.frombuffer(wav, "<i2", whole, at).astype(np.int16).tobytes(), rate_hz
        at += size + size % 2
    return None


def ulaw_of(samples: bytes) -> bytes:
    """Samples as G.711 µ-law, a byte each."""
    return _ulaw_bytes()[np.frombuffer(samples, np.uint16)].tobytes()


def alaw_of(samples: bytes) -> bytes:
    """Samples as G.711 A-law, a byte each."""
    return _alaw_bytes()[np.frombuffer(samples, np.uint16)].tobytes()


def samples_of_ulaw(encoded: bytes) -> bytes:
    """G.711 µ-law as samples."""
    return _ulaw_values()[np.frombuffer(encoded, np.uint8)].tobytes()


def samples_of_alaw(encoded: bytes) -> bytes:
    """G.711 A-law as samples."""
    return _alaw_values()[np.frombuffer(encoded, np.uint8)].tobytes()


def g722_of(samples: bytes) -> bytes:
    """Samples of 16 kHz as G.722, four bits each.

    Raises:
        SpeechError: ffmpeg is not installed, or failed.
    """
    raw = ("-f", "s16le", "-ar", str(WIDE_HZ), "-ac", "1", "-i", "pipe:0")
    return run(find_program(_FFMPEG, purpose=_FOR_G722), ["-v", "error", *raw, "-f", "g722", "pipe:1"], stdin=samples)


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "ulaw": Format(".ulaw", NARROW_HZ, ulaw_of),
        "alaw": Format(".alaw", NARROW_HZ, alaw_of),
        "wav": Format(".wav", NARROW_HZ, wav_of),
        "wav16": Format(".wav16", WIDE_HZ, functools.partial(wav_of, rate_hz=WIDE_HZ)),
        "sln": Format(".sln", NARROW_HZ, bytes),
        "sln16": Format(".sln16", WIDE_HZ, bytes),
        "g722": Format(".g722", WIDE_HZ, g722_of, _FFMPEG),
    }
)


def formats_named(names: Iterable[str]) -> tuple[Format, ...]:
    """The formats of these names, each once.

    Raises:
        SpeechError: there is no such format, none is named, or what makes one is not installed.
    """
    chosen = tuple(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown or not chosen:
        what = f"{unknown[0]!r} is not a sound format that can be made" if unknown else "no sound format is named"
        raise SpeechError(f"{what}: choose among {', '.join(FORMATS)}")
    formats = tuple(FORMATS[name] for name in chosen)
    if any(format_.program for format_ in formats):
        find_program(_FFMPEG, purpose=_FOR_G722)
    return formats


def highest_rate_hz(formats: Iterable[Format]) -> int:
    """The sample rate to work at so that all of these can be made."""
    return max(format_.rate_hz for format_ in formats)


@functools.cache
def _ulaw_values() -> npt.NDArray[np.int16]:
    """What each of the 256 codes stands for: bits inverted, a sign, a segment, a step."""
    code = ~np.arange(256, dtype=np.int64)
    segment, step = code >> 4 & 7, code & 15
    magnitude = ((2 * step + _ULAW_BIAS << segment) - _ULAW_BIAS) * 4
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@functools.cache
def _ulaw_bytes() -> npt.NDArray[np.uint8]:
    """The code of each of the 65,536 samples, taken as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)
    biased = np.minimum((np.abs(sample) >> 2) + _ULAW_BIAS, 2 * _STEPS * 2**_SEGMENTS - 1)
    segment = np.floor(np.log2(biased)).astype(np.int64) - 5
    code = segment << 4 | biased >> segment + 1 & 15
    return np.asarray(~(code | np.where(sample < 0, 0x80, 0)) & 0xFF, np.uint8)


@functools.cache
def _alaw_values() -> npt.NDArray[np.int16]:
    """What each of the 256 codes stands for: even bits inverted, a sign, a segment, a step."""
    code = np.arange(256, dtype=np.int64) ^ _ALAW_EVEN_BITS
    segment, step = code >> 4 & 7, code & 15
    magnitude = np.where(segment == 0, 2 * step + 1, 2 * step + 33 << np.maximum(segment - 1, 0)) * 8
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


@functools.cache
def _alaw_bytes() -> npt.NDArray[np.uint8]:
    """The code of each of the 65,536 samples, taken as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)
    # Twelve bits of magnitude; a negative one is the complement, so that there are as many of both signs.
    magnitude = np.where(sample < 0, ~sample, sample) >> 3
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) - 4, 0)
    code = segment << 4 | magnitude >> np.maximum(segment, 1) & 15
    return np.asarray((code | np.where(sample < 0, 0, 0x80)) ^ _ALAW_EVEN_BITS, np.uint8)
