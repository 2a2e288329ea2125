"""What was spoken during calls, offered over HTTP to an Asterisk on another machine, which plays it by its URL.

    GET <path of the URL>/<name>.wav      the file; HEAD works as well
    anything else                         404, or 405 for another method

No folder is listed and nothing but answers is offered: a name is 64 figures and letters, which nobody can guess who was
not told it. It is plain HTTP without a password, so listen where only that Asterisk reaches it; by default, on this
machine alone.

Asterisk keeps what it has fetched in its `astcachedir`, and asks again after `MAX_AGE_S`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from router.speech.settings import ServeSettings
from router.speech.spoken import SpokenFiles, is_name
from router.web.listening import not_served

MAX_AGE_S: Final = 600
SUFFIX: Final = "wav"
SHUTDOWN_WITHIN_S: Final = 1.0
KEEPALIVE_S: Final = 15.0
"""A connection on which nobody has asked for so long is closed."""
SENT_WITHIN_S: Final = 30.0
MOST_CONNECTIONS: Final = 64
"""Of an Asterisk: as many fetches at once. Beyond that a connection is closed at once, or whoever opens many would
leave the router none for its Asterisk."""

# A library's traceback for every request that is none would fill the log.
_QUIET: Final = logging.getLogger(f"{__name__}.requests")
_QUIET.disabled = True


def url_of(settings: ServeSettings, name: str) -> str:
    """Where Asterisk fetches an answer."""
    return f"{settings.url}/{name}.{SUFFIX}"


@asynccontextmanager
async def spoken_served(settings: ServeSettings, files: SpokenFiles) -> AsyncIterator[None]:
    """Offer the files until the block ends.

    Raises:
        ConfigurationError: They cannot be offered there.
    """
    application = web.Application(client_max_size=0)
    application.router.add_get(f"{urlsplit(settings.url).path.rstrip('/')}/{{name}}.{SUFFIX}", _Offered(files).answer)
    runner = web.AppRunner(
        application, access_log=None, logger=_QUIET, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=SHUTDOWN_WITHIN_S
    )
    await runner.setup()
    try:
        with closing(await _listening(settings, runner)):  # it does not wait for connections: those are ended below
            yield
    finally:
        await runner.cleanup()


async def _listening(settings: ServeSettings, runner: web.AppRunner) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: _connection(runner), settings.address, settings.port)
    except OSError as error:
        raise settings.wrong(not_served("speech", settings.address, settings.port, error)) from error


def _connection(runner: web.AppRunner) -> asyncio.BaseProtocol:
    server = runner.server
    return server() if server and len(server.connections) < MOST_CONNECTIONS else _TurnedAway()


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Offered:
    def __init__(self, files: SpokenFiles) -> None:
        self._files = files

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if not is_name(name) or not self._files.find(name):
            raise web.HTTPNotFound
        response = web.FileResponse(f"{self._files.stem(name)}.{SUFFIX}")
        response.content_type = "audio/wav"
        response.headers["Cache-Control"] = f"private, max-age={MAX_AGE_S}"
        try:
            async with asyncio.timeout(SENT_WITHIN_S):
                await response.prepare(request)
        except TimeoutError:  # whoever asked does not read
            if request.transport is not None:
                request.transport.abort()
        return response
