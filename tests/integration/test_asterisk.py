"""The link to Asterisk: its restart, its privileges, several of them, and callers who mean harm."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from asterisk.manager import Manager, ManagerAuthException

from lab.asterisk_server import AsteriskServer
from lab.centre import Router
from lab.phones import Call, place
from lab.places import PROJECT
from lab.redis import RedisServer
from router.calls.events import WANTED_EVENTS
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER, YOUNGER = "13900000001", "13900000008"


async def test_when_asterisk_restarts_the_link_comes_back_and_the_next_call_is_routed(
    centre_of: Callable[..., Any],
) -> None:
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT)
    callers = Callers(centre)
    callers.call(YOUNGER, "95501", hold_ms=60_000, limit_s=5)
    await centre.router.wait_for_records("decision", 1)
    before = centre.router.log.read_text().count('"reconciled"')
    await centre.asterisk.child.stop(signal.SIGKILL)
    await centre.router.wait_for_log("ami link lost")
    await centre.asterisk.start()
    await centre.router.wait_for_log('"reconciled"', times=before + 1, patience_s=40)
    callers.call(OLDER, "95502", hold_ms=20_000)
    (lost,) = [r for r in await centre.router.wait_for_records("outcome", 1) if r["uniqueid"]]
    _, decision = await centre.router.wait_for_records("decision", 2)
    assert (decision["called"], decision["target"], decision["applied"]) == ("95502", "older", True)
    assert lost["ended"] == "unseen"
    await centre.router.wait_for_records("outcome", 2)
    await callers.hang_up()


def _no_program_was_run() -> None:
    assert not Path("/tmp/elder-router-was-here").exists()  # noqa: S108 - the very file that must not appear


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ({"Action": "Originate", "Channel": "Local/1@x", "Application": "System", "Data": "true"}, False),
        ({"Action": "Command", "Command": "core show version"}, False),
        ({"Action": "AGI", "Channel": "PJSIP/x", "Command": "EXEC System true"}, False),
        ({"Action": "GetConfig", "Filename": "manager.conf"}, False),
        ({"Action": "UpdateConfig", "SrcFilename": "x", "DstFilename": "x"}, False),
        ({"Action": "ModuleLoad", "LoadType": "reload"}, False),
        ({"Action": "DBPut", "Family": "x", "Key": "y", "Val": "z"}, False),
        ({"Action": "QueuePause", "Interface": "PJSIP/agent1", "Paused": "true"}, False),
        ({"Action": "Setvar", "Variable": "SHELL(touch /tmp/elder-router-was-here)", "Value": "x"}, False),
        ({"Action": "Getvar", "Variable": "SHELL(id)"}, False),
        ({"Action": "Setvar", "Variable": "ELDER_X", "Value": "1"}, True),
        ({"Action": "Getvar", "Variable": "ELDER_X"}, True),
        ({"Action": "Ping"}, True),
    ],
    ids=lambda value: value["Action"] + value.get("Variable", "")[:6] if isinstance(value, dict) else "",
)
async def test_the_router_s_ami_user_may_do_what_it_needs_and_no_more(
    one_asterisk: AsteriskServer, action: dict[str, str], allowed: bool
) -> None:
    def ask() -> str:
        manager = Manager()
        manager.connect("127.0.0.1", one_asterisk.ami_port)
        manager.login("elder-router", one_asterisk.ami_secret)
        answer: str = manager.send_action(dict(action)).get_header("Response", "")
        return answer

    assert (await asyncio.to_thread(ask)) == ("Success" if allowed else "Error")
    _no_program_was_run()


async def test_asterisk_sends_the_router_only_the_events_it_reads(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT, agents={"agent1": 300})
    asterisk, callers = centre.asterisk, Callers(centre)
    reader, writer = await asyncio.open_connection("127.0.0.1", asterisk.ami_port)
    writer.write(f"Action: Login\r\nUsername: elder-router\r\nSecret: {asterisk.ami_secret}\r\n\r\n".encode())
    callers.call(OLDER, hold_ms=20_000)
    callers.call(YOUNGER, hold_ms=300)
    await centre.router.wait_for_records("outcome", 2)
    writer.write(b"Action: Logoff\r\n\r\n")
    sent = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()
    names = {line.removeprefix("Event: ") for line in sent.splitlines() if line.startswith("Event: ")}
    assert names == {"UserEvent", "QueueCallerJoin", "AgentConnect", "AgentComplete"}
    assert names <= WANTED_EVENTS


class _WithoutSecret(AsteriskServer):
    def write_configuration(self) -> None:
        super().write_configuration()
        (self.directory / "etc" / "elder-router.secret").unlink()


async def test_without_its_secret_file_nobody_logs_in_as_the_router(tmp_path: Path) -> None:
    async with _WithoutSecret(tmp_path / "asterisk", agents={}, members={}) as asterisk:
        for guess in ("", "secret", asterisk.ami_secret):
            manager = Manager()
            manager.connect("127.0.0.1", asterisk.ami_port)
            with pytest.raises(ManagerAuthException):
                await asyncio.to_thread(manager.login, "elder-router", guess)


# A whole event of ours, in a caller's number; Asterisk keeps 80 characters of it.
FORGED = "1%0d%0a%0d%0aEvent%3a%20UserEvent%0d%0aUserEvent%3a%20RouteFallback%0d%0aCall%3a%20forged%0d%0a%0d%0a"
HOSTILE_NAMES = {
    "quotes": 'Mr \\"Quote\\" \\\\',
    "dialplan": "${SHELL(touch /tmp/elder-router-was-here)} $[1+1] #{ELDER_TARGET}",
    "comma and pipe": "a,b|c;d,Token: x",
    "U+2028": "a\u2028Uniqueid: forged",
    "U+0085": "a\u0085Uniqueid: forged",
    "emoji": "👵🏽 老人",
    "300 characters": "x" * 300,
}


# PJSIP refuses a call whose name holds CR LF, but a look-up of names in the dialplan may bring it in.
NAMED_BY_A_LOOKUP = """
[from-callers]
exten => 4444,1,Set(CALLERID(name)=${URIDECODE(a%0D%0AUniqueid: forged%0D%0A%0D%0AEvent: UserEvent%0D%0A)})
 same => n,Goto(elder-inbound,${EXTEN},1)
