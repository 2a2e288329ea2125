"""`make screenshots`: the pictures in docs/images, and what they were made from, so that a test can tell old ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from rich.console import Console

from lab import screens_report, screens_tail, screens_wallboard
from lab.places import PROJECT
from lab.screens_wallboard import IMAGES

MADE_FROM: Final = IMAGES / "made-from.txt"
SHOWN: Final = (
    "router/web/wallboard/page/*",
    "router/cli/reports/templates/*",
    "router/cli/reports/charts.py",
    "router/cli/reports/page.py",
    "router/cli/tail_lines.py",
    "router/cli/tail_screen.py",
    "lab/screens_*.py",
)
"""What the pictures look like because of it."""


async def main() -> int:
    """Make all of them."""
    console = Console(highlight=False)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for what, part in (("wallboard", screens_wallboard), ("report", screens_report), ("tail", screens_tail)):
        console.print(f"[bold]==>[/] taking pictures: {what}")
        for file in await part.make(IMAGES):
            console.print(f"written: {file.relative_to(PROJECT)}")
    MADE_FROM.write_text(made_from())
    return 0


def made_from() -> str:
    """A line for each file that the pictures show, with its hash."""
    files = sorted(file for pattern in SHOWN for file in PROJECT.glob(pattern) if file.is_file())
    return "".join(f"{_hash(file)}  {file.relative_to(PROJECT)}\n" for file in files)


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
