from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import (
    MAX_KEPT_CHARACTERS,
    NoNumber,
    NoNumberReason,
    PhoneNumber,
    masked,
    parse_caller,
)

ONE_CALLER = "+8613900000001"


@pytest.mark.parametrize(
    "raw",
    [
        "13900000001",
        "8613900000001",
        "+8613900000001",
        "008613900000001",
        "013900000001",
        " 139 0000 0001 ",
        "(+86) 139-0000-0001",
        "+86.139.0000.0001",
        "１３９０００００００１",
        "＋８６１３９０００００００１",
        "tel:+86-139-0000-0001",
        "tel:13900000001;phone-context=+86",
        "sip:+8613900000001@192.0.2.1;user=phone",
        "sips:%2B8613900000001@pbx.example",
        "<sip:13900000001@pbx.example>",
        "13900000001;user=phone",
        "+8613900000001;ext=12",
        "+8613900000001 ext. 5",
        "13900000001#12",
    ],
)
def test_one_caller_is_one_number_however_it_is_spelt(raw: str) -> None:
    assert parse_caller(raw, "CN") == PhoneNumber(ONE_CALLER)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "anonymous",
        "Anonymous",
        "<unknown>",
        "unavailable",
        "PRIVATE",
        "Restricted",
        "0",
        "000000000",
        "sip:anonymous@anonymous.invalid",
        "anonymous.invalid",
    ],
)
def test_a_number_that_is_kept_back_is_withheld(raw: str) -> None:
    assert parse_caller(raw, "CN") == NoNumber(NoNumberReason.WITHHELD, raw)


@pytest.mark.parametrize(
    "raw", ["10086", "95500", "110", "12345", "1008611", "+8610086", "88886666", "sip:8001@pbx.example", "7"]
)
def test_service_codes_and_local_numbers_never_become_a_person(raw: str) -> None:
    caller = parse_caller(raw, "CN")
    assert isinstance(caller, NoNumber)
    assert caller.reason is NoNumberReason.SHORT


@pytest.mark.parametrize("raw", ["alice", "sip:alice@pbx.example", "asterisk", "1-800-FLOWERS", "agent.7"])
def test_words_are_alphanumeric(raw: str) -> None:
    caller = parse_caller(raw, "CN")
    assert isinstance(caller, NoNumber)
    assert caller.reason is NoNumberReason.ALPHANUMERIC


@pytest.mark.parametrize(
    "raw",
    [
        "1" * 300,
        "139\r\n00000001",
        "13900000001\n",
        "139\x0000000001",
        "😀",
        "�",
        "++86",
        "+",
        "①③⑨",
        "٠٥٥١٢٣٤٥٦٧",
        "*67",
        "+99912345678",
        "9999999999999999",
        "a" * 100000,
    ],
)
def test_what_no_network_sends_is_malformed_and_no_error(raw: str) -> None:
    caller = parse_caller(raw, "CN")
    assert isinstance(caller, NoNumber)
    assert caller.reason is NoNumberReason.MALFORMED
    assert caller.raw.isprintable()
    assert len(caller.raw) <= MAX_KEPT_CHARACTERS


def test_numbers_of_other_countries_keep_their_country_code() -> None:
    assert parse_caller("+442079460000", "CN") == PhoneNumber("+442079460000")
    assert parse_caller("0012025550101", "CN") == PhoneNumber("+12025550101")


def test_the_home_region_decides_about_national_numbers() -> None:
    assert parse_caller("020 7946 0000", "GB") == PhoneNumber("+442079460000")
    assert parse_caller("(202) 555-0101", "US") == PhoneNumber("+12025550101")


def test_a_range_that_the_library_does_not_know_yet_is_still_a_person() -> None:
    assert parse_caller("07700 900123", "GB") == PhoneNumber("+447700900123")


def test_an_unknown_home_region_is_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="two-letter code such as CN or GB"):
        parse_caller("13900000001", "China")


