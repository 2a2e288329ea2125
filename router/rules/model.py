"""What the rules decide about, and what they decide: plain values, without I/O and without YAML."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from router.callers.number import Caller


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


Target: TypeAlias = QueueTarget | ContextTarget


@dataclass(frozen=True, slots=True)
class SpeechProfile:
    """How prompts are spoken, 1.0 being the usual `rate`; `name` becomes the channel language's suffix."""

    name: str
    rate: float
    sentence_pause_s: float
    digit_timeout_s: float
    gain_db: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call when it is decided. `age_band` is None where unknown; `at` has a time zone."""

    caller: Caller
    called: str
    language: str
    age_band: str | None
    at: datetime


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

    `trace` holds every rule up to the one that matched, in order; it is empty when no rule was asked.
    `rules_version` is the beginning of the rules file's SHA-256.
    """

    rule: str
    target: Target
    head_start_s: int
    speech: SpeechProfile
    agent_label: str
    trace: tuple[RuleTrace, ...]
    rules_version: str
