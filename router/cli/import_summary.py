"""What an import came to, or would, in a few aligned lines."""

from __future__ import annotations

from collections.abc import Iterator

import click

from router.callers.loading.differences import Differences
from router.callers.loading.job import Outcome
from router.cli.tracing import printable

_MOST_REASONS = 10


def print_import(outcome: Outcome) -> None:
    """Of one that was done."""
    for warning in outcome.warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
    lines = [*_feed_lines(outcome)]
    generation = outcome.generation
    if outcome.differences is not None and generation is not None:
        lines += [*_change_lines(outcome.differences, outcome), ("callers now", generation.callers, "")]
        lines += [(f"  {band}", count, "") for band, count in generation.by_band.items()]
    else:
        lines += [("callers now", outcome.callers, _before(outcome))]
        lines += [(f"  {band}", count, "") for band, count in outcome.by_band.items()]
    _print(lines)


def print_trial(outcome: Outcome) -> None:
    """Of one that was only tried."""
    lines = [*_feed_lines(outcome), ("callers in it", outcome.callers, _before(outcome))]
    lines += [(f"  {band}", count, "") for band, count in outcome.by_band.items()]
    if outcome.differences is not None:
        lines += _change_lines(outcome.differences, outcome)
    _print(lines)
    if outcome.not_compared:
        click.echo(printable(f"what is there could not be compared: {outcome.not_compared}"), err=True)
    if outcome.refusal:
        click.echo(printable(f"this would be refused: {outcome.refusal}"), err=True)
    click.echo("nothing was stored")


def _feed_lines(outcome: Outcome) -> Iterator[tuple[str, int, str]]:
    counts = outcome.counts
    yield "rows read", counts.read, ""
    yield "  rejected", counts.rejected, ""
    for reason, count in list(counts.reasons.items())[:_MOST_REASONS]:
        yield "", count, reason
    if counts.left_out:
        yield "  left out", counts.left_out, "marked as removed"
    if counts.removals:
        yield "  removals", counts.removals, ""
    repeated = counts.records - counts.removals - outcome.callers
    if repeated > 0:
        yield "  repeated", repeated, "a number on several rows takes the oldest of their bands"


def _change_lines(differences: Differences, outcome: Outcome) -> Iterator[tuple[str, int, str]]:
    yield "added", differences.added, ""
    yield "changed", differences.changed, ""
    shown = outcome.generation or outcome.before
    if shown is not None:
        for (before, after), count in differences.between_bands(shown).items():
            if before and after:
                yield f"  {before} → {after}", count, ""
    yield "removed", differences.removed, ""
    yield "the same", differences.same, ""


def _before(outcome: Outcome) -> str:
    return f"before: {outcome.before.callers:,}" if outcome.before is not None else ""


def _print(lines: list[tuple[str, int, str]]) -> None:
    wide = max(len(name) for name, _, _ in lines)
    for name, count, more in lines:
        click.echo(printable(f"{name:<{wide}}  {count:>13,}  {more}".rstrip()))