@given(st.one_of(st.text(), st.text(alphabet="0123456789+-()#*;,. exttelsip:@%<>=\r\n", max_size=40)))
def test_any_text_gives_a_caller_and_a_number_parses_to_itself(raw: str) -> None:
    caller = parse_caller(raw, "CN")
    masked(caller)
    if isinstance(caller, PhoneNumber):
        assert parse_caller(caller.e164, "CN") == caller


@given(st.from_regex(r"\A\+[1-9][0-9]{4,14}\Z"))
def test_a_mask_hides_four_digits_and_shows_at_most_seven_and_the_country_code(e164: str) -> None:
    shown = masked(PhoneNumber(e164))
    before, stars, after = shown.partition("****")
    assert stars
    assert e164.startswith(before)
    assert e164.endswith(after)
    assert len(before) <= 1 + 3 + 3
    assert len(after) <= 4
    assert len(e164) - len(before) - len(after) >= min(4, len(e164) - 4)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("13900000001", "+86139****0001"),
        ("+12025550101", "+120****0101"),
        ("+85291234567", "+852****4567"),
        ("+3545551234", "+354****234"),
        ("anonymous", "anonymous"),
        ("10086", "short"),
        ("alice", "alphanumeric"),
        ("139\r\n", "malformed"),
    ],
)
def test_masks(raw: str, shown: str) -> None:
    assert masked(parse_caller(raw, "CN")) == shown


def test_a_repr_shows_no_number() -> None:
    assert repr(PhoneNumber(ONE_CALLER)) == "PhoneNumber(+86139****0001)"
    assert "13900000001" not in repr(parse_caller("*13900000001*", "CN"))


@pytest.mark.parametrize("e164", ["13900000001", "+0139000000", "+86139000000012345", "+86 139", "+８６１３９"])
def test_a_phone_number_is_e164_or_an_error(e164: str) -> None:
    with pytest.raises(ValueError, match=r"E\.164"):
        PhoneNumber(e164)


@pytest.mark.parametrize(
    ("home", "raw", "e164"),
    [
        # With a plus a number is itself, wherever it is seen.
        *((home, "+8613900000001", ONE_CALLER) for home in ("CN", "HK", "GB", "US", "JP", "AU")),
        ("HK", "91234567", "+85291234567"),
        ("HK", "85291234567", "+85291234567"),
        ("CN", "+85291234567", "+85291234567"),
        ("SG", "81234567", "+6581234567"),
        ("DE", "0151 23456789", "+4915123456789"),
        ("JP", "09012345678", "+819012345678"),
        ("RU", "89161234567", "+79161234567"),
        # A zero before an area code is the trunk prefix, in Italy a part of the number.
        ("CN", "010-12345678", "+861012345678"),
        ("IT", "0612345678", "+390612345678"),
        ("CN", "+86 (0)10 1234 5678", "+861012345678"),
        # What is dialled abroad in each region, and 00, which networks write everywhere.
        ("US", "0118613900000001", ONE_CALLER),
        ("JP", "0108613900000001", ONE_CALLER),
        ("AU", "0011 86 13900000001", ONE_CALLER),
        ("RU", "8108613900000001", ONE_CALLER),
        ("HK", "0018613900000001", ONE_CALLER),
        *((home, "008613900000001", ONE_CALLER) for home in ("CN", "HK", "GB", "US", "JP", "AU", "SG")),
        ("US", "0044 20 7946 0000", "+442079460000"),
        ("HK", "0085291234567", "+85291234567"),
        # Without a plus, and with no prefix, a number is one of the home region's, whatever it begins with.
        ("CN", "85291234567", "+8685291234567"),
        ("HK", "13900000001", "+85213900000001"),
        # Ranges handed out after the library's list was made, of the right length.
        ("CN", "12900000001", "+8612900000001"),
        ("CN", "+8616100000001", "+8616100000001"),
        ("CN", "008612000000001", "+8612000000001"),
        ("GB", "07000 000001", "+447000000001"),
        # URIs
        ("CN", "sip:+8613900000001;ext=5@pbx.example", ONE_CALLER),
        ("CN", "sip:%2B8613900000001;phone-context=example@pbx.example;user=phone", ONE_CALLER),
        ("GB", "sip:13900000001;phone-context=+86@pbx.example", ONE_CALLER),
        ("CN", "13900000001@192.0.2.1", ONE_CALLER),
        ("CN", "tel:5550101;phone-context=+1202", "+12025550101"),
    ],
)
def test_a_number_is_read_as_the_region_has_it_where_it_is_seen(home: str, raw: str, e164: str) -> None:
    assert parse_caller(raw, home) == PhoneNumber(e164)


