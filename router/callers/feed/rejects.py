"""The file of rejected rows: CSV with line, masked caller and reason, for people and their spreadsheets.

For Parquet, which has no lines, `row` counts from 1.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

# What a spreadsheet takes for the beginning of a formula; a masked number begins with a plus. An apostrophe before it
# makes it text, and is not shown.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def reject_header(unit: str) -> bytes:
    """The first line; `unit` is `line` or `row`."""
    return f"{unit},caller,reason\n".encode()


def reject_line(row: int, caller: str, reason: str) -> str:
    """One rejected row."""
    return f"{row},{_cell(caller)},{_cell(reason)}\n"


def publish_rejects(source: Path, target: Path) -> None:
    """Copy the finished file to where it was asked for, for its owner only; the name never stands for half a file.

    Raises:
        OSError: It cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream, source.open("rb") as finished:
            shutil.copyfileobj(finished, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _cell(text: str) -> str:
    if text.startswith(_FORMULA):
        text = f"'{text}"
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(mark in text for mark in '",\r\n') else text
