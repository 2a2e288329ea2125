"""`elder-router promote`: move a waiting caller to the front of their queue."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from router.ami.messages import for_log
from router.control.client import ask
from router.control.promotion import MAX_CALL_CHARS, MAX_WHY_CHARS
from router.control.protocol import ErrorKind, Unanswerable
from router.errors import ControlError

_REFUSED, _NOT_ASKED = 1, 2
_MINUTE_S, _HOUR_S = 60, 3600
_MOST_OF_A_NAME = 32

_NO_SOCKET = """\
{file} names no control socket, so the router has none; add these two lines, and restart the router:
control:
  socket: /run/elder-router/control.sock"""
_NO_SETTINGS = """\
there is no {file}; name the settings file as in `elder-router --config FILE promote …`, or the router's socket \
with --socket"""


def _printable(longest: int) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A check that a value fits into a line of the journal."""

    def checked(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not (0 < len(value) <= longest and value.isprintable()):
            raise click.BadParameter(f"give 1 to {longest} printable characters")
        return value

    return checked


@click.command("promote")
@click.argument("call", callback=_printable(MAX_CALL_CHARS))
@click.option(
    "--why",
    callback=_printable(MAX_WHY_CHARS),
    metavar="TEXT",
    help="The reason, for the journal; 200 characters at most.",
)
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path, readable=False),
    envvar="ELDER_CONTROL_SOCKET",
    help="The running router's control socket.  [default: that of the settings file]",
)
@click.pass_obj
def promote(file: Path, *, call: str, why: str | None, socket_path: Path | None) -> None:
    """Move a waiting caller to the front of their queue.

    CALL is the call's uniqueid, as the journal has it, or its channel's name, as Asterisk's `queue show` has it.
    Who asks is written to the journal and the router's log.

    Exits 0 when the caller is at the front, 1 when they cannot be moved (they do not wait, for one), 2 when the
    router cannot be asked.
    """
    if socket_path is None:
        click.echo((_NO_SOCKET if file.exists() else _NO_SETTINGS).format(file=file), err=True)
        sys.exit(_NOT_ASKED)
    fields = {"call": call, "why": why or "", "sudo_user": for_log(os.environ.get("SUDO_USER", ""), _MOST_OF_A_NAME)}
    try:
        answer = ask(socket_path, "promote", {name: value for name, value in fields.items() if value})
    except Unanswerable as refused:
        click.echo(f"not promoted: {refused}", err=True)
        sys.exit(_REFUSED if refused.kind is ErrorKind.REFUSED else _NOT_ASKED)
    except ControlError as error:
        click.echo(f"not promoted: {error}", err=True)
        sys.exit(_NOT_ASKED)
    click.echo(_sentence(answer))


def _sentence(answer: dict[str, object]) -> str:
    queue = for_log(str(answer.get("queue", "")))
    waited = _in_words(answer.get("wait_s"))
    if answer.get("from_position") == 1:
        return f"already at the front of {queue}; has been waiting {waited}"
    moved = (
        f"moved from place {for_log(str(answer.get('from_position')))} to the front of {queue}; was waiting {waited}"
    )
    if answer.get("to_position") is None:
        return f"{moved}, and has left the queue since: answered, or hung up"
    return moved


def _in_words(seconds: object) -> str:
    if not isinstance(seconds, int):
        return "for an unknown time"
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S} s"
    return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S} min"
