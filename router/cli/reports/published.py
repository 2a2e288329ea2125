"""Puts a finished report where it was asked for: whole or not at all, and never over a journal."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from router.cli.options import CouldNotRunError

_JOURNAL_BEGINS = (b'{"record":', b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


def refuse_journals(target: Path, journals: Sequence[Path]) -> None:
    """Look at where a report is to be put before it is made.

    Raises:
        CouldNotRunError: A journal, or something compressed, is there, or the report cannot be put there.
    """
    try:
        if target.is_dir():
            raise CouldNotRunError(f"{target}: this is a folder; give the name of a file in it")
        if not target.parent.is_dir():
            raise CouldNotRunError(f"{target}: there is no folder {target.parent}; make it first")
        if not target.is_file():
            return  # not there yet; or a pipe or a device, which keep nothing and may not be read from
        is_named = any(journal.exists() and journal.samefile(target) for journal in journals)
        with target.open("rb") as stream:
            is_journal = is_named or stream.read(16).startswith(_JOURNAL_BEGINS)
    except OSError as error:
        raise CouldNotRunError(f"{target}: cannot be looked at: {error.strerror or error}") from error
    if is_journal:
        raise CouldNotRunError(f"{target}: this is a journal, which is never written over; choose another name")


def publish(text: str, target: Path, *, encoding: str = "utf-8") -> None:
    """Write a file whose name never stands for half of it. A link stays one; a pipe or a device is written to.

    Raises:
        CouldNotRunError: It cannot be written.
    """
    content = text.encode(encoding, errors="replace")
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:  # a file in its place would be the end of it: of /dev/null for everybody
                stream.write(content)
            return
        file = target.resolve()
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CouldNotRunError(f"{target}: cannot be written: {error.strerror or error}") from error
