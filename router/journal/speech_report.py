"""Whether slower speech helps: what callers of each age band did, by the speech profile that they were given.

Pure: handed the records of decisions and outcomes in the order of their writing, it keeps the decisions of calls that
are under way, and tables whose size is that of the rules. Comparing two groups of callers is `speech_trial`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from router.errors import JournalError
from router.journal.records import Ending

MOST_OPEN: Final = 500_000
"""Calls whose outcome is waited for at once: over twice the calls that a router takes in hand on one Asterisk. Beyond
it the oldest are taken for calls without an outcome."""

MOST_GROUPS: Final = 20_000
"""Age bands, profiles and rules, combined: a thousand rules make some thousands of them."""

BY_CHOICE: Final = "choice"
"""In `speech_from`: the caller had chosen the profile in an earlier call, whatever the rule says."""

_KEYS: Final = frozenset({"repeat", "slower", "normal", "silence", "invalid", "person"})
_ENDINGS: Final[Mapping[str, Ending]] = {str(ending): ending for ending in Ending}
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
_UNUSABLE = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Story:
    """What one call came to, as far as it is asked for here: calls that are alike have one story."""

    ended: Ending
    assistant: bool
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that callers do, and of which calls its share is.

    Attributes:
        name: As JSON has it.
        title: As people read it.
        of_assistant: Only calls that met the assistant count, since it can happen nowhere else.
        happened: Whether it did in a call.
    """

    name: str
    title: str
    of_assistant: bool
    happened: Callable[[Story], bool]


def _pressed(key: str) -> Callable[[Story], bool]:
    return lambda story: key in story.keys


def _ended(*endings: Ending) -> Callable[[Story], bool]:
    return lambda story: story.ended in endings


MEASURES: Final = (
    Measure("repeated", "asked to hear it again", False, _pressed("repeat")),
    Measure("slowed", "asked for slower", False, _pressed("slower")),
    Measure("sped_up", "asked for normal speed", False, _pressed("normal")),
    Measure("silent", "fell silent", True, _pressed("silence")),
    Measure("wrong_key", "pressed a wrong key", True, _pressed("invalid")),
    Measure("asked_for_person", "asked for a person", True, _pressed("person")),
    Measure("self_served", "served by assistant", True, _ended(Ending.SELF_SERVED)),
    Measure("hung_up", "hung up unserved", False, _ended(Ending.ABANDONED, Ending.HUNG_UP_EARLY)),
    Measure("reached_person", "reached a person", False, _ended(Ending.ANSWERED)),
)
"""The keys for repeating and for the speed work in the assistant and while waiting, so that their shares are of all
calls; silence, wrong keys and asking for a person are only told by the assistant."""


