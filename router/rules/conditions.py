"""The conditions a rule can have: one small class each, all with the same four members.

`field` is the name in the file, `fact` the field of `Facts` that alone decides it (the proof relies on that),
`wanted` says for the trace what it asks for, `saw` what the call had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from router.callers.number import NoNumber, NoNumberReason, PhoneNumber, masked
from router.rules.model import Facts
from router.rules.schema import UNKNOWN_BAND, WhenEntry
from router.rules.wording import listed


class Condition(Protocol):
    """What evaluation and proof need of a condition."""

    field: ClassVar[str]
    fact: ClassVar[str]

    @property
    def wanted(self) -> str:
        """What the condition asks for, for people."""
        ...

    def accepts(self, facts: Facts) -> bool:
        """Whether the condition holds."""
        ...

    def saw(self, facts: Facts) -> str:
        """What the call had, for people; never a full caller's number."""
        ...


@dataclass(frozen=True, slots=True)
class NumberPatterns:
    """Exact numbers, and beginnings of numbers (`95*`) with their lengths: a list may hold a thousand."""

    exact: frozenset[str]
    prefixes: frozenset[str]
    prefix_lengths: tuple[int, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> NumberPatterns:
        """Split patterns by whether they end in `*`."""
        every = list(patterns)
        prefixes = frozenset(p.removesuffix("*") for p in every if p.endswith("*"))
        exact = frozenset(p for p in every if not p.endswith("*"))
        return cls(exact, prefixes, tuple(sorted({len(prefix) for prefix in prefixes})))

    def match(self, number: str) -> bool:
        """Whether `number` is one of them or begins with one of them."""
        # A slice of a number shorter than a prefix is the number itself, which is shorter than the prefix
        # too.
        if number in self.exact:
            return True
        for length in self.prefix_lengths:  # noqa: SIM110 - `any` of a generator doubles the time of this
            if number[:length] in self.prefixes:
                return True
        return False


@dataclass(frozen=True, slots=True)
class AgeBandIs:
    """The caller's age band is one of these; None among them stands for a band that is not known."""

    field: ClassVar[str] = "age_band"
    fact: ClassVar[str] = "age_band"
    bands: frozenset[str | None]
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        return facts.age_band in self.bands

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return UNKNOWN_BAND if facts.age_band is None else facts.age_band


@dataclass(frozen=True, slots=True)
class CalledIs:
    """The number that was called is one of these."""

    field: ClassVar[str] = "called"
    fact: ClassVar[str] = "called"
    patterns: NumberPatterns
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        return self.patterns.match(facts.called)

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return facts.called


@dataclass(frozen=True, slots=True)
class CallerIs:
    """The caller has a number, and it is one of these."""

    field: ClassVar[str] = "caller"
    fact: ClassVar[str] = "caller"
    patterns: NumberPatterns
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        return isinstance(facts.caller, PhoneNumber) and self.patterns.match(facts.caller.e164)

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return masked(facts.caller)


@dataclass(frozen=True, slots=True)
class AnonymousIs:
    """The caller withholds the number, or does not. A number that is merely unusable is not withheld."""

    field: ClassVar[str] = "anonymous"
    fact: ClassVar[str] = "caller"
    anonymous: bool
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        return _is_anonymous(facts) is self.anonymous

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return str(_is_anonymous(facts)).lower()


@dataclass(frozen=True, slots=True)
class LanguageIs:
    """The channel's language is one of these; `en` covers `en_GB`, as when Asterisk looks for prompts."""

    field: ClassVar[str] = "language"
    fact: ClassVar[str] = "language"
    languages: frozenset[str]
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        language = facts.language.lower()
        while language not in self.languages:
            language, separator, _ = language.rpartition("_")
            if not separator:
                return False
        return True

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return facts.language


def _is_anonymous(facts: Facts) -> bool:
    return isinstance(facts.caller, NoNumber) and facts.caller.reason is NoNumberReason.WITHHELD


def conditions_of(when: WhenEntry | None) -> tuple[Condition, ...]:
    """The conditions of one rule, in the order in which they are tried and traced."""
    if when is None:
        return ()
    conditions: list[Condition] = []
    if when.age_band:
        bands = frozenset(None if band == UNKNOWN_BAND else band for band in when.age_band)
        conditions.append(AgeBandIs(bands, listed(when.age_band)))
    if when.called:
        conditions.append(CalledIs(NumberPatterns.of(when.called), listed(when.called)))
    if when.anonymous is not None:
        conditions.append(AnonymousIs(when.anonymous, str(when.anonymous).lower()))
    if when.caller:
        # A whole number in the file is one person's: the trace goes to a log and shows how many there are
        # instead.
        prefixes = [pattern for pattern in when.caller if pattern.endswith("*")]
        whole = len(when.caller) - len(prefixes)
        numbers = [f"{whole} listed number{'s' if whole > 1 else ''}"] if whole else []
        conditions.append(CallerIs(NumberPatterns.of(when.caller), listed([*prefixes, *numbers])))
    if when.language:
        languages = frozenset(language.lower() for language in when.language)
        conditions.append(LanguageIs(languages, listed(when.language)))
    return tuple(conditions)
