"""The shape of a rules file, field by field. What one name means to another is checked in `semantics`.

Every description completes the sentence "it must be …", which is how `wording` tells people of a mistake.
Whatever ends up in a channel variable is limited here to characters that mean nothing to Asterisk's dialplan.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from router.callers.bands import MAX_AGE_YEARS
from router.callers.past import MOST_EARLIER_CALLS
from router.rules.calendars import holidays_of
from router.rules.durations import DurationS, WholeSeconds
from router.rules.hours import MAX_HOURS_CHARACTERS, Hours
from router.rules.scalars import quoted
from router.rules.wording import did_you_mean

# The proof that protected callers reach a person looks at combinations of these; see `proof`.
MAX_RULES: Final = 1000
MAX_LISTED: Final = 1000
MAX_BANDS: Final = 20
MAX_NAMES: Final = 100
MAX_HEAD_START_S: Final = 4 * 3600
MAX_OVERFLOW_S: Final = 2 * 3600
MAX_REPEAT_S: Final = 7 * 86_400
MAX_NOTE_CHARACTERS: Final = 200

UNKNOWN_BAND: Final = "unknown"  # in a condition: the caller's band is not known
LIST_SUFFIX: Final = ".txt"  # what the name of a file of callers' numbers ends in
STANDARD_SPEECH: Final = "standard"
FALLBACK_RULE: Final = "fallback"  # the rule's name in the record of a call that no rule decided

_NAME = "a name of letters, digits, - and _ (31 at most), like senior-care"
_ASTERISK_NAME = "a name as in Asterisk, of letters, digits, - and _ (79 at most), like senior-care"
_SPEECH_NAME = "a name of small letters, digits and - that begins with a letter (16 at most), like unhurried"
_PLAIN_TEXT = re.compile(r"[^\"'`$\\{}\[\]()<>|;,]*")
_RULE_TEXT = re.compile(r"[^\"`$\\{}]*")
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,60}")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,30}$", description=_NAME)]
AsteriskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,79}$", description=_ASTERISK_NAME)]
SpeechName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,15}$", description=_SPEECH_NAME)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(_[A-Za-z0-9]{1,8})*$")]
CalledPattern = Annotated[str, Field(pattern=r"^\+?[0-9]{1,32}\*?$")]
CALLER_PATTERN: Final = r"\+[1-9][0-9]{4,14}|\+([1-9][0-9]{0,13})?\*"
LIST_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.txt"
CallerPattern = Annotated[str, Field(pattern=rf"^({CALLER_PATTERN}|{LIST_NAME})$")]


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _as_numbers(value: object) -> list[object]:
    """One or many called numbers; an unquoted one is a whole number, whose digits are all there."""
    is_whole = [isinstance(item, int) and not isinstance(item, bool) for item in _as_list(value)]
    return [str(item) if whole else item for item, whole in zip(_as_list(value), is_whole, strict=True)]


_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")


def _percent(value: object) -> object:
    """`20%` as 20.0. What is no percentage is left to the field's own description."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return float(match[1])
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"must be a share with its %; write {value}%")  # noqa: TRY004 - pydantic takes this one
    return value


Percent = Annotated[float, BeforeValidator(_percent, json_schema_input_type=str)]


def _known_hours(text: str) -> str:
    Hours(text)
    return text


def _known_holidays(region: str) -> str:
    holidays_of(region)
    return region


_OneOrMany = BeforeValidator(_as_list, json_schema_input_type=str | list[str])
_OneOrManyNumbers = BeforeValidator(_as_numbers, json_schema_input_type=int | str | list[int | str])


def _known_timezone(name: str) -> str:
    if _TIMEZONE.fullmatch(name):
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            pass
        else:
            return name
    near = did_you_mean(name, available_timezones())
    raise ValueError(f"no time zone is called {quoted(name)}; {near}write a city's, like Asia/Shanghai")


def _rule_text(text: str) -> str:
    if text == FALLBACK_RULE:
        raise ValueError(f"the name `{FALLBACK_RULE}` is taken by the fallback below; choose another")
    if not text.strip() or not text.isprintable() or not _RULE_TEXT.fullmatch(text):
        raise ValueError('must be a line of text without " ` $ \\ { }')
    return text


def _label_text(text: str) -> str:
    if not text.strip() or not text.isprintable() or not _PLAIN_TEXT.fullmatch(text):
        raise ValueError("must be a line of text without commas, quotes, brackets, $ \\ | ;")
    return text


