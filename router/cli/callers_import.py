"""`elder-router callers import`: a feed of callers into the registry, whole or as a delta, or only tried."""

from __future__ import annotations

import asyncio
import csv
import os
import resource
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import click

from router.callers.bands import AgeBands
from router.callers.loading.job import Order, Outcome, import_feed, in_force_now, try_feed
from router.callers.loading.steps import Step, Watch
from router.callers.secret_ring import SecretRing, load_or_create_ring
from router.callers.servers import Servers, open_servers
from router.callers.settings import RegistrySettings
from router.cli.import_progress import import_progress
from router.cli.import_summary import print_import, print_trial
from router.cli.options import RegistryPlace, could_not_run, registry_options, rules_option
from router.cli.tracing import printable
from router.cli.work_folder import check_not_the_feed, left_to_its_owner
from router.errors import ConfigurationError, Problem, RegistryError, RouterError
from router.settings_callers import DEFAULT_WORK_FOLDER

_ALL_TAKEN, _SOME_REJECTED, _STOPPED = 0, 1, 130
_ASKED_S: Final = 2.0
_NICE: Final = 10
"""Below the router, Redis and Asterisk, if they are on this machine; one that does nothing else runs it as fast."""
_REJECTED: Final = "rejected.csv"
_REJECTS_SHOWN: Final = 20
_QUOTE: Final = "'"
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_Done = TypeVar("_Done")


class Day(click.ParamType[date]):
    """A day, YYYY-MM-DD."""

    name = "date"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """See click."""
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            self.fail("write a day like 2026-11-23", param, ctx)


