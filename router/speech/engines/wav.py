"""Is this sound, and all of it?

A server in trouble answers with a page of HTML, a program that is killed leaves half a file. Neither must reach a
caller's ear, so what an engine gives is looked at before it is believed.
"""

from __future__ import annotations

import io
import struct
import wave
from typing import Final

from router.errors import SpeechError

_SAMPLE_BYTES: Final = 2
LOWEST_RATE_HZ: Final = 4000
HIGHEST_RATE_HZ: Final = 192_000
# A program that writes into a pipe cannot come back to fill in how long it was, and writes one of these or 0.
_UNKNOWN_LENGTH_FROM: Final = 0x7FFF_0000
# `WAVE_FORMAT_…` of mmreg.h that are plain samples: PCM, IEEE float, A-law, µ-law, and the extensible header.
_FORMATS: Final = frozenset({0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE})
_MOST_CHANNELS: Final = 8
_SHOWN_BYTES: Final = 60


def checked_wav(sound: bytes) -> bytes:
    """Give back a WAV that is one, and whole, without what may stand behind its samples.

    Raises:
        SpeechError: it is something else, has no samples, or ends before the length that it tells.
    """
    if not sound:
        raise SpeechError("it gave no sound at all")
    if len(sound) < 12 or sound[:4] != b"RIFF" or sound[8:12] != b"WAVE":  # noqa: PLR2004 - RIFF, a size, WAVE
        raise SpeechError(f"it gave no WAV but {_shown(sound)}")
    at, has_format = 12, False
    while at + 8 <= len(sound):
        name, size = sound[at : at + 4], struct.unpack_from("<I", sound, at + 4)[0]
        at += 8
        if name == b"fmt ":
            _check_format(sound[at : at + size])
            has_format = True
        elif name == b"data":
            if not has_format:
                raise SpeechError("its WAV does not say what its samples are")
            _check_length(size, len(sound) - at)
            return sound[: at + size] if _are_chunks(sound, at + size + size % 2) else sound
        at += size + size % 2
    raise SpeechError("its WAV has no samples: it was cut off")


def wav_of_raw(samples: bytes, rate_hz: int) -> bytes:
    """Bare mono 16-bit samples, the lower byte first, as a WAV.

    Raises:
        SpeechError: they cannot be that.
    """
    if not samples:
        raise SpeechError("it gave no sound at all")
    if len(samples) % _SAMPLE_BYTES:
        raise SpeechError("it gave half a 16-bit sample: it was cut off, or writes something else")
    if samples[:4] == b"RIFF":
        raise SpeechError("it gave a WAV and not bare samples: say so in the settings")
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(_SAMPLE_BYTES)
        wav.setframerate(rate_hz)
        wav.writeframes(samples)
    return file.getvalue()


def _check_format(chunk: bytes) -> None:
    if len(chunk) < 16:  # noqa: PLR2004 - the fields that all formats have
        raise SpeechError("its WAV was cut off")
    tag, channels, rate_hz = struct.unpack_from("<HHI", chunk)
    if tag not in _FORMATS:
        raise SpeechError(f"its WAV is compressed (format {tag:#06x}): let it make PCM")
    if not 1 <= channels <= _MOST_CHANNELS or not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise SpeechError(f"its WAV says {channels} channels at {rate_hz} Hz: that is no speech")


def _check_length(told: int, there: int) -> None:
    if there == 0:
        raise SpeechError("its WAV has no samples")
    if 0 < told < _UNKNOWN_LENGTH_FROM and there < told:
        raise SpeechError(f"its WAV was cut off: {there} of {told} bytes are there")


def _are_chunks(sound: bytes, at: int) -> bool:
    """Whether what stands from `at` to the end is titles and the like, which whoever reads on would play as a crack."""
    has_some = False
    while at + 8 <= len(sound):
        name, size = sound[at : at + 4], struct.unpack_from("<I", sound, at + 4)[0]
        if not (name.isascii() and name.decode().isprintable()):
            return False
        at += 8 + size + size % 2
        has_some = True
    return has_some and at >= len(sound)


def _shown(sound: bytes) -> str:
    """How it begins, fit for a message."""
    text = sound[:_SHOWN_BYTES].decode("utf-8", "replace")
    return repr("".join(c if c.isprintable() else " " for c in text))
