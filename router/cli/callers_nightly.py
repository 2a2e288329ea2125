"""`elder-router callers due` and `update`: who comes of an age that counts, and the nightly job."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

import click

from router.callers.loading.job import Order, in_force_now
from router.callers.loading.nightly import Updated, find_due, update, write_due
from router.callers.loading.steps import Watch
from router.callers.secret_ring import SecretRing
from router.callers.servers import Servers
from router.cli.callers_import import Day, check_secret, load_options, order_of, run_load, show_rejected
from router.cli.import_summary import print_import
from router.cli.options import RegistryPlace, could_not_run, registry_options, rules_option
from router.cli.tracing import printable
from router.cli.work_folder import check_not_the_feed
from router.errors import ConfigurationError, Problem, RegistryError, RouterError

feed_argument = click.argument("file", type=click.Path(path_type=Path, readable=False), required=False)


@click.command(short_help="Count who comes into another band until a day.")
@feed_argument
@click.option("--until", type=Day(), metavar="DATE", required=True, help="Bands as they are on that day.")
@click.option("--since", type=Day(), metavar="DATE", help="Bands as they were on that day. [default: as loaded]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write who they are, as a delta for `callers import --delta`. It holds numbers: keep it safe.",
)
@rules_option
@registry_options
def due(
    file: Path | None,
    *,
    until: date,
    since: date | None,
    output: Path | None,
    rules_path: Path,
    place: RegistryPlace,
) -> None:
    """Count the callers of FILE, the full feed, who come into another age band by a birthday until DATE.

    FILE is the settings file's `feed: file` unless given, and must have dates of birth. Stores nothing; `update` does.

    Exits 0, or 2 when it could not be done.
    """
    try:
        order, settings = order_of(place, rules_path, _feed_file(place, file), as_of=until)
        if output is not None:
            check_not_the_feed("--output", output, order.file)

        async def found(servers: Servers, _ring: SecretRing, watch: Watch) -> tuple[date, dict[str, int]]:
            begin = since or await _loaded_as_of(servers)
            if until < begin:
                wrong = f"--until {until} lies before {begin}, of when the bands are; give a later day, or --since"
                raise ConfigurationError([Problem("callers due", 0, 0, wrong)])
            who = await find_due(order, begin, watch)
            if output is not None:
                await asyncio.to_thread(write_due, who, output, order.feed, order.bands.names[0])
            return begin, who.counts.by_band

        begin, by_band = run_load(settings, order.folder, found)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"from {begin} to {until} {sum(by_band.values()):,} callers come into another age band")
    for band, count in by_band.items():
        if count:
            click.echo(f"  {band:<16}  {count:>13,}")
    if output is not None:
        click.echo(printable(f"written to {output}"))


@click.command("update", short_help="The nightly job: a new feed, or birthdays.")
@feed_argument
@click.option(
    "--as-of", type=Day(), metavar="DATE", help="The day on which ages count. [default: today by the rules' clock]"
)
@load_options
@rules_option
@registry_options
def update_callers(
    file: Path | None,
    *,
    as_of: date | None,
    allow_change_percent: float | None,
    rate: float | None,
    rejects: Path | None,
    rules_path: Path,
    place: RegistryPlace,
) -> None:
    """The nightly job: load FILE if it is a new feed, else give those their new band who had a birthday.

    FILE is the settings file's `feed: file` unless given. May be run at any time, and as often as one likes.

    Exits 0; 1 when rows of a new feed were rejected and the others taken; 2 when nothing was changed.
    """
    try:
        order, settings = order_of(
            place,
            rules_path,
            _feed_file(place, file),
            as_of=as_of,
            allow_change_percent=allow_change_percent,
            rate=rate,
            rejects=rejects,
        )

        async def brought_up_to_date(servers: Servers, ring: SecretRing, watch: Watch) -> Updated:
            await check_secret(servers, ring, settings.secret_file)
            return await update(servers, ring, order, watch)

        updated = run_load(settings, order.folder, brought_up_to_date)
        if updated.outcome is not None and not updated.birthdays:
            show_rejected(order, updated.outcome, shown=rejects)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    raise SystemExit(_told(updated, order))


def _told(updated: Updated, order: Order) -> int:
    if updated.outcome is None:
        bands = f"bands are as of {_as_of(updated)}" if updated.dated else "has no dates of birth that would come due"
        click.echo(f"nothing to do: the feed is loaded, and {bands}")
        return 0
    if updated.birthdays:
        click.echo(f"the feed is loaded already; birthdays from {_as_of(updated)} to {order.as_of}:")
    else:
        click.echo("there was a new feed:" if updated.before is not None else "there was nothing yet, a full load:")
    print_import(updated.outcome)
    return 1 if updated.outcome.counts.rejected and not updated.birthdays else 0


def _as_of(updated: Updated) -> str:
    return updated.before.as_of if updated.before is not None else ""


def _feed_file(place: RegistryPlace, file: Path | None) -> Path:
    """Raises ConfigurationError where neither the command line nor the settings file name one."""
    named = file or place.settings().feed.file
    if named is None:
        why = "no feed is named; give FILE, or `feed: {file: …}` under `callers:` in the settings file"
        raise ConfigurationError([Problem("callers.feed.file", 0, 0, why)])
    return named


async def _loaded_as_of(servers: Servers) -> date:
    now = await in_force_now(servers)
    if now is None:
        raise RegistryError("there are no callers yet, and so no day of their bands; give --since")
    return date.fromisoformat(now.as_of)
