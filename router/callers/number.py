"""What the network says about a caller, as an E.164 number or as the reason why there is none.

One person must be one key in the registry, however the trunk, the dialplan or a spreadsheet spells the
number: `139…`, `86139…`, `+86139…` and `0086139…` are the same caller. And what is not one person's number
must never become one: `phonenumbers` reads the service code `10086` as `+8610086`, for instance.

Sources: ITU-T E.164 (at most 15 digits), RFC 3966 (`tel:` URIs), RFC 3261 §19.1 (SIP URIs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias, assert_never
from urllib.parse import unquote

import phonenumbers
from phonenumbers import ValidationResult

# Longer than any number in any spelling, and than a SIP URI of one. Nothing longer is looked at.
MAX_RAW_CHARACTERS: Final = 128
# As much of what came as is kept for a record.
MAX_KEPT_CHARACTERS: Final = 64
# A number outside the known ranges still counts as a person's when it is as long as this without its country
# code: new ranges are handed out faster than libraries learn of them. What is shorter and unknown is a
# service code, or a local number without its area code, which belongs to a different person in each city.
MIN_UNLISTED_DIGITS: Final = 9

MASK: Final = "****"
MAX_E164_DIGITS: Final = 15

_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_WITHHELD = frozenset(
    {
        *("", "anonymous", "unavailable", "unknown", "private", "restricted", "withheld", "blocked"),
        *(
            "anonymous.invalid",
            "not available",
            "no number",
            "number withheld",
            "out of area",
            "unavail",
            "null",
        ),
    }
)
# Full-width ASCII (U+FF01 to U+FF5E) and the ideographic space, as Chinese input methods and spreadsheets
# write them: they can only mean their ASCII twin. Unicode's NFKC would go further and make digits of ① and ²,
# and `\d` would take any script's; nobody writes a telephone number like that, so those stay malformed.
_FULL_WIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)} | {0x3000: 0x20}
_URI_SCHEME = re.compile(r"(tel|sips?):", re.IGNORECASE)
_PHONE_CONTEXT = re.compile(r";phone-context=(\+[1-9][0-9]{0,6})(?:[;@]|$)", re.IGNORECASE)
_EXTENSION = re.compile(r"[\s,]*(?:(?:extension|ext|x)[.:=]?|#)\s*[0-9]{1,7}$", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-\s().\u2010-\u2015]")
_ZEROS = re.compile(r"\+?0+")  # how some exchanges send a number that is kept back
_ITU_PREFIX: Final = "00"  # ITU-T E.164 recommends it; many regions dial something else
_DIALLED = re.compile(r"\+?[0-9]+")
_WORD = re.compile(r"[A-Za-z0-9_.!~*'&=+$,/%-]*[A-Za-z][A-Za-z0-9_.!~*'&=+$,/%-]*")


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """One subscriber's number, `+` and 5 to 15 digits. Its `repr` is masked: no log shows it by accident.

    Raises:
        ValueError: `e164` is not of that form.
    """

    e164: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _E164.fullmatch(self.e164):
            raise ValueError("an E.164 number is + and 5 to 15 digits; use parse_caller() for other spellings")

    def __repr__(self) -> str:
        return f"PhoneNumber({masked(self)})"


class NoNumberReason(StrEnum):
    """Why a call has no number that could stand for one person."""

    WITHHELD = "withheld"  # the caller or the network keeps it back
    SHORT = "short"  # a service code such as 10086, or a local number without its area code
    ALPHANUMERIC = "alphanumeric"  # a SIP user such as alice
    MALFORMED = "malformed"  # nothing that a telephone network would send


@dataclass(frozen=True, slots=True)
class NoNumber:
    """A call without a number. `raw` is what came: printable characters, 64 at most, and not in `repr`."""

    reason: NoNumberReason
    raw: str = field(repr=False)


Caller: TypeAlias = PhoneNumber | NoNumber


def is_home_region(region: str) -> bool:
    """Whether `region` is a two-letter code (`CN`, `GB`) whose numbering plan is known."""
    return region in phonenumbers.SUPPORTED_REGIONS


def parse_caller(raw: str, home_region: str) -> Caller:
    """Read a caller's number as a trunk, a SIP header or a file spells it.

    Extensions are dropped (the line is the same), URI parameters too, except that a `phone-context` with a
    country code completes the number. Not cached: at 22 µs a call, 245 calls/s take half a percent of one
    core, and a cache would keep full numbers in memory.

    Args:
        raw: Any text; whatever it holds, the answer is a value and never an exception.
        home_region: The region whose national numbers come without a country code, e.g. `CN`.

    Raises:
        ValueError: `home_region` is not a region that has a numbering plan.
    """
    if not is_home_region(home_region):
        raise ValueError(f"home region {home_region!r} is not known; give a two-letter code such as CN or GB")
    text = raw[: MAX_RAW_CHARACTERS + 1].translate(_FULL_WIDTH).strip(" ")
    if len(raw) > MAX_RAW_CHARACTERS or not text.isprintable():
        return _no_number(NoNumberReason.MALFORMED, raw)
    # Asterisk writes <unknown>, URIs come as <sip:…>.
    text = text.removeprefix("<").removesuffix(">").strip(" ")
    subscriber = _subscriber(text)
    dialled = _SEPARATORS.sub("", _EXTENSION.sub("", subscriber))
    if text.casefold() in _WITHHELD or subscriber.casefold() in _WITHHELD or _ZEROS.fullmatch(dialled):
        return _no_number(NoNumberReason.WITHHELD, raw)
    if _DIALLED.fullmatch(dialled):
        return _from_digits(dialled, home_region, raw)
    is_word = _WORD.fullmatch(subscriber) is not None
    return _no_number(NoNumberReason.ALPHANUMERIC if is_word else NoNumberReason.MALFORMED, raw)


def masked(caller: Caller) -> str:
    """A caller for people's eyes: `+86139****0001`, or `anonymous`, `short`, `alphanumeric`, `malformed`.

    Shows the country code, at most three digits after it and the last four, and hides at least four, so that
    a short national number loses its first digits, then its last.
    """
    match caller:
        case PhoneNumber(e164=e164):
            code_end = _country_code_end(e164)
            national = e164[code_end:]
            last = min(4, max(0, len(national) - 4))
            first = min(3, max(0, len(national) - 4 - last))
            return f"{e164[:code_end]}{national[:first]}{MASK}{national[len(national) - last :]}"
        case NoNumber(reason=NoNumberReason.WITHHELD):
            return "anonymous"
        case NoNumber(reason=reason):
            return reason.value
        case _:
            assert_never(caller)


def digits_hidden(head: str, tail: str) -> list[int]:
    """How many digits may stand behind the mask of a number that `masked` shows as `head`****`tail`.

    Args:
        head: `+`, the country code and up to three digits.
        tail: Up to four digits.
    """
    code_end = _country_code_end(head)
    shown = len(head) - code_end
    if not tail:
        return [1, 2, 3, 4]
    if len(tail) < 4 or shown < 3:  # noqa: PLR2004 - see `masked`
        return [4]
    region = phonenumbers.region_code_for_country_code(int(head[1:code_end])) if code_end > 1 else ""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None) if region else None
    most = MAX_E164_DIGITS - (code_end - 1)
    lengths = set(metadata.general_desc.possible_length) if metadata and metadata.general_desc else set()
    return [n - 7 for n in sorted(lengths or range(11, most + 1)) if 11 <= n <= most]  # noqa: PLR2004


def _subscriber(text: str) -> str:
    """The part of a URI that names the subscriber; text that is not a URI loses its parameters only."""
    scheme = _URI_SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    context = _PHONE_CONTEXT.search(rest)
    user = rest.partition("@")[0].partition(";")[0]
    if scheme:
        # In a SIP URI a plus may come as %2B. What decodes to something odd fails the pattern that follows.
        user = unquote(user)
    if context and not user.startswith("+"):
        return context[1] + user
    return user.strip(" ")


def _from_digits(dialled: str, home_region: str, raw: str) -> Caller:
    caller = _as_dialled(dialled, home_region, raw)
    if not dialled.startswith(_ITU_PREFIX):
        return caller
    # Networks write 00 before a country code wherever they are; some regions dial something else, or read a carrier's
    # code into what follows: in HK 008613900000001 would be 008 and a number in Australia.
    everywhere = _as_dialled("+" + dialled.removeprefix(_ITU_PREFIX), home_region, raw)
    if everywhere == caller or _is_unlisted(everywhere):
        return caller
    # In HK 0012015550123 is one number in the US, and with 001 another one in Egypt: not to be taken for either.
    return everywhere if _is_unlisted(caller) else _no_number(NoNumberReason.MALFORMED, raw)


def _is_unlisted(caller: Caller) -> bool:
    """Whether this is no number, or one outside the ranges that the library knows."""
    return isinstance(caller, NoNumber) or not phonenumbers.is_valid_number(phonenumbers.parse(caller.e164))


def _as_dialled(dialled: str, home_region: str, raw: str) -> Caller:
    try:
        number = phonenumbers.parse(dialled, home_region)
    except phonenumbers.NumberParseException as error:
        too_short = error.error_type in {
            phonenumbers.NumberParseException.NOT_A_NUMBER,  # one digit
            phonenumbers.NumberParseException.TOO_SHORT_NSN,
            phonenumbers.NumberParseException.TOO_SHORT_AFTER_IDD,
        }
        return _no_number(NoNumberReason.SHORT if too_short else NoNumberReason.MALFORMED, raw)
    is_unlisted = not phonenumbers.is_valid_number(number)
    if is_unlisted:
        national_digits = len(phonenumbers.national_significant_number(number))
        match phonenumbers.is_possible_number_with_reason(number):
            case ValidationResult.IS_POSSIBLE if national_digits >= MIN_UNLISTED_DIGITS:
                pass
            case ValidationResult.TOO_LONG | ValidationResult.INVALID_COUNTRY_CODE:
                return _no_number(NoNumberReason.MALFORMED, raw)
            case _:
                short = national_digits < MIN_UNLISTED_DIGITS
                return _no_number(NoNumberReason.SHORT if short else NoNumberReason.MALFORMED, raw)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not _E164.fullmatch(e164):
        return _no_number(NoNumberReason.MALFORMED, raw)
    if is_unlisted and phonenumbers.parse(e164) != number:
        # Zeros are left before it, which make it another number when it is read again: nobody's number.
        return _no_number(NoNumberReason.MALFORMED, raw)
    return PhoneNumber(e164)


def _country_code_end(e164: str) -> int:
    """Where the country code of `+…` ends. No code begins with another, so the first known one is it."""
    for end in (2, 3, 4):
        if int(e164[1:end]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return end
    return 1


def _no_number(reason: NoNumberReason, raw: str) -> NoNumber:
    # A lone surrogate or a control character is not printable; cut first, for what came may be huge.
    kept = "".join(character for character in raw[:MAX_KEPT_CHARACTERS] if character.isprintable())
    return NoNumber(reason, kept)
