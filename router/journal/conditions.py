"""What is wrong with our own systems, told to the journal when it begins and when it is over.

After a complaint somebody asks what was wrong in that minute; the wallboard shows what is wrong now. Both read this.
Whether calls are well is not its business, and it finds nothing out by itself: once a second it is handed all that is
wrong, which `wrong_now` gathers from what the daemon knows.

What is wrong when a run ends is over with it, so that ending a run writes only that the router is away.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Literal, Protocol

from router.callers import health
from router.callers.health import RegistryHealth
from router.journal.records import ConditionRecord

HEARTBEAT_FRESH_S: Final = 3.0
"""The dialplan takes the router for dead when the heartbeat is older, `elder-settings`."""

ROUTER_AWAY: Final = "router away"
"""The router was stopped: every call went to people by itself until it was there again. Ends at the next start, also
when the end before it was a crash, of which no beginning is told."""

ROUTER_HUNG: Final = "router hung"
"""The router did nothing for longer than the dialplan bears, for its machine stood still or its disk did: calls went to
people by themselves. Told once it goes on, beginning and end at once."""

ASTERISK_NOT_LINKED: Final = "asterisk not linked"
"""There is no manager connection to that Asterisk: its calls go to people by themselves."""

CALLS_NOT_ROUTED: Final = "calls not routed"
"""Linked, but that Asterisk could not be made ready, or does not take the heartbeat: its calls go to people."""

REDIS_NOT_ANSWERING: Final = "redis not answering"
"""A Redis server of the registry is not asked, for it does not answer: callers stored there are routed as unknown."""

REGISTRY_STALE: Final = "registry stale"
"""Callers were last loaded longer ago than `stale_after`: who came of age since is taken for younger."""

REGISTRY_BANDS_DIFFER: Final = "registry bands differ"
"""An age band means something else in the rules than when callers were loaded."""

REGISTRY_EMPTY: Final = "registry empty"
"""No callers are there: none were ever loaded, or Redis has lost them. Every caller is routed as unknown."""

REGISTRY_UNUSABLE: Final = "registry unusable"
"""What is in force is not known, or cannot be used: every caller is routed as unknown."""

REGISTRY_LIMITS: Final = "registry limits"
"""Redis would keep callers in a form of five times the size: its memory may run out at the next load."""

RULES_REFUSED: Final = "rules refused"
"""The rules on disk are wrong and were not taken: those of before go on."""

JOURNAL_NOT_WRITTEN: Final = "journal not written"
"""Records were lost, most likely to a full disk. Told once the journal is written again, with how many were lost."""

NOTHING_SPOKEN: Final = "nothing spoken"
"""Speech during calls is off, although the settings ask for it: callers hear recorded prompts only."""

EVERY_CONDITION: Final = (
    *(ROUTER_AWAY, ROUTER_HUNG, ASTERISK_NOT_LINKED, CALLS_NOT_ROUTED),
    *(REDIS_NOT_ANSWERING, REGISTRY_STALE, REGISTRY_BANDS_DIFFER, REGISTRY_EMPTY, REGISTRY_UNUSABLE, REGISTRY_LIMITS),
    *(RULES_REFUSED, JOURNAL_NOT_WRITTEN, NOTHING_SPOKEN),
)

OF_THE_REGISTRY: Final[Mapping[str, str]] = {
    health.REDIS: REDIS_NOT_ANSWERING,
    health.STALE: REGISTRY_STALE,
    health.BANDS_DIFFER: REGISTRY_BANDS_DIFFER,
    health.EMPTY: REGISTRY_EMPTY,
    health.UNUSABLE: REGISTRY_UNUSABLE,
    health.LIMITS: REGISTRY_LIMITS,
}
"""What the registry's health calls it → what conditions call it."""

MOST_ACTIVE: Final = 500
"""Conditions told apart at once. A centre with hundreds of Asterisks all lost does not need the next one's line."""

MOST_HELD: Final = 1000
"""Records kept while the journal is not written; beyond it the oldest are forgotten."""

_LONGEST_WHY: Final = 500

Key = tuple[str, str]
"""The Asterisk concerned, empty for all of them, and what is wrong."""


@dataclass(frozen=True, slots=True)
class AsteriskState:
    """How it stands with one configured Asterisk.

    Attributes:
        name: As the settings call it.
        is_linked: Whether the manager connection is logged in and up.
        link: Where the link stands, in a word or two: `up`, `waiting`, `refused`.
        is_taken_up: Whether it was made ready for calls since it was linked.
        heartbeat_age_s: Seconds since it last took our heartbeat; None when it has not since the start.
    """

    name: str
    is_linked: bool
    link: str = ""
    is_taken_up: bool = False
    heartbeat_age_s: float | None = None

    @property
    def why_not_routed(self) -> str:
        """Why a call that asks now would not be answered; empty if it would be."""
        if not self.is_linked:
            return f"no manager connection ({self.link})" if self.link else "no manager connection"
        if not self.is_taken_up:
            return "linked, and not ready for calls yet; see the router's log"
        if self.heartbeat_age_s is None:
            return "it has not taken the heartbeat"
        if self.heartbeat_age_s > HEARTBEAT_FRESH_S:
            return f"it last took the heartbeat {self.heartbeat_age_s:.0f} s ago"
        return ""


class RulesState(Protocol):
    """What is asked of `router.reloading.keeper.RulesStatus`, which stands below this layer."""

    @property
    def version(self) -> str:
        """What is in force."""

    @property
    def refused_since(self) -> datetime | None:
        """Since when the rules on disk are refused; None if they are not."""


