"""The shape of a rules file, field by field. What one name means to another is checked in `semantics`.

Every description completes the sentence "it must be …", which is how `wording` tells people of a mistake. Every title
says what the key is for; both make up the reference (`reference`) and what editors show (`editor_schema`).
Single values are checked in `values`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from router.callers.bands import MAX_AGE_YEARS
from router.callers.past import MOST_EARLIER_CALLS
from router.rules.durations import DurationS, WholeSeconds
from router.rules.values import (
    A_LANGUAGE,
    A_NAME,
    AN_ASTERISK_NAME,
    AsteriskName,
    CalledPattern,
    CallerPattern,
    HoursText,
    LabelText,
    Language,
    Name,
    Percent,
    Region,
    RuleName,
    RuleText,
    SpeechName,
    TimeZone,
    one_or_many,
    one_or_many_numbers,
)

# The proof that protected callers reach a person looks at combinations of these; see `proof`.
MAX_RULES: Final = 1000
MAX_LISTED: Final = 1000
MAX_BANDS: Final = 20
MAX_NAMES: Final = 100
MAX_HEAD_START_S: Final = 4 * 3600
MAX_OVERFLOW_S: Final = 2 * 3600
MAX_REPEAT_S: Final = 7 * 86_400
MAX_NOTE_CHARACTERS: Final = 200
MAX_COUNT: Final = 100_000  # of callers waiting, or of agents

UNKNOWN_BAND: Final = "unknown"  # in a condition: the caller's band is not known
LIST_SUFFIX: Final = ".txt"  # what the name of a file of callers' numbers ends in
STANDARD_SPEECH: Final = "standard"


def _of_a_target(value: object) -> object:
    """Bounds stand under the name of a target."""
    if isinstance(value, dict):
        for key, bound in value.items():
            if key in QueueEntry.model_fields and not isinstance(bound, dict):
                raise ValueError(f"must name a target first, like people: {{{key}: {bound}}}")
    return value


class _Strict(BaseModel):
    """Nothing is converted, and a key that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BandEntry(_Strict):
    """One age band. A caller is in the last band whose `from` is not above their age."""

    name: Name = Field(title="what rules, test cases and the journal call it", description=A_NAME)
    from_years: int = Field(
        alias="from",
        ge=0,
        le=MAX_AGE_YEARS,
        title="the age at which it begins",
        description=f"a whole number of years from 0 to {MAX_AGE_YEARS}, like 60",
    )


class SpeechEntry(_Strict):
    """One speech profile: how prompts are spoken."""

    rate: float = Field(
        ge=0.5,
        le=2.0,
        title="how fast; 1.0 is the usual speed, below 0.7 becomes hard to understand",
        description="a number from 0.5 (half as fast) to 2.0, like 0.85",
    )
    sentence_pause: DurationS = Field(
        default=0.0,
        ge=0,
        le=5,
        title="the silence after each sentence",
        description="a pause between sentences from 0s to 5s, like 400ms",
    )
    digit_timeout: DurationS = Field(
        default=5.0,
        ge=1,
        le=60,
        title="how long a menu waits for the next key",
        description="the time to wait for a key, from 1s to 60s, like 8s",
    )
    gain_db: float = Field(
        default=0.0, ge=-12, le=12, title="how much louder", description="a number of decibels from -12 to 12, like 3"
    )
    value_pause: DurationS = Field(
        default=0.0,
        ge=0,
        le=5,
        title="the silence around a number, an amount, a date or a waiting time, and between groups of digits",
        description="a pause around numbers from 0s to 5s, like 300ms",
    )
    menu_options: int | None = Field(
        default=None,
        ge=1,
        le=9,
        title="how many choices of a menu are offered before it waits for a key; without it, all of them",
        description="a whole number of choices from 1 to 9, like 3",
    )
    repeat_essential: bool = Field(
        default=False,
        title="whether the most important sentence of a prompt is said again at its end",
        description="true or false",
    )


class OverflowEntry(_Strict):
    """Where a call goes that has waited too long. A call overflows once, to another queue of people."""

    after: WholeSeconds = Field(
        ge=1,
        le=MAX_OVERFLOW_S,
        title="how long a call waits first",
        description="a time of whole seconds from 1s to 2h, like 60s",
    )
    to: Name = Field(title="where it goes then", description="the name of a target that is a queue, like people")


