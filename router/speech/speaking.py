"""Sentences spoken at a speed that is measured, not hoped for.

No engine's speech takes exactly 1/rate as long when asked for `rate` (espeak-ng is up to 5 % off at 0.7):
each phrase is asked for again, corrected by what was measured, and what still remains is stretched away.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

from router.errors import SpeechError
from router.speech.engines import Engine, EspeakNg, SpeechServer, Voices
from router.speech.profile import BASE_PHRASE_PAUSE_S, BASE_SENTENCE_PAUSE_S, SpokenProfile
from router.speech.programs import remaining_s, within
from router.speech.sentence import Sentence
from router.speech.sound import Sox, seconds, silence, trimmed

# Within one word a minute, espeak-ng's own step, there is nothing to gain from asking again.
_GOOD_ENOUGH: Final = 0.01
# Beyond 1.5 % a listener could measure it, if not hear it; stretching by so little does not harm the voice. The rest
# is for the usual take itself: espeak-ng speaks it up to 3 ms longer or shorter each time.
_STRETCH_ABOVE: Final = 0.012
# espeak-ng needed at most 4 for the shipped prompts at 0.85 and 0.7, and then goes to and fro between two
# steps.
_MOST_ATTEMPTS: Final = 4
# A caller waits: asked once for the rate, the rest stretched (espeak-ng: up to 5 % of a sentence).
_QUICK_ATTEMPTS: Final = 1
# An engine that answers with nonsense lengths is not asked for nonsense in turn.
_SLOWEST_ASKED: Final = 0.3
_FASTEST_ASKED: Final = 3.5
# The slowest is a digit or a letter read out, some 0.6 s; `¥1,000,000` is said in a third of this a character. More
# is a program that hums, or speaks something else.
_LONGEST_CHARACTER_S: Final = 1.5
_LONGEST_EDGE_S: Final = 5.0

# Phrases that the engine is given in one go.
Unit: TypeAlias = tuple[str, ...]


def speak(
    engine: Engine,
    sox: Sox,
    sentences: Sequence[Sentence],
    language: str,
    profile: SpokenProfile,
    *,
    rate_hz: int = 8000,
    deadline_s: float | None = None,
    quick: bool = False,
) -> bytes:
    """Speak sentences as a profile has them.

    Args:
        engine: Who speaks.
        sox: What converts and joins.
        sentences: At least one.
        language: Of the sentences, such as `en`.
        profile: Its rate, pauses, gain, and whether what is essential is said again.
        rate_hz: The sample rate that is wanted.
        deadline_s: How long all of it may take; a program that is still at work then is killed.
        quick: For a caller who waits: fewer runs of the engine, more stretched away.

    Returns:
        Samples, without silence before or after: each phrase lasts 1/rate of what it lasts at rate 1.0
        within 1.5 %. Between two sentences lie `BASE_SENTENCE_PAUSE_S` and the profile's sentence pause, between two
        phrases `BASE_PHRASE_PAUSE_S` and its value pause.

    Raises:
        SpeechError: a sentence could not be spoken, or not in time.
    """
    with within(deadline_s):
        speaker = _speaker(engine, sox, language, profile, rate_hz, is_quick=quick)
        spoken = speaker.sentences(sentences)
        return join(sox, sentences, spoken, profile, rate_hz=rate_hz)


def speak_sentence(
    engine: Engine,
    sox: Sox,
    sentence: Sentence,
    language: str,
    profile: SpokenProfile,
    *,
    rate_hz: int = 8000,
    deadline_s: float | None = None,
    quick: bool = False,
) -> bytes:
    """Speak one sentence as `speak` does, but for the profile's gain: `join` adds it."""
    with within(deadline_s):
        speaker = _speaker(engine, sox, language, profile, rate_hz, is_quick=quick)
        return speaker.sentences([sentence])[sentence]


def units_of(engine: Engine, sentences: Iterable[Sentence]) -> tuple[Unit, ...]:
    """What the engine is given in one go to speak these sentences, each once: that is worth remembering."""
    parts = {sentence: _units(engine, sentence) for sentence in sentences}
    return tuple(dict.fromkeys(unit for those in parts.values() for unit in those))


def speak_units(
    engine: Engine,
    sox: Sox,
    units: Sequence[Unit],
    language: str,
    profile: SpokenProfile,
    *,
    rate_hz: int = 8000,
    quick: bool = False,
) -> dict[Unit, bytes]:
    """Speak what `units_of` has given, as `speak` would; `sentence_of` puts sentences together from them."""
    return _speaker(engine, sox, language, profile, rate_hz, is_quick=quick).units(units)


def sentence_of(
    engine: Engine, sentence: Sentence, spoken: Mapping[Unit, bytes], profile: SpokenProfile, *, rate_hz: int = 8000
) -> bytes:
    """Put one sentence together from what `speak_units` has spoken, with the pauses between its phrases."""
    pause = silence(_phrase_pause_s(profile), rate_hz)
    return pause.join(spoken[unit] for unit in _units(engine, sentence))


def join(
    sox: Sox,
    sentences: Sequence[Sentence],
    spoken: Mapping[Sentence, bytes],
    profile: SpokenProfile,
    *,
    rate_hz: int = 8000,
) -> bytes:
    """Put spoken sentences together: pauses between, what is essential once more at the end, the gain.

    Raises:
        SpeechError: sox failed, or the time of `within` is up.
    """
    again = [sentence for sentence in sentences if sentence.essential and profile.repeat_essential]
    pause = silence(BASE_SENTENCE_PAUSE_S + profile.sentence_pause_s, rate_hz)
    whole = pause.join(spoken[sentence] for sentence in (*sentences, *again))
    return sox.louder(whole, profile.gain_db, rate_hz)


