"""`elder-router promote` on a real queue, seen by a witness that the router does not know."""

from __future__ import annotations

import getpass
import os
import signal
from collections.abc import Callable
from typing import Any

from lab.centre import Centre
from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import ALL_TO_PEOPLE
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER = "13900000001"
FIVE = [f"1390000{number:04}" for number in range(1001, 1006)]
RULES = ALL_TO_PEOPLE.replace("HEAD_START", "5m")

# Callers who never asked the router and hear nothing first, so that they join at once and in their order.
AT_ONCE = """
[from-callers]
exten => 6666,1,Set(ELDER_STATE=fallback)
 same => n,Set(ELDER_GREETED=yes)
 same => n,Set(ELDER_QUEUE=agents)
 same => n,Goto(elder-people,s,1)
exten => 6667,1,Set(ELDER_OVERFLOW_S=8)
 same => n,Set(ELDER_OVERFLOW_QUEUE=senior-care)
 same => n,Goto(6666,1)
"""


async def _promote(centre: Centre, *words: str) -> tuple[int, str]:
    settings = centre.router.directory / "elder-router.yaml"
    return await centre.command("--config", str(settings), "promote", *words)


async def _wait(witness: Witness, callers: Callers, numbers: list[str], called: str) -> list[str]:
    """Callers in the order in which they came, with no agent free."""
    assert "Success" in await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="true")
    waiting = []
    for number, caller in enumerate(numbers, start=1):
        callers.call(caller, called, hold_ms=60_000)
        waiting.append((await witness.wait_for("QueueCallerJoin", number))[-1].uniqueid)
    assert await witness.waiting("agents") == waiting
    return waiting


async def test_the_last_of_five_is_promoted_and_answered_first(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(rules=RULES, callers=SAMPLE, agents={"agent1": 300}, extra_dialplan=AT_ONCE)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        *first, last = await _wait(witness, callers, FIVE, "6666")
        status, said = await _promote(centre, last, "--why", "has fallen, help is on the way")
        assert (status, said.partition("; was waiting ")[0]) == (0, "moved from place 5 to the front of agents")
        assert await witness.waiting("agents") == [last, *first]
        # A newcomer with a head start does not get ahead of who was promoted, and of the others as ever.
        callers.call(OLDER, hold_ms=60_000)
        older = (await witness.wait_for("QueueCallerJoin", 6))[-1].uniqueid
        assert await witness.waiting("agents") == [last, older, *first]
        assert "Success" in await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="false")
        answered = await witness.wait_for("AgentConnect", 2, patience_s=40)
        assert [seen.uniqueid for seen in answered[:2]] == [last, older]
    (record,) = centre.router.records("promotion")
    assert (record["node"], record["uniqueid"], record["queue"]) == ("pbx1", last, "agents")
    assert (record["from_position"], record["to_position"], record["done"]) == (5, 1, True)
    sudo = f" (sudo by {os.environ['SUDO_USER']})" if "SUDO_USER" in os.environ and os.getuid() == 0 else ""
    assert (record["by"], record["by_uid"]) == (f"{getpass.getuser()}{sudo}", os.getuid())
    assert record["why"] == "has fallen, help is on the way"
    await centre.router.wait_for_log('"caller promoted"')
    await callers.hang_up()


async def test_who_is_promoted_twice_stays_in_front_and_who_is_promoted_later_comes_first(
    centre_of: Callable[..., Any],
) -> None:
    centre = await centre_of(rules=RULES, agents={"agent1": 300}, extra_dialplan=AT_ONCE)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        a, b, c, d, e = await _wait(witness, callers, FIVE, "6666")
        assert (await _promote(centre, e))[0] == 0
        status, said = await _promote(centre, e)
        assert (status, said.partition("; has been waiting ")[0]) == (0, "already at the front of agents")
        assert await witness.waiting("agents") == [e, a, b, c, d]
        (channel,) = [entry["Channel"] for entry in await witness.channels() if entry["Uniqueid"] == c]
        status, said = await _promote(centre, channel)
        assert (status, said.partition(";")[0]) == (0, "moved from place 4 to the front of agents")
        assert await witness.waiting("agents") == [c, e, a, b, d]
    records = centre.router.records("promotion")
    assert [(record["uniqueid"], record["done"], record["not_done_why"]) for record in records] == [
        (e, True, ""),
        (e, False, "already at the front"),
        (c, True, ""),
    ]
    await callers.hang_up()


async def test_a_promotion_is_kept_when_the_call_overflows(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(rules=RULES, agents={"agent1": 300}, extra_dialplan=AT_ONCE)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        first, last = await _wait(witness, callers, FIVE[:2], "6667")
        assert (await _promote(centre, last))[0] == 0
        await witness.wait_for("QueueCallerJoin", 4)  # both have gone over to the other queue
        assert await witness.waiting("senior-care") == [last, first]
    await callers.hang_up()


async def test_who_does_not_wait_is_not_promoted(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(rules=RULES, agents={"agent1": 20_000})
    callers = Callers(centre)
    status, said = await _promote(centre, "pbx1-1763888645.42")
    assert (status, said) == (
        1,
        "not promoted: no caller who waits goes by that name; give the uniqueid that the journal has, or the "
        "channel's name as Asterisk's `queue show` has it\n",
    )
    async with Witness(centre.asterisk) as witness:
        callers.call(FIVE[0], hold_ms=60_000)
        (answered,) = await witness.wait_for("AgentConnect", 1, patience_s=40)
        status, said = await _promote(centre, answered.uniqueid)
    assert status == 1
    assert said.startswith("not promoted: this caller waits in no queue: agent1 answered ")
    (record,) = centre.router.records("promotion")
    assert (record["uniqueid"], record["done"], record["from_position"]) == (answered.uniqueid, False, None)
    await callers.hang_up()


async def test_without_a_router_it_says_so_and_a_killed_one_leaves_no_obstacle(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(rules=RULES)
    socket = centre.router.control
    assert socket.is_socket()
    assert socket.stat().st_mode & 0o777 == 0o660
    await centre.router.stop()
    assert not socket.exists()
    status, said = await _promote(centre, "1.1")
    assert (status, said.partition(":")[0]) == (2, "not promoted")
    assert f"no router listens on {socket}: is it running?" in said
    await centre.router.start()
    await centre.router.stop(signal.SIGKILL)
    assert socket.is_socket()
    status, said = await _promote(centre, "1.1")
    assert status == 2
    assert f"no router listens on {socket} any more" in said
    await centre.router.start()
    assert (await _promote(centre, "1.1"))[0] == 1  # somebody answers again
