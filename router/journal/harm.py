"""How rules would make protected callers worse off than others made them: the gate of `elder-router diff`.

A queue serves first who has the least time of joining less head start, and a call keeps its head start in the queue
that it overflows into. So between two waiting callers nothing but the difference of their head starts says who is
ahead, and by how much. Callers of protected age bands whom the old rules sent to a queue are worse off for new rules
that

1. send them to a context of the dialplan: they lose a person (`LOSES_PERSON`);
2. send them to a queue with a smaller head start (`SMALLER_HEAD_START`);
3. have others in their queue, where the old rules had none in theirs (`OTHERS_JOIN`);
4. let others get further ahead of them in their queue, or in the one that they overflow into; how far that is: the
   largest head start of those others less their own (`OTHERS_AHEAD`);
5. let others of their own age band get further ahead of them, likewise (`FELLOWS_AHEAD`);
6. take their overflow away (`LOSES_OVERFLOW`) or make it come later (`LATER_OVERFLOW`), and do not send them at once to
   the queue that it led to.

Others are the callers of age bands that are not known to be protected, and of none; in a queue is who is sent there or
overflows into it. An overflow's queue is never empty: those come into it whom no rule decides, without a head start.
Callers of another protected band are no others: that the oldest go first may be what is wanted, and is only told of
(`Outranked`). How busy a queue is, is not judged.

A caller counts once, for the first of these. 3 to 5 are looked at over the calls that one version of the old rules
decided, since another version's others are no measure for them, and again over all calls, since callers of two versions
have waited in the same queues; either will do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call is sent, and how: what rules decide about it.

    `queue` is "" for a context of the dialplan, and `context` for a queue. `language` is "" unless it is one that the
    other rules would not have spoken.
    """

    target: str
    queue: str
    context: str
    head_start_s: int
    speech: str
    language: str
    agent_label: str
    overflow_s: int | None
    overflow_queue: str


@dataclass(frozen=True, slots=True)
class Example:
    """One call, its caller masked."""

    time: datetime
    node: str
    uniqueid: str
    caller: str
    called: str
    age_band: str | None
    old_rule: str
    new_rule: str


@dataclass(slots=True)
class Calls:
    """How many, and the first few of them."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, others: Calls, most_examples: int) -> None:
        """Count others too."""
        self.count += others.count
        self.examples += others.examples[: most_examples - len(self.examples)]


@dataclass(slots=True)
class Pair:
    """The calls of one band that one version of the rules sent one way and that the new rules would send one way."""

    version: str
    band: str | None
    old: Route
    new: Route
    calls: Calls = field(default_factory=Calls)
    not_told: int = 0
    """Of how many the record does not tell something that the new rules ask for."""


class Harm(StrEnum):
    """How protected callers would be worse off, the worst first."""

    LOSES_PERSON = "loses a person"
    SMALLER_HEAD_START = "waits behind: a smaller head start"
    OTHERS_JOIN = "waits behind: others join their queue"
    OTHERS_AHEAD = "waits behind: others get further ahead"
    FELLOWS_AHEAD = "waits behind: others of their age band get further ahead"
    LOSES_OVERFLOW = "waits longer: loses the overflow"
    LATER_OVERFLOW = "waits longer: for the overflow"


@dataclass(frozen=True, slots=True)
class Place:
    """A queue with the head start and the overflow of a call in it; or a context."""

    queue: str
    context: str
    head_start_s: int
    overflow_s: int | None
    overflow_queue: str


@dataclass(frozen=True, slots=True)
class Harmed:
    """Protected callers who would be worse off.

    `old_ahead_s` and `new_ahead_s` are by how much others of `queue` can be ahead of them, below 0 if they themselves
    are, None where there are none; for `FELLOWS_AHEAD`, others of their band. `queue` is the new rules', theirs or the
    one they overflow into.
    """

    harm: Harm
    band: str
    queue: str
    old: Place
    new: Place
    old_ahead_s: int | None
    new_ahead_s: int | None
    calls: Calls


@dataclass(frozen=True, slots=True)
class Outranked:
    """Protected callers, not worse off, of whom those of other protected bands would get further ahead in a queue."""

    band: str
    queue: str
    calls: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What is found: those worse off, the worst harm first, and those outranked, most calls first."""

    harmed: tuple[Harmed, ...]
    outranked: tuple[Outranked, ...]


def judged(pairs: Collection[Pair], protected: Collection[str], known: Collection[str], examples: int) -> Judged:
    """Everybody of the protected bands who would be worse off.

    Args:
        pairs: All calls that were compared.
        protected: The age bands to be spared.
        known: Those of them that are known to be protected. Of the others that is not known, and their callers are
            others to everybody else.
        examples: How many calls are kept of each kind.
    """
    queues = _Queues(pairs, known)
    found: dict[tuple[Harm, str, str, Place, Place, int | None, int | None], Harmed] = {}
    outranked = Counter[tuple[str, str]]()
    for pair in pairs:
        band = pair.band
        if band is None or band not in protected or not pair.old.queue:
            continue
        if (worse := queues.worse(pair)) is not None:
            harm, ahead = worse
            kind = (harm, band, ahead.queue, _place(pair.old), _place(pair.new), ahead.old_s, ahead.new_s)
            if kind not in found:
                found[kind] = Harmed(*kind, Calls())
            found[kind].calls.add(pair.calls, examples)
        elif queues.is_outranked(pair):
            outranked[band, pair.new.queue] += pair.calls.count
    order = list(Harm)
    return Judged(
        tuple(sorted(found.values(), key=lambda one: (order.index(one.harm), -one.calls.count))),
        tuple(Outranked(*where, calls) for where, calls in outranked.most_common()),
    )


