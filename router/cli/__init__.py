"""The command line: one module a command. The only place that prints or exits."""

from __future__ import annotations

import click

from router import __version__
from router.cli.callers import callers
from router.cli.check import check
from router.cli.explain import explain
from router.cli.prompts import prompts
from router.cli.run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="elder-router")
def main() -> None:
    """Route older callers on Asterisk straight to a person, and speak to them more slowly."""


for command in (run, check, explain, callers, prompts):
    main.add_command(command)
