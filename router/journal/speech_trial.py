"""Two groups of callers compared: those within a rule's roll-out and those whom chance alone left out, or two rules.

`rollout` is a rule's last condition, and its place is a hash of the caller's number: a call that the rule's roll-out
alone left out is one that chance could as well have put in. The trace of its decision says so, whatever the rules have
become since. Two rules that somebody names differ by more than chance.

Callers are compared and not calls: the first call of each since the beginning counts. Calls of one caller are
alike, which intervals do not know; and whoever asks for slower speech in one call is spoken to by choice in the next,
which would take just those out of one group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.journal.intervals import LEVEL, Interval, newcombe
from router.journal.speech_report import MEASURES, Decided, Measure, Note, Stories, Story

MOST_CALLERS: Final = 1_000_000
"""Callers remembered, over all comparisons, some 100 MB. Later ones do not count; these tell enough."""

MOST_TRIALS: Final = 50
MOST_NAMES: Final = 1_000
"""Age bands, profiles, routes and rules that are told apart. More is a journal of nonsense."""
NARROW: Final = 0.05
"""No difference is said to have been found only where one of more than so much can be excluded."""


@dataclass(slots=True)
class Side:
    """One of the two groups, by age band; and how its callers were spoken to and routed, whatever the band."""

    stories: dict[str, Stories] = field(default_factory=dict)
    profiles: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    by_choice: int = 0

    def note(self, decided: Decided) -> tuple[Note, ...]:
        """Who is to be told what this call comes to."""
        if decided.choice:
            self.by_choice += 1
            return ()
        if decided.band not in self.stories and len(self.stories) == MOST_NAMES:
            return ()
        stories = self.stories.setdefault(decided.band, Stories.none())

        def note(story: Story) -> None:
            stories.calls[story] += 1
            _count(self.profiles, decided.profile)
            _count(self.routes, decided.route)

        return (note,)


def _count(names: Counter[str], name: str) -> None:
    """Count, as long as there are no more names than rules have."""
    if name in names or len(names) < MOST_NAMES:
        names[name] += 1


@dataclass(slots=True)
class Trial:
    """One comparison.

    Attributes:
        rule: Whose callers are `within`.
        other: The rule whose callers are `without`; "" where the roll-out of `rule` tells them.
        callers: The keys of those who have called.
        rollouts: What the roll-out was, such as `below 50`: more than one where it was changed.
    """

    rule: str
    other: str = ""
    within: Side = field(default_factory=Side)
    without: Side = field(default_factory=Side)
    callers: set[int] = field(default_factory=set)
    rollouts: set[str] = field(default_factory=set)

    def side(self, decided: Decided) -> Side | None:
        """The group that a call belongs to, if any."""
        if decided.rule == self.rule:
            return self.within
        if decided.rule == self.other if self.other else self.rule in decided.left_out_by:
            return self.without
        return None


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of callers of one age band, within and without: in how many it happened, of how many.

    `sure` is the interval at a level that allows for all the comparisons that are made.
    """

    band: str
    measure: Measure
    within: tuple[int, int]
    without: tuple[int, int]
    interval: Interval
    sure: Interval

    @property
    def is_told(self) -> bool:
        """Whether there is anybody to compare."""
        return bool(self.within[1] and self.without[1])

    @property
    def points(self) -> float:
        """The share within less the share without, from -1 to 1."""
        return self.within[0] / self.within[1] - self.without[0] / self.without[1]

    @property
    def verdict(self) -> str:
        """`more`, `fewer`, `perhaps more`, `perhaps fewer`, `alike` or `too few to tell`."""
        if not self.is_told:
            return "too few to tell"
        if not self.interval.holds_zero:
            word = "more" if self.points > 0 else "fewer"
            return f"perhaps {word}" if self.sure.holds_zero else word
        widest = max(-self.interval.low, self.interval.high)
        return "alike" if widest <= NARROW else "too few to tell"


class Trials:
    """All comparisons: of the two rules that are named, else of each rule with a roll-out.

    A rule is known to have one by the first caller whom it leaves out. Callers before that are not compared: with a
    roll-out of 50 %, one or two.

    Args:
        compared: Two rules' names, or none.
        most_callers: See `MOST_CALLERS`.
    """

    def __init__(self, compared: Sequence[str] = (), most_callers: int = MOST_CALLERS) -> None:
        self._of: dict[str, Trial] = {}
        self._finds = not compared
        self._most_callers = most_callers
        self.callers = 0
        self.no_longer_counted = 0
        self.rules: set[str] = set()
        if compared:
            rule, other = compared
            self._of[rule] = Trial(rule, other)

    def decided(self, decided: Decided) -> tuple[Note, ...]:
        """Take a call that counts; who is to be told what it comes to."""
        if self._finds:
            for rule in decided.left_out_by:
                if rule not in self._of and len(self._of) < MOST_TRIALS:
                    self._of[rule] = Trial(rule)
        elif len(self.rules) < MOST_NAMES:
            self.rules.add(decided.rule)
        if not self._of or not decided.caller_key:
            return ()
        return tuple(note for trial in self._of.values() for note in self._notes(trial, decided))

    def _notes(self, trial: Trial, decided: Decided) -> tuple[Note, ...]:
        side = trial.side(decided)
        if side is None:
            return ()
        if (rollout := decided.left_out_by.get(trial.rule)) and len(trial.rollouts) < MOST_NAMES:
            trial.rollouts.add(rollout)
        caller = hash(decided.caller_key)
        if caller in trial.callers:
            return ()
        if self.callers == self._most_callers:
            self.no_longer_counted += 1
            return ()
        self.callers += 1
        trial.callers.add(caller)
        return side.note(decided)

    def __iter__(self) -> Iterator[Trial]:
        return iter(sorted(self._of.values(), key=lambda trial: trial.rule))

    def differences(self, trial: Trial) -> list[Difference]:
        """Every measure of every age band that is on both sides."""
        bands = sorted(trial.within.stories.keys() & trial.without.stories.keys())
        made = sum(len(one.within.stories.keys() & one.without.stories.keys()) for one in self._of.values())
        level = 1 - (1 - LEVEL) / max(1, made * len(MEASURES))  # Bonferroni's
        found = []
        for band in bands:
            for measure in MEASURES:
                within, without = (side.stories[band].share(measure) for side in (trial.within, trial.without))
                found.append(
                    Difference(
                        band, measure, within, without, newcombe(*within, *without), newcombe(*within, *without, level)
                    )
                )
        return found
