"""`elder-router diff`: recorded decisions put to changed rules, before these are in force.

What is compared, and when protected callers count as worse off, is in `router.journal.difference` and `harm`; this
reads the journals, finds the rules of that time, and shows what comes out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from router.calls.verdict import channel_language
from router.cli.differing import Shown, as_plain, print_difference
from router.cli.options import (
    WHERE_IS_THE_JOURNAL,
    CouldNotRunError,
    history_in,
    history_option,
    journals_option,
    moment_given,
    rules_option_for,
    secret_file_option,
)
from router.cli.recognising import recogniser_for
from router.cli.tracing import console_for_answers, json_text, printable, reading_bar
from router.errors import ConfigurationError, HistoryError, JournalError
from router.journal.difference import Comparison, Difference
from router.journal.reader import journal_files
from router.journal.stream import DecisionStream, Read
from router.reloading.history import HistoryEntry
from router.rules.book import RuleBook, load_rules
from router.rules.durations import in_words

_NOBODY_WORSE_OFF, _CANNOT_BE_TOLD, _PROTECTED_WORSE_OFF = 0, 2, 3
_MOST_NAMED = 5
# So many of the lines may be damaged, by a crash or a full disk, before that speaks against all the others.
_MOST_BAD_SHARE = 0.01


@click.command("diff")
@click.argument("new_rules", metavar="NEW.yaml", type=click.Path(path_type=Path, readable=False))
@click.argument("more_journals", metavar="", nargs=-1, type=click.Path(path_type=Path, readable=False))
@journals_option(
    "Journals, in the order of their time",
    "the one that the settings file says, after the last that was rotated away from it",
)
@click.option(
    "--since", metavar="TIME", help='Leave out decisions before: "2026-11-23 09:00", in the new rules\' zone.'
)
@click.option("--until", metavar="TIME", help="Leave out decisions from then on.")
@secret_file_option
@rules_option_for("The rules in force here, which NEW.yaml is to replace.")
@history_option()
@click.option(
    "--examples", type=click.IntRange(0, 20), default=3, show_default=True, help="Calls shown of each difference."
)
@click.option("--json", "as_json", is_flag=True, help="Print what comes out as JSON.")
@click.pass_context
def diff(
    context: click.Context,
    new_rules: Path,
    more_journals: tuple[Path, ...],
    *,
    journals: tuple[Path, ...],
    since: str | None,
    until: str | None,
    secret_file: Path | None,
    rules_path: Path,
    history_folder: Path | None,
    examples: int,
    as_json: bool,
    journal_file: Path | None,
) -> None:
    """Show who would be routed differently by NEW.yaml, out of the decisions in journals.

    Puts every recorded decision to the new rules, with what was known when it was made, and counts by age band and by
    where callers went and would go. Callers are masked. What the new rules ask for and the records do not tell is told,
    and taken as not matching.

    The gate: callers of age bands that the new rules protect, or the old ones did, must not lose a person (from a
    queue to a context of the dialplan), a head start or an overflow, nor have it later, nor have others join a queue
    that was theirs or get further ahead of them there. Not judged is how busy a queue is, how callers are spoken to,
    and whether one protected band gets ahead of another; the last two are told. The old rules are those that decided,
    out of --history, and those in force, --rules.

    Exits 0 when no protected caller is worse off, 3 when one is, 2 when that cannot be told: the new rules are wrong, a
    journal cannot be read, no decision is in it, one of a protected caller cannot be put to the new rules, or more than
    a hundredth of the lines are no records.
    """
    files = (*journals, *more_journals) or _last_two(journal_file)
    if not files:
        raise click.UsageError(WHERE_IS_THE_JOURNAL)
    try:
        book = load_rules(new_rules)
        zone = ZoneInfo(book.timezone)
        comparison = Comparison(
            book,
            recogniser=recogniser_for(book, str(new_rules), secret_file),
            spoken=channel_language,
            since=moment_given("--since", since, zone) if since is not None else None,
            until=moment_given("--until", until, zone) if until is not None else None,
            examples=examples,
        )
        stream = _replay(comparison, files)
    except (ConfigurationError, JournalError) as error:
        raise CouldNotRunError(str(error)) from error
    old = _OldRules.find(comparison.versions, rules_path, history_folder)
    known = book.protected | old.protected
    protected = known | comparison.bands if old.missing else known  # whom those protected is not known
    difference = comparison.result(protected, known, old.books)
    for complaint in stream.read.complaints():
        click.echo(printable(complaint), err=True)
    if not difference.compared:
        raise CouldNotRunError(_nothing_compared(files, difference))
    untold = _untold(difference, stream.read)
    notes = tuple(old.notes(book, difference))
    shown = Shown(new_rules, files, book, difference, stream.read, protected, untold, notes)
    if as_json:
        click.echo(json_text(as_plain(shown)))
    else:
        print_difference(console_for_answers(), shown)
    if difference.harmed:
        context.exit(_PROTECTED_WORSE_OFF)
    context.exit(_CANNOT_BE_TOLD if protected and untold else _NOBODY_WORSE_OFF)


def _last_two(journal: Path | None) -> tuple[Path, ...]:
    """The journal after what was rotated away from it last: by itself it would hold minutes of calls after that."""
    if journal is None:
        return ()
    rotated = [file for file in journal_files(journal) if file != journal]
    if rotated and not journal.exists():
        return (rotated[0],)
    return (*rotated[:1], journal)


def _replay(comparison: Comparison, files: Sequence[Path]) -> DecisionStream:
    """Put everything in the journals to the new rules, with a bar of what has been read on a terminal.

    Raises:
        JournalError: A journal cannot be read.
    """
    with reading_bar("reading decisions") as update:
        stream = DecisionStream(files, stdin=sys.stdin.buffer, on_read=lambda done: update(completed=done))
        update(total=stream.bytes_total)
        for fields in stream:
            if wrong := comparison.take(fields):
                stream.refuse(wrong)
    return stream


@dataclass(frozen=True, slots=True)
class _OldRules:
    """The rules that decided the calls, and those in force; `missing` are the versions that are not to be had."""

    books: Mapping[str, RuleBook]
    missing: tuple[str, ...]
    wrong: tuple[str, ...]

    @classmethod
    def find(cls, versions: Iterable[str], rules_path: Path, history_folder: Path | None) -> _OldRules:
        """Look for the rules of these versions."""
        books: dict[str, RuleBook] = {}
        wrong = []
        if os.path.exists(rules_path):  # noqa: PTH110 - which is of a file that may not be looked for, too
            try:
                in_force = load_rules(rules_path)
                books[in_force.version] = in_force
            except ConfigurationError as error:
                wrong.append(f"the rules in force are wrong and were not looked at: {error.problems[0]}")
        kept: dict[str, HistoryEntry] = {}
        if history_folder:
            try:
                kept = {entry.version: entry for entry in history_in(history_folder).entries()}
            except HistoryError as error:
                wrong.append(f"the history of the rules was not looked at: {error}")
        for version in versions:
            if version in kept and version not in books:
                with suppress(ConfigurationError):  # right for the program that took them, and not for this one
                    books[version] = load_rules(kept[version].folder / kept[version].rules_name)
        missing = tuple(version for version in versions if version not in books)
        return cls(books, missing, tuple(wrong))

    @property
    def protected(self) -> frozenset[str]:
        """The age bands that any of them protects."""
        return frozenset().union(*(book.protected for book in self.books.values()))

    def notes(self, book: RuleBook, difference: Difference) -> Iterator[str]:
        """What is not known of them, and matters."""
        yield from self.wrong
        if self.missing:
            yield (
                f"the rules of {_versions(self.missing)} are not to be had, so that it is not known which age bands "
                "they protected: name them by --rules, or where they are kept by --history. Until then, every age "
                "band counts as protected"
            )
        for old in self.books.values():
            if (calls := difference.versions.get(old.version)) and 0 < old.repeat_within_s < book.repeat_within_s:
                yield (
                    f"the new rules count calls within {in_words(book.repeat_within_s)}; of {calls:,} decisions, those "
                    f"of version {old.version}, only calls within {in_words(old.repeat_within_s)} are known"
                )


def _versions(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"version{'s' if len(names) > 1 else ''} {', '.join(names[:_MOST_NAMED])}{more}"


def _untold(difference: Difference, read: Read) -> str:
    """Why the gate must not be taken for passed, if so: what could not be read may have been protected callers'."""
    refused = sum(band.refused for band in difference.bands if band.is_protected)
    if refused:
        many = "s" if refused > 1 else ""
        return f"{refused:,} decision{many} of protected callers could not be put to the new rules"
    unknown = read.bad - sum(band.refused for band in difference.bands)
    lines = read.bad + read.decisions + read.others
    if unknown > _MOST_BAD_SHARE * lines:
        return f"{unknown:,} of {lines:,} lines are no records, and whose they were is not known"
    return ""


def _nothing_compared(files: Sequence[Path], difference: Difference) -> str:
    """Why a comparison of nothing says nothing: without this, an empty file would pass the gate."""
    where = ", ".join(map(str, files))
    if difference.elsewhen:
        return f"{where}: no decision lies in the time asked for, and {difference.elsewhen:,} lie outside; see --since"
    if without := difference.fell_back + difference.undecided:
        return f"{where}: of {without:,} calls there, the rules decided none; nothing was compared"
    return f"{where}: no decision is in there; nothing was compared"
