"""Which commands there are, and that none drags in what only others need."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from router.cli import main


def test_every_command_that_is_listed_is_there_under_its_name() -> None:
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert "tail" in CliRunner().invoke(main, ["--help"]).output


def test_a_command_that_is_none_is_told() -> None:
    result = CliRunner().invoke(main, ["tial"])
    assert result.exit_code == 2
    assert "No such command 'tial'" in result.output


@pytest.mark.parametrize("name", ["run", "tail", "explain"])
def test_what_counts_days_and_loads_callers_is_left_alone_by_who_does_neither(name: str) -> None:
    code = f"import sys, router.cli.{name}; print(*{{'duckdb', 'pyarrow', 'pandas'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
