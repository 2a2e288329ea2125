"""How much of the prompts a recogniser makes out, at each speech profile, through G.711.

pocketsphinx ships a model of American English in its package; it was trained on wide-band speech of usual speed, read
aloud, and is far from what people make out. So only differences between profiles count, on the same words.

Two voices say the same texts, those of Asterisk's English core sounds: the recorded voice, stretched, just the files
that callers are played; and espeak-ng, which slows down by itself. A text is left out if it has fewer than four words,
a word that the model's dictionary has not, or something that is no speech.

What is fixed beforehand, chosen for the recorded voice at the usual speed on 50 of the texts and nothing else: noise at
−60 dB of full scale fills the empty upper half of the spectrum, which comes of bringing 8 kHz to the model's 16; a
trigram model of language, made of the other texts (ten folds: no text helps to recognise itself or its double), every
word of the vocabulary among them; and a word insertion penalty of 0.2.

A recogniser also knows how long sounds usually last. To tell what is lost in the sound from what is merely unusual for
the recogniser, slowed speech is also read with frames as much longer as it is slower.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zlib import crc32

import jiwer
import numpy as np
from pocketsphinx import Decoder, get_model_path
from pocketsphinx.lm import ArpaBoLM
from rich.console import Console

from bench.plan import Plan
from lab.asterisk_server import asterisk_root
from lab.listening import read_sound
from lab.places import PROJECT, SOUNDS
from lab.processes import LabError
from router.calls.verdict import spoken_profile
from router.rules.book import load_rules
from router.speech.engines import EspeakNg
from router.speech.formats import samples_of_ulaw, ulaw_of
from router.speech.profile import SpokenProfile, language_for
from router.speech.sentence import Sentence
from router.speech.sound import Sox
from router.speech.speaking import speak

PROFILES: Final = ("standard", "unhurried", "slow")
RECORDED, SPOKEN = "recorded, stretched", "espeak-ng, at its own rate"
FRAMES_PER_S: Final = 100
INSERTION_PENALTY: Final = 0.2
NOISE_DB: Final = -60
FOLDS: Final = 10
RESAMPLES: Final = 10_000
"""Of the bootstrap."""
_TRANSCRIPTS: Final = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
_FEWEST_WORDS: Final = 4
_MODEL: Final = Path(get_model_path()) / "en-us"
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(slots=True)
class Reading:
    """What was made out of one voice at one profile. `errors` has as many entries as there are texts."""

    voice: str
    profile: SpokenProfile
    frames_per_s: int
    errors: list[int] = field(default_factory=list)
    replaced: int = 0
    missed: int = 0
    added: int = 0


@dataclass(slots=True)
class Intelligibility:
    """Everything that was read."""

    texts: list[str]
    vocabulary: int
    readings: list[Reading]

    @property
    def words(self) -> int:
        """How many words all texts have."""
        return sum(len(text.split()) for text in self.texts)

    def error_rate(self, reading: Reading) -> float:
        """The word error rate."""
        return sum(reading.errors) / self.words

    def usual(self, voice: str) -> Reading:
        """The reading that a voice's others are compared with."""
        return next(one for one in self.readings if one.voice == voice and one.profile.rate == 1.0)

    def difference(self, reading: Reading) -> tuple[float, float]:
        """The 95 % interval of its error rate less that at the usual speed.

        A paired bootstrap (Bisani & Ney 2004, doi 10.1109/ICASSP.2004.1326009) over the texts, those that are the same
        taken together.
        """
        usual = self.usual(reading.voice)
        different = sorted(set(self.texts))
        place = {text: number for number, text in enumerate(different)}
        more, words = np.zeros(len(different)), np.zeros(len(different))
        for text, errors, before in zip(self.texts, reading.errors, usual.errors, strict=True):
            more[place[text]] += errors - before
            words[place[text]] += len(text.split())
        drawn = np.random.default_rng(1).integers(len(different), size=(RESAMPLES, len(different)))
        low, high = np.quantile(more[drawn].sum(axis=1) / words[drawn].sum(axis=1), (0.025, 0.975))
        return float(low), float(high)


