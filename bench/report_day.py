"""The journal of made-up days, for what counts them: calls by the hour, waits, abandoned calls, faults.

Each record has the real shape, with the trace that the shipped rules give it; calls and outcomes stand in the order in
which a router would have written them.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from bench.population import OLDER, SEED, SHARES
from lab.places import PROJECT
from router.callers.number import PhoneNumber
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.calls.verdict import channel_language
from router.journal.records import ConditionRecord, Ending, OutcomeRecord
from router.rules.book import RuleBook, load_rules
from router.rules.model import Facts

BY_HOUR: Final = (2, 1, 1, 1, 1, 2, 4, 8, 40, 85, 95, 90, 60, 65, 85, 90, 85, 70, 45, 30, 25, 18, 8, 4)
"""How busy an insurer's line is, from midnight on."""
_UID, _SHOWN, _KEY, _TIME, _AT = "@uid@", "@shown@", "@key@", "2001-01-01T00:00:00.000Z", "2001-01-01T00:00:00.001Z"
_FALLBACKS: Final = ("heartbeat", "deadline")


def write_days(file: Path, first: datetime, days: int, calls_a_day: int) -> None:
    """So many days from midnight of `first` on, whose time zone is the calls'."""
    chance = random.Random(SEED)  # noqa: S311 - a benchmark's callers guard no secret
    decided = _Decisions()
    ended = _Outcomes(chance)
    pending: list[tuple[float, int, bytes]] = []
    number = 0
    bands, shares = list(SHARES), list(SHARES.values())
    with file.open("wb", 2**20) as into:
        for day in range(days):
            midnight = (first + timedelta(days=day)).timestamp()
            for hour, share in enumerate(BY_HOUR):
                calls = round(calls_a_day * share / sum(BY_HOUR))
                for of_hour in range(calls):
                    at = midnight + hour * 3600 + of_hour * 3600 / calls
                    while pending and pending[0][0] <= at:
                        into.write(heapq.heappop(pending)[2])
                    number += 1
                    uid = b"%d.%d" % (at, number)
                    band = chance.choices(bands, shares)[0]
                    fallback = _FALLBACKS[number % 2] if number % 500 == 0 else ""
                    digits = chance.randrange(10**8)
                    when = _iso(at)
                    key = b"%016x" % (digits * 0x9E3779B97F4A7C15 % 2**64)
                    line = decided.line(band, fallback)
                    into.write(line % (when, uid, uid, b"+86139****%04d" % (digits % 10_000), key, when))
                    lasts_s, outcome = ended.line(band, fallback)
                    heapq.heappush(pending, (at + lasts_s, number, outcome % (_iso(at + lasts_s), uid, uid)))
            into.write(_condition(midnight + 11 * 3600, "began") + _condition(midnight + 11.1 * 3600, "ended"))
        while pending:
            into.write(heapq.heappop(pending)[2])


def _iso(at: float) -> bytes:
    return datetime.utcfromtimestamp(at).isoformat(timespec="milliseconds").encode() + b"Z"  # noqa: DTZ004 - twice as fast


class _Decisions:
    """Lines of decisions, by the shipped rules, with `%b` where calls differ."""

    def __init__(self) -> None:
        self._book = load_rules(PROJECT / "config" / "routing.yaml")
        self._lines: dict[tuple[str | None, str], bytes] = {}

    def line(self, band: str | None, fallback: str) -> bytes:
        if (band, fallback) not in self._lines:
            self._lines[band, fallback] = _decision(self._book, band, fallback)
        return self._lines[band, fallback]


def _decision(book: RuleBook, band: str | None, fallback: str) -> bytes:
    at = datetime.fromisoformat(_AT)
    caller = PhoneNumber("+8613900000001")
    facts = Facts(caller, called="95519", language="zh_CN", age_band=band, at=at, rollout=17.0)
    decision = None if fallback else book.decide(facts)
    handled = Handled(
        caller=caller,
        queue="agents" if fallback else "",
        applied=not fallback,
        age_band=None if fallback else band,
        band_source="not_asked" if fallback else "registry" if band else "unknown",
        facts=replace(facts, choice=""),
        decision=decision,
        language=channel_language(facts.language, decision.speech, frozenset(book.speech)) if decision else "",
        lookup_ms=0.264,
        decide_ms=0.051,
        apply_ms=0.512,
    )
    record = decision_record(
        Request(_UID, _UID, 1, "PJSIP/trunk-00000001", "", False, facts.called, facts.language),
        handled,
        node="pbx1",
        fallback=fallback,
        book=book,
        caller_masked=_SHOWN,
        caller_key=_KEY,
        full_caller=None,
    )
    fields = record.model_dump(mode="json") | {"time": _TIME, "at": _TIME, "run": "5f0c21aa"}
    return _with_places(fields)


class _Outcomes:
    """Lines of outcomes, drawn from some thousand."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lines = {
            kind: [_outcome(chance, to_person=kind) for _ in range(2_000)] for kind in ("senior-care", "agents", "")
        }

    def line(self, band: str | None, fallback: str) -> tuple[float, bytes]:
        """How long a call lasts, in seconds, and its outcome."""
        return self._chance.choice(self._lines["agents" if fallback else "senior-care" if band in OLDER else ""])


def _outcome(chance: random.Random, *, to_person: str) -> tuple[float, bytes]:
    wait_s = round(chance.expovariate(1 / (9 if to_person == "senior-care" else 25)), 3)
    drawn = chance.random()
    met = not to_person
    ended, queue = Ending.ANSWERED, to_person or "agents"
    if not to_person and drawn < 0.62:
        ended, queue = Ending.SELF_SERVED, ""
    elif drawn > 0.995:
        ended = Ending.UNSEEN
    elif drawn > 0.97 or wait_s > 120:
        ended = Ending.ABANDONED
    elif drawn > 0.95:
        ended, queue = Ending.HUNG_UP_EARLY, ""
    talk_s = round(chance.expovariate(1 / 200), 3) if ended is Ending.ANSWERED else None
    lasts_s = (wait_s if queue else 20.0) + (talk_s or 0.0) + 4.5
    record = OutcomeRecord(
        time=datetime.fromisoformat(_TIME),
        node="pbx1",
        uniqueid=_UID,
        linkedid=_UID,
        ask=1,
        ended=ended,
        answered_by="PJSIP/agent-0007-00000001" if ended is Ending.ANSWERED else "",
        queue=queue,
        wait_s=wait_s if queue and ended is not Ending.UNSEEN else None,
        talk_s=talk_s,
        touched_assistant=met,
        choice="",
        speech="standard",
        hangup_cause=16,
        duration_s=lasts_s,
        run="5f0c21aa",
    )
    return lasts_s, _with_places(record.model_dump(mode="json") | {"time": _TIME})


def _condition(at: float, state: Any) -> bytes:  # noqa: ANN401 - "began" or "ended"
    record = ConditionRecord(
        time=datetime.fromisoformat(_iso(at).decode()), what="registry does not answer", state=state, run="5f0c21aa"
    )
    return orjson.dumps(record.model_dump(mode="json")) + b"\n"


def _with_places(fields: dict[str, Any]) -> bytes:
    line = orjson.dumps(fields).replace(b"%", b"%%") + b"\n"
    for place in (_UID, _SHOWN, _KEY, _TIME):
        line = line.replace(place.encode(), b"%b")
    return line