_ALL_VERSIONS = ""
_OLD, _NEW = 0, 1
_Rivals: TypeAlias = Callable[[str | None], bool]


@dataclass(frozen=True, slots=True)
class _Ahead:
    """By how much others of a queue, the new rules' `queue`, can be ahead of a caller; None where there are none."""

    queue: str
    old_s: int | None
    new_s: int | None

    @property
    def is_worse(self) -> bool:
        return self.new_s is not None and (self.old_s is None or self.new_s > self.old_s)


class _Queues:
    """Who is in which queue by the old rules and by the new, as far as it matters: each band's largest head start."""

    def __init__(self, pairs: Iterable[Pair], known: Collection[str]) -> None:
        self._known = known
        self._largest: defaultdict[tuple[str, int, str], dict[str | None, int]] = defaultdict(dict)
        for pair in pairs:
            for side, route in ((_OLD, pair.old), (_NEW, pair.new)):
                for queue in {route.queue, route.overflow_queue} - {""}:
                    for version in (pair.version, _ALL_VERSIONS):
                        starts = self._largest[version, side, queue]
                        starts[pair.band] = max(starts.get(pair.band, 0), route.head_start_s)

    def worse(self, pair: Pair) -> tuple[Harm, _Ahead] | None:
        """The harm done to the callers of a pair, if any, and how others stand to them."""
        level = self._in_queue(pair, _ALL_VERSIONS, self._others(pair))
        if not pair.new.queue:
            return Harm.LOSES_PERSON, level
        if pair.new.head_start_s < pair.old.head_start_s:
            return Harm.SMALLER_HEAD_START, level
        if (behind := self._behind(pair)) is not None:
            return behind
        harm = _overflow_harm(pair.old, pair.new)
        return None if harm is None else (harm, level)

    def _behind(self, pair: Pair) -> tuple[Harm, _Ahead] | None:
        """Whether rivals get further ahead of them, or into their queue."""
        for rivals, harm in ((self._others(pair), Harm.OTHERS_AHEAD), (self._fellows(pair), Harm.FELLOWS_AHEAD)):
            for version in (pair.version, _ALL_VERSIONS):
                every = [self._in_queue(pair, version, rivals)]
                if pair.old.overflow_queue and pair.new.overflow_queue:
                    every.append(self._in_overflow(pair, version, rivals))
                for ahead in every:
                    if ahead.is_worse:
                        return (Harm.OTHERS_JOIN if ahead.old_s is None else harm), ahead
        return None

    def is_outranked(self, pair: Pair) -> bool:
        """Whether those of other bands known to be protected get further ahead of them."""

        def elders(band: str | None) -> bool:
            return band != pair.band and band in self._known

        every = [self._in_queue(pair, version, elders) for version in (pair.version, _ALL_VERSIONS)]
        return any((ahead.new_s or 0) > max(ahead.old_s or 0, 0) for ahead in every)

    def _others(self, pair: Pair) -> _Rivals:
        return lambda band: band != pair.band and band not in self._known

    def _fellows(self, pair: Pair) -> _Rivals:
        return lambda band: band == pair.band

    def _in_queue(self, pair: Pair, version: str, rivals: _Rivals) -> _Ahead:
        old_s = self._largest_s(version, _OLD, pair.old.queue, rivals)
        new_s = self._largest_s(version, _NEW, pair.new.queue, rivals)
        return _Ahead(
            pair.new.queue,
            None if old_s is None else old_s - pair.old.head_start_s,
            None if new_s is None else new_s - pair.new.head_start_s,
        )

    def _in_overflow(self, pair: Pair, version: str, rivals: _Rivals) -> _Ahead:
        old_s = self._largest_s(version, _OLD, pair.old.overflow_queue, rivals) or 0
        new_s = self._largest_s(version, _NEW, pair.new.overflow_queue, rivals) or 0
        return _Ahead(pair.new.overflow_queue, old_s - pair.old.head_start_s, new_s - pair.new.head_start_s)

    def _largest_s(self, version: str, side: int, queue: str, rivals: _Rivals) -> int | None:
        """The largest head start of those rivals in a queue."""
        starts = self._largest.get((version, side, queue), {})
        return max((start for band, start in starts.items() if rivals(band)), default=None)


def _overflow_harm(old: Route, new: Route) -> Harm | None:
    if old.overflow_s is None or new.queue == old.overflow_queue:
        return None
    if new.overflow_s is None:
        return Harm.LOSES_OVERFLOW
    return Harm.LATER_OVERFLOW if new.overflow_s > old.overflow_s else None


def _place(route: Route) -> Place:
    return Place(route.queue, route.context, route.head_start_s, route.overflow_s, route.overflow_queue)
