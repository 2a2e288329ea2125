"""Recorded decisions put to other rules: who would be routed differently.

Pure: it is handed the decisions one by one, and keeps tables whose size is that of the rules and not of the journal.
Nothing is matched here: the rules decide, and their trace tells what they asked for that was not known. Which of the
differences protected callers must be spared is told in `harm`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from router.errors import JournalError
from router.journal.harm import Calls, Example, Harmed, Outranked, Pair, Route, judged
from router.journal.replay import facts_of
from router.rules.book import RuleBook
from router.rules.conditions import NOT_KNOWN
from router.rules.model import Decision, QueueTarget, SpeechProfile
from router.rules.recorded import Recogniser
from router.rules.values import FALLBACK_RULE

# Bands, routes before and routes after, combined: a thousand rules make some thousands of them.
MAX_PAIRS: Final = 50_000

# No call is older or younger; near the ends of what Python counts, time zones cannot be reckoned with.
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
# More than rules can define. What a journal of nonsense has beyond counts as unknown.
_MOST_BANDS_KEPT = 1000
_texts_of = itemgetter("node", "uniqueid", "caller", "called", "rule")
_TEXTS_OF_ROUTE = (
    *("rules_version", "target", "queue", "context", "speech", "channel_language", "agent_label", "overflow_queue"),
    "language",
)
_OF_THE_CALLER = frozenset({"repeat", "choice"})
# A hundred years.
_MOST_SECONDS = 3_200_000_000
_NO_BOOKS: Final[Mapping[str, RuleBook]] = MappingProxyType({})
_UNUSABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)

Spoken: TypeAlias = Callable[[str, SpeechProfile, frozenset[str]], str]
"""The channel language for a language, a profile and the names of all profiles."""


@dataclass(frozen=True, slots=True)
class OfBand:
    """The calls of one age band, which is None where it was not known, and how many would be routed differently.

    Of `not_told` the record lacks something that the new rules ask for. `refused` could not be put to them.
    """

    band: str | None
    is_protected: bool
    is_defined: bool
    calls: int
    differ: int
    not_told: int
    refused: int


@dataclass(frozen=True, slots=True)
class Change:
    """Calls that went one way and would go another."""

    old: Route
    new: Route
    calls: Calls


@dataclass(frozen=True, slots=True)
class NotTold:
    """What the new rules ask for and so many decisions do not tell: the condition, and of a queue which target."""

    field: str
    target: str
    calls: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What came out.

    Attributes:
        compared: Decisions of rules, all of them put to the new ones.
        differ: Those of them that would be routed differently.
        fell_back: Calls that went to people without a decision, which are not compared.
        undecided: Others without one: an error in the router.
        elsewhen: Decisions that lie outside of the time asked for.
        first, last: When the first and the last of those compared was made.
        versions: Calls by the version of the rules that decided them.
        bands: As the new rules order them, then those that they do not define, then those not known.
        changes: Most calls first.
        harmed: What the gate finds.
        outranked: What it leaves to people.
        faster: Decisions of protected callers to whom the new rules would speak faster.
        not_told: What the new rules ask for in vain.
        time_of_writing: Decisions that tell when they were written, not when they were made, though the new rules
            have calendars.
    """

    compared: int
    differ: int
    fell_back: int
    undecided: int
    elsewhen: int
    first: datetime | None
    last: datetime | None
    versions: Mapping[str, int]
    bands: tuple[OfBand, ...]
    changes: tuple[Change, ...]
    harmed: tuple[Harmed, ...]
    outranked: tuple[Outranked, ...]
    faster: int
    not_told: tuple[NotTold, ...]
    time_of_writing: int


