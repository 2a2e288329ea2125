"""`elder-router callers secret`: the secrets that callers are hashed with, and changing them while calls come in."""

from __future__ import annotations

import click

from router.callers.rotation import UnderSecrets, remove_under, stored_under
from router.callers.secret_ring import SecretRing, add_secret, load_ring, retire_secret
from router.cli.options import CouldNotRunError, RegistryPlace, could_not_run, registry_options
from router.errors import RouterError

_NOT_DONE = 1


@click.group("secret", short_help="The secrets of the hash, and changing them.")
def secret() -> None:
    """The secrets that callers are hashed with, and changing them while calls come in.

    `add` a new one, give the file to all machines of the registry, load all callers anew, `retire` the old one.
    """


@secret.command("show", short_help="Show what is stored under which secret.")
@registry_options
def show(place: RegistryPlace) -> None:
    """Show the names of the secrets, the newest first, and what is stored under each. Looks at all keys in Redis."""
    try:
        ring, under = load_ring(place.settings().secret_file), place.run(stored_under)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"{'secret':<10}{'loaded callers':<16}{'set by hand':>12}{'choices':>12}{'last calls':>12}")
    for name, held in under.by_name.items():
        used = "yes" if name == under.in_force else "no"
        note = "" if ring.named(name) else "  not in the file: `retire` removes what is left under it"
        note = "  the newest" if name == ring.newest.name else note
        click.echo(f"{name:<10}{used:<16}{held.set:>12,}{held.choices:>12,}{held.calls:>12,}{note}")
    if under.importing:
        click.echo("callers are being loaded")


@secret.command("add", short_help="Add a new secret, the newest from now on.")
@registry_options
def add(place: RegistryPlace) -> None:
    """Add a new random secret, which from now on is the newest. Running routers take it within seconds."""
    try:
        file = place.settings().secret_file
        name = add_secret(file).newest.name
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"{name} is the newest secret in {file}")
    click.echo("next: copy that file to all other machines of this registry, then load all callers anew")


@secret.command("retire", short_help="Remove a secret and what is left under it.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Also if something is lost that was set by hand or chosen.")
@registry_options
def retire(name: str, yes: bool, place: RegistryPlace) -> None:
    """Remove the secret NAME from the file, and what was set, chosen and called under it from the registry.

    Refuses while loaded callers are hashed with it, or, without --yes, while anything is stored under it.

    Exits 0; 1 when it refused; 2 when it could not be done.
    """
    try:
        file = place.settings().secret_file
        ring, under = load_ring(file), place.run(stored_under)
        if why := _refusal(name, ring, under, yes=yes):
            click.echo(why, err=True)
            raise SystemExit(_NOT_DONE)
        # First from the file: what then is left over, because this was stopped, can be removed by the name alone.
        if ring.named(name):
            retire_secret(file, name)
        removed = place.run(lambda registry: remove_under(registry, name))
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"{name} is retired; keys removed that were stored under it: {removed:,}")
    click.echo("next: copy the file of the secrets to all other machines of this registry")


def _refusal(name: str, ring: SecretRing, under: UnderSecrets, *, yes: bool) -> str:
    """Why a secret is not retired; "" if it may be."""
    if name not in under.by_name:
        raise CouldNotRunError(f"there is no secret {name[:20]!r}, only {', '.join(under.by_name)}")
    if name == under.in_force:
        return f"loaded callers are hashed with {name}: add a secret and load all callers anew first"
    if name == ring.newest.name:
        return f"{name} is the newest, which callers are stored under from now on: add another one first"
    if under.importing:
        return "callers are being loaded, perhaps with this secret: try again when that is over"
    held = under.by_name[name]
    if held.counts.total() and not yes:
        return (
            f"what is still stored under {name} would be lost (bands set by hand: {held.set:,}, choices: "
            f"{held.choices:,}, callers' last calls: {held.calls:,}); choices and calls expire, bands set by hand move "
            "when they are set again; wait for that, or give --yes"
        )
    return ""