class TargetEntry(_Strict):
    """Where calls can be sent: either a queue of people or a context of the dialplan."""

    queue: AsteriskName | None = Field(
        default=None, title="Asterisk's queue whose agents answer", description=AN_ASTERISK_NAME
    )
    overflow: OverflowEntry | None = Field(
        default=None,
        title="where a call goes on to that has waited too long in the queue",
        description="a group like {after: 60s, to: people}",
    )
    context: AsteriskName | None = Field(
        default=None,
        title="the context of the dialplan that takes the call, such as the assistant's",
        description=AN_ASTERISK_NAME,
    )


class CalendarEntry(_Strict):
    """Opening hours, by the clock of `timezone`. On public holidays only `holiday_hours` are open, if there are any."""

    hours: HoursText = Field(
        title="when it is open",
        description='opening hours like "Mo-Fr 09:00-21:00; Sa-Su 09:00-18:00"',
    )
    holidays: Region | None = Field(
        default=None,
        title="whose public holidays, and weekend days worked in exchange for them, change the hours",
        description="the country whose public holidays count, like CN, or a part of one, like DE-BY",
    )
    holiday_hours: HoursText | None = Field(
        default=None,
        title="when it is open on public holidays; without it, never",
        description='hours on public holidays, like "10:00-16:00"',
    )


class QueueEntry(_Strict):
    """The state of one queue; all bounds must hold. It is asked of Asterisk every second."""

    waiting_over: int | None = Field(
        default=None,
        ge=0,
        le=MAX_COUNT,
        title="more callers wait than this",
        description="a number of callers, like 10",
    )
    waiting_under: int | None = Field(
        default=None,
        ge=1,
        le=MAX_COUNT,
        title="fewer callers wait than this",
        description="a number of callers from 1 on, like 10",
    )
    longest_wait_over: WholeSeconds | None = Field(
        default=None,
        ge=0,
        le=86_400,
        title="the first of them has waited longer than this",
        description="a time of whole seconds up to 24h, like 5m",
    )
    longest_wait_under: WholeSeconds | None = Field(
        default=None,
        ge=1,
        le=86_400,
        title="the first of them has waited less than this",
        description="a time of whole seconds from 1s to 24h, like 5m",
    )
    agents_free_over: int | None = Field(
        default=None,
        ge=0,
        le=MAX_COUNT,
        title="more agents than this could take a call at once",
        description="a number of agents, like 2",
    )
    agents_free_under: int | None = Field(
        default=None,
        ge=1,
        le=MAX_COUNT,
        title="fewer agents than this could take a call at once",
        description="a number of agents from 1 on, like 1",
    )


class RepeatEntry(_Strict):
    """The caller calls again and again: this call is the `calls`th within a span, or a later one."""

    calls: int = Field(
        ge=2,
        le=MOST_EARLIER_CALLS + 1,
        title="how many calls, this one among them",
        description=f"a number of calls from 2 to {MOST_EARLIER_CALLS + 1}, this one among them, like 3",
    )
    within: DurationS = Field(
        ge=60, le=MAX_REPEAT_S, title="within how long", description="a time from 1m to 7d, like 24h"
    )


Choice: TypeAlias = Literal["slower", "normal", "person", "none"]


class WhenEntry(_Strict):
    """The conditions of a rule; all of them must hold. Of a list, any one entry is enough."""

    age_band: Annotated[list[str], one_or_many(str)] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        title="the caller's age band",
        description="an age band's name, `unknown` where it is not known, or a list like [senior, elder]",
    )
    called: Annotated[list[CalledPattern], one_or_many_numbers()] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        title="the number that was called",
        description="a called number like 95519, the beginning of one like 955*, or a list of them",
    )
    caller: Annotated[list[CallerPattern], one_or_many(CallerPattern)] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        title="the caller's number; a call without a number matches none",
        description='a number with + and country code in quotes like "+8613900000005", the beginning of one '
        'like "+8610*", a file of them like vip.txt, or a list of these',
    )
    anonymous: bool | None = Field(
        default=None,
        title="whether the caller withholds the number",
        description="true (the number is withheld) or false",
    )
    language: Annotated[list[Language], one_or_many(Language)] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        title="the language that the call came with; en covers en_GB",
        description=f"{A_LANGUAGE}, or a list of them",
    )
    calendar: Annotated[list[str], one_or_many(str)] = Field(
        default=[],
        min_length=1,
        max_length=MAX_NAMES,
        title="one of these calendars is open",
        description="the name of a calendar that is open then, or a list of which one is",
    )
    outside_calendar: Annotated[list[str], one_or_many(str)] = Field(
        default=[],
        min_length=1,
        max_length=MAX_NAMES,
        title="none of these calendars is open",
        description="the name of a calendar that is closed then, or a list of which all are",
    )
    choice: Annotated[list[Choice], one_or_many(Choice)] = Field(
        default=[],
        min_length=1,
        title="what the caller chose in an earlier call and had remembered",
        description="what the caller chose before and had remembered (slower, normal, person; none for nothing), or "
        "a list of them",
    )
    repeat: RepeatEntry | None = Field(
        default=None,
        title="the caller calls again and again",
        description="a group like {calls: 3, within: 24h}",
    )
    queue: Annotated[dict[Name, QueueEntry], BeforeValidator(_of_a_target)] = Field(
        default={},
        min_length=1,
        max_length=MAX_NAMES,
        title="how the queues of these targets are; all bounds must hold",
        description="targets with bounds on their queue's state, like people: {waiting_over: 10}",
    )
    rollout: Percent | None = Field(
        default=None,
        gt=0,
        le=100,
        title="the caller is one of this share of all callers, the same ones every time",
        description="a share of the callers above 0% and up to 100%, like 20%",
    )


