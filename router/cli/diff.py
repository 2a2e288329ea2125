"""`elder-router diff`: recorded decisions put to changed rules, before these are in force.

What is compared, and when protected callers count as worse off, is in `router.journal.difference` and `harm`; this
reads the journals, finds the rules of that time, and shows what comes out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from router.calls.verdict import channel_language
from router.cli.differing import Shown, as_plain, print_difference
from router.cli.options import UNREAD_FILE, UNREAD_FOLDER, rules_option
from router.cli.tracing import console_for_answers
from router.errors import ConfigurationError, JournalError, Problem
from router.journal.difference import Comparison, Difference
from router.journal.hashing import caller_key, read_secret
from router.journal.stream import DecisionStream
from router.reloading.history import RulesHistory
from router.rules.book import RuleBook, load_rules
from router.rules.conditions import CallerIs
from router.rules.durations import in_words
from router.rules.recorded import Recogniser

_NOBODY_WORSE_OFF, _COULD_NOT_RUN, _PROTECTED_WORSE_OFF = 0, 2, 3
_MOST_NAMED = 5


class _CouldNotRunError(click.ClickException):
    """Each problem is a line of its own."""

    exit_code = _COULD_NOT_RUN

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(self.message, err=True)


@click.command("diff")
@click.argument("new_rules", metavar="NEW.yaml", type=click.Path(path_type=Path))
@click.argument("more_journals", metavar="", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--journal",
    "journals",
    metavar="FILE...",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Journals, in the order of their time; - is standard input. Plain or compressed (gzip, bzip2, xz). "
    "[default: as the settings file says]",
)
@click.option(
    "--since", metavar="TIME", help='Leave out decisions before: "2026-11-23 09:00", in the new rules\' zone.'
)
@click.option("--until", metavar="TIME", help="Leave out decisions from then on.")
@click.option(
    "--secret-file",
    type=UNREAD_FILE,
    help="The key of the journal's hashes, for rules that name callers. [default: as the settings file says]",
)
@rules_option
@click.option(
    "--history",
    "history_folder",
    type=UNREAD_FOLDER,
    help="Where versions of the rules are kept. [default: as the settings file says]",
)
@click.option(
    "--examples", type=click.IntRange(0, 20), default=3, show_default=True, help="Calls shown of each difference."
)
@click.option("--json", "as_json", is_flag=True, help="Print what comes out as JSON.")
@click.option("--journal-file", hidden=True, type=click.Path(path_type=Path), help="What the settings file says.")
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
    queue to a context of the dialplan), nor wait behind where they would have been: with a smaller head start than
    they had, or with others getting further ahead of them in their queue. The old rules are those that decided, out of
    --history, and those in force, --rules.

    Exits 0 when no protected caller is worse off, 3 when one is, 2 when that cannot be told: the new rules are wrong, a
    journal cannot be read, or no decision is in it.
    """
    files = (*journals, *more_journals) or ((journal_file,) if journal_file else ())
    if not files:
        raise click.UsageError("where is the journal? name it with --journal, or the settings file with --config")
    try:
        book = load_rules(new_rules)
        comparison = Comparison(
            book,
            recogniser=_recogniser(book, new_rules, secret_file),
            spoken=channel_language,
            since=_moment("--since", since, book),
            until=_moment("--until", until, book),
            examples=examples,
        )
        stream = _replay(comparison, files)
    except (ConfigurationError, JournalError) as error:
        raise _CouldNotRunError(str(error)) from error
    old = _OldRules.find(comparison.versions, rules_path, history_folder)
    protected = book.protected | old.protected
    if old.missing:  # whom they protected is not known; a band that is gone may have been one
        protected |= comparison.bands - set(book.bands.names)
    difference = comparison.result(protected)
    for complaint in stream.read.complaints():
        click.echo(complaint, err=True)
    if not difference.compared:
        raise _CouldNotRunError(_nothing_compared(files, difference))
    shown = Shown(new_rules, book, difference, stream.read, protected, tuple(old.notes(book, difference)))
    if as_json:
        click.echo(json.dumps(as_plain(shown), ensure_ascii=False, indent=2))
    else:
        print_difference(console_for_answers(), shown)
    context.exit(_PROTECTED_WORSE_OFF if difference.harmed else _NOBODY_WORSE_OFF)


