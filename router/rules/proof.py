"""The proof that every rule can be reached and that no protected caller is left without a person.

Exact, not sampled. Each condition looks at one fact (age band, calendars, a queue's state, caller …), and on each
fact the rules' own words cut all possible values into finitely many classes that no rule tells apart: each
band, each set of calendars that can be open together, each side of each bound, each listed number, anything else.
The examples in `examples` stand for these classes, one for each; whether a rule takes it is asked of the very
conditions that decide calls. The facts are then gone through one by one, carrying only the set of rules that can
still match; what two branches have left in common is worked out once. A branch ends where the first rule left has no
condition on the facts to come.

The proof assumes nothing about which facts go together: a caller who withholds the number may still have a
known band. It is exact over every `Facts` there can be, and so a little stricter than today's telephone
network needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from router.rules.calendars import Calendar
from router.rules.examples import Example, ProofTooLargeError, band_examples, examples_by_fact
from router.rules.model import ContextTarget
from router.rules.rule import Rule

# About a second on a small machine. Files that people write need a few hundred steps.
MAX_STEPS: Final = 2_000_000

# One example for each fact that mattered, in the order of the facts; shorter where later facts did not matter.
Examples: TypeAlias = tuple[Example, ...]
Winners: TypeAlias = dict[int, Examples]


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Rule number `rule` takes no call: `hidden_by` take them all.

    If there are none, it contradicts itself: its conditions on the fields `contradictory` never hold together.
    """

    rule: int
    hidden_by: tuple[int, ...]
    contradictory: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unprotected:
    """Rule number `rule` is the first to match some caller of the protected `bands`, to no person."""

    rule: int
    bands: tuple[str, ...]
    example: str


def prove(
    rules: Sequence[Rule], bands: Sequence[str], protected: Iterable[str], calendars: Sequence[Calendar] = ()
) -> tuple[list[Unreachable], list[Unprotected]]:
    """Look at every possible call at once.

    Args:
        rules: All rules in order; the last has no conditions.
        bands: The names of all age bands.
        protected: Those that must reach a person.
        calendars: All calendars that the rules may ask for.

    Raises:
        ProofTooLargeError: more than `MAX_STEPS` steps would be needed.
    """
    space = _Space(rules, bands, calendars)
    winners = space.winners_by_band()
    reached = {rule for by_rule in winners.values() for rule in by_rule}
    unreachable = [
        Unreachable(index, tuple(sorted(space.winners_within(index))), space.contradictory(index))
        for index in range(len(rules))
        if index not in reached
    ]
    taken: dict[int, dict[str, Examples]] = {}
    for band in bands:
        if band in set(protected):
            for rule, examples in winners[band].items():
                if isinstance(rules[rule].target, ContextTarget):
                    taken.setdefault(rule, {})[band] = examples
    unprotected = [
        Unprotected(rule, tuple(by_band), ", ".join(e.said for e in next(iter(by_band.values())) if e.said))
        for rule, by_band in sorted(taken.items())
    ]
    return unreachable, unprotected


class _Space:
    """All possible calls, cut into classes by the rules. A set of rules is an integer, rule n its bit n."""

    def __init__(self, rules: Sequence[Rule], bands: Sequence[str], calendars: Sequence[Calendar]) -> None:
        self._rules = rules
        self._every = (1 << len(rules)) - 1
        self._bands = bands
        conditions = [condition for rule in rules for condition in rule.conditions]
        by_fact = examples_by_fact(conditions, bands, calendars)
        self._facts = tuple(by_fact)
        # By fact: the classes, each as the set of rules that accept it and one example.
        self._classes = [self._classes_of(fact, examples) for fact, examples in by_fact.items()]
        # A rule's facts by their place in that order.
        order = {fact: level for level, fact in enumerate(by_fact)}
        last = [max((order[condition.fact] for condition in rule.conditions), default=-1) for rule in rules]
        # By number of facts already looked at: the rules that have no condition on those to come.
        self._settled = [
            _as_set(index for index in range(len(rules)) if last[index] < level)
            for level in range(len(self._classes) + 1)
        ]
        self._steps = 0

    def _classes_of(self, fact: str, examples: Iterable[Example]) -> dict[int, Example]:
        asked = [(index, [c for c in rule.conditions if c.fact == fact]) for index, rule in enumerate(self._rules)]
        indifferent = _as_set(index for index, conditions in asked if not conditions)
        choosy = [(index, conditions) for index, conditions in asked if conditions]
        classes: dict[int, Example] = {}
        for example in examples:
            accepting = _as_set(
                index for index, conditions in choosy if all(c.accepts(example.facts) for c in conditions)
            )
            classes.setdefault(indifferent | accepting, example)
        if len(classes) == 1:  # no rule asks for this fact: an example need not speak of it
            return {accepting: replace(example, said="") for accepting, example in classes.items()}
        return classes

    def winners_by_band(self) -> dict[str | None, Winners]:
        """For each age band, and for None: the rules that are first to match some call, with an example."""
        known: dict[tuple[int, int], Winners] = {}
        by_band: dict[str | None, Winners] = {}
        for example in band_examples(self._bands):
            accepting = next(iter(self._classes_of("age_band", [example])))
            rest = self._winners(1, accepting, self._classes, known)
            by_band[example.facts.age_band] = {rule: (example, *others) for rule, others in rest.items()}
        return by_band

    def winners_within(self, rule: int) -> Winners:
        """Which rules are the first to match some call that `rule` would match as well."""
        within = [
            {accepting: example for accepting, example in classes.items() if accepting >> rule & 1}
            for classes in self._classes
        ]
        return self._winners(0, self._every, within, {})

    def contradictory(self, rule: int) -> tuple[str, ...]:
        """The fields of the rule's conditions on one fact that no call fulfils together; empty if all facts can be."""
        for fact, classes in zip(self._facts, self._classes, strict=True):
            if not any(accepting >> rule & 1 for accepting in classes):
                fields = (condition.field for condition in self._rules[rule].conditions if condition.fact == fact)
                return tuple(dict.fromkeys(fields))
        return ()

    def _winners(
        self,
        level: int,
        live: int,
        classes: Sequence[dict[int, Example]],
        known: dict[tuple[int, int], Winners],
    ) -> Winners:
        """The rules among `live` that win for some values of the facts from `level` on."""
        if settled := live & self._settled[level]:
            first = settled & -settled
            live &= (first << 1) - 1  # what follows it cannot win any more
            if live == first:
                return {first.bit_length() - 1: ()} if all(classes[level:]) else {}
        if (winners := known.get((level, live))) is not None:
            return winners
        winners = {}
        for accepting, example in classes[level].items():
            below = self._winners(level + 1, live & accepting, classes, known)
            self._steps += 1 + len(below)
            if self._steps > MAX_STEPS:
                raise ProofTooLargeError
            for rule, others in below.items():
                winners.setdefault(rule, (example, *others))
            if len(winners) == live.bit_count():
                break
        known[level, live] = winners
        return winners


def _as_set(indices: Iterable[int]) -> int:
    return sum(1 << index for index in indices)
