"""`elder-router callers remove-old`: what versions before callers were hashed have left in Redis."""

from __future__ import annotations

import click

from router.callers.former import former_keys
from router.callers.registry import Registry
from router.cli.options import RegistryPlace, could_not_run, registry_options
from router.errors import RouterError

_NOT_DONE = 1


@click.command("remove-old", short_help="Remove what earlier versions stored in clear.")
@click.option("--yes", is_flag=True, help="Remove them, rather than only counting them.")
@registry_options
def remove_old(yes: bool, place: RegistryPlace) -> None:
    """Remove what earlier versions stored under keys that show the caller's number. It is no longer read.

    Load callers anew first. Choices that callers had remembered then are lost.

    Exits 0 when there are none left; 1 when there are some and --yes was not given; 2 when it could not be done.
    """
    try:
        if not yes:
            count = place.run(lambda registry: registry.old_keys())
            hint = "; give --yes to remove them" if count else ""
            click.echo(f"keys of an earlier version, which show numbers in clear: {count:,}{hint}")
            raise SystemExit(_NOT_DONE if count else 0)
        removed = place.run(_remove)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"keys of an earlier version removed: {removed:,}")


async def _remove(registry: Registry) -> int:
    with registry.raising():
        keys = {key async for key in former_keys(registry.admin(), registry.plain)}
    return await registry.unlink(keys)
