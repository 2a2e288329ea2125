"""However a call comes in, its caller reaches people; and the PBX is not theirs to command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.asterisk_server import AsteriskServer
from lab.phones import Call, place
from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
YOUNGER = "13900000008"

# The PBX's own dialplan: a menu that other numbers lead to as well, and a number that is no number.
A_PBX = """
[from-callers]
exten => 7001,1,Goto(own-menu,s,1)
exten => 7002,1,Goto(elder-inbound,x,1)
exten => 7003,1,Goto(elder-inbound,_9,1)
[own-menu]
exten => s,1,Goto(elder-people,s,1)
"""

# ExecIf finds its two applications in what is left when variables are replaced.
RUNS_AN_APPLICATION = ("x):Set(GLOBAL(WAS_HERE)=yes", "x)):Set(GLOBAL(WAS_HERE)=yes", "x?Set(GLOBAL(WAS_HERE)=yes")


async def _place(pbx: AsteriskServer, *calls: Call) -> list[int]:
    runs = [place(pbx.directory / f"sipp-{n}", pbx.sip_port, [call], hold_ms=2_000) for n, call in enumerate(calls)]
    return [run.status for run in await asyncio.gather(*runs)]


async def test_whatever_leads_to_people_its_callers_join_a_queue(tmp_path: Path) -> None:
    pbx = AsteriskServer(tmp_path / "asterisk", agents={}, members={"agents": []}, extra_dialplan=A_PBX)
    async with pbx, Witness(pbx) as witness:
        calls = [Call(YOUNGER, called) for called in ("7001", "7002", "7003", "95500")]
        assert await _place(pbx, *calls) == [0] * len(calls)
        joined = await witness.wait_for("QueueCallerJoin", 3)
        assert {seen.headers["Queue"] for seen in joined} == {"agents"}


async def test_no_display_name_runs_an_application(one_asterisk: AsteriskServer) -> None:
    calls = [Call(YOUNGER, display_name=name) for name in RUNS_AN_APPLICATION]
    assert await _place(one_asterisk, *calls) == [0] * len(calls)
    assert "WAS_HERE" not in await one_asterisk.cli("dialplan show globals")


async def test_after_a_reload_that_clears_globals_calls_are_routed_again(centre_of: Callable[..., Any]) -> None:
    clears = "\n[general](+)\nclearglobalvars = yes\n"
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT + clears)
    callers = Callers(centre)
    await centre.asterisk.cli("dialplan reload")
    deadline = asyncio.get_running_loop().time() + 10
    while "ELDER_TOKEN" not in await centre.asterisk.cli("dialplan show globals"):
        assert asyncio.get_running_loop().time() < deadline, "the router does not tell its token again"
        await asyncio.sleep(0.1)
    callers.call(YOUNGER, hold_ms=300)
    (decision,) = await centre.router.wait_for_records("decision", 1)
    assert (decision["applied"], decision["target"]) == (True, "assistant")
    await callers.all_ended()


async def test_a_caller_whom_no_queue_takes_has_abandoned_and_one_in_a_menu_of_the_pbx_met_an_assistant(
    centre_of: Callable[..., Any],
) -> None:
    rules = BRISK.replace("{queue: senior-care}", "{queue: nobody}").replace("{queue: agents}", "{queue: nobody}")
    nobody = "\n[nobody]\nstrategy = leastrecent\njoinempty = no\n"
    centre = await centre_of(
        rules=rules, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT, extra_queues=nobody, agents={"agent1": 500}
    )
    callers = Callers(centre)
    callers.call("13900000001", "95501", hold_ms=16_000)
    callers.call(YOUNGER, "95502", hold_ms=500)
    decisions = {record["uniqueid"]: record["called"] for record in await centre.router.wait_for_records("decision", 2)}
    outcomes = {decisions[r["uniqueid"]]: r for r in await centre.router.wait_for_records("outcome", 2)}
    await callers.all_ended()
    assert outcomes["95501"]["ended"] == "abandoned"
    assert outcomes["95501"]["wait_s"] > 0
    assert not outcomes["95501"]["touched_assistant"]
    assert outcomes["95502"]["touched_assistant"]


async def test_a_call_that_an_agent_transfers_back_is_labelled_once(centre_of: Callable[..., Any]) -> None:
    rules = BRISK.replace("{to: older, speech: unhurried}", '{to: older, agent_label: "60+"}')
    centre = await centre_of(rules=rules, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT, agents={"agent1": 20_000})
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        callers.call("13900000001", "95501", display_name="Wang", hold_ms=60_000)
        (answered,) = await witness.wait_for("AgentConnect", 1)
        await witness.action(
            Action="BlindTransfer", Channel=answered.headers["DestChannel"], Context="elder-inbound", Exten="95502"
        )
        await witness.wait_for("QueueCallerJoin", 2)
        assert {channel["CallerIDName"] for channel in await witness.channels()} >= {"60+ Wang"}
    decisions = await centre.router.wait_for_records("decision", 2)
    await callers.hang_up()
    assert [(record["called"], record["ask"]) for record in decisions] == [("95501", 1), ("95502", 2)]
