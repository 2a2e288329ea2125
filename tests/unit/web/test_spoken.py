"""An Asterisk elsewhere is offered what was spoken, and nothing else of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from lab.ports import free_port
from router.errors import ConfigurationError
from router.speech.settings import ServeSettings
from router.speech.spoken import SpokenFiles
from router.web import spoken
from router.web.spoken import MAX_AGE_S, spoken_served, url_of

NAME = "0f" * 32
CONTENT = b"RIFF" + bytes(5000)


@pytest.fixture
def files(tmp_path: Path) -> SpokenFiles:
    files = SpokenFiles(tmp_path / "spoken", ("wav",), most_bytes=10_000, keep_s=60)
    files.write(NAME, {"wav": CONTENT})
    (tmp_path / "secret.wav").write_bytes(b"not for you")
    (tmp_path / "spoken" / "other.wav").write_bytes(b"not for you")
    return files


@pytest_asyncio.fixture
async def served(files: SpokenFiles) -> AsyncIterator[ServeSettings]:
    port = free_port()
    settings = ServeSettings("127.0.0.1", port, f"http://127.0.0.1:{port}/elder-router/spoken", "e.yaml", 3, 5)
    async with spoken_served(settings, files):
        yield settings


async def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, URL(url, encoded=True), headers=headers, timeout=aiohttp.ClientTimeout(5)) as answer,
    ):
        return answer.status, await answer.read(), answer.headers.copy()


async def test_an_answer_is_fetched_by_its_url(served: ServeSettings) -> None:
    status, body, headers = await ask(url_of(served, NAME))
    assert (status, body) == (200, CONTENT)
    assert headers["Content-Type"] == "audio/wav"
    assert headers["Cache-Control"] == f"private, max-age={MAX_AGE_S}"
    assert (await ask(url_of(served, NAME), **{"If-None-Match": headers["ETag"]}))[0] == 304
    status, body, headers = await ask(url_of(served, NAME), "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(CONTENT)))


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", f"/{'0' * 64}.wav", f"/{NAME}", f"/{NAME}.ulaw", f"/{NAME.upper()}.wav", "/other.wav"),
        *("/../secret.wav", "/..%2fsecret.wav", "/%2e%2e/secret.wav", f"/{NAME}.wav/..", "/%00.wav", "//etc/passwd"),
    ],
)
async def test_nothing_else_is_offered(served: ServeSettings, path: str) -> None:
    status, body, _ = await ask(f"{served.url}{path}")
    assert status == 404
    assert b"not for you" not in body
    assert b"other" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_sent(served: ServeSettings, method: str) -> None:
    assert (await ask(url_of(served, NAME), method))[0] == 405


async def test_who_hangs_on_to_a_connection_does_not_hold_up_the_end(files: SpokenFiles) -> None:
    port = free_port()
    settings = ServeSettings("127.0.0.1", port, f"http://127.0.0.1:{port}")
    async with asyncio.timeout(5):
        async with spoken_served(settings, files):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /")
            await writer.drain()
        writer.close()


async def test_connections_beyond_the_most_are_closed_at_once_and_the_others_served(
    served: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spoken, "MOST_CONNECTIONS", 2)
    held = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    held[1][1].write(f"GET /elder-router/spoken/{NAME}.wav HTTP/1.0\r\n\r\n".encode())
    assert (await asyncio.wait_for(held[1][0].read(), 5)).endswith(CONTENT)
    for _, writer in held:
        writer.close()
    async with asyncio.timeout(5):
        while True:
            with suppress(aiohttp.ClientError):
                assert (await ask(url_of(served, NAME)))[0] == 200
                break
            await asyncio.sleep(0.01)


async def test_who_asks_and_does_not_read_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spoken, "SENT_WITHIN_S", 0.2)
    files = SpokenFiles(tmp_path, ("wav",), most_bytes=100_000_000, keep_s=60)
    files.write(NAME, {"wav": bytes(50_000_000)})
    port = free_port()
    async with spoken_served(ServeSettings("127.0.0.1", port, f"http://127.0.0.1:{port}"), files):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(f"GET /{NAME}.wav HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        async with asyncio.timeout(10):
            await reader.read(1)
            await asyncio.sleep(0.5)  # longer than it is waited for
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(50_000_000)
        writer.close()


async def test_a_request_that_is_none_is_refused_and_not_logged(
    served: ServeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET / HTTP/1.1\r\nA: " + b"b" * 10_000 + b"\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert not caplog.records


async def test_a_port_that_is_taken_is_told_with_its_line(served: ServeSettings, files: SpokenFiles) -> None:
    with pytest.raises(ConfigurationError, match=f"another program listens on port {served.port}") as raised:
        async with spoken_served(served, files):
            pytest.fail("it is taken")
    assert (raised.value.problems[0].file, raised.value.problems[0].line) == ("e.yaml", 3)
