"""`elder-router prompts`: build what callers hear at every speech profile's speed, and list it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from router.calls.verdict import spoken_profile
from router.cli.options import CouldNotRunError, rules_option
from router.cli.prompts_check import check
from router.cli.prompts_play import play
from router.cli.tracing import printable
from router.cli.voices import progress, prompts_option, speech_of
from router.errors import RouterError
from router.rules.book import load_rules
from router.speech.build import BuildReport, build_prompts
from router.speech.catalogue import Catalogue, Prompt, load_catalogue
from router.speech.engines import open_voices
from router.speech.formats import DEFAULT_FORMATS, FORMATS
from router.speech.profile import SpokenProfile, is_language

_ALL_BUILT, _SOME_FAILED = 0, 1
# When everything fails it fails for one reason, which must not scroll away.
_MOST_FAILURES_SHOWN = 20


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
    help="Asterisk's directory of sounds: astvarlibdir/sounds or astdatadir/sounds of asterisk.conf. "
    "[default: as the settings file says]",
)
@click.option(
    "--core",
    "core_dirs",
    multiple=True,
    metavar="LANGUAGE=DIR",
    callback=_core_dirs,
    help="Where a language's recorded sounds are, if not in SOUNDS/LANGUAGE: each is slowed for each profile.",
)
@prompts_option
@rules_option
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="LANGUAGE",
    help="Build only this one; all of the catalogue's, and all whose sounds are installed, else.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(tuple(FORMATS)),
    help="A format to make; may be given several times. [default: as the settings file says, else "
    f"{' and '.join(DEFAULT_FORMATS)}]",
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
    formats: tuple[str, ...],
) -> None:
    """Build every prompt that is new or changed; safe while calls are being played.

    Files that this command did not make are never changed or removed: a recording of your own at
    SOUNDS/en/elder/greeting.wav takes the place of that prompt.

    Exits 0 when every prompt is as it should be, 1 when some could not be made (the others were), 2 when nothing
    was built: a file or an option is wrong, a program is missing, the disk is full.
    """
    try:
        catalogue = load_catalogue(prompts_path)
        profiles = [spoken_profile(speech) for speech in load_rules(rules_path).speech.values()]
        _check_languages(catalogue, languages, [*core_dirs, *_installed(sounds_dir, profiles)])
        speech = speech_of(context)
        with progress("building prompts", "sounds") as on_progress:
            report = build_prompts(
                catalogue,
                profiles,
                languages or None,
                sounds_dir,
                core_dirs,
                on_progress=on_progress,
                engine=open_voices(speech),
                formats=formats or (speech.formats if speech else DEFAULT_FORMATS),
            )
    except RouterError as error:
        raise CouldNotRunError(str(error)) from error
    _print_report(report)
    context.exit(_SOME_FAILED if report.failed else _ALL_BUILT)


def _check_languages(catalogue: Catalogue, chosen: tuple[str, ...], others: Sequence[str]) -> None:
    known = dict.fromkeys([*catalogue.languages, *others])
    for language in chosen:
        if language not in known:
            raise click.BadParameter(
                f"no prompt is in {language!r}; there are {', '.join(known)}", param_hint="--language"
            )


def _installed(sounds_dir: Path, profiles: Sequence[SpokenProfile]) -> list[str]:
    """What may be languages with sounds; that there is no such directory is told by the build."""
    made_here = {profile.name for profile in profiles}
    try:
        names = sorted(entry.name for entry in sounds_dir.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [name for name in names if is_language(name) and name.rpartition("_")[2] not in made_here]


def _print_report(report: BuildReport) -> None:
    for failure in report.failed[:_MOST_FAILURES_SHOWN]:
        click.echo(printable(f"failed: {failure.path}: {failure.reason}"), err=True)
    if (more := len(report.failed) - _MOST_FAILURES_SHOWN) > 0:
        click.echo(f"failed: and {more} more", err=True)
    for path in report.left_alone:
        click.echo(printable(f"left alone: {path} was not made here"))
    counts = f"made {len(report.made)}, kept {len(report.kept)}, removed {len(report.removed)}"
    click.echo(f"{counts}, failed {len(report.failed)}")


@prompts.command("list")
@prompts_option
@click.option("--language", metavar="LANGUAGE", help="Only prompts that are in this one, and only its text.")
def list_prompts(*, prompts_path: Path, language: str | None) -> None:
    """List every prompt: its name, its values, where it is heard, and what it says in each language.

    The dialplan plays one as elder/NAME, or has one with values spoken by Gosub(elder-say,…). Exits 0, or 2 when the
    catalogue cannot be read or something in it is wrong.
    """
    try:
        catalogue = load_catalogue(prompts_path)
    except RouterError as error:
        raise CouldNotRunError(str(error)) from error
    if language is not None and language not in catalogue.languages:
        known = ", ".join(catalogue.languages)
        raise click.BadParameter(f"no prompt is in {language!r}; there are {known}", param_hint="--language")
    for prompt in catalogue.prompts:
        if language is None or language in prompt.text:
            _print_prompt(prompt, (language,) if language else tuple(prompt.text))


def _print_prompt(prompt: Prompt, languages: tuple[str, ...]) -> None:
    values = ", ".join(f"{name}: {kind}" for name, kind in prompt.variables.items())
    heard = f"played as {prompt.sound}" if prompt.core_sound else ""
    marks = "".join(f"  {{{part}}}" if part is values else f"  ({part})" for part in (values, heard) if part)
    click.echo(f"{click.style(prompt.id, bold=True)}  [{', '.join(prompt.text)}]{marks}  {printable(prompt.use)}")
    for language in languages:
        recorded = "  (recorded)" if language in prompt.recording else ""
        click.echo(f"    {language}: {' '.join(prompt.text[language])}{recorded}")


for command in (play, check):
    prompts.add_command(command)
