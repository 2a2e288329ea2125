"""`elder-router prompts`: build what callers hear at every speech profile's speed, and list it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from router.calls.verdict import spoken_profile
from router.cli.options import UNREAD_FILE, CouldNotRunError, rules_option
from router.errors import RouterError
from router.rules.book import load_rules
from router.speech.build import BuildReport, build_prompts
from router.speech.catalogue import Catalogue, load_catalogue
from router.speech.profile import is_language

_ALL_BUILT, _SOME_FAILED = 0, 1
# Without a terminal, how often to say how far it has come.
_TENTHS = 10
# When everything fails it fails for one reason, which must not scroll away.
_MOST_FAILURES_SHOWN = 20


_prompts_option = click.option(
    "--prompts",
    "prompts_path",
    type=UNREAD_FILE,
    default=Path("config/prompts"),
    show_default=True,
    help="The catalogue: what is said, in each language.",
)


def _core_dirs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    cores = {}
    for value in values:
        language, equals, path = value.partition("=")
        if not (equals and path and is_language(language)):
            raise click.BadParameter(f"{value!r}: write it like en=/usr/share/asterisk/sounds/en_US_f_Allison")
        cores[language] = Path(path)
    return cores


@click.group("prompts")
def prompts() -> None:
    """What callers hear, at every speech profile's speed."""


@prompts.command("build")
@click.option(
    "--sounds",
    "sounds_dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Asterisk's directory of sounds: astvarlibdir/sounds or astdatadir/sounds of asterisk.conf.",
)
@click.option(
    "--core",
    "core_dirs",
    multiple=True,
    metavar="LANGUAGE=DIR",
    callback=_core_dirs,
    help="Where a language's recorded sounds are, if not in SOUNDS/LANGUAGE: each is slowed for each profile.",
)
@_prompts_option
@rules_option
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="LANGUAGE",
    help="Build only this one; all of the catalogue's else.",
)
@click.pass_context
def build(
    context: click.Context,
    *,
    sounds_dir: Path,
    core_dirs: dict[str, Path],
    prompts_path: Path,
    rules_path: Path,
    languages: tuple[str, ...],
) -> None:
    """Build every prompt that is new or changed; safe while calls are being played.

    Files that this command did not make are never changed or removed: a recording of your own at
    SOUNDS/en/elder/greeting.wav takes the place of that prompt.

    Exits 0 when every prompt is as it should be, 1 when some could not be made (the others were), 2 when nothing
    was built: a file or an option is wrong, a program is missing, the disk is full.
    """
    console = Console()
    try:
        catalogue = load_catalogue(prompts_path)
        profiles = [spoken_profile(speech) for speech in load_rules(rules_path).speech.values()]
        chosen = _languages(catalogue, languages, core_dirs)
        with _progress(console) as on_progress:
            report = build_prompts(catalogue, profiles, chosen, sounds_dir, core_dirs, on_progress=on_progress)
    except RouterError as error:
        raise CouldNotRunError(str(error)) from error
    _print_report(report)
    context.exit(_SOME_FAILED if report.failed else _ALL_BUILT)


def _languages(catalogue: Catalogue, chosen: tuple[str, ...], core_dirs: dict[str, Path]) -> tuple[str, ...]:
    known = tuple(dict.fromkeys([*catalogue.languages, *core_dirs]))
    for language in chosen:
        if language not in known:
            raise click.BadParameter(
                f"no prompt is in {language!r}; there are {', '.join(known)}", param_hint="--language"
            )
    return chosen or known


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, else a line for every tenth."""
    if not console.is_terminal:
        yield _print_tenths()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("building prompts")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_tenths() -> Callable[[int, int], None]:
    said = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal said
        tenth = done * _TENTHS // total if total else _TENTHS
        if tenth > said:
            said = tenth
            click.echo(f"{done} of {total} sounds")

    return on_progress


def _print_report(report: BuildReport) -> None:
    for failure in report.failed[:_MOST_FAILURES_SHOWN]:
        click.echo(f"failed: {failure.path}: {failure.reason}", err=True)
    if (more := len(report.failed) - _MOST_FAILURES_SHOWN) > 0:
        click.echo(f"failed: and {more} more", err=True)
    for path in report.left_alone:
        click.echo(f"left alone: {path} was not made here")
    counts = f"made {len(report.made)}, kept {len(report.kept)}, removed {len(report.removed)}"
    click.echo(f"{counts}, failed {len(report.failed)}")


@prompts.command("list")
@_prompts_option
def list_prompts(*, prompts_path: Path) -> None:
    """List every prompt: its name, where it is heard, and what it says in each language.

    The dialplan plays one as elder/NAME. Exits 0, or 2 when the catalogue cannot be read or something in it is
    wrong.
    """
    try:
        catalogue = load_catalogue(prompts_path)
    except RouterError as error:
        raise CouldNotRunError(str(error)) from error
    for prompt in catalogue.prompts:
        click.echo(f"{click.style(prompt.id, bold=True)}  [{', '.join(prompt.text)}]  {prompt.use}")
        for language, sentences in prompt.text.items():
            click.echo(f"    {language}: {' '.join(sentences)}")
