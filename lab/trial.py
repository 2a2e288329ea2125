"""A made-up trial of slower speech, for docs/speech.md to show how `report speech` is read.

The records are made as the router makes them, by the rules of the example; what callers do is drawn by chance, from
the shares below. Nothing in it says that slower speech helps or does not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from router.callers.number import PhoneNumber, masked
from router.calls.call import Call
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.journal.hashing import caller_key, rollout_place
from router.rules.book import RuleBook, load_rules
from router.rules.model import ContextTarget, Facts

CALLS: Final = 6000
RULES: Final = """\
timezone: Asia/Shanghai
age_bands:
  - {name: minor,  from: 0}
  - {name: adult,  from: 18}
  - {name: senior, from: 60}
  - {name: elder,  from: 75}
protected: [elder]
speech:
  standard:  {rate: 1.0}
  unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s, gain_db: 3}
targets:
  people:    {queue: agents}
  assistant: {context: router-assistant}
rules:
  - name: callers of 75 and over reach a person
    when: {age_band: elder}
    then: {to: people, head_start: 5m, speech: unhurried}
  - name: trial of unhurried speech
    when: {age_band: senior, rollout: 50%}
    then: {to: assistant, speech: unhurried}
  - name: everyone meets the assistant
    then: {to: assistant}
fallback: {to: people}
"""


@dataclass(frozen=True, slots=True)
class Habits:
    """How often a made-up caller presses each key in the assistant, and hangs up, from 0 to 1."""

    repeat: float
    slower: float
    normal: float
    silence: float
    invalid: float
    person: float
    hang_up: float


_YOUNG: Final = Habits(0.05, 0.00, 0.01, 0.04, 0.03, 0.20, 0.05)
_AS_USUAL: Final = Habits(0.20, 0.06, 0.00, 0.17, 0.12, 0.50, 0.08)
_UNHURRIED: Final = Habits(0.12, 0.02, 0.02, 0.11, 0.10, 0.48, 0.07)


def write_trial(folder: Path) -> tuple[Path, Path]:
    """Write the rules and the journal of the trial; returns both files."""
    rules, journal = folder / "routing.yaml", folder / "journal.jsonl"
    rules.write_text(RULES, encoding="utf-8")
    with journal.open("wb") as file:
        file.writelines(_records(load_rules(rules)))
    return rules, journal


def _records(book: RuleBook) -> Iterator[bytes]:
    chance, secret = random.Random(20261109), b"k" * 32
    at = datetime(2026, 11, 9, 9, tzinfo=ZoneInfo(book.timezone))
    for number in range(CALLS):
        at += timedelta(seconds=chance.randint(20, 180))
        caller = PhoneNumber(f"+861390000{chance.randint(0, 9999):04d}")
        # A caller is of one age, however often they call.
        band = random.Random(caller.e164).choices(["elder", "senior", "adult", None], [10, 22, 48, 20])[0]
        place = rollout_place(caller_key(secret, caller.e164))
        facts = Facts(caller, "95500", "en", band, at, {}, None, "", place)
        decision = book.decide(facts)
        handled = Handled(caller, applied=True, age_band=band, facts=facts, decision=decision)
        handled.band_source = "registry" if band else "unknown"
        uniqueid = f"{at.timestamp():.0f}.{number}"
        request = Request(uniqueid, uniqueid, 1, "", caller.e164, False, "95500", "en")
        record = decision_record(
            request, handled, node="pbx1", fallback="", book=book, caller_masked=masked(caller),
            caller_key=caller_key(secret, caller.e164), full_caller=None,
        )  # fmt: skip
        yield record.model_copy(update={"time": at.astimezone(UTC)}).model_dump_json().encode() + b"\n"
        habits = _YOUNG if band in {"adult", None} else _UNHURRIED if decision.speech.rate < 1 else _AS_USUAL
        call = Call("pbx1", uniqueid, uniqueid, 1, 0.0)
        call.touched_assistant = isinstance(decision.target, ContextTarget)
        _live_through(call, habits, chance)
        outcome = call.outcome(60.0, 16).model_copy(update={"time": at.astimezone(UTC) + timedelta(seconds=60)})
        yield outcome.model_dump_json().encode() + b"\n"


def _live_through(call: Call, habits: Habits, chance: random.Random) -> None:
    """Let a caller press keys, and be answered, served or gone at the end."""
    if not call.touched_assistant:
        call.joined("agents", 5.0)
        if chance.random() >= habits.hang_up:
            call.answered("agents", "PJSIP/agent1", 20.0)
        return
    for key in ("repeat", "slower", "normal", "silence", "invalid"):
        if chance.random() < getattr(habits, key):
            call.stepped("key", key, 10.0)
    if chance.random() < habits.hang_up:
        return
    if chance.random() < habits.person:
        call.stepped("key", "person", 20.0)
        call.joined("agents", 20.0)
        if chance.random() < 0.95:  # noqa: PLR2004 - nearly everybody waits
            call.answered("agents", "PJSIP/agent1", 35.0)
    else:
        call.stepped("key", "1", 20.0)
