"""`elder-router rules`: the versions of the rules that were in force, what changed between them, and the way back."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher, unified_diff
from functools import wraps
from itertools import pairwise
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from router.cli.options import CouldNotRunError, history_in, history_option, rules_option, tests_option
from router.cli.tracing import console_for_answers, json_text, printable, show_table
from router.errors import ConfigurationError, HistoryError, Problem
from router.reloading.history import HistoryEntry, RulesHistory
from router.reloading.keeper import cases_file_of
from router.reloading.restoring import content_at
from router.rules.book import RuleBook
from router.rules.cases import check_cases

_DONE, _NOT_DONE = 0, 1
_ON_DISK = "on disk"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the rules lie, their history is, and their cases are if the settings name a file."""

    rules_file: Path
    history: RulesHistory
    tests_file: Path | None


@dataclass(frozen=True, slots=True)
class _Changed:
    """How many lines came and went."""

    added: int
    removed: int


@click.group("rules")
def rules() -> None:
    """The versions of the rules that were in force, and the way back to one.

    The router keeps the last ten versions that it took. VERSION is one of them, as `history` lists them and as each
    decision in the journal names it; its first digits are enough.
    """


def _with_history(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option that says where the versions are kept, as `history`; what is wrong there ends it."""

    @history_option()
    @wraps(command)
    def with_history(*args: object, history_folder: Path | None, **others: object) -> None:
        if history_folder is None:
            raise click.UsageError("where is the history? name the settings file with --config, or --history DIR")
        try:
            command(*args, history=history_in(history_folder), **others)
        except HistoryError as error:
            raise CouldNotRunError(str(error)) from error

    return with_history


@rules.command("history")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead.")
@rules_option
@_with_history
def list_history(*, as_json: bool, rules_path: Path, history: RulesHistory) -> None:
    """List the versions kept, newest first, and which of them lies on disk.

    "Changed" counts the lines that came and went since the version below. Exits 0; 1 when none is kept; 2 when the
    settings file is wrong.
    """
    entries = history.entries()
    on_disk = next((entry.version for entry in entries if entry.lies_at(rules_path)), None)
    changes = [*(_changed(older.files, newer.files) for newer, older in pairwise(entries)), None][: len(entries)]
    if as_json:
        listed = [
            {
                "version": entry.version,
                "on_disk": entry.version == on_disk,
                "loaded": entry.loaded.isoformat(),
                "first_loaded": entry.first_loaded.isoformat(),
                "lines_added": change.added if change else None,
                "lines_removed": change.removed if change else None,
                "bytes": entry.size_bytes,
                "files": list(entry.files),
            }
            for entry, change in zip(entries, changes, strict=True)
        ]
        click.echo(json_text(listed))
    elif entries:
        _print_table(entries, changes, on_disk)
    if not entries:
        click.echo(f"{history.directory} holds no version yet; the router keeps each one that it takes", err=True)
        raise SystemExit(_NOT_DONE)
    if on_disk is None and not as_json:
        click.echo(f"{rules_path} is none of these: the router has not taken it", err=True)


def _print_table(entries: list[HistoryEntry], changes: list[_Changed | None], on_disk: str | None) -> None:
    rows = [
        (
            entry.version,
            f"{entry.loaded.astimezone():%Y-%m-%d %H:%M:%S}",
            f"{entry.first_loaded.astimezone():%Y-%m-%d %H:%M:%S}",
            f"+{change.added} -{change.removed}" if change else "",
            f"{entry.size_bytes}",
            _ON_DISK if entry.version == on_disk else "",
        )
        for entry, change in zip(entries, changes, strict=True)
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("version", "taken", "first taken", "changed", "bytes", ""):
        table.add_column(title, justify="right" if title == "bytes" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row), style="bold" if row[-1] else "")
    show_table(console_for_answers(), table)


@rules.command("show")
@click.argument("version", metavar="VERSION")
@_with_history
def show(*, version: str, history: RulesHistory) -> None:
    """Print the rules file of VERSION as it was.

    Exits 0; 2 when there is no such version.
    """
    entry = history.find(version)
    # Safe for a terminal too: the router takes no rules with control characters, and what was altered is no version.
    click.echo(entry.files[entry.rules_name], nl=False)


@rules.command("compare")
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", required=False)
@rules_option
@_with_history
def compare(*, before: str, after: str | None, rules_path: Path, history: RulesHistory) -> None:
    """Show what changed from version A to version B, or to what lies on disk.

    The lists of callers that belong to the rules are compared too. Exits 0 when nothing did, 1 when something did,
    2 when there is no such version.
    """
    old = history.find(before)
    new = history.find(after) if after else None
    new_files = _aligned(new, old.rules_name) if new else _on_disk(rules_path, old)
    new_name = new.version if new else _ON_DISK
    differ = False
    for name in {**old.files, **new_files}:
        old_lines, new_lines = (_lines(files.get(name, b"")) for files in (old.files, new_files))
        for line in unified_diff(old_lines, new_lines, f"{name} ({old.version})", f"{name} ({new_name})", lineterm=""):
            differ = True
            click.echo(click.style(_line_shown(line), fg=_COLOURS.get(line[:1])))
    raise SystemExit(_NOT_DONE if differ else _DONE)


_COLOURS: Mapping[str, str] = {"+": "green", "-": "red", "@": "cyan"}


@rules.command("rollback")
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@rules_option
@tests_option
@_with_history
def rollback(
    *, version: str | None, yes: bool, rules_path: Path, tests_file: Path | None, history: RulesHistory
) -> None:
    """Put VERSION back on disk; without it, the version before the one that lies there.

    If what lies there was never taken (it is wrong, say), the newest version kept is put back. Twice in a row without
    VERSION takes you back and forth. What lay there and is not kept is copied to FILE.rejected-TIME.

    If VERSION fails the cases that lie there, which came with later rules, those that it passed are put back with it.

    The running router takes it within about two seconds. On a terminal you are asked first. Exits 0 when it lies there;
    1 when the router would not take that version today, or you said no; nothing is changed then; 2 when there is no
    such version, or the files cannot be written.
    """
    place = _Place(rules_path, history, tests_file)
    entry = history.find(version) if version else _before_this(place)
    if entry.lies_at(place.rules_file):
        click.echo(f"version {entry.version} lies at {place.rules_file} already; nothing was changed")
        return
    cases_file = _cases_to_put_back(entry, _usable(entry), place)
    click.echo(f"version {entry.version}, in force from {entry.loaded.astimezone():%Y-%m-%d %H:%M:%S}")
    on_disk = _on_disk(rules_path, entry)
    change = _changed(on_disk, entry.files)
    click.echo(f"changed lines in {place.rules_file}: +{change.added} -{change.removed}")
    if cases_file is not None:
        click.echo(f"it fails cases in {cases_file}: those that it passed are put back with it")
    if sys.stdin.isatty() and not yes:
        for path, content in entry.files_at(place.rules_file, cases_file).items():
            if _lying_at(path) != content:
                click.echo(f"to be written: {path}")
        if not click.confirm("Put it back?"):
            click.echo("nothing was changed")
            raise SystemExit(_NOT_DONE)
    restored = place.history.restore(entry, place.rules_file, datetime.now(UTC), cases_file=cases_file)
    for path in restored.written:
        click.echo(f"written: {path}")
    for path in restored.kept:
        click.echo(f"what lay there is kept as {path}")
    click.echo("the running router takes it within about two seconds; its log says `rules loaded`")


def _before_this(place: _Place) -> HistoryEntry:
    """The version before the one on disk; the newest, if what lies there was never taken."""
    entries = place.history.entries()
    if not entries:
        raise HistoryError(f"{place.history.directory} holds no version yet; the router keeps each one that it takes")
    on_disk = place.history.lying_at(place.rules_file)
    if on_disk is None:
        return entries[0]
    here = [entry.version for entry in entries].index(on_disk.version)
    if here + 1 == len(entries):
        raise HistoryError(f"no version before {on_disk.version} is kept; name one of those that `history` lists")
    return entries[here + 1]


def _usable(entry: HistoryEntry) -> RuleBook:
    """Its rules, if the router would take them today: they were right for the program that took them then."""
    try:
        return entry.load()
    except ConfigurationError as error:
        raise _not_done(error.problems, f"version {entry.version} cannot be used any more") from error


def _cases_to_put_back(entry: HistoryEntry, book: RuleBook, place: _Place) -> Path | None:
    """Where the cases must be put back with the rules; None if they pass those that lie there, or none do."""
    file = cases_file_of(place.rules_file, place.tests_file)
    if file is None or not (problems := check_cases(book, file)):
        return None
    if entry.cases is None:
        why = f"version {entry.version} fails these cases, so the router would not take it; mend or move {file} first"
        raise _not_done(problems, why)
    if outdated := check_cases(book, entry.cases_file):
        raise _not_done(outdated, f"version {entry.version} fails its own cases today")
    return file


def _not_done(problems: Sequence[Problem], why: str) -> SystemExit:
    for problem in problems:
        click.echo(str(problem), err=True)
    click.echo(f"{why}; nothing was changed", err=True)
    return SystemExit(_NOT_DONE)


def _on_disk(rules_file: Path, like: HistoryEntry) -> dict[str, bytes]:
    """What lies on disk where a version's files belong, under its names for them; nothing where none does."""
    return {
        name: _lying_at(rules_file if name == like.rules_name else rules_file.with_name(name)) or b""
        for name in like.files
    }


def _aligned(entry: HistoryEntry, rules_name: str) -> dict[str, bytes]:
    """Its files, the rules under another version's name for them."""
    return {rules_name if name == entry.rules_name else name: content for name, content in entry.files.items()}


def _changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> _Changed:
    """Lines that came and went, over all files; the first of each is the rules."""
    old_rules, new_rules = (_lines(next(iter(files.values()), b"")) for files in (before, after))
    added = removed = 0
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(None, old_rules, new_rules, False).get_opcodes():
        if tag != "equal":
            removed += old_to - old_from
            added += new_to - new_from
    # Of a list the order says nothing, and half a million lines would take minutes to align.
    old_lists, new_lists = (Counter(_lines_of_lists(files)) for files in (before, after))
    return _Changed(added + (new_lists - old_lists).total(), removed + (old_lists - new_lists).total())


def _lying_at(path: Path) -> bytes | None:
    try:
        return content_at(path)
    except OSError as error:
        raise CouldNotRunError(f"{path}: {error.strerror}") from error


def _lines_of_lists(files: Mapping[str, bytes]) -> Iterable[tuple[str, str]]:
    for name in list(files)[1:]:
        for line in _lines(files[name]):
            yield name, line


def _line_shown(line: str) -> str:
    """A line of a file without what a terminal would obey, but for the tabs in it."""
    return "\t".join(map(printable, line.split("\t")))


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines()
