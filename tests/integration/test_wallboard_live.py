"""The wallboard of a real router beside a real Asterisk: what it shows is what happens, and what the journal has."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from playwright.async_api import expect

from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT
from tests.integration.wallboards import chromium, figures_of, is_live, shows
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
ELDER, SENIOR, YOUNGER, NOBODY = "13900000001", "13900000004", "13900000008", "13912340000"
HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"


async def test_a_real_centre_is_shown_as_it_is_before_and_after_the_router_was_killed(
    centre_of: Callable[..., Any],
) -> None:
    centre = await centre_of(
        rules=BRISK, callers=SAMPLE, agents={"agent1": 1500}, extra_dialplan=BRISK_ASSISTANT, supervised=True
    )
    router, callers = centre.router, Callers(centre)
    async with chromium() as browser, Witness(centre.asterisk) as witness:
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{router.wallboard_port}/?lang=en")
        await is_live(page)
        await expect(page.locator("#agents")).to_contain_text("Free1", timeout=20_000)
        callers.call(ELDER, hold_ms=30_000, display_name=HOSTILE)
        await witness.wait_for("AgentConnect", 1)
        pause = {"Action": "QueuePause", "Interface": "PJSIP/agent1"}
        await witness.action(**pause, Paused="true")
        callers.call(SENIOR, hold_ms=60_000)
        await expect(page.locator("#waiting-count")).to_have_text("1", timeout=20_000)
        row = page.locator("#queues tr", has_text="senior-care").locator("td")
        await expect(row.nth(0)).to_have_text("1", timeout=20_000)
        await expect(page.locator("#agents")).to_contain_text("Paused1", timeout=20_000)
        await expect(row.nth(2)).to_have_text("0")
        await witness.action(**pause, Paused="false")
        for caller in (YOUNGER, NOBODY):
            callers.call(caller, hold_ms=1_000)
        await callers.all_ended()
        await router.wait_for_records("outcome", 4)
        await expect(page.locator("#last")).to_contain_text("answered by agent1")
        await expect(page.locator("#waiting-count")).to_have_text("0")
        await shows(page, figures_of(router.journal))

        await router.child.stop(signal.SIGKILL)
        await expect(page.locator("#lost")).to_contain_text("Connection lost", timeout=20_000)
        await router.start()
        await is_live(page)
        await expect(page.locator("#lost")).to_be_hidden()
        callers.call(ELDER, hold_ms=30_000)
        await callers.all_ended()
        await router.wait_for_records("outcome", 5)
        await expect(page.locator("#sums div:nth-child(1) dd")).to_have_text("5", timeout=20_000)
        await shows(page, figures_of(router.journal))
        assert await page.evaluate("window.hacked") is None

        await centre.asterisk.child.stop(signal.SIGKILL)
        await expect(page.locator("#faults")).to_contain_text("Asterisk not linked", timeout=20_000)
        await expect(page.locator("#links")).to_contain_text("not linked")
