"""What the commands that speak share: where the prompts are, the voices of the settings, a bar of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from router.settings import load_speech
from router.speech.engines import Voices, open_voices
from router.speech.settings import SpeechSettings

# Without a terminal, how often to say how far it has come.
_TENTHS = 10

prompts_option = click.option(
    "--prompts",
    "prompts_path",
    # Refused by what reads it, which says more.
    type=click.Path(path_type=Path, readable=False),
    default=Path("config/prompts"),
    show_default=True,
    metavar="FOLDER",
    help="The catalogue: what is said, in each language; a folder, or one file.",
)


def speech_of(context: click.Context) -> SpeechSettings | None:
    """What the settings say of speech; None where there is no settings file, or nothing of it in there.

    Raises:
        ConfigurationError: The settings file, or a secret of a voice, is wrong.
    """
    root = context.find_root()
    # The main command has read the settings file, or found that there is none.
    return load_speech(root.obj) if root.default_map is not None and isinstance(root.obj, Path) else None


def voices_of(context: click.Context) -> Voices:
    """Who speaks: the voices of the settings, espeak-ng for other languages.

    Raises:
        ConfigurationError: The settings file, or a secret of a voice, is wrong.
        SpeechError: A program is missing.
    """
    return open_voices(speech_of(context))


@contextmanager
def progress(doing: str, of: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something has come: a bar on a terminal, else a line for every tenth.

    Args:
        doing: `building prompts`, before the bar.
        of: `sounds`, what is counted.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _print_tenths(of)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(doing)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_tenths(of: str) -> Callable[[int, int], None]:
    said = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal said
        tenth = done * _TENTHS // total if total else _TENTHS
        if tenth > said:
            said = tenth
            click.echo(f"{done} of {total} {of}")

    return on_progress
