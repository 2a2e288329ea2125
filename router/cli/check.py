"""`elder-router check`: everything wrong with rules files, before the router is asked to load them."""

from __future__ import annotations

from pathlib import Path

import click

from router.errors import Problem
from router.rules.book import rules_from
from router.rules.document import read_source

_OK, _HAS_ERRORS, _UNREADABLE = 0, 1, 2


@click.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...]) -> None:
    """Check rules FILES (those of the settings file, or config/routing.yaml, when none is named).

    Prints one problem a line as file:line:column. Exits 0 when the router would load every file (warnings do
    not keep it from that), 1 when something is wrong in one, 2 when one cannot be read.
    """
    worst = _OK
    errors = warnings = 0
    every = files or (Path("config/routing.yaml"),)
    for path in every:
        source = read_source(path)
        if isinstance(source, Problem):
            problems, outcome = [source], _UNREADABLE
        else:
            book, problems = rules_from(source)
            outcome = _HAS_ERRORS if book is None else _OK
        for problem in problems:
            click.echo(str(problem))
        errors += sum(problem.severity == "error" for problem in problems)
        warnings += sum(problem.severity == "warning" for problem in problems)
        worst = max(worst, outcome)
    # On standard error, so that what is piped on holds problems only.
    verdict = "not loaded" if errors else "good to load"
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    click.echo(f"{_count(len(every), 'file')} checked: {counts}; {verdict}", err=True)
    context.exit(worst)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
