"""Each form of spelling that is read by a pattern comes to what `parse_caller` says: in every region."""

from __future__ import annotations

import random

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.callers.feed.block import FastNumbers
from router.callers.feed.proven import ProvenForm, proven_forms
from router.callers.number import PhoneNumber, parse_caller

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
TOLD_OF = [
    "CN",
    "GB",
    "US",
    "DE",
    "IT",
    "RU",
    "BR",
    "MX",
    "AR",
    "JP",
    "HK",
    "SG",
    "CA",
    "KZ",
    "FR",
    "IN",
    "AU",
    "KR",
    "NO",
]
CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
KINDS = (
    phonenumbers.PhoneNumberType.FIXED_LINE,
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.TOLL_FREE,
)


def matched(form: ProvenForm, texts: list[str]) -> list[str]:
    array = pa.array(texts, pa.string())
    fits = [True] * len(texts)
    for pattern in form.must:
        fits = [a and b for a, b in zip(fits, pc.match_substring_regex(array, pattern).to_pylist(), strict=True)]
    for pattern in form.must_not:
        fits = [a and not b for a, b in zip(fits, pc.match_substring_regex(array, pattern).to_pylist(), strict=True)]
    return [text for text, fit in zip(texts, fits, strict=True) if fit]


def wrong(region: str, texts: list[str]) -> list[tuple[str, str, str]]:
    """What a form reads otherwise than `parse_caller`."""
    found = []
    for form in proven_forms(region):
        for text in matched(form, texts):
            caller = parse_caller(text, region)
            if not isinstance(caller, PhoneNumber) or caller.e164 != form.prefix + text[form.drop :]:
                found.append((region, form.name, text))
    return found


def spellings(region: str, seed: int, count: int) -> list[str]:
    """Numbers near real ones of a region and others, spelt in many ways."""
    chance = random.Random(f"{region} {seed}")  # noqa: S311 - not for secrets
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    assert metadata is not None
    prefix, home = metadata.national_prefix or "0", str(metadata.country_code)
    texts = []
    for _ in range(count):
        other = chance.choice([region, region, chance.choice(REGIONS)])
        example = phonenumbers.example_number_for_type(other, chance.choice(KINDS))
        code, national = home, "".join(chance.choices("0123456789", k=chance.randint(3, 14)))
        if example is not None and chance.random() < 0.6:
            code = str(example.country_code)
            digits = list(phonenumbers.national_significant_number(example))
            for _ in range(chance.choice([0, 1, 2, 6])):
                digits[chance.randrange(len(digits))] = chance.choice("0123456789")
            national = "".join(digits)
        elif chance.random() < 0.3:
            code = str(chance.choice(CODES))
        texts.append(
            chance.choice([f"+{code}", f"00{code}", code, "", prefix, "0", home, home[:1], f"+{home}"]) + national
        )
    return texts


@pytest.mark.parametrize("region", TOLD_OF)
def test_a_form_reads_what_parse_caller_reads_in_the_regions_told_of(region: str) -> None:
    assert wrong(region, spellings(region, 0, 1500)) == []


def test_a_form_reads_what_parse_caller_reads_in_every_region() -> None:
    assert [mistake for region in REGIONS for mistake in wrong(region, spellings(region, 1, 60))] == []


@settings(max_examples=300)
@given(st.sampled_from(REGIONS), st.lists(st.from_regex(r"\+?[0-9]{1,16}", fullmatch=True), min_size=1, max_size=40))
def test_a_form_reads_what_parse_caller_reads_of_any_digits(region: str, texts: list[str]) -> None:
    assert wrong(region, texts) == []


@settings(max_examples=300)
@given(
    st.sampled_from(TOLD_OF),
    st.lists(st.text(alphabet="0123456789+-() .\t<>#x;", max_size=20), min_size=1, max_size=20),
)
def test_numbers_with_separators_are_read_as_parse_caller_reads_them(region: str, texts: list[str]) -> None:
    found, left = FastNumbers(region).read(pa.array(texts, pa.string()))
    places = [place for rows, _ in found for place in rows.tolist()]
    assert sorted([*places, *left.tolist()]) == list(range(len(texts)))
    for rows, numbers in found:
        for place, number in zip(rows.tolist(), numbers.to_pylist(), strict=True):
            assert parse_caller(texts[place], region) == PhoneNumber(number)


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("CN", "+8613900000001"),
        ("CN", "8613900000001"),
        ("CN", "13900000001"),
        ("CN", "+447700900001"),
        ("CN", "+12025550123"),
        ("CN", "02087654321"),
        ("CN", "008613900000001"),
        ("DE", "004915112345678"),
        ("GB", "07700900001"),
        ("GB", "7700900001"),
        ("GB", "+447700900001"),
        ("US", "2025550123"),
        ("US", "12025550123"),
        ("DE", "015112345678"),
        ("IT", "3401234567"),
        ("IT", "3931234567"),
        ("RU", "89123456789"),
        ("RU", "79123456789"),
        ("JP", "09012345678"),
        ("FR", "0612345678"),
        ("KR", "01020000000"),
        ("HK", "51234567"),
        ("HK", "+85251234567"),
        ("SG", "81234567"),
        ("IN", "9876543210"),
        ("BR", "11961234567"),
        ("MX", "5512345678"),
    ],
)
def test_usual_spellings_have_a_form(region: str, text: str) -> None:
    assert any(matched(form, [text]) for form in proven_forms(region))


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("CN", "10086"),
        ("CN", "17900139000000"),  # a carrier's code before the number
        ("US", "008613900000001"),
        ("BY", "08414514060"),  # after its zero another prefix, and no number of theirs: not the same read again
        ("CN", "0125745765142"),
        ("CC", "0183289954"),
        ("US", "1234"),
        ("IT", "+390612345678"),  # a zero that belongs to the number
        ("AR", "91123456789"),  # the mobile token, which is put in and taken away
        ("HK", "008613900000001"),
        ("HK", "11234567"),  # no number of theirs
    ],
)
def test_what_is_read_with_care_has_none(region: str, text: str) -> None:
    assert not any(matched(form, [text]) for form in proven_forms(region))


def test_a_pattern_that_cannot_be_matched_is_no_form(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region("FR", None)
    assert metadata is not None
    monkeypatch.setattr(metadata, "_mutable", True)
    monkeypatch.setattr(metadata, "national_prefix_for_parsing", "(?=0)0")
    proven_forms.cache_clear()
    try:
        names = {form.name for form in proven_forms("FR")}
        assert names == {"A", "Z"}
        assert not matched(proven_forms("FR")[0], ["+33612345678"])
    finally:
        proven_forms.cache_clear()
