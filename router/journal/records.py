"""What is written: one record of each decision, one of how the call ended, of promotions, and of what goes wrong.

The fields are a contract with whoever reads the journal, published as `docs/journal.schema.json`: a field
that is renamed or dropped, or changes its meaning, raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from router.errors import JournalError

SCHEMA_VERSION: Final = 1
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9990


def _utc_to_the_millisecond(time: datetime) -> datetime:
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise ValueError(f"is in no year from {_FIRST_YEAR} to {_LAST_YEAR}")  # which not every zone can tell
    utc = time.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


_Time: TypeAlias = Annotated[
    AwareDatetime,
    AfterValidator(_utc_to_the_millisecond),
    PlainSerializer(_iso, return_type=Annotated[str, Field(json_schema_extra={"format": "date-time"})]),
]
# To the microsecond or the millisecond: more digits are noise and make lines longer.
_Duration: TypeAlias = Annotated[float, Field(ge=0), AfterValidator(lambda value: round(value, 3))]
_Count: TypeAlias = Annotated[int, Field(ge=0)]

_Run: TypeAlias = Annotated[
    str, Field(description="The writing router's run: another one after each start; empty in what was written before.")
]
_Seq: TypeAlias = Annotated[
    int | None, Field(ge=1, description="How-manieth record of that run, from 1: one that is missing was lost.")
]

BandSourceName: TypeAlias = Literal["registry", "unknown", "no_number", "lookup_failed", "not_asked"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TraceStep(_Model):
    """How one rule fared; where it did not match, which condition failed, what it wanted and what it saw."""

    rule: str
    matched: bool
    failed: str = ""
    wanted: str = ""
    saw: str = ""


class Ending(StrEnum):
    """How a call ended, from the caller's point of view."""

    ANSWERED = "answered"  # a person took the call
    ABANDONED = "abandoned"  # the caller hung up, or was put out, while waiting for a person
    SELF_SERVED = "self_served"  # the caller chose something in the assistant and asked for nobody else
    HUNG_UP_EARLY = "hung_up_early"  # before a queue was reached, and with nothing chosen in an assistant
    UNSEEN = "unseen"  # while the router was away, which can only tell that it is over


class DecisionRecord(_Model):
    """Where a call was sent, why, and how long it took to say so.

    `caller` is masked and `caller_key` a keyed hash, so that one caller's calls can be told to be the same
    one's; of a caller who was forgotten they are `erased` and empty. `fallback` holds the dialplan's reason
    when it went on by itself. Latencies are None where nothing was measured. `at`, `queues`, `earlier_calls_s`,
    `choice` and `calendars` are what the rules were asked with, so that the call can be put to other rules later:
    None, or missing, where it was not known. `registry_age_s` is how old the registry was that knew the caller,
    or did not.
    """

    record: Literal["decision"] = "decision"
    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    time: _Time
    node: str
    uniqueid: str
    linkedid: str
    ask: Annotated[int, Field(ge=1, description="How-manieth request of that call, from 1.")]
    caller: str
    caller_key: str
    called: str
    language: str
    age_band: str | None
    band_source: BandSourceName
    band_detail: str = ""
    registry_age_s: Annotated[
        _Duration | None,
        Field(description="Seconds since the registry was last loaded or updated; null where that is not known."),
    ] = None
    rule: str
    trace: tuple[TraceStep, ...] = ()
    target: str
    queue: str = ""
    context: str = ""
    head_start_s: _Count = 0
    speech: str = ""
    speech_from: Annotated[
        Literal["rule", "choice"], Field(description="Whether the rule or the caller's own earlier choice says speech.")
    ] = "rule"
    channel_language: str = ""
    agent_label: str = ""
    overflow_s: _Count | None = None
    overflow_queue: str = ""
    note: str = ""
    at: _Time | None = None
    queues: Annotated[
        dict[str, tuple[_Count, _Count, _Count]],
        Field(description="Of each queue: callers waiting, the longest wait in seconds, agents free."),
    ] = {}
    earlier_calls_s: Annotated[
        tuple[_Duration, ...] | None, Field(description="Seconds since each earlier call of the caller, newest first.")
    ] = None
    choice: Annotated[
        str | None, Field(description="What the caller had remembered, like slower:slow+person; empty for nothing.")
    ] = None
    calendars: tuple[str, ...] = ()
    rules_version: str
    lookup_ms: _Duration | None = None
    decide_ms: _Duration | None = None
    apply_ms: _Duration | None = None
    applied: bool
    not_applied_why: str = ""
    fallback: str = ""
    full_caller: str | None = None
    protected: Annotated[
        bool | None,
        Field(description="Whether the rules protected the age band; null in what was written before that was kept."),
    ] = None
    run: _Run = ""
    seq: _Seq = None


class OutcomeRecord(_Model):
    """How a call ended. Times are None where the call never got that far, or nobody saw it."""

    record: Literal["outcome"] = "outcome"
    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    time: _Time
    node: str
    uniqueid: str
    linkedid: str
    ask: Annotated[int, Field(ge=1, description="How many requests that call made.")]
    ended: Ending
    answered_by: str = ""
    queue: str = ""
    wait_s: _Duration | None = None
    talk_s: _Duration | None = None
    touched_assistant: bool = False
    keys: tuple[str, ...] = ()
    choice: Annotated[
        str | None,
        Field(description="What the caller chose in this call, written as in decisions; null where it is not known."),
    ] = None
    speech: Annotated[
        str | None,
        Field(description="The speech profile at the end; empty where no decision was applied, null where not known."),
    ] = None
    fallback: str = ""
    hangup_cause: int | None = None
    duration_s: _Duration | None = None
    run: _Run = ""
    seq: _Seq = None


class PromotionRecord(_Model):
    """Who asked for a waiting caller to be moved to the front of their queue, and what came of it.

    `by` is the name of the asker's user as the kernel knows it. Positions count from 1 and are None where the
    caller was not seen in a queue: `to_position` also when they left it as soon as they were at the front.
    """

    record: Literal["promotion"] = "promotion"
    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    time: _Time
    node: str
    uniqueid: str
    linkedid: str
    queue: str = ""
    from_position: _Count | None = None
    to_position: _Count | None = None
    by: str
    by_uid: _Count
    why: Annotated[str, Field(max_length=200, description="The asker's own words.")] = ""
    done: bool
    not_done_why: str = ""
    run: _Run = ""
    seq: _Seq = None


class ConditionRecord(_Model):
    """Something began to be wrong with our own systems, or is no longer.

    `what` is a fixed phrase, `why` what there is to say of it, `node` the Asterisk concerned, empty for all of them.
    What is wrong when a run ends is over with it: the next one says again what is wrong.
    """

    record: Literal["condition"] = "condition"
    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    time: _Time
    node: str = ""
    what: Annotated[str, Field(min_length=1, max_length=60)]
    state: Literal["began", "ended"]
    why: Annotated[str, Field(max_length=500)] = ""
    run: _Run = ""
    seq: _Seq = None


Record: TypeAlias = DecisionRecord | OutcomeRecord | PromotionRecord | ConditionRecord

_any_record: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="record")])


def parse_record(line: bytes) -> Record:
    """The record of one line of a journal.

    Raises:
        JournalError: The line is no record of this schema.
    """
    try:
        return _any_record.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise JournalError(f"{place}: {first['msg']}" if place else first["msg"]) from error
