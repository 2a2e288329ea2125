"""`elder-router rules`: the versions of the rules that were in force, what changed between them, and the way back."""

from __future__ import annotations

import json
import os
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
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.cli.options import rules_option
from router.errors import ConfigurationError, HistoryError, Problem
from router.reloading.history import HistoryEntry, RulesHistory
from router.reloading.keeper import cases_file_of
from router.reloading.restoring import content_at
from router.rules.book import RuleBook
from router.rules.cases import check_cases

_DONE, _NOT_DONE, _COULD_NOT_RUN = 0, 1, 2
_ON_DISK = "on disk"


class _CouldNotRun(click.ClickException):
    exit_code = _COULD_NOT_RUN


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the rules lie, their history is, and their cases are if the settings name a file."""

    rules_file: Path
    history: RulesHistory
    tests_file: Path | None

    def files_on_disk(self, like: HistoryEntry) -> dict[str, bytes]:
        """What lies on disk where a version's files belong, under its names for them; nothing where none does."""
        return {
            name: _lying_at(self.rules_file if name == like.rules_name else self.rules_file.with_name(name)) or b""
            for name in like.files
        }


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


def _with_place(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where things are, gathered into one argument `place`."""

    @rules_option
    @click.option(
        "--history",
        "history_folder",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Where the router keeps the versions.  [default: as the settings file says]",
    )
    @click.option(
        "--tests",
        "tests_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The cases that rules must pass.  [default: as the settings file says, or routing-tests.yaml beside them]",
    )
    @wraps(command)
    def with_place(
        *args: object, rules_path: Path, history_folder: Path | None, tests_file: Path | None, **others: object
    ) -> None:
        if history_folder is None:
            raise click.UsageError("where is the history? name the settings file with --config, or --history DIR")
        _check_readable(history_folder)
        try:
            command(*args, place=_Place(rules_path, RulesHistory(history_folder), tests_file), **others)
        except HistoryError as error:
            raise _CouldNotRun(str(error)) from error

    return with_place


def _check_readable(folder: Path) -> None:
    """What may not be read must not look like an empty history."""
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        return
    except OSError as error:
        why = f"{folder} cannot be read: {error.strerror}; do this as root, or as the router's user"
        raise _CouldNotRun(why) from error


@rules.command("history")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead.")
@_with_place
def history(*, as_json: bool, place: _Place) -> None:
    """List the versions kept, newest first, and which of them lies on disk.

    "Changed" counts the lines that came and went since the version below. Exits 0; 1 when none is kept; 2 when the
    settings file is wrong.
    """
    entries = place.history.entries()
    on_disk = next((entry.version for entry in entries if entry.lies_at(place.rules_file)), None)
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
        click.echo(json.dumps(listed, ensure_ascii=False, indent=2))
    elif entries:
        _print_table(entries, changes, on_disk)
    if not entries:
        click.echo(f"{place.history.directory} holds no version yet; the router keeps each one that it takes", err=True)
        raise SystemExit(_NOT_DONE)
    if on_disk is None and not as_json:
        click.echo(f"{place.rules_file} is none of these: the router has not taken it", err=True)


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
    titles = ("version", "taken", "first taken", "changed", "bytes", "")
    if not sys.stdout.isatty():
        # One line a version, whatever its length, for whatever reads it.
        for row in (titles, *rows):
            click.echo("\t".join(row).rstrip())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="right" if title == "bytes" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row), style="bold" if row[-1] else "")
    Console(highlight=False).print(table)


@rules.command("show")
@click.argument("version", metavar="VERSION")
@_with_place
def show(*, version: str, place: _Place) -> None:
    """Print the rules file of VERSION as it was.

    Exits 0; 2 when there is no such version.
    """
    entry = place.history.find(version)
    click.echo(entry.files[entry.rules_name], nl=False)


@rules.command("compare")
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", required=False)
@_with_place
def compare(*, before: str, after: str | None, place: _Place) -> None:
    """Show what changed from version A to version B, or to what lies on disk.

    The lists of callers that belong to the rules are compared too. Exits 0 when nothing did, 1 when something did,
    2 when there is no such version.
    """
    old = place.history.find(before)
    new = place.history.find(after) if after else None
    new_files = _aligned(new, old.rules_name) if new else place.files_on_disk(old)
    new_name = new.version if new else _ON_DISK
    differ = False
    for name in {**old.files, **new_files}:
        old_lines, new_lines = (_lines(files.get(name, b"")) for files in (old.files, new_files))
        for line in unified_diff(old_lines, new_lines, f"{name} ({old.version})", f"{name} ({new_name})", lineterm=""):
            differ = True
            click.echo(click.style(line, fg=_COLOURS.get(line[:1])))
    raise SystemExit(_NOT_DONE if differ else _DONE)


_COLOURS: Mapping[str, str] = {"+": "green", "-": "red", "@": "cyan"}


@rules.command("rollback")
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_with_place
def rollback(*, version: str | None, yes: bool, place: _Place) -> None:
    """Put VERSION back on disk; without it, the version before the one that lies there.

    If what lies there was never taken (it is wrong, say), the newest version kept is put back. Twice in a row without
    VERSION takes you back and forth. What lay there and is not kept is copied to FILE.rejected-TIME.

    If VERSION fails the cases that lie there, which came with later rules, those that it passed are put back with it.

    The running router takes it within about two seconds. On a terminal you are asked first. Exits 0 when it lies there;
    1 when the router would not take that version today, or you said no; nothing is changed then; 2 when there is no
    such version, or the files cannot be written.
    """
    entry = place.history.find(version) if version else _before_this(place)
    if entry.lies_at(place.rules_file):
        click.echo(f"version {entry.version} lies at {place.rules_file} already; nothing was changed")
        return
    cases_file = _cases_to_put_back(entry, _usable(entry), place)
    click.echo(f"version {entry.version}, in force from {entry.loaded.astimezone():%Y-%m-%d %H:%M:%S}")
    on_disk = place.files_on_disk(entry)
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
        raise _CouldNotRun(f"{path}: {error.strerror}") from error


def _lines_of_lists(files: Mapping[str, bytes]) -> Iterable[tuple[str, str]]:
    for name in list(files)[1:]:
        for line in _lines(files[name]):
            yield name, line


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines()