@pytest.mark.parametrize(
    ("home", "raw"),
    [
        ("HK", "0012015550123"),  # +1 201 555 0123, or 001 and +20 15550123
        ("KR", "00819012345678"),  # +81 90 1234 5678, or 008 and +1 901 234 5678
        ("SG", "00441212345687"),  # +44 121 234 5687, or 004 and +41 21 234 56 87
        ("JP", "006621261999"),  # +66 2 126 1999, or a free number that is dialled so in Japan
    ],
)
def test_what_two_numbers_are_written_like_is_neither_of_them(home: str, raw: str) -> None:
    assert parse_caller(raw, home) == NoNumber(NoNumberReason.MALFORMED, raw)
    assert parse_caller(raw.replace("00", "+", 1), home) == PhoneNumber(raw.replace("00", "+", 1))
    assert parse_caller(raw, "CN") == PhoneNumber(raw.replace("00", "+", 1))


@pytest.mark.parametrize(
    ("home", "raw"),
    [
        *(
            ("CN", raw)
            for raw in ("12306", "100001", "+86110", "911", "999", "+86 12345", "1001", "20001234", "0010086")
        ),
        ("CN", "sip:1001;phone-context=pbx.example@pbx.example"),
        ("CN", "sip:1001;phone-context=+86@pbx.example"),
        ("CN", "tel:110;phone-context=+86"),
        *(("GB", raw) for raw in ("999", "112", "101", "116123", "1001")),
        *(("US", raw) for raw in ("911", "988", "5550101", "1001")),
        *(("HK", raw) for raw in ("999", "18501")),
        *(("JP", raw) for raw in ("110", "119")),
    ],
)
def test_short_codes_and_extensions_are_nobody_in_every_region(home: str, raw: str) -> None:
    caller = parse_caller(raw, home)
    assert isinstance(caller, NoNumber)
    assert caller.reason is NoNumberReason.SHORT


@pytest.mark.parametrize(
    "raw",
    [
        "\u202a+8613900000001\u202c",
        "\u200e13900000001",
        "139\u00a00000\u00a00001",
        "139\u200b00000001",
        "一三九〇〇〇〇〇〇〇一",
        "१३९०००००००१",
        "+86¹³⁹00000001",
        "13900000001\ud800",
        "+139000000011",
        "139000000011111111",
        "0007284336",
        "+86 13900000001 13900000002",
        "13900000001,13900000002",
    ],
)
def test_what_only_looks_like_a_number_is_nobodys(raw: str) -> None:
    caller = parse_caller(raw, "CN")
    assert isinstance(caller, NoNumber)
    assert caller.reason is NoNumberReason.MALFORMED


@pytest.mark.parametrize("raw", ["sip:alice@pbx.example", "sip:alice;phone-context=+86@pbx.example"])
def test_a_sip_user_with_letters_is_no_number(raw: str) -> None:
    caller = parse_caller(raw, "CN")
    assert isinstance(caller, NoNumber)
    assert caller.reason is NoNumberReason.ALPHANUMERIC


_HOMES = st.sampled_from(
    ["CN", "HK", "TW", "GB", "US", "DE", "IT", "JP", "AU", "BR", "AR", "RU", "SG", "BY", "IL", "KR"]
)
_DIALLED = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "+", "0", "00", "000", "011", "0086", "8", "1"]), st.text("0123456789", max_size=15)
    ),
)


@given(_DIALLED, _HOMES, _HOMES)
def test_a_number_that_was_found_is_the_same_wherever_it_is_read_again(raw: str, home: str, elsewhere: str) -> None:
    caller = parse_caller(raw, home)
    if isinstance(caller, PhoneNumber):
        assert parse_caller(caller.e164, elsewhere) == caller
