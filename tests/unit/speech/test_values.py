from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import SpeechError
from router.speech.languages.chinese import Chinese
from router.speech.values import KINDS, Kind, grouped, phrases_of

CHINESE_FIGURES = {figure: value for value, figure in enumerate("零一二三四五六七八九")} | {"两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000}


@pytest.mark.parametrize(
    ("kind", "value", "english", "mandarin", "cantonese"),
    [
        ("number", "3", ("3",), ("三",), ("三",)),
        ("number", "2", ("2",), ("二",), ("二",)),
        ("number", "007", ("7",), ("七",), ("七",)),
        ("count", "2", ("2",), ("两",), ("兩",)),
        ("count", "12", ("12",), ("十二",), ("十二",)),
        ("digits", "13900000001", ("1 3 9", "0 0 0 0", "0 0 0 1"), ("幺三九", "零零零零", "零零零幺"), None),
        ("digits", "95-500", ("9 5", "5 0 0"), ("九五", "五零零"), ("九五", "五零零")),
        ("amount", "1234.50 CNY", ("1234.5 yuan",), ("一千二百三十四元五角",), ("一千二百三十四元五角",)),
        ("amount", "2.05 CNY", ("2.05 yuan",), ("两元零五分",), ("兩元零五分",)),
        ("amount", "2.02 CNY", ("2.02 yuan",), ("两元零二分",), ("兩元零二分",)),
        ("amount", "0.02 CNY", ("0.02 yuan",), ("两分",), ("兩分",)),
        ("amount", "0 CNY", ("0 yuan",), ("零元",), ("零元",)),
        ("amount", "12.50 GBP", ("12 pounds and 50 pence",), ("十二英镑五十便士",), ("十二英鎊五十便士",)),
        ("amount", "1.01 EUR", ("1 euro and 1 cent",), ("一欧元一欧分",), ("一歐元一歐分",)),
        ("amount", "3.5 CHF", ("3.5 Swiss francs",), ("三点五瑞士法郎",), ("三點五瑞士法郎",)),
        (
            "date",
            "2026-11-25",
            ("Wednesday", "November 25th", "20 26"),
            ("二零二六年", "十一月二十五号", "星期三"),
            None,
        ),
        ("date", "2005-01-02", ("Sunday", "January 2nd", "2005"), ("二零零五年", "一月二号", "星期日"), None),
        ("time", "14:30", ("2:30 in the afternoon",), ("下午两点半",), ("下晝兩點半",)),
        ("time", "9:05", ("9:05 in the morning",), ("上午九点零五分",), ("上晝九點零五分",)),
        ("time", "00:00", ("midnight",), ("凌晨零点",), ("凌晨零點",)),
        ("time", "0:05", ("12:05 at night",), ("凌晨零点零五分",), ("凌晨零點零五分",)),
        ("time", "12:00", ("12 noon",), ("中午十二点",), ("中午十二點",)),
        ("time", "20:15", ("8:15 in the evening",), ("晚上八点十五分",), ("夜晚八點十五分",)),
        ("wait", "59", ("less than a minute",), ("不到一分钟",), ("少過一分鐘",)),
        ("wait", "60", ("about 1 minute",), ("大约一分钟",), ("大約一分鐘",)),
        ("wait", "100", ("about 2 minutes",), ("大约两分钟",), ("大約兩分鐘",)),
        ("wait", "240", ("about 4 minutes",), ("大约四分钟",), ("大約四分鐘",)),
        ("wait", "1829", ("about 30 minutes",), ("大约三十分钟",), ("大約三十分鐘",)),
        ("wait", "1830", ("more than half an hour",), ("半小时以上",), ("半個鐘以上",)),
        ("text", "  Li  Hua ", ("Li Hua",), ("Li Hua",), ("Li Hua",)),
    ],
)
def test_values_are_said_as_people_do(
    kind: Kind, value: str, english: tuple[str, ...], mandarin: tuple[str, ...], cantonese: tuple[str, ...] | None
) -> None:
    assert phrases_of(kind, value, "en") == english
    assert phrases_of(kind, value, "zh") == mandarin
    if cantonese:
        assert phrases_of(kind, value, "yue") == cantonese


def test_english_days_have_their_endings() -> None:
    said = [phrases_of("date", f"2026-01-{day:02}", "en")[1].removeprefix("January ") for day in range(1, 32)]
    irregular = {1: "1st", 2: "2nd", 3: "3rd", 21: "21st", 22: "22nd", 23: "23rd", 31: "31st"}
    assert said == [irregular.get(day, f"{day}th") for day in range(1, 32)]


@pytest.mark.parametrize(
    ("language", "kind", "value", "phrases"),
    [
        ("en_GB", "date", "2026-11-25", ("Wednesday", "25th of November", "20 26")),
        ("zh_CN", "wait", "240", ("大约四分钟",)),
        ("zh_TW", "digits", "123", ("一二三",)),
        ("zh_TW", "time", "14:00", ("下午兩點",)),
        ("fr", "date", "2026-11-25", ("mercredi 25 novembre 2026",)),
        ("fr", "wait", "240", ("4 minutes",)),
        ("fr", "wait", "10", ("1 minute",)),
        ("de", "date", "2026-11-25", ("Mittwoch", "25. November 2026")),
        ("de", "amount", "12.50 EUR", ("12,5 Euro",)),
        ("ja", "wait", "240", ("4 分",)),
        ("fr", "digits", "123", ("1 2 3",)),
        ("xx", "digits", "123", ("1 2 3",)),
    ],
)
def test_other_languages_say_values_as_unicodes_locale_data_has_them(
    language: str, kind: Kind, value: str, phrases: tuple[str, ...]
) -> None:
    assert phrases_of(kind, value, language) == phrases


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("number", "three", '"three" cannot be said; give a whole number of at most 9 digits, like 3'),
        ("number", "", '"" cannot be said'),
        ("number", "-1", '"-1" cannot be said'),
        ("number", "1e3", '"1e3" cannot be said'),
        ("number", "1234567890", "at most 9 digits"),
        ("number", "٣", "cannot be said"),
        ("count", "1.5", "a whole number"),
        ("digits", "12a", "at most 32 digits, like 13900000001"),
        ("digits", "1" * 33, "at most 32 digits"),
        ("digits", "1--2", "with spaces or - between groups"),
        ("amount", "1234.50", "an amount and its currency's three letters, like 1234.50 CNY"),
        ("amount", "1.5 XQZ", "an amount and its currency's three letters"),
        ("amount", "1.5 XXX", "an amount and its currency's three letters"),
        ("amount", "1,234 CNY", "an amount"),
        ("amount", "1.234 CNY", "an amount"),
        ("date", "2026-02-30", "a date from 1900 to 2099, like 2026-11-25"),
        ("date", "20261125", "a date"),
        ("date", "1066-10-14", "a date"),
        ("time", "24:00", "a time from 0:00 to 23:59, like 14:30"),
        ("time", "14:30:15", "a time"),
        ("wait", "86401", "whole seconds, 86400 at most, like 240"),
        ("wait", "4m", "whole seconds"),
        ("text", "a\x01b", r'"a\u0001b" cannot be said; give words, 100 characters at most'),
        ("text", "x" * 101, "give words, 100 characters at most"),
        ("text", "...", "give words"),
    ],
)
def test_a_value_that_is_not_of_its_kind_is_refused_with_what_to_give(kind: Kind, value: str, wanted: str) -> None:
    with pytest.raises(SpeechError) as raised:
        phrases_of(kind, value, "en")
    assert wanted in str(raised.value)


