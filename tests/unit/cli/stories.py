"""A centre's journal with one call of each kind that is complained about, as a router writes it; all of it made up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from router.callers.number import PhoneNumber, masked
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.calls.verdict import channel_language
from router.journal.conditions import REDIS_NOT_ANSWERING, ROUTER_AWAY
from router.journal.erasing import Erasing
from router.journal.hashing import caller_key, rollout_place
from router.journal.records import (
    BandSourceName,
    ConditionRecord,
    DecisionRecord,
    Ending,
    OutcomeRecord,
    PromotionRecord,
    Record,
)
from router.rules.book import RuleBook, load_rules
from router.rules.model import Facts, QueueState

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
speech: {unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s}}
targets:
  people: {queue: agents}
  senior-care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
calendars: {open: {hours: "Mo-Fr 09:00-21:00", holidays: CN}}
rules:
  - {name: asked for a person before, when: {choice: person, calendar: open}, then: {to: people}}
  - name: seniors reach a person
    when: {age_band: senior}
    then: {to: senior-care, head_start: 5m, speech: unhurried, agent_label: 60+}
  - {name: everyone else meets the assistant, then: {to: assistant}}
fallback: {to: people}
"""
AT = datetime(2026, 11, 25, 2, 30, 15, tzinfo=UTC)
SECRET = b"s" * 32
CALLER = PhoneNumber("+8613900000001")
OTHER = PhoneNumber("+8613900000002")
QUEUES = {"senior-care": QueueState(2, 41, 0)}


def named(at: datetime, number: int = 7) -> str:
    """What Asterisk calls a channel made at that moment."""
    return f"{int(at.timestamp())}.{number}"


def decided(
    book: RuleBook,
    at: datetime = AT,
    caller: PhoneNumber = CALLER,
    *,
    number: int = 7,
    band: str | None = "senior",
    source: BandSourceName = "registry",
    ask: int = 1,
    uniqueid: str = "",
    **changed: Any,  # noqa: ANN401 - fields of the record
) -> DecisionRecord:
    """A decision as the router makes it, some milliseconds after the call asked."""
    key = caller_key(SECRET, caller.e164)
    facts = Facts(caller, "95519", "zh", band, at, QUEUES, (), "", rollout_place(key))
    handled = Handled(caller, applied=True, age_band=band, band_source=source, facts=facts)
    handled.registry_age_s = 27_941.0 if source == "registry" else None
    decision = handled.decision = book.decide(facts)
    handled.language = channel_language("zh", decision.speech, frozenset(book.speech))
    handled.lookup_ms, handled.decide_ms, handled.apply_ms = 0.3, 0.1, 1.1
    name = uniqueid or named(at, number)
    request = Request(name, name, ask, "PJSIP/x", caller.e164, False, "95519", "zh")
    record = decision_record(
        *(request, handled),
        node="pbx1",
        fallback="",
        book=book,
        caller_masked=masked(caller),
        caller_key=key,
        full_caller=None,
    )
    return record.model_copy(update={"time": at + timedelta(milliseconds=2)} | changed)


def fell_back(book: RuleBook, at: datetime, written: datetime, caller: PhoneNumber = CALLER) -> DecisionRecord:
    """A call that the dialplan sent to people while the router was away, as it is recorded afterwards."""
    uniqueid = named(at)
    request = Request(uniqueid, uniqueid, 1, "PJSIP/x", caller.e164, False, "95519", "zh")
    handled = Handled(caller, not_applied_why="the router was not asked", queue="agents")
    handled.age_band, handled.band_source = ("senior" if caller == CALLER else "adult"), "registry"
    handled.registry_age_s, handled.asked_at = 27_941.0, at
    record = decision_record(
        *(request, handled),
        node="pbx1",
        fallback="heartbeat",
        book=book,
        caller_masked=masked(caller),
        caller_key=caller_key(SECRET, caller.e164),
        full_caller=None,
    )
    return record.model_copy(update={"time": written})


