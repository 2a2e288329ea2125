"""Values as they are said in Mandarin and Cantonese: in characters, which leave an engine nothing to guess.

Two is 两 before what is counted (两分钟, 两点, 两千) and 二 else. In Mandarin the telephone's 1 is 幺, which
cannot be taken for 七; a year is said figure by figure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from typing import Final

from babel.numbers import get_currency_name

from router.speech.languages.any_language import AnyLanguage, whole_minutes

_FIGURES: Final = "零一二三四五六七八九"
_BELOW_TEN_THOUSAND: Final = ((1000, "千"), (100, "百"), (10, "十"), (1, ""))
_TEN_THOUSAND: Final = 10_000
_LONGEST_TOLD_MINUTES: Final = 30
_HALF_PAST: Final = 30


@dataclass(frozen=True, slots=True)
class _Way:
    """What differs between Mandarin and Cantonese, simplified and traditional characters.

    `parts_of_day`: what the hours before each are called. `coins`: by currency, the whole, the tenth and the
    hundredth; without a tenth, hundredths are counted.
    """

    one_on_the_telephone: str
    two: str
    ten_thousands: tuple[str, str, str]
    point: str
    month_day: tuple[str, str]
    week: str
    sunday: str
    hour: str
    minute: str
    wait: tuple[str, str, str]
    parts_of_day: tuple[tuple[int, str], ...]
    coins: dict[str, tuple[str, str, str]]


_MANDARIN: Final = _Way(
    one_on_the_telephone="幺",
    two="两",
    ten_thousands=("", "万", "亿"),
    point="点",
    month_day=("月", "号"),
    week="星期",
    sunday="日",
    hour="点",
    minute="分",
    wait=("不到一分钟", "大约{}分钟", "半小时以上"),
    parts_of_day=((5, "凌晨"), (9, "早上"), (12, "上午"), (13, "中午"), (18, "下午"), (24, "晚上")),
    coins={
        "CNY": ("元", "角", "分"),
        "HKD": ("港元", "", "港仙"),
        "TWD": ("新台币", "", "分"),
        "USD": ("美元", "", "美分"),
        "EUR": ("欧元", "", "欧分"),
        "GBP": ("英镑", "", "便士"),
    },
)
_MANDARIN_TRADITIONAL: Final = replace(
    _MANDARIN,
    one_on_the_telephone="一",
    two="兩",
    ten_thousands=("", "萬", "億"),
    point="點",
    month_day=("月", "號"),
    hour="點",
    wait=("不到一分鐘", "大約{}分鐘", "半小時以上"),
    coins={
        "CNY": ("元", "角", "分"),
        "HKD": ("港元", "", "港仙"),
        "TWD": ("元", "", "分"),
        "USD": ("美元", "", "美分"),
        "EUR": ("歐元", "", "歐分"),
        "GBP": ("英鎊", "", "便士"),
    },
)
_CANTONESE: Final = replace(
    _MANDARIN_TRADITIONAL,
    wait=("少過一分鐘", "大約{}分鐘", "半個鐘以上"),
    parts_of_day=((5, "凌晨"), (9, "朝早"), (12, "上晝"), (13, "中午"), (18, "下晝"), (24, "夜晚")),
    coins=_MANDARIN_TRADITIONAL.coins | {"HKD": ("蚊", "毫", "仙")},
)


@dataclass(frozen=True, slots=True)
class Chinese(AnyLanguage):
    """See `AnyLanguage`. `zh` is simplified; `zh_TW`, `zh_HK` and `zh_Hant` traditional; `yue` Cantonese."""

    def number(self, number: int) -> tuple[str, ...]:
        """`三十一`."""
        return (self._numeral(number),)

    def digits(self, groups: tuple[str, ...]) -> tuple[str, ...]:
        """`幺三九`."""
        figures = _FIGURES.replace("一", self._way.one_on_the_telephone)
        return tuple("".join(figures[int(digit)] for digit in group) for group in groups)

    def amount(self, amount: Decimal, currency: str) -> tuple[str, ...]:
        """`一千二百三十四元五角`."""
        whole, hundredths = divmod(int(amount * 100), 100)
        if currency not in self._way.coins:
            point = f"{self._way.point}{_by_figure(f'{hundredths:02}'.rstrip('0'))}" if hundredths else ""
            number = self._numeral(whole) if point else self.counted(whole)
            return (f"{number}{point}{get_currency_name(currency, locale=self._locale)}",)
        unit, tenth, hundredth = self._way.coins[currency]
        said = f"{self.counted(whole)}{unit}" if whole or not hundredths else ""
        tenths, rest = divmod(hundredths, 10) if tenth else (0, hundredths)
        said += f"{self.counted(tenths)}{tenth}" if tenths else ""
        if rest:
            # 三元零二分: a place that is left out is said, and what follows it is not counted anew.
            is_left_out = bool(tenth and whole and not tenths)
            said += f"零{self._numeral(rest)}{hundredth}" if is_left_out else f"{self.counted(rest)}{hundredth}"
        return (said,)

    def date(self, day: date) -> tuple[str, ...]:
        """`二零二六年`, `十一月二十五号`, `星期三`."""
        month, number = self._way.month_day
        weekday = self._way.sunday if day.isoweekday() == 7 else _FIGURES[day.isoweekday()]  # noqa: PLR2004
        return (
            f"{_by_figure(str(day.year))}年",
            f"{self._numeral(day.month)}{month}{self._numeral(day.day)}{number}",
            f"{self._way.week}{weekday}",
        )

    def time(self, moment: time) -> tuple[str, ...]:
        """`下午两点半`."""
        part = next(name for end, name in self._way.parts_of_day if moment.hour < end)
        hour = moment.hour - 12 if moment.hour > 12 else moment.hour  # noqa: PLR2004 - the clock's hours
        said = f"{part}{self.counted(hour)}{self._way.hour}"
        if moment.minute == _HALF_PAST:
            return (f"{said}半",)
        if moment.minute:
            zero = "零" if moment.minute < 10 else ""  # noqa: PLR2004 - the first two figures
            said += f"{zero}{self._numeral(moment.minute)}{self._way.minute}"
        return (said,)

    def wait(self, wait_s: int) -> tuple[str, ...]:
        """`大约四分钟`; under one and over thirty, in words."""
        below, about, above = self._way.wait
        minutes = whole_minutes(wait_s)
        if wait_s < 60:  # noqa: PLR2004 - seconds a minute
            return (below,)
        return (about.format(self.counted(minutes)) if minutes <= _LONGEST_TOLD_MINUTES else above,)

    def counted(self, number: int) -> str:
        """A number of things: 两 for 2, as its measure word follows."""
        return self._way.two if number == 2 else self._numeral(number)  # noqa: PLR2004

    def _numeral(self, number: int) -> str:
        if number == 0:
            return _FIGURES[0]
        said, needs_zero = "", False
        for power in range(len(self._way.ten_thousands) - 1, -1, -1):
            group = number // _TEN_THOUSAND**power % _TEN_THOUSAND
            if not group:
                needs_zero = bool(said)
                continue
            needs_zero = needs_zero or (bool(said) and group < _TEN_THOUSAND // 10)
            numeral = self._group(group, is_first=not said)
            if power and numeral == "二":
                numeral = self._way.two
            said += ("零" if needs_zero else "") + numeral + self._way.ten_thousands[power]
            needs_zero = False
        return said

    def _group(self, group: int, *, is_first: bool) -> str:
        """1 to 9999."""
        said, needs_zero = "", False
        for unit, name in _BELOW_TEN_THOUSAND:
            figure, group = divmod(group, unit)
            if not figure:
                needs_zero = bool(said)
                continue
            numeral = self._way.two if figure == 2 and unit == 1000 else _FIGURES[figure]  # noqa: PLR2004 - 两千
            if figure == 1 and unit == 10 and not said and is_first:  # noqa: PLR2004 - 十二, but 一百一十二
                numeral = ""
            said += ("零" if needs_zero else "") + numeral + name
            needs_zero = False
        return said

    @property
    def _way(self) -> _Way:
        first, *others = self.language.lower().replace("-", "_").split("_")
        if first == "yue":
            return _CANTONESE
        return _MANDARIN_TRADITIONAL if {"tw", "hk", "mo", "hant"} & set(others) else _MANDARIN


def _by_figure(digits: str) -> str:
    return "".join(_FIGURES[int(digit)] for digit in digits)