def test_a_language_that_nobody_knows_says_what_to_do() -> None:
    with pytest.raises(SpeechError, match="how numbers are said in 'xx' is not known; give the value as kind text"):
        phrases_of("number", "3", "xx")


@given(st.sampled_from(KINDS), st.text(max_size=120), st.sampled_from(["en", "zh", "yue", "fr", "de_AT", "ar"]))
def test_whatever_a_dialplan_sends_is_said_or_refused_and_never_holds_what_is_not_to_be_said(
    kind: Kind, value: str, language: str
) -> None:
    try:
        phrases = phrases_of(kind, value, language)
    except SpeechError:
        return
    assert phrases
    assert all(phrase.strip() == phrase != "" and phrase.isprintable() for phrase in phrases)


@given(st.integers(0, 999_999_999))
def test_a_chinese_numeral_is_the_number_that_it_was(number: int) -> None:
    (numeral,) = phrases_of("number", str(number), "zh")
    assert _read(numeral) == number
    assert "零零" not in numeral
    assert numeral == "零" or not numeral.endswith("零")


@pytest.mark.parametrize(
    ("number", "numeral"),
    [
        *((10, "十"), (11, "十一"), (20, "二十"), (102, "一百零二"), (110, "一百一十"), (112, "一百一十二")),
        *((1002, "一千零二"), (1010, "一千零一十"), (2222, "两千二百二十二"), (10000, "一万"), (20005, "两万零五")),
        *((100_000, "十万"), (120_000, "十二万"), (1_000_010, "一百万零一十"), (100_000_001, "一亿零一")),
    ],
)
def test_chinese_numerals_have_their_zeros_and_twos_where_people_put_them(number: int, numeral: str) -> None:
    assert phrases_of("number", str(number), "zh") == (numeral,)
    assert Chinese("zh").counted(2) == "两"


