"""The section of docs/benchmarks.md about how much a recogniser makes out."""

from __future__ import annotations

from bench.intelligibility import FOLDS, FRAMES_PER_S, INSERTION_PENALTY, NOISE_DB, Intelligibility, Reading
from bench.markdown import table


def intelligibility(found: Intelligibility) -> str:
    """What a recogniser makes out of the prompts at each profile."""
    numbers = table(
        (
            "voice, profile", "rate", "frames/s", "word errors", "replaced / missed / added",
            "more than at the usual speed, points", "95% interval",
        ),
        [_row(found, reading) for reading in found.readings],
    )  # fmt: skip
    return f"""\
## How much a recogniser makes out

pocketsphinx with the American English model of its package reads back {len(found.texts)} texts of Asterisk's core
sounds, {found.words:,} words of a vocabulary of {found.vocabulary}, through G.711 µ-law: spoken by the recorded voice,
in the files that callers are played; and by espeak-ng, at its own rate at each profile. Texts of fewer than four words
are left out, and those with words that the model's dictionary has not. The language model is a trigram model of the
prompts; in {FOLDS} folds, so that no text helps to recognise itself. Noise at {NOISE_DB} dB of full scale fills the
upper half of the spectrum, which a telephone line leaves empty; the word insertion penalty is {INSERTION_PENALTY}. All
of that was chosen for the recorded voice at the usual speed.

{numbers}

Intervals are of a paired bootstrap over the texts. The model was trained on speech of usual speed, with
{FRAMES_PER_S} frames a second, and knows how long sounds last: that alone makes slow speech harder to read for it. The
rows with fewer frames a second, as many fewer as the speech is slower, take that away. What remains there is what
slowing did to the sound itself."""


def _row(found: Intelligibility, reading: Reading) -> list[str]:
    row = [
        f"{reading.voice}: {reading.profile.name}",
        f"{reading.profile.rate:g}",
        str(reading.frames_per_s),
        f"**{found.error_rate(reading):.1%}**",
        " / ".join(f"{count / found.words:.1%}" for count in (reading.replaced, reading.missed, reading.added)),
    ]
    if reading is found.usual(reading.voice):
        return [*row, "–", "–"]
    low, high = found.difference(reading)
    more = found.error_rate(reading) - found.error_rate(found.usual(reading.voice))
    return [*row, f"{more * 100:+.1f}", f"{low * 100:+.1f} to {high * 100:+.1f}"]
