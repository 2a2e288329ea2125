"""Values that are known only in the call, as the dialplan sends them, made into words.

    number  3                one whole number
    count   2                a number of things: 两, not 二, in Chinese
    digits  13900000001      each digit by itself, in groups
    amount  1234.50 CNY      money
    date    2026-11-25
    time    14:30
    wait    240              seconds of waiting, as about so many minutes
    text    anything short   as it is

Each is checked before anything is said: it may come from a caller or from somebody's database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Final, Literal, get_args

from babel.numbers import is_currency

from router.errors import SpeechError
from router.rules.scalars import quoted
from router.speech.languages.any_language import AnyLanguage
from router.speech.languages.chinese import Chinese
from router.speech.languages.english import English

Kind = Literal["number", "count", "digits", "amount", "date", "time", "wait", "text"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

EXAMPLES: Final[Mapping[Kind, str]] = {
    "number": "3",
    "count": "2",
    "digits": "13900000001",
    "amount": "1234.50 CNY",
    "date": "2026-11-25",
    "time": "14:30",
    "wait": "240",
    "text": "95500",
}
"""A value of each kind, as the dialplan would send it."""

# An order number has perhaps 20; more than two dozen digits nobody writes down.
MOST_DIGITS: Final = 32
LONGEST_TEXT_CHARACTERS: Final = 100
LONGEST_WAIT_S: Final = 24 * 3600
_LARGEST_GROUP: Final = 4

# Of ASCII alone: `\d` has the figures of every script.
_NUMBER = re.compile(r"[0-9]{1,9}")
_DIGITS = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,2})?) ([A-Z]{3})")
_DATE = re.compile(r"(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}")
# ISO 4217's codes for no currency, and for tests.
_NO_MONEY: Final = frozenset({"XXX", "XTS"})
_CHINESE: Final = frozenset({"zh", "yue", "cmn"})


def phrases_of(kind: Kind, value: str, language: str) -> tuple[str, ...]:
    """Say a value.

    Args:
        kind: What it is.
        value: As the dialplan sends it.
        language: Of the catalogue, such as `zh` or `en_GB`.

    Returns:
        Its phrases, at least one; between two lies the profile's pause.

    Raises:
        SpeechError: The value is not of its kind, or too long; or the language's words are not known.
    """
    return _SAID[kind](value.strip(), words_of(language))


def words_of(language: str) -> AnyLanguage:
    """How a language says values."""
    root = re.split("[_-]", language.lower(), maxsplit=1)[0]
    if root == "en":
        return English(language)
    return Chinese(language) if root in _CHINESE else AnyLanguage(language)


def grouped(digits: str) -> tuple[str, ...]:
    """Digits in groups of at most four, as even as can be, the shorter first: 139 0000 0001, 123 456."""
    count = -(-len(digits) // _LARGEST_GROUP)
    size, longer = divmod(len(digits), count)
    groups, start = [], 0
    for number in range(count):
        end = start + size + (number >= count - longer)
        groups.append(digits[start:end])
        start = end
    return tuple(groups)


def _number(value: str, words: AnyLanguage) -> tuple[str, ...]:
    return words.number(_whole(value))


def _count(value: str, words: AnyLanguage) -> tuple[str, ...]:
    number = _whole(value)
    return (words.counted(number),) if isinstance(words, Chinese) else words.number(number)


def _whole(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise _wrong(value, "a whole number of at most 9 digits, like 3")
    return int(value)


def _digits(value: str, words: AnyLanguage) -> tuple[str, ...]:
    if not _DIGITS.fullmatch(value) or len(value) > MOST_DIGITS:
        raise _wrong(value, f"at most {MOST_DIGITS} digits, like 13900000001 (with spaces or - between groups)")
    # Groups that somebody chose stay.
    return words.digits(tuple(group for given in re.split("[ -]", value) for group in grouped(given)))


def _amount(value: str, words: AnyLanguage) -> tuple[str, ...]:
    match = _AMOUNT.fullmatch(value)
    if match is None or match[2] in _NO_MONEY or not is_currency(match[2]):
        raise _wrong(value, "an amount and its currency's three letters, like 1234.50 CNY")
    return words.amount(Decimal(match[1]), match[2])


def _date(value: str, words: AnyLanguage) -> tuple[str, ...]:
    try:
        if _DATE.fullmatch(value):
            return words.date(date.fromisoformat(value))
    except ValueError:
        pass
    raise _wrong(value, "a date from 1900 to 2099, like 2026-11-25")


def _time(value: str, words: AnyLanguage) -> tuple[str, ...]:
    try:
        if _TIME.fullmatch(value):
            return words.time(time.fromisoformat(value.zfill(5)))
    except ValueError:
        pass
    raise _wrong(value, "a time from 0:00 to 23:59, like 14:30")


def _wait(value: str, words: AnyLanguage) -> tuple[str, ...]:
    if not _NUMBER.fullmatch(value) or int(value) > LONGEST_WAIT_S:
        raise _wrong(value, f"whole seconds, {LONGEST_WAIT_S} at most, like 240")
    return words.wait(int(value))


def _text(value: str, _words: AnyLanguage) -> tuple[str, ...]:
    said = " ".join(value.split())
    if not (said.isprintable() and any(c.isalnum() for c in said)) or len(said) > LONGEST_TEXT_CHARACTERS:
        raise _wrong(value, f"words, {LONGEST_TEXT_CHARACTERS} characters at most")
    return (said,)


def _wrong(value: str, wanted: str) -> SpeechError:
    return SpeechError(f"{quoted(value)} cannot be said; give {wanted}")


_SAID: Final[Mapping[Kind, Callable[[str, AnyLanguage], tuple[str, ...]]]] = {
    "number": _number,
    "count": _count,
    "digits": _digits,
    "amount": _amount,
    "date": _date,
    "time": _time,
    "wait": _wait,
    "text": _text,
}