def measure_intelligibility(scratch: Path, plan: Plan, console: Console) -> Intelligibility:
    """Read every text in both voices at every profile.

    Raises:
        LabError: The texts of the core sounds are not there.
    """
    console.print("[bold]==>[/] intelligibility")
    scratch.mkdir(parents=True, exist_ok=True)
    every = _texts()
    vocabulary = frozenset(word for text in every.values() for word in text.split())
    names = sorted(every, key=lambda name: crc32(name.encode()))[: plan.read_texts or None]
    speech = load_rules(PROJECT / "config" / "routing.yaml").speech
    profiles = [spoken_profile(speech[name]) for name in PROFILES]
    readings = [Reading(voice, profile, FRAMES_PER_S) for voice in (RECORDED, SPOKEN) for profile in profiles]
    slowed = [one for one in profiles if one.rate != 1.0]
    readings += [Reading(voice, one, round(FRAMES_PER_S * one.rate)) for voice in (RECORDED, SPOKEN) for one in slowed]
    found = Intelligibility([every[name] for name in names], len(vocabulary), readings)
    models = [_language_model(every.values(), vocabulary, fold, scratch) for fold in range(FOLDS)]
    words = _pronunciations(vocabulary, scratch)
    voices = _Voices()
    for reading in readings:
        readers = [_reader(model, words, reading.frames_per_s) for model in models]
        for name, text in zip(names, found.texts, strict=True):
            heard = _read(readers[_fold(text)], voices.sound(reading, name, text))
            _compare(text, heard, reading)
        console.print(
            f"    {reading.voice}, {reading.profile.name}, {reading.frames_per_s} frames/s: "
            f"{found.error_rate(reading):.1%} of {found.words:,} words"
        )
    return found


class _Voices:
    """Says a text as a caller hears it, brought to the recogniser's sample rate, with the noise."""

    def __init__(self) -> None:
        self._engine, self._sox = EspeakNg(), Sox()

    def sound(self, reading: Reading, name: str, text: str) -> bytes:
        if reading.voice == RECORDED:
            heard = read_sound(SOUNDS / language_for("en", reading.profile), name) * 32768
            samples = np.rint(heard).astype(np.int16).tobytes()
        else:
            samples = speak(self._engine, self._sox, [Sentence((text,))], "en", reading.profile)
        through = samples_of_ulaw(ulaw_of(samples))
        wide = np.frombuffer(self._sox.resampled(through, 8000, 16000), np.int16)
        noise = np.random.default_rng(crc32(name.encode())).normal(size=wide.size) * 32768 * 10 ** (NOISE_DB / 20)
        return np.clip(wide + noise, -32768, 32767).astype(np.int16).tobytes()


def _texts() -> dict[str, str]:
    """The core sounds that are read, with their words."""
    file = asterisk_root() / _TRANSCRIPTS
    if not file.exists():
        raise LabError(f"{file} is not there: install the package asterisk-core-sounds-en")
    known = {_word(entry) for entry in _dictionary()}
    found = {}
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        name, colon, text = line.partition(":")
        words = _words(text)
        if not colon or name.startswith((";", "silence/")) or len(words) < _FEWEST_WORDS:
            continue
        if known.issuperset(words) and (SOUNDS / "en_slow" / f"{name}.ulaw").exists():
            found[name] = " ".join(words)
    return found


def _words(text: str) -> list[str]:
    """The words as they are spoken; none where something else is heard, too."""
    said = re.sub(r"\b\d\b", lambda digit: _DIGITS[int(digit[0])], text.lower())
    return [] if re.search(r"[<\[\d@#*]", said) else re.findall(r"[a-z']+", said)


def _fold(text: str) -> int:
    return crc32(text.encode()) % FOLDS


def _language_model(texts: Collection[str], vocabulary: Collection[str], fold: int, scratch: Path) -> Path:
    """A trigram model of all texts but those of one fold, and of every single word."""
    corpus = [*(text for text in texts if _fold(text) != fold), *sorted(vocabulary)]
    model = ArpaBoLM(text="".join(f"<s> {line} </s>\n" for line in corpus))
    model.compute()
    file = scratch / f"fold{fold}.arpa"
    model.write_file(str(file))
    return file


def _pronunciations(vocabulary: Collection[str], scratch: Path) -> Path:
    """The part of the model's dictionary that the language models ask for: all of it takes a second to load."""
    file = scratch / "words.dict"
    entries = (entry for entry in _dictionary() if _word(entry) in vocabulary)
    file.write_text("\n".join(entries) + "\n", encoding="utf-8")
    return file


def _dictionary() -> list[str]:
    return (_MODEL / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines()


def _word(entry: str) -> str:
    """Of `read(2) R EH D`, `read`."""
    return entry.partition(" ")[0].partition("(")[0]


def _reader(language_model: Path, words: Path, frames_per_s: int) -> Decoder:
    return Decoder(
        hmm=str(_MODEL / "en-us"),
        dict=str(words),
        lm=str(language_model),
        wip=INSERTION_PENALTY,
        frate=frames_per_s,
        loglevel="FATAL",
    )


def _read(reader: Decoder, sound: bytes) -> str:
    reader.start_utt()
    reader.process_raw(sound, full_utt=True)
    reader.end_utt()
    heard = reader.hyp()
    return str(heard.hypstr) if heard else ""


def _compare(text: str, heard: str, reading: Reading) -> None:
    compared = jiwer.process_words(text, heard)
    reading.replaced += compared.substitutions
    reading.missed += compared.deletions
    reading.added += compared.insertions
    reading.errors.append(compared.substitutions + compared.deletions + compared.insertions)
