"""The wallboard is served to those who may see it, and to no other; who reads slowly holds up nobody."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from yarl import URL

from lab.ports import free_port
from router.errors import ConfigurationError
from router.journal.day_so_far import EarlierRuns
from router.journal.writer import JournalWriter
from router.web.settings import WallboardSettings
from router.web.wallboard import access, connections, feed, server
from router.web.wallboard.access import COOKIE
from router.web.wallboard.board import Board
from router.web.wallboard.server import wallboard_served

from .boards import Centre, begun, over

TOKEN = "b7e2-made-up"
Serve = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves a board; returns its address."""
    async with AsyncExitStack() as stack:

        async def start(board: Board | None = None, **changed: Any) -> str:  # noqa: ANN401
            earlier = changed.pop("earlier", None)
            settings = replace(WallboardSettings("127.0.0.1", free_port(), "e.yaml", 3, 5), **changed)
            await stack.enter_async_context(wallboard_served(settings, board or Centre().board(), earlier))
            return f"http://127.0.0.1:{settings.port}"

        yield start


class Answer:
    def __init__(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        self.status = status
        self.text = text
        self.headers = headers


async def ask(url: str, method: str = "GET", **options: Any) -> Answer:  # noqa: ANN401
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(
            method, URL(url, encoded=True), allow_redirects=False, timeout=aiohttp.ClientTimeout(5), **options
        ) as answer,
    ):
        return Answer(answer.status, await answer.text(), answer.headers.copy())


Picture = dict[str, Any]


