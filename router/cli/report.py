"""`elder-router report`: the figures of a day or any span, for supervisors. `speech`: whether speaking slowly helps."""

from __future__ import annotations

import click

from router.cli.report_speech import speech


@click.group("report")
def report() -> None:
    """What journals tell about the whole."""


report.add_command(speech)