def ended(uniqueid: str, at: datetime, **changed: Any) -> OutcomeRecord:  # noqa: ANN401 - fields of the record
    """How a call ended: answered after 11 s, three minutes of talking, unless something else is said."""
    which: dict[str, Any] = {"time": at, "node": "pbx1", "uniqueid": uniqueid, "linkedid": uniqueid, "ask": 1}
    how = {"ended": Ending.ANSWERED, "answered_by": "PJSIP/agent-7", "queue": "senior-care", "hangup_cause": 16}
    spoken = {"speech": "unhurried", "choice": "", "wait_s": 11.5, "talk_s": 180.0, "duration_s": 195.0}
    return OutcomeRecord(**(which | how | spoken | changed))


@dataclass(slots=True)
class Lines:
    """A journal's lines, as writers number them: one run after the other."""

    run: str = "aaaa0001"
    seq: int = 0
    records: list[Record] = field(default_factory=list)

    def add(self, *records: Record) -> Lines:
        for record in records:
            self.seq += 1
            self.records.append(record.model_copy(update={"run": self.run, "seq": self.seq}))
        return self

    def starts(self, run: str, at: datetime) -> Lines:
        self.run, self.seq = run, 0
        return self.add(ConditionRecord(time=at, what=ROUTER_AWAY, state="ended", why="the router was started"))

    def stops(self, at: datetime) -> Lines:
        return self.add(ConditionRecord(time=at, what=ROUTER_AWAY, state="began", why="the router was stopped"))

    def others(self, book: RuleBook, at: datetime, count: int = 3, **changed: Any) -> Lines:  # noqa: ANN401
        """Other calls, one each five seconds."""
        for number in range(count):
            each = at + timedelta(seconds=5 * number)
            self.add(decided(book, each, OTHER, number=100 + number, band="adult", **changed))
        return self

    def text(self) -> bytes:
        return b"".join(record.model_dump_json().encode() + b"\n" for record in self.records)


def _after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def usual(book: RuleBook) -> Lines:
    lines = Lines().starts("aaaa0001", _after(-3600)).others(book, _after(-50))
    return lines.add(decided(book)).others(book, _after(20)).add(ended(named(AT), _after(195)))


def by_key(book: RuleBook) -> Lines:
    """An adult hears the assistant, asks for slower speech and a person."""
    keys = ("1", "slower", "person")
    outcome = ended(
        named(AT), _after(260), queue="agents", keys=keys, choice="slower:unhurried+person", touched_assistant=True
    ).model_copy(update={"duration_s": 260.0})
    return Lines().starts("aaaa0001", _after(-3600)).add(decided(book, band="adult", registry_age_s=60.0), outcome)


def router_away(book: RuleBook) -> Lines:
    lines = Lines().starts("aaaa0001", _after(-3600)).others(book, _after(-120)).stops(_after(-40))
    lines.starts("bbbb0002", _after(70))
    lines.add(fell_back(book, AT, _after(71)), fell_back(book, _after(12), _after(71), OTHER))
    queued = ended(named(AT), _after(240), queue="agents", fallback="heartbeat", speech="", choice=None)
    return lines.add(queued.model_copy(update={"wait_s": 42.0, "hangup_cause": None}))


def redis_down(book: RuleBook) -> Lines:
    lines = Lines().starts("aaaa0001", _after(-3600))
    why = "127.0.0.1:6379: Connection refused"
    lines.add(ConditionRecord(time=_after(-25), what=REDIS_NOT_ANSWERING, state="began", why=why))
    unknown: Mapping[str, Any] = {"band": None, "source": "lookup_failed", "band_detail": "no answer within 50 ms"}
    lines.add(decided(book, **unknown))
    lines.seq += 2  # lost to a full disk
    lines.add(decided(book, _after(9), OTHER, lookup_ms=1250.0, **unknown))
    lines.add(ConditionRecord(time=_after(30), what=REDIS_NOT_ANSWERING, state="ended"))
    gone = ended(named(AT), _after(40), ended=Ending.HUNG_UP_EARLY, answered_by="", queue="", wait_s=None, talk_s=None)
    return lines.add(gone.model_copy(update={"duration_s": 40.0, "touched_assistant": True, "hangup_cause": 41}))


