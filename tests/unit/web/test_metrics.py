from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as text_of_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from lab.ports import free_port
from router.errors import ConfigurationError, Problem
from router.reloading.keeper import RulesStatus
from router.speech.during_calls import SpeakerCounts
from router.web import metrics as metrics_module
from router.web.health import HealthAnswer
from router.web.metrics import MOST_AT_ONCE, MetricsServer, RulesMetrics, SpeechMetrics
from router.web.settings import MetricsSettings

LOADED = datetime(2026, 11, 25, 15, 3, 1, tzinfo=UTC)
REFUSED = datetime(2026, 11, 25, 16, 0, 0, tzinfo=UTC)
FINE = RulesStatus("3f2a9c51d0e7", LOADED, LOADED, loaded=4, refused=2, unchanged=1)
BROKEN = RulesStatus(
    *("3f2a9c51d0e7", LOADED, REFUSED, REFUSED),
    problems=(Problem("routing.yaml", 3, 1, "wrong"), Problem("routing.yaml", 4, 1, "wrong too")),
)


@contextmanager
def served(
    status: Callable[[], RulesStatus],
    address: str = "127.0.0.1",
    counts: Callable[[], SpeakerCounts | None] = lambda: None,
    **pages: Callable[[], HealthAnswer],
) -> Iterator[int]:
    port = free_port()
    settings = MetricsSettings(address, port, "elder-router.yaml", 9, 12)
    server = MetricsServer(settings, RulesMetrics(status), SpeechMetrics(counts), **pages)
    try:
        yield port
    finally:
        server.close()


def get(
    port: int, address: str = "127.0.0.1", *, path: str = "/metrics", method: str = "GET", status: int = 200
) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == status
    return text


def samples(text: str) -> dict[str, float]:
    """Sample, with its labels → value."""
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_rules_in_force_are_told_while_all_is_well() -> None:
    with served(lambda: FINE) as port:
        assert samples(get(port)) == {
            "elder_router_rules_info{version=3f2a9c51d0e7}": 1,
            "elder_router_rules_loaded_timestamp_seconds": LOADED.timestamp(),
            "elder_router_rules_last_reload_successful": 1,
            "elder_router_rules_refused_since_timestamp_seconds": 0,
            "elder_router_rules_problems": 0,
            "elder_router_rules_reloads_total{result=loaded}": 4,
            "elder_router_rules_reloads_total{result=refused}": 2,
            "elder_router_rules_reloads_total{result=unchanged}": 1,
        }


def test_what_is_told_is_how_things_are_when_it_is_asked() -> None:
    statuses = [FINE]
    with served(lambda: statuses[-1]) as port:
        get(port)
        statuses.append(BROKEN)
        told = samples(get(port))
    assert told["elder_router_rules_last_reload_successful"] == 0
    assert told["elder_router_rules_refused_since_timestamp_seconds"] == REFUSED.timestamp()
    assert told["elder_router_rules_problems"] == 2


def test_what_came_of_what_was_to_be_said_is_told() -> None:
    with served(lambda: FINE, counts=lambda: SpeakerCounts(found=7, spoken=2, late=1)) as port:
        told = samples(get(port))
    name = "elder_router_speech_answers_total"
    assert {sample: value for sample, value in told.items() if sample.startswith(name)} == {
        f"{name}{{result=found}}": 7,
        f"{name}{{result=joined}}": 0,
        f"{name}{{result=spoken}}": 2,
        f"{name}{{result=failed}}": 0,
        f"{name}{{result=late}}": 1,
        f"{name}{{result=turned_away}}": 0,
        f"{name}{{result=resting}}": 0,
        f"{name}{{result=unwritten}}": 0,
    }


