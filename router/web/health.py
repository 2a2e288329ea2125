"""Whether the router is well, as JSON, in three answers.

    GET /health/live    does it live? 200 while its event loop turns, else 503: restart it
    GET /health/ready   would a call that asks now be answered? 200 if on every Asterisk, else 503: look at it
    GET /health         should somebody look at it, though calls are routed? 200 in any case

    {"status": "live", "turned_s_ago": 0.3}                                         or "hung"
    {"status": "ready", "stopping": false, "rules": "3f2a9c51d0e7",                 or "not ready"
     "asterisks": [{"asterisk": "pbx1", "ready": true, "why": ""}]}
    {"status": "ok", "warnings": []}                                                or "warning"
    {"status": "warning", "warnings": [{"what": "stale", "why": "callers were last loaded …"}]}

All are answered in another thread than that of the event loop, which is what lets a hung loop be told. Redis is no part
of being ready: without it calls are answered all the same, by the rules for unknown callers.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from router.callers.health import RegistryHealth
from router.journal.conditions import (
    JOURNAL_NOT_WRITTEN,
    NOTHING_SPOKEN,
    RULES_REFUSED,
    ActiveCondition,
    AsteriskState,
    rules_refused_in_words,
)
from router.reloading.keeper import RulesStatus

BEAT_EVERY_S: Final = 0.5
HUNG_AFTER_S: Final = 5.0
"""Longer than anything that is done in the loop takes, and than the dialplan bears without a heartbeat, 3 s: calls go
to people by then, and a restart harms nobody."""

_THOUGH_ROUTED: Final = frozenset({JOURNAL_NOT_WRITTEN, NOTHING_SPOKEN})
"""Conditions that neither the registry's health nor the rules' status tells, and that no call falls back for."""


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """Whether it is so, and what is said of it."""

    is_so: bool
    text: bytes


class Pulse:
    """Whether the event loop turns.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat_at = clock()

    @property
    def age_s(self) -> float:
        """Seconds since the loop last turned; asked in any thread."""
        return self._clock() - self._beat_at

    @property
    def is_live(self) -> bool:
        """Whether it turns."""
        return self.age_s <= HUNG_AFTER_S

    def beat(self) -> None:
        """The loop turned."""
        self._beat_at = self._clock()

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_EVERY_S)


def live_page(pulse: Pulse) -> Callable[[], HealthAnswer]:
    """What makes the answer of `GET /health/live`."""

    def answer() -> HealthAnswer:
        age_s = pulse.age_s
        is_live = age_s <= HUNG_AFTER_S
        return HealthAnswer(is_live, _json({"status": "live" if is_live else "hung", "turned_s_ago": round(age_s, 1)}))

    return answer


class Readiness:
    """Whether a call that asks now would be answered.

    Args:
        states: How it stands with each configured Asterisk.
        rules_version: What is in force; empty for none.
        is_stopping: Whether the router was told to stop.
        pulse: Whether the loop turns, without which nothing else is true any more.
    """

    def __init__(
        self,
        states: Callable[[], Iterable[AsteriskState]],
        rules_version: Callable[[], str],
        is_stopping: Callable[[], bool],
        pulse: Pulse,
    ) -> None:
        self._states = states
        self._rules_version = rules_version
        self._is_stopping = is_stopping
        self._pulse = pulse

    def is_ready(self) -> bool:
        """Whether it would, on every Asterisk."""
        return self.answer().is_so

    def answer(self) -> HealthAnswer:
        """What is answered to `GET /health/ready`."""
        stopping, version = self._is_stopping(), self._rules_version()
        # Before the first state there is no telling: a router without an Asterisk answers no call.
        whys = {state.name: state.why_not_routed for state in self._states()}
        if not self._pulse.is_live:
            whys = dict.fromkeys(whys, f"the router hangs, since {self._pulse.age_s:.0f} s")
        is_ready = bool(whys) and not any(whys.values()) and bool(version) and not stopping
        said = {
            "status": "ready" if is_ready else "not ready",
            "stopping": stopping,
            "rules": version,
            "asterisks": [{"asterisk": name, "ready": not why, "why": why} for name, why in whys.items()],
        }
        return HealthAnswer(is_ready, _json(said))


def health_text(registry: RegistryHealth, rules: RulesStatus, active: Iterable[ActiveCondition] = ()) -> bytes:
    """What is answered to `GET /health`; of the conditions that are active, those that leave calls routed."""
    warnings = dict(registry.warnings)
    if why := rules_refused_in_words(rules):
        warnings[RULES_REFUSED] = why
    warnings |= {condition.what: condition.why for condition in active if condition.what in _THOUGH_ROUTED}
    every = [{"what": what, "why": why} for what, why in warnings.items()]
    return _json({"status": "warning" if every else "ok", "warnings": every})


def health_page(
    registry: Callable[[], RegistryHealth],
    rules: Callable[[], RulesStatus],
    active: Callable[[], Iterable[ActiveCondition]] = tuple,
) -> Callable[[], HealthAnswer]:
    """What makes the answer of `GET /health` each time it is asked for."""
    return lambda: HealthAnswer(is_so=True, text=health_text(registry(), rules(), active()))


def _json(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"
