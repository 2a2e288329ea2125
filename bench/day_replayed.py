"""A day of calls put to changed rules: the journal of one is made up, and `elder-router diff` is run on it.

Each record has the real shape: the desk's own code makes one for each of some thousand different calls, and these are
repeated with other callers, times and names until the day is full.
"""

from __future__ import annotations

import gzip
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import orjson
from rich.console import Console

from bench.plan import Plan
from bench.population import SEED
from bench.rule_sets import OPEN_AT, Calls, RuleSpec, rules_of, rules_text
from lab.centre import ELDER_ROUTER
from lab.places import PROJECT
from lab.processes import LabError
from router.callers.number import PhoneNumber, masked
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.calls.verdict import channel_language
from router.journal.hashing import caller_key, rollout_place
from router.journal.records import Ending, OutcomeRecord
from router.rules.book import RuleBook, load_rules
from router.rules.model import Facts, QueueState
from router.rules.recorded import RecordedCaller

RULES = (3, 50)
"""The shipped rules, and as many as a large centre's."""
MIDNIGHT = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
"""The Monday of `OPEN_AT` begins, where the rules are at home."""
SECRET = bytes(range(32))
# As `logrotate` compresses, if not told otherwise.
GZIP_LEVEL: Final = 6

_TEMPLATES = 3_000
_UID, _SHOWN, _KEY, _TIME = "@uid@", "@shown@", "@key@", "2001-01-01T00:00:00.000Z"
_key_of = partial(caller_key, SECRET)


@dataclass(frozen=True, slots=True)
class DayReplayed:
    """One run over a day's journal. `compressed` tells whether the journal was; sizes are of the file as it lies."""

    rules: int
    compressed: bool
    decisions: int
    differ: int
    file_bytes: int
    took_s: float
    cpu_s: float
    peak_rss_bytes: int


def measure_days(scratch: Path, plan: Plan, console: Console) -> list[DayReplayed]:
    """Replay a day at each number of rules, from a plain and from a compressed journal.

    Raises:
        LabError: The command fails, or does not see what it should.
    """
    console.print("[bold]==>[/] a day replayed")
    scratch.mkdir(parents=True, exist_ok=True)
    key = scratch / "callers.key"
    key.write_bytes(SECRET)
    key.chmod(0o600)
    runs = []
    for number in RULES:
        specs = rules_of(number) if number > RULES[0] else ()
        old, new = scratch / f"{number} old.yaml", scratch / f"{number} new.yaml"
        text = rules_text(specs) if specs else (PROJECT / "config" / "routing.yaml").read_text()
        old.write_text(text)
        new.write_text(text.replace("5m", "6m"))  # a longer head start for those of 60 and over
        plain = scratch / f"{number}.jsonl"
        _write_day(plain, _templates(load_rules(old), specs), plan.day_calls)
        packed = plain.with_suffix(".jsonl.gz")
        _compress(plain, packed)
        for journal in (plain, packed):
            run = _replay(number, journal, new, old, key, plan.day_calls)
            runs.append(run)
            console.print(
                f"    {number} rules, {journal.suffix}: {run.took_s:.1f} s, "
                f"{run.decisions / run.took_s:,.0f} decisions/s, {run.peak_rss_bytes / 2**20:.0f} MiB at most"
            )
            journal.unlink()
    return runs


