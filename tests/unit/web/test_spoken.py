"""An Asterisk elsewhere is offered what was spoken, and nothing else of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from lab.ports import free_port
from router.errors import ConfigurationError
from router.speech.settings import ServeSettings
from router.speech.spoken import SpokenFiles
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


async def test_a_port_that_is_taken_is_told_with_its_line(served: ServeSettings, files: SpokenFiles) -> None:
    with pytest.raises(ConfigurationError, match=f"another program listens on port {served.port}") as raised:
        async with spoken_served(served, files):
            pytest.fail("it is taken")
    assert (raised.value.problems[0].file, raised.value.problems[0].line) == ("e.yaml", 3)