@dataclass(frozen=True, slots=True)
class ActiveCondition:
    """What is wrong now; `since` when it was first seen."""

    node: str
    what: str
    why: str
    since: datetime


def rules_refused_in_words(rules: RulesState) -> str:
    """What to say of rules on disk that are refused; empty if they are not."""
    if rules.refused_since is None:
        return ""
    since = rules.refused_since.isoformat(timespec="seconds")
    return (
        f"the rules on disk are refused since {since}, version {rules.version} stays in force; run `elder-router check`"
    )


def wrong_now(
    asterisks: Iterable[AsteriskState],
    registry: RegistryHealth,
    rules: RulesState,
    *,
    is_journal_written: bool,
    not_spoken: str = "",
) -> dict[Key, str]:
    """All that is wrong with our systems.

    Args:
        asterisks: Each that is configured.
        registry: As `HealthWatch.health` has it.
        rules: As `RulesKeeper.status` has it.
        is_journal_written: Whether the last record could be written, `JournalWriter.healthy`.
        not_spoken: Why nothing is spoken during calls although the settings ask for it; empty if it is.

    Returns:
        The Asterisk concerned and what is wrong → why, in words for the person who has to mend it.
    """
    wrong: dict[Key, str] = {}
    for asterisk in asterisks:
        if why := asterisk.why_not_routed:
            wrong[asterisk.name, CALLS_NOT_ROUTED if asterisk.is_linked else ASTERISK_NOT_LINKED] = why
    for what, why in registry.warnings.items():
        if (name := OF_THE_REGISTRY.get(what)) is not None:
            wrong["", name] = why
    if why := rules_refused_in_words(rules):
        wrong["", RULES_REFUSED] = why
    if not is_journal_written:
        wrong["", JOURNAL_NOT_WRITTEN] = "the last record could not be written; see the router's log, and the disk"
    if not_spoken:
        wrong["", NOTHING_SPOKEN] = not_spoken
    return wrong


class Conditions:
    """Tells the journal what begins to be wrong, and what no longer is.

    While the journal is not written, what there is to tell is held, with its time, until it is.

    Args:
        write: Writes a record; False if it was lost.
        clock: Monotonic seconds.
    """

    def __init__(
        self, write: Callable[[ConditionRecord], bool], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._looked_at = clock()
        self._active: dict[Key, ActiveCondition] = {}
        self._held: deque[ConditionRecord] = deque(maxlen=MOST_HELD)
        self._lost_before = 0

    @property
    def active(self) -> tuple[ActiveCondition, ...]:
        """What is wrong, as of the last look; what began first comes first."""
        return tuple(self._active.values())

    def started(self, now: datetime) -> None:
        """The router is there."""
        self._looked_at = self._clock()
        self._tell(now, ("", ROUTER_AWAY), "ended", "the router was started")
        self._write_held()

    def stopped(self, now: datetime) -> None:
        """The router ends, orderly: the last that it writes."""
        self._tell(now, ("", ROUTER_AWAY), "began", "the router was stopped")
        self._write_held()

    def look(self, now: datetime, wrong: Mapping[Key, str], *, lost: int = 0) -> None:
        """Take what is wrong now; once a second, or what lies between two looks is told as well.

        Args:
            now: The moment.
            wrong: The Asterisk concerned and what is wrong → why. The same with another why is no news.
            lost: Records that the journal has lost since the start. More than at the last look, though it is written
                again by now, is told as well.
        """
        self._tell_if_hung(now)
        for key in [key for key in self._active if key not in wrong]:
            del self._active[key]
            why = _lost_in_words(lost - self._lost_before) if key[1] == JOURNAL_NOT_WRITTEN else ""
            self._tell(now, key, "ended", why)
            if key[1] == JOURNAL_NOT_WRITTEN:
                self._lost_before = lost
        for key, why in islice(wrong.items(), MOST_ACTIVE):
            if (known := self._active.get(key)) is not None:
                self._active[key] = replace(known, why=why) if known.why != why else known
            elif len(self._active) < MOST_ACTIVE:
                self._active[key] = ActiveCondition(*key, why, now)
                self._tell(now, key, "began", why)
        if ("", JOURNAL_NOT_WRITTEN) in self._active:
            return
        if lost > self._lost_before:  # between two looks
            why = _lost_in_words(lost - self._lost_before)
            self._tell(now, ("", JOURNAL_NOT_WRITTEN), "began", why)
            self._tell(now, ("", JOURNAL_NOT_WRITTEN), "ended", why)
            self._lost_before = lost
        self._write_held()

    def _tell_if_hung(self, now: datetime) -> None:
        before, self._looked_at = self._looked_at, self._clock()
        hung_s = self._looked_at - before
        if hung_s > HEARTBEAT_FRESH_S:
            why = f"it did nothing for {hung_s:.0f} s: was its machine overloaded or stopped, or does its disk stall?"
            self._tell(now - timedelta(seconds=hung_s), ("", ROUTER_HUNG), "began", why)
            self._tell(now, ("", ROUTER_HUNG), "ended", "")

    def _tell(self, now: datetime, key: Key, state: Literal["began", "ended"], why: str) -> None:
        node, what = key
        self._held.append(ConditionRecord(time=now, node=node, what=what, state=state, why=why[:_LONGEST_WHY]))

    def _write_held(self) -> None:
        while self._held and self._write(self._held[0]):
            self._held.popleft()


def _lost_in_words(lost: int) -> str:
    return "1 record was lost" if lost == 1 else f"{lost} records were lost"
