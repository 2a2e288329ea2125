"""`elder-router callers`: fill the registry of callers, and look after single entries."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import Progress

from router.callers.bands import AgeBands
from router.callers.importing import CallerFile, ImportReport, read_callers
from router.callers.number import masked
from router.callers.past import choice_in_words
from router.callers.registry import Registry
from router.cli.callers_former import remove_old
from router.cli.callers_person import export_caller, forget_caller, get_caller
from router.cli.callers_secret import secret
from router.cli.options import ChoiceText, RegistryPlace, could_not_run, registry_options, rules_option
from router.errors import RouterError

# A progress bar is drawn ten times a second; telling it of every line would cost more than reading the line.
_PROGRESS_STEP_BYTES = 64 * 1024

_Answer = TypeVar("_Answer")


@click.group()
def callers() -> None:
    """Fill the registry of callers, and look after single entries."""


@callers.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@rules_option
@click.option("--dry-run", is_flag=True, help="Read and check the file, store nothing.")
@registry_options
def import_file(file: Path, rules_path: Path, dry_run: bool, place: RegistryPlace) -> None:
    """Read callers from FILE, a CSV file, and store their age bands.

    Its columns are `number`, and `birth_date` (YYYY-MM-DD) or `age_band`. Ends with 0 when every row was
    taken, with 1 when some were left out, with 2 when nothing could be done.
    """
    try:
        with _read(file, _bands(rules_path), place.home_region) as caller_file:
            if not dry_run:
                place.run(lambda registry: _store(caller_file, registry), may_create=True)
            _print_report(caller_file.report, dry_run=dry_run)
            rejected_count = caller_file.report.rejected_count
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    raise SystemExit(1 if rejected_count else 0)


@callers.command()
@click.argument("number")
@click.argument("choice", type=ChoiceText())
@registry_options
def choose(number: str, choice: str, place: RegistryPlace) -> None:
    """Remember what the owner of NUMBER wants, as if they had chosen it in a call; over what was there.

    CHOICE is slower, normal or person; or slower:PROFILE for one of the rules' speech profiles, slower+person for both;
    or none to forget it. It is stronger than what rules say of speech, and they can ask for it as `choice`. It is
    forgotten after half a year, or as the settings file says.
    """
    phone = place.number(number)
    try:
        place.run(lambda registry: registry.choose(phone, choice), may_create=True)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"{masked(phone)}: {choice_in_words(choice) if choice else 'nothing remembered'}")


@callers.command("set")
@click.argument("number")
@click.argument("band", required=False)
@click.option("--clear", is_flag=True, help="Remove what was set, so that the feed's band counts again.")
@rules_option
@registry_options
def set_band(number: str, band: str | None, clear: bool, rules_path: Path, place: RegistryPlace) -> None:
    """Set the age band of NUMBER to BAND by hand. It is stronger than the feed, and stays when callers are loaded.

    Exits 0; 1 when there was nothing to clear; 2 when it could not be done.
    """
    phone = place.number(number)
    if clear == (band is not None):
        raise click.UsageError("give a band, or --clear to remove the one that was set")
    try:
        if band is None:
            was_set = place.run(lambda registry: registry.clear(phone))
            click.echo(
                f"{masked(phone)}: {'the band set by hand is removed' if was_set else 'no band was set by hand'}"
            )
            raise SystemExit(0 if was_set else 1)
        given, names = band, _bands(rules_path).names
        if given not in names:
            nearest = get_close_matches(given, names, 1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            raise click.BadParameter(f"{given!r} is not one of {', '.join(names)}{meant}", param_hint="BAND")
        place.run(lambda registry: registry.set(phone, given), may_create=True)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"{masked(phone)}: {band}, set by hand")


for command in (get_caller, export_caller, forget_caller, remove_old, secret):
    callers.add_command(command)


def _bands(rules_path: Path) -> AgeBands:
    # Here, not above: the rules pull in YAML and calendars, which `get` and `forget` need nothing of.
    from router.rules.book import load_rules  # noqa: PLC0415

    return load_rules(rules_path).bands


def _read(file: Path, bands: AgeBands, home_region: str) -> CallerFile:
    today = datetime.now().astimezone().date()
    with _progress() as progress:
        task = progress.add_task("reading", total=file.stat().st_size)
        pending_bytes = 0

        def advance(line_bytes: int) -> None:
            nonlocal pending_bytes
            pending_bytes += line_bytes
            if pending_bytes >= _PROGRESS_STEP_BYTES:
                progress.advance(task, pending_bytes)
                pending_bytes = 0

        return read_callers(file, bands, home_region=home_region, today=today, progress=advance)


async def _store(caller_file: CallerFile, registry: Registry) -> None:
    with _progress() as progress:
        task = progress.add_task("storing", total=sum(caller_file.report.by_band.values()))
        await caller_file.store(registry, lambda stored: progress.advance(task, stored))


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _print_report(report: ImportReport, *, dry_run: bool) -> None:
    for rejected in report.rejected:
        click.echo(str(rejected), err=True)
    if report.rejected_count > len(report.rejected):
        click.echo(f"… and {report.rejected_count - len(report.rejected):,} more", err=True)
    click.echo(f"rows read      {report.read:>12,}")
    click.echo(f"rows left out  {report.rejected_count:>12,}")
    if report.duplicates:
        click.echo(f"duplicates     {report.duplicates:>12,}  (a number on several lines has its oldest band)")
    click.echo(f"{'would be stored' if dry_run else 'numbers stored ':<15}{sum(report.by_band.values()):>12,}")
    for band, count in report.by_band.items():
        click.echo(f"  {band:<12} {count:>12,}")
