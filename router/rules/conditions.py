"""The conditions a rule can have: one small class each, all with the same four members.

`field` is the name in the file, `fact` the field of `Facts` that alone decides it (the proof relies on that),
`wanted` says for the trace what it asks for, `saw` what the call had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from router.callers.number import Caller, NoNumber, NoNumberReason, PhoneNumber, masked
from router.callers.past import choice_in_words, choice_words
from router.rules.durations import in_words
from router.rules.listed_numbers import ListedNumbers
from router.rules.lists import CallerList
from router.rules.model import Facts, QueueState
from router.rules.recorded import RecordedCaller
from router.rules.schema import UNKNOWN_BAND
from router.rules.wording import listed

NOT_KNOWN = "not known"
"""What a call had of which nothing is known: no condition that asks for it holds."""


class Condition(Protocol):
    """What evaluation and proof need of a condition."""

    @property
    def field(self) -> str:
        """The name in the file."""
        ...

    @property
    def fact(self) -> str:
        """What alone decides it."""
        ...

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
    """Exact numbers, and beginnings of numbers (`95*`) with their lengths.

    `lists` are more exact numbers, hundreds of thousands perhaps.
    """

    exact: frozenset[str]
    prefixes: frozenset[str]
    prefix_lengths: tuple[int, ...]
    lists: tuple[ListedNumbers, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str], lists: Iterable[CallerList] = ()) -> NumberPatterns:
        """Split patterns by whether they end in `*`, and add to them what stands in lists."""
        every, named = list(patterns), list(lists)
        beginnings = frozenset(p.removesuffix("*") for p in every if p.endswith("*"))
        prefixes = beginnings.union(*(each.beginnings for each in named))
        exact = frozenset(p for p in every if not p.endswith("*"))
        lengths = tuple(sorted({len(prefix) for prefix in prefixes}))
        return cls(exact, prefixes, lengths, tuple(each.numbers for each in named))

    def match(self, number: str) -> bool:
        """Whether `number` is one of them or begins with one of them."""
        # A slice of a number shorter than a prefix is the number itself, which is shorter than the prefix
        # too.
        if number in self.exact:
            return True
        for listed_numbers in self.lists:
            if number in listed_numbers:
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
        caller = facts.caller
        if isinstance(caller, PhoneNumber):
            return self.patterns.match(caller.e164)
        if not isinstance(caller, RecordedCaller):
            return False
        return caller.is_one_of((self.patterns.exact, *self.patterns.lists), self.patterns.prefixes)

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return shown_caller(facts.caller)


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


@dataclass(frozen=True, slots=True)
class CalendarIs:
    """The moment is within one of these calendars; or, `outside` them, within none."""

    fact: ClassVar[str] = "calendar"
    calendars: frozenset[str]
    outside: bool
    wanted: str

    @property
    def field(self) -> str:
        """See `Condition`."""
        return "outside_calendar" if self.outside else "calendar"

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        return facts.calendars is not None and self.calendars.isdisjoint(facts.calendars) is self.outside

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        if facts.calendars is None:
            return NOT_KNOWN
        return listed(sorted(facts.calendars)) or "none open"


@dataclass(frozen=True, slots=True)
class ChoiceIs:
    """What the caller chose in an earlier call and had remembered has one of these words; "" is nothing."""

    field: ClassVar[str] = "choice"
    fact: ClassVar[str] = "choice"
    choices: frozenset[str]
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        return facts.choice is not None and not self.choices.isdisjoint(choice_words(facts.choice))

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return NOT_KNOWN if facts.choice is None else choice_in_words(facts.choice)


@dataclass(frozen=True, slots=True)
class RepeatIs:
    """With this call, the caller has called at least `calls` times within a span."""

    field: ClassVar[str] = "repeat"
    fact: ClassVar[str] = "repeat"
    calls: int
    within_s: float
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        earlier = facts.earlier_calls_s
        # Newest first: whether the one that makes up the number is recent enough says it all.
        return earlier is not None and len(earlier) >= self.calls - 1 and earlier[self.calls - 2] <= self.within_s

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        if facts.earlier_calls_s is None:
            return NOT_KNOWN
        calls = 1 + sum(ago_s <= self.within_s for ago_s in facts.earlier_calls_s)
        return f"call {calls} within {in_words(self.within_s)}"


@dataclass(frozen=True, slots=True)
class QueueBound:
    """One bound on a queue's state: `under` it, or over it. `quantity` is a field of `QueueState`."""

    quantity: str
    under: bool
    bound: int

    def holds(self, state: QueueState) -> bool:
        """Whether the state is on the right side."""
        value: int = getattr(state, self.quantity)
        return value < self.bound if self.under else value > self.bound


@dataclass(frozen=True, slots=True)
class QueueIs:
    """The state of a target's queue is within bounds."""

    field: ClassVar[str] = "queue"
    target: str
    queue: str
    bounds: tuple[QueueBound, ...]
    wanted: str

    @property
    def fact(self) -> str:
        """See `Condition`."""
        return f"{QUEUE_FACT}{self.queue}"

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        state = facts.queues.get(self.queue)
        return state is not None and all(bound.holds(state) for bound in self.bounds)

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        state = facts.queues.get(self.queue)
        return f"{self.target}: {NOT_KNOWN if state is None else queue_in_words(state)}"


QUEUE_FACT = "queue "
"""What the fact of a queue's state begins with; the queue's name follows."""


@dataclass(frozen=True, slots=True)
class RolloutIs:
    """The caller's place is below a share: the same callers every time, and more of them as the share grows."""

    field: ClassVar[str] = "rollout"
    fact: ClassVar[str] = "rollout"
    percent: float
    wanted: str

    def accepts(self, facts: Facts) -> bool:
        """See `Condition`."""
        return facts.rollout is not None and facts.rollout < self.percent

    def saw(self, facts: Facts) -> str:
        """See `Condition`."""
        return "a call without a number" if facts.rollout is None else f"place {facts.rollout:.2f}"


def shown_caller(caller: Caller | RecordedCaller) -> str:
    """A caller for people's eyes, masked."""
    return caller.shown if isinstance(caller, RecordedCaller) else masked(caller)


def queue_in_words(state: QueueState) -> str:
    """A queue's state, for people."""
    return f"{state.waiting} waiting, longest {in_words(state.longest_wait_s)}, {state.agents_free} free"


def _is_anonymous(facts: Facts) -> bool:
    return isinstance(facts.caller, NoNumber) and facts.caller.reason is NoNumberReason.WITHHELD