class ThenEntry(_Strict):
    """What a rule decides."""

    to: Name = Field(title="where the call goes", description="the name of a target")
    head_start: WholeSeconds = Field(
        default=0,
        ge=0,
        le=MAX_HEAD_START_S,
        title="ranks the caller in the queue as one who has waited this long already",
        description="a time of whole seconds from 0s to 4h, like 5m",
    )
    speech: str = Field(
        default=STANDARD_SPEECH,
        title="how prompts are spoken to callers who have not chosen themselves",
        description="the name of a speech profile",
    )
    agent_label: LabelText = Field(
        default="",
        max_length=40,
        title="what the agent sees before the caller's name",
        description='a text of at most 40 characters for the agent\'s screen, like "60+"',
    )
    language: Language | None = Field(
        default=None, title="the language to speak in from here on; without it, the call's own", description=A_LANGUAGE
    )
    overflow: OverflowEntry | None = Field(
        default=None,
        title="where a call goes on to that has waited too long",
        description="a group like {after: 60s, to: people}, instead of the target's own",
    )
    note: RuleText = Field(
        default="",
        max_length=MAX_NOTE_CHARACTERS,
        title="goes into the journal with each call of the rule, and nowhere else",
        description=f"a text of at most {MAX_NOTE_CHARACTERS} characters for the journal",
    )


class RuleEntry(_Strict):
    """One rule. The first whose conditions all hold decides."""

    name: RuleName = Field(
        max_length=80,
        title="what the journal, the log and `explain` call it",
        description="a text of at most 80 characters that says what the rule is for",
    )
    when: WhenEntry | None = Field(
        default=None,
        title="which calls it is for; without it, all of them",
        description="a group of conditions like {age_band: senior}",
    )
    then: ThenEntry = Field(title="what it decides", description="a group like {to: people}")


class FallbackEntry(_Strict):
    """Where callers go when nothing else can be decided: always people."""

    to: Name = Field(title="where the call goes", description="the name of a target that is a queue, like people")


class RulesFile(_Strict):
    """A whole rules file."""

    timezone: TimeZone = Field(
        title="whose clock the file's hours go by", description="the name of a time zone, like Asia/Shanghai"
    )
    age_bands: list[BandEntry] = Field(
        min_length=1,
        max_length=MAX_BANDS,
        title="the groups that rules tell callers apart by, youngest first, the first from 0",
        description="a list of age bands like {name: senior, from: 60}",
    )
    protected: list[str] = Field(
        max_length=MAX_BANDS,
        title="the bands whose callers must reach a person, whatever else holds",
        description="a list of the age bands that must reach a person, like [senior, elder], or [] for none",
    )
    speech: dict[SpeechName, SpeechEntry] = Field(
        default={},
        max_length=MAX_NAMES,
        title="the ways of speaking, by name; `standard` is there without being written",
        description="speech profiles by name, like unhurried: {rate: 0.85}",
    )
    targets: dict[Name, TargetEntry] = Field(
        min_length=1,
        max_length=MAX_NAMES,
        title="where calls can be sent, by name",
        description="targets by name, like people: {queue: agents}",
    )
    calendars: dict[Name, CalendarEntry] = Field(
        default={},
        max_length=MAX_NAMES,
        title="opening hours, by name",
        description='calendars by name, like open: {hours: "Mo-Fr 09:00-21:00"}',
    )
    rules: list[RuleEntry] = Field(
        min_length=1,
        max_length=MAX_RULES,
        title="the rules; the first that matches decides",
        description="a list of rules; the last has no `when`",
    )
    fallback: FallbackEntry = Field(
        title="where a call goes when the router cannot decide",
        description="a group like {to: people}",
    )
