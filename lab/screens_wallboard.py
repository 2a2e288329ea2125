"""Pictures of the wallboard for the documentation: a made-up day on the real page, in a real browser.

    python -m lab.screens_wallboard [DIRECTORY]

The day is the same each time: its clock stands still, and chance is seeded.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from lab.places import PROJECT
from lab.ports import free_port
from router.calls.agents import AgentCounts, Agents
from router.calls.call import Call
from router.journal.conditions import ASTERISK_NOT_LINKED, REDIS_NOT_ANSWERING, ActiveCondition, AsteriskState
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.journal.settings import ServiceLevel
from router.journal.tally import Tally
from router.rules.book import RuleBook, load_rules
from router.rules.model import QueueState
from router.web.settings import WallboardSettings
from router.web.wallboard.board import Board, Seen
from router.web.wallboard.server import wallboard_served

IMAGES: Final = PROJECT / "docs" / "images"
CHROMIUM: Final = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)

NOW: Final = datetime(2026, 11, 26, 7, 20, 42, tzinfo=UTC)  # 15:20 in Shanghai
CALLS_SO_FAR: Final = 61_480
LAST: Final = 60
MONOTONIC_S: Final = 50_000.0

_RULES: Final = {
    "elder": ("seniors reach a person", "senior-care"),
    "senior": ("seniors reach a person", "senior-care"),
    "adult": ("everyone else meets the assistant", "assistant"),
    "minor": ("everyone else meets the assistant", "assistant"),
    None: ("everyone else meets the assistant", "assistant"),
}
_FELL_BACK: Final = range(4_000, CALLS_SO_FAR, 9_000)
_HUNG_UP_EARLY, _ABANDONED = 0.012, 0.028
"""Shares of older callers; below, of the others."""
_SELF_SERVED, _OTHERS_EARLY, _OTHERS_ABANDONED = 0.61, 0.66, 0.69
_BANDS: Final = (*["elder"] * 12, *["senior"] * 34, *["adult"] * 44, "minor", *[None] * 9)


@dataclass(frozen=True, slots=True)
class View:
    """One picture: the size of the screen, the language, the colours, and whether something is wrong."""

    name: str
    width: int
    height: int
    language: str = "en"
    colours: str = "light"
    is_wrong: bool = False


VIEWS: Final = (
    View("wall", 1920, 1080),
    View("phone", 390, 844),
    View("dark", 1920, 1080, colours="dark", is_wrong=True),
    View("chinese", 1920, 1080, language="zh"),
)


def made_up_board(*, is_wrong: bool) -> Board:
    """A board in the middle of a plausible afternoon, on which nothing moves.

    Args:
        is_wrong: Whether something is wrong with the systems.
    """
    chance = random.Random(20261126)
    book = load_rules(PROJECT / "config" / "routing.yaml")
    conditions = (
        ActiveCondition("pbx2", ASTERISK_NOT_LINKED, "no manager connection (waiting)", NOW - timedelta(minutes=3)),
        ActiveCondition("", REDIS_NOT_ANSWERING, "127.0.0.1:6379 does not answer", NOW - timedelta(seconds=95)),
    )
    board = Board(
        lambda: _seen(book, is_wrong=is_wrong),
        lambda: book,
        lambda: conditions if is_wrong else (),
        ServiceLevel(percent=80, within_s=20),
        now=NOW.timestamp,
        monotonic=lambda: MONOTONIC_S,
    )
    board.counted(_day(board.uncounted(), chance))
    for record in _last(chance):
        board.take(record)
    return board


def _day(tally: Tally, chance: random.Random) -> Tally:
    begun_s = NOW.timestamp() - 7.3 * 3600
    for number in range(CALLS_SO_FAR):
        band = chance.choice(_BANDS)
        is_protected = band in tally.protected_now
        call = ("pbx1", f"{number}.0")
        fallback = "deadline" if number in _FELL_BACK else ""
        tally.decided(
            call,
            begun_s + number / CALLS_SO_FAR * 7.29 * 3600,
            ask=1,
            band=band,
            source="registry" if band else chance.choices(("unknown", "no_number"), (8, 1))[0],
            protected=is_protected,
            fallback=fallback,
        )
        if number > CALLS_SO_FAR - 190:
            continue  # under way
        ended, wait_s, touched = _end(chance, is_protected=is_protected)
        tally.ended(call, ended, wait_s=wait_s, touched_assistant=touched, fallback="")
    return tally


def _end(chance: random.Random, *, is_protected: bool) -> tuple[str, float | None, bool]:
    lot = chance.random()
    if is_protected:
        wait_s = chance.expovariate(1 / 5.5)
        if lot < _HUNG_UP_EARLY:
            return Ending.HUNG_UP_EARLY, None, False
        return (Ending.ABANDONED if lot < _ABANDONED else Ending.ANSWERED), wait_s, False
    if lot < _SELF_SERVED:
        return Ending.SELF_SERVED, None, True
    if lot < _OTHERS_EARLY:
        return Ending.HUNG_UP_EARLY, None, True
    return (Ending.ABANDONED if lot < _OTHERS_ABANDONED else Ending.ANSWERED), chance.expovariate(1 / 14), True


def _last(chance: random.Random) -> Iterator[DecisionRecord | OutcomeRecord]:
    for number in range(LAST):
        at = NOW - timedelta(seconds=(LAST - number) * 0.44)
        band = chance.choice(_BANDS)
        rule, target = _RULES[band]
        fallback = "deadline" if number == LAST - 13 else ""
        call = {"node": "pbx1", "uniqueid": f"{CALLS_SO_FAR + number}.0", "linkedid": f"{CALLS_SO_FAR + number}.0"}
        yield DecisionRecord(
            **call,
            time=at,
            ask=1,
            caller=f"+86139****{chance.randrange(10_000):04}",
            caller_key="",
            called="95500",
            language="zh",
            age_band=band,
            protected=band in {"elder", "senior"},
            band_source="registry" if band else "unknown",
            rule="" if fallback else rule,
            target="people" if fallback else target,
            rules_version="5f3a9c01d2e4",
            lookup_ms=None if fallback else round(chance.uniform(0.2, 0.6), 3),
            decide_ms=None if fallback else round(chance.uniform(0.02, 0.09), 3),
            apply_ms=None if fallback else round(chance.uniform(0.7, 1.9), 3),
            applied=not fallback,
            fallback=fallback,
        )
        if number % 3 == 0 and number < LAST - 8:
            ended = Ending.ANSWERED if target == "senior-care" else Ending.SELF_SERVED
            yield OutcomeRecord(
                **call,
                time=at + timedelta(seconds=8),
                ask=1,
                ended=ended,
                answered_by=f"agent-{chance.randrange(10, 60)}" if ended is Ending.ANSWERED else "",
                wait_s=round(chance.expovariate(1 / 5), 1) if ended is Ending.ANSWERED else None,
                touched_assistant=ended is Ending.SELF_SERVED,
            )


def _seen(book: RuleBook, *, is_wrong: bool) -> list[Seen]:
    waits = {
        "elder": (3.1, 14.6),
        "senior": (1.0, 7.7, 22.4) if is_wrong else (1.0, 7.7, 11.2),
        "adult": (4.0, 31.9, 48.3),
    }
    calls = {
        f"{band}{n}": Call(
            *("pbx1", f"{band}{n}", f"{band}{n}", 1, MONOTONIC_S - wait_s - 2),
            band=band,
            is_protected=band in book.protected,
            joined_at=MONOTONIC_S - wait_s,
        )
        for band, each in waits.items()
        for n, wait_s in enumerate(each)
    }
    agents = Agents(
        AgentCounts(free=6, ringing=2, talking=71, paused=9, unavailable=14),
        {
            "senior-care": AgentCounts(free=4, ringing=2, talking=38, paused=3),
            "agents": AgentCounts(free=2, talking=33, paused=6),
        },
    )
    queues = {"senior-care": QueueState(5, 14, 4), "agents": QueueState(3, 48, 2)}
    up = AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0.4)
    other = AsteriskState("pbx2", is_linked=not is_wrong, link="waiting", is_taken_up=True, heartbeat_age_s=0.6)
    return [Seen(up, calls, queues, agents), Seen(other, {})]


async def picture(browser: Browser, view: View, file: Path) -> None:
    """Write one picture."""
    port = free_port()
    settings = WallboardSettings("127.0.0.1", port, "elder-router.yaml", 1, 1)
    async with wallboard_served(settings, made_up_board(is_wrong=view.is_wrong)):
        page = await browser.new_page(
            viewport={"width": view.width, "height": view.height},
            color_scheme="dark" if view.colours == "dark" else "light",
        )
        await page.goto(f"http://127.0.0.1:{port}/?lang={view.language}")
        await page.wait_for_selector("body:not(.old) #last tr:nth-child(10)")
        await page.evaluate("document.fonts.ready")
        await page.screenshot(path=file)
        await page.close()


async def make(directory: Path = IMAGES) -> list[Path]:
    """Write all pictures; returns their files."""
    made = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        for view in VIEWS:
            made.append(directory / f"wallboard-{view.name}.png")
            await picture(browser, view, made[-1])
        await browser.close()
    return made


if __name__ == "__main__":
    for written in asyncio.run(make(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)):
        print(written)
