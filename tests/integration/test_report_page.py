"""The report's page in a real browser: nothing fetched, nothing run, for everybody, on paper too."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from click.testing import CliRunner
from playwright.async_api import Browser, Page, async_playwright

from lab.screens_wallboard import CHROMIUM, CHROMIUM_ARGUMENTS
from router.cli import main
from tests.unit.cli.test_report import RULES, TWO_DAYS
from tests.unit.journal.counting.days import call, condition, write

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>\'"&amp;\u202e{{7*7}}'
_A4_MM = (210, 297)


def made(tmp_path: Path, records: list[dict[str, Any]], language: str = "en") -> Path:
    (tmp_path / "routing.yaml").write_text(RULES)
    page, journal = tmp_path / "page.html", write(tmp_path / f"journal-{'long' * 20}.jsonl", records)
    words = ["report", "--rules", tmp_path / "routing.yaml", "--day", "2026-11-25", "--journal", journal]
    result = CliRunner().invoke(main, [*map(str, words), "--html", str(page), "--language", language])
    assert result.exit_code == 0, result.output
    return page


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        await browser.close()


async def opened(browser: Browser, file: Path, wrong: list[str], **options: Any) -> Page:  # noqa: ANN401
    """A page whose every complaint and request beyond its file is kept in `wrong`."""
    page = await (await browser.new_context(**options)).new_page()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda asked: None if asked.url == file.as_uri() else wrong.append(asked.url))
    await page.goto(file.as_uri())
    return page


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_page_can_be_read_by_everybody(
    browser: Browser, tmp_path: Path, language: str, scheme: Literal["light", "dark"], width: int
) -> None:
    wrong: list[str] = []
    file = made(tmp_path, [*TWO_DAYS, condition("09:00:00", "began")], language)
    page = await opened(browser, file, wrong, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, "only tables scroll sideways"
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert wrong == []


async def test_texts_of_a_journal_are_shown_and_never_run(browser: Browser, tmp_path: Path) -> None:
    wrong: list[str] = []
    fields = dict.fromkeys(("rule", "queue", "target", "fallback", "age_band"), HOSTILE)
    records = [
        *call(1, "09:00:00", wait=1.0, **fields),
        condition("09:00:00", "began", what=HOSTILE, why=HOSTILE, node=HOSTILE),
    ]
    page = await opened(browser, made(tmp_path, records), wrong)
    shown = HOSTILE.replace("\u202e", "\\u202e")
    assert await page.get_by_text(shown, exact=True).count() >= 6
    assert await page.title() == "Older callers and people: Wednesday, November 25, 2026"
    assert await page.locator("img, script").count() == 0
    assert wrong == []


async def test_it_prints_on_a4(browser: Browser, tmp_path: Path) -> None:
    page = await opened(browser, made(tmp_path, TWO_DAYS), [], color_scheme="dark")
    printed = await page.pdf(prefer_css_page_size=True)
    sizes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert 1 < len(sizes) <= 4
    assert {tuple(round(float(side) * 25.4 / 72) for side in size) for size in sizes} == {_A4_MM}
    await page.emulate_media(media="print", color_scheme="dark")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
