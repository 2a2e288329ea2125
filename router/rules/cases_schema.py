"""The shape of a file of test cases, field by field. What its names mean to the rules is checked in `cases`.

Every description completes the sentence "it must be …", as in `schema`; the published JSON Schema shows the same
texts to whoever writes cases in an editor that reads it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from router.callers.past import CHOICES, MOST_EARLIER_CALLS, NO_CHOICE, read_choice
from router.rules.durations import DurationS, WholeSeconds
from router.rules.editor_schema import editor_schema, editor_schema_text
from router.rules.scalars import quoted
from router.rules.schema import MAX_HEAD_START_S, MAX_NAMES, MAX_REPEAT_S, OverflowEntry
from router.rules.values import Language, Percent
from router.rules.wording import did_you_mean

# More than anyone keeps by hand; deciding them all takes some milliseconds.
MAX_CASES: Final = 1000
MAX_NAME_CHARACTERS: Final = 120
NO_OVERFLOW: Final = "none"

_TITLE: Final = "Test cases for the routing rules of elder-router"
_EXAMPLE_TIME: Final = '"2026-11-25 12:00"'
# Years of which public holidays are known, and which every time zone can tell.
_TIME: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_CALLER: Final = r"^\+[1-9][0-9]{4,14}$"


def wall_time(text: str) -> datetime:
    """A moment of the wall clock, without a time zone.

    Raises:
        ValueError: It is none; the message says what to write.
    """
    if not _TIME.fullmatch(text):
        raise ValueError(
            f"must be a date from 2000 on and a time, in quotes, like {_EXAMPLE_TIME}; found {quoted(text)}"
        )
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"{quoted(text)} is not on the calendar or the clock; write it like {_EXAMPLE_TIME}"
        ) from error


def _is_time(text: str) -> str:
    wall_time(text)
    return text


def _as_number(value: object) -> object:
    """A called number; an unquoted one is a whole number, whose digits are all there."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be a line of text")
    return text


def _overflow(value: object) -> object:
    if value == NO_OVERFLOW:
        return None
    if isinstance(value, str):
        raise ValueError(f"must be a group like {{after: 60s, to: people}}, or {NO_OVERFLOW}; found {quoted(value)}")  # noqa: TRY004 - pydantic takes this one
    return value


def _is_choice(text: str) -> str:
    if text != NO_CHOICE and (not text or read_choice(text) is None):
        wanted = f"must be {', '.join(CHOICES)} or {NO_CHOICE}, or like slower:slow+person"
        near = did_you_mean(text, [*CHOICES, NO_CHOICE])
        raise ValueError(f"{wanted}; found {quoted(text)}; {near}".rstrip("; "))
    return text


class _Strict(BaseModel):
    """Nothing is converted, and a key that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class QueueStateEntry(_Strict):
    """The state of one queue at the moment of the call."""

    waiting: int = Field(ge=0, le=100_000, description="a number of callers who wait, like 10")
    longest_wait: WholeSeconds = Field(
        ge=0, le=86_400, description="how long the first of them has waited, in whole seconds, like 5m"
    )
    agents_free: int = Field(ge=0, le=100_000, description="a number of agents, like 2")


class CallEntry(_Strict):
    """One call. What is not said of it is not known, and no condition that asks for it holds."""

    caller: Annotated[str, Field(pattern=_CALLER)] | None = Field(
        default=None, description='a whole number with + and country code in quotes, like "+8613900000001"'
    )
    anonymous: bool = Field(default=False, description="true (the number is withheld) or false")
    band: str | None = Field(default=None, description="an age band's name, or `unknown` where it is not known")
    called: Annotated[
        str,
        Field(pattern=r"^\+?[0-9]{1,32}$"),
        BeforeValidator(_as_number, json_schema_input_type=int | str),
    ] = Field(default="", description="the number that was called, like 95519")
    at: Annotated[str, AfterValidator(_is_time)] | None = Field(
        default=None, description=f"a date and a time in quotes, like {_EXAMPLE_TIME}, in the time zone of the rules"
    )
    language: Language = Field(default="en", description="the channel's language, like en or zh_CN")
    choice: Annotated[str, AfterValidator(_is_choice)] | None = Field(
        default=None,
        description="what the caller chose before and had remembered: slower, normal, person, or none for nothing; or "
        "with a speech profile and together, like slower:slow+person",
    )
    earlier_calls: list[Annotated[DurationS, Field(ge=0, le=MAX_REPEAT_S)]] | None = Field(
        default=None,
        max_length=MOST_EARLIER_CALLS,
        description="a list of how long ago the caller called before, each up to 7d, like [5m, 2h], or [] for never",
    )
    queue: dict[str, QueueStateEntry] = Field(
        default={},
        max_length=MAX_NAMES,
        description="targets with their queue's state, like people: {waiting: 12, longest_wait: 4m, agents_free: 0}",
    )
    rollout: Percent | None = Field(
        default=None, ge=0, lt=100, description="the caller's place in roll-outs, from 0% to below 100%, like 15%"
    )


class ExpectEntry(_Strict):
    """What the rules must decide; what is not said may be anything."""

    to: str | None = Field(default=None, description="the name of a target")
    rule: str | None = Field(default=None, description="the name of the rule that decides")
    head_start: WholeSeconds | None = Field(
        default=None, ge=0, le=MAX_HEAD_START_S, description="a time of whole seconds from 0s to 4h, like 5m"
    )
    speech: str | None = Field(default=None, description="the name of a speech profile")
    agent_label: str | None = Field(
        default=None, description='the text for the agent\'s screen, like "60+", or "" for none'
    )
    language: str | None = Field(
        default=None, description='the language that the rule sets, like zh, or "" where the caller\'s stays'
    )
    overflow: Annotated[
        OverflowEntry | None,
        BeforeValidator(_overflow, json_schema_input_type=OverflowEntry | Literal["none"]),
    ] = Field(default=None, description="a group like {after: 60s, to: people}, or none where calls wait on")
    note: str | None = Field(default=None, description='the text for the journal, or "" for none')


class CaseEntry(_Strict):
    """One case: a call, and what must be decided for it."""

    name: Annotated[str, AfterValidator(_name)] = Field(
        max_length=MAX_NAME_CHARACTERS,
        description=f"a text of at most {MAX_NAME_CHARACTERS} characters that says what must hold",
    )
    call: CallEntry = Field(description="a group like {band: senior, called: 95519}")
    expect: ExpectEntry = Field(description="a group like {to: people, head_start: 5m}")


class CasesFile(_Strict):
    """A whole file of test cases."""

    tests: list[CaseEntry] = Field(
        min_length=1, max_length=MAX_CASES, description="a list of cases, each with `name`, `call` and `expect`"
    )


def cases_schema() -> dict[str, Any]:
    """The JSON Schema of a file of test cases, for editors."""
    return editor_schema(CasesFile, _TITLE)


def cases_schema_text() -> str:
    """The schema as the published file holds it."""
    return editor_schema_text(CasesFile, _TITLE)
