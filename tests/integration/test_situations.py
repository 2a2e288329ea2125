"""Rules that ask for how things are: a queue's state, earlier calls, what the caller chose, and what then follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lab.centre import Centre, Record
from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import BANDS, BRISK_ASSISTANT, UNGREETED
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
ADULTS = [f"139000000{number:02d}" for number in range(8, 11)]

RULES = (
    (
        "timezone: Asia/Shanghai\n"
        + BANDS
        + """\
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  relief: {queue: senior-care}
  assistant: {context: brisk-assistant}
calendars:
  always: {hours: 24/7}
  never: {hours: "2026 Jan 01 00:00-00:01"}
rules:
  - name: outside the hours of nothing
    when: {calendar: never}
    then: {to: relief}
  - name: who calls again and again reaches a person
    when: {called: 95501, repeat: {calls: 3, within: 1h}}
    then: {to: people, note: third call within the hour}
  - name: who asked for it is spoken to slowly
    when: {choice: slower, age_band: [minor, adult, unknown]}
    then: {to: assistant, speech: unhurried, language: zh}
  - name: the queue is long
    when: {called: 95502, queue: {people: {waiting_over: 1, agents_free_under: 1}}}
    then: {to: relief}
  - name: while there is room
    when: {called: 95502, queue: {people: {waiting_under: 2}}, calendar: always}
    then: {to: people, overflow: {after: 3s, to: relief}}
  - name: older callers
    when: {age_band: [senior, elder]}
    then: {to: people}
  - name: everyone else
    then: {to: assistant}
fallback: {to: people}
"""
    )
    .replace("  never: ", "  never: ")
    .replace("2026 Jan 01 00:00-00:01", "2026 Jan 01 00:00-00:01")
)


async def _centre(centre_of: Callable[..., Any], **options: Any) -> Centre:  # noqa: ANN401
    centre: Centre = await centre_of(rules=RULES, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT + UNGREETED, **options)
    return centre


async def _decided(centre: Centre, callers: Callers, number: int, *call: str, hold_ms: int = 600) -> Record:
    callers.call(*call, hold_ms=hold_ms)
    decisions = await centre.router.wait_for_records("decision", number)
    return decisions[number - 1]


async def test_a_third_call_within_the_hour_reaches_a_person(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    first = await _decided(centre, callers, 1, ADULTS[0], "95501")
    second = await _decided(centre, callers, 2, "+86" + ADULTS[0], "95501")
    other = await _decided(centre, callers, 3, ADULTS[1], "95501")
    third = await _decided(centre, callers, 4, ADULTS[0], "95501")
    assert [record["target"] for record in (first, second, other, third)] == ["assistant"] * 3 + ["people"]
    assert third["note"] == "third call within the hour"
    assert len(third["earlier_calls_s"]) == 2
    assert third["earlier_calls_s"][0] < third["earlier_calls_s"][1] < 60
    assert second["trace"][1]["saw"] == "call 2 within 1h"
    assert other["earlier_calls_s"] == []
    await callers.all_ended()
    assert ADULTS[0] not in centre.router.journal.read_text()


async def test_a_choice_that_was_remembered_is_kept_to(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of)
    callers = Callers(centre)
    before = await _decided(centre, callers, 1, ADULTS[0])
    status, said = await centre.command("callers", "choose", ADULTS[0], "slower")
    assert (status, said) == (0, "+86139****0008: slower\n")
    after = await _decided(centre, callers, 2, ADULTS[0])
    assert (before["choice"], after["choice"]) == ("", "slower")
    assert (before["channel_language"], after["channel_language"]) == ("en", "zh_unhurried")
    await callers.all_ended()


async def test_a_rule_sees_the_queue_as_asterisk_has_it(centre_of: Callable[..., Any]) -> None:
    centre = await _centre(centre_of, agents={"agent1": 300}, members={"agents": ["agent1"], "senior-care": ["agent1"]})
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        assert "Success" in await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="true")
        room = await _decided(centre, callers, 1, ADULTS[0], "95502", hold_ms=60_000)
        (joined,) = await witness.wait_for("QueueCallerJoin", 1)
        assert (room["rule"], room["overflow_s"], room["overflow_queue"]) == ("while there is room", 3, "senior-care")
        assert room["calendars"] == ["always"]
        # The rule's own overflow, 3 s, which the target does not have.
        moved = (await witness.wait_for("QueueCallerJoin", 2))[1]
        assert (moved.uniqueid, moved.headers["Queue"]) == (joined.uniqueid, "senior-care")
        for older in ("13900000001", "13900000002"):
            callers.call(older, hold_ms=60_000)
        await witness.wait_for("QueueCallerJoin", 4)
        await asyncio.sleep(2.2)  # Asterisk is asked for its queues once a second
        long = await _decided(centre, callers, 4, ADULTS[2], "95502", hold_ms=60_000)
        assert long["rule"] == "the queue is long", long["trace"]
        waiting, longest_s, free = long["queues"]["agents"]
        assert (waiting, free) == (2, 0)
        assert 1 <= longest_s <= 20
        assert long["queues"]["senior-care"][0] == 1
        await callers.hang_up()