def load_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all loads have."""
    for option in (
        click.option(
            "--allow-change",
            "allow_change_percent",
            type=click.FloatRange(0, min_open=True),
            metavar="PERCENT",
            help="Let a load change so much of what is there. [default: as the settings file says, else 5]",
        ),
        click.option(
            "--rate",
            type=click.FloatRange(1),
            metavar="N",
            help="Load at most N callers a second. Lookups are given way to anyway.",
        ),
        click.option(
            "--rejects",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Write rejected rows there: line, masked caller, reason.",
        ),
    ):
        command = option(command)
    return command


@click.command("import", short_help="Load callers from a file, all or only changes.")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--delta", is_flag=True, help="FILE only says what is added, changed or removed.")
@click.option("--dry-run", is_flag=True, help="Count what would be stored and what would change; store nothing.")
@click.option(
    "--as-of", type=Day(), metavar="DATE", help="The day on which ages count. [default: today by the rules' clock]"
)
@click.option(
    "--new-secret",
    is_flag=True,
    help="Load although the secret of the callers in force is lost. Routers without this machine's secrets then know "
    "nobody.",
)
@load_options
@rules_option
@registry_options
def import_file(
    file: Path,
    *,
    delta: bool,
    dry_run: bool,
    as_of: date | None,
    new_secret: bool,
    allow_change_percent: float | None,
    rate: float | None,
    rejects: Path | None,
    rules_path: Path,
    place: RegistryPlace,
) -> None:
    """Load callers from FILE into the registry, in place of those that are there; or, with --delta, onto them.

    FILE is CSV (plain, .gz, .bz2, .xz, .zst, .lz4, .zip) or Parquet. Its columns are `number`, and `birth_date`
    (YYYY-MM-DD) or `age_band`; the settings file may call them otherwise. Only the band is stored, under a keyed hash
    of the number. A number on several rows takes the oldest of their bands.

    Lookups go on meanwhile, and find the callers of before until all are loaded. Stopped or killed, the same command
    goes on where it was.

    Exits 0 when every row was taken, 1 when some were rejected and the others taken, 2 when nothing was changed.
    """
    try:
        order, settings = order_of(
            place, rules_path, file, as_of=as_of, allow_change_percent=allow_change_percent, rate=rate, rejects=rejects
        )
        order = replace(order, delta=delta)

        async def load(servers: Servers, ring: SecretRing, watch: Watch) -> Outcome:
            if dry_run:
                return await try_feed(servers, ring, order, watch)
            if not new_secret:
                await check_secret(servers, ring, settings.secret_file)
            return await import_feed(servers, ring, order, watch)

        outcome = run_load(settings, order.folder, load)
        show_rejected(order, outcome, shown=rejects)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    (print_trial if dry_run else print_import)(outcome)
    raise SystemExit(_SOME_REJECTED if outcome.counts.rejected else _ALL_TAKEN)


def order_of(
    place: RegistryPlace,
    rules_path: Path,
    file: Path,
    *,
    as_of: date | None,
    allow_change_percent: float | None = None,
    rate: float | None = None,
    rejects: Path | None = None,
) -> tuple[Order, RegistrySettings]:
    """What is to be done, from the command line and the settings file.

    Raises:
        ConfigurationError: The settings or the rules are wrong, the registry is another system's, or the rejected
            rows would be written over the feed.
    """
    if rejects is not None:
        check_not_the_feed("--rejects", rejects, file)
    settings = place.settings()
    if settings.layout != "buckets":
        why = "with `layout: plain` another system writes the callers, and nothing is imported here"
        raise ConfigurationError([Problem("callers.layout", 0, 0, why)])
    bands, today = _bands_and_today(rules_path)
    # Without a settings file it lies beside the secrets.
    folder = settings.work_folder if place.settings_file else settings.secret_file.parent / DEFAULT_WORK_FOLDER
    order = Order(
        file=file,
        feed=settings.feed,
        bands=bands,
        home_region=settings.home_region,
        as_of=as_of or today,
        folder=folder,
        allow_change_percent=allow_change_percent,
        rate=rate,
        rejects=rejects or folder / _REJECTED,
    )
    return order, settings


async def check_secret(servers: Servers, ring: SecretRing, file: Path) -> None:
    """Refuse to load where the file of the secrets is another one: no router could read what is loaded.

    Raises:
        RegistryError: The callers in force are hashed with a secret that is not here, or cannot be asked for.
    """
    now = await in_force_now(servers)
    if now is not None and ring.named(now.secret) is None:
        raise RegistryError(
            f"the callers in force are hashed with the secret {now.secret}, which is not in {file}: with what that "
            "file has, routers would know nobody; copy the file from where callers were loaded before, or, if it is "
            "lost, import with --new-secret and copy this one to all routers"
        )


def run_load(
    settings: RegistrySettings, folder: Path, work: Callable[[Servers, SecretRing, Watch], Awaitable[_Done]]
) -> _Done:
    """Do something long with the servers, give way to others, tell how far it is, and stop cleanly when told to.

    What root makes in the work folder is left to its owner, and a crash leaves no image of the memory, which holds the
    secrets and the numbers of the feed.

    Raises:
        RouterError, OSError: As `work` does.
    """
    ring = load_or_create_ring(settings.secret_file)
    os.nice(max(0, _NICE - os.nice(0)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    doing = ""

    async def opened() -> _Done:
        loop = asyncio.get_running_loop()
        if (task := asyncio.current_task()) is not None:
            for number in _STOP_SIGNALS:
                loop.add_signal_handler(number, task.cancel)
        with import_progress() as show:

            def watch(step: Step) -> None:
                nonlocal doing
                doing = step.doing
                show(step)

            async with open_servers(settings.redis, deadline_s=_ASKED_S, connect_s=_ASKED_S) as servers:
                return await work(servers, ring, watch)

    try:
        with left_to_its_owner(folder):
            return asyncio.run(opened())
    except asyncio.CancelledError:
        at = doing or "starting"
        click.echo(f"stopped while {at}; run the same command again, it goes on where it stopped", err=True)
        raise SystemExit(_STOPPED) from None


def show_rejected(order: Order, outcome: Outcome, *, shown: Path | None) -> None:
    """Show the first rejected rows, and remove their file if nobody asked for it."""
    if order.rejects is None:
        return
    if outcome.counts.rejected:
        _show_rows(order.rejects, outcome.counts.rejected, shown)
    if shown is None:
        order.rejects.unlink(missing_ok=True)


def _show_rows(rejects: Path, count: int, shown: Path | None) -> None:
    with rejects.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        unit = next(rows)[0]
        for line, caller, reason in islice(rows, _REJECTS_SHOWN):
            # What keeps spreadsheets from taking it for a formula is nothing to people.
            who = f"{caller.removeprefix(_QUOTE)}: " if caller else ""
            click.echo(printable(f"{unit} {line}: {who}{reason}"), err=True)
    if count > _REJECTS_SHOWN:
        where = f"all are in {shown}" if shown else "--rejects FILE writes all to a file"
        click.echo(printable(f"… and {count - _REJECTS_SHOWN:,} more; {where}"), err=True)


def _bands_and_today(rules_path: Path) -> tuple[AgeBands, date]:
    """Today is by the clock of the rules, as all else in them: the machine's may be another."""
    # Here, not above: the rules pull in YAML and calendars, which other commands need nothing of.
    from router.rules.book import load_rules  # noqa: PLC0415

    book = load_rules(rules_path)
    return book.bands, datetime.now(ZoneInfo(book.timezone)).date()
