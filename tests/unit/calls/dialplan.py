"""What dialplans/elder-router.conf itself says, for comparing it with the code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "dialplans" / "elder-router.conf").read_text()

_STEP = re.compile(r"^\s*(?:same|exten)\s*=>\s*(?:[^,]+,1|n)(?:\(\w+\))?,(.*)$")


def steps(context: str) -> list[str]:
    """The applications of one context, `Set(ELDER_TARGET=)`, in the file's order."""
    _, _, after = TEXT.partition(f"\n[{context}]\n")
    assert after, f"the dialplan has no [{context}]"
    body = after.partition("\n[")[0]
    return [match[1] for line in body.splitlines() if (match := _STEP.match(line))]


def sets(context: str) -> dict[str, str]:
    """What a context sets unconditionally: the variable and its first value."""
    found: dict[str, str] = {}
    for step in steps(context):
        if match := re.fullmatch(r"Set\((.*?)=(.*)\)", step):
            found.setdefault(match[1], match[2])
    return found


def user_events() -> list[tuple[str, tuple[str, ...]]]:
    """Every UserEvent of the file: its name, and its headers' names in their order."""
    return [
        (name, tuple(header.partition(":")[0] for header in headers.split(",") if header))
        for name, headers in re.findall(r"UserEvent\((\w+)((?:,\w+: (?:[^,{}()]|\{(?:[^{}]|\{[^}]*\})*\})*)*)\)", TEXT)
    ]


def shape_of(name: str) -> tuple[str, ...]:
    """The headers of the events of that name, which all have the same."""
    (shape,) = {headers for event, headers in user_events() if event == name}
    return shape
