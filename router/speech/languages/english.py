"""Values as they are said in English on the telephone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Final

from babel.dates import get_day_names, get_month_names

from router.speech.languages.any_language import AnyLanguage, whole_minutes

# Whole and hundredth, each for one and for several. Others are said as CLDR names them, with a decimal point.
_COINS: Final = {
    "USD": ("dollar", "dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
}
_YUAN: Final = "CNY"
_ORDINAL_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
_NOON, _EVENING, _NIGHT = 12, 18, 21
_LONGEST_TOLD_MINUTES: Final = 30


@dataclass(frozen=True, slots=True)
class English(AnyLanguage):
    """See `AnyLanguage`. Numbers stay figures, which every engine reads: words would be said the same."""

    def amount(self, amount: Decimal, currency: str) -> tuple[str, ...]:
        """`12 pounds and 50 pence`; `1234.5 yuan`."""
        whole, hundredths = divmod(int(amount * 100), 100)
        if currency not in _COINS:
            (said,) = AnyLanguage.amount(self, amount, currency)
            return (said.replace("Chinese yuan", "yuan") if currency == _YUAN else said,)
        one, several, one_coin, several_coins = _COINS[currency]
        parts = [f"{whole} {one if whole == 1 else several}"] if whole or not hundredths else []
        parts += [f"{hundredths} {one_coin if hundredths == 1 else several_coins}"] if hundredths else []
        return (" and ".join(parts),)

    def date(self, day: date) -> tuple[str, ...]:
        """`Wednesday`, `November 25th`, `20 26`: outside America, `25th of November`."""
        weekday = get_day_names("wide", locale="en")[day.weekday()]
        month = get_month_names("wide", locale="en")[day.month]
        ordinal = f"{day.day}{_ORDINAL_ENDINGS.get(day.day, 'th')}"
        is_american = self.language in {"en", "en_US", "en-US"}
        said = f"{month} {ordinal}" if is_american else f"{ordinal} of {month}"
        return (weekday, said, _year(day.year))

    def time(self, moment: time) -> tuple[str, ...]:
        """`2:30 in the afternoon`, `9 o'clock in the morning`, `12 noon`."""
        hour, minute = moment.hour, moment.minute
        if not minute and hour % 12 == 0:
            return ("12 noon" if hour == _NOON else "midnight",)
        clock = f"{(hour - 1) % 12 + 1}:{minute:02}" if minute else f"{(hour - 1) % 12 + 1} o'clock"
        if hour >= _NIGHT or hour == 0:
            part = "at night"
        elif hour >= _EVENING:
            part = "in the evening"
        else:
            part = "in the afternoon" if hour >= _NOON else "in the morning"
        return (f"{clock} {part}",)

    def wait(self, wait_s: int) -> tuple[str, ...]:
        """`about 4 minutes`; under one and over thirty, in words."""
        minutes = whole_minutes(wait_s)
        if wait_s < 60:  # noqa: PLR2004 - seconds a minute
            return ("less than a minute",)
        if minutes > _LONGEST_TOLD_MINUTES:
            return ("more than half an hour",)
        return (f"about {minutes} minute{'' if minutes == 1 else 's'}",)


def _year(year: int) -> str:
    """Said in pairs: `19 53`; but `2005`, and `1900`."""
    century, rest = divmod(year, 100)
    return f"{century} {rest}" if rest > 9 else str(year)  # noqa: PLR2004 - the last single figure
