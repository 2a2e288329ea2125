"""What was wrong with our systems and when: pairs what began with what ended, run by run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from router.journal.counting.figures import Span, Trouble

_BEFORE: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """One record of it: `state` is `began` or `ended`."""

    run: str
    node: str
    what: str
    state: str
    why: str
    at: datetime


def paired(said: Iterable[Said], run_ended: Mapping[str, datetime | None]) -> list[Trouble]:
    """Every trouble, by when it began.

    Args:
        said: Records in the order of their time.
        run_ended: When each run wrote its last record; None of the one that may be running still. What is wrong when
            a run ends is over with it.
    """
    under_way: dict[tuple[str, str, str], Trouble] = {}
    over: list[Trouble] = []
    for one in said:
        key = (one.run, one.node, one.what)
        if one.state == "began":
            if key not in under_way:  # said again, it is the same one
                under_way[key] = Trouble(one.what, one.node, one.why, one.at, None, is_over=False)
        elif one.state == "ended":
            known = under_way.pop(key, None) or Trouble(one.what, one.node, one.why, None, None, is_over=False)
            over.append(replace(known, ended=one.at, is_over=True))
    for (run, _, _), trouble in under_way.items():
        ended = run_ended.get(run)
        over.append(replace(trouble, ended=ended, is_over=ended is not None))
    return sorted(over, key=lambda one: (one.began or _BEFORE, one.what, one.node))


def within(troubles: Iterable[Trouble], span: Span) -> tuple[Trouble, ...]:
    """Those that were there at any moment of a span."""
    return tuple(
        one
        for one in troubles
        if (one.began is None or one.began < span.end) and (one.ended is None or one.ended >= span.begin)
    )
