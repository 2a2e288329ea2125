"""Running the programs that make sound: found once, never through a shell, always with a deadline.

What is spoken and what is stretched goes in on standard input and comes out on standard output. No text and
no file name from outside becomes an argument: espeak-ng would read `-w/etc/x` as an option, and sox runs a
file name that begins with `|` as a command.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from router.errors import SpeechError

# A minute-long prompt takes about 0.05 s; a program that takes a minute hangs.
DEADLINE_S: Final = 60.0
_LONGEST_COMPLAINT_CHARACTERS: Final = 200


def find_program(name: str, *, purpose: str) -> Path:
    """Find an installed program.

    Raises:
        SpeechError: it is not there; the message says what to install.
    """
    found = shutil.which(name)
    if found is None:
        raise SpeechError(
            f"{name}, which {purpose}, is not installed: install the package {name} (apt-get install {name}) "
            "and run this again"
        )
    return Path(found).absolute()


def run(program: Path, arguments: Sequence[str], *, stdin: bytes = b"") -> bytes:
    """Run a program to its end.

    Returns:
        Its standard output.

    Raises:
        SpeechError: it could not be started, failed, or took longer than a minute.
    """
    try:
        ended = subprocess.run(  # noqa: S603 - an argument list without a shell; see the module's docstring
            [str(program), *arguments], input=stdin, capture_output=True, timeout=DEADLINE_S, check=False
        )
    except OSError as error:
        raise SpeechError(f"{program} could not be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise SpeechError(f"{program.name} did not end within {DEADLINE_S:g} s and was stopped") from error
    if ended.returncode != 0:
        raise SpeechError(f"{program.name} failed: {_complaint(ended.stderr) or f'status {ended.returncode}'}")
    return ended.stdout


def _complaint(stderr: bytes) -> str:
    """The last line a program wrote, fit for a message."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1].partition(" FAIL ")[2] or lines[-1] if lines else ""
    return "".join(c if c.isprintable() else " " for c in last)[:_LONGEST_COMPLAINT_CHARACTERS]
