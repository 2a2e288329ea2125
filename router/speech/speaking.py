"""Sentences spoken at a speed that is measured, not hoped for.

No engine's speech takes exactly 1/rate as long when asked for `rate` (espeak-ng is up to 5 % off at 0.7):
each sentence is asked for again, corrected by what was measured, and what still remains is stretched away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from router.errors import SpeechError
from router.speech.engine import Engine
from router.speech.profile import SpokenProfile
from router.speech.sound import Sox, silence, trimmed

# Silence between the sentences of the base prompts; a profile's own is added.
BASE_SENTENCE_PAUSE_S: Final = 0.25

# Within one word a minute, espeak-ng's own step, there is nothing to gain from asking again.
_GOOD_ENOUGH: Final = 0.01
# Beyond this a listener could measure it, if not hear it; stretching by so little does not harm the voice.
_STRETCH_ABOVE: Final = 0.015
# espeak-ng needed at most 4 for the shipped prompts at 0.85 and 0.7, and then goes to and fro between two
# steps.
_MOST_ATTEMPTS: Final = 4


def speak(engine: Engine, sox: Sox, sentences: Sequence[str], language: str, profile: SpokenProfile) -> bytes:
    """Speak sentences as a profile has them.

    Args:
        engine: Who speaks.
        sox: What converts and joins.
        sentences: Each spoken by itself, at least one.
        language: Of the sentences, such as `en`.
        profile: Its rate, pause and gain.

    Returns:
        Samples, without silence before or after: each sentence lasts 1/rate of what it lasts at rate 1.0
        within 1.5 %, and between two lie `BASE_SENTENCE_PAUSE_S` and the profile's pause.

    Raises:
        SpeechError: a sentence could not be spoken.
    """
    pause = silence(BASE_SENTENCE_PAUSE_S + profile.sentence_pause_s)
    spoken = [_at_rate(engine, sox, sentence, language, profile.rate) for sentence in sentences]
    return sox.louder(pause.join(spoken), profile.gain_db)


def _at_rate(engine: Engine, sox: Sox, sentence: str, language: str, rate: float) -> bytes:
    normal = _once(engine, sox, sentence, language, 1.0)
    if rate == 1.0:
        return normal
    wanted = len(normal) / rate
    best, best_ratio = normal, len(normal) / wanted
    asked = rate
    for _ in range(_MOST_ATTEMPTS):
        spoken = _once(engine, sox, sentence, language, asked)
        ratio = len(spoken) / wanted
        if abs(ratio - 1) < abs(best_ratio - 1):
            best, best_ratio = spoken, ratio
        if abs(best_ratio - 1) <= _GOOD_ENOUGH:
            return best
        asked *= ratio
    return sox.at_rate(best, best_ratio) if abs(best_ratio - 1) > _STRETCH_ABOVE else best


def _once(engine: Engine, sox: Sox, sentence: str, language: str, rate: float) -> bytes:
    spoken = trimmed(sox.samples(engine.synthesise(sentence, language, rate)))
    if not spoken:
        raise SpeechError(f"nothing is heard of {sentence!r}: write words that the voice for {language} can speak")
    return spoken
