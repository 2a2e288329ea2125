"""The caller has the last word: slower, normal, repeat, a person, in the assistant and while waiting."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

from lab.centre import Centre
from lab.listening import Found, find, read_sound
from lab.phones import Key
from lab.places import PROJECT, SOUNDS
from lab.rtp import RATE_HZ, Recorder, Samples
from tests.integration.conftest import Callers
from tests.integration.rules import BANDS, UNGREETED
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER, ADULTS = "13900000001", [f"139000000{number:02d}" for number in range(8, 11)]
ALIKE = 0.9  # of one second; the same words at another speed are below 0.5

RULES = (
    "timezone: Asia/Shanghai\n"
    + BANDS
    + """\
speech:
  unhurried: {rate: 0.85, sentence_pause: 400ms, value_pause: 250ms, digit_timeout: 8s, menu_options: 3, gain_db: 3}
  slow:
    rate: 0.7
    sentence_pause: 700ms
    value_pause: 500ms
    digit_timeout: 12s
    menu_options: 2
    gain_db: 3
    repeat_essential: true
targets:
  people: {queue: agents}
  older: {queue: senior-care}
  assistant: {context: router-assistant}
rules:
  - name: older callers
    when: {age_band: [senior, elder]}
    then: {to: older, speech: unhurried}
  - name: who asked for a person before
    when: {choice: person}
    then: {to: people}
  - name: straight to people
    when: {called: 95501}
    then: {to: people}
  - name: everyone else
    then: {to: assistant}
fallback: {to: people}
"""
)


def _first(piece: Samples, recording: Samples) -> Found:
    """Where it is heard for the first time."""
    found = find(piece, recording)
    while (until := found.at + len(piece) // 2) >= len(piece):
        earlier = find(piece, recording[:until])
        if earlier.likeness <= ALIKE:
            break
        found = earlier
    return found


def _heard(recording: Samples, *prompts: tuple[str, str]) -> list[float]:
    """These prompts' first seconds were heard, in this order: each is looked for after the one before. Returns when."""
    after, at_s = 0, []
    for language, name in prompts:
        piece = read_sound(SOUNDS / language, f"elder/{name}")[:RATE_HZ]
        found = _first(piece, recording[after:])
        assert found.likeness > ALIKE, f"{name} in {language} is not heard after {after / RATE_HZ:.1f} s"
        at_s.append((after + found.at) / RATE_HZ)
        after += found.at + RATE_HZ // 2
    return at_s


async def _pause(witness: Witness, agent: str, paused: str) -> None:
    assert "Success" in await witness.action(Action="QueuePause", Interface=f"PJSIP/{agent}", Paused=paused)


