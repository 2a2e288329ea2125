"""`elder-router callers`: fill the registry of callers, and look after single entries."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

import click

from router.callers.bands import AgeBands
from router.callers.number import masked
from router.callers.past import choice_in_words
from router.cli.callers_former import remove_old
from router.cli.callers_import import import_file
from router.cli.callers_nightly import due, update_callers
from router.cli.callers_person import export_caller, forget_caller, get_caller
from router.cli.callers_secret import secret
from router.cli.options import ChoiceText, RegistryPlace, could_not_run, registry_options, rules_option
from router.errors import RouterError


@click.group()
def callers() -> None:
    """Fill the registry of callers, and look after single entries."""


@callers.command(short_help="Remember what a caller wants: slower speech, a person.")
@click.argument("number")
@click.argument("choice", type=ChoiceText())
@registry_options
def choose(number: str, choice: str, place: RegistryPlace) -> None:
    """Remember what the owner of NUMBER wants, as if they had chosen it in a call; over what was there.

    CHOICE is slower, normal or person; or slower:PROFILE for one of the rules' speech profiles, slower+person for both;
    or none to forget it. It is stronger than what rules say of speech, and they can ask for it as `choice`. It is
    forgotten after half a year, or as the settings file says. NUMBER may be -, as for `get`.
    """
    phone = place.number(number)
    try:
        place.run(lambda registry: registry.choose(phone, choice), may_create=True)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"{masked(phone)}: {choice_in_words(choice) if choice else 'nothing remembered'}")


@callers.command("set", short_help="Set a caller's age band by hand.")
@click.argument("number")
@click.argument("band", required=False)
@click.option("--clear", is_flag=True, help="Remove what was set, so that the feed's band counts again.")
@rules_option
@registry_options
def set_band(number: str, band: str | None, clear: bool, rules_path: Path, place: RegistryPlace) -> None:
    """Set the age band of NUMBER to BAND by hand. It is stronger than the feed, and stays when callers are loaded.

    NUMBER may be -, as for `get`.

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


for command in (import_file, due, update_callers, get_caller, export_caller, forget_caller, remove_old, secret):
    callers.add_command(command)


def _bands(rules_path: Path) -> AgeBands:
    # Here, not above: the rules pull in YAML and calendars, which `get` and `forget` need nothing of.
    from router.rules.book import load_rules  # noqa: PLC0415

    return load_rules(rules_path).bands
