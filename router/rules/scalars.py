"""What an unquoted YAML word means, and the words whose meaning readers of YAML disagree about.

YAML 1.1 and 1.2 read `22:30`, `0800`, `on` and `2026-11-23` differently (a number in base 60, an octal
number, a truth value, a date), and whoever writes a rules file knows neither. Such words are refused with
what to write instead, rather than guessed.

Sources: YAML 1.2.2 §10.3 (core schema); the YAML 1.1 type repository (yaml.org/type).
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

# Longer than any amount, shorter than what would make `int` slow; a telephone number has 15 digits at most.
MAX_DIGITS: Final = 15
MAX_SHOWN_CHARACTERS: Final = 40

_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9:. +Zz-]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(?:\.[0-9_]*)?")
_PLUS = re.compile(r"\+[0-9][0-9_.]*")
# Hexadecimal, octal, binary; digits grouped by _; .5 and 5. and 1e3; infinity and not-a-number.
_ODD_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*|[0-9_]*\.[0-9_]+|[0-9][0-9_]*\."
    r"|[0-9_]*\.?[0-9_]+[eE][-+]?[0-9]+|[0-9_]+\.[0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
    r"|[-+][0-9_]+"
)
_SIGN = re.compile(r"=|<<")
# The first that fits.
_SURPRISES: Final = (
    (_BASE_60, "without quotes this is a number to some programs and a time to others; put it in quotes"),
    (_DATE, "without quotes this is a date to some programs and text to others; put it in quotes"),
    (_LEADING_ZERO, "a number would lose its leading zero; put it in quotes"),
    (_PLUS, "a number would lose its plus sign; put it in quotes"),
    (_ODD_NUMBER, "write numbers in plain digits, like 1000 or 0.5, and what is no number in quotes"),
    (_SIGN, "without quotes this has a meaning of its own to some programs; put it in quotes"),
)
_TYPOGRAPHIC_QUOTES: Final = frozenset("“”„‘’＂＇")
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH_WORDS = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}


def printable(text: str) -> str:
    """`text` with everything that does not show written as its code."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def quoted(text: str) -> str:
    """`text` in double quotes for a message, cut to a readable length."""
    cut = text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 1] + "…"
    return f'"{printable(cut)}"'


def resolve_plain(text: str) -> tuple[Scalar, str]:
    """Read an unquoted scalar.

    Returns:
        Its value, and what is wrong with writing it so (empty when nothing is). With something wrong, the
        value is the text itself, so that checking can go on.
    """
    if surprise := _surprise(text):
        return text, surprise
    if text in _NULL:
        return None, ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE, ""
    if _INT.fullmatch(text):
        return int(text), ""
    if _FLOAT.fullmatch(text):
        return float(text), ""
    return text, ""


def _surprise(text: str) -> str:
    """Why `text` must not stand without quotes; empty when it may."""
    if (meant := _TRUTH_WORDS.get(text.lower())) is not None:
        return (
            f"{text} means {meant} to some programs and is a word to others; write {meant}, or "
            f"{quoted(text)} in quotes if you mean the word"
        )
    if _INT.fullmatch(text) or _FLOAT.fullmatch(text):
        too_long = len(text) > MAX_DIGITS
        return f"a number of more than {MAX_DIGITS} digits; if it is a code, put it in quotes" if too_long else ""
    if text[:1] in _TYPOGRAPHIC_QUOTES:
        return f'{text[0]} is a letter to YAML: type the plain " instead, or put all of the text in plain quotes'
    why = next((why for pattern, why in _SURPRISES if pattern.fullmatch(text)), "")
    return f"{why}: {quoted(text)}" if why else ""
