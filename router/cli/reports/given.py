"""What reports are made from: the journal with all that was rotated away from it, and the rules, if there are any."""

from __future__ import annotations

import os
from pathlib import Path

import click

from router.cli.tracing import printable
from router.errors import ConfigurationError
from router.journal.reader import journal_files
from router.rules.book import RuleBook, load_rules


def all_of(journal: Path | None) -> tuple[Path, ...]:
    """The journal after all that was rotated away from it, oldest first."""
    return tuple(reversed(journal_files(journal))) if journal else ()


def rules_in_force(path: Path) -> RuleBook | None:
    """The rules in force, if they are to be had; what is wrong with them is told."""
    if not os.path.exists(path):  # noqa: PTH110 - of what may not be looked at: no
        return None
    try:
        return load_rules(path)
    except ConfigurationError as error:
        click.echo(printable(f"the rules are wrong; times are in UTC: {error.problems[0]}"), err=True)
        return None
