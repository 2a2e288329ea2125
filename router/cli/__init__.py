"""The command line: one module a command. The only place that prints or exits."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Final

import click
import structlog
from click.core import ParameterSource

from router import __version__
from router.cli.options import defaults_from
from router.errors import ConfigurationError
from router.settings import DEFAULT_FILE

# What is wrong with the settings is for these to tell, not a reason to stop before them.
_READ_IT_THEMSELVES: Final = frozenset({"run", "doctor"})


_COMMANDS: Final = (
    *("run", "check", "explain", "test", "diff", "tail", "report", "callers", "prompts", "rules", "promote"),
    *("journal", "doctor"),
)
"""Each is in the module of its name, under its name."""


class _Commands(click.Group):
    """Commands that are loaded when they are wanted: DuckDB counts days, Arrow loads callers, and calls need neither.

    Source: click's documentation, Lazily Loading Subcommands.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names."""
        return sorted({*_COMMANDS, *self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None if there is none."""
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            self.add_command(getattr(import_module(f"router.cli.{cmd_name}"), cmd_name))
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--config",
    "settings_file",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_FILE,
    envvar="ELDER_ROUTER_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The settings file: where Asterisk, Redis, the rules and the journal are.",
)
@click.version_option(__version__, prog_name="elder-router")
@click.pass_context
def main(context: click.Context, settings_file: Path) -> None:
    """Route older callers on Asterisk straight to a person, and speak to them more slowly."""
    context.obj = settings_file
    # A line of the log would stand amid the answer, which may be JSON. `run` sets up a log of its own.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    given = context.get_parameter_source("settings_file") is not ParameterSource.DEFAULT
    if context.invoked_subcommand in _READ_IT_THEMSELVES or not (given or _is_there(settings_file)):
        return
    try:
        context.default_map = defaults_from(settings_file)
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        context.exit(2)


def _is_there(file: Path) -> bool:
    """Whether a file is there, or may be: of what may not be looked at, reading it says why."""
    try:
        return file.exists()
    except OSError:
        return True
