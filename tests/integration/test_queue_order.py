"""Who is answered first: a head start counts as time already waited, and nobody is overtaken for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import ALL_TO_PEOPLE, UNGREETED
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER, YOUNGER = "13900000001", ("13900000008", "13900000009", "13900000010")

# A caller who joined six minutes ago, by the shipped dialplan's own arithmetic in elder-people.
SIX_MINUTES_AGO = """
[from-callers]
exten => 6666,1,Set(ELDER_PRIO=$[2000000000 - (${EPOCH} - 360)])
 same => n,Set(ELDER_QUEUE=agents)
 same => n,Set(ELDER_STATE=fallback)
 same => n,Set(ELDER_GREETED=yes)
 same => n,Goto(elder-people,s,1)
"""


async def _nobody_answers(witness: Witness) -> None:
    assert "Success" in await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="true")


async def _answer(witness: Witness) -> None:
    assert "Success" in await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="false")


async def _arrives(witness: Witness, callers: Callers, caller: str, called: str = "95500") -> str:
    """A call comes in; returns its uniqueid."""
    before = len(witness.events("Newchannel"))
    callers.call(caller, called, hold_ms=60_000)
    return (await witness.wait_for("Newchannel", before + 1))[-1].uniqueid


async def _answered(witness: Witness, count: int) -> list[str]:
    return [seen.uniqueid for seen in await witness.wait_for("AgentConnect", count, patience_s=40)]


async def test_an_older_caller_who_joins_after_three_younger_is_answered_first(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(
        rules=ALL_TO_PEOPLE.replace("HEAD_START", "5m"),
        callers=SAMPLE,
        agents={"agent1": 300},
        extra_dialplan=UNGREETED,
    )
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        await _nobody_answers(witness)
        younger = [await _arrives(witness, callers, caller) for caller in YOUNGER]
        await witness.wait_for("QueueCallerJoin", 3)
        older = await _arrives(witness, callers, OLDER)
        await witness.wait_for("QueueCallerJoin", 4)
        assert await witness.waiting("agents") == [older, *younger]
        await _answer(witness)
        answered = await _answered(witness, 4)
    assert answered == [older, *younger]
    bands = {record["uniqueid"]: record["age_band"] for record in centre.router.records("decision")}
    assert [bands[uniqueid] for uniqueid in answered] == ["elder", "adult", "adult", "adult"]


async def test_a_younger_caller_who_has_waited_longer_than_the_head_start_stays_ahead(
    centre_of: Callable[..., Any],
) -> None:
    centre = await centre_of(
        rules=ALL_TO_PEOPLE.replace("HEAD_START", "3s"),
        callers=SAMPLE,
        agents={"agent1": 300},
        extra_dialplan=UNGREETED,
    )
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        await _nobody_answers(witness)
        first = await _arrives(witness, callers, YOUNGER[0])
        arrived_at = witness.events("Newchannel")[0].at
        await asyncio.sleep(arrived_at + 5 - time.time())  # it really waits for 5 s; Asterisk's clock is this machine's
        late = await _arrives(witness, callers, YOUNGER[1])
        older = await _arrives(witness, callers, OLDER)
        await witness.wait_for("QueueCallerJoin", 3)
        order = await witness.waiting("agents")
        await _answer(witness)
        answered = await _answered(witness, 3)
    assert order == answered == [first, older, late]


async def test_a_head_start_of_5_minutes_is_behind_a_wait_of_6(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(
        rules=ALL_TO_PEOPLE.replace("HEAD_START", "5m"),
        callers=SAMPLE,
        agents={"agent1": 300},
        extra_dialplan=SIX_MINUTES_AGO,
    )
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        await _nobody_answers(witness)
        waited_6_min = await _arrives(witness, callers, YOUNGER[0], "6666")
        just_joined = await _arrives(witness, callers, YOUNGER[1])
        older = await _arrives(witness, callers, OLDER)
        await witness.wait_for("QueueCallerJoin", 3)
        assert await witness.waiting("agents") == [waited_6_min, older, just_joined]
    await callers.hang_up()


async def test_with_and_without_the_router_the_place_in_the_queue_is_the_same_arithmetic(
    centre_of: Callable[..., Any],
) -> None:
    centre = await centre_of(
        rules=ALL_TO_PEOPLE.replace("HEAD_START", "5m"),
        callers=SAMPLE,
        agents={"agent1": 300},
        extra_dialplan=UNGREETED,
    )
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        await _nobody_answers(witness)
        older = await _arrives(witness, callers, OLDER)
        await centre.router.wait_for_records("decision", 1)
        await centre.router.stop()  # new calls fall back at once
        fallen_back = await _arrives(witness, callers, YOUNGER[0])
        await witness.wait_for("QueueCallerJoin", 2)
        arrived = {seen.uniqueid: int(seen.at) for seen in witness.events("Newchannel")}
        channel = {entry["Uniqueid"]: entry["Channel"] for entry in await witness.channels()}
        priority = {call: int(await witness.variable(channel[call], "QUEUE_PRIO")) for call in (older, fallen_back)}
        assert await witness.waiting("agents") == [older, fallen_back]
    # The clock may tick over between the channel's creation and the dialplan's step.
    assert priority[older] - (2_000_000_000 - arrived[older] + 300) in (0, -1)
    assert priority[fallen_back] - (2_000_000_000 - arrived[fallen_back]) in (0, -1)
    await callers.hang_up()