@given(st.from_regex(r"[0-9]{1,32}", fullmatch=True))
def test_groups_hold_all_digits_in_groups_of_at_most_four_that_differ_by_one(digits: str) -> None:
    groups = grouped(digits)
    assert "".join(groups) == digits
    sizes = [len(group) for group in groups]
    assert max(sizes) <= 4
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes)


def _read(numeral: str) -> int:
    """The number that a numeral means, read unit by unit."""
    total, group, figure = 0, 0, 0
    for character in numeral:
        if character in CHINESE_FIGURES:
            figure = CHINESE_FIGURES[character]
        elif (unit := UNITS[character]) < UNITS["万"]:
            group, figure = group + (figure or 1) * unit, 0
        else:
            total, group, figure = total + (group + figure) * unit, 0, 0
    return total + group + figure


@pytest.mark.parametrize(
    ("voice", "language", "kind", "value", "heard"),
    [
        # With -x espeak-ng tells the sounds it makes; stress and lengths are left out here.
        ("en-us", "en", "digits", "1390", "wVn Tri: naIn zi@roU"),
        ("en-us", "en", "wait", "240", "a#baUt fo@ mInIts"),
        ("en-us", "en", "time", "14:30", "tu: T3:ti InDI2 aaft3nu:n"),
        ("en-us", "en", "date", "2026-11-25", "wEnzdeI noUvEmb3 twEnt2i fIfT twEnt2i twEnt2i sIks"),
        ("cmn-latn-pinyin", "zh", "digits", "1390", "jAu55 sa55n tSiou21 li35N"),
        ("cmn-latn-pinyin", "zh", "wait", "120", "tA51 yE55 liA21N f@55n ts.ong55"),
        ("cmn-latn-pinyin", "zh", "number", "12", "s.i.35 @r51"),
        ("yue", "yue", "wait", "240", "daai6 joe3k sei3 fa1n zung1"),
        ("yue", "yue", "number", "12", "sa6p ji6"),
    ],
)
def test_espeak_ng_says_what_is_meant(voice: str, language: str, kind: Kind, value: str, heard: str) -> None:
    program = shutil.which("espeak-ng")
    assert program
    sounds = [
        subprocess.run(
            [program, "-b", "1", "-q", "-x", "-v", voice, "--stdin"],
            input=phrase.encode(),
            capture_output=True,
            check=True,
        ).stdout.decode()
        for phrase in phrases_of(kind, value, language)
    ]
    plain = re.sub(r"[_|',;!:]*_[_|',;!:]*|['|,;!]", "", " ".join(" ".join(sounds).split()))
    assert re.sub(r"\s+", " ", plain).strip().replace("#i", "i") == heard
