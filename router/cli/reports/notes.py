"""What the reader of a report must know to trust its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from router.cli.reports.shown import Shown
from router.cli.reports.words import Words

# At the edges of a day calls are under way; more than these without an outcome are told of.
_UNDER_WAY_SHARE: Final = 0.001
# A journal whose first call is so much of a span after the span's begin is told to begin there.
_MISSING_SHARE: Final = 0.05


def notes(shown: Shown, words: Words) -> Iterator[str]:
    """A phrase each; what is to be told of the reading of journals is in English."""
    says, tally = words.says, shown.now.overall
    if shown.asked.kind == "today":
        yield says["note_today"]
    elif tally.under_way > max(1, tally.calls * _UNDER_WAY_SHARE):
        yield says["note_under_way"].format(count=f"{tally.under_way:,}", calls=f"{tally.calls:,}")
    if tally.unseen:
        yield says["note_unseen"].format(count=f"{tally.unseen:,}")
    if shown.book is None:
        yield says["note_no_rules"]
    if shown.was_protected_otherwise:
        yield says["note_protected"]
    if begins := _begins(shown):
        yield says["note_begins"].format(moment=f"{begins.astimezone(shown.zone):%Y-%m-%d %H:%M}")
    if left_out := len(shown.counted.left_out):
        yield says["note_left_out"].format(count=left_out)
    yield from shown.counted.read.complaints()


def _begins(shown: Shown) -> datetime | None:
    """When the journal begins, if that is in the middle of what is shown: a part of a day looks like a quiet day."""
    counted, first = shown.counted, shown.counted.first
    if first is None or counted.ended_before is not None:
        return None
    span = shown.asked.before if shown.is_compared else shown.asked.span
    begin, end = span.begin.astimezone(UTC), span.end.astimezone(UTC)
    return first if first - begin > _MISSING_SHARE * (end - begin) else None
