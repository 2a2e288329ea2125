"""How rules would make protected callers worse off than others made them: the gate of `elder-router diff`.

A queue serves first who has the least time of joining less head start, so that between two waiting callers nothing but
the difference of their head starts says who is ahead, and by how much. Callers of protected age bands are worse off for
new rules that

- send them to a context of the dialplan, and the old rules sent them to a queue of people (`LOSES_PERSON`);
- send them to a queue with a smaller head start than the old rules did (`SMALLER_HEAD_START`);
- let somebody else get further ahead of them in a queue. How far that is: the largest head start of any caller sent to
  that queue who is not protected (0 if there is none: callers whom no rule decides have it), less their own
  (`OTHERS_AHEAD`).

Old and new are compared over the same calls: those that one version of the old rules decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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


class Harm(StrEnum):
    """How protected callers would be worse off."""

    LOSES_PERSON = "loses a person"
    SMALLER_HEAD_START = "waits behind: a smaller head start"
    OTHERS_AHEAD = "waits behind: others get further ahead"


@dataclass(frozen=True, slots=True)
class Place:
    """A queue and the head start in it; or a context."""

    queue: str
    context: str
    head_start_s: int


@dataclass(frozen=True, slots=True)
class Harmed:
    """Protected callers who would be worse off.

    `old_ahead_s` and `new_ahead_s` are by how much others of their queue can be ahead of them, below 0 if they
    themselves are; the latter is None without a queue.
    """

    harm: Harm
    band: str
    old: Place
    new: Place
    old_ahead_s: int
    new_ahead_s: int | None
    calls: Calls


def harmed(pairs: Iterable[Pair], protected: Collection[str], examples: int) -> tuple[Harmed, ...]:
    """Everybody of the protected bands who would be worse off, the worst harm first.

    Args:
        pairs: All calls that were compared.
        protected: The age bands.
        examples: How many calls are kept of each kind.
    """
    old_best, new_best = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for pair in pairs:
        if pair.band not in protected:
            for best, route in ((old_best, pair.old), (new_best, pair.new)):
                where = (pair.version, route.queue)
                best[where] = max(best[where], route.head_start_s)
    found: dict[tuple[Harm, str, Place, Place, int, int | None], Harmed] = {}
    for pair in pairs:
        if pair.band is None or pair.band not in protected or not pair.old.queue:
            continue
        old, new = _place(pair.old), _place(pair.new)
        old_ahead_s = old_best[pair.version, old.queue] - old.head_start_s
        new_ahead_s = new_best[pair.version, new.queue] - new.head_start_s if new.queue else None
        harm = _harm(old, new, old_ahead_s, new_ahead_s)
        if harm is not None:
            kind = (harm, pair.band, old, new, old_ahead_s, new_ahead_s)
            if kind not in found:
                found[kind] = Harmed(*kind, Calls())
            found[kind].calls.add(pair.calls, examples)
    order = list(Harm)
    return tuple(sorted(found.values(), key=lambda one: (order.index(one.harm), -one.calls.count)))


def _harm(old: Place, new: Place, old_ahead_s: int, new_ahead_s: int | None) -> Harm | None:
    if new_ahead_s is None:
        return Harm.LOSES_PERSON
    if new.head_start_s < old.head_start_s:
        return Harm.SMALLER_HEAD_START
    return Harm.OTHERS_AHEAD if new_ahead_s > old_ahead_s else None


def _place(route: Route) -> Place:
    return Place(route.queue, route.context, route.head_start_s)
