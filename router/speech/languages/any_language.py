"""Values as CLDR, Unicode's locale data, has them: right in some hundred languages, if a little bookish."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_decimal, get_currency_name
from babel.units import format_unit

from router.errors import SpeechError

_SECONDS_A_MINUTE: Final = 60
_MINUTE: Final = "duration-minute"
_SPACES = re.compile(r"[\s\u00a0\u202f]+")
_MARKS_THAT_DO_NOT_SHOW = re.compile("[\u200e\u200f\u061c\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class AnyLanguage:
    """The words of a language; each gives the phrases to say, none of them blank.

    Attributes:
        language: Such as `fr` or `pt_BR`.

    Raises:
        SpeechError: CLDR knows no such language; digits can be said in any.
    """

    language: str

    def number(self, number: int) -> tuple[str, ...]:
        """A whole number, not below 0."""
        return (format_decimal(number, locale=self._locale, group_separator=False),)

    def digits(self, groups: tuple[str, ...]) -> tuple[str, ...]:
        """Groups of digits, each digit by itself."""
        return tuple(" ".join(group) for group in groups)

    def amount(self, amount: Decimal, currency: str) -> tuple[str, ...]:
        """Money; `currency` is ISO 4217's code."""
        number = format_decimal(_shortest(amount), locale=self._locale, group_separator=False)
        return (f"{number} {get_currency_name(currency, count=amount, locale=self._locale)}",)

    def date(self, day: date) -> tuple[str, ...]:
        """A day with its weekday."""
        return _phrases(format_date(day, "full", locale=self._locale))

    def time(self, moment: time) -> tuple[str, ...]:
        """Hours and minutes."""
        return (_plain(format_time(moment, "short", locale=self._locale)),)

    def wait(self, wait_s: int) -> tuple[str, ...]:
        """A waiting time in whole minutes, one at least; the sentence around it says that it is about so long."""
        minutes = whole_minutes(wait_s)
        for length in ("long", "short"):
            said = format_unit(minutes, _MINUTE, length, locale=self._locale)
            # Where CLDR has no long form, Japanese for one, Babel gives the unit's name.
            if _MINUTE not in said:
                return (_plain(said),)
        return (self.number(minutes)[0],)

    @property
    def _locale(self) -> Locale:
        try:
            return Locale.parse(self.language.replace("-", "_"))
        except (UnknownLocaleError, ValueError) as error:
            raise SpeechError(
                f"how numbers are said in {self.language!r} is not known; give the value as kind text instead, "
                "worded by the dialplan"
            ) from error


def whole_minutes(wait_s: int) -> int:
    """The nearest whole minute, one at least."""
    return max(1, (wait_s + _SECONDS_A_MINUTE // 2) // _SECONDS_A_MINUTE)


def _shortest(amount: Decimal) -> Decimal:
    """`12` for 12.00."""
    return amount.to_integral_value() if amount == amount.to_integral_value() else amount


def _plain(text: str) -> str:
    return _SPACES.sub(" ", _MARKS_THAT_DO_NOT_SHOW.sub("", text)).strip()


def _phrases(text: str) -> tuple[str, ...]:
    """A pause where the language writes a comma."""
    return tuple(part.strip() for part in re.split(r"[,،،、，]", _plain(text)) if part.strip())
