"""Single values of the files that people edit: names, numbers, shares and texts, each checked where it stands.

Whatever ends up in a channel variable is limited here to characters that mean nothing to Asterisk's dialplan.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from router.callers.past import PROFILE_PATTERN
from router.rules.calendars import holidays_of
from router.rules.hours import MAX_HOURS_CHARACTERS, Hours
from router.rules.scalars import quoted
from router.rules.wording import did_you_mean

FALLBACK_RULE: Final = "fallback"  # the rule's name in the record of a call that no rule decided

A_NAME: Final = "a name of letters, digits, - and _ (31 at most), like senior-care"
AN_ASTERISK_NAME: Final = "a name as in Asterisk, of letters, digits, - and _ (79 at most), like senior-care"
A_LANGUAGE: Final = "a language's code like en or zh_CN, with _ and not -"
NAME_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9_-]{0,30}"
CALLER_PATTERN: Final = r"\+[1-9][0-9]{4,14}|\+([1-9][0-9]{0,13})?\*"
LIST_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.txt"

_SPEECH_NAME = "a name of small letters, digits and - that begins with a letter (16 at most), like unhurried"
_PLAIN_TEXT = re.compile(r"[^\"'`$\\{}\[\]()<>|;,]*")
_RULE_TEXT = re.compile(r"[^\"`$\\{}]*")
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,60}")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")
_PATH_OF_LIST = re.compile(rf".*[/\\]({LIST_NAME})")


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _without_path(value: object) -> object:
    if isinstance(value, str) and (match := _PATH_OF_LIST.fullmatch(value)):
        raise ValueError(f"a list lies beside this file and is named without a path; write {match[1]}")
    return value


def _as_numbers(value: object) -> list[object]:
    """One or many called numbers; an unquoted one is a whole number, whose digits are all there."""
    is_whole = [isinstance(item, int) and not isinstance(item, bool) for item in _as_list(value)]
    return [str(item) if whole else item for item, whole in zip(_as_list(value), is_whole, strict=True)]


def _percent(value: object) -> object:
    """`20%` as 20.0. What is no percentage is left to the field's own description."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return float(match[1])
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A half or a half percent? A whole number leaves no doubt.
        write = f"{value}%" if isinstance(value, int) and 0 < value <= 100 else "it like 20%"  # noqa: PLR2004
        raise ValueError(f"must be a share with its %; write {write}")  # noqa: TRY004 - pydantic takes this one
    return value


def _known_hours(text: str) -> str:
    Hours(text)
    return text


def _known_holidays(region: str) -> str:
    holidays_of(region)
    return region


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


def _rule_name(text: str) -> str:
    if text == FALLBACK_RULE:
        raise ValueError(f"the name `{FALLBACK_RULE}` is taken by the fallback below; choose another")
    if not text.strip():
        raise ValueError("must not be empty; write what the rule is for")
    return _rule_text(text)


def _rule_text(text: str) -> str:
    _not_empty(text)
    if not text.isprintable() or not _RULE_TEXT.fullmatch(text):
        raise ValueError('must be a line of text without " ` $ \\ { }')
    return text


def _label_text(text: str) -> str:
    _not_empty(text)
    if not text.isprintable() or not _PLAIN_TEXT.fullmatch(text):
        raise ValueError("must be a line of text without commas, quotes, brackets, $ \\ | ;")
    return text


def _not_empty(text: str) -> None:
    if not text.strip():
        raise ValueError("must not be empty; write a text, or leave it out")


Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", description=A_NAME)]
AsteriskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,79}$", description=AN_ASTERISK_NAME)]
SpeechName = Annotated[str, Field(pattern=f"^{PROFILE_PATTERN}$", description=_SPEECH_NAME)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(_[A-Za-z0-9]{1,8})*$")]
CalledPattern = Annotated[str, Field(pattern=r"^\+?[0-9]{1,32}\*?$")]
CallerPattern = Annotated[str, Field(pattern=rf"^({CALLER_PATTERN}|{LIST_NAME})$"), BeforeValidator(_without_path)]
Percent = Annotated[
    float, BeforeValidator(_percent, json_schema_input_type=Annotated[str, Field(pattern=f"^{_PERCENT.pattern}$")])
]
HoursText = Annotated[str, Field(max_length=MAX_HOURS_CHARACTERS), AfterValidator(_known_hours)]
Region = Annotated[str, AfterValidator(_known_holidays)]
TimeZone = Annotated[str, AfterValidator(_known_timezone)]
RuleName = Annotated[str, AfterValidator(_rule_name)]
RuleText = Annotated[str, AfterValidator(_rule_text)]
LabelText = Annotated[str, AfterValidator(_label_text)]


def one_or_many(item: Any) -> BeforeValidator:  # noqa: ANN401 - a type expression has no narrower type
    """Before a list: what stands alone is a list of one. `item` is the type of each."""
    return BeforeValidator(_as_list, json_schema_input_type=item | _many(item))


def one_or_many_numbers() -> BeforeValidator:
    """The same for called numbers, which need no quotes."""
    item = Annotated[int, Field(ge=0)] | CalledPattern
    return BeforeValidator(_as_numbers, json_schema_input_type=item | _many(item))


def _many(item: Any) -> Any:  # noqa: ANN401 - see above
    return Annotated[list[item], Field(min_length=1)]
