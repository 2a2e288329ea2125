"""Without the router every caller reaches people; when it returns it makes good what it missed, and touches no one."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lab.centre import Centre
from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER, YOUNGER = "13900000001", "13900000008"
STALE_S = 3
DEADLINE_S = 1.9


async def _centre(centre_of: Callable[..., Any], **options: Any) -> Centre:  # noqa: ANN401
    agents = {f"agent{n}": 1000 for n in range(4)} | {"agent9": 60_000}
    members = {"agents": [f"agent{n}" for n in range(4)], "senior-care": ["agent9"]}
    centre: Centre = await centre_of(
        rules=BRISK, callers=SAMPLE, agents=agents, members=members, extra_dialplan=BRISK_ASSISTANT, **options
    )
    return centre


async def _heartbeat_is_stale(centre: Centre) -> None:
    """Wait until the dialplan takes the router for dead, by Asterisk's own clock and global."""
    while True:
        globals_ = await centre.asterisk.cli("dialplan show globals")
        beat = next((line for line in globals_.splitlines() if "ELDER_HEARTBEAT" in line), "=0")
        if int(time.time()) - int(beat.rpartition("=")[2]) > STALE_S:
            return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP])
async def test_killed_or_stopped_every_call_reaches_people(centre_of: Callable[..., Any], sig: signal.Signals) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        callers.call(OLDER, hold_ms=60_000)  # in conversation while the router is lost and comes back
        await witness.wait_for("AgentConnect", 1, patience_s=30)
        (talking,) = [seen.uniqueid for seen in witness.events("AgentConnect")]
        await centre.router.wait_for_records("decision", 1)
        centre.router.child.send(sig)

        at_once = [callers.call(OLDER, hold_ms=15_000), callers.call(YOUNGER, hold_ms=15_000)]
        fresh = [seen.uniqueid for seen in (await witness.wait_for("QueueCallerJoin", 3))[1:]]
        assert all(DEADLINE_S - 0.1 < witness.seconds_to_queue(uniqueid) < 2.5 for uniqueid in fresh)

        await _heartbeat_is_stale(centre)
        stale_calls = [callers.call(OLDER, hold_ms=15_000), callers.call(YOUNGER, hold_ms=15_000)]
        stale = [seen.uniqueid for seen in (await witness.wait_for("QueueCallerJoin", 5))[3:]]
        assert all(witness.seconds_to_queue(uniqueid) < 0.3 for uniqueid in stale)
        assert [run.status for run in await asyncio.gather(*at_once, *stale_calls)] == [0] * 4

        if sig == signal.SIGSTOP:
            centre.router.child.send(signal.SIGCONT)
        else:
            await centre.router.child.process.wait()
            await centre.router.start()
        decisions = await centre.router.wait_for_records("decision", 5)
        outcomes = await centre.router.wait_for_records("outcome", 4)
        assert len(await witness.wait_for("AgentConnect", 5)) == 5
        channels = {channel["Uniqueid"] for channel in await witness.channels()}
        assert talking in channels, "the conversation went on"
        assert "call of an earlier run found" not in centre.router.log.read_text(), "nor is the agent's phone a call"
        assert Counter(record["uniqueid"] for record in decisions).most_common(1)[0][1] == 1
        by_id = {record["uniqueid"]: record for record in decisions}
        assert all(by_id[uniqueid]["fallback"] for uniqueid in fresh + stale)
        assert not any(by_id[uniqueid]["applied"] for uniqueid in stale)
        assert {outcome["uniqueid"] for outcome in outcomes} == set(fresh + stale)

        # and routing works again
        callers.call(YOUNGER, "95599", hold_ms=500)
        again = (await centre.router.wait_for_records("decision", 6))[-1]
        assert (again["called"], again["applied"], again["target"]) == ("95599", True, "assistant")
        await witness.hang_up(talking)
        ended = {r["uniqueid"]: r for r in await centre.router.wait_for_records("outcome", 6)}
        assert ended[talking]["ended"] == "answered"
        assert ended[talking]["answered_by"] == "agent9"
    assert Counter(record["uniqueid"] for record in centre.router.records("decision")).most_common(1)[0][1] == 1
    assert Counter(record["uniqueid"] for record in centre.router.records("outcome")).most_common(1)[0][1] == 1


async def test_never_started_every_call_reaches_people_at_once(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of, router=False)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        for caller in (OLDER, YOUNGER, "anonymous"):
            callers.call(caller, hold_ms=15_000)
        joined = await witness.wait_for("QueueCallerJoin", 3)
        assert all(witness.seconds_to_queue(seen.uniqueid) < 0.3 for seen in joined)
        assert [run.status for run in await callers.all_ended()] == [0] * 3
    async with centre.router:
        decisions = await centre.router.wait_for_records("decision", 3)
        outcomes = await centre.router.wait_for_records("outcome", 3)
    assert {record["fallback"] for record in decisions} == {"heartbeat"}
    assert {record["ended"] for record in outcomes} == {"unseen"}
    assert {record["caller"] for record in decisions} == {"+86139****0001", "+86139****0008", "anonymous"}


async def test_told_to_stop_new_calls_go_to_people_at_once_and_the_exit_is_clean(
    centre_of: Callable[..., Any],
) -> None:
    centre = await _centre(centre_of)
    assert await centre.router.stop(signal.SIGTERM) == 0
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        callers.call(YOUNGER, hold_ms=15_000)
        (joined,) = await witness.wait_for("QueueCallerJoin", 1)
        assert witness.seconds_to_queue(joined.uniqueid) < 0.3
        assert [run.status for run in await callers.all_ended()] == [0]


async def test_new_rules_are_taken_on_sighup_and_wrong_ones_are_not(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    rules = centre.router.rules
    good = rules.read_text()

    rules.write_text(good.replace("then: {to: assistant}", "then: {to: asistant}"))
    centre.router.child.send(signal.SIGHUP)
    await centre.router.wait_for_log("rules on disk refused, the old ones stay")
    callers.call(YOUNGER, "95501", hold_ms=300)
    (before,) = await centre.router.wait_for_records("decision", 1)
    assert before["target"] == "assistant"
    assert "did you mean" in centre.router.log.read_text() or "`assistant`" in centre.router.log.read_text()

    rules.write_text(good.replace("then: {to: assistant}", "then: {to: people}"))
    centre.router.child.send(signal.SIGHUP)
    await centre.router.wait_for_log('"rules loaded"')
    callers.call(YOUNGER, "95502", hold_ms=15_000)
    _, after = await centre.router.wait_for_records("decision", 2)
    assert after["target"] == "people"
    assert after["rules_version"] != before["rules_version"]
    await callers.all_ended()
