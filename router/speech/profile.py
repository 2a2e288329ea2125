"""A speech profile as prompts know it, and the channel language that plays them at its speed.

Asterisk looks `x` up as `sounds/en_unhurried/x` for a channel whose language is `en_unhurried`, and where
that file is absent strips `_unhurried` and plays `sounds/en/x`. So a profile is a suffix to the language and
a directory.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from router.errors import SpeechError

# Slower than half speed, speech falls apart, and espeak-ng's slowest (80 words/min) is reached.
SLOWEST_RATE: Final = 0.5
FASTEST_RATE: Final = 2.0
LONGEST_PAUSE_S: Final = 10.0
LARGEST_GAIN_DB: Final = 24.0

# Silence between the sentences of the base prompts; a profile's own is added.
BASE_SENTENCE_PAUSE_S: Final = 0.25
# Between two phrases of the base prompts, as people pause before and after a number; a profile's own is added.
BASE_PHRASE_PAUSE_S: Final = 0.1

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True)
class SpokenProfile:
    """How prompts are spoken to one group of callers.

    Attributes:
        name: The suffix of the channel language: letters, digits, `-` and `_`.
        rate: Speed against the base prompts; 0.85 takes 1/0.85 as long. From 0.5 to 2.0.
        sentence_pause_s: Silence between sentences, added to that of the base prompts, in seconds.
        gain_db: Loudness against the base prompts, in dB; a limiter keeps what is raised from clipping.
        value_pause_s: Silence before and after a number, an amount, a date or a waiting time, and between groups of
            digits, in seconds.
        repeat_essential: Whether the most important sentence of a prompt is said again at its end.

    Raises:
        SpeechError: a value is out of range, or the name cannot be part of a path.
    """

    name: str
    rate: float = 1.0
    sentence_pause_s: float = 0.0
    gain_db: float = 0.0
    value_pause_s: float = 0.0
    repeat_essential: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SpeechError(
                f"the speech profile's name {self.name!r} names a directory: use letters, digits, - and _ only"
            )
        for value, low, high, what in (
            (self.rate, SLOWEST_RATE, FASTEST_RATE, "rate"),
            (self.sentence_pause_s, 0.0, LONGEST_PAUSE_S, "sentence pause in seconds"),
            (self.value_pause_s, 0.0, LONGEST_PAUSE_S, "pause around numbers in seconds"),
            (self.gain_db, -LARGEST_GAIN_DB, LARGEST_GAIN_DB, "gain in dB"),
        ):
            if not (math.isfinite(value) and low <= value <= high):
                raise SpeechError(
                    f"speech profile {self.name}: the {what} is {value}; use one from {low:g} to {high:g}"
                )

    @property
    def changes_nothing(self) -> bool:
        """Whether its prompts would be the base prompts."""
        return (self.rate, self.sentence_pause_s, self.gain_db, self.value_pause_s, self.repeat_essential) == (
            1.0,
            0.0,
            0.0,
            0.0,
            False,
        )


def language_for(base_language: str, profile: SpokenProfile) -> str:
    """The channel language, `CHANNEL(language)`, that plays `profile`'s prompts.

    Args:
        base_language: Such as `en`, `zh` or `en_GB`: the directory of the base prompts.
        profile: The caller's speech profile.

    Returns:
        `en_unhurried`; or `en` itself where the profile changes nothing, as `standard` with its rate of 1.0 does.

    Raises:
        SpeechError: `base_language` is not a language's name.
    """
    if not is_language(base_language):
        raise SpeechError(f"{base_language!r} is not a language; write it like en, zh or en_GB")
    return base_language if profile.changes_nothing else f"{base_language}_{profile.name}"


def is_language(text: str) -> bool:
    """Whether `text` has the form of a channel language, and so may be a directory's name."""
    return _LANGUAGE.fullmatch(text) is not None
