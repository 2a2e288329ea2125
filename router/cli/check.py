"""`elder-router check`: everything wrong with rules files, before the router is asked to load them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from router.cli.live import NotSeenError, contexts_of, live_problems, look
from router.errors import ConfigurationError, Problem
from router.reloading.keeper import cases_file_of
from router.rules.book import RuleBook, check_file
from router.rules.calendars import holidays_of
from router.rules.cases import check_cases
from router.rules.document import load_document, read_source
from router.settings import load_settings

_OK, _HAS_ERRORS, _UNREADABLE = 0, 1, 2


@click.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--live", is_flag=True, help="Look in the running Asterisk for the queues, contexts and prompts named.")
@click.option(
    "--sounds",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="With --live: Asterisk's directory of sounds, if it is not where Asterisk says, or not on this machine.",
)
@click.option(
    "--tests",
    "tests_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The cases that the rules must pass. [default: as the settings file says, else routing-tests.yaml beside each "
    "file, if it is there]",
)
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
    worst = _OK
    books: dict[Path, RuleBook] = {}
    problems: list[Problem] = []
    for path in every:
        book, found = check_file(path)
        problems += found
        if book is not None and (failing := _failing_cases(book, path, tests_file)):
            problems += failing
            worst = max(worst, _HAS_ERRORS)
        elif book is not None:
            books[path] = book
            problems += _holidays_not_known(book, str(path), datetime.now(ZoneInfo(book.timezone)).year)
        else:
            worst = max(worst, _UNREADABLE if isinstance(read_source(path), Problem) else _HAS_ERRORS)
    if live and books:
        missing = _live(context, books, sounds)
        problems += missing
        if any(problem.severity == "error" for problem in missing):
            worst = max(worst, _HAS_ERRORS)
    for problem in problems:
        click.echo(str(problem))
    errors = sum(problem.severity == "error" for problem in problems)
    # On standard error, so that what is piped on holds problems only.
    verdict = "good to load" if len(books) == len(every) else "not loaded"
    if live and errors and len(books) == len(every):
        verdict += ", but not all that they name is there"
    counts = f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}"
    click.echo(f"{_count(len(every), 'file')} checked: {counts}; {verdict}", err=True)
    context.exit(worst)


def _failing_cases(book: RuleBook, path: Path, tests_file: Path | None) -> list[Problem]:
    """What the cases have against rules that are right in themselves: the router does not take them either."""
    cases = cases_file_of(path, tests_file)
    return [] if cases is None else check_cases(book, cases)


def _live(context: click.Context, books: dict[Path, RuleBook], sounds: Path | None) -> list[Problem]:
    """What each running Asterisk of the settings file has not, though the rules name it."""
    try:
        settings = load_settings(context.obj)
        seen = asyncio.run(look(settings.links, contexts_of(books.values())))
    except ConfigurationError as error:
        raise _CouldNotLookError(
            f"--live needs the settings file, to find Asterisk (name it with --config):\n{error}"
        ) from error
    except NotSeenError as error:
        raise _CouldNotLookError(str(error)) from error
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


class _CouldNotLookError(click.ClickException):
    exit_code = _UNREADABLE


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
