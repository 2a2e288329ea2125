"""The asking end of the control socket, for commands: one request, one answer, with a deadline."""

from __future__ import annotations

import grp
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from router.control.protocol import MAX_ANSWER_BYTES, read_answer, write_request
from router.errors import ControlError

PATIENCE_S: Final = 25.0
"""Longer than the router takes at worst, so that it is the router who says what is wrong."""

_AT_ONCE = 4096


def ask(path: Path, do: str, fields: Mapping[str, object], *, patience_s: float = PATIENCE_S) -> dict[str, object]:
    """Ask the running router; return its answer.

    Args:
        path: Its control socket.
        do: What to do.
        fields: What else the request holds.
        patience_s: For all of it.

    Raises:
        Unanswerable: The router says why it did not do it.
        ControlError: The router could not be asked, or did not answer.
    """
    deadline = time.monotonic() + patience_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience_s)
        try:
            connection.connect(str(path))
            connection.sendall(write_request(do, fields))
            line = _line(connection, deadline)
        except TimeoutError as error:
            raise ControlError(f"the router did not answer within {patience_s:g} s; see its log") from error
        except OSError as error:
            raise ControlError(_what_to_do(path, error)) from error
    return read_answer(line)


def _line(connection: socket.socket, deadline: float) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        more = connection.recv(_AT_ONCE)
        if not more:
            raise ControlError("the router hung up without an answer: it is being stopped, or see its log")
        line += more
        if len(line) > MAX_ANSWER_BYTES:
            raise ControlError(
                f"the answer is longer than {MAX_ANSWER_BYTES} bytes: is it a router that listens there?"
            )
    return line


def _what_to_do(path: Path, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return f"no router listens on {path}: is it running? `systemctl status elder-router` tells"
        case ConnectionRefusedError():
            return f"no router listens on {path} any more: it has ended; `systemctl status elder-router` tells why"
        case BlockingIOError():  # it does not come round to taking connections
            return f"the router on {path} has too much to do to answer; try again"
        case PermissionError():
            return (
                f"you may not use {path}: only root and members of the group {_group(path)} may; "
                "have an administrator add you, and log in anew"
            )
    return f"no router can be asked on {path}: {error.strerror or error}"


def _group(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "that it belongs to"
