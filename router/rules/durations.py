"""Durations as people write them: `400ms`, `60s`, `5m`, `1h`, `7d`.

A bare number is refused: nobody remembers which unit a field wants.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from router.rules.scalars import quoted

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_BARE = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_EXAMPLES = "a number and its unit, like 400ms, 60s, 5m or 1h"


def parse_duration_s(text: object) -> float:
    """Read one duration.

    Args:
        text: What stood in the file; only text of the form `60s` is a duration.

    Returns:
        Seconds, to the millisecond.

    Raises:
        ValueError: it is not a duration; the message says what to write.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = f"{text}"
    if not isinstance(text, str) or not (match := _DURATION.fullmatch(text)):
        shown = quoted(text) if isinstance(text, str) else "this"
        if isinstance(text, str) and _BARE.fullmatch(text):
            raise ValueError(f"{text} has no unit; write {text}s for seconds, or ms, m, h, d")
        raise ValueError(f"{shown} is not a duration; write {_EXAMPLES}")
    return round(float(match[1]) * _UNITS_S[match[2]], 3)


def parse_whole_seconds(text: object) -> int:
    """Read one duration that Asterisk takes in whole seconds.

    Raises:
        ValueError: it is not a duration, or has a part of a second; the message says what to write.
    """
    seconds = parse_duration_s(text)
    if not seconds.is_integer():
        raise ValueError(f"{text} is not a whole number of seconds; write {max(1, round(seconds))}s")
    return int(seconds)


def in_words(seconds: float) -> str:
    """A duration in the largest unit that leaves no fraction, as people would write it: `90s`, `5m`, `24h`."""
    for unit in ("h", "m", "s"):
        count = seconds / _UNITS_S[unit]
        if count >= 1 and count.is_integer():
            return f"{count:.0f}{unit}"
    return "0s" if seconds == 0 else f"{seconds * 1000:.0f}ms"


def roughly_in_words(seconds: float) -> str:
    """A duration for people, by its two largest units: `3d 4h`, `7h 45m`, `2m 10s`, `12s`."""
    whole = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return " ".join(part for part in parts[:2] if part) or "0s"


_Written = Annotated[str, Field(pattern=f"^{_DURATION.pattern}$")]
DurationS = Annotated[float, BeforeValidator(parse_duration_s, json_schema_input_type=_Written)]
WholeSeconds = Annotated[int, BeforeValidator(parse_whole_seconds, json_schema_input_type=_Written)]
