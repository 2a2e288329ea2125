"""`elder-router check`: everything wrong with rules files, before the router is asked to load them."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from router.cli.live import NotSeenError, contexts_of, live_problems, look
from router.cli.options import CouldNotRunError, cases_for, tests_option
from router.cli.tracing import counted, printable
from router.errors import ConfigurationError, Problem
from router.reloading.keeper import missing_cases
from router.rules.book import RuleBook, check_file
from router.rules.calendars import holidays_of
from router.rules.cases import check_cases
from router.rules.document import load_document, read_source
from router.settings import load_settings

_OK, _HAS_ERRORS, _UNREADABLE = 0, 1, 2
_ROOT = 0
_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH


@click.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, readable=False))
@click.option("--live", is_flag=True, help="Look in the running Asterisk for the queues, contexts and prompts named.")
@click.option(
    "--sounds",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="With --live: Asterisk's directory of sounds, if it is not where Asterisk says, or not on this machine.",
)
@tests_option
@click.pass_context
def check(
    context: click.Context, *, files: tuple[Path, ...], live: bool, sounds: Path | None, tests_file: Path | None
) -> None:
    """Check rules FILES (those of the settings file, or config/routing.yaml, when none is named), and their cases.

    Prints one problem a line as file:line:column. Exits 0 when the router would load every file (warnings do
    not keep it from that), 1 when something is wrong in one or a case fails, 2 when one cannot be read or Asterisk
    cannot be asked. `elder-router test` says more of cases that fail.
    """
    if sounds is not None and not live:
        raise click.UsageError("--sounds says where --live looks for prompts; give --live too")
    every = files or (Path("config/routing.yaml"),)
    checked = [_checked(context, path, tests_file) for path in every]
    worst = max(one.status for one in checked)
    books = {path: one.book for path, one in zip(every, checked, strict=True) if one.book is not None}
    problems = [problem for one in checked for problem in one.problems]
    if live and books:
        missing = _live(context, books, sounds)
        problems += missing
        if any(problem.severity == "error" for problem in missing):
            worst = max(worst, _HAS_ERRORS)
    for problem in problems:
        click.echo(printable(str(problem)))
    errors = sum(problem.severity == "error" for problem in problems)
    # On standard error, so that what is piped on holds problems only.
    verdict = "good to load" if len(books) == len(every) else "not loaded"
    if live and errors and len(books) == len(every):
        verdict += ", but not all that they name is there"
    counts = f"{counted(errors, 'error')}, {counted(len(problems) - errors, 'warning')}"
    cases = dict.fromkeys(str(one.cases) for one in checked if one.cases is not None)
    cases_in = f" with the cases in {', '.join(cases)}" if cases else ""
    click.echo(printable(f"{counted(len(every), 'file')} checked{cases_in}: {counts}; {verdict}"), err=True)
    context.exit(worst)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What comes of one file: its rules, if the router would take them, and the file of cases that they were put to."""

    book: RuleBook | None
    cases: Path | None
    problems: list[Problem]
    status: int


def _checked(context: click.Context, path: Path, tests_file: Path | None) -> _Checked:
    book, problems = check_file(path)
    if book is None:
        return _Checked(None, None, problems, _UNREADABLE if isinstance(read_source(path), Problem) else _HAS_ERRORS)
    cases = cases_for(context, path, tests_file)
    if context.default_map:
        problems = [*problems, *_for_root_only(book, path, cases)]
    # What the cases have against rules that are right in themselves: the router does not take them either.
    if cases is not None and (failing := missing_cases(cases) or check_cases(book, cases)):
        return _Checked(None, cases, [*problems, *failing], _HAS_ERRORS)
    not_known = _holidays_not_known(book, str(path), datetime.now(ZoneInfo(book.timezone)).year)
    return _Checked(book, cases, [*problems, *not_known], _OK)


def _for_root_only(book: RuleBook, path: Path, cases: Path | None) -> list[Problem]:
    """A warning for each file that root, who asks, may read, and the router, which is another user, may not."""
    if os.geteuid() != _ROOT:
        return []
    message = "only root may read this file, and the router runs as another user; run `chmod 644` on it"
    files = [path.with_name(name) if number else path for number, name in enumerate(book.files)]
    return [
        Problem(str(file), 0, 0, message, "warning")
        for file in (*files, *([cases] if cases else ()))
        if file.exists() and (status := file.stat()).st_uid == _ROOT and not status.st_mode & _OTHERS_MAY_READ
    ]


def _live(context: click.Context, books: dict[Path, RuleBook], sounds: Path | None) -> list[Problem]:
    """What each running Asterisk of the settings file has not, though the rules name it."""
    try:
        settings = load_settings(context.obj)
        seen = asyncio.run(look(settings.links, contexts_of(books.values())))
    except ConfigurationError as error:
        raise CouldNotRunError(
            f"--live needs the settings file, to find Asterisk (name it with --config):\n{error}"
        ) from error
    except NotSeenError as error:
        raise CouldNotRunError(str(error)) from error
    problems = []
    for path, book in books.items():
        name = next(iter(book.files))
        document = load_document(book.files[name].decode("utf-8-sig"), str(path))
        for asterisk in seen:
            problems += live_problems(book, document, asterisk, sounds)
    return problems


def _holidays_not_known(book: RuleBook, file: str, year: int) -> list[Problem]:
    """A warning for each country whose notice of the days worked this year the holidays on this machine are without."""
    regions = {calendar.region for calendar in book.calendars if calendar.region is not None}
    message = (
        "no weekend day of {year} is known to be worked in {region}, as some were in other years; if there are any, "
        "update the Python package `holidays`"
    )
    return [
        Problem(file, 0, 0, message.format(year=year, region=region), "warning")
        for region in sorted(regions)
        if holidays_of(region).may_lack_worked_days(year)
    ]
