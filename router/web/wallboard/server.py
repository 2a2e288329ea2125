"""Serves the wallboard: a page, its files, and the events that bring it a picture of the centre every second.

    GET  /          the page, or the login form
    GET  /NAME      its style and scripts
    GET  /events    pictures, as server-sent events
    POST /login     the token, once: the only thing that can be sent

A picture is made once for all who look, and not at all while nobody does. Each viewer is sent the newest one: who reads
too slowly misses some, and who does not read at all is hung up on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Final, cast

import structlog
from aiohttp import ClientConnectionResetError, web
from aiohttp.typedefs import Handler, Middleware

from router.errors import JournalError
from router.journal.day_so_far import EarlierRuns
from router.web.listening import not_served
from router.web.settings import WallboardSettings
from router.web.wallboard.access import COOKIE, COOKIE_S, Access, is_named_so
from router.web.wallboard.board import Board
from router.web.wallboard.connections import Connections
from router.web.wallboard.feed import Feed
from router.web.wallboard.files import LANGUAGES, PageFiles, language_of, page_files

HEARTBEAT_S: Final = 5.0
"""With no picture for so long, a comment is sent, so that proxies keep the connection and a dead one is noticed."""
APART_S: Final = 0.002
"""Viewers are sent a picture one after the other so far apart, and calls have their turn in between."""
RETRY_MS: Final = 2_000
SENT_WITHIN_S: Final = 10.0
MOST_VIEWERS: Final = 200
MOST_CONNECTIONS: Final = MOST_VIEWERS + 64
"""Bounded, or whoever opens many would leave the router none for its Asterisk."""
SHUTDOWN_WITHIN_S: Final = 1.0

_MOST_SENT_BYTES: Final = 4096
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TOO_MANY: Final = "Too many wrong tokens came from this address. Wait a minute, then try again."

# A library's traceback for every request that is none would fill the log.
_QUIET: Final = logging.getLogger(f"{__name__}.requests")
_QUIET.disabled = True

log = structlog.get_logger(__name__)


@asynccontextmanager
async def wallboard_served(
    settings: WallboardSettings, board: Board, earlier: EarlierRuns | None = None
) -> AsyncIterator[None]:
    """Serve it until the block ends.

    Args:
        settings: Where, and to whom.
        board: What is shown.
        earlier: What is to be counted of earlier runs, if the board waits for that.

    Raises:
        ConfigurationError: It cannot be served there.
    """
    files = page_files()
    feed = Feed(board, files.version)
    connections = Connections(MOST_CONNECTIONS)
    runner = web.AppRunner(
        _Wallboard(settings, feed, files, connections).application(),
        access_log=None,
        logger=_QUIET,
        shutdown_timeout=SHUTDOWN_WITHIN_S,
        handler_cancellation=True,  # who is gone makes room for others at once
    )
    await runner.setup()
    answering = cast("web.Server", runner.server)  # it is there once the runner is set up
    tasks = []
    try:
        listening = await _listening(settings, lambda: connections.new(answering()))
        with closing(listening):  # it does not wait for connections: those are ended below
            tasks.append(asyncio.create_task(feed.run()))
            if earlier is not None:
                tasks.append(asyncio.create_task(_count(board, earlier)))
            yield
    finally:
        feed.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()


class _Wallboard:
    """Answers requests."""

    def __init__(self, settings: WallboardSettings, feed: Feed, files: PageFiles, connections: Connections) -> None:
        self._names = settings.hosts | {settings.address.lower()}
        self._access = Access(settings.token)
        self._feed = feed
        self._files = files
        self._connections = connections

    def application(self) -> web.Application:
        application = web.Application(client_max_size=_MOST_SENT_BYTES, middlewares=[self._guarded()])
        application.router.add_get("/", self._page)
        application.router.add_get("/events", self._events)
        application.router.add_post("/login", self._login)
        for name in self._files.given:
            application.router.add_get(f"/{name}", self._file)
        application.on_response_prepare.append(_protected)
        return application

    def _guarded(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not is_named_so(request.headers.get("Host", ""), self._names):
                raise web.HTTPMisdirectedRequest(
                    text="The wallboard is not known by this name. Add it to `hosts` of `wallboard` in the settings.\n"
                )
            # They may link to it. What they sent to the login form would count as this browser's wrong tokens.
            is_foreign = request.headers.get("Sec-Fetch-Site", "none") in {"cross-site", "same-site"}
            is_link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method in {"GET", "HEAD"}
            if is_foreign and not is_link:
                raise web.HTTPForbidden(text="Other sites may not read the wallboard, nor log in.\n")
            return await handler(request)

        return guard

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if (token := request.query.get("token")) is not None and not self._access.is_open:
            return self._entered(request, token)
        if not self._may_see(request):
            return self._asked_for_token(request)
        response = web.Response(text=self._files.page, content_type="text/html")
        if not self._access.is_open and request.cookies.get(COOKIE):
            self._keep_in(request, response)  # renewed, or a screen on a wall would stop after months
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        kind, content = self._files.given[request.path.removeprefix("/")]
        return web.Response(body=content, content_type=kind, charset="utf-8")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/x-www-form-urlencoded":
            raise web.HTTPUnsupportedMediaType(text="The token comes by the login form, or as a bearer.\n")
        try:
            sent = await request.post()
        except (LookupError, ValueError):  # of a charset that is none, or not in the one it says
            raise web.HTTPBadRequest(text="The form cannot be read.\n") from None
        return self._entered(request, str(sent.get("token", "")))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if not self._may_see(request):
            raise web.HTTPUnauthorized(text="Log in first.\n", headers={"WWW-Authenticate": "Bearer"})
        feed = self._feed
        if feed.viewers >= MOST_VIEWERS or feed.is_closed:
            raise web.HTTPServiceUnavailable(
                text=f"{feed.viewers} others look at the wallboard, and it is shown to no more. Try again later.\n",
                headers={"Retry-After": "30"},
            )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        self._connections.viewing(request.transport)
        behind_s = feed.viewers * APART_S
        feed.came()
        try:
            await self._sent(request, response, behind_s)
        except TimeoutError:  # whoever looks does not read
            if request.transport is not None:
                request.transport.abort()
        except ClientConnectionResetError:
            pass  # gone
        finally:
            feed.went()
        return response

    async def _sent(self, request: web.Request, response: web.StreamResponse, behind_s: float) -> None:
        async with asyncio.timeout(SENT_WITHIN_S):
            await response.prepare(request)
            await response.write(f"retry: {RETRY_MS}\n\n".encode())
        feed, newest = self._feed, b""
        while not feed.is_closed:
            turned = feed.turned  # before writing, so that what is made meanwhile is not slept through
            if feed.newest and feed.newest is not newest:
                newest = feed.newest
                async with asyncio.timeout(SENT_WITHIN_S):
                    await response.write(newest)
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await turned.wait()
                await asyncio.sleep(behind_s)
            except TimeoutError:
                async with asyncio.timeout(SENT_WITHIN_S):
                    await response.write(b": still here\n\n")

    def _may_see(self, request: web.Request) -> bool:
        if self._access.is_open or self._access.is_cookie(request.cookies.get(COOKIE, "")):
            return True
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return False
        address = request.remote or ""
        if self._access.is_held_off(address):
            raise web.HTTPTooManyRequests(text=f"{_TOO_MANY}\n", headers={"Retry-After": "60"})
        return self._access.is_token(token.strip(), address)

    def _entered(self, request: web.Request, token: str) -> web.StreamResponse:
        """The answer to a token from a person: on to the page, without the token in its address."""
        address = request.remote or ""
        if self._access.is_open:
            raise web.HTTPSeeOther("./")
        if self._access.is_held_off(address):
            return self._asked_for_token(request, "login.held_off", web.HTTPTooManyRequests.status_code)
        if not self._access.is_token(token, address):
            log.warning("wallboard login refused", address=address)
            return self._asked_for_token(request, "login.wrong")
        language = request.query.get("lang")
        response = web.Response(
            status=web.HTTPSeeOther.status_code,
            headers={"Location": f"./?lang={language}" if language in LANGUAGES else "./"},
        )
        self._keep_in(request, response)
        return response

    def _asked_for_token(
        self, request: web.Request, said: str = "", status: int = web.HTTPUnauthorized.status_code
    ) -> web.Response:
        language = request.query.get("lang", "")
        if not (is_asked := language in LANGUAGES):
            language = language_of(request.headers.get("Accept-Language", ""))
        headers = (
            {"WWW-Authenticate": "Bearer"} if status == web.HTTPUnauthorized.status_code else {"Retry-After": "60"}
        )
        text = self._files.login(language, said, is_asked=is_asked)
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)

    def _keep_in(self, request: web.Request, response: web.Response) -> None:
        # Without a path it holds for the folder of the page, wherever a reverse proxy puts that.
        secure = "; Secure" if request.headers.get("X-Forwarded-Proto", request.scheme) == "https" else ""
        cookie = f"{COOKIE}={self._access.cookie()}; Max-Age={COOKIE_S}; HttpOnly; SameSite=Strict{secure}"
        response.headers["Set-Cookie"] = cookie


async def _protected(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.pop("Server", None)
    response.force_close()  # one request a connection: see `Connections`


async def _count(board: Board, earlier: EarlierRuns) -> None:
    """Have the day so far counted. Whatever comes of it, the wallboard shows what there is."""
    try:
        board.counted(await earlier.counted(board.uncounted()))
    except JournalError as error:
        log.warning("day so far not counted", reason=str(error))
    except Exception:  # the boundary of the count: calls have nothing to do with it
        log.exception("day so far not counted")
    else:
        log.info("day so far counted", day=board.day.date)
        return
    board.not_counted()


async def _listening(settings: WallboardSettings, new: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(new, settings.address, settings.port)
    except OSError as error:
        raise settings.wrong(not_served("the wallboard", settings.address, settings.port, error)) from error