def _replay(comparison: Comparison, files: Sequence[Path]) -> DecisionStream:
    """Put everything in the journals to the new rules, with a bar of what has been read on a terminal.

    Raises:
        JournalError: A journal cannot be read.
    """
    console = Console(stderr=True)
    bar = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*bar, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading decisions", total=None)
        stream = DecisionStream(
            files, stdin=sys.stdin.buffer, on_read=lambda done: progress.update(task, completed=done)
        )
        progress.update(task, total=stream.bytes_total)
        for fields in stream:
            if wrong := comparison.take(fields):
                stream.refuse(wrong)
    return stream


def _recogniser(book: RuleBook, file: Path, secret_file: Path | None) -> Recogniser:
    """Tells callers whom the rules name; needs the journal's key only if they name any.

    Raises:
        ConfigurationError: They do, and the key is not to be had.
    """
    naming = next((rule for rule in book.rules if any(isinstance(c, CallerIs) for c in rule.conditions)), None)
    if naming is None:
        return Recogniser(lambda _: "")
    why = f'{file} names callers (in the rule "{naming.name}"), whom the journal has as keyed hashes only'
    if secret_file is None:
        problem = f"{why}; name the file with the key by --secret-file, or the settings file by --config"
        raise ConfigurationError([Problem(str(file), 0, 0, problem.removeprefix(f"{file} "))])
    try:
        secret = read_secret(secret_file)
    except ConfigurationError as error:
        hint = Problem(str(file), 0, 0, f"{why.removeprefix(f'{file} ')}; the key is needed to tell them")
        raise ConfigurationError([*error.problems, hint]) from error
    return Recogniser(partial(caller_key, secret))


@dataclass(frozen=True, slots=True)
class _OldRules:
    """The rules that decided the calls, and those in force; `missing` are the versions that are not to be had."""

    books: tuple[RuleBook, ...]
    missing: tuple[str, ...]
    wrong: str

    @classmethod
    def find(cls, versions: Iterable[str], rules_path: Path, history_folder: Path | None) -> _OldRules:
        """Look for the rules of these versions."""
        books: dict[str, RuleBook] = {}
        wrong = ""
        if rules_path.exists():
            try:
                in_force = load_rules(rules_path)
                books[in_force.version] = in_force
            except ConfigurationError as error:
                wrong = f"the rules in force are wrong and were not looked at: {error.problems[0]}"
        kept = {entry.version: entry for entry in RulesHistory(history_folder).entries()} if history_folder else {}
        for version in versions:
            if version in kept and version not in books:
                with suppress(ConfigurationError):  # right for the program that took them, and not for this one
                    books[version] = load_rules(kept[version].folder / kept[version].rules_name)
        missing = tuple(version for version in versions if version not in books)
        return cls(tuple(books.values()), missing, wrong)

    @property
    def protected(self) -> frozenset[str]:
        """The age bands that any of them protects."""
        return frozenset().union(*(book.protected for book in self.books))

    def notes(self, book: RuleBook, difference: Difference) -> Iterator[str]:
        """What is not known of them, and matters."""
        if self.wrong:
            yield self.wrong
        if self.missing:
            yield (
                f"the rules of {_versions(self.missing)} are not to be had, so that it is not known which age bands "
                "they protected: name them by --rules, or where they are kept by --history. Until then, bands that "
                "the new rules do not define count as protected"
            )
        for old in self.books:
            if (calls := difference.versions.get(old.version)) and 0 < old.repeat_within_s < book.repeat_within_s:
                yield (
                    f"the new rules count calls within {in_words(book.repeat_within_s)}; of {calls:,} decisions, those "
                    f"of version {old.version}, only calls within {in_words(old.repeat_within_s)} are known"
                )


def _versions(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"version{'s' if len(names) > 1 else ''} {', '.join(names[:_MOST_NAMED])}{more}"


def _moment(option: str, text: str | None, book: RuleBook) -> datetime | None:
    if text is None:
        return None
    zone = ZoneInfo(book.timezone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter('write a time like "2026-11-23 09:00"', param_hint=option) from error
    return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)


def _nothing_compared(files: Sequence[Path], difference: Difference) -> str:
    """Why a comparison of nothing says nothing: without this, an empty file would pass the gate."""
    where = ", ".join(map(str, files))
    if difference.elsewhen:
        return f"{where}: no decision lies in the time asked for, and {difference.elsewhen:,} lie outside; see --since"
    if without := difference.fell_back + difference.undecided:
        return f"{where}: of {without:,} calls there, the rules decided none; nothing was compared"
    return f"{where}: no decision is in there; nothing was compared"
