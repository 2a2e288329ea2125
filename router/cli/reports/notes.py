"""What the reader of a report must know to trust its numbers."""

from __future__ import annotations

from collections.abc import Iterator

from router.cli.reports.shown import Shown
from router.cli.tracing import counted

_LOST_SHARE = 0.001


def notes(shown: Shown) -> Iterator[str]:
    """A phrase each, in English: for whoever runs the report."""
    tally, read = shown.now.overall, shown.counted.read
    if shown.asked.kind == "today":
        yield "the day is not over; the day before is counted until the same time"
    elif tally.calls and tally.under_way > max(1, tally.calls * _LOST_SHARE):
        yield (
            f"{counted(tally.under_way, 'call')} of {tally.calls:,} {'has' if tally.under_way == 1 else 'have'} no "
            "outcome: under way, or lost; `elder-router journal verify` tells which"
        )
    if tally.unseen:
        yield (
            f"of {tally.unseen:,} {'call' if tally.unseen == 1 else 'calls'} nobody saw the end, as the router was "
            "away; they are in no share"
        )
    if shown.book is None:
        yield "the rules are not to be had, so that hours are in UTC; name them with --rules"
    if left_out := len(shown.counted.left_out):
        yield f"{counted(left_out, 'journal')} of other times {'was' if left_out == 1 else 'were'} not read"
    yield from read.complaints()
