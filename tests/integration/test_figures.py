"""The report's and the wallboard's figures are those that Asterisk's queue log and pyst2 give for the same calls."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lab.centre import Centre
from lab.places import PROJECT
from tests.integration.mixed_calls import (
    AGENTS,
    CALLS,
    EARLY,
    FELL_BACK,
    GONE,
    KINDS,
    LATE,
    MIDDLING,
    SERVED,
    SOON,
    TALK_MS,
    UNKNOWN,
    ZERO,
    Counted,
    by_queue,
    callers_file,
    count,
    place_all,
)
from tests.integration.rules import UNGREETED
from tests.integration.witness import Witness

PUBLISHED_S, SERVICE_S = 15.0, 20.0
OLDER_KINDS = (LATE, MIDDLING, GONE, SOON, FELL_BACK)
A_TICK_S, A_SECOND_S = 0.1, 1.2
"""What the router and Asterisk may differ by, of one wait; and of one that began before the router was started."""

pytestmark = pytest.mark.timeout(240)


async def test_the_figures_of_200_mixed_calls_are_those_that_asterisk_and_pyst2_count(
    centre_of: Callable[..., Any], tmp_path: Path
) -> None:
    callers = tmp_path / "callers.csv"
    callers.write_text(callers_file())
    agents = dict.fromkeys(AGENTS, TALK_MS)
    centre = await centre_of(
        rules=_around_noon(), callers=callers, agents=agents, one_phone=True, extra_dialplan=UNGREETED, supervised=True
    )
    async with Witness(centre.asterisk) as witness:
        placed = await place_all(centre, witness)
        assert [run.status for run in placed] == [0] * len(placed)
        await centre.router.wait_for_records("outcome", CALLS)
        counted = count(centre, witness)
    assert {kind.called: len(counted.calls(kind)) for kind in KINDS} == {kind.called: kind.calls for kind in KINDS}
    assert CALLS == 200
    # Or the figures that are compared below would be all or nothing.
    assert counted.within(PUBLISHED_S, counted.answered_by) == len(counted.answered_by) - LATE.calls - MIDDLING.calls
    assert counted.within(SERVICE_S, counted.answered_by) == len(counted.answered_by) - LATE.calls

    report = await _report(centre)
    _is_as_counted(report, counted)
    board = await _picture(centre)
    _shows(board, counted)
    assert board["today"]["state"] == "counted"  # what the killed run wrote is among it


def _is_as_counted(report: dict[str, Any], counted: Counted) -> None:
    older, everyone = counted.calls(*OLDER_KINDS), counted.calls(*KINDS)
    figures = report["figures"]
    for told, calls in ((figures["overall"], everyone), (figures["protected"], older)):
        assert _of_report(told) == _expected(counted, calls)
        waits = counted.waits_of_answered(calls)
        longest = max(counted.waited_s[uniqueid] for uniqueid in calls if uniqueid in counted.waited_s)
        assert told["wait_median_s"] == pytest.approx(_rank(waits, 0.5), abs=A_TICK_S)
        assert told["wait_95th_s"] == pytest.approx(_rank(waits, 0.95), abs=A_SECOND_S)
        assert told["wait_longest_s"] == pytest.approx(longest, abs=A_SECOND_S)
    assert figures["overall"]["self_served"] == SERVED.calls
    assert figures["overall"]["hung_up_early"] == EARLY.calls + UNKNOWN.calls
    assert {one["name"]: one["offered"] for one in figures["by_queue"]} == by_queue(counted, everyone)
    bands = Counter("elder" if number % 2 == 0 else "senior" for kind in OLDER_KINDS for number in range(kind.calls))
    bands |= Counter(adult=sum(kind.calls for kind in (SERVED, EARLY, ZERO)), unknown=UNKNOWN.calls)
    assert {one["name"] or "unknown": one["calls"] for one in figures["by_band"] if one["calls"]} == bands
    assert figures["fallback"] == {"heartbeat": FELL_BACK.calls}
    assert figures["unknown"] == {"unknown": UNKNOWN.calls}


def _shows(board: dict[str, Any], counted: Counted) -> None:
    today = board["today"]
    for told, calls in (
        (today["all"], counted.calls(*KINDS)),
        (today["protected"], counted.calls(*OLDER_KINDS)),
    ):
        assert _of_board(told) == _expected(counted, calls)
    assert today["fallback"] == {"heartbeat": FELL_BACK.calls}
    assert board["waiting"]["all"]["waiting"] == 0


def _expected(counted: Counted, calls: Iterable[str]) -> dict[str, int]:
    calls = frozenset(calls)
    answered = [uniqueid for uniqueid in calls if uniqueid in counted.answered_by]
    abandoned = calls & counted.abandoned
    return {
        "calls": len(calls),
        "answered": len(answered),
        "abandoned": len(abandoned),
        "within 15 s": counted.within(PUBLISHED_S, calls),
        "within the service level": counted.within(SERVICE_S, calls),
        "fallback": len(calls & counted.calls(FELL_BACK)),
        "without the assistant": len(set(answered) - counted.calls(ZERO)),
    }


def _of_report(told: dict[str, Any]) -> dict[str, int]:
    """The same figures as the report tells them."""
    shares = {"without the assistant": "without_assistant", "within 15 s": "answered_within_15s"}
    shares["within the service level"] = "service_level"
    return {name: told[name] for name in ("calls", "answered", "abandoned", "fallback")} | {
        name: told[share]["happened"] for name, share in shares.items()
    }


def _of_board(told: dict[str, Any]) -> dict[str, int]:
    """The same figures as the wallboard is told them."""
    names = {"without the assistant": "by_person", "within 15 s": "within_15", "within the service level": "within"}
    names |= {name: name for name in ("calls", "answered", "abandoned", "fallback")}
    return {name: told[key] for name, key in names.items()}


def _rank(waits: list[float], share: float) -> float:
    """By nearest rank."""
    return waits[math.ceil(len(waits) * share) - 1]


def _around_noon() -> str:
    """The shipped rules in a time zone where the day does not end meanwhile."""
    hours = 12 - datetime.now(UTC).hour
    rules = (PROJECT / "config" / "routing.yaml").read_text()
    assert rules.count("timezone: Asia/Shanghai") == 1
    return rules.replace("timezone: Asia/Shanghai", f"timezone: Etc/GMT{-hours:+d}")  # by POSIX, east is minus


async def _report(centre: Centre) -> dict[str, Any]:
    status, said = await centre.command(
        "--config", str(centre.router.write_settings()), "report", "--day", "today", "--json"
    )
    assert status == 0, said
    told: dict[str, Any] = json.loads(said)
    return told


async def _picture(centre: Centre) -> dict[str, Any]:
    """What the wallboard shows once all agents are free again, of whom it asks every other second."""
    url = f"http://127.0.0.1:{centre.router.wallboard_port}/events"
    async with asyncio.timeout(20), aiohttp.ClientSession() as session, session.get(url) as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                picture: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                if picture["today"]["state"] != "counting" and picture["agents"].get("free") == len(AGENTS):
                    return picture
    raise AssertionError("the wallboard told nothing")
