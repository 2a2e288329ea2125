"""The proof that every rule can be reached and that no protected caller is left without a person.

Exact, not sampled. Each condition looks at one fact (age band, language, caller, called number), and on each
fact the rules' own words cut all possible values into finitely many classes that no rule tells apart: each
band, each listed number, each prefix without what longer patterns cut out of it, anything else. One example
stands for its class; whether a rule takes it is asked of the very conditions that decide calls. The facts are
then gone through one by one, carrying only the set of rules that can still match; what two branches have left
in common is worked out once. A branch ends where the first rule left has no condition on the facts to come.

The proof assumes nothing about which facts go together: a caller who withholds the number may still have a
known band. It is exact over every `Facts` there can be, and so a little stricter than today's telephone
network needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.rules.conditions import CalledIs, CallerIs, Condition, LanguageIs, NumberPatterns
from router.rules.model import ContextTarget, Facts
from router.rules.rule import Rule

# The order matters for speed only: few classes first.
_FACTS: Final = ("age_band", "language", "caller", "called")
# About a second on a small machine. Files that people write need a few hundred steps.
MAX_STEPS: Final = 2_000_000
_PRETTY_CALLER_LENGTH: Final = 12
_PRETTY_CALLED_LENGTH: Final = 5

_BLANK = Facts(
    caller=NoNumber(NoNumberReason.SHORT, ""),
    called="",
    language="",
    age_band=None,
    at=datetime.fromtimestamp(0, UTC),
)


class ProofTooLargeError(Exception):
    """The rules combine in more ways than can be gone through in reasonable time."""


@dataclass(frozen=True, slots=True)
class Example:
    """One value of one fact, standing for all that no rule tells from it. `said` is it in a sentence."""

    facts: Facts
    said: str


# One example for each fact that mattered, in the order of `_FACTS`; shorter where later facts did not matter.
Examples: TypeAlias = tuple[Example, ...]
Winners: TypeAlias = dict[int, Examples]


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Rule number `rule` takes no call: `hidden_by` take them all, or, if none, it contradicts itself."""

    rule: int
    hidden_by: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unprotected:
    """Rule number `rule` is the first to match some caller of the protected `bands`, to no person."""

    rule: int
    bands: tuple[str, ...]
    example: str


def prove(
    rules: Sequence[Rule], bands: Sequence[str], protected: Iterable[str]
) -> tuple[list[Unreachable], list[Unprotected]]:
    """Look at every possible call at once.

    Args:
        rules: All rules in order; the last has no conditions.
        bands: The names of all age bands.
        protected: Those that must reach a person.

    Raises:
        ProofTooLargeError: more than `MAX_STEPS` steps would be needed.
    """
    space = _Space(rules, bands)
    winners = space.winners_by_band()
    reached = {rule for by_rule in winners.values() for rule in by_rule}
    unreachable = [
        Unreachable(index, tuple(sorted(space.winners_within(index))))
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

    def __init__(self, rules: Sequence[Rule], bands: Sequence[str]) -> None:
        self._rules = rules
        self._every = (1 << len(rules)) - 1
        self._bands = bands
        conditions = [condition for rule in rules for condition in rule.conditions]
        # By fact: the classes, each as the set of rules that accept it and one example.
        self._classes = [
            self._classes_of(fact, examples)
            for fact, examples in zip(_FACTS, _all_examples(conditions, bands), strict=True)
        ]
        # By number of facts already looked at: the rules that have no condition on those to come.
        self._settled = [
            _as_set(
                index
                for index, rule in enumerate(rules)
                if not any(condition.fact in _FACTS[level:] for condition in rule.conditions)
            )
            for level in range(len(_FACTS) + 1)
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
        for example in _band_examples(self._bands):
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


def _all_examples(conditions: Sequence[Condition], bands: Sequence[str]) -> Iterator[list[Example]]:
    """For each fact in turn, an example of every class of values that the conditions can tell apart."""
    yield _band_examples(bands)
    yield _language_examples({lang for c in conditions if isinstance(c, LanguageIs) for lang in c.languages})
    yield _caller_examples([c.patterns for c in conditions if isinstance(c, CallerIs)])
    yield _called_examples([c.patterns for c in conditions if isinstance(c, CalledIs)])


def _band_examples(bands: Sequence[str]) -> list[Example]:
    unknown = Example(replace(_BLANK, age_band=None), "")
    return [unknown, *(Example(replace(_BLANK, age_band=band), "") for band in bands)]


def _language_examples(languages: set[str]) -> list[Example]:
    # What a longer name than any listed is taken as, the listed one before its `_` is taken as too.
    other = Example(_BLANK, "any other language" if languages else "")
    return [
        other,
        *(Example(replace(_BLANK, language=lang), f"language {lang}") for lang in sorted(languages)),
    ]


def _caller_examples(patterns: Sequence[NumberPatterns]) -> list[Example]:
    withheld = NoNumber(NoNumberReason.WITHHELD, "")
    examples = [
        Example(replace(_BLANK, caller=withheld), "the caller's number withheld"),
        Example(_BLANK, "a caller without a usable number"),
    ]
    for text, is_listed in _number_examples(patterns, "+", _PRETTY_CALLER_LENGTH):
        try:
            number = PhoneNumber(text)
        except ValueError:
            continue  # no caller has a number so short, so long or beginning with 0
        examples.append(Example(replace(_BLANK, caller=number), f"caller {text}" if is_listed else "any other caller"))
    return examples


def _called_examples(patterns: Sequence[NumberPatterns]) -> list[Example]:
    return [
        Example(replace(_BLANK, called=text), f"called number {text}" if is_listed else "any other called number")
        for text, is_listed in _number_examples(patterns, "", _PRETTY_CALLED_LENGTH)
    ]


def _number_examples(patterns: Sequence[NumberPatterns], root: str, pretty_length: int) -> Iterator[tuple[str, bool]]:
    """Numbers that stand for every class the patterns cut, each with whether it begins like one of them.

    Take all beginnings of all patterns as the nodes of a tree. Whatever number there is, let `node` be the
    longest node it begins with. Either it is that node; or it goes on with a character that no longer node
    has, and then it matches what every number matches that leaves the tree there.
    """
    listed_numbers = {number for p in patterns for number in (*p.exact, *p.prefixes)}
    nodes = {root} | {number[:end] for number in listed_numbers for end in range(1, len(number) + 1)}
    for node in sorted(nodes, reverse=True):
        is_listed = any(node[:end] in listed_numbers for end in range(len(node) + 1))
        yield node, is_listed
        # A number that no rule lists reads best as the digits that are left over, filled up with zeros. `#`
        # is what a telephone can dial beside digits, should all ten be taken.
        free = next(c for c in "1234567890#" if node + c not in nodes)
        yield (node + free).ljust(max(pretty_length, len(node) + 1), "0"), is_listed