def test_whoever_asks_for_openmetrics_is_given_it() -> None:
    with served(lambda: FINE) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert get(port).startswith("# HELP"), "and whoever does not, the older text"
    assert (answer.getheader("Content-Type") or "").startswith("application/openmetrics-text")
    families = {family.name for family in text_of_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert families >= {"elder_router_rules_reloads", "elder_router_rules_info"}
    assert text.endswith("# EOF\n")


def test_every_metric_says_what_it_is() -> None:
    with served(lambda: FINE, counts=SpeakerCounts) as port:
        text = get(port)
    assert set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) == set(
        re.findall(r"^# HELP (\S+) .+\.$", text, re.MULTILINE)
    )


def test_it_can_be_served_over_ipv6() -> None:
    with served(lambda: FINE, "::1") as port:
        assert "elder_router_rules_info" in get(port, "::1")


def test_a_port_in_use_is_told_at_the_settings_line() -> None:
    with served(lambda: FINE) as port, pytest.raises(ConfigurationError) as caught:
        MetricsServer(MetricsSettings("127.0.0.1", port, "elder-router.yaml", 9, 12), RulesMetrics(lambda: FINE))
    assert str(caught.value) == (
        "elder-router.yaml:9:12: error: metrics cannot be served: another program listens on "
        f"port {port} of 127.0.0.1; write another port"
    )


def test_an_address_that_is_not_ours_is_told() -> None:
    port = free_port()
    with pytest.raises(ConfigurationError) as caught:
        MetricsServer(MetricsSettings("192.0.2.1", port, "elder-router.yaml", 9, 12), RulesMetrics(lambda: FINE))
    assert str(caught.value) == (
        f"elder-router.yaml:9:12: error: metrics cannot be served at port {port} of 192.0.2.1: "
        "Cannot assign requested address"
    )


def test_once_closed_its_port_is_free_and_its_thread_has_ended() -> None:
    before = set(threading.enumerate())
    with served(lambda: FINE) as port:
        get(port)
    socket.create_server(("127.0.0.1", port)).close()
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(metrics_module.REQUEST_WITHIN_S / 2)  # a moment, if the deadline was called off
    assert not [thread for thread in left if thread.is_alive()]


def test_whoever_asks_nothing_is_hung_up_on_and_the_next_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "REQUEST_WITHIN_S", 0.05)
    with served(lambda: FINE) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        silent.sendall(b"GET /metrics")
        assert "elder_router_rules_info" in get(port)
        assert silent.recv(1) == b""


def test_whoever_connects_and_says_nothing_keeps_no_probe_waiting() -> None:
    with served(lambda: FINE) as port, ExitStack() as connected:
        for _ in range(MOST_AT_ONCE - 1):
            connected.enter_context(socket.create_connection(("127.0.0.1", port)))
        began = time.monotonic()
        assert "elder_router_rules_info" in get(port)
        assert time.monotonic() - began < metrics_module.REQUEST_WITHIN_S


def test_more_connections_than_are_served_at_once_wait_until_one_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "REQUEST_WITHIN_S", 0.05)
    threads = threading.active_count()
    with served(lambda: FINE) as port, ExitStack() as connected:
        for _ in range(3 * MOST_AT_ONCE):
            connected.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert "elder_router_rules_info" in get(port)
        assert threading.active_count() - threads <= 2 * MOST_AT_ONCE + 1, "a connection has a thread, and its deadline"


def test_metrics_are_made_for_one_after_the_other() -> None:
    making: list[int] = []
    most: list[int] = []

    def status() -> RulesStatus:
        making.append(1)
        most.append(len(making))
        time.sleep(0.01)  # what makes two of them meet, if they can
        making.pop()
        return FINE

    with served(status) as port, ThreadPoolExecutor(4) as pool:
        assert all("elder_router_rules_info" in text for text in pool.map(lambda _: get(port), range(8)))
    assert max(most) == 1


def test_whoever_hangs_up_early_harms_nobody() -> None:
    with served(lambda: FINE) as port:
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert "elder_router_rules_info" in get(port)