async def test_the_pace_changes_with_the_next_sentence_and_is_remembered_for_the_next_call(
    centre_of: Callable[..., Any],
) -> None:
    centre: Centre = await centre_of(
        rules=RULES,
        callers=SAMPLE,
        agents={"agent1": 300, "agent2": 300},
        members={"agents": ["agent1"], "senior-care": ["agent2"]},
        extra_dialplan=UNGREETED,
    )
    callers = Callers(centre)
    async with (
        Witness(centre.asterisk) as witness,
        Recorder() as in_assistant,
        Recorder() as offered,
        Recorder() as waiting,
    ):
        await _pause(witness, "agent2", "true")
        keys = [Key(2200, "7"), *(Key(1600, key) for key in "19778"), Key(3700, "3"), Key(1800, "0")]
        callers.call(ADULTS[0], media_port=in_assistant.port, keys=keys, hold_ms=20_000)
        # Another, who chose slower speech before, is offered two things, and after half the key timeout two more.
        assert (await centre.command("callers", "choose", ADULTS[1], "slower:slow"))[0] == 0
        callers.call(ADULTS[1], media_port=offered.port, hold_ms=19_500)
        # Meanwhile an older caller, who is spoken to unhurriedly, waits for a person and wants it slower still.
        await callers.call(OLDER, "95501", media_port=waiting.port, keys=[Key(10_000, "7")], hold_ms=2500)
        _heard(waiting.samples(), ("en_unhurried", "connecting-person"), ("en_slow", "slower-now"))
        await centre.router.wait_for_records("outcome", 1)
        status, said = await centre.command("callers", "get", OLDER)
        assert (status, said.partition(" (from the feed, ")[0]) == (0, "+86139****0001: elder")
        assert ", chose slower (slow) until " in said
        async with Recorder() as again:
            # Keys work before the queue is joined, too; one that means nothing cuts nothing short.
            keys = [Key(800, "5"), Key(1400, "8")]
            await callers.call(OLDER, "95501", media_port=again.port, keys=keys, hold_ms=6000)
        _heard(again.samples(), ("en_slow", "connecting-person"), ("en", "normal-now"), ("en", "connecting-person"))
        assert (await centre.command("callers", "forget", OLDER))[0] == 0
        await callers.call(OLDER, "95501", hold_ms=200)
        await callers.all_ended()
        await centre.router.wait_for_records("outcome", 5)
    _heard(
        in_assistant.samples(),
        ("en", "menu-hours"),
        ("en_unhurried", "slower-now"),
        ("en_unhurried", "hours"),
        ("en_unhurried", "hours"),  # again, for 9
        ("en_slow", "slower-now"),
        ("en_slow", "slowest-already"),
        ("en", "normal-now"),
        ("en", "hours"),  # what was said last
        ("en", "nobody-waiting"),
        ("en", "connecting-person"),
    )
    at_s = _heard(offered.samples(), *(("en_slow", f"menu-{option}") for option in ("hours", "claims", "more", "wait")))
    claims_s = len(read_sound(SOUNDS / "en_slow", "elder/menu-claims")) / RATE_HZ
    assert at_s[2] - at_s[1] - claims_s == pytest.approx(6, abs=0.5)
    decisions = {record["uniqueid"]: record for record in centre.router.records("decision")}
    adult = next(uniqueid for uniqueid, record in decisions.items() if record["caller"] == "+86139****0008")
    first, second, third = (record for record in decisions.values() if record["called"] == "95501")
    assert (first["speech"], first["speech_from"], first["choice"]) == ("unhurried", "rule", "")
    assert (second["speech"], second["speech_from"], second["choice"]) == ("slow", "choice", "slower:slow")
    assert (second["rule"], second["channel_language"]) == (first["rule"], "en_slow")
    assert (third["choice"], third["age_band"], third["target"]) == ("", None, "people")
    outcomes = {record["uniqueid"]: record for record in centre.router.records("outcome")}
    ended = outcomes[first["uniqueid"]]
    assert (ended["keys"], ended["choice"], ended["speech"]) == (["slower"], "slower:slow", "slow")
    ended = outcomes[adult]
    assert ended["keys"] == ["slower", "1", "repeat", "slower", "slower", "normal", "3", "person"]
    assert (ended["choice"], ended["speech"], ended["ended"]) == ("normal:standard+person", "standard", "answered")
    status, said = await centre.command("callers", "get", ADULTS[0])
    assert (status, said.partition(" (from the feed, ")[0]) == (0, "+86139****0008: adult")
    assert ", chose normal (standard), person until " in said


async def _channels(witness: Witness) -> dict[str, str]:
    return {entry["Uniqueid"]: entry["Channel"] for entry in await witness.channels()}


async def _press(witness: Witness, *pressed: tuple[str, str]) -> None:
    """Press keys in the queue, a caller each, and wait until all of them are back in it."""
    before = len(witness.events("QueueCallerJoin"))
    channels = await _channels(witness)
    for uniqueid, key in pressed:
        said = await witness.action(Action="PlayDTMF", Channel=channels[uniqueid], Digit=key, Receive="true")
        assert "Success" in said, said
    await witness.wait_for("QueueCallerJoin", before + len(pressed))