async def pictures(
    url: str,
    count: int = 1,
    until: Callable[[Picture], bool] = lambda _: True,
    **options: Any,  # noqa: ANN401
) -> list[Picture]:
    """The first pictures that come, but for those before the first that is waited for."""
    found: list[Picture] = []
    async with (
        asyncio.timeout(20),
        aiohttp.ClientSession(read_bufsize=2**23) as session,
        session.get(f"{url}/events", **options) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        async for line in answer.content:
            if line.startswith(b"data: "):
                picture = json.loads(line.removeprefix(b"data: "))
                found += [picture] if found or until(picture) else []
            if len(found) == count:
                break
    return found


async def test_the_page_and_its_files_are_served(serve: Serve) -> None:
    url = await serve()
    page = await ask(f"{url}/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for name in re.findall(r'(?:src|href)="([\w.]+)"', page.text):
        assert (await ask(f"{url}/{name}")).status == 200, name
    assert (await ask(f"{url}/wallboard.js")).headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert (await ask(f"{url}/", "HEAD")).status == 200


async def test_pictures_come_every_second_with_the_version_of_the_page(serve: Serve) -> None:
    board = Centre().board()
    board.take(begun("1.0"))
    url = await serve(board)
    first, second = await pictures(url, 2)
    assert first["today"]["all"]["calls"] == 1
    assert f'content="{first["page"]}"' in (await ask(f"{url}/")).text
    assert second["page"] == first["page"]


@pytest.mark.parametrize("path", ["/", "/events", "/wallboard.css", "/nothing"])
async def test_every_answer_tells_browsers_what_not_to_do(serve: Serve, path: str) -> None:
    url = await serve()
    headers = (await ask(f"{url}{path}", "HEAD")).headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "aiohttp" not in headers.get("Server", "").lower()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/events", "/wallboard.js"])
async def test_nothing_can_be_sent(serve: Serve, method: str, path: str) -> None:
    assert (await ask(f"{await serve()}{path}", method)).status == 405


@pytest.mark.parametrize(
    "path",
    ["/words.en.json", "/index.html", "/login.html", "/../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "//"],
)
async def test_nothing_else_is_served(serve: Serve, path: str) -> None:
    assert (await ask(f"{await serve()}{path}")).status == 404


async def test_a_name_that_is_not_the_wallboards_is_refused(serve: Serve) -> None:
    url = await serve(hosts=frozenset({"wall.example.org"}))
    for path in ("/", "/events", "/wallboard.js"):
        refused = await ask(f"{url}{path}", headers={"Host": "evil.example.org"})
        assert (refused.status, "`hosts`" in refused.text) == (421, True)
    assert (await ask(f"{url}/", headers={"Host": "wall.example.org"})).status == 200
    assert (await ask(f"{url}/", headers={"Host": f"localhost:{URL(url).port}"})).status == 200


async def test_pages_of_other_sites_may_link_to_it_and_read_nothing(serve: Serve) -> None:
    url = await serve()
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    assert (await ask(f"{url}/events", headers=foreign)).status == 403
    assert (await ask(f"{url}/", headers=foreign | {"Sec-Fetch-Mode": "navigate"})).status == 200


async def test_pages_of_other_sites_cannot_use_up_a_browsers_attempts(serve: Serve) -> None:
    url = await serve(token=TOKEN)
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for _ in range(access.MOST_WRONG):
        assert (await ask(f"{url}/login", "POST", data={"token": "wrong"}, headers=foreign)).status == 403
    assert (await ask(f"{url}/login", "POST", data={"token": TOKEN})).status == 303


async def test_without_the_token_there_is_a_form_and_no_figure(serve: Serve) -> None:
    url = await serve(token=TOKEN)
    page = await ask(f"{url}/", headers={"Accept-Language": "zh-CN"})
    assert (page.status, page.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "访问令牌" in page.text
    assert 'id="waiting-count"' not in page.text
    assert (await ask(f"{url}/events")).status == 401
    assert (await ask(f"{url}/wallboard.css")).status == 200  # the form wants it


async def test_the_token_is_taken_as_a_bearer(serve: Serve) -> None:
    url = await serve(token=TOKEN)
    assert await pictures(url, headers={"Authorization": f"Bearer {TOKEN}"})
    for header in ("Bearer wrong", "Bearer", f"Basic {TOKEN}", b"Bearer \xff".decode("latin-1")):
        assert (await ask(f"{url}/events", headers={"Authorization": header})).status == 401


async def test_the_form_gives_a_cookie_that_stands_for_the_token(serve: Serve) -> None:
    url = await serve(token=TOKEN)
    entered = await ask(f"{url}/login", "POST", data={"token": TOKEN})
    assert (entered.status, entered.headers["Location"]) == (303, "./")
    cookie = entered.headers["Set-Cookie"]
    assert "; HttpOnly; SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert "Secure" not in cookie
    given = {"Cookie": cookie.partition(";")[0]}
    page = await ask(f"{url}/", headers=given)
    assert (page.status, page.headers["Set-Cookie"].startswith(COOKIE)) == (200, True)
    assert await pictures(url, headers=given)
    other = await serve(token="another")
    assert (await ask(f"{other}/events", headers=given)).status == 401


async def test_the_token_in_the_address_is_gone_from_it_after_the_first_time(serve: Serve) -> None:
    url = await serve(token=TOKEN)
    entered = await ask(f"{url}/?token={TOKEN}&lang=zh")
    assert (entered.status, entered.headers["Location"]) == (303, "./?lang=zh")
    assert COOKIE in entered.headers["Set-Cookie"]
    odd = await ask(f"{url}/?token={TOKEN}&lang=http://evil.example.org")
    assert odd.headers["Location"] == "./"


async def test_behind_tls_the_cookie_goes_over_tls_alone(serve: Serve) -> None:
    url = await serve(token=TOKEN)
    entered = await ask(f"{url}/login", "POST", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
    assert entered.headers["Set-Cookie"].endswith("; Secure")


async def test_who_tries_tokens_is_held_off_and_cookies_go_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "WRONG_WITHIN_S", 3600)
    url = await serve(token=TOKEN)
    cookie = (await ask(f"{url}/login", "POST", data={"token": TOKEN})).headers["Set-Cookie"].partition(";")[0]
    with capture_logs() as logs:
        for _ in range(access.MOST_WRONG):
            wrong = await ask(f"{url}/login", "POST", data={"token": "wrong"})
            assert wrong.status == 401
            assert "That is not the token" in wrong.text
    assert {"event": "wallboard login refused", "address": "127.0.0.1", "log_level": "warning"} in logs
    held_off = await ask(f"{url}/login", "POST", data={"token": TOKEN})
    assert (held_off.status, "Wait a minute" in held_off.text) == (429, True)
    assert (await ask(f"{url}/events", headers={"Authorization": f"Bearer {TOKEN}"})).status == 429
    assert (await ask(f"{url}/?token={TOKEN}")).status == 429
    assert await pictures(url, headers={"Cookie": cookie})


async def test_a_form_that_is_too_long_is_refused(serve: Serve) -> None:
    url = await serve(token=TOKEN)
    assert (await ask(f"{url}/login", "POST", data={"token": "x" * 10_000})).status == 413


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/x-www-form-urlencoded; charset=nonsense", 400),
        ("multipart/form-data", 415),
        ("application/json", 415),
    ],
)
async def test_a_form_that_no_browser_sends_is_refused(serve: Serve, kind: str, status: int) -> None:
    url = await serve(token=TOKEN)
    assert (await ask(f"{url}/login", "POST", data=b"token=\xff", headers={"Content-Type": kind})).status == status


async def test_viewers_beyond_the_most_are_told_so_and_the_others_served(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_VIEWERS", 2)
    url = await serve()
    async with aiohttp.ClientSession() as session:
        held = [await session.get(f"{url}/events") for _ in range(2)]
        refused = await ask(f"{url}/events")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
        assert "2 others look" in refused.text
        assert (await ask(f"{url}/")).status == 200
        held[0].close()
        async with asyncio.timeout(10):
            while (await ask(f"{url}/events", "HEAD")).status != 200:
                pass
        assert (await held[1].content.readline()).startswith(b"retry: ")
        held[1].close()


async def test_of_too_many_connections_the_one_unanswered_longest_makes_room(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    url = await serve()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/events") as looks:
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
        assert (await ask(f"{url}/")).status == 200
        assert await asyncio.wait_for(_all(reader), 5) == b""
        writer.close()
        async with asyncio.timeout(5):  # who looks is not cut off
            while not (await looks.content.readline()).startswith(b"data: "):
                pass


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: local",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\ntoken=",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\ntoken=",
    ],
    ids=["nothing", "half a request", "half a form", "half of what is refused"],
)
async def test_who_does_not_say_what_is_wanted_is_hung_up_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "ANSWERED_WITHIN_S", 0.2)
    url = await serve(token=TOKEN)
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
    writer.write(said)
    await asyncio.wait_for(_all(reader), 5)
    writer.close()


async def test_a_connection_is_for_one_request(serve: Serve) -> None:
    url = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
    writer.write(b"HEAD /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000)
    assert (await asyncio.wait_for(_all(reader), 5)).count(b"HTTP/1.1 200") == 1
    writer.close()


async def _all(reader: asyncio.StreamReader) -> bytes:
    found = b""
    try:
        while part := await reader.read(100_000):
            found += part
    except ConnectionResetError:
        pass  # it was closed before all that was sent had been read
    return found


async def test_who_does_not_read_is_hung_up_on_and_the_others_go_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SENT_WITHIN_S", 0.2)
    monkeypatch.setattr(feed, "EVERY_S", 0.01)
    board = Centre().board()
    look = board.look
    monkeypatch.setattr(board, "look", lambda: _with(look(), filler="x" * 8_000_000))
    url = await serve(board)
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(url).port, limit=1000)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(reader.read(1), 5)
    monkeypatch.setattr(board, "look", look)
    assert len(await pictures(url, 20)) == 20
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(100_000_000), 10)
    writer.close()