@dataclass(slots=True)
class Stories:
    """Calls by their story."""

    calls: Counter[Story]

    @classmethod
    def none(cls) -> Stories:
        """No calls so far."""
        return cls(Counter())

    def total(self, *, assistant: bool = False) -> int:
        """All calls, or those that met the assistant."""
        return sum(count for story, count in self.calls.items() if story.assistant or not assistant)

    def share(self, measure: Measure) -> tuple[int, int]:
        """In how many calls it happened, and of how many."""
        happened = sum(
            count
            for story, count in self.calls.items()
            if (story.assistant or not measure.of_assistant) and measure.happened(story)
        )
        return happened, self.total(assistant=measure.of_assistant)


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Whose calls: of an age band ("" where it was not known), spoken to in a profile, which was their own `choice`.

    `rule` is "" unless groups are made by rule, too.
    """

    band: str
    profile: str
    choice: bool = False
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """What is kept of a decision until the call's outcome comes.

    Attributes:
        at: When it was decided.
        band: The caller's age band; "" where it was not known.
        profile: The speech profile that was decided.
        choice: Whether that was the caller's own choice.
        rule: The rule that matched.
        caller_key: Tells that two calls are one caller's; "" without a number.
        route: Where the call went, and its head start, for people to compare.
        left_out_by: The rules that would have matched but for their `rollout`, and what that was, such as `below 50`.
    """

    at: datetime
    band: str
    profile: str
    choice: bool
    rule: str
    caller_key: str
    route: str
    left_out_by: Mapping[str, str]


Note: TypeAlias = Callable[[Story], None]
"""Takes the story of a call of which only the decision was known."""


@dataclass(slots=True)
class Apart:
    """Calls that are in no table, by what became of them."""

    no_outcome: int = 0
    unseen: int = 0
    undecided: int = 0
    not_applied: int = 0
    no_decision: int = 0
    elsewhen: int = 0
    asked_again: int = 0


class SpeechReport:
    """Joins decisions and outcomes, and gathers what callers did.

    Args:
        by_rule: Groups are made by the rule, too.
        since: Calls decided before it are left out.
        until: Those decided then and later are.
        on_decided: Told of each call that counts; returns who else is to be told what it came to.
        most_open: See `MOST_OPEN`.
    """

    def __init__(
        self,
        *,
        by_rule: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        on_decided: Callable[[Decided], tuple[Note, ...]] = lambda _: (),
        most_open: int = MOST_OPEN,
    ) -> None:
        self._by_rule = by_rule
        self._since, self._until = since or _EARLIEST, until or _LATEST
        self._on_decided = on_decided
        self._most_open = most_open
        self._open: dict[tuple[str, str], tuple[Stories, tuple[Note, ...]] | None] = {}
        self._stories: dict[tuple[str, bool, tuple[str, ...]], Story] = {}
        self.groups: dict[Group, Stories] = {}
        self.apart = Apart()
        self.first: datetime | None = None
        self.last: datetime | None = None

    def take(self, fields: Mapping[str, Any]) -> str:
        """Take one record, as a line of the journal has it.

        Returns:
            What is wrong with it, if it cannot be used; otherwise "".

        Raises:
            JournalError: There are more groups than rules make.
        """
        try:
            if fields["record"] == "decision":
                self._take_decision(fields)
            else:
                self._take_outcome(fields)
        except _UNUSABLE as error:
            if isinstance(error, KeyError):
                return f"cannot be counted: {error.args[0]!r:.40} is missing or unknown"
            return f"cannot be counted: {error}"[:200]
        return ""

    def close(self) -> None:
        """Nothing more comes: what is still waited for has no outcome."""
        self.apart.no_outcome += sum(waiting is not None for waiting in self._open.values())
        self._open.clear()

    def _take_decision(self, fields: Mapping[str, Any]) -> None:
        key = _key(fields)
        if key in self._open:
            self.apart.asked_again += 1  # a call that was transferred back; how it was first spoken to counts
            return
        self._open[key] = self._waiting(fields)
        if len(self._open) > self._most_open and self._open.pop(next(iter(self._open))) is not None:
            self.apart.no_outcome += 1

    def _waiting(self, fields: Mapping[str, Any]) -> tuple[Stories, tuple[Note, ...]] | None:
        """Where the call's story is to be counted; None for a call that is in no table."""
        decided = decided_of(fields)
        if not self._since <= decided.at < self._until:
            if not _EARLIEST <= decided.at < _LATEST:
                raise ValueError("it was made in no year from 2000 to 2100")
            self.apart.elsewhen += 1
            return None
        if not decided.profile:
            self.apart.undecided += 1
            return None
        if not fields["applied"]:
            self.apart.not_applied += 1  # the dialplan went on by itself: nobody was spoken to as decided
            return None
        self.first = decided.at if self.first is None else min(self.first, decided.at)
        self.last = decided.at if self.last is None else max(self.last, decided.at)
        return self._of_group(decided), self._on_decided(decided)

    def _of_group(self, decided: Decided) -> Stories:
        group = Group(decided.band, decided.profile, decided.choice, decided.rule if self._by_rule else "")
        if (stories := self.groups.get(group)) is not None:
            return stories
        if len(self.groups) == MOST_GROUPS:
            raise JournalError(
                f"the records have more than {MOST_GROUPS} combinations of age band, speech profile and rule, which no "
                "centre's do; are these the journals of one centre?"
            )
        stories = self.groups[group] = Stories.none()
        return stories

    def _take_outcome(self, fields: Mapping[str, Any]) -> None:
        key, story = _key(fields), self._story(fields)
        try:
            waiting = self._open.pop(key)
        except KeyError:
            self.apart.no_decision += 1
            return
        if waiting is None:
            return
        if story.ended is Ending.UNSEEN:
            self.apart.unseen += 1
            return
        stories, others = waiting
        stories.calls[story] += 1
        for note in others:
            note(story)

    def _story(self, fields: Mapping[str, Any]) -> Story:
        keys = tuple(fields["keys"])
        known = (fields["ended"], fields["touched_assistant"], keys)
        if (story := self._stories.get(known)) is None:
            ended, assistant = _ENDINGS[fields["ended"]], fields["touched_assistant"]
            if not isinstance(assistant, bool):
                raise TypeError("touched_assistant is neither true nor false")
            story = Story(ended, assistant, _KEYS.intersection(keys))
            if len(self._stories) >= MOST_GROUPS:
                self._stories.clear()
            self._stories[known] = story
        return story


def decided_of(fields: Mapping[str, Any]) -> Decided:
    """What is kept of a decision.

    Raises:
        KeyError, TypeError, ValueError: It is none that a router writes.
    """
    band, rule, profile, caller_key = fields["age_band"], fields["rule"], fields["speech"], fields["caller_key"]
    target, head_start_s = fields["target"], fields["head_start_s"]
    for text, name in (
        *((rule, "rule"), (profile, "speech"), (caller_key, "caller_key"), (target, "target")),
        (band or "", "age_band"),
    ):
        if not isinstance(text, str):
            raise TypeError(f"{name} is no text")
    return Decided(
        at=_moment(fields.get("at") or fields["time"]),
        band=band or "",
        profile=profile,
        choice=fields.get("speech_from") == BY_CHOICE,
        rule=rule,
        caller_key=caller_key,
        route=f"{target}, head start {head_start_s} s" if head_start_s else target,
        left_out_by=dict(_left_out_by(fields.get("trace", ()))) if caller_key else {},
    )


def _left_out_by(trace: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Rules that failed by their roll-out, the condition that is tried last: all others held."""
    for step in trace:
        if step["failed"] == "rollout":
            rule, wanted = step["rule"], step["wanted"]
            if not isinstance(rule, str) or not isinstance(wanted, str):
                raise TypeError("a rule of its trace, or what that wanted, is no text")
            yield rule, wanted


def _key(fields: Mapping[str, Any]) -> tuple[str, str]:
    node, uniqueid = fields["node"], fields["uniqueid"]
    if not isinstance(node, str) or not isinstance(uniqueid, str):
        raise TypeError("node or uniqueid is no text")
    return node, uniqueid


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("its time has no zone")
    return moment
