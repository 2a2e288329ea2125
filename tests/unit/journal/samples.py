"""One decision, one outcome and one condition with every field filled in, all of it made up."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from router.journal.records import ConditionRecord, DecisionRecord, Ending, OutcomeRecord, TraceStep

TESTDATA = Path(__file__).parent / "testdata"
RUN = "5f0c21aa"

DECISION = DecisionRecord(
    time=datetime(2025, 11, 23, 17, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=8))),
    node="pbx1",
    uniqueid="1763888645.42",
    linkedid="1763888645.42",
    ask=1,
    caller="+86139****0001",
    caller_key="0123456789abcdef",
    called="95500",
    language="zh",
    age_band="elder",
    band_source="registry",
    band_detail="",
    registry_age_s=27_941.2501,
    rule="seniors reach a person",
    trace=(
        TraceStep(rule="closed", matched=False, failed="calendar", wanted="not open", saw="open"),
        TraceStep(rule="seniors reach a person", matched=True),
    ),
    target="senior-care",
    queue="senior-care",
    context="",
    head_start_s=300,
    speech="slow",
    speech_from="choice",
    channel_language="zh_slow",
    agent_label="60+",
    overflow_s=60,
    overflow_queue="agents",
    note="seniors first",
    at=datetime(2025, 11, 23, 17, 4, 5, 675_000, tzinfo=timezone(timedelta(hours=8))),
    queues={"senior-care": (3, 41, 0)},
    earlier_calls_s=(61.5,),
    choice="slower:slow",
    calendars=("open",),
    rules_version="5f3a9c01d2e4",
    lookup_ms=0.2641,
    decide_ms=0.031,
    apply_ms=None,
    applied=True,
    not_applied_why="",
    fallback="",
    full_caller=None,
    protected=True,
    run=RUN,
    seq=1,
)

OUTCOME = OutcomeRecord(
    time=datetime(2025, 11, 23, 17, 9, 0, tzinfo=timezone(timedelta(hours=8))),
    node="pbx1",
    uniqueid="1763888645.42",
    linkedid="1763888645.42",
    ask=1,
    ended=Ending.ANSWERED,
    answered_by="PJSIP/agent-7",
    queue="senior-care",
    wait_s=11.5,
    talk_s=280.25,
    touched_assistant=False,
    keys=("slower", "person"),
    choice="slower:slow+person",
    speech="slow",
    fallback="",
    hangup_cause=16,
    duration_s=295.0,
    run=RUN,
    seq=1,
)

CONDITION = ConditionRecord(
    time=datetime(2025, 11, 23, 17, 5, 0, 250_000, tzinfo=timezone(timedelta(hours=8))),
    node="pbx1",
    what="asterisk not linked",
    state="began",
    why="the connection was lost",
    run=RUN,
    seq=1,
)


def decision(uniqueid: str, node: str = "pbx1", ask: int = 1) -> DecisionRecord:
    return DECISION.model_copy(update={"uniqueid": uniqueid, "node": node, "ask": ask})


def outcome(uniqueid: str, node: str = "pbx1") -> OutcomeRecord:
    return OUTCOME.model_copy(update={"uniqueid": uniqueid, "node": node})