class Comparison:
    """Puts decisions to other rules and gathers what comes out.

    Args:
        book: The new rules.
        recogniser: Tells whether a caller is one of those that the rules name.
        spoken: Makes the channel language of a decision.
        since: Decisions made before it are left out.
        until: Those made then and later are.
        examples: How many calls are kept of each kind.
    """

    def __init__(
        self,
        book: RuleBook,
        *,
        recogniser: Recogniser,
        spoken: Spoken,
        since: datetime | None = None,
        until: datetime | None = None,
        examples: int = 3,
    ) -> None:
        self._book = book
        self._recogniser = recogniser
        self._spoken = spoken
        self._since = since or _EARLIEST
        self._until = until or _LATEST
        self._examples = examples
        self._bands = frozenset(book.bands.names)
        self._profiles = frozenset(book.speech)
        asked = {condition.field for rule in book.rules for condition in rule.conditions}
        self._asks = not asked.isdisjoint({"queue", *_OF_THE_CALLER})
        self._pairs: dict[tuple[Any, ...], Pair] = {}
        self._not_told: Counter[tuple[str, str]] = Counter()
        self._fell_back = self._undecided = self._elsewhen = self._time_of_writing = 0
        self._first, self._last = _LATEST, _EARLIEST
        self._refused: Counter[str | None] = Counter()

    def take(self, fields: dict[str, Any]) -> str:
        """Put one decision to the new rules.

        Args:
            fields: The record as a line of the journal has it, read as JSON. A band that the new rules do not define
                is taken out of it: it counts as not known, as it would for the router.

        Returns:
            What is wrong with the record, if it cannot be used; otherwise "".

        Raises:
            JournalError: There are more different routes than rules make.
        """
        band = fields.get("age_band", False)
        try:
            return self._take(fields)
        except _UNUSABLE as error:
            if (band is None or isinstance(band, str)) and len(self._refused) < _MOST_BANDS_KEPT:
                self._refused[band] += 1
            if isinstance(error, KeyError):
                return f"is no decision that can be replayed: {error.args[0]!r:.40} is missing or unknown"
            return f"is no decision that can be replayed: {error}"[:200]

    def _take(self, fields: dict[str, Any]) -> str:
        band = fields["age_band"]
        if band is not None and band not in self._bands:
            fields["age_band"] = None
        facts = facts_of(fields, self._recogniser, self._book.version)
        if not self._since <= facts.at < self._until:
            if not _EARLIEST <= facts.at < _LATEST:
                raise ValueError("it was made in no year from 2000 to 2100")
            self._elsewhen += 1
            return ""
        _check_texts(fields)
        rule = fields["rule"]
        if not rule or rule == FALLBACK_RULE:
            if fields["fallback"]:
                self._fell_back += 1
            else:
                self._undecided += 1
            return ""
        decision = self._book.decide(facts)
        pair = self._pair(band, fields, decision)
        pair.calls.count += 1
        if len(pair.calls.examples) < self._examples:
            pair.calls.examples.append(_example(fields, facts.at, band, decision))
        self._first, self._last = min(self._first, facts.at), max(self._last, facts.at)
        if self._asks:
            pair.not_told += self._note_not_told(decision, has_number=bool(fields["caller_key"]))
        if self._book.calendars and fields.get("at") is None:
            self._time_of_writing += 1
        return ""

    def _pair(self, band: str | None, fields: Mapping[str, Any], decision: Decision) -> Pair:
        """The pair of routes of one decision; a new one if no decision before had it."""
        key = (
            band,
            fields["rules_version"],
            fields["target"],
            fields["queue"],
            fields["context"],
            fields["head_start_s"],
            fields["speech"],
            fields["channel_language"],
            fields["agent_label"],
            fields["overflow_s"],
            fields["overflow_queue"],
            fields["language"],
            decision.rule,
            decision.speech.name,  # one rule's callers may have chosen another than it says
        )
        if (pair := self._pairs.get(key)) is not None:
            return pair
        if len(self._pairs) == MAX_PAIRS:
            raise JournalError(
                f"the records and the rules make more than {MAX_PAIRS} different pairs of routes, which no centre's "
                "do; are these the journals of one centre?"
            )
        _check_route(band, fields)
        old_language = _without_suffix(fields["channel_language"], fields["speech"])
        speech = decision.speech
        new_language = _without_suffix(
            self._spoken(decision.language or fields["language"], speech, self._profiles), speech.name
        )
        if old_language == new_language:
            old_language = new_language = ""
        old = Route(
            target=fields["target"],
            queue=fields["queue"],
            context=fields["context"],
            head_start_s=fields["head_start_s"],
            speech=fields["speech"],
            language=old_language,
            agent_label=fields["agent_label"],
            overflow_s=fields["overflow_s"],
            overflow_queue=fields["overflow_queue"],
        )
        pair = self._pairs[key] = Pair(fields["rules_version"], band, old, _route(decision, new_language))
        return pair

    def _note_not_told(self, decision: Decision, *, has_number: bool) -> bool:
        asked = set()
        for step in decision.trace:
            if step.failed == "queue" and step.saw.endswith(NOT_KNOWN):
                asked.add((step.failed, step.saw.partition(":")[0]))
            elif step.failed in _OF_THE_CALLER and step.saw == NOT_KNOWN and has_number:
                # Of a caller without a number nobody knows what went before, the router neither.
                asked.add((step.failed, ""))
        for fact in asked:
            self._not_told[fact] += 1
        return bool(asked)

    @property
    def versions(self) -> dict[str, int]:
        """How many of the decisions compared each version of the rules had made, most first."""
        calls: Counter[str] = Counter()
        for pair in self._pairs.values():
            calls[pair.version] += pair.calls.count
        return dict(calls.most_common())

    @property
    def bands(self) -> frozenset[str]:
        """The age bands of the callers whose decisions were compared or refused, as they are recorded."""
        every = {pair.band for pair in self._pairs.values()} | set(self._refused)
        return frozenset(band for band in every if band is not None)

    def result(
        self, protected: Collection[str], known: Collection[str] | None = None, old: Mapping[str, RuleBook] = _NO_BOOKS
    ) -> Difference:
        """What has come out.

        Args:
            protected: The age bands whose callers must not be worse off.
            known: Those of them that are known to be protected, if that is not known of all.
            old: The rules that decided, by their version, as far as they are to be had.
        """
        pairs = list(self._pairs.values())
        compared = sum(pair.calls.count for pair in pairs)
        found = judged(pairs, protected, protected if known is None else known, self._examples)
        return Difference(
            compared=compared,
            differ=sum(pair.calls.count for pair in pairs if pair.old != pair.new),
            fell_back=self._fell_back,
            undecided=self._undecided,
            elsewhen=self._elsewhen,
            first=self._first if compared else None,
            last=self._last if compared else None,
            versions=self.versions,
            bands=self._of_bands(pairs, protected),
            changes=self._changes(pairs),
            harmed=found.harmed,
            outranked=found.outranked,
            faster=sum(pair.calls.count for pair in pairs if pair.band in protected and self._is_faster(pair, old)),
            not_told=tuple(NotTold(*fact, calls) for fact, calls in self._not_told.most_common()),
            time_of_writing=self._time_of_writing,
        )

    def _of_bands(self, pairs: Iterable[Pair], protected: Collection[str]) -> tuple[OfBand, ...]:
        calls: Counter[str | None] = Counter()
        differ: Counter[str | None] = Counter()
        not_told: Counter[str | None] = Counter()
        for pair in pairs:
            calls[pair.band] += pair.calls.count
            not_told[pair.band] += pair.not_told
            if pair.old != pair.new:
                differ[pair.band] += pair.calls.count
        seen = set(calls) | set(self._refused)
        defined = [name for name in self._book.bands.names if name in seen]
        others = sorted(band for band in seen if band is not None and band not in self._bands)
        return tuple(
            OfBand(
                band=band,
                is_protected=band in protected,
                is_defined=band is None or band in self._bands,
                calls=calls[band],
                differ=differ[band],
                not_told=not_told[band],
                refused=self._refused[band],
            )
            for band in (*defined, *others, *([None] if None in seen else []))
        )

    def _is_faster(self, pair: Pair, old: Mapping[str, RuleBook]) -> bool:
        """Whether the new rules speak faster; of old ones that are not to be had, a profile is taken for the new's."""
        speech = old[pair.version].speech if pair.version in old else self._book.speech
        before = speech.get(pair.old.speech)
        return before is not None and self._book.speech[pair.new.speech].rate > before.rate

    def _changes(self, pairs: Iterable[Pair]) -> tuple[Change, ...]:
        found: defaultdict[tuple[Route, Route], Calls] = defaultdict(Calls)
        for pair in pairs:
            if pair.old != pair.new:
                found[pair.old, pair.new].add(pair.calls, self._examples)
        changes = [Change(old, new, calls) for (old, new), calls in found.items()]
        return tuple(sorted(changes, key=lambda change: -change.calls.count))


