"""A picture of the page that `elder-router report --html` writes: a made-up day beside the one before."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from playwright.async_api import async_playwright

from bench.report_day import write_days
from lab.centre import ELDER_ROUTER
from lab.places import PROJECT
from lab.processes import LabError
from lab.screens_wallboard import CHROMIUM, CHROMIUM_ARGUMENTS, IMAGES

CALLS_A_DAY: Final = 60_000
FIRST: Final = datetime(2026, 11, 24, tzinfo=ZoneInfo("Asia/Shanghai"))


async def make(directory: Path = IMAGES) -> list[Path]:
    """Make it; returns the files written.

    Raises:
        LabError: The report could not be made.
    """
    file = directory / "report.png"
    with tempfile.TemporaryDirectory(prefix="elder-screens-") as scratch:
        journal, page = Path(scratch) / "journal.jsonl", Path(scratch) / "report.html"
        await asyncio.to_thread(write_days, journal, FIRST, 2, CALLS_A_DAY)
        await _report(journal, page)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
            try:
                opened = await browser.new_page(viewport={"width": 1100, "height": 1500}, color_scheme="light")
                await opened.goto(page.as_uri())
                await opened.screenshot(path=file)
            finally:
                await browser.close()
    return [file]


async def _report(journal: Path, page: Path) -> None:
    rules = str(PROJECT / "config" / "routing.yaml")
    words = ("--day", "2026-11-25", "--journal", str(journal), "--rules", rules, "--html", str(page))
    process = await asyncio.create_subprocess_exec(
        *(ELDER_ROUTER, "report", *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise LabError(f"the report could not be made:\n{said.decode(errors='replace')}")
