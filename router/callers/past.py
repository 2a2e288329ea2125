"""What a caller's earlier calls may have left behind: the words for it, shared by the registry and the rules.

A choice is kept, looked up and recorded as one text: `slower:slow` (slower than before, which was the speech profile
`slow`), `normal:standard`, `person` (a person was asked for), or a pace and a person, `slower:slow+person`. A pace
without a profile leaves it to the rules which one that is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SLOWER: Final = "slower"
NORMAL: Final = "normal"
PERSON: Final = "person"
CHOICES: Final = (SLOWER, NORMAL, PERSON)
"""What a caller can choose during a call and have remembered."""

CHOICE_KEPT_S: Final = 180 * 86_400
"""A choice that was not made again for half a year is forgotten, unless the settings say otherwise."""

MOST_EARLIER_CALLS: Final = 20
"""Earlier calls of one caller that are kept and counted; who called more often is known well enough."""

NO_CHOICE: Final = "none"
"""How the lack of a choice is written."""

PROFILE_PATTERN: Final = "[a-z][a-z0-9-]{0,15}"
"""The name of a speech profile."""

_NOTHING: Final = frozenset({""})
_TEXT: Final = re.compile(rf"(?:({SLOWER}|{NORMAL})(?::({PROFILE_PATTERN}))?(\+{PERSON})?|({PERSON}))?")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice by its parts: the pace, `slower`, `normal` or ""; its profile, "" if none is named; a person."""

    pace: str = ""
    profile: str = ""
    person: bool = False

    def __str__(self) -> str:
        pace = f"{self.pace}:{self.profile}" if self.profile else self.pace
        return "+".join(part for part in (pace, PERSON * self.person) if part)

    @property
    def words(self) -> frozenset[str]:
        """What rules may ask for; "" where nothing was chosen."""
        return frozenset(word for word in (self.pace, PERSON * self.person) if word) or _NOTHING

    def joined(self, later: Chosen) -> Chosen:
        """With a later choice: a new pace takes the place of the old one, a person once asked for stays."""
        pace = later if later.pace else self
        return Chosen(pace.pace, pace.profile, self.person or later.person)


NOTHING: Final = Chosen()


@lru_cache(maxsize=1024)
def read_choice(text: str) -> Chosen | None:
    """A choice by its text, "" being none; None for what is no such text."""
    match = _TEXT.fullmatch(text)
    return None if match is None else Chosen(match[1] or "", match[2] or "", bool(match[3] or match[4]))


def choice_words(text: str) -> frozenset[str]:
    """The words of a choice that rules may ask for; none of a text that is no choice."""
    chosen = read_choice(text)
    return frozenset() if chosen is None else chosen.words


def choice_in_words(text: str) -> str:
    """A choice for people: `slower (slow), person`; a text that is none as it is."""
    if (chosen := read_choice(text)) is None:
        return text
    pace = f"{chosen.pace} ({chosen.profile})" if chosen.profile else chosen.pace
    return ", ".join(part for part in (pace, PERSON * chosen.person) if part) or NO_CHOICE