async def test_a_picture_is_sent_to_one_after_the_other(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "APART_S", 0.1)
    board = Centre().board()
    look, numbers = board.look, iter(range(1_000))
    monkeypatch.setattr(board, "look", lambda: _with(look(), number=next(numbers)))
    url = await serve(board)
    came: dict[int, list[float]] = {}

    async def told(viewer: aiohttp.ClientResponse) -> None:
        is_first = True  # which was there already
        while not any(len(times) == 3 for times in came.values()):
            line = await viewer.content.readline()
            if not line.startswith(b"data: "):
                continue
            if not is_first:
                number = json.loads(line.removeprefix(b"data: "))["number"]
                came.setdefault(number, []).append(asyncio.get_running_loop().time())
            is_first = False

    async with aiohttp.ClientSession(read_bufsize=2**23) as session, asyncio.timeout(20):
        viewers = [await session.get(f"{url}/events") for _ in range(3)]
        await asyncio.gather(*map(told, viewers))
        for viewer in viewers:
            viewer.close()
    (times,) = (times for times in came.values() if len(times) == 3)
    assert times[2] - times[0] >= 0.15


def _with(looking: Any, **more: object) -> Any:  # noqa: ANN401
    picture = yield from looking
    return picture | more


async def test_while_nobody_looks_no_picture_is_made(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "EVERY_S", 0.01)
    board = Centre().board()
    looks: list[None] = []
    look = board.look

    def counted() -> Any:  # noqa: ANN401
        looks.append(None)
        return look()

    monkeypatch.setattr(board, "look", counted)
    url = await serve(board)
    await ask(f"{url}/")
    await asyncio.sleep(0.1)
    assert not looks
    await pictures(url, 3)
    assert len(looks) >= 3
    async with asyncio.timeout(5):
        while True:  # the one who looked is gone within a picture or two
            before = len(looks)
            await asyncio.sleep(0.1)
            if len(looks) == before:
                break


