"""One rule, ready to be asked: its conditions, and everything about its decision that no call changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from router.callers.past import NORMAL, SLOWER
from router.rules.conditions import ChoiceIs, Condition
from router.rules.model import Facts, RuleTrace, SpeechProfile, Target

# Texts in `Facts`, of which most calls share a few.
_PLAIN_FACTS: Final = frozenset({"age_band", "called", "language"})
# Answers of each rule: a centre has some dozen bands, lines and languages, and whoever dials numbers at random must not
# fill the memory.
_MOST_REMEMBERED: Final = 100
_PACES: Final = frozenset({SLOWER, NORMAL})
_NO_PACES: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule matches when all its conditions accept the facts."""

    name: str
    conditions: tuple[Condition, ...]
    target: Target
    head_start_s: int
    speech: SpeechProfile
    agent_label: str
    language: str = ""
    note: str = ""
    says_speech: bool = True
    """Whether `speech` stands in the rule, and is not what goes without saying."""
    paces: frozenset[str] = field(init=False, repr=False, compare=False)
    """It asks for callers who chose one of these paces, and says how to speak to them: it knows best."""
    _first_fact: str = field(init=False, repr=False, compare=False)
    _others: tuple[Condition, ...] = field(init=False, repr=False, compare=False)
    _answers: dict[str | None, RuleTrace | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_plain = bool(self.conditions) and self.conditions[0].fact in _PLAIN_FACTS
        object.__setattr__(self, "_first_fact", self.conditions[0].fact if is_plain else "")
        object.__setattr__(self, "_others", self.conditions[is_plain:])
        object.__setattr__(self, "_answers", {})
        choices = (condition.choices for condition in self.conditions if isinstance(condition, ChoiceIs))
        asked = _NO_PACES.union(*choices) & _PACES if self.says_speech else _NO_PACES
        object.__setattr__(self, "paces", asked)

    def failure(self, facts: Facts) -> RuleTrace | None:
        """The first condition that does not hold, for the trace; None when the rule matches."""
        if self._first_fact:
            # One fact alone decides a condition, and most rules fail by their first: remembering its answers takes a
            # third off a decision by 50 rules.
            value = getattr(facts, self._first_fact)
            try:
                failure = self._answers[value]
            except KeyError:
                failure = self._ask(self.conditions[0], facts)
                if len(self._answers) >= _MOST_REMEMBERED:
                    self._answers.clear()
                self._answers[value] = failure
            if failure is not None:
                return failure
        for condition in self._others:
            if (failure := self._ask(condition, facts)) is not None:
                return failure
        return None

    def _ask(self, condition: Condition, facts: Facts) -> RuleTrace | None:
        if condition.accepts(facts):
            return None
        return _failed(self.name, condition.field, condition.wanted, condition.saw(facts))


@lru_cache(maxsize=8192)
def _failed(rule: str, field: str, wanted: str, saw: str) -> RuleTrace:
    """The trace of a rule that did not match, of which most calls share a few."""
    return RuleTrace(rule, False, field, wanted, saw)
