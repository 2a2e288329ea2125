"""The sections of docs/benchmarks.md about prompts."""

from __future__ import annotations

from statistics import mean, median

from bench.added_latency import quantile
from bench.building import Built
from bench.markdown import between, compared, table
from bench.stretchers import Comparison, Stretched


def building(found: list[Built], cores: int) -> str:
    """How long it takes to build all prompts."""
    rows = [
        _built_row([built for built in found if (built.what, built.workers) == (what, workers)])
        for what in ("all", "again")
        for workers in sorted({built.workers for built in found})
    ]
    numbers = table(
        (
            "build", "at once", "sounds made", "files kept", "seconds", "lowest – highest", "MB written",
            "ms of processor a sound",
        ),
        rows,
    )  # fmt: skip
    one, many = (
        median(built.took_s for built in found if built.what == "all" and (built.workers == 1) is is_one)
        for is_one in (True, False)
    )
    return f"""\
## Building the prompts

The shipped catalogue in English and Mandarin and Asterisk's English core sounds, at {found[0].profiles} speech
profiles (one of which changes nothing and needs no core sounds of its own), each sound as µ-law and A-law; into an
empty directory beside the core sounds. Reading rules and catalogue is included, Python's start is not.

{numbers}

With {cores} at once, on {cores} cores, it is {compared(one, many)} times as fast as with one at a time. The second
build reads every recording and every file made, finds that nothing differs, and writes nothing."""


def _built_row(runs: list[Built]) -> list[str]:
    first, took_s = runs[0], [built.took_s for built in runs]
    each_ms = median(built.cpu_s for built in runs) / first.sounds * 1000 if first.sounds else None
    return [
        "everything" if first.what == "all" else "again, nothing changed",
        str(first.workers),
        f"{first.sounds:,}",
        f"{first.kept:,}",
        f"**{median(took_s):.1f}**",
        between(took_s, 1),
        f"{first.made_mb:.0f}",
        "–" if each_ms is None else f"{each_ms:.1f}",
    ]


def stretchers(found: Comparison) -> str:
    """Which tool stretches speech best."""
    numbers = table(
        (
            "sounds", "rate", "tool", "length error, max ms", "pitch error, p95 %", "max %", "clarity, dB",
            "round trip, ESTOI", "p5", "spectrum, dB", "ms a sound",
        ),
        [_stretched_row(one, found.sounds) for one in found.found],
    )  # fmt: skip
    missing = f"\n\nNot installed, and so not compared: {', '.join(found.missing)}." if found.missing else ""
    return f"""\
## What stretches speech best

Asterisk's English core sounds, a person's voice, and prompts that espeak-ng speaks; slowed at each rate by each tool, a
process a sound, but for the Python packages. Length is against the length asked for; pitch frame by frame at the same
place, the median of a sound; clarity is the change of the harmonics-to-noise ratio; the round trip is slowed and
hurried again, then compared with the sound itself (1 is the same; stretching twice counts twice); the spectrum is the
mean distance of mel spectra, each to the nearest within 25 ms. Sounds under 0.7 s count for length and time only.
bench/stretchers.py has the details, docs/stretching.md what follows from it.

{numbers}{missing}"""


def _stretched_row(one: Stretched, sounds: dict[str, int]) -> list[str]:
    what = f"{one.sounds}, {one.rate_hz // 1000} kHz"
    return [
        f"{what} ({sounds[what]})",
        f"{one.rate:g}",
        one.name,
        f"{max(abs(error) for error in one.length_errors_ms):.1f}",
        f"{quantile(sorted(one.pitch_errors), 0.95) * 100:.2f}",
        f"{max(one.pitch_errors) * 100:.2f}",
        f"{mean(one.clarity_changes_db):+.1f}",
        f"{mean(one.round_trips):.3f}",
        f"{quantile(sorted(one.round_trips), 0.05):.3f}",
        f"{mean(one.distances_db):.2f}",
        f"{one.took_s / sounds[what] * 1000:.1f}",
    ]
