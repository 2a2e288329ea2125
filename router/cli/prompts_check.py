"""`elder-router prompts check`: what callers would hear wrongly, or not at all, before it is built."""

from __future__ import annotations

from pathlib import Path

import click

from router.cli.options import CouldNotRunError
from router.cli.tracing import counted, printable
from router.cli.voices import progress, prompts_option, voices_of
from router.errors import RouterError
from router.speech.checking import check_prompts

_ALL_WELL, _HAS_PROBLEMS = 0, 1


@click.command("check")
@prompts_option
@click.option("--text-only", is_flag=True, help="Look at the text alone, without having the voices speak it.")
@click.pass_context
def check(context: click.Context, *, prompts_path: Path, text_only: bool) -> None:
    """Check the prompts: languages and values that are missing, words that a voice cannot say.

    Each sentence is spoken once at the usual speed by the voices of the settings file (espeak-ng without one), with
    examples for its values, so a prompt of which nothing would be heard is found here. Nothing is written.

    Prints one problem a line as file:line:column. Exits 0 when all is well, 1 when something is not, 2 when the
    catalogue cannot be read or is wrong, or a program is missing.
    """
    try:
        voices = None if text_only else voices_of(context)
        with progress("speaking", "sentences") as on_progress:
            problems = check_prompts(prompts_path, voices, on_progress)
    except RouterError as error:
        raise CouldNotRunError(str(error)) from error
    for problem in problems:
        click.echo(printable(str(problem)), err=True)
    if problems:
        click.echo(counted(len(problems), "problem"))
    else:
        click.echo("the prompts are well")
    context.exit(_HAS_PROBLEMS if problems else _ALL_WELL)