def _replay(rules: int, journal: Path, new: Path, old: Path, key: Path, calls: int) -> DayReplayed:
    answer = journal.with_name("answer.json")
    command = [ELDER_ROUTER, "diff", str(new), "--journal", str(journal), "--json"]
    command += ["--secret-file", str(key), "--rules", str(old)]
    size = journal.stat().st_size
    with answer.open("wb") as into:
        began = time.perf_counter()
        child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, into.fileno(), 1)])
        _, status, usage = os.wait4(child, 0)
        took_s = time.perf_counter() - began
    found = orjson.loads(answer.read_bytes() or b"{}")
    # With 50 rules some callers gain over others of their age band, which the gate finds.
    if (code := os.waitstatus_to_exitcode(status)) not in {0, 3} or found["compared"] != calls or not found["differ"]:
        raise LabError(f"`{' '.join(command)}` went wrong: exit status {code}, {found.get('compared')} compared")
    return DayReplayed(
        rules=rules,
        compressed=journal.suffix == ".gz",
        decisions=found["compared"],
        differ=found["differ"],
        file_bytes=size,
        took_s=took_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_rss_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def _compress(plain: Path, packed: Path) -> None:
    with plain.open("rb") as source, gzip.open(packed, "wb", GZIP_LEVEL) as into:
        while chunk := source.read(2**20):
            into.write(chunk)


@dataclass(frozen=True, slots=True)
class _Template:
    """A record with places for what differs. `shown` and `key` are its caller's; if both are empty, any will do."""

    text: bytes
    shown: bytes
    key: bytes


def _write_day(file: Path, templates: tuple[Sequence[_Template], Sequence[_Template]], calls: int) -> None:
    """So many decisions, evenly over 24 hours, an outcome after each."""
    chance = random.Random(SEED)  # noqa: S311 - a benchmark's callers guard no secret
    by_night, by_day = templates
    outcome = _outcome()
    home = ZoneInfo("Asia/Shanghai")
    with file.open("wb", 2**20) as into:
        for number in range(calls):
            at = MIDNIGHT + timedelta(days=number / calls)
            template = chance.choice(by_day if 9 <= at.astimezone(home).hour < 18 else by_night)
            uid = b"%d.%d" % (at.timestamp(), number)
            when = at.isoformat(timespec="milliseconds")[:-6].encode() + b"Z"
            shown, key = template.shown, template.key
            if not shown:
                digits = chance.randrange(10**8)
                shown, key = b"+86139****%04d" % (digits % 10_000), _key_of(f"+86139{digits:08d}").encode()
            into.write(template.text % (when, uid, uid, shown, key, when))
            into.write(outcome % (when, uid, uid))


def _templates(book: RuleBook, specs: Sequence[RuleSpec]) -> tuple[list[_Template], list[_Template]]:
    """Records of different calls by night, and by day."""
    by_night, by_day = list[_Template](), list[_Template]()
    for facts in _calls(specs):
        (by_day if facts.at == OPEN_AT else by_night).append(_template(book, facts))
    return by_night, by_day


def _calls(specs: Sequence[RuleSpec]) -> Iterator[Facts]:
    """Calls as they come; or, of made-up rules, such that fit one of them, any as likely as the other."""
    chance, calls = random.Random(SEED), Calls()  # noqa: S311 - see above
    for _ in range(_TEMPLATES):
        facts = calls.fitting_any(specs) if specs else calls.unlisted()
        states = {
            queue: QueueState(chance.randrange(30), chance.randrange(300), chance.randrange(9))
            for queue in ("agents", "senior-care")
        }
        caller = facts.caller
        rollout = rollout_place(_key_of(caller.e164)) if isinstance(caller, PhoneNumber) else None
        yield replace(facts, queues=states, choice="", rollout=rollout)


def _template(book: RuleBook, facts: Facts) -> _Template:
    decision = book.decide(facts)
    caller = facts.caller
    assert not isinstance(caller, RecordedCaller)
    handled = Handled(
        caller=caller,
        age_band=facts.age_band,
        band_source="registry" if facts.age_band else "unknown",
        facts=facts,
        decision=decision,
        language=channel_language(facts.language, decision.speech, frozenset(book.speech)),
        applied=True,
        lookup_ms=0.264,
        decide_ms=0.051,
        apply_ms=0.512,
    )
    record = decision_record(
        Request(_UID, _UID, 1, "PJSIP/trunk-00000001", "", False, facts.called, facts.language),
        handled,
        node="pbx1",
        fallback="",
        book=book,
        caller_masked=_SHOWN,
        caller_key=_KEY,
        full_caller=None,
    )
    fields = record.model_dump(mode="json") | {"time": _TIME, "at": _TIME}
    # Another number will do where none of the rules asked would take it for the one that was drawn.
    rule = next(rule for rule in book.rules if rule.name == decision.rule)
    asked = {condition.field for condition in rule.conditions} | {step.failed for step in decision.trace}
    keep = not isinstance(caller, PhoneNumber) or "rollout" in asked or not caller.e164.startswith("+861390000")
    shown = masked(caller).encode() if keep else b""
    key = _key_of(caller.e164).encode() if keep and isinstance(caller, PhoneNumber) else b""
    return _Template(_with_places(fields), shown, key)


def _outcome() -> bytes:
    record = OutcomeRecord(
        time=MIDNIGHT,
        node="pbx1",
        uniqueid=_UID,
        linkedid=_UID,
        ask=1,
        ended=Ending.ANSWERED,
        answered_by="PJSIP/agent-0007-00000001",
        queue="agents",
        wait_s=11.482,
        talk_s=200.118,
        hangup_cause=16,
        duration_s=215.977,
    )
    return _with_places(record.model_dump(mode="json") | {"time": _TIME})


def _with_places(fields: Mapping[str, object]) -> bytes:
    """A line of a journal, with `%b` where calls differ."""
    line = orjson.dumps(fields).replace(b"%", b"%%") + b"\n"
    for place in (_UID, _SHOWN, _KEY, _TIME):
        line = line.replace(place.encode(), b"%b")
    return line
