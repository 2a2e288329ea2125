"""Spellings of numbers that a pattern can read instead of `parse_caller`, with the same result: proven, not hoped.

`parse_caller` takes 22 µs, a pattern 0.1 µs; most rows of most feeds are spelt in one of a few ways. What no form here
matches is read by `parse_caller`, so a form need not be complete, but must be right. All is derived from the numbering
plans of `phonenumbers`, whatever the home region. Below, CC is a country code, its main region the first of
`COUNTRY_CODE_TO_REGION_CODE`, and N the national number, whose first digit is 1 to 9.

Why it is right. `parse_caller` passes digits with at most a plus before them to `phonenumbers.parse` as they are, after
taking out spaces, hyphens and brackets, which are the only others that are let through here; nothing of its reading of
extensions, URIs, letters or withheld numbers applies to such text. (A dot is not let through: `13900000001.0` is a
spreadsheet's.) Then `parse`, by its source (9.0), does this:

1. `_maybe_extract_country_code`. After a plus (form `A`): the code is the one known code that the digits begin with, as
   no code begins with another. Form `Z`, 00 and a code, exists where 00 is the home region's `international_prefix`, or
   the first alternative of it: then exactly that is stripped, and the rest read as after a plus; that `parse_caller`
   also reads 00 as a plus itself changes nothing then. Without either: digits that begin with the home region's
   `international_prefix` lose it; the forms refuse those. If they begin with the home region's code, that is stripped
   if the whole is too long to be national there (longer than each possible length, local ones too), or if the whole
   does not match the plan's general pattern and the rest does. So form `B1` asks for a whole that is too long, `B2` for
   one that does not match while N does; `C1` refuses digits that begin with the code, and `C2` asks for a whole that
   matches the general pattern and has a possible length: then neither reason holds. In all other cases the number is of
   the home region.
2. `_maybe_strip_national_prefix_carrier_code`: changes nothing unless the plan's `national_prefix_for_parsing` matches
   at the start of N. The forms refuse where it does: the home region's if the code came without a plus or not at all,
   the main region's if there was a code. A pattern that matches the empty text refuses all, which is safe.
   Form `D` is the exception, a national number after its prefix (`07700 900001`): there the pattern is one digit, or
   begins or ends with that alternative (`0|180020`), or is that and a carrier that need not be there (`0(8[1-4])?`);
   the text begins with the digit, and what would match before it or beyond it does not match (refused). So exactly the
   digit is what matches, and no group takes part. It is then stripped unless the whole matches the general pattern
   (refused), if the rest has a possible length (asked for).
3. N of 2 to 17 digits becomes a number; with a first digit of 1 to 9 no leading zero is lost.

Then `parse_caller` takes a valid number, and one that is not if its length is a possible one of the main region, is no
local one, N has `MIN_UNLISTED_DIGITS` or more, and + CC N reads as the same number again, which it does by the above
where the main region's pattern of prefixes does not match at the start of N either (all forms refuse where it does).
So N is asked to be so, or, shorter, as in Hong Kong, to be valid: to match the main region's general pattern and one of
those of its kinds with the length of that kind, where the main region is the only one of its code or has no
`leading_digits`, so that `region_code_for_number` finds it. In either case the result is + CC N, if that has 15 digits
at most.

The patterns are matched by RE2, which means the same by them as Python on ASCII digits; what it cannot compile, such as
a look-ahead, is a form that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from router.callers.number import MAX_E164_DIGITS, MIN_UNLISTED_DIGITS

_FEWEST_DIGITS: Final = 5  # of `PhoneNumber`, with the country code
_KINDS: Final = (
    *("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail"),
    *("fixed_line", "mobile"),
)
_Metadata = Any  # phonenumbers' own types are not exported


@dataclass(frozen=True, slots=True)
class ProvenForm:
    """Digits, perhaps after a plus, that match all of `must` and none of `must_not` (RE2) are `prefix` and themselves.

    Attributes:
        name: For the reader of tests.
        drop: So many characters go from the start before `prefix` is put there.
    """

    name: str
    must: tuple[str, ...]
    must_not: tuple[str, ...]
    prefix: str
    drop: int = 0


@cache
def proven_forms(home_region: str) -> tuple[ProvenForm, ...]:
    """The forms for a home region, a two-letter code whose numbering plan is known."""
    home: _Metadata = phonenumbers.PhoneMetadata.metadata_for_region(home_region, None)
    code = str(home.country_code)
    main = _main(int(code))
    forms = [_abroad("A", r"\+", "", 0)]
    if re.fullmatch(r"00(?:\|.*)?", home.international_prefix or ""):
        forms.append(_abroad("Z", "00", "+", 2))
    if unlisted := _unlisted(code, main):
        forms += _home_forms(code, home, main, (unlisted,), "")
    for length in _short_lengths(code, main):
        if valid := _valid(main, length):
            with_plus = tuple(rf"^\+{code}(?:{part})$" for part in valid)
            refused = _starts(rf"\+{code}", main.national_prefix_for_parsing)
            forms.append(ProvenForm(f"A{length}", with_plus, refused, ""))
            forms += _home_forms(code, home, main, valid, str(length))
    return tuple(form for form in forms if all(map(_compiles, (*form.must, *form.must_not))))


def _abroad(name: str, before: str, prefix: str, drop: int) -> ProvenForm:
    """`before` CC N, of any country code whose prefixes RE2 can match."""
    must, must_not = [], []
    for number in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE):
        main = _main(number)
        refused = main.national_prefix_for_parsing
        national = _unlisted(str(number), main)
        if not national or not _compiles(f"^(?:{refused or ''})"):
            continue
        must.append(f"{number}(?:{national})")
        if refused and not re.fullmatch("0[0-9]*", refused):  # N does not begin with 0
            must_not.append(f"{number}(?:{refused})")
    return ProvenForm(name, (f"^{before}(?:{'|'.join(must)})$",), (f"^{before}(?:{'|'.join(must_not)})",), prefix, drop)


def _home_forms(
    code: str, home: _Metadata, main: _Metadata, national: tuple[str, ...], length: str
) -> list[ProvenForm]:
    """The forms without a plus; `national` are patterns that N must match, all of them."""
    general, prefix = home.general_desc, home.national_prefix_for_parsing
    abroad = _starts("", home.international_prefix)
    lengths = sorted({*general.possible_length, *general.possible_length_local_only})
    too_long = rf"^[0-9]{{{lengths[-1] + 1},}}$"
    possible = "^(?:" + "|".join(f"[0-9]{{{length}}}" for length in _possible(home)) + ")$"
    whole = f"^(?:{general.national_number_pattern})$"
    alone = tuple(f"^(?:{part})$" for part in national)
    not_prefix = tuple(dict.fromkeys((*_starts("", prefix), *_starts("", main.national_prefix_for_parsing))))
    after_code = tuple(f"^{code}(?:{part})$" for part in national)
    rest = f"^{code}(?:{general.national_number_pattern})$"
    not_after_code = (*abroad, *_starts(code, prefix), *_starts(code, main.national_prefix_for_parsing))
    forms = [
        ProvenForm(f"B1{length and f'-{length}'}", (*after_code, too_long), not_after_code, "+"),
        ProvenForm(f"B2{length and f'-{length}'}", (*after_code, rest), (*not_after_code, whole), "+"),
        ProvenForm(f"C1{length and f'-{length}'}", alone, (*abroad, *not_prefix, f"^{code}"), f"+{code}"),
        ProvenForm(
            f"C2{length and f'-{length}'}", (*alone, f"^{code}", whole, possible), (*abroad, *not_prefix), f"+{code}"
        ),
    ]
    if (trunk := _trunk_prefix(prefix, home.national_prefix_transform_rule)) is not None:
        digit, others = trunk
        forms.append(
            ProvenForm(
                f"D{length}",
                (*(f"^{digit}(?:{part})$" for part in national), f"^{digit}{possible[1:]}"),
                (*abroad, *_starts("", others), *_starts(digit, main.national_prefix_for_parsing), f"^{code}", whole),
                f"+{code}",
                drop=1,
            )
        )
    return forms


def _trunk_prefix(pattern: str | None, transform_rule: str | None) -> tuple[str, str | None] | None:
    """The digit that comes before national numbers, and what else would match first; None where it is not so simple."""
    if not pattern:
        return None
    if re.fullmatch(r"[0-9]", pattern):
        # Without a group a rule that transforms the number has nothing to go by.
        return None if transform_rule else (pattern, None)
    if re.fullmatch(r"[0-9]\|.+", pattern) and _is_pattern(pattern[2:]):
        return (pattern[0], None) if "(" in pattern or not transform_rule else None
    if re.fullmatch(r".+\|[0-9]", pattern) and _is_pattern(pattern[:-2]):
        return (pattern[-1], pattern[:-2]) if "(" in pattern or not transform_rule else None
    carrier = re.fullmatch(r"([0-9])\((.+)\)\?", pattern)
    if carrier and _is_pattern(carrier[2]):  # a pattern by itself, so the brackets are those of one group
        return carrier[1], f"{carrier[1]}(?:{carrier[2]})"
    return None


def _main(country_code: int) -> _Metadata:
    region = phonenumbers.region_code_for_country_code(country_code)
    return phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)


def _possible(plan: _Metadata) -> list[int]:
    general = plan.general_desc
    return [length for length in general.possible_length if length not in general.possible_length_local_only]


def _unlisted(code: str, main: _Metadata) -> str:
    """A pattern of N that is taken for its length alone; empty where no length is."""
    lengths = [n for n in _possible(main) if MIN_UNLISTED_DIGITS <= n <= MAX_E164_DIGITS - len(code)]
    return "|".join(f"[1-9][0-9]{{{length - 1}}}" for length in lengths)


def _short_lengths(code: str, main: _Metadata) -> list[int]:
    """The lengths of N that are too short to be taken for the length alone, where lines and mobiles have them."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    if len(regions) > 1 and main.leading_digits is not None:
        return []
    usual = {*_lengths(main, main.fixed_line), *_lengths(main, main.mobile)}
    fewest = max(2, _FEWEST_DIGITS - len(code))
    return [n for n in _possible(main) if fewest <= n < MIN_UNLISTED_DIGITS and n in usual]


def _valid(main: _Metadata, length: int) -> tuple[str, ...]:
    """Patterns that N of a length matches, all of them, if it is valid."""
    kinds = [getattr(main, kind) for kind in _KINDS if kind != "mobile" or not main.same_mobile_and_fixed_line_pattern]
    patterns = [kind.national_number_pattern for kind in kinds if length in _lengths(main, kind)]
    if not patterns or not main.general_desc.national_number_pattern:
        return ()
    either = "|".join(f"(?:{pattern})" for pattern in patterns)
    return (f"[1-9][0-9]{{{length - 1}}}", main.general_desc.national_number_pattern, either)


def _lengths(plan: _Metadata, kind: _Metadata) -> Sequence[int]:
    """Of the numbers of a kind, which has those of the general pattern if it names none."""
    if kind is None or not kind.national_number_pattern:
        return ()
    return cast("Sequence[int]", kind.possible_length or plan.general_desc.possible_length)


def _starts(before: str, pattern: str | None) -> tuple[str, ...]:
    return (f"^{before}(?:{pattern})",) if pattern else ()


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _compiles(pattern: str) -> bool:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid:
        return False
    return True
