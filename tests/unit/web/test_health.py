"""What is asked of the router's health; that of registry and rules is in `test_registry`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from lab.ports import free_port
from router.journal.conditions import HEARTBEAT_FRESH_S, AsteriskState
from router.web import health as health_module
from router.web.health import HUNG_AFTER_S, HealthAnswer, Pulse, Readiness, live_page
from router.web.metrics import MetricsServer, RulesMetrics
from router.web.settings import MetricsSettings

from .test_metrics import FINE, get, served

UP = AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0.4)
LOST = AsteriskState("pbx2", is_linked=False, link="waiting")


class Router:
    """What readiness asks of the router, all of it well."""

    def __init__(self) -> None:
        self.now = 100.0
        self.states = [UP]
        self.rules = "3f2a9c51d0e7"
        self.stopping = False
        self.pulse = Pulse(clock=lambda: self.now)
        self.readiness = Readiness(lambda: self.states, lambda: self.rules, lambda: self.stopping, self.pulse)

    @property
    def said(self) -> dict[str, Any]:
        answer = self.readiness.answer()
        said: dict[str, Any] = json.loads(answer.text)
        assert (said["status"] == "ready") is answer.is_so is self.readiness.is_ready()
        return said


def test_it_is_ready_when_a_call_that_asks_now_would_be_answered() -> None:
    assert Router().said == {
        "status": "ready",
        "stopping": False,
        "rules": "3f2a9c51d0e7",
        "asterisks": [{"asterisk": "pbx1", "ready": True, "why": ""}],
    }


def test_one_asterisk_that_is_lost_is_enough_not_to_be_ready_and_is_named() -> None:
    router = Router()
    router.states.append(LOST)
    assert router.said["status"] == "not ready"
    assert router.said["asterisks"] == [
        {"asterisk": "pbx1", "ready": True, "why": ""},
        {"asterisk": "pbx2", "ready": False, "why": "no manager connection (waiting)"},
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"is_linked": False},
        {"is_taken_up": False},
        {"heartbeat_age_s": None},
        {"heartbeat_age_s": HEARTBEAT_FRESH_S + 0.1},
    ],
)
def test_whatever_makes_calls_fall_back_makes_it_not_ready(changes: dict[str, Any]) -> None:
    router = Router()
    router.states = [replace(UP, **changes)]
    assert router.said["status"] == "not ready"


def test_a_heartbeat_that_the_dialplan_still_takes_is_enough() -> None:
    router = Router()
    router.states = [replace(UP, heartbeat_age_s=HEARTBEAT_FRESH_S)]
    assert router.said["status"] == "ready"


def test_it_is_not_ready_while_it_stops_nor_without_rules_nor_before_it_knows_an_asterisk() -> None:
    router = Router()
    router.stopping = True
    assert router.said["status"] == "not ready"
    router.stopping, router.rules = False, ""
    assert router.said["status"] == "not ready"
    router.rules, router.states = "3f2a9c51d0e7", []
    assert router.said["status"] == "not ready"


def test_a_router_that_hangs_is_not_ready_whatever_it_last_knew() -> None:
    router = Router()
    router.now += HUNG_AFTER_S + 1
    assert router.said["status"] == "not ready"
    assert router.said["asterisks"][0]["why"] == "the router hangs, since 6 s"


def test_it_lives_while_its_loop_turns() -> None:
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])
    page = live_page(pulse)
    now[0] = HUNG_AFTER_S
    assert page() == HealthAnswer(is_so=True, text=b'{"status": "live", "turned_s_ago": 5.0}\n')
    now[0] += 0.1
    assert page() == HealthAnswer(is_so=False, text=b'{"status": "hung", "turned_s_ago": 5.1}\n')
    pulse.beat()
    assert page().is_so


def test_a_loop_that_really_hangs_is_told_and_a_loop_that_turns_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "HUNG_AFTER_S", 0.3)
    monkeypatch.setattr(health_module, "BEAT_EVERY_S", 0.05)
    pulse, stop, go_on = Pulse(), asyncio.Event(), threading.Event()
    loops: queue.Queue[asyncio.AbstractEventLoop] = queue.Queue()

    async def router() -> None:
        loops.put(asyncio.get_running_loop())
        beating = asyncio.create_task(pulse.run())
        await stop.wait()
        beating.cancel()

    settings = MetricsSettings("127.0.0.1", free_port(), "elder-router.yaml", 9, 12)
    server = MetricsServer(settings, RulesMetrics(lambda: FINE), live=live_page(pulse))
    thread = threading.Thread(target=lambda: asyncio.run(router(), debug=False))
    thread.start()
    loop = loops.get(timeout=10)

    def wait_for(status: int) -> str:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(AssertionError):
                return get(settings.port, path="/health/live", status=status)
            assert time.monotonic() < deadline, f"no {status}"

    try:
        assert json.loads(wait_for(200))["status"] == "live"
        loop.call_soon_threadsafe(go_on.wait, 30)  # it blocks the loop
        assert json.loads(wait_for(503))["status"] == "hung"
        go_on.set()
        assert json.loads(wait_for(200))["status"] == "live"
    finally:
        go_on.set()
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        server.close()
    assert not thread.is_alive()


def test_live_and_ready_are_served_with_a_status_that_probes_understand() -> None:
    router = Router()
    with served(lambda: FINE, live=live_page(router.pulse), ready=router.readiness.answer) as port:
        assert json.loads(get(port, path="/health/live"))["status"] == "live"
        assert json.loads(get(port, path="/health/ready"))["status"] == "ready"
        assert get(port, path="/health/ready", method="HEAD") == ""
        router.states = [LOST]
        assert json.loads(get(port, path="/health/ready", status=503))["asterisks"][0]["asterisk"] == "pbx2"
        assert get(port, path="/health/ready", method="POST", status=405) == ""
        router.now += HUNG_AFTER_S + 1
        assert json.loads(get(port, path="/health/live", status=503))["status"] == "hung"


def test_a_misspelt_probe_is_no_yes() -> None:
    with served(lambda: FINE) as port:
        get(port, path="/health/readyy", status=404)
        get(port, path="/health/live", status=404)
