"""How each Asterisk is, and what goes on there now, for Prometheus.

    elder_router_link_up{asterisk}                     1 while its manager connection is up
    elder_router_asterisk_taken_up{asterisk}           1 while it has been made ready for calls
    elder_router_heartbeat_age_seconds{asterisk}       since it last took our heartbeat; the dialplan bears 3 s
    elder_router_ready                                 what `GET /health/ready` says: 1 for 200
    elder_router_conditions{asterisk,what}             1 for each thing that is wrong now, see `journal.conditions`

    elder_router_calls_in_hand{asterisk}               calls that were asked for and are not over
    elder_router_callers_waiting{band,protected}       callers who wait for a person
    elder_router_longest_wait_seconds{band,protected}  of the one who has waited longest; 0 where nobody waits
    elder_router_requests_turned_away_total{asterisk}  requests beyond what is taken in hand; they fell back
    elder_router_events_refused_total{asterisk}        events that the dialplan cannot have sent

All of it is asked in another thread than that in which calls are routed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.calls.desk import CallDesk
from router.journal.conditions import (
    ASTERISK_NOT_LINKED,
    CALLS_NOT_ROUTED,
    EVERY_CONDITION,
    ROUTER_AWAY,
    ROUTER_HUNG,
    ActiveCondition,
    AsteriskState,
)
from router.rules.book import RuleBook
from router.web.calls import UNKNOWN_BAND

SLICE: Final = 2000
PAUSE_S: Final = 0.0002
"""Python runs one thread at a time and lets another have its turn after 5 ms, or when this one sleeps. So after so many
calls, a fraction of a millisecond's work, it does, or calls that are being routed would wait for a scrape."""

_NOT_TOLD: Final = frozenset({ASTERISK_NOT_LINKED, CALLS_NOT_ROUTED, ROUTER_AWAY, ROUTER_HUNG})
"""Of an Asterisk, whose names conditions alone do not have; or never true of a router that answers."""


class LinkMetrics(Collector):
    """How it stands with each configured Asterisk.

    Args:
        states: Says it.
        is_ready: Whether the router is, as a whole.
    """

    def __init__(self, states: Callable[[], Iterable[AsteriskState]], is_ready: Callable[[], bool]) -> None:
        self._states = states
        self._is_ready = is_ready

    def collect(self) -> Iterator[Metric]:
        """A sample of each for each Asterisk; no age of a heartbeat that was never taken."""
        labels = ["asterisk"]
        up = GaugeMetricFamily("elder_router_link_up", "1 while the manager connection is up.", labels=labels)
        what = "1 while that Asterisk has been made ready for calls."
        taken_up = GaugeMetricFamily("elder_router_asterisk_taken_up", what, labels=labels)
        what = "Seconds since that Asterisk last took our heartbeat."
        age = GaugeMetricFamily("elder_router_heartbeat_age_seconds", what, labels=labels)
        for state in self._states():
            up.add_metric([state.name], float(state.is_linked))
            taken_up.add_metric([state.name], float(state.is_taken_up))
            if state.heartbeat_age_s is not None:
                age.add_metric([state.name], state.heartbeat_age_s)
        yield from (up, taken_up, age)
        what = "1 while a call that asks now would be answered, on every Asterisk."
        yield GaugeMetricFamily("elder_router_ready", what, value=float(self._is_ready()))


class ConditionMetrics(Collector):
    """What is wrong now.

    Args:
        active: Says it.
    """

    def __init__(self, active: Callable[[], Iterable[ActiveCondition]]) -> None:
        self._active = active

    def collect(self) -> Iterator[Metric]:
        """1 for what is wrong; 0 for what could be of the whole router, and is not."""
        told = {("", what): 0.0 for what in EVERY_CONDITION if what not in _NOT_TOLD}
        told |= {(condition.node, condition.what): 1.0 for condition in self._active()}
        what = "1 for what is wrong with our systems now."
        conditions = GaugeMetricFamily("elder_router_conditions", what, labels=["asterisk", "what"])
        for key, value in told.items():
            conditions.add_metric(key, value)
        yield conditions


class DeskMetrics(Collector):
    """What goes on now.

    Args:
        desks: The desk of each Asterisk.
        rules: Those in force: their age bands are told also where nobody waits.
        now: Seconds of the clock by which calls are timed.
    """

    def __init__(
        self,
        desks: Callable[[], Iterable[CallDesk]],
        rules: Callable[[], RuleBook],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desks = desks
        self._rules = rules
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Counted when it is asked for."""
        labels = ["asterisk"]
        in_hand = GaugeMetricFamily("elder_router_calls_in_hand", "Calls asked for and not over.", labels=labels)
        what = "Requests beyond what is taken in hand; they fell back."
        turned_away = CounterMetricFamily("elder_router_requests_turned_away", what, labels=labels)
        what = "Events that the dialplan cannot have sent."
        refused = CounterMetricFamily("elder_router_events_refused", what, labels=labels)
        waits: list[tuple[str | None, bool, float]] = []
        now = self._now()
        for desk in self._desks():
            node = desk.settings.node
            calls = list(desk.calls.values())  # in one go, for the other thread adds to it and takes away
            in_hand.add_metric([node], len(calls))
            turned_away.add_metric([node], desk.counts.turned_away)
            refused.add_metric([node], desk.counts.refused_events)
            for begin in range(0, len(calls), SLICE):
                waits += [
                    (call.band, call.is_protected, now - since)
                    for call in calls[begin : begin + SLICE]
                    if (since := call.waiting_since) is not None
                ]
                time.sleep(PAUSE_S)
        yield from (in_hand, turned_away, refused)
        yield from self._waiting(waits)

    def _waiting(self, waits: Iterable[tuple[str | None, bool, float]]) -> Iterator[Metric]:
        rules = self._rules()
        bands = (*rules.bands.names, None)
        count: Counter[tuple[str | None, bool]] = Counter({(band, band in rules.protected): 0 for band in bands})
        longest = dict.fromkeys(count, 0.0)
        for band, is_protected, wait_s in waits:
            group = (band, is_protected)
            count[group] += 1
            longest[group] = max(longest.get(group, 0.0), wait_s)
        labels = ["band", "protected"]
        callers = GaugeMetricFamily("elder_router_callers_waiting", "Callers waiting for a person.", labels=labels)
        what = "The longest wait of callers waiting for a person."
        waited = GaugeMetricFamily("elder_router_longest_wait_seconds", what, labels=labels)
        for group, waiting in count.items():
            labels = [group[0] or UNKNOWN_BAND, "yes" if group[1] else "no"]
            callers.add_metric(labels, waiting)
            waited.add_metric(labels, longest[group])
        yield from (callers, waited)
