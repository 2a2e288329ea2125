"""After a complaint: what `elder-router explain` tells of a real call, by its caller's number and about when it was."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from lab.centre import Centre
from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER, YOUNGER = "13900000001", "13900000008"
STALE_S = 3


async def _centre(centre_of: Callable[..., Any]) -> Centre:
    agents = {"agent1": 300, "agent2": 300}
    centre: Centre = await centre_of(rules=BRISK, callers=SAMPLE, agents=agents, extra_dialplan=BRISK_ASSISTANT)
    return centre


async def _explained(centre: Centre, *words: str) -> tuple[int, list[str]]:
    """The exit status, and the lines with one blank between words."""
    settings = centre.router.directory / "elder-router.yaml"
    status, said = await centre.command("--config", str(settings), "explain", *words)
    return status, [" ".join(line.split()) for line in said.splitlines()]


async def _complained(centre: Centre, number: str) -> tuple[int, list[str]]:
    """What is told to who knows a number and the time, about."""
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    return await _explained(centre, "--caller", number, "--at", f"{now:%Y-%m-%d %H:%M:%S}")


async def test_an_older_callers_call_is_told_from_their_number_to_who_answered(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    callers.call(OLDER, hold_ms=60_000)
    (outcome,) = await centre.router.wait_for_records("outcome", 1)
    status, told = await _complained(centre, OLDER)
    assert status == 0, told
    assert any(line.startswith(f"call {outcome['uniqueid']} on pbx1, ") for line in told)
    assert any(line.startswith(f"ended answered by {outcome['answered_by']} after ") for line in told)
    assert any(line.startswith("recognised elder, protected: found in the registry") for line in told)
    ours = next(number for number, line in enumerate(told) if line.startswith("our systems "))
    assert told[ours] == "our systems nothing known to be wrong", told
    assert told[ours + 1].startswith("looked at "), told
    assert (await _explained(centre, "--call", outcome["uniqueid"])) == (0, told)
    assert OLDER not in "".join(told)
    assert (await _complained(centre, YOUNGER))[0] == 1
    await callers.all_ended()


async def test_a_call_without_the_registry_is_told_with_why(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    await centre.redis.stop()
    callers.call(YOUNGER, "95501", hold_ms=300)  # who finds out
    await centre.router.wait_for_records("condition", 1)
    callers.call(OLDER, "95502", hold_ms=300)
    await centre.router.wait_for_records("outcome", 2)
    status, told = await _complained(centre, OLDER)
    assert status == 0, told
    assert any(line.startswith("recognised unknown: the registry could not be asked") for line in told)
    assert any("redis not answering, from " in line for line in told), told
    await callers.all_ended()


async def test_a_call_of_while_the_router_was_away_is_told_with_when(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        callers.call(YOUNGER, hold_ms=300)
        await centre.router.wait_for_records("outcome", 1)
        centre.router.child.send(signal.SIGKILL)
        await centre.router.child.process.wait()
        await asyncio.sleep(STALE_S)  # the heartbeat is at most so old for the dialplan
        callers.call(OLDER, hold_ms=15_000)
        await witness.wait_for("AgentConnect", 1, patience_s=30)
    await callers.all_ended()
    await centre.router.start()
    await centre.router.wait_for_records("outcome", 2)
    status, told = await _complained(centre, OLDER)
    assert status == 0, told
    assert any(line.startswith("fallback ") and "the dialplan sent the call to people" in line for line in told), told
    assert any("the router was away: no sign of it after " in line for line in told), told