async def test_keys_of_waiting_callers_cost_nobody_their_place_with_or_without_a_router(
    centre_of: Callable[..., Any],
) -> None:
    centre: Centre = await centre_of(rules=RULES, callers=SAMPLE, agents={"agent1": 300}, extra_dialplan=UNGREETED)
    callers = Callers(centre)

    async def joins(called: str, *numbers: str) -> list[str]:
        """Uniqueids of callers who come one after the other, each in a second of their own, once they wait."""
        already = len(witness.events("QueueCallerJoin"))
        ids = []
        for number in numbers:
            before = len(witness.events("Newchannel"))
            callers.call(number, called, hold_ms=60_000)
            ids.append((await witness.wait_for("Newchannel", before + 1))[-1].uniqueid)
            await asyncio.sleep(1.05)
        await witness.wait_for("QueueCallerJoin", already + len(numbers))
        return ids

    async with Witness(centre.asterisk) as witness:
        await _pause(witness, "agent1", "true")
        waiting = await joins("95501", *ADULTS)
        assert await witness.waiting("agents") == waiting
        # As if the first two had joined within the same second: even then nobody falls behind for a key.
        channels = await _channels(witness)
        same = await witness.variable(channels[waiting[1]], "ELDER_PRIO")
        change = {"Channel": channels[waiting[0]], "Variable": "ELDER_PRIO", "Value": same}
        assert "Success" in await witness.action(Action="Setvar", **change)
        await _press(witness, (waiting[0], "7"))
        assert await witness.waiting("agents") == waiting
        await _press(witness, (waiting[1], "0"), (waiting[2], "9"))
        assert await witness.waiting("agents") == waiting
        # A router that hangs is waited for 1 s.
        centre.router.child.send(signal.SIGSTOP)
        await _press(witness, (waiting[2], "8"))
        centre.router.child.send(signal.SIGCONT)
        assert await witness.waiting("agents") == waiting
        await _pause(witness, "agent1", "false")
        connected = await witness.wait_for("AgentConnect", 3)
        assert [seen.uniqueid for seen in connected] == waiting
        outcomes = {record["uniqueid"]: record for record in await centre.router.wait_for_records("outcome", 3)}
        joined = {seen.uniqueid: seen.at for seen in reversed(witness.events("QueueCallerJoin"))}  # the first time
        for seen in connected:
            wait_s = outcomes[seen.uniqueid]["wait_s"]
            assert abs(wait_s - (seen.at - joined[seen.uniqueid])) < 1, "counts from the first joining"
        assert [outcomes[uniqueid]["keys"] for uniqueid in waiting] == [["slower"], ["person"], ["repeat", "normal"]]
        # Without a router the keys do no harm.
        await _pause(witness, "agent1", "true")
        await centre.router.stop()
        waiting = await joins("95501", *ADULTS[:2])
        await _press(witness, (waiting[0], "7"))
        await _press(witness, (waiting[0], "8"), (waiting[1], "0"))
        assert await witness.waiting("agents") == waiting
        # Started again, it is told by the calls what was chosen in them.
        await centre.router.start()
        await _press(witness, (waiting[0], "7"))
        await _pause(witness, "agent1", "false")
        assert [seen.uniqueid for seen in (await witness.wait_for("AgentConnect", 5))[3:]] == waiting
        await callers.all_ended()
        chose = {r["uniqueid"]: r["choice"] for r in await centre.router.wait_for_records("outcome", 5)}
        assert [chose[uniqueid] for uniqueid in waiting] == ["slower:unhurried", "person"]


async def test_a_key_leaves_the_overflow_the_time_it_had_and_the_caller_the_queue_they_were_in(
    centre_of: Callable[..., Any],
) -> None:
    overflowing = """
[from-callers]
exten => 6667,1,Set(ELDER_QUEUE=senior-care)
 same => n,Set(ELDER_OVERFLOW_S=0)
 same => n,Set(ELDER_OVERFLOW_QUEUE=agents)
 same => n,Set(ELDER_STATE=fallback)
 same => n,Goto(elder-people,s,1)
exten => 6666,1,Set(ELDER_QUEUE=senior-care)
 same => n,Set(ELDER_OVERFLOW_S=4)
 same => n,Set(ELDER_OVERFLOW_QUEUE=agents)
 same => n,Set(ELDER_STATE=fallback)
 same => n,Goto(elder-people,s,1)
"""
    centre: Centre = await centre_of(router=False, agents={"agent1": 300}, extra_dialplan=overflowing)
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        await _pause(witness, "agent1", "true")
        # Nothing left of the time is no time at all, and not for ever.
        at_once = callers.call(ADULTS[1], "6667", hold_ms=2500)
        await witness.wait_for("QueueCallerJoin", 2)
        await at_once
        already = len(witness.events("QueueCallerJoin"))
        assert [seen.headers["Queue"] for seen in witness.events("QueueCallerJoin")] == ["senior-care", "agents"]
        callers.call(ADULTS[0], "6666", hold_ms=60_000)
        joined = (await witness.wait_for("QueueCallerJoin", already + 1))[-1]
        await asyncio.sleep(2.5)
        await _press(witness, (joined.uniqueid, "9"))
        overflowed = (await witness.wait_for("QueueCallerJoin", already + 3))[-1]
        assert 3 < overflowed.at - joined.at < 5.5, "4 s after the first joining, in whole seconds; not after the key"
        await _press(witness, (joined.uniqueid, "8"))
        queues = [seen.headers["Queue"] for seen in witness.events("QueueCallerJoin")[already:]]
        assert queues == ["senior-care", "senior-care", "agents", "agents"]
        await _pause(witness, "agent1", "false")
        await witness.wait_for("AgentConnect", 1)
        await callers.all_ended()
