"""Metrics for Prometheus, `GET /metrics`: made when they are asked for, from what the router says of itself.

    elder_router_rules_info{version}                      1
    elder_router_rules_loaded_timestamp_seconds           when that version was taken
    elder_router_rules_last_reload_successful             0 while the rules on disk are refused
    elder_router_rules_refused_since_timestamp_seconds    since when; 0 when all is well
    elder_router_rules_problems                           how much is wrong with them
    elder_router_rules_reloads_total{result}              loaded, refused, unchanged; since the start

    elder_router_speech_answers_total{result}             what came of what was to be said during calls, since the
                                                          start: the fields of `SpeakerCounts`

Others are told where their subject is: `calls`, `asterisks`, `registry`, `journal`, `process`. All of them stand, with
what they mean, in docs/monitoring.md. `GET /health` and what is below it is answered by `health`.

A few connections are served at once, so that who connects and says nothing keeps no probe waiting; metrics are made for
one of them after the other: whoever asks too often waits, and calls do not.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.reloading.keeper import RulesStatus
from router.speech.during_calls import SpeakerCounts
from router.web.health import HealthAnswer
from router.web.listening import not_served
from router.web.settings import MetricsSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_WITHIN_S: Final = 2.0
"""Whoever takes longer to ask, or to take the answer, is hung up on: others may wait behind them."""

MOST_AT_ONCE: Final = 16
"""Connections served at once. The next one waits until one is over, `REQUEST_WITHIN_S` at most."""

HEALTH_PATH: Final = "/health"
LIVE_PATH: Final = "/health/live"
READY_PATH: Final = "/health/ready"
_NEVER_KEPT: Final = ("Cache-Control", "no-store")

_NAME = "elder_router_rules"

HealthPage = Callable[[], HealthAnswer]
"""Makes an answer; called in another thread."""


class RulesMetrics(Collector):
    """How the rules are.

    Args:
        status: Says it; asked in another thread.
    """

    def __init__(self, status: Callable[[], RulesStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """One sample of each."""
        status = self._status()
        info = GaugeMetricFamily(f"{_NAME}_info", "The version of the rules in force.", labels=["version"])
        info.add_metric([status.version], 1)
        yield info
        since = status.refused_since
        for name, what, value in (
            ("loaded_timestamp_seconds", "When the rules in force were taken.", status.loaded_at.timestamp()),
            ("last_reload_successful", "0 while the rules on disk are refused.", float(status.succeeded)),
            (
                "refused_since_timestamp_seconds",
                "Since when the rules on disk are refused; 0 when all is well.",
                since.timestamp() if since else 0.0,
            ),
            ("problems", "How much is wrong with the rules on disk.", float(len(status.problems))),
        ):
            yield GaugeMetricFamily(f"{_NAME}_{name}", what, value=value)
        reloads = CounterMetricFamily(f"{_NAME}_reloads", "Attempts to take the rules on disk.", labels=["result"])
        for result in ("loaded", "refused", "unchanged"):
            reloads.add_metric([result], getattr(status, result))
        yield reloads


class SpeechMetrics(Collector):
    """What came of what was to be said during calls.

    Args:
        counts: Says it; None where nothing is said during calls. Asked in another thread.
    """

    def __init__(self, counts: Callable[[], SpeakerCounts | None]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """A sample for each result."""
        counts = self._counts()
        if counts is None:
            return
        what = "Answers that were asked for during calls, by what came of them."
        answers = CounterMetricFamily("elder_router_speech_answers", what, labels=["result"])
        for result, count in asdict(counts).items():
            answers.add_metric([result], count)
        yield answers


class MetricsServer:
    """Serves metrics until it is closed.

    Args:
        settings: Where.
        collectors: What.
        health, live, ready: Make the answers to `GET /health`, `/health/live` and `/health/ready`; without one, there
            is no such page.

    Raises:
        ConfigurationError: They cannot be served there.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        *collectors: Collector,
        health: HealthPage | None = None,
        live: HealthPage | None = None,
        ready: HealthPage | None = None,
    ) -> None:
        registry = CollectorRegistry(auto_describe=False)
        for collector in collectors:
            registry.register(collector)
        try:
            self._server = _Server(settings.address, settings.port)
        except OSError as error:
            raise settings.wrong(not_served("metrics", settings.address, settings.port, error)) from error
        pages = {HEALTH_PATH: health, LIVE_PATH: live, READY_PATH: ready}
        known = {path: page for path, page in pages.items() if page is not None}
        self._server.set_app(_Pages(make_wsgi_app(registry, disable_compression=True), known))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, at the latest when the requests in hand are answered."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Pages:
    """Health at its own paths, metrics at every other, as it always was.

    Args:
        metrics: Answers for those.
        pages: Path → what makes its answer. Of what is below `/health` there is nothing else.
    """

    def __init__(self, metrics: WSGIApplication, pages: Mapping[str, HealthPage]) -> None:
        self._metrics = metrics
        self._pages = pages
        self._turn = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"].rstrip("/")
        page = self._pages.get(path)
        if page is None:
            if path.startswith(f"{HEALTH_PATH}/"):
                # A probe whose path is misspelt must not take the metrics for a yes.
                start_response("404 Not Found", [])
                return [b""]
            with self._turn:
                return self._metrics(environ, start_response)
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        answer = page()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer.text))), _NEVER_KEPT]
        start_response("200 OK" if answer.is_so else "503 Service Unavailable", headers)
        return [answer.text if environ["REQUEST_METHOD"] == "GET" else b""]


class _Handler(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """A line for every scrape would drown the log."""


class _Server(ThreadingMixIn, WSGIServer):
    request_queue_size = 64

    def __init__(self, address: str, port: int) -> None:
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Without asking a name server what we are called, as the library does: it may not answer."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        self._free.acquire()  # each is over within its deadline
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was to be had
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        deadline = threading.Timer(REQUEST_WITHIN_S, _hang_up, (request,))
        deadline.start()
        try:
            super().finish_request(request, client_address)
        finally:
            deadline.cancel()

    def handle_error(self, *_args: object) -> None:
        """Whoever asked has hung up; they will ask again."""


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side may have been quicker
        connection.shutdown(socket.SHUT_RDWR)