"""


async def test_whatever_a_caller_calls_themselves_they_are_routed_and_nothing_is_injected(
    centre_of: Callable[..., Any],
) -> None:
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT + NAMED_BY_A_LOOKUP)
    callers = Callers(centre)
    for number, name in enumerate(HOSTILE_NAMES.values()):
        called = f"955{number:02d}"
        callers.call(YOUNGER, called, display_name=name, hold_ms=400, limit_s=20)
    callers.call(FORGED, "95598", hold_ms=400, limit_s=20)
    callers.call("%c3%a9%0a${EPOCH}", "95599", hold_ms=400, limit_s=6)
    callers.call(YOUNGER, "4444", hold_ms=400, limit_s=20)
    await centre.router.wait_for_records("outcome", len(HOSTILE_NAMES) + 2)
    await callers.all_ended()

    decisions = {record["called"]: record for record in centre.router.records("decision")}
    for number, what in enumerate(HOSTILE_NAMES):
        decision = decisions[f"955{number:02d}"]
        assert (what, decision["age_band"], decision["applied"]) == (what, "adult", True)
    assert decisions["4444"]["applied"]
    assert decisions["4444"]["age_band"] == "adult"
    assert decisions["95598"]["band_source"] == "no_number"
    assert decisions["95598"]["applied"]
    assert decisions["95598"]["caller"] == "malformed"
    journal = centre.router.journal.read_text()
    assert "forged" not in journal
    assert not any(record["fallback"] for record in decisions.values())
    _no_program_was_run()
    for line in journal.splitlines():
        json.loads(line)


async def test_a_forged_event_from_a_call_outside_our_dialplan_is_refused(centre_of: Callable[..., Any]) -> None:
    # Another number of the same PBX raises events with the caller's number as it came.
    elsewhere = """
