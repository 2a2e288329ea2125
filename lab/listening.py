"""Measures sound as a caller heard it: where something begins and ends, its pauses, pitch and loudness.

Nothing here looks at what was sent. What is quiet is found by amplitude: the pauses that the router puts into speech
are silence to the last bit, and stay so on the way through G.711.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import parselmouth

from lab.processes import LabError
from lab.rtp import RATE_HZ, Samples
from router.speech.formats import samples_of_ulaw
from router.speech.loudness import active_level_db

QUIET_BELOW: Final = 66 / 32768
"""−54 dB of full scale: what `router.speech.sound` takes for silence, too."""
SHORTEST_GAP_S: Final = 0.06
FULL_SCALE: Final = 32124 / 32768
"""The largest value that µ-law has (ITU-T G.711), for all samples above 31,612."""

_FLAT = 3
_EDGE_DB = 34
_CHUNK = RATE_HZ  # 1 s


@dataclass(frozen=True, slots=True)
class Span:
    """Samples from `begin` up to, but not, `end`."""

    begin: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return (self.end - self.begin) / RATE_HZ

    def of(self, sound: Samples) -> Samples:
        """What is heard there."""
        return sound[self.begin : self.end]


def gaps(sound: Samples, at_least_s: float = SHORTEST_GAP_S) -> list[Span]:
    """Where nothing is heard for that long, the silence before and after everything included."""
    loud = np.flatnonzero(np.abs(sound) >= QUIET_BELOW)
    edges = np.concatenate([[-1], loud, [len(sound)]])
    wide = np.flatnonzero(np.diff(edges) - 1 >= at_least_s * RATE_HZ)
    return [Span(int(edges[at]) + 1, int(edges[at + 1])) for at in wide]


def between(sound: Samples, longer_than_s: float) -> list[Span]:
    """What is heard between silences of more than that, without the silence around it."""
    silences = gaps(sound, longer_than_s)
    begins = [0, *(gap.end for gap in silences)]
    ends = [*(gap.begin for gap in silences), len(sound)]
    spans = (Span(begin, end) for begin, end in zip(begins, ends, strict=True) if end > begin)
    return [cut for span in spans if (cut := _without_edges(sound, span)) is not None]


def _without_edges(sound: Samples, span: Span) -> Span | None:
    loud = np.flatnonzero(np.abs(span.of(sound)) >= QUIET_BELOW)
    return Span(span.begin + int(loud[0]), span.begin + int(loud[-1]) + 1) if loud.size else None


def without_edges(sound: Samples) -> Samples:
    """A sound without what is hardly heard before and after it: over 34 dB below its own level.

    What is made louder has faint edges that would count otherwise, and seem longer than it is.
    """
    loud = np.flatnonzero(np.abs(sound) >= 10 ** ((level_db(sound) - _EDGE_DB) / 20))
    return sound[loud[0] : loud[-1] + 1] if loud.size else sound[:0]


def phrases(sound: Samples, expected_s: Sequence[float]) -> list[Span]:
    """Divide speech at its pauses.

    A pause lies where the phrase before it should be over, counted from where that phrase was heard to begin: of all
    gaps the one whose beginning is nearest to it. How long the phrase and the pause are is then measured.

    Args:
        sound: Speech, without silence around it.
        expected_s: How long each phrase should last.

    Raises:
        LabError: There are fewer gaps than phrases ask for.
    """
    found: list[Span] = []
    left, begin = gaps(sound), 0
    for number, length_s in enumerate(expected_s[:-1], start=1):
        after = [gap for gap in left if gap.begin > begin]
        if not after:
            raise LabError(f"no pause is heard after phrase {number} of {len(expected_s)}")
        due = begin + length_s * RATE_HZ
        gap = min(after, key=lambda gap: abs(gap.begin - due))
        found.append(Span(begin, gap.begin))
        begin = gap.end
    return [*found, Span(begin, len(sound))]


def clipped(sound: Samples) -> int:
    """How many samples are at full scale, three or more of them in a row.

    A peak that just fits has one there, or two; what was cut off is flat.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.abs(sound) >= FULL_SCALE, [False]])))
    runs = np.diff(edges)[::2]
    return int(runs[runs >= _FLAT].sum())


def level_db(sound: Samples) -> float:
    """The active speech level, in dB of full scale; see `router.speech.loudness`."""
    return active_level_db(_as_int16(sound).tobytes(), RATE_HZ)


def pitch_hz(sound: Samples) -> float:
    """The median pitch, by Praat."""
    track = parselmouth.Sound(sound, sampling_frequency=RATE_HZ).to_pitch_ac(pitch_floor=60, pitch_ceiling=400)
    frequencies = track.selected_array["frequency"]
    return float(np.median(frequencies[frequencies > 0]))


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


def read_sound(directory: Path, name: str) -> Samples:
    """A sound as Asterisk plays it to a phone that speaks µ-law: as built, or else a WAV of its own; at 8 kHz."""
    built = directory / f"{name}.ulaw"
    if built.exists():
        return np.frombuffer(samples_of_ulaw(built.read_bytes()), np.int16) / 32768.0
    with wave.open(str(directory / f"{name}.wav")) as sound:
        if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE_HZ, 1, 2):
            raise LabError(f"{directory / name}.wav is not 8 kHz, mono, 16 bits")
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32768.0


def write_wav(sound: Samples, file: Path) -> None:
    """Keep what was heard as a WAV."""
    with wave.open(str(file), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(_as_int16(sound).tobytes())


def _as_int16(sound: Samples) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
