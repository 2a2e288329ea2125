"""`elder-router journal`: looking after the journal. `verify`: whether it is whole.

What is looked at is in `router.journal.verifying`; this reads the options and shows what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import click

from router.cli.options import WHERE_IS_THE_JOURNAL, CouldNotRunError, journals_option, moment_given
from router.cli.tracing import json_text, printable, reading_bar
from router.errors import JournalError
from router.journal.reader import refuse_unseen
from router.journal.stream import STDIN
from router.journal.verifying import MOST_TOLD_OF_A_KIND, Kind, Verified, files_and_living, moment_text, verify

_UTC = ZoneInfo("UTC")
_WHOLE, _FINDINGS, _COULD_NOT_READ = 0, 1, 2


@click.group("journal")
def journal() -> None:
    """Look after the journal."""


@journal.command("verify")
@click.argument("more_journals", metavar="", nargs=-1, type=click.Path(path_type=Path, readable=False))
@journals_option(
    "Journals, in the order of their time",
    "the one that the settings file says, after all that was rotated away from it",
)
@click.option("--since", metavar="TIME", help='Tell of nothing before: "2026-11-23 09:00", in UTC as the journal is.')
@click.option("--until", metavar="TIME", help="Tell of nothing from then on.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify_journal(
    more_journals: tuple[Path, ...],
    *,
    journals: tuple[Path, ...],
    since: str | None,
    until: str | None,
    as_json: bool,
    journal_file: Path | None,
) -> None:
    """Tell whether the journal is whole.

    Looks at every line: whether it is a record by the schema; whether records are missing, by the numbers that each run
    of the router gives them, are there twice or out of order; whether each call that was decided ended, once. Calls
    that were decided in the last four hours before the end may be under way: how many is told, and is nothing wrong.

    Exits 0 when it is whole; 1 when something is wrong, which is told by file and line; 2 when a journal cannot be
    read.
    """
    files: Sequence[Path] = (*journals, *more_journals)
    opened: BinaryIO | None = None
    if not files and journal_file:
        files, opened = files_and_living(journal_file)
    if not files:
        if journal_file:
            try:
                refuse_unseen(journal_file)
            except JournalError as error:
                raise CouldNotRunError(str(error)) from error
            raise CouldNotRunError(f"{journal_file}: there is no such journal; has the router run yet?")
        raise click.UsageError(WHERE_IS_THE_JOURNAL)
    if files.count(STDIN) > 1:
        raise click.BadParameter("standard input can be read once", param_hint="--journal")
    # The newest one is being written, whether its name came from here or from the settings.
    living = files[-1]
    with reading_bar("verifying") as update, opened or nullcontext():
        update(total=_bytes_in(files))
        found = verify(
            files,
            since=moment_given("--since", since, _UTC) if since is not None else None,
            until=moment_given("--until", until, _UTC) if until is not None else None,
            living=living,
            opened=opened,
            on_read=lambda done: update(completed=done),
        )
    if as_json:
        click.echo(json_text(_as_plain(found)))
    else:
        _print(found)
    raise SystemExit(_COULD_NOT_READ if found.counts[Kind.UNREADABLE] else _WHOLE if found.is_whole else _FINDINGS)


def _bytes_in(files: Sequence[Path]) -> int | None:
    """How much there is to read, if that is known."""
    try:
        return None if STDIN in files else sum(file.stat().st_size for file in files)
    except OSError:
        return None


def _print(found: Verified) -> None:
    for finding in found.findings:
        click.echo(printable(str(finding)))
    for kind, count in found.counts.items():
        if count > MOST_TOLD_OF_A_KIND:
            click.echo(f"… and {count - MOST_TOLD_OF_A_KIND:,} more of which it is to be said: {kind}")
    for note in found.notes:
        click.echo(printable(note))
    click.echo(printable(_read_in_words(found)))
    if found.under_way:
        click.echo(f"{_many(found.under_way, 'call')} may be under way: decided lately, and not ended yet")
    if found.is_whole:
        click.echo("whole: nothing is missing, twice or unreadable, and each call has its outcome")
    else:
        click.echo(f"not whole: {'; '.join(f'{kind} ({count:,})' for kind, count in found.counts.items())}")


def _read_in_words(found: Verified) -> str:
    """`3 files, 40 lines: 20 decisions, 20 outcomes; 2026-11-23T09:00:00Z to 2026-11-25T08:59:59Z`."""
    kinds = ", ".join(_many(found.records[kind], kind) for kind in sorted(found.records)) or "no records"
    span = f"; {moment_text(found.first)} to {moment_text(found.last)}" if found.first else ""
    return f"{_many(len(found.files), 'file')}, {_many(found.lines, 'line')}: {kinds}{span}"


def _many(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _as_plain(found: Verified) -> dict[str, object]:
    return {
        "whole": found.is_whole,
        "files": list(found.files),
        "lines": found.lines,
        "records": dict(sorted(found.records.items())),
        "first": moment_text(found.first),
        "last": moment_text(found.last),
        "under_way": found.under_way,
        "missing": found.missing,
        "counts": {kind.name.lower(): count for kind, count in found.counts.items()},
        "findings": [
            {"kind": each.kind.name.lower(), "file": each.file, "line": each.line or None, "what": each.what}
            for each in found.findings
        ],
        "notes": found.notes,
    }
