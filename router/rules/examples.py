"""Examples that stand for all possible values of a fact: one for every class that no condition tells apart.

`proof` goes through them; what is missed here is a call that it does not look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations_with_replacement, product
from typing import Final

from router.callers.number import MAX_E164_DIGITS, NoNumber, NoNumberReason, PhoneNumber
from router.callers.past import NORMAL, SLOWER, Chosen, choice_in_words
from router.rules.calendars import Calendar, combinations
from router.rules.conditions import (
    NOT_KNOWN,
    QUEUE_FACT,
    CalendarIs,
    CalledIs,
    CallerIs,
    Condition,
    LanguageIs,
    NumberPatterns,
    QueueIs,
    RepeatIs,
    RolloutIs,
    queue_in_words,
)
from router.rules.durations import in_words
from router.rules.listed_numbers import ListedNumbers
from router.rules.model import Facts, QueueState

# Of one fact. Rules that people write cut a fact into some dozen classes.
MAX_EXAMPLES: Final = 100_000
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


def examples_by_fact(
    conditions: Sequence[Condition], bands: Sequence[str], calendars: Sequence[Calendar]
) -> dict[str, list[Example]]:
    """For each fact that a condition may ask for, an example of every class of its values.

    The order matters for the proof's speed only: few classes first.
    """
    queues: dict[str, list[QueueIs]] = {}
    for condition in conditions:
        if isinstance(condition, QueueIs):
            queues.setdefault(condition.queue, []).append(condition)
    return {
        "age_band": band_examples(bands),
        "choice": _choice_examples(),
        "calendar": _calendar_examples([c for c in conditions if isinstance(c, CalendarIs)], calendars),
        "rollout": _rollout_examples({c.percent for c in conditions if isinstance(c, RolloutIs)}),
        "repeat": _repeat_examples([c for c in conditions if isinstance(c, RepeatIs)]),
        **{
            f"{QUEUE_FACT}{queue}": _queue_examples(
                [c for c in conditions if isinstance(c, QueueIs) and c.queue == queue]
            )
            for queue in queues
        },
        "language": _language_examples({lang for c in conditions if isinstance(c, LanguageIs) for lang in c.languages}),
        "caller": _caller_examples([c.patterns for c in conditions if isinstance(c, CallerIs)]),
        "called": _called_examples([c.patterns for c in conditions if isinstance(c, CalledIs)]),
    }


def band_examples(bands: Sequence[str]) -> list[Example]:
    """Each band, and a caller of none."""
    unknown = Example(replace(_BLANK, age_band=None), "")
    return [unknown, *(Example(replace(_BLANK, age_band=band), "") for band in bands)]


def _choice_examples() -> list[Example]:
    """Every set of words that a choice can have; whatever profile it names, no rule asks for it."""
    examples = [Example(_BLANK, "the caller's choice not known")]
    for pace, person in product(("", SLOWER, NORMAL), (False, True)):
        choice = str(Chosen(pace, "", person))
        said = f"the choice «{choice_in_words(choice)}» remembered" if choice else "no choice remembered"
        examples.append(Example(replace(_BLANK, choice=choice), said))
    return examples


def _calendar_examples(conditions: Sequence[CalendarIs], calendars: Sequence[Calendar]) -> list[Example]:
    asked = {name for condition in conditions for name in condition.calendars}
    moments = combinations(tuple(calendar for calendar in calendars if calendar.name in asked))
    return [Example(replace(_BLANK, calendars=moment.open), str(moment)) for moment in moments]


def _rollout_examples(shares: set[float]) -> list[Example]:
    places = [0.0, *(share for share in sorted(shares) if share < 100)]  # noqa: PLR2004 - a place is below it
    none = Example(_BLANK, "a call without a number")
    return [none, *(Example(replace(_BLANK, rollout=place), f"roll-out place {place:g}") for place in places)]


def _repeat_examples(conditions: Sequence[RepeatIs]) -> list[Example]:
    """Every way in which the number of calls within each span can lie to the numbers asked for."""
    spans = sorted({condition.within_s for condition in conditions})
    levels = sorted({0, *(condition.calls - 1 for condition in conditions)})
    examples = [Example(_BLANK, "earlier calls not known")]
    # What lies within a span lies within a longer one too: the counts never fall.
    for counts in combinations_with_replacement(levels, len(spans)):
        if len(examples) >= MAX_EXAMPLES:
            raise ProofTooLargeError
        earlier: list[float] = []
        for span, count in zip(spans, counts, strict=True):
            earlier += [span] * (count - len(earlier))
        said = f"call {len(earlier) + 1} within {in_words(spans[-1])}" if spans else ""
        examples.append(Example(replace(_BLANK, earlier_calls_s=tuple(earlier)), said))
    return examples


def _queue_examples(conditions: Sequence[QueueIs]) -> list[Example]:
    """Every way in which a queue's state can lie to the bounds asked for."""
    first = {"waiting": {0}, "longest_wait_s": {0}, "agents_free": {0}}
    for condition in conditions:
        for bound in condition.bounds:
            # The first value on the other side of it.
            first[bound.quantity].add(bound.bound if bound.under else bound.bound + 1)
    # Whether somebody waits is a difference too, as a queue with nobody in it has no longest wait.
    first["waiting"].add(1)
    values = [sorted(first[quantity]) for quantity in ("waiting", "longest_wait_s", "agents_free")]
    if len(values[0]) * len(values[1]) * len(values[2]) > MAX_EXAMPLES:
        raise ProofTooLargeError
    target = conditions[0].target
    examples = [Example(_BLANK, f"the state of {target} {NOT_KNOWN}")]
    for waiting, longest_s, free in product(*values):
        if waiting == 0 and longest_s > 0:
            continue
        state = QueueState(waiting, longest_s, free)
        queues = {conditions[0].queue: state}
        examples.append(Example(replace(_BLANK, queues=queues), f"in {target}: {queue_in_words(state)}"))
    return examples


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

    Listed numbers that the same conditions list and that begin with the same listed beginnings are one class, of which
    one is kept. Take all beginnings of what is kept as the nodes of a tree. Whatever other number there is, let `node`
    be the longest node it begins with. Either it is that node; or it goes on with a character that no longer node
    has, and then, unless it is itself listed, it matches what every number matches that leaves the tree there.
    """
    prefixes = {prefix for p in patterns for prefix in p.prefixes}
    listed = _Listed(patterns)
    kept = _one_of_each_class(listed, prefixes)
    listed_numbers = kept | prefixes
    nodes = {root} | {number[:end] for number in listed_numbers for end in range(1, len(number) + 1)}
    if len(nodes) > MAX_EXAMPLES:
        raise ProofTooLargeError
    for node in sorted(nodes, reverse=True):
        is_listed = any(node[:end] in listed_numbers for end in range(len(node) + 1))
        yield node, is_listed
        # A number that no rule lists reads best as the digits that are left over, filled up with zeros. `#`
        # is what a telephone can dial beside digits, should all ten be taken.
        free = next(c for c in "1234567890#" if node + c not in nodes)
        yield _unlisted(node + free, max(pretty_length, len(node) + 1), listed), is_listed


def _one_of_each_class(listed: _Listed, prefixes: set[str]) -> set[str]:
    """Whole numbers that stand for all listed ones: of each class the first."""
    lengths = sorted({len(prefix) for prefix in prefixes})
    classes: dict[tuple[int, frozenset[str]], str] = {}
    for number, listing in listed.each():
        begins = frozenset(number[:length] for length in lengths) & prefixes
        first = classes.setdefault((listing, begins), number)
        if number < first:
            classes[listing, begins] = number
    return set(classes.values())


class _Listed:
    """All whole numbers that patterns list, of which there may be a million."""

    def __init__(self, patterns: Sequence[NumberPatterns]) -> None:
        # By whom: a set of patterns is an integer, the nth its bit n.
        self._few: dict[str, int] = {}
        self._many: dict[ListedNumbers, int] = {}
        for index, p in enumerate(patterns):
            for number in p.exact:
                self._few[number] = self._few.get(number, 0) | 1 << index
            for numbers in p.lists:
                self._many[numbers] = self._many.get(numbers, 0) | 1 << index

    def __contains__(self, number: str) -> bool:
        return number in self._few or any(number in numbers for numbers in self._many)

    def each(self) -> Iterator[tuple[str, int]]:
        """Every number once, with the set of the patterns that list it."""
        for number, listing in self._few.items():
            yield number, listing | sum(by for numbers, by in self._many.items() if number in numbers)
        for shares in zip(*(numbers.shares() for numbers in self._many), strict=True):
            listings: dict[str, int] = {}
            for share, by in zip(shares, self._many.values(), strict=True):
                for number in share:
                    listings[number] = listings.get(number, 0) | by
            for number, listing in listings.items():
                if number not in self._few:
                    yield number, listing


def _unlisted(beginning: str, length: int, listed: _Listed) -> str:
    """A number with that beginning which is not listed."""
    for end in range(max(length, len(beginning)), MAX_E164_DIGITS + 2):
        for fill in "0123456789":
            if (number := beginning.ljust(end, fill)) not in listed:
                return number
    digits = max(1, length - len(beginning))
    for last in range(1_000_000):
        # As long as the others, for a number may be too short to be one.
        if (number := f"{beginning}{last:0{digits}}") not in listed:
            return number
    raise ProofTooLargeError
