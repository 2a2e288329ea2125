"""One rule, ready to be asked: its conditions, and everything about its decision that no call changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from router.rules.conditions import Condition
from router.rules.model import Facts, RuleTrace, SpeechProfile, Target


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

    def failure(self, facts: Facts) -> RuleTrace | None:
        """The first condition that does not hold, for the trace; None when the rule matches."""
        for condition in self.conditions:
            if not condition.accepts(facts):
                return _failed(self.name, condition.field, condition.wanted, condition.saw(facts))
        return None


@lru_cache(maxsize=8192)
def _failed(rule: str, field: str, wanted: str, saw: str) -> RuleTrace:
    """The trace of a rule that did not match."""
    # Most calls fail most rules alike; making it anew for each of them takes a third of a decision by 50 rules.
    return RuleTrace(rule, False, field, wanted, saw)
