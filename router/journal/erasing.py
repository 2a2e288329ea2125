"""A caller taken out of one line of a journal, which stays as long as it was and a record of the same call.

As long as it was, so that it can be done in the file that a router appends to. JSON has blanks between its tokens, so a
shorter value is followed by some. What goes:

- `caller_key` becomes "", as of a call without a number: nothing can be joined by it, and all who were forgotten are
  not one caller;
- `caller` becomes "erased", and what a rule's trace saw of the number loses its digits;
- `full_caller`, and `earlier_calls_s`, which tells to the millisecond when the same person called before, become null;
- the caller's place in a roll-out, which is made from the key, loses its digits in the trace;
- the number itself, should it stand anywhere, as in somebody's own words, loses its digits, with its country code or
  as people write it at home, with blanks or hyphens between or without.

What stays is what the call was: its times, age band, rule, queue and how it ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import orjson
import phonenumbers

from router.callers.number import PhoneNumber, masked

ERASED: Final = "erased"
"""What stands for the caller; no number, masked or not, is shorter, so it always fits."""

_TEXT: Final = rb'"(?:[^"\\]|\\.)*"'
_CALLER: Final = re.compile(rb'"caller"\s*:\s*(' + _TEXT + rb")")
_FULL_CALLER: Final = re.compile(rb'"full_caller"\s*:\s*(' + _TEXT + rb")")
_EARLIER_CALLS: Final = re.compile(rb'"earlier_calls_s"\s*:\s*(\[[^\]]{2,}\])')
_PLACE: Final = re.compile(rb'"saw"\s*:\s*("place [0-9.]+")')
_DIGIT: Final = re.compile(rb"[0-9]")
# What people put between the digits of a number, and the records in which they have written something.
_BETWEEN: Final = "[ -]?"
_OWN_WORDS: Final = b'"record":"promotion"'
# Asterisk names calls by seconds since 1970, which have ten digits: what is not longer is only a number after a 0.
_EPOCH_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Erasing:
    """Takes one caller out of lines.

    Args:
        number: The caller's.
        key: The `caller_key` of that number.
    """

    number: PhoneNumber
    key: str

    _national: bytes = field(init=False, repr=False)
    _number: re.Pattern[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        digits = self.number.e164.removeprefix("+")
        national = digits.removeprefix(_country_code(self.number))
        at_home = f"0{'' if len(national) <= _EPOCH_DIGITS else '?'}{_BETWEEN}{_BETWEEN.join(national)}"
        pattern = f"(?<![0-9])(?:(?:00)?{_BETWEEN}{_BETWEEN.join(digits)}|{at_home})(?![0-9])"
        object.__setattr__(self, "_national", national.encode())
        object.__setattr__(self, "_number", re.compile(pattern.encode()))

    def is_in(self, content: bytes) -> bool:
        """Whether any line of these may have to be changed; quick."""
        return self.key.encode() in content or self._national in content or self._is_in_words(content)

    def line(self, line: bytes) -> bytes:
        """A line without the caller, of the same length; the same line if it has nothing of them."""
        if not self.is_in(line):
            return line
        without = self._without_key(line) if f'"{self.key}"'.encode() in line else line
        without = self._without_number(without).replace(self.key.encode(), b"*" * len(self.key))
        return without if _is_json(without) else self._crudely(line)

    def _is_in_words(self, content: bytes) -> bool:
        at = content.find(_OWN_WORDS)
        while at >= 0:
            end = content.find(b"\n", at)
            if self._number.search(content, at, end if end >= 0 else len(content)):
                return True
            at = content.find(_OWN_WORDS, at + 1)
        return False

    def _without_key(self, line: bytes) -> bytes:
        quoted = f'"{self.key}"'.encode()
        line = line.replace(quoted, b'""'.ljust(len(quoted)))
        line = _replaced(_CALLER, f'"{ERASED}"'.encode(), line)
        line = _replaced(_FULL_CALLER, b"null", line)
        line = _replaced(_EARLIER_CALLS, b"null", line)
        line = _PLACE.sub(lambda found: _starred(found[0]), line)
        shown = masked(self.number).encode()
        return line.replace(shown, _starred(shown))

    def _without_number(self, line: bytes) -> bytes:
        return self._number.sub(lambda found: _starred(found[0]), line)

    def _crudely(self, line: bytes) -> bytes:
        """The same of a line that is no record: one that a crash cut off."""
        shown = masked(self.number).encode()
        if self.key.encode() in line:
            line = line.replace(self.key.encode(), b"*" * len(self.key)).replace(shown, _starred(shown))
        return self._without_number(line)


def _country_code(number: PhoneNumber) -> str:
    try:
        return str(phonenumbers.parse(number.e164).country_code)
    except phonenumbers.NumberParseException:
        return ""


def _replaced(pattern: re.Pattern[bytes], value: bytes, line: bytes) -> bytes:
    """Values that a pattern finds, each replaced by a value that is not longer, with blanks after it."""

    def shorter(found: re.Match[bytes]) -> bytes:
        name, old = found[0][: -len(found[1])], found[1]
        return name + (value if len(value) <= len(old) else b'""').ljust(len(old))

    return pattern.sub(shorter, line)


def _starred(text: bytes) -> bytes:
    return _DIGIT.sub(b"*", text)


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
