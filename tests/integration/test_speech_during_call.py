"""What is known only during the call is said to its caller, in their language and at their speed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lab.centre import Centre
from lab.listening import find
from lab.phones import Key
from lab.rtp import RATE_HZ, Recorder, Samples
from router.speech.catalogue import sentences_of_text
from router.speech.profile import SpokenProfile
from tests.integration.conftest import Callers
from tests.integration.spoken import Told, catalogue, heard_as, is_heard, profile, spoken, telling, told
from tests.integration.witness import Witness

ALIKE, BEGINNING = 0.95, RATE_HZ // 4
STANDARD = SpokenProfile("standard")
HOSTILE = "x)):System(touch /tmp/er), yes."
RAN = Path("/tmp/er")  # noqa: S108 - the very file that must not appear
MEMBERS = {"agents": ["agent1"], "idle": ["agent2"]}

DIALPLAN = (
    "\n[from-callers]\nexten => 7000,1,Answer(,i)\n same => n,Queue(agents)\n"
    + telling("7001", "Gosub(elder-say,s,1(balance,amount=1234.50 CNY))")
    + telling("7003", f"Set(ELDER_TEXT={HOSTILE})\n same => n,Gosub(elder-say,text,1)")
    + telling("7004", "Gosub(elder-say,s,1(no-such-prompt,a=1))")
    + telling("7010", "Set(ELDER_QUEUE=agents)\n same => n,Gosub(elder-say-place,s,1)")
    + telling("7011", "Set(ELDER_QUEUE=agents)\n same => n,Set(ELDER_PRIO=-5)\n same => n,Gosub(elder-say-place,s,1)")
    + telling("7014", "Set(ELDER_QUEUE=agents)\n same => n,Gosub(elder-say-place,about,1)")
    + telling("7013", "Set(ELDER_QUEUE=idle)\n same => n,Gosub(elder-say-place,s,1)")
    + """
exten => 7002,1,Answer()
 same => n,Set(CHANNEL(language)=zh_slow)
 same => n,Gosub(elder-say,get,1(reference,digits=139000))
 same => n,Goto(own-menu,s,1)
[own-menu]
exten => s,1,Background(${ELDER_SAY})
 same => n,WaitExten(5)
exten => 5,1,Set(GLOBAL(TOLD_7002)=pressed|${ELDER_SAY}|0|0)
 same => n,Hangup()
"""
)


class Heard:
    """Calls numbers of the centre side by side, and has what each caller heard."""

    def __init__(self, centre: Centre, callers: Callers) -> None:
        self._centre = centre
        self._callers = callers

    async def calls(self, *numbers: str, **keys: Key) -> dict[str, tuple[Told, Samples]]:
        """Call them all at once; what the dialplan told, and what was heard, by number."""
        async with AsyncExitStack() as stack:
            recorders = {number: await stack.enter_async_context(Recorder()) for number in numbers}
            await asyncio.gather(*(self._call(n, r.port, keys.get(f"to_{n}")) for n, r in recorders.items()))
            said = await told(self._centre.asterisk)
            return {number: (said[number], recorder.samples()) for number, recorder in recorders.items()}

    async def calls_until_said(self, *numbers: str, **keys: Key) -> dict[str, tuple[Told, Samples]]:
        """Call again those for whom it was too late: on a busy machine it may be, and the next caller is luckier."""
        found = await self.calls(*numbers, **keys)
        for _ in range(2):
            late = [number for number, (came, _) in found.items() if came.say == "" and came.said != "none"]
            found |= await self.calls(*late, **keys)
        return found

    async def _call(self, number: str, port: int, key: Key | None) -> None:
        keys = [key] if key else []
        await self._callers.call("13900000001", number, media_port=port, hold_ms=15_000, keys=keys)


def file_of(told_: Told) -> bytes:
    return Path(f"{told_.say}.ulaw").read_bytes()


async def test_what_is_known_only_now_is_said_in_the_caller_s_language_and_at_their_speed(
    centre_of: Callable[..., Any],
) -> None:
    centre = await centre_of(extra_dialplan=DIALPLAN, agents={"agent1": 100, "agent2": 100}, members=MEMBERS)
    callers, prompts = Callers(centre), catalogue()
    heard = Heard(centre, callers)
    said, wrong, _ = await asyncio.gather(
        heard.calls_until_said("7001", "7002", "7003", "7013", to_7002=Key(2500, "5")),
        heard.calls("7004"),
        _place_and_wait(centre, callers, heard),
    )
    balance, text = prompts.say("balance", "en", {"amount": "1234.50 CNY"}), sentences_of_text(HOSTILE)
    digits = prompts.say("reference", "zh", {"digits": "139000"})

    assert said["7001"][0].said == "yes"
    assert file_of(said["7001"][0]) == spoken(balance, "en", STANDARD)
    assert is_heard(heard_as(file_of(said["7001"][0])), said["7001"][1])

    assert said["7002"][0].said == "pressed", "a key is heard while it is played with Background"
    slow = spoken(digits, "zh", profile("slow"))
    assert file_of(said["7002"][0]) == slow
    assert find(heard_as(slow)[:BEGINNING], said["7002"][1]).likeness > ALIKE

    assert said["7003"][0].said == "yes"
    assert file_of(said["7003"][0]) == spoken(text, "en", STANDARD)
    assert not RAN.exists()  # noqa: ASYNC240 - it takes no time

    assert (wrong["7004"][0].said, wrong["7004"][0].say) == ("no", "")
    assert np.abs(wrong["7004"][1]).max(initial=0) < 0.01, "nothing is heard"
    assert (said["7013"][0].said, said["7013"][0].say) == ("none", ""), "an agent is free"


async def _place_and_wait(centre: Centre, callers: Callers, heard: Heard) -> None:
    """Callers hear their place; and the wait, once enough others have been answered."""
    prompts = catalogue()

    def says(told_: Told, prompt: str, **values: str) -> bool:
        return file_of(told_) == spoken(prompts.say(prompt, "en", values), "en", STANDARD)

    async with Witness(centre.asterisk) as witness:
        await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="true")
        callers.call("13900000008", "7000", hold_ms=30_000)
        await witness.wait_for("QueueCallerJoin", 1)
        before = await heard.calls_until_said("7010")
        for _ in range(6):
            callers.call("13900000008", "7000", hold_ms=30_000)
        await witness.wait_for("QueueCallerJoin", 7)
        await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="false")
        await witness.wait_for("AgentConnect", 4)
        await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="true")
        after = await heard.calls_until_said("7011", "7014")
        waiting = len(await witness.waiting("agents"))
    await callers.hang_up()

    assert waiting >= 1
    assert says(before["7010"][0], "place-next"), "they have a priority, and no wait is known yet"
    assert says(after["7011"][0], "place-and-wait", position=str(waiting + 1), wait="30"), "behind: a low priority"
    assert says(after["7014"][0], "wait-for-person", waiting=str(waiting), wait="30")
    assert is_heard(heard_as(file_of(after["7011"][0])), after["7011"][1])
    assert {told_.said for told_, _ in [*before.values(), *after.values()]} == {"yes"}
