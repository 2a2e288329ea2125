"""The wallboard in a browser, for tests: opened, waited for, and held against the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, Page, async_playwright, expect

from lab.screens_wallboard import CHROMIUM, CHROMIUM_ARGUMENTS
from router.journal.counting.count import count
from router.journal.counting.figures import NOTHING, Figures, Share, Span
from router.journal.tally import day_of
from tests.unit.web.wallboard.boards import BOOK, LEVEL

ZONE = ZoneInfo(BOOK.timezone)
REASONS = {"heartbeat": "router not heard of", "deadline": "no answer in time"}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        await browser.close()


async def is_live(page: Page) -> None:
    await expect(page.locator("body:not(.old) #live[data-kind=good]")).to_be_visible(timeout=20_000)


def figures_of(journal: Path) -> Figures:
    day = day_of(datetime.now(UTC).timestamp(), ZONE)
    span = Span(datetime.fromtimestamp(day.start_s, UTC), datetime.fromtimestamp(day.end_s, UTC))
    return count([journal], span, ZONE, BOOK.protected, LEVEL.within_s)


def percent(share: Share) -> str:
    return "–" if share.value is None else f"{share.value * 100:.1f}%"


async def shows(page: Page, figures: Figures) -> None:
    """Every figure of the page is the journal's."""
    older, everybody = figures.protected, figures.overall
    await expect(page.locator("#sums div:nth-child(1) dd")).to_have_text(f"{everybody.calls:,}", timeout=20_000)
    await expect(page.locator("#within-15-share")).to_have_text(percent(older.answered_within_15s))
    await expect(page.locator("#within-15-of")).to_contain_text(f"{older.in_time_published} of {older.offered}")
    await expect(page.locator("#by-person-share")).to_have_text(percent(older.share_without_assistant))
    await expect(page.locator("#by-person-of")).to_contain_text(f"{older.without_assistant} of {older.ended}")
    await expect(page.locator("#level")).to_contain_text(percent(older.service_level))
    sums = dict(zip(*[await page.locator(f"#sums {kind}").all_text_contents() for kind in ("dt", "dd")], strict=True))
    answered = Share(everybody.answered, everybody.offered)
    assert sums["Under way"] == str(everybody.under_way)
    assert sums["Wanted a person"] == str(everybody.offered)
    assert sums["Answered"] == f"{everybody.answered} ({percent(answered)})"
    assert sums["Abandoned"] == f"{everybody.abandoned} ({percent(everybody.abandon_rate)})"
    assert sums["Within 20 s"] == percent(everybody.service_level)
    assert sums["Self-served"] == str(everybody.self_served)
    assert sums["Unknown callers"].split()[0] == str(sum(figures.unknown.values()))
    reasons = [f"{calls} {REASONS[why]}" for why, calls in figures.fallback.items()]
    assert all(reason in sums["Fallback"] for reason in reasons)
    assert sums["Fallback"].startswith(f"{everybody.fallback}: " if len(reasons) > 1 else f"{everybody.fallback}")
    for row in await page.locator("#bands tr").all():
        cells = [await cell.text_content() or "" for cell in await row.locator("th, td").all()]
        name = "" if cells[0] == "unknown" else cells[0]
        of = everybody if name == "All" else figures.by_band.get(name, NOTHING)
        expected = [f"{of.calls}", *map(percent, (of.answered_within_15s, of.share_without_assistant, of.abandon_rate))]
        assert cells[3:] == expected, cells
