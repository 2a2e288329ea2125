"""What the rules decide about, and what they decide: plain values, without I/O and without YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from router.callers.number import Caller
from router.rules.recorded import RecordedCaller


@dataclass(frozen=True, slots=True)
class Overflow:
    """A call that waited `after_s` seconds goes on to the target `to`, which is Asterisk's queue `queue`."""

    after_s: int
    to: str
    queue: str


@dataclass(frozen=True, slots=True)
class QueueTarget:
    """People: the target `name` is Asterisk's queue `queue`."""

    name: str
    queue: str
    overflow: Overflow | None


@dataclass(frozen=True, slots=True)
class ContextTarget:
    """A context of the dialplan, such as the voice assistant's."""

    name: str
    context: str


SpeechFrom: TypeAlias = Literal["rule", "choice"]
Target: TypeAlias = QueueTarget | ContextTarget


@dataclass(frozen=True, slots=True)
class SpeechProfile:
    """How prompts are spoken, 1.0 being the usual `rate`; `name` becomes the channel language's suffix.

    `menu_options` is how many choices a menu offers at once, None for all of them.
    """

    name: str
    rate: float
    sentence_pause_s: float
    digit_timeout_s: float
    gain_db: float
    value_pause_s: float = 0.0
    menu_options: int | None = None
    repeat_essential: bool = False


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue of Asterisk at the moment of a decision."""

    waiting: int
    longest_wait_s: int
    agents_free: int


NO_QUEUES: Final[Mapping[str, QueueState]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call when it is decided. What is not known holds no condition that asks for it.

    Attributes:
        caller: The number, why there is none, or what the journal kept of it.
        called: The number that was called.
        language: The channel's language.
        age_band: None where not known.
        at: With a time zone.
        queues: State by Asterisk's name of the queue; one that is missing is not known.
        earlier_calls_s: How long ago each earlier call of the caller came, newest first, in seconds, at most
            `MOST_EARLIER_CALLS`; None where not known.
        choice: What the caller chose in an earlier call and had remembered, as `callers.past` writes it:
            `slower:slow+person`, or "" for nothing; None where not known.
        rollout: The caller's place in every roll-out, 0 up to 100; None for a call without a number.
        calendars: Names of the calendars that are open; None leaves it to `RuleBook.decide` to find out from `at`.
    """

    caller: Caller | RecordedCaller
    called: str
    language: str
    age_band: str | None
    at: datetime
    queues: Mapping[str, QueueState] = field(default_factory=lambda: NO_QUEUES)
    earlier_calls_s: tuple[float, ...] | None = None
    choice: str | None = None
    rollout: float | None = None
    calendars: frozenset[str] | None = None

    def with_calendars(self, is_open: frozenset[str]) -> Facts:
        """The same with these calendars open; `dataclasses.replace` takes as long as a decision by a few rules."""
        return Facts(
            self.caller,
            self.called,
            self.language,
            self.age_band,
            self.at,
            self.queues,
            self.earlier_calls_s,
            self.choice,
            self.rollout,
            is_open,
        )


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """How one rule took the facts.

    `failed` names the first condition that did not hold (`age_band`), `wanted` is what it asks for, `saw`
    what the call had, the caller's number masked. All three are empty when the rule matched.
    """

    rule: str
    matched: bool
    failed: str = ""
    wanted: str = ""
    saw: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a call goes and how it is spoken to.

    `target` carries the overflow that holds for this call; `language` is "" where the caller's stays; `note` is for
    the journal alone; `calendars` are those that were open. `trace` holds every rule up to the one that matched, in
    order; it is empty when no rule was asked. `rules_version` begins the SHA-256 of the rules. `speech_from` tells
    whether `speech` is the rule's or what the caller chose in an earlier call.
    """

    rule: str
    target: Target
    head_start_s: int
    speech: SpeechProfile
    agent_label: str
    trace: tuple[RuleTrace, ...]
    rules_version: str
    language: str = ""
    note: str = ""
    calendars: frozenset[str] = field(default=frozenset())
    speech_from: SpeechFrom = "rule"