class _Strict(BaseModel):
    """Nothing is converted, and a key that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BandEntry(_Strict):
    """One age band."""

    name: Name
    from_years: int = Field(
        alias="from",
        ge=0,
        le=MAX_AGE_YEARS,
        description=f"a whole number of years from 0 to {MAX_AGE_YEARS}, like 60",
    )


class SpeechEntry(_Strict):
    """One speech profile."""

    rate: float = Field(ge=0.5, le=2.0, description="a number from 0.5 (half as fast) to 2.0, like 0.85")
    sentence_pause: DurationS = Field(
        default=0.0, ge=0, le=5, description="a pause between sentences from 0s to 5s, like 400ms"
    )
    digit_timeout: DurationS = Field(
        default=5.0, ge=1, le=60, description="the time to wait for a key, from 1s to 60s, like 8s"
    )
    gain_db: float = Field(default=0.0, ge=-12, le=12, description="a number of decibels from -12 to 12, like 3")


class OverflowEntry(_Strict):
    """Where a call goes that has waited too long."""

    after: WholeSeconds = Field(ge=1, le=MAX_OVERFLOW_S, description="a time of whole seconds from 1s to 2h, like 60s")
    to: Name = Field(description="the name of a target that is a queue, like people")


class TargetEntry(_Strict):
    """Where calls can be sent: a queue of people or a context of the dialplan; `semantics` sees to that."""

    queue: AsteriskName | None = Field(default=None, description=_ASTERISK_NAME)
    overflow: OverflowEntry | None = Field(default=None, description="a group like {after: 60s, to: people}")
    context: AsteriskName | None = Field(default=None, description=_ASTERISK_NAME)


class CalendarEntry(_Strict):
    """Opening hours. On the public holidays of `holidays` only `holiday_hours` are open, if there are any."""

    hours: Annotated[str, AfterValidator(_known_hours)] = Field(
        max_length=MAX_HOURS_CHARACTERS, description='opening hours like "Mo-Fr 09:00-21:00; Sa-Su 09:00-18:00"'
    )
    holidays: Annotated[str, AfterValidator(_known_holidays)] | None = Field(
        default=None, description="the country whose public holidays count, like CN, or a part of one, like DE-BY"
    )
    holiday_hours: Annotated[str, AfterValidator(_known_hours)] | None = Field(
        default=None, max_length=MAX_HOURS_CHARACTERS, description='hours on public holidays, like "10:00-16:00"'
    )


class QueueEntry(_Strict):
    """The state of one queue; all bounds must hold. It is asked of Asterisk every second."""

    waiting_over: int | None = Field(default=None, ge=0, le=100_000, description="a number of callers, like 10")
    waiting_under: int | None = Field(default=None, ge=1, le=100_000, description="a number of callers, like 10")
    longest_wait_over: WholeSeconds | None = Field(
        default=None, ge=0, le=86_400, description="a time of whole seconds, like 5m"
    )
    longest_wait_under: WholeSeconds | None = Field(
        default=None, ge=1, le=86_400, description="a time of whole seconds, like 5m"
    )
    agents_free_over: int | None = Field(default=None, ge=0, le=100_000, description="a number of agents, like 2")
    agents_free_under: int | None = Field(default=None, ge=1, le=100_000, description="a number of agents, like 1")


class RepeatEntry(_Strict):
    """The caller calls again and again: this call is the `calls`th within a span, or a later one."""

    calls: int = Field(
        ge=2,
        le=MOST_EARLIER_CALLS + 1,
        description=f"a number of calls from 2 to {MOST_EARLIER_CALLS + 1}, this one among them, like 3",
    )
    within: DurationS = Field(ge=60, le=MAX_REPEAT_S, description="a time from 1m to 7d, like 24h")


class WhenEntry(_Strict):
    """The conditions of a rule; all of them must hold."""

    age_band: Annotated[list[str], _OneOrMany] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        description="an age band's name, `unknown` where it is not known, or a list like [senior, elder]",
    )
    called: Annotated[list[CalledPattern], _OneOrManyNumbers] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        description="a called number like 95519, the beginning of one like 955*, or a list of them",
    )
    caller: Annotated[list[CallerPattern], _OneOrMany] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        description='a number with + and country code in quotes like "+8613912345678", the beginning of one '
        'like "+8610*", a file of them like vip.txt, or a list of these',
    )
    anonymous: bool | None = Field(default=None, description="true (the number is withheld) or false")
    language: Annotated[list[Language], _OneOrMany] = Field(
        default=[],
        min_length=1,
        max_length=MAX_LISTED,
        description="a language like en or zh_CN, or a list of them",
    )
    calendar: Annotated[list[str], _OneOrMany] = Field(
        default=[],
        min_length=1,
        max_length=MAX_NAMES,
        description="the name of a calendar that is open then, or a list of which one is",
    )
    outside_calendar: Annotated[list[str], _OneOrMany] = Field(
        default=[],
        min_length=1,
        max_length=MAX_NAMES,
        description="the name of a calendar that is closed then, or a list of which all are",
    )
    choice: Annotated[list[Literal["slower", "normal", "person", "none"]], _OneOrMany] = Field(
        default=[],
        min_length=1,
        description="what the caller chose before and had remembered (slower, normal, person; none for nothing), or "
        "a list of them",
    )
    repeat: RepeatEntry | None = Field(default=None, description="a group like {calls: 3, within: 24h}")
    queue: dict[Name, QueueEntry] = Field(
        default={},
        min_length=1,
        max_length=MAX_NAMES,
        description="targets with bounds on their queue's state, like people: {waiting_over: 10}",
    )
    rollout: Percent | None = Field(
        default=None, gt=0, le=100, description="a share of the callers above 0% and up to 100%, like 20%"
    )


class ThenEntry(_Strict):
    """What a rule decides."""

    to: Name = Field(description="the name of a target")
    head_start: WholeSeconds = Field(
        default=0, ge=0, le=MAX_HEAD_START_S, description="a time of whole seconds from 0s to 4h, like 5m"
    )
    speech: str = Field(default=STANDARD_SPEECH, description="the name of a speech profile")
    agent_label: Annotated[str, AfterValidator(_label_text)] = Field(
        default="",
        max_length=40,
        description='a text of at most 40 characters for the agent\'s screen, like "60+"',
    )
    language: Language | None = Field(default=None, description="the language to speak in from here on, like zh")
    overflow: OverflowEntry | None = Field(
        default=None, description="a group like {after: 60s, to: people}, instead of the target's own"
    )
    note: Annotated[str, AfterValidator(_rule_text)] = Field(
        default="",
        max_length=MAX_NOTE_CHARACTERS,
        description=f"a text of at most {MAX_NOTE_CHARACTERS} characters for the journal",
    )


class RuleEntry(_Strict):
    """One rule."""

    name: Annotated[str, AfterValidator(_rule_text)] = Field(
        max_length=80, description="a text of at most 80 characters that says what the rule is for"
    )
    when: WhenEntry | None = Field(default=None, description="a group of conditions like {age_band: senior}")
    then: ThenEntry = Field(description="a group like {to: people}")


class FallbackEntry(_Strict):
    """Where callers go when nothing else can be decided."""

    to: Name = Field(description="the name of a target that is a queue, like people")


class RulesFile(_Strict):
    """A whole rules file."""

    timezone: Annotated[str, AfterValidator(_known_timezone)] = Field(
        description="the name of a time zone, like Asia/Shanghai"
    )
    age_bands: list[BandEntry] = Field(
        min_length=1, max_length=MAX_BANDS, description="a list of age bands like {name: senior, from: 60}"
    )
    protected: list[str] = Field(
        max_length=MAX_BANDS,
        description="a list of the age bands that must reach a person, like [senior, elder], or [] for none",
    )
    speech: dict[SpeechName, SpeechEntry] = Field(
        default={}, max_length=MAX_NAMES, description="speech profiles by name, like unhurried: {rate: 0.85}"
    )
    targets: dict[Name, TargetEntry] = Field(
        min_length=1, max_length=MAX_NAMES, description="targets by name, like people: {queue: agents}"
    )
    calendars: dict[Name, CalendarEntry] = Field(
        default={}, max_length=MAX_NAMES, description='calendars by name, like open: {hours: "Mo-Fr 09:00-21:00"}'
    )
    rules: list[RuleEntry] = Field(
        min_length=1, max_length=MAX_RULES, description="a list of rules; the last has no `when`"
    )
    fallback: FallbackEntry = Field(description="a group like {to: people}")
