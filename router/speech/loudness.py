"""How loud speech is, and making it louder without clipping it.

Loudness is the active speech level: the mean power while somebody speaks, pauses left out. As in ITU-T P.56
(method B), a moment counts as speech when it is less than 15.9 dB below that level; here over frames of 20 ms in
place of the standard's envelope with its hangover of 200 ms, which matters for long pauses only.

The limiter looks ahead. For each sample it knows the gain at which it would just reach the ceiling; the lowest of
these within 2.5 ms on either side, smoothed over the same time by a window that sums to one, is never above that
gain, so that nothing can pass the ceiling, and changes so smoothly that nothing clicks. What the limiter takes from
the level is made up for by raising the gain before it, until the level has risen by what was asked. Of 2.5, 5, 10
and 20 ms, the shortest kept most loudness and did the least harm (over every second core sound raised by 6 dB: mean
ESTOI 0.993, 0.991, 0.987, 0.981 against the same sound raised without a limiter).

That is possible for as long as there is something below the peaks to raise. Material that is dense already (a
tone, a recording that was squeezed to full scale before) has not: it is raised as far as a drive of
`MOST_MAKE_UP_DB` above what was asked brings it. In 561 English core sounds and 55 shipped prompts, what was speech
before rose by 3 dB within 0.02 dB, and by 6 dB in all but four, where it rose by 4.5 to 5.5 dB; no sample came above
−1 dB, nor near full scale after µ-law. Measured afresh, the level of a limited sound is a little lower, since softer
moments, which were raised too, come to count as speech: 3 dB were then reached within 0.53 dB (by P.56 itself within
0.36 dB), 6 dB within 1 dB in all but 20 sounds (by P.56 all but 3). (sox's `gain -l` gave 2.1 dB for 3 and 4.1 for 6,
and its plain `gain` of 3 dB clipped half of 69 files.)
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

_Signal: TypeAlias = npt.NDArray[np.float32]

# −1 dB of full scale: room for what a codec on the way makes of it (µ-law's and A-law's largest steps are 0.3 dB).
CEILING: Final = 32767 * 10 ** (-1 / 20)
# How much harder than asked the limiter may be driven. Beyond it speech sounds squeezed and its pauses noisy.
MOST_MAKE_UP_DB: Final = 12.0

_FRAME_S: Final = 0.02
# ITU-T P.56: the margin between the active level and what still counts as speech.
_MARGIN: Final = 10 ** (-15.9 / 10)
_LOOK_AHEAD_S: Final = 0.0025
# Nearer to what was asked than anybody could measure, and reached within a dozen steps of halving.
_NEAR_DB: Final = 0.02
_MOST_STEPS: Final = 16
# Below −60 dB of full scale nobody speaks: it is a recorded silence, whose noise is better left alone.
_NOBODY_SPEAKS: Final = (32768 * 10 ** (-60 / 20)) ** 2


def active_level_db(samples: bytes, rate_hz: int) -> float:
    """The active speech level of samples, in dB of full scale (a full-scale square wave is 0); −inf for silence."""
    powers = _frame_powers(_signal(samples), rate_hz)
    active = _active(powers)
    if not active.any():
        return -math.inf
    return _db(float(powers[active].mean()) / 32768**2)


def louder(samples: bytes, gain_db: float, rate_hz: int) -> bytes:
    """Change the loudness of samples, never clipping them.

    Args:
        samples: Mono, 16 bits.
        gain_db: By how much the active speech level is to rise; below zero, to fall.
        rate_hz: Their sample rate.

    Returns:
        As many samples. When raised, none is above −1 dB of full scale, and the level of what was speech has risen by
        `gain_db` within 0.1 dB; less where the material is too dense for that (see the module's docstring). What is at
        full scale all the time comes out 1 dB softer.
    """
    if gain_db == 0.0:
        return samples
    signal = _signal(samples)
    if gain_db < 0.0:
        return _samples(signal * _factor(gain_db))
    powers = _frame_powers(signal, rate_hz)
    active = _active(powers)
    if not active.any() or powers[active].mean() < _NOBODY_SPEAKS:
        return samples
    wanted = float(powers[active].mean()) * _factor(2 * gain_db)

    def short_by_db(limited: _Signal) -> float:
        return _db(wanted / float(_frame_powers(limited, rate_hz)[active].mean()))

    low, high = gain_db, gain_db + MOST_MAKE_UP_DB
    drive = low
    limited = _limited(signal * _factor(drive), rate_hz)
    for _ in range(_MOST_STEPS):
        short = short_by_db(limited)
        if abs(short) <= _NEAR_DB:
            break
        low, high = (drive, high) if short > 0 else (low, drive)
        # What is still short is added, as far as that stays between what is too little and what is too much.
        step = drive + 1.5 * short
        drive = step if low < step < high else (low + high) / 2
        limited = _limited(signal * _factor(drive), rate_hz)
    return _samples(limited)


def _limited(signal: _Signal, rate_hz: int) -> _Signal:
    """`signal` below the ceiling, by a gain that changes smoothly."""
    peak = np.abs(signal)
    if not signal.size or peak.max() <= CEILING:
        return signal
    reach = round(_LOOK_AHEAD_S * rate_hz)
    gain = np.minimum(1.0, CEILING / np.maximum(peak, 1.0))
    window = np.hanning(2 * reach + 3)[1:-1].astype(np.float32)
    lowest = _lowest_around(np.pad(gain, 2 * reach, mode="edge"), reach)
    smooth = np.convolve(lowest, window / window.sum(), mode="valid")
    return signal * smooth[: signal.size]


def _lowest_around(values: _Signal, reach: int) -> _Signal:
    """The lowest value within `reach` places of each that has so many on both sides."""
    width, lowest = 1, values
    wanted = 2 * reach + 1
    while width < wanted:
        step = min(width, wanted - width)
        lowest = np.minimum(lowest[:-step], lowest[step:])
        width += step
    return lowest


def _active(powers: _Signal) -> npt.NDArray[np.bool_]:
    """Which frames are speech: those above the margin below their own mean."""
    active = powers > 0
    while active.any():
        narrowed = powers > powers[active].mean() * _MARGIN
        if narrowed.sum() >= active.sum():
            break
        active = narrowed
    return active


def _frame_powers(signal: _Signal, rate_hz: int) -> _Signal:
    """The mean power of each 20 ms; of all of it where it is shorter."""
    size = min(round(_FRAME_S * rate_hz), max(1, signal.size))
    whole = signal.size // size * size
    return np.asarray(np.mean(signal[:whole].reshape(-1, size) ** 2, axis=1))


def _signal(samples: bytes) -> _Signal:
    return np.frombuffer(samples, np.int16).astype(np.float32)


def _samples(signal: _Signal) -> bytes:
    return np.rint(signal).astype(np.int16).tobytes()


def _factor(gain_db: float) -> float:
    return float(10 ** (gain_db / 20))


def _db(ratio: float) -> float:
    return 10 * math.log10(ratio)