def transferred(book: RuleBook) -> Lines:
    lines = Lines().starts("aaaa0001", _after(-3600)).add(decided(book))
    lines.add(decided(book, _after(120), uniqueid=named(AT), ask=2, registry_age_s=None))
    return lines.add(ended(named(AT), _after(500), ask=2).model_copy(update={"duration_s": 500.0}))


def abandoned(book: RuleBook) -> Lines:
    lines = Lines().starts("aaaa0001", _after(-3600)).add(decided(book))
    gone = {"ended": Ending.ABANDONED, "answered_by": "", "queue": "agents", "talk_s": None, "duration_s": 140.0}
    return lines.add(ended(named(AT), _after(140), wait_s=135.0, keys=("repeat", "person", "silence"), **gone))


def promoted(book: RuleBook) -> Lines:
    lines = Lines().starts("aaaa0001", _after(-3600)).add(decided(book))
    asked: Mapping[str, Any] = {"node": "pbx1", "uniqueid": named(AT), "linkedid": named(AT), "by": "alice"}
    moved = PromotionRecord(
        time=_after(33), queue="senior-care", from_position=3, to_position=1, by_uid=1001, why="ill", done=True, **asked
    )
    again = PromotionRecord(
        time=_after(50), by_uid=1001, done=False, not_done_why="the call waits in no queue", **asked
    )
    return lines.add(moved, again, ended(named(AT), _after(230), wait_s=40.0, duration_s=224.0))


def unseen(book: RuleBook) -> Lines:
    """The router crashed while the caller waited, and the call was over when it was there again."""
    lines = Lines().starts("aaaa0001", _after(-3600)).others(book, _after(-50)).add(decided(book))
    lines.others(book, _after(61)).starts("bbbb0002", _after(600))
    over = {"ended": Ending.UNSEEN, "answered_by": "", "queue": "senior-care", "wait_s": None, "talk_s": None}
    return lines.add(ended(named(AT), _after(600.5), **over, hangup_cause=None, duration_s=None, choice=None))


STORIES = {
    "usual": usual,
    "by-key": by_key,
    "router-away": router_away,
    "redis-down": redis_down,
    "transferred": transferred,
    "abandoned": abandoned,
    "promoted": promoted,
    "unseen": unseen,
    "forgotten": usual,
}


def forgotten(text: bytes, caller: PhoneNumber = CALLER) -> bytes:
    """A journal's lines without one caller."""
    erasing = Erasing(caller, caller_key(SECRET, caller.e164))
    return b"\n".join(erasing.line(line) for line in text.split(b"\n"))


@dataclass(frozen=True, slots=True)
class Centre:
    """The files of one: its rules, the journal's key, the journal."""

    folder: Path

    @property
    def rules(self) -> Path:
        return self.folder / "routing.yaml"

    @property
    def secret(self) -> Path:
        return self.folder / "callers.key"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    def book(self) -> RuleBook:
        return load_rules(self.rules)

    def options(self) -> Sequence[str]:
        files = {"--rules": self.rules, "--secret-file": self.secret, "--journal-file": self.journal}
        return [word for option, file in files.items() for word in (option, str(file))]


def centre_in(folder: Path) -> Centre:
    """A centre without calls."""
    centre = Centre(folder)
    centre.rules.write_text(RULES, encoding="utf-8")
    centre.secret.write_bytes(SECRET)
    centre.secret.chmod(0o600)
    return centre


def as_lines(text: bytes) -> list[dict[str, Any]]:
    """A journal's records as the fields of their JSON."""
    return [json.loads(line) for line in text.splitlines()]