[from-callers]
exten => 7777,1,Answer(,i)
 same => n,UserEvent(Other)
 same => n,Wait(1)
"""
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT + elsewhere)
    callers = Callers(centre)
    callers.call(FORGED, "7777", hold_ms=300, limit_s=10)
    await centre.router.wait_for_log("event refused")
    callers.call(YOUNGER, "95501", hold_ms=300)
    await centre.router.wait_for_records("outcome", 1)
    await callers.all_ended()
    assert "forged" not in centre.router.journal.read_text()
    assert [record["called"] for record in centre.router.records("decision")] == ["95501"]


async def test_one_router_serves_two_asterisks(tmp_path: Path) -> None:
    rules = tmp_path / "routing.yaml"
    rules.write_text(BRISK)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer(tmp_path / "redis"))
        pbxs = [
            await stack.enter_async_context(
                AsteriskServer(
                    tmp_path / name,
                    agents={},
                    members={"agents": [], "senior-care": []},
                    extra_dialplan=BRISK_ASSISTANT,
                    name=name,
                )
            )
            for name in ("pbx1", "pbx2")
        ]
        router = Router(tmp_path / "router", rules, redis.url, pbxs)
        await stack.enter_async_context(router)
        runs = [place(tmp_path / f"sipp-{pbx.name}", pbx.sip_port, [Call(YOUNGER)], hold_ms=300) for pbx in pbxs]
        assert [run.status for run in await asyncio.gather(*runs)] == [0, 0]
        await router.wait_for_records("outcome", 2)
        # One of them goes: the other's calls are routed as before.
        await pbxs[0].stop()
        await router.wait_for_log("ami link lost")
        assert (await place(tmp_path / "sipp-again", pbxs[1].sip_port, [Call(YOUNGER)], hold_ms=300)).status == 0
        decisions = await router.wait_for_records("decision", 3)
    assert sorted(record["node"] for record in decisions) == ["pbx1", "pbx2", "pbx2"]
    assert all(record["applied"] for record in decisions)


async def test_20_calls_a_second_for_30_seconds_all_have_a_decision_and_none_is_lost(
    centre_of: Callable[..., Any],
) -> None:
    agents = {f"agent{n}": 500 for n in range(20)}
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT, agents=agents, one_phone=True)
    older = [Call(f"139000000{n % 7 + 1:02d}", "95560") for n in range(200)]
    younger = [Call(f"139000000{n % 4 + 8:02d}", "95500") for n in range(400)]
    port = centre.asterisk.sip_port
    async with Witness(centre.asterisk) as witness:
        runs = await asyncio.gather(
            place(centre.directory / "older", port, older, rate_per_s=200 / 30, hold_ms=60_000),
            place(centre.directory / "younger", port, younger, rate_per_s=400 / 30, hold_ms=1_000),
        )
        decisions = await centre.router.wait_for_records("decision", 600)
        outcomes = await centre.router.wait_for_records("outcome", 600)
        answered = {seen.uniqueid for seen in witness.events("AgentConnect")}
    assert [run.status for run in runs] == [0, 0]
    assert len(decisions) == len(outcomes) == 600
    assert len({record["uniqueid"] for record in decisions}) == 600
    assert all(record["applied"] and not record["fallback"] for record in decisions)
    to_people = {record["uniqueid"] for record in decisions if record["target"] == "older"}
    assert len(to_people) == 200
    assert answered == to_people
    assert {r["uniqueid"] for r in outcomes if r["ended"] == "answered"} == to_people
