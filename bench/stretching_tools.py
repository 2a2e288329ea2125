"""The tools that can stretch sound, as far as they are installed: each turns 16-bit samples into longer ones.

Each is run as a build would run it: a process a sound; but for Python packages, which run in this one.
"""

from __future__ import annotations

import importlib
import io
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.speech.sound import TEMPO, wav_of

# Where files do not touch a disk.
_MEMORY: Final = "/dev/shm"  # noqa: S108 - a directory of its own is made in it


@dataclass(frozen=True, slots=True)
class Stretcher:
    """One way of stretching: turns samples of a rate in Hz into samples 1/rate as long."""

    name: str
    stretch: Callable[[bytes, int, float], bytes]


def installed() -> tuple[list[Stretcher], list[str]]:
    """What there is to compare, and what is missing for the rest."""
    stretchers: list[Stretcher] = []
    missing: list[str] = []

    def programs(program: str, ways: dict[str, Callable[[bytes, int, float], bytes]]) -> None:
        if shutil.which(program) is None:
            missing.append(f"the program {program}")
        else:
            stretchers.extend(Stretcher(name, stretch) for name, stretch in ways.items())

    programs(
        "sox",
        {f"SoX tempo, {'/'.join(TEMPO)} ms": _sox(after=TEMPO), "SoX tempo -s": _sox("-s"), "SoX tempo": _sox()},
    )
    programs(
        "rubberband",
        {
            "Rubber Band R2": _rubberband("--fast"),
            "Rubber Band R2, short window": _rubberband("--fast", "--window-short"),
            "Rubber Band R3": _rubberband("--fine"),
        },
    )
    ways = {"FFmpeg atempo": _ffmpeg("atempo={rate:.6f}")}
    if shutil.which("ffmpeg") and b" rubberband " in through(["ffmpeg", "-hide_banner", "-filters"], b""):
        ways["FFmpeg rubberband"] = _ffmpeg("rubberband=tempo={rate:.6f}:window=short")
    elif shutil.which("ffmpeg"):
        missing.append("FFmpeg's filter rubberband")
    programs("ffmpeg", ways)
    for package, name, stretch in (
        ("python_stretch", "Signalsmith Stretch", _signalsmith),
        ("audiostretchy", "AudioStretchy (TDHS)", _audiostretchy),
    ):
        try:
            importlib.import_module(package)
        except ImportError:
            missing.append(f"the Python package {package.replace('_', '-')}")
        else:
            stretchers.append(Stretcher(name, stretch))
    return stretchers, missing


def through(command: list[str], stdin: bytes) -> bytes:
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def _sox(*options: str, after: Sequence[str] = ()) -> Callable[[bytes, int, float], bytes]:
    def stretch(samples: bytes, rate_hz: int, rate: float) -> bytes:
        raw = ["-t", "s16", "-r", str(rate_hz), "-c", "1", "-"]
        return through(["sox", "-D", "-G", *raw, *raw, "tempo", *options, f"{rate:.6f}", *after], samples)

    return stretch


def _ffmpeg(way: str) -> Callable[[bytes, int, float], bytes]:
    def stretch(samples: bytes, rate_hz: int, rate: float) -> bytes:
        raw = ["-f", "s16le", "-ar", str(rate_hz), "-ac", "1"]
        command = ["ffmpeg", "-v", "error", *raw, "-i", "-", "-af", way.format(rate=rate), *raw, "-"]
        return through(command, samples)

    return stretch


def _rubberband(*options: str) -> Callable[[bytes, int, float], bytes]:
    def stretch(samples: bytes, rate_hz: int, rate: float) -> bytes:
        with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
            before, after = Path(folder, "a.wav"), Path(folder, "b.wav")
            before.write_bytes(wav_of(samples, rate_hz))
            through(["rubberband", "--quiet", *options, "--tempo", f"{rate:.6f}", str(before), str(after)], b"")
            return _of_wav(after.read_bytes())

    return stretch


def _of_wav(content: bytes) -> bytes:
    with wave.open(io.BytesIO(content)) as file:
        return bytes(file.readframes(file.getnframes()))


def _signalsmith(samples: bytes, rate_hz: int, rate: float) -> bytes:
    module: Any = importlib.import_module("python_stretch").Signalsmith
    stretch = module.Stretch(1)
    stretch.preset(1, rate_hz)
    stretch.timeFactor = rate
    made = np.asarray(stretch.process((np.frombuffer(samples, np.int16) / 32768).astype(np.float32)[np.newaxis]))[0]
    return bytes(np.rint(np.clip(made * 32768, -32768, 32767)).astype(np.int16).tobytes())


def _audiostretchy(samples: bytes, rate_hz: int, rate: float) -> bytes:
    module: Any = importlib.import_module("audiostretchy.stretch")
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        before, after = Path(folder, "a.wav"), Path(folder, "b.wav")
        before.write_bytes(wav_of(samples, rate_hz))
        module.stretch_audio(str(before), str(after), ratio=1 / rate)
        return _of_wav(after.read_bytes())