def _route(decision: Decision, language: str) -> Route:
    target = decision.target
    overflow = target.overflow if isinstance(target, QueueTarget) else None
    return Route(
        target=target.name,
        queue=target.queue if isinstance(target, QueueTarget) else "",
        context="" if isinstance(target, QueueTarget) else target.context,
        head_start_s=decision.head_start_s,
        speech=decision.speech.name,
        language=language,
        agent_label=decision.agent_label,
        overflow_s=overflow.after_s if overflow else None,
        overflow_queue=overflow.queue if overflow else "",
    )


def _check_texts(fields: Mapping[str, Any]) -> None:
    for text in _texts_of(fields):
        if not isinstance(text, str):
            raise TypeError("node, uniqueid, caller, called or rule is no text")


def _check_route(band: object, fields: Mapping[str, Any]) -> None:
    """What the journal says of a route must be what a router writes.

    Raises:
        TypeError: It is not.
    """
    head_start_s, overflow_s = fields["head_start_s"], fields["overflow_s"]
    if band is not None and not isinstance(band, str):
        raise TypeError("age_band is no text")
    for name in _TEXTS_OF_ROUTE:
        if not isinstance(fields[name], str):
            raise TypeError(f"{name} is no text")
    if not _is_count(head_start_s):
        raise TypeError("head_start_s is no whole number of seconds")
    if overflow_s is not None and not _is_count(overflow_s):
        raise TypeError("overflow_s is no whole number of seconds")
    if (fields["queue"] == "") == (fields["context"] == "") or (overflow_s is None) != (fields["overflow_queue"] == ""):
        raise TypeError("it leads to no queue or context, or to both, or has half an overflow")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS


def _without_suffix(channel_language: str, speech: str) -> str:
    """The language itself, whatever the profile that it is spoken in."""
    return channel_language.removesuffix(f"_{speech}")


def _example(fields: Mapping[str, Any], at: datetime, band: str | None, decision: Decision) -> Example:
    return Example(
        at, fields["node"], fields["uniqueid"], fields["caller"], fields["called"], band, fields["rule"], decision.rule
    )
