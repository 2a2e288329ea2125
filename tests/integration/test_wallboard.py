"""The wallboard in a real browser: true figures, back by itself after a restart, for everybody, unhurt by texts."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from lab.ports import free_port
from lab.screens_wallboard import made_up_board
from router.journal.conditions import ActiveCondition, AsteriskState
from router.journal.day_so_far import EarlierRuns
from router.journal.records import Ending, Record
from router.journal.tally import day_of
from router.journal.telling import TellingJournal
from router.journal.writer import JournalWriter
from router.rules.model import QueueState
from router.web.settings import WallboardSettings
from router.web.wallboard import feed, files, server
from router.web.wallboard.board import Board, Seen
from router.web.wallboard.server import wallboard_served
from tests.integration.wallboards import ZONE, chromium, figures_of, is_live, shows
from tests.unit.web.wallboard.boards import BOOK, Centre, begun, over

TOKEN = "b7e2-made-up"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"&amp;\u202e{{7*7}}'


class Served:
    """A wallboard on a port that stays the same, started and stopped as a router is."""

    def __init__(self) -> None:
        self.settings = WallboardSettings("127.0.0.1", free_port(), "e.yaml", 3, 5)
        self.url = f"http://127.0.0.1:{self.settings.port}/"
        self._running = AsyncExitStack()

    async def start(self, board: Board, earlier: EarlierRuns | None = None, **changed: Any) -> None:  # noqa: ANN401
        settings = replace(self.settings, **changed)
        await self._running.enter_async_context(wallboard_served(settings, board, earlier))

    async def stop(self) -> None:
        await self._running.aclose()
        self._running = AsyncExitStack()


@pytest_asyncio.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(feed, "EVERY_S", 0.1)
    board = Served()
    yield board
    await board.stop()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


Open = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture
async def look(browser: Browser, served: Served) -> AsyncIterator[Open]:
    """Opens the wallboard; whatever goes wrong in a page, or is asked of another host, fails the test."""
    wrong: list[str] = []

    async def new(path: str = "", **options: Any) -> Page:  # noqa: ANN401
        context = await browser.new_context(**options)
        page = await context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"an error in the page: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.on("request", lambda asked: None if asked.url.startswith(served.url) else wrong.append(asked.url))
        await page.goto(served.url + path)
        return page

    yield new
    assert wrong == []


def a_day(calls: int = 400) -> list[Record]:
    """Calls of today up to now, of all bands and endings."""
    chance = random.Random(5)  # noqa: S311 - the same day each time
    now = datetime.now(UTC)
    start = datetime.fromtimestamp(day_of(now.timestamp(), ZONE).start_s, UTC)
    records: list[Record] = []
    for n in range(calls):
        at = start + (now - start) * (n / calls)
        band = chance.choice(["elder", "senior", "adult", "minor", None])
        source = "registry" if band else chance.choice(["unknown", "no_number", "lookup_failed"])
        changed = {"age_band": band, "protected": band in BOOK.protected, "band_source": source, "time": at}
        changed["fallback"] = chance.choice(["", "", "", "", "heartbeat", "deadline"])
        records.append(begun(f"{n}.0", **changed))
        if n % 9 == 0:
            records.append(begun(f"{n}.0", **changed, ask=2))
        if n % 11:
            wait_s = chance.choice([0.0, 3.25, 15.0, 15.001, 20.0, 33.5])
            ended = chance.choice([*Ending, Ending.ANSWERED, Ending.ANSWERED])
            records.append(over(f"{n}.0", time=at, ended=ended, wait_s=wait_s, touched_assistant=chance.random() < 0.3))
    return records


async def test_every_figure_is_the_journals_and_is_again_after_a_restart(
    served: Served, look: Open, tmp_path: Path
) -> None:
    records = a_day()
    journal = JournalWriter(tmp_path / "journal.jsonl")
    centre = Centre(now=datetime.now(UTC))
    board = centre.board()
    telling = TellingJournal(journal, [board.take])
    for record in records[:500]:
        telling.write(record)
    await served.start(board)
    page = await look("?lang=en")
    await shows(page, figures_of(journal.path))

    await served.stop()
    await expect(page.locator("#lost")).to_contain_text("Connection lost", timeout=20_000)
    await expect(page.locator("body.old")).to_be_attached(timeout=20_000)
    journal = JournalWriter(journal.path)  # another run
    board = centre.board(is_whole=False)
    telling = TellingJournal(journal, [board.take])
    for record in records[500:]:
        telling.write(record)
    await served.start(board, EarlierRuns(journal.path, journal.run))
    await is_live(page)
    await expect(page.locator("#lost")).to_be_hidden()
    await expect(page.locator("#day-state")).to_have_text("", timeout=20_000)
    await shows(page, figures_of(journal.path))


async def test_who_waits_is_shown_as_it_changes(served: Served, look: Open) -> None:
    centre = Centre()
    calls = {"1": centre.call("1", 5), "2": centre.call("2", 12, "senior"), "3": centre.call("3", 90, "adult")}
    centre.seen = [Seen(AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0), calls)]
    await served.start(centre.board())
    page = await look("?lang=en")
    await expect(page.locator("#waiting-count")).to_have_text("2")
    await expect(page.locator("#waiting-longest")).to_have_text("12 s")
    await expect(page.locator("#waiting-verdict")).to_have_text("Within 20 s")
    centre.monotonic_s += 9
    await expect(page.locator("#waiting-verdict")).to_have_text("Over 20 s: too long")
    calls.clear()
    await expect(page.locator("#waiting-verdict")).to_have_text("Nobody is waiting")


async def test_no_text_from_anywhere_is_ever_markup_or_executed(served: Served, look: Open) -> None:
    centre = Centre(conditions=[ActiveCondition(HOSTILE, HOSTILE, HOSTILE, datetime.now(UTC))])
    centre.seen = [Seen(AsteriskState(HOSTILE, is_linked=False, link=HOSTILE), {"1": centre.call("1", 5, HOSTILE)})]
    board = centre.board()
    texts = dict.fromkeys(
        ("node", "called", "rule", "target", "age_band", "fallback", "not_applied_why", "caller"), HOSTILE
    )
    board.take(begun(HOSTILE, **texts))
    board.take(over(HOSTILE, node=HOSTILE, answered_by=HOSTILE))
    board.take(begun("2.0", **(texts | {"fallback": "", "applied": False})))
    await served.start(board)
    page = await look("?lang=en")
    line = page.locator("#last tr:nth-child(2)")
    await expect(line).to_contain_text(HOSTILE)
    for cell in (2, 3, 4, 5, 7):
        await expect(line.locator(f":nth-child({cell})")).to_contain_text(HOSTILE)
    for place in ("#faults", "#links", "#bands", "#sums"):
        await expect(page.locator(place)).to_contain_text(HOSTILE)
    assert await page.evaluate("document.querySelectorAll('main img, main script, section img').length") == 0
    assert await page.evaluate("window.hacked") is None


async def test_a_script_that_got_in_all_the_same_would_not_run(served: Served, browser: Browser) -> None:
    await served.start(Centre().board())
    page = await browser.new_page()
    await page.goto(served.url)
    await page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
        "const d = document.createElement('div'); d.innerHTML = '<img src=x onerror=\"window.hacked=1\">';"
        "document.body.append(d)"
    )
    await page.wait_for_timeout(300)
    assert await page.evaluate("window.hacked") is None


VIEWS: dict[str, dict[str, Any]] = {
    "wall": {"viewport": {"width": 1920, "height": 1080}},
    "dark": {"viewport": {"width": 1920, "height": 1080}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    "chinese": {"viewport": {"width": 1280, "height": 720}, "locale": "zh-CN"},
}


@pytest.mark.parametrize("view", VIEWS)
async def test_everybody_can_use_it(served: Served, look: Open, view: str) -> None:
    await served.start(made_up_board(is_wrong=True))
    page = await look(**VIEWS[view])
    await is_live(page)
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    width = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0
    bottoms = "[...document.querySelectorAll('main section')].map((one) => one.getBoundingClientRect().bottom)"
    top = await page.evaluate("document.querySelector('footer').getBoundingClientRect().top")
    assert max(await page.evaluate(bottoms)) <= top
    assert await page.locator("#last tr:nth-child(3) .outcome").is_visible()


async def test_a_wall_has_everything_on_one_screen(served: Served, look: Open) -> None:
    await served.start(made_up_board(is_wrong=True))
    page = await look(**VIEWS["wall"])
    await is_live(page)
    assert await page.evaluate("document.documentElement.scrollHeight") <= 1080
    for row in await page.locator("#bands tr").all():
        await expect(row).to_be_in_viewport(ratio=1)
    height = await page.locator("#waiting-count").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    assert height >= 100
    await served.stop()
    await expect(page.locator("#lost")).to_be_visible(timeout=20_000)
    hidden = "element => element.closest('.scroll').scrollHeight - element.closest('.scroll').clientHeight"
    assert await page.locator("#bands").evaluate(hidden) <= 1  # of a pixel that is none


async def test_a_finer_wall_shows_the_same_larger(served: Served, look: Open) -> None:
    await served.start(made_up_board(is_wrong=True))
    page = await look(viewport={"width": 3840, "height": 2160})
    await is_live(page)
    size = await page.locator("#bands").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    assert size >= 2 * 18
    assert await page.evaluate("document.documentElement.scrollHeight") <= 2160


async def test_many_long_names_hide_no_figure_on_a_wall(served: Served, look: Open) -> None:
    bands = [f"band-{n}-{'x' * 50}" for n in range(12)]
    queues = [f"{n}-{'q' * 50}" for n in range(100)]
    book = replace(BOOK, queues=frozenset(queues))
    centre = Centre(book=book)
    states = {name: QueueState(0, 0, 1) for n, name in enumerate(queues)}
    states["99-" + "q" * 50] = QueueState(3, 95, 0)
    linked = AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0)
    centre.seen = [Seen(linked, {}, states)]
    board = centre.board()
    for n, band in enumerate(bands):
        board.take(begun(f"{n}.0", age_band=band, rule="老年来电者直接接入人工坐席" * 4, caller="+8613900000001"))
    await served.start(board)
    page = await look("?lang=en", **VIEWS["wall"])
    await is_live(page)
    assert await page.evaluate("document.documentElement.scrollHeight") <= 1080
    for place in ("#bands", "#queues"):
        hidden = "element => element.parentElement.parentElement"
        inside = await page.locator(place).evaluate(
            f"element => (({hidden})(element).scrollWidth - ({hidden})(element).clientWidth)"
        )
        assert inside == 0, place
    await expect(page.locator("#bands tr[data-kind=all] th")).to_be_in_viewport(ratio=1)
    await expect(page.locator("#queues tr").first).to_contain_text("99-qq")


async def test_before_the_first_call_that_is_said_in_full(served: Served, look: Open) -> None:
    await served.start(Centre().board())
    page = await look("?lang=en", **VIEWS["wall"])
    await is_live(page)
    cell = page.locator("#last th")
    await expect(cell).to_have_text("No call since the router was started")
    assert await cell.evaluate("element => getComputedStyle(element).overflow") == "visible"


async def test_of_an_old_fault_the_day_is_told_too(served: Served, look: Open) -> None:
    centre = Centre()
    since = centre.now - timedelta(days=3)
    centre.conditions = [ActiveCondition("", "rules refused", "why", since)]
    await served.start(centre.board())
    page = await look("?lang=en")
    day = since.astimezone(ZONE)
    await expect(page.locator("#faults")).to_contain_text(f"since {day:%A} {day.day} {day:%B}, {day:%H:%M:%S}")


async def test_after_a_laptop_slept_old_figures_are_not_taken_for_new_ones(
    served: Served, look: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Centre().board()
    await served.start(board)
    page = await look("?lang=en")
    await is_live(page)
    monkeypatch.setattr(board, "look", lambda: 1 / 0)  # the connection stands, and brings nothing
    await page.evaluate("const now = Date.now; Date.now = () => now() + 8 * 3600 * 1000")
    await expect(page.locator("#lost")).to_contain_text("8 h 0 min", timeout=3_000)
    await expect(page.locator("body.old")).to_be_attached()
    await expect(page.locator("#live")).not_to_have_text("Live")
    monkeypatch.undo()
    await is_live(page)


async def test_the_keyboard_reaches_all_there_is_to_do(served: Served, look: Open) -> None:
    await served.start(made_up_board(is_wrong=False))
    page = await look("?lang=en")
    await is_live(page)
    reached = []
    for _ in range(6):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate("document.activeElement.dataset.language || document.activeElement.className")
        )
    assert reached == ["skip", "en", "zh", "scroll", "scroll", "scroll"]
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.locator("[data-language=zh]").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#waiting h3")).to_have_text("正在等待")


async def test_screen_readers_hear_of_faults_when_they_change_and_not_of_every_figure(
    served: Served, look: Open
) -> None:
    centre = Centre()
    await served.start(centre.board())
    page = await look("?lang=en")
    await is_live(page)
    await page.evaluate(
        "window.said = 0; new MutationObserver((all) => window.said += all.length).observe("
        "document.getElementById('fault-list'), {childList: true, subtree: true, characterData: true})"
    )
    assert await page.locator("[aria-live], [role=status]").count() == 0
    centre.conditions.append(ActiveCondition("", "redis not answering", "why", datetime.now(UTC)))
    await expect(page.locator("#faults[role=alert]")).to_contain_text("callers are not recognised")
    said = await page.evaluate("window.said")
    clock = await page.locator("#clock").text_content()
    centre.now += timedelta(seconds=5)
    await expect(page.locator("#clock")).not_to_have_text(clock or "")
    assert await page.evaluate("window.said") == said > 0


async def test_the_language_is_the_addresss_then_the_one_chosen_then_the_browsers(
    served: Served, browser: Browser
) -> None:
    await served.start(Centre().board())
    context = await browser.new_context(locale="zh-CN")
    page = await context.new_page()
    title = page.locator("h1")
    await page.goto(served.url)
    await expect(title).to_have_text("呼叫中心大屏")
    assert await page.evaluate("document.documentElement.lang") == "zh-Hans"
    await page.goto(f"{served.url}?lang=en")
    await expect(title).to_have_text("Wallboard")
    await page.get_by_role("button", name="English").click()
    await page.goto(served.url)
    await expect(title).to_have_text("Wallboard")
    await page.goto(f"{served.url}?lang=zh")
    await expect(title).to_have_text("呼叫中心大屏")


async def test_a_person_logs_in_once_and_stays_so_when_the_router_is_restarted(
    served: Served, browser: Browser
) -> None:
    await served.start(Centre().board(), token=TOKEN)
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(served.url)
    assert (await Axe().run(page)).violations_count == 0
    await page.get_by_label("Token").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("That is not the token")
    await page.get_by_label("Token").fill(TOKEN)
    await page.keyboard.press("Enter")
    await is_live(page)
    assert page.url == served.url
    (cookie,) = await context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert TOKEN not in cookie["value"]

    await served.stop()
    await expect(page.locator("#lost")).to_be_visible(timeout=20_000)
    await served.start(Centre().board(), token=TOKEN)
    await is_live(page)

    await served.stop()
    await served.start(Centre().board(), token="another")
    await expect(page.locator("#lost")).to_contain_text("token is asked for again", timeout=20_000)
    await served.stop()
    await served.start(Centre().board(), token=TOKEN)
    await is_live(page)


async def test_the_token_does_not_stay_in_the_address(served: Served, browser: Browser) -> None:
    await served.start(Centre().board(), token=TOKEN)
    page = await browser.new_page()
    await page.goto(f"{served.url}?token={TOKEN}&lang=zh")
    await is_live(page)
    assert page.url == f"{served.url}?lang=zh"


async def test_who_comes_when_too_many_look_is_let_in_once_there_is_room(
    served: Served, look: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_VIEWERS", 1)
    await served.start(Centre().board())
    first = await look("?lang=en")
    await is_live(first)
    second = await look("?lang=en")
    await expect(second.locator("#lost")).to_contain_text("Too many others", timeout=20_000)
    await first.close()
    await is_live(second)


async def test_a_page_of_another_version_loads_itself_anew(
    served: Served, look: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.start(Centre().board())
    page = await look("?lang=en")
    await is_live(page)
    before = await page.locator("meta[name=version]").get_attribute("content")
    await served.stop()
    made = files.page_files()
    newer = replace(made, version="0123456789ab", page=made.page.replace(made.version, "0123456789ab"))
    monkeypatch.setattr(server, "page_files", lambda: newer)
    await served.start(Centre().board())
    await expect(page.locator("meta[name=version]")).to_have_attribute("content", "0123456789ab", timeout=20_000)
    assert before == made.version
    await is_live(page)


async def test_figures_that_grow_old_are_greyed_though_the_connection_stands(
    served: Served, look: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Centre().board()
    await served.start(board)
    page = await look("?lang=en")
    await is_live(page)
    monkeypatch.setattr(board, "look", lambda: 1 / 0)
    await expect(page.locator("body.old")).to_be_attached(timeout=20_000)
    await expect(page.locator("#lost")).to_contain_text("Nothing new for", timeout=30_000)
    monkeypatch.undo()
    await is_live(page)
