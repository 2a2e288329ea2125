"""What was done about one request, and the decision record that makes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from router.callers.number import Caller
from router.callers.registry import BandLookup, BandSource
from router.calls.events import Request
from router.journal.records import BandSourceName, DecisionRecord, TraceStep
from router.rules.book import RuleBook
from router.rules.model import ContextTarget, Decision, Facts, QueueTarget


@dataclass(slots=True)
class Handled:
    """What was done about one request, filled in as it is done. Times are in ms, None for steps not reached.

    `asked_at` is when it was asked, where no facts tell.
    """

    caller: Caller
    not_applied_why: str = ""
    queue: str = ""
    applied: bool = False
    age_band: str | None = None
    band_source: BandSourceName = "not_asked"
    band_detail: str = ""
    registry_age_s: float | None = None
    facts: Facts | None = None
    decision: Decision | None = None
    language: str = ""
    lookup_ms: float | None = None
    decide_ms: float | None = None
    apply_ms: float | None = None
    asked_at: datetime | None = None

    def looked_up(self, lookup: BandLookup, bands: Collection[str]) -> None:
        """Take what the registry says; a band that the rules do not define counts as not known."""
        self.band_source, self.band_detail = lookup.source.value, lookup.detail
        if lookup.age_s is not None:
            # Below 0 where the importer's clock is ahead of ours, which is no reason to lose the record.
            self.registry_age_s = max(0.0, lookup.age_s)
        if lookup.band is None or lookup.band in bands:
            self.age_band = lookup.band
        else:
            self.band_source = BandSource.NOT_FOUND.value
            self.band_detail = f"the registry says «{lookup.band[:40]}», which the rules do not define"


def decision_record(
    request: Request,
    handled: Handled,
    *,
    node: str,
    fallback: str,
    book: RuleBook,
    caller_masked: str,
    caller_key: str,
    full_caller: str | None,
) -> DecisionRecord:
    """The decision record of one request; without a decision it tells of the fallback."""
    decision = handled.decision
    target, queue, context, overflow = book.fallback.name, handled.queue, "", None
    if decision is not None:
        match decision.target:
            case QueueTarget():
                target, queue, overflow = decision.target.name, decision.target.queue, decision.target.overflow
            case ContextTarget():
                target, context = decision.target.name, decision.target.context
    facts = handled.facts
    return DecisionRecord(
        time=datetime.now(UTC),
        node=node,
        uniqueid=request.uniqueid,
        linkedid=request.linkedid,
        ask=request.ask,
        caller=caller_masked,
        caller_key=caller_key,
        full_caller=full_caller,
        called=request.called,
        language=request.language,
        age_band=handled.age_band,
        protected=handled.age_band in book.protected,
        band_source=handled.band_source,
        band_detail=handled.band_detail,
        registry_age_s=handled.registry_age_s,
        rule=decision.rule if decision else "",
        trace=[
            TraceStep(rule=step.rule, matched=step.matched, failed=step.failed, wanted=step.wanted, saw=step.saw)
            for step in (decision.trace if decision else ())
        ],
        target=target,
        queue=queue,
        context=context,
        head_start_s=decision.head_start_s if decision else 0,
        speech=decision.speech.name if decision else "",
        speech_from=decision.speech_from if decision else "rule",
        channel_language=handled.language or request.language,
        agent_label=decision.agent_label if decision else "",
        overflow_s=overflow.after_s if overflow else None,
        overflow_queue=overflow.queue if overflow else "",
        note=decision.note if decision else "",
        at=facts.at if facts else handled.asked_at,
        queues={name: (q.waiting, q.longest_wait_s, q.agents_free) for name, q in facts.queues.items()}
        if facts
        else {},
        earlier_calls_s=facts.earlier_calls_s if facts else None,
        choice=facts.choice if facts else None,
        calendars=tuple(sorted(decision.calendars)) if decision else (),
        rules_version=decision.rules_version if decision else "",
        lookup_ms=handled.lookup_ms,
        decide_ms=handled.decide_ms,
        apply_ms=handled.apply_ms,
        applied=handled.applied,
        not_applied_why=handled.not_applied_why,
        fallback=fallback,
    )