async def test_a_picture_that_cannot_be_made_is_logged_once_and_the_next_one_comes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "EVERY_S", 0.01)
    monkeypatch.setattr(server, "HEARTBEAT_S", 0.05)
    board = Centre().board()
    look = board.look
    monkeypatch.setattr(board, "look", lambda: 1 / 0)
    url = await serve(board)
    with capture_logs() as logs:
        async with asyncio.timeout(10), aiohttp.ClientSession() as session, session.get(f"{url}/events") as answer:
            while (await answer.content.readline()) != b": still here\n":
                pass
            monkeypatch.setattr(board, "look", look)
            while not (await answer.content.readline()).startswith(b"data: "):
                pass
    assert [line["event"] for line in logs].count("wallboard not drawn") == 1


async def test_half_a_character_costs_no_picture(serve: Serve) -> None:
    board = Centre().board()
    board.take(begun("1.0", rule="half \ud83d"))
    (picture,) = await pictures(await serve(board))
    assert picture["last"][0]["rule"] == "half ?"


async def test_the_end_waits_for_nobody_who_looks() -> None:
    settings = WallboardSettings("127.0.0.1", free_port(), "e.yaml", 3, 5)
    async with asyncio.timeout(5), aiohttp.ClientSession() as session:
        async with wallboard_served(settings, Centre().board()):
            answer = await session.get(f"http://127.0.0.1:{settings.port}/events")
        while await answer.content.readline():
            pass


async def test_a_port_that_is_taken_is_told_with_its_line(serve: Serve) -> None:
    port = URL(await serve()).port
    assert port is not None
    settings = WallboardSettings("127.0.0.1", port, "e.yaml", 3, 5)
    with pytest.raises(ConfigurationError, match=f"another program listens on port {port}") as raised:
        async with wallboard_served(settings, Centre().board()):
            pytest.fail("it is taken")
    assert (raised.value.problems[0].file, raised.value.problems[0].line) == ("e.yaml", 3)


async def test_what_earlier_runs_wrote_is_counted_beside_what_is_written_now(serve: Serve, tmp_path: Path) -> None:
    before = JournalWriter(tmp_path / "journal.jsonl")
    for record in (begun("1.0"), over("1.0"), begun("2.0")):
        before.write(record)
    board = Centre().board(is_whole=False)
    now = JournalWriter(tmp_path / "journal.jsonl")
    for record in (over("2.0"), begun("3.0")):
        now.write(record)
        board.take(record)
    url = await serve(board, earlier=EarlierRuns(now.path, now.run))
    (picture,) = await pictures(url, until=lambda picture: picture["today"]["state"] != "counting")
    today = picture["today"]
    assert (today["state"], today["all"]["calls"], today["all"]["answered"]) == ("counted", 3, 2)


async def test_if_it_cannot_be_counted_that_is_logged_and_told(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with capture_logs() as logs:
        url = await serve(Centre().board(is_whole=False), earlier=EarlierRuns(tmp_path / "journal.jsonl", "0000cafe"))
        assert await pictures(url, until=lambda picture: picture["today"]["state"] == "partly")
    assert "day so far not counted" in [line["event"] for line in logs]
