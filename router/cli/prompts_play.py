"""`elder-router prompts play`: hear one prompt as a caller would, at a speech profile's speed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from router.calls.verdict import spoken_profile
from router.cli.options import CouldNotRunError, rules_option
from router.cli.tracing import printable
from router.cli.voices import prompts_option, voices_of
from router.errors import RouterError, SpeechError
from router.rules.book import load_rules
from router.rules.document import open_ordinary
from router.rules.wording import did_you_mean, listed
from router.speech.catalogue import Prompt, load_catalogue
from router.speech.profile import SpokenProfile
from router.speech.sentence import Sentence
from router.speech.sound import STUDIO_INPUT, Sox, seconds, wav_of
from router.speech.speaking import speak

_USUAL: Final = SpokenProfile("standard")
# Programs that play a WAV from standard input, the first that is there.
_PLAYERS: Final[Mapping[str, tuple[str, ...]]] = {
    "aplay": ("-q", "-"),
    "paplay": ("/dev/stdin",),
    "play": ("-q", "-t", "wav", "-"),
}
# The longest prompt takes a minute at the slowest.
_LONGEST_PLAY_S: Final = 300.0


def _values(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{entry!r}: write it like position=3")
        values[name] = value
    return values


@click.command("play")
@click.argument("prompt_id", metavar="ID")
@click.option("--profile", "profile_name", metavar="NAME", help="A speech profile of the rules. [default: usual speed]")
@click.option("--language", metavar="LANGUAGE", help="[default: the prompt's first]")
@click.option(
    "--value",
    "values",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_values,
    help="What is known only in the call, as the dialplan would send it: position=3.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a WAV there instead of playing it.",
)
@prompts_option
@rules_option
@click.pass_context
def play(
    context: click.Context,
    *,
    prompt_id: str,
    profile_name: str | None,
    language: str | None,
    values: dict[str, str],
    output: Path | None,
    prompts_path: Path,
    rules_path: Path,
) -> None:
    """Speak the prompt ID as callers hear it, or write it to a file; and print its words, phrase by phrase.

    A studio recording that the catalogue names is played instead of a voice, slowed as for callers. Exits 0, or 2
    when it cannot be spoken or played.
    """
    try:
        prompt = load_catalogue(prompts_path).prompt(prompt_id)
        _check_names(prompt, values)
        profile = _profile(rules_path, profile_name) if profile_name else _USUAL
        spoken_in = prompt.language_of(language) if language else next(iter(prompt.text))
        sentences = prompt.filled(language or next(iter(prompt.text)), values)
        samples = _spoken(context, prompt, sentences, spoken_in or "", profile)
    except RouterError as error:
        raise CouldNotRunError(str(error)) from error
    click.echo(f"{prompt.id}, {spoken_in}, {profile.name}: {seconds(samples):.1f} s")
    for sentence in sentences:
        again = "  (said again at the end)" if sentence.essential and profile.repeat_essential else ""
        click.echo(f"    {printable(' | '.join(sentence.phrases))}{again}")
    if output is not None:
        _write(output, wav_of(samples))
    else:
        _play(wav_of(samples))


def _check_names(prompt: Prompt, values: Mapping[str, str]) -> None:
    for name in values:
        if name not in prompt.variables:
            known = f"it has {listed(prompt.variables)}" if prompt.variables else "it has none"
            advice = did_you_mean(name, prompt.variables).strip() or known
            raise click.BadParameter(f"{prompt.id} has no value {name!r}; {advice}", param_hint="--value")


def _profile(rules: Path, name: str) -> SpokenProfile:
    profiles = load_rules(rules).speech
    if name not in profiles:
        advice = did_you_mean(name, profiles) or f"there are {listed(profiles)}"
        raise click.BadParameter(f"the rules have no speech profile {name!r}; {advice.strip()}", param_hint="--profile")
    return spoken_profile(profiles[name])


def _spoken(
    context: click.Context, prompt: Prompt, sentences: Sequence[Sentence], language: str, profile: SpokenProfile
) -> bytes:
    sox = Sox()
    recording = prompt.recording.get(language)
    if recording is None:
        return speak(voices_of(context), sox, sentences, language, profile)
    if recording.suffix not in STUDIO_INPUT:
        raise SpeechError(f"{recording} is not in a format that can be read; save it as wav")
    try:
        with open_ordinary(recording) as stream:
            content = stream.read()
    except OSError as error:
        raise SpeechError(f"{recording} cannot be read: {error.strerror}; put the recording there") from error
    return sox.stretched(content, recording.suffix, rate=profile.rate, gain_db=profile.gain_db)


def _write(output: Path, wav: bytes) -> None:
    try:
        output.write_bytes(wav)
    except OSError as error:
        raise CouldNotRunError(f"{output} cannot be written: {error.strerror}") from error
    click.echo(f"written: {output}")


def _play(wav: bytes) -> None:
    found = [(program, options) for name, options in _PLAYERS.items() if (program := shutil.which(name))]
    if not found:
        raise CouldNotRunError(
            f"no program here plays sound ({', '.join(_PLAYERS)}); give --output FILE, and play it where one does"
        )
    program, options = found[0]
    try:
        ended = subprocess.run(  # noqa: S603 - one of _PLAYERS, without a shell
            [program, *options], input=wav, capture_output=True, timeout=_LONGEST_PLAY_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotRunError(f"{program} could not play it ({error}); give --output FILE instead") from error
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        why = printable(said[-1][:200]) if said else f"status {ended.returncode}"
        raise CouldNotRunError(f"{Path(program).name} could not play it: {why}; give --output FILE instead")