def _speaker(
    engine: Engine, sox: Sox, language: str, profile: SpokenProfile, rate_hz: int, *, is_quick: bool
) -> _Speaker:
    voice = engine.of(language) if isinstance(engine, Voices) else engine
    return _Speaker(voice, sox, language, profile, rate_hz, is_quick)


def _units(engine: Engine, sentence: Sentence) -> list[Unit]:
    return [sentence.phrases] if engine.takes_pauses else [(phrase,) for phrase in sentence.phrases]


def _phrase_pause_s(profile: SpokenProfile) -> float:
    return BASE_PHRASE_PAUSE_S + profile.value_pause_s


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Speaks single units at the profile's rate."""

    engine: Engine
    sox: Sox
    language: str
    profile: SpokenProfile
    rate_hz: int
    is_quick: bool

    @property
    def phrase_pause_s(self) -> float:
        return _phrase_pause_s(self.profile)

    def sentences(self, sentences: Sequence[Sentence]) -> dict[Sentence, bytes]:
        spoken = self.units(units_of(self.engine, sentences))
        return {
            sentence: sentence_of(self.engine, sentence, spoken, self.profile, rate_hz=self.rate_hz)
            for sentence in sentences
        }

    def units(self, units: Sequence[Unit]) -> dict[Unit, bytes]:
        takes = self._takes_of(units) if self.is_quick else {}
        return {unit: self._at_rate(unit, takes) for unit in units}

    def _takes_of(self, units: Sequence[Unit]) -> dict[tuple[Unit, float], bytes]:
        """What `_at_rate` will ask for first, where an engine speaks several takes better than one after the other."""
        rates = [1.0, self.profile.rate] if self.engine.native_rate and self.profile.rate != 1.0 else [1.0]
        wanted = [(unit, rate) for unit in units for rate in rates]
        match self.engine:
            case SpeechServer() if len(wanted) > 1:
                return self._side_by_side(self.engine, wanted)
            case EspeakNg() if len(rates) > 1:
                return {
                    (unit, rate): self._heard(wav, unit, rate)
                    for unit in units
                    for rate, wav in zip(rates, self._in_one_run(self.engine, unit, rates), strict=True)
                }
            case _:
                return {}

    def _side_by_side(
        self, engine: SpeechServer, wanted: Sequence[tuple[Unit, float]]
    ) -> dict[tuple[Unit, float], bytes]:
        with ThreadPoolExecutor(engine.side_by_side) as pool:
            takes = [pool.submit(contextvars.copy_context().run, self._once, unit, rate) for unit, rate in wanted]
            try:
                return {take: future.result() for take, future in zip(wanted, takes, strict=True)}
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _in_one_run(self, engine: EspeakNg, unit: Unit, rates: Sequence[float]) -> list[bytes]:
        return engine.takes(" ".join(unit), self.language, rates, deadline_s=remaining_s())

    def _at_rate(self, unit: Unit, takes: Mapping[tuple[Unit, float], bytes]) -> bytes:
        rate = self.profile.rate
        normal = takes.get((unit, 1.0)) or self._once(unit, 1.0)
        if rate == 1.0:
            return normal
        # Pauses that the engine puts in are as long at every rate.
        pauses = len(silence(self.phrase_pause_s, self.rate_hz)) * (len(unit) - 1)
        if len(normal) <= pauses:
            raise SpeechError(f"the pauses in {' '.join(unit)!r} are missing: this engine does not take SSML as told")
        words = (len(normal) - pauses) / rate
        best, asked = normal, rate
        attempts = (_QUICK_ATTEMPTS if self.is_quick else _MOST_ATTEMPTS) if self.engine.native_rate else 0
        for _ in range(attempts):
            spoken = takes.get((unit, asked)) or self._once(unit, asked)
            if abs(len(spoken) - pauses - words) < abs(len(best) - pauses - words):
                best = spoken
            if abs((len(best) - pauses) / words - 1) <= _GOOD_ENOUGH:
                return best
            asked = min(max(asked * (len(spoken) - pauses) / words, _SLOWEST_ASKED), _FASTEST_ASKED)
        if abs((len(best) - pauses) / words - 1) <= _STRETCH_ABOVE:
            return best
        return self.sox.at_rate(best, len(best) / (words + pauses), self.rate_hz)

    def _once(self, unit: Unit, rate: float) -> bytes:
        pause_s = self.phrase_pause_s if self.engine.takes_pauses else 0.0
        wav = self.engine.synthesise(unit, self.language, rate, pause_s, deadline_s=remaining_s())
        return self._heard(wav, unit, rate)

    def _heard(self, wav: bytes, unit: Unit, rate: float) -> bytes:
        """Its samples, if they can be this text."""
        text = " ".join(unit)
        spoken = trimmed(self.sox.samples(wav, self.rate_hz), self.rate_hz)
        if not spoken:
            raise SpeechError(f"nothing is heard of {text!r}: write words that the voice for {self.language} can speak")
        pauses_s = (len(unit) - 1) * self.phrase_pause_s
        longest_s = _LONGEST_EDGE_S + pauses_s + _LONGEST_CHARACTER_S * len(text) / rate
        if seconds(spoken, self.rate_hz) > longest_s:
            raise SpeechError(f"{seconds(spoken, self.rate_hz):.0f} s of sound for {text[:40]!r} are no speech")
        return spoken
