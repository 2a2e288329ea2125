"""`elder-router tail`: the journal as it is written, a line a call.

Its options, and what they are put together to. What is read and when it is shown is `tailing`'s, what it looks like
`tail_lines`', where it goes `tail_views`'.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from router.cli.options import (
    UNREAD_FILE,
    WHERE_IS_THE_JOURNAL,
    CouldNotRunError,
    could_not_run,
    region_given,
    rules_option_for,
)
from router.cli.recognising import key_of
from router.cli.reports.given import rules_in_force
from router.cli.tail_filters import Wanted, doubts, filter_options, since_given
from router.cli.tail_lines import CallLines
from router.cli.tail_screen import Ending, Screen, Styles, size_of, terminal_for_drawing
from router.cli.tail_views import JsonView, PlainView, ScreenView, View
from router.cli.tailing import Tailing
from router.cli.tracing import counted, printable
from router.errors import JournalError, RouterError
from router.journal.follow import Following
from router.journal.joining import JoinedCalls
from router.journal.reader import journal_files, refuse_unseen

_USUAL_LINES: Final = 10
_LONGEST_NUMBER: Final = 1000
_NOBODY_READS: Final = (errno.EPIPE, errno.EIO)  # the other end of the pipe was closed, or the terminal


@click.command("tail")
@click.option(
    "--journal",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="The journal. [default: the one that the settings file says]",
)
@filter_options
@click.option("--caller", metavar="NUMBER", help="Calls of this number, given in full; - reads it from standard input.")
@click.option(
    "--since", metavar="TIME", help='Calls from then on: 30m, 09:00, "2026-11-25 09:00", in the rules\' zone.'
)
@click.option(
    "-n",
    "--lines",
    "most_lines",
    type=click.IntRange(0, 1_000_000),
    help="So many of what lies there already. [default: a screenful, in a pipe 10; with --since, all]",
)
@click.option("--no-follow", is_flag=True, help="End after what lies there already.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print an object a line: a call when it is decided, and whole when ended."
)
@rules_option_for("The rules in force: for the time zone, and which bands are protected. Not needed.")
@click.option(
    "--secret-file",
    type=UNREAD_FILE,
    help="The key of the journal's hashes, for --caller. [default: as the settings file says]",
)
@click.option(
    "--home-region",
    envvar="ELDER_HOME_REGION",
    default="CN",
    show_default=True,
    callback=region_given,
    help="The region of a --caller that comes without a country code.",
)
@click.option(
    "--journal-file", hidden=True, type=click.Path(path_type=Path, readable=False), help="What the settings file says."
)
def tail(
    *,
    journal: Path | None,
    wanted: Wanted,
    caller: str | None,
    since: str | None,
    most_lines: int | None,
    no_follow: bool,
    as_json: bool,
    rules_path: Path,
    secret_file: Path | None,
    home_region: str,
    journal_file: Path | None,
) -> None:
    """Show calls as they are decided and as they end, a line each.

    On a terminal a call's line changes when its outcome is known; in a pipe a second line comes. A * marks callers of a
    protected age band, a ! what is wrong. Options that ask for calls must all hold; one that is repeated means any of
    its values. What begins to be wrong with our own systems is shown whatever is asked for.

    Goes on until Ctrl-C, across restarts of the router and rotations of its journal. Exits 2 when the journal cannot be
    read or an option is wrong.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of a terminal that knows ASCII only
    path = journal or journal_file
    if path is None:
        raise click.UsageError(WHERE_IS_THE_JOURNAL)
    book = rules_in_force(rules_path)
    lines = CallLines(book)
    moment = since_given(since, lines.zone, datetime.now(UTC)) if since is not None else None
    if caller is not None:
        wanted = replace(wanted, caller_key=_key(caller, home_region, secret_file))
    for doubt in doubts(wanted, book) if book else ():
        click.echo(printable(doubt), err=True)
    try:
        if not journal_files(path):
            refuse_unseen(path)
            if no_follow:
                raise CouldNotRunError(f"{path}: there is no journal; it begins with the first call")
        _show(path, wanted, lines, _How(moment, most_lines, as_json=as_json, is_followed=not no_follow))
    except JournalError as error:
        raise CouldNotRunError(str(error)) from error
    except OSError as error:
        # Python still has something to write, and would complain of that in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno not in _NOBODY_READS:
            raise CouldNotRunError(f"what is shown cannot be written: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class _How:
    since: datetime | None
    most_lines: int | None
    as_json: bool
    is_followed: bool


def _show(path: Path, wanted: Wanted, lines: CallLines, how: _How) -> None:
    joined = JoinedCalls(wanted.takes, since=how.since, keep_lines=how.as_json)
    following = Following(path, since=how.since)
    console = Console()
    on_screen = console.is_terminal and not console.is_dumb_terminal and how.is_followed and not how.as_json
    most_lines = how.most_lines
    if most_lines is None and how.since is None:
        most_lines = max(1, size_of(sys.stdout.fileno()).lines - 2) if on_screen else _USUAL_LINES
    with ExitStack() as stack:
        ending = stack.enter_context(Ending())
        stack.callback(following.close)
        if on_screen:
            view: View = _screen_view(stack, console, ending, _Status(path, wanted, lines, following, joined))
        else:
            view = JsonView(sys.stdout) if how.as_json else PlainView(sys.stdout, lines)
        stack.callback(view.close)
        tailing = Tailing(following, joined, wanted, view, most_lines=most_lines)
        if not how.is_followed:
            tailing.run_to_the_end()
            return
        if not on_screen and not journal_files(path):
            view.complain(f"{path}: there is no journal yet; waiting for it")
        tailing.run()


@dataclass(frozen=True, slots=True)
class _Status:
    """The last line of the screen."""

    path: Path
    wanted: Wanted
    lines: CallLines
    following: Following
    joined: JoinedCalls

    def __call__(self) -> str:
        now = self.lines.local(datetime.now(UTC))
        what = self.path.name if self.following.is_there else f"waiting for {self.path}"
        parts = [f"{now:%H:%M:%S %Z}", what, f"{self.joined.under_way:,} under way"]
        if asked := self.wanted.in_words():
            parts.append(asked)
        if self.joined.bad:
            parts.append(f"! {counted(self.joined.bad, 'line')} unreadable")
        if self.joined.given_up:
            parts.append(f"! {self.joined.given_up:,} without an end")
        return printable(" " + "  ".join([*parts, "* protected", "Ctrl-C ends"]) + " ")


def _screen_view(stack: ExitStack, console: Console, ending: Ending, status: _Status) -> ScreenView:
    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    descriptor = sys.stdout.fileno()
    screen = Screen(write, lambda: size_of(descriptor), Styles(console))
    stack.enter_context(terminal_for_drawing(descriptor, screen.begin_anew))
    return ScreenView(status.lines, screen, status, ending.held)


def _key(caller: str, home_region: str, secret_file: Path | None) -> str:
    if caller == "-":
        # There it stands neither in the list of processes nor in the history of the shell.
        if sys.stdin.isatty():
            click.echo("number: ", nl=False, err=True)
        caller = sys.stdin.readline(_LONGEST_NUMBER).strip()
    try:
        return key_of(caller, home_region, secret_file)
    except RouterError as error:
        raise could_not_run(error) from error
