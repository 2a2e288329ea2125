from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from router.calls.call import Call
from router.calls.desk import CallDesk, DeskSettings
from router.journal.conditions import (
    ASTERISK_NOT_LINKED,
    CALLS_NOT_ROUTED,
    EVERY_CONDITION,
    ROUTER_AWAY,
    ROUTER_HUNG,
    RULES_REFUSED,
    ActiveCondition,
    AsteriskState,
)
from router.web.asterisks import ConditionMetrics, DeskMetrics, LinkMetrics
from tests.unit.calls.rig import BOOK
from tests.unit.journal.test_conditions import START

from .test_calls import told

UP = AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0.4)
LOST = AsteriskState("pbx2", is_linked=False, link="waiting")
NOW = 5000.0
BANDS = (("minor", "no"), ("adult", "no"), ("senior", "yes"), ("elder", "yes"), ("unknown", "no"))
"""Those of the rules, and whether they are protected."""


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[CallDesk]:
    """One that nothing is asked of."""
    settings = DeskSettings("pbx1", "CN", lambda _: "")
    async with asyncio.TaskGroup() as tasks:
        yield CallDesk(settings, registry=None, rules=None, journal=None, send=None, tasks=tasks)  # type: ignore[arg-type]


def waiting(uniqueid: str, band: str | None, since_s: float) -> Call:
    call = Call("pbx1", uniqueid, uniqueid, 1, since_s)
    call.band, call.joined_at, call.is_protected = band, since_s, band in BOOK.protected
    return call


def test_each_asterisk_is_told_and_no_age_of_a_heartbeat_that_never_was() -> None:
    assert told(LinkMetrics(lambda: [UP, LOST], lambda: False)) == {
        "elder_router_link_up{asterisk=pbx1}": 1,
        "elder_router_link_up{asterisk=pbx2}": 0,
        "elder_router_asterisk_taken_up{asterisk=pbx1}": 1,
        "elder_router_asterisk_taken_up{asterisk=pbx2}": 0,
        "elder_router_heartbeat_age_seconds{asterisk=pbx1}": 0.4,
        "elder_router_ready": 0,
    }


def test_what_is_wrong_is_1_and_what_could_be_is_0() -> None:
    active = [
        ActiveCondition("pbx2", ASTERISK_NOT_LINKED, "lost", START),
        ActiveCondition("", RULES_REFUSED, "refused", START),
    ]
    every = told(ConditionMetrics(lambda: active))
    assert every["elder_router_conditions{asterisk=pbx2}{what=asterisk not linked}"] == 1
    assert every["elder_router_conditions{asterisk=}{what=rules refused}"] == 1
    assert sum(every.values()) == 2
    never = {ROUTER_AWAY, ROUTER_HUNG}  # while it answers
    assert {key.rpartition("what=")[2][:-1] for key in every} == {*EVERY_CONDITION} - never - {CALLS_NOT_ROUTED}


@pytest.mark.asyncio
async def test_callers_waiting_are_counted_by_band_with_the_longest_wait(desk: CallDesk) -> None:
    calls = [waiting("1.1", "elder", NOW - 41), waiting("1.2", "elder", NOW - 3), waiting("1.3", None, NOW - 8)]
    desk.calls = {call.uniqueid: call for call in calls}
    every = told(DeskMetrics(lambda: [desk], lambda: BOOK, now=lambda: NOW))
    assert {name: value for name, value in every.items() if "band" in name} == {
        f"elder_router_{what}{{band={band}}}{{protected={protected}}}": value
        for what, values in (("callers_waiting", (0, 0, 0, 2, 1)), ("longest_wait_seconds", (0, 0, 0, 41, 8)))
        for (band, protected), value in zip(BANDS, values, strict=True)
    }
    assert every["elder_router_calls_in_hand{asterisk=pbx1}"] == 3


@pytest.mark.asyncio
async def test_who_was_answered_left_or_never_joined_does_not_wait(desk: CallDesk) -> None:
    answered, left = waiting("1.1", "elder", NOW - 9), waiting("1.2", "elder", NOW - 9)
    answered.answered("agents", "Agent/1", NOW - 4)
    left.abandoned("agents", NOW - 4)
    desk.calls = {"1.1": answered, "1.2": left, "1.3": Call("pbx1", "1.3", "1.3", 1, NOW)}
    every = told(DeskMetrics(lambda: [desk], lambda: BOOK, now=lambda: NOW))
    assert every["elder_router_callers_waiting{band=elder}{protected=yes}"] == 0
    assert every["elder_router_calls_in_hand{asterisk=pbx1}"] == 3


@pytest.mark.asyncio
async def test_a_band_that_the_rules_do_not_have_any_more_is_told_too(desk: CallDesk) -> None:
    desk.calls = {"1.1": waiting("1.1", "centenarian", NOW - 1)}
    every = told(DeskMetrics(lambda: [desk], lambda: BOOK, now=lambda: NOW))
    assert every["elder_router_callers_waiting{band=centenarian}{protected=no}"] == 1


@pytest.mark.asyncio
async def test_what_was_turned_away_or_refused_is_told(desk: CallDesk) -> None:
    desk.counts.turned_away, desk.counts.refused_events = 4, 5
    every = told(DeskMetrics(lambda: [desk], lambda: BOOK))
    assert every["elder_router_requests_turned_away_total{asterisk=pbx1}"] == 4
    assert every["elder_router_events_refused_total{asterisk=pbx1}"] == 5
