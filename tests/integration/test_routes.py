"""Each kind of caller goes where the rules say, and the records say so too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.phones import Key
from lab.places import PROJECT
from lab.queue_log import read_queue_log
from tests.integration.conftest import Callers
from tests.integration.rules import UNGREETED
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"

# caller as dialled → age band, target
EXPECTED = {
    "13900000001": ("elder", "senior-care"),
    "8613900000001": ("elder", "senior-care"),
    "+8613900000001": ("elder", "senior-care"),
    "008613900000001": ("elder", "senior-care"),
    "13900000005": ("senior", "senior-care"),
    "13900000008": ("adult", "assistant"),
    "13900000011": ("minor", "assistant"),
    "13900009999": (None, "assistant"),
    "anonymous": (None, "assistant"),
    "10086": (None, "assistant"),
}


async def test_every_kind_of_caller_goes_where_the_shipped_rules_say(centre_of: Callable[..., Any]) -> None:
    centre = await centre_of(callers=SAMPLE, agents={f"agent{n}": 1000 for n in range(6)})
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        for number, caller in enumerate(EXPECTED):
            older = EXPECTED[caller][1] == "senior-care"
            callers.call(caller, f"955{number:02d}", hold_ms=40_000 if older else 3_000)
        placed = await callers.all_ended()
        outcomes = await centre.router.wait_for_records("outcome", len(EXPECTED))
        connected = {seen.uniqueid: seen.headers["MemberName"] for seen in witness.events("AgentConnect")}
    assert [run.status for run in placed] == [0] * len(EXPECTED)

    decisions = centre.router.records("decision")
    assert len(decisions) == len(outcomes) == len(EXPECTED)
    by_called = {decision["called"]: decision for decision in decisions}
    outcome_of = {outcome["uniqueid"]: outcome for outcome in outcomes}
    entered = read_queue_log(centre.asterisk.directory / "log" / "queue_log").entered
    keys = set()
    for number, (caller, (band, target)) in enumerate(EXPECTED.items()):
        decision = by_called[f"955{number:02d}"]
        outcome = outcome_of[decision["uniqueid"]]
        assert (caller, decision["age_band"], decision["target"]) == (caller, band, target)
        assert decision["applied"]
        assert decision["fallback"] == outcome["fallback"] == ""
        assert caller.lstrip("+") not in decision["caller"] or caller == "anonymous"
        if target == "senior-care":
            assert entered[decision["uniqueid"]] == "senior-care"
            assert outcome["ended"] == "answered"
            assert outcome["answered_by"] == connected[decision["uniqueid"]]
            assert not outcome["touched_assistant"]
            assert decision["channel_language"] == "en_unhurried"
        else:
            assert decision["uniqueid"] not in connected
            assert outcome["touched_assistant"]
            assert decision["channel_language"] == "en"
        if number < 4:
            keys.add(decision["caller_key"])
    assert len(keys) == 1, "one caller written four ways has one key"
    assert "13900000001" not in centre.router.journal.read_text()
    assert "13900000001" not in centre.router.log.read_text()


async def test_a_caller_of_the_assistant_reaches_a_person_with_0_and_by_silence(centre_of: Callable[..., Any]) -> None:
    short_menu = UNGREETED.replace("ELDER_GREETED=yes)", "ELDER_GREETED=yes)\n same => n,Set(ELDER_MENU=person)")
    centre = await centre_of(callers=SAMPLE, agents={"agent1": 500, "agent2": 500}, extra_dialplan=short_menu)
    callers = Callers(centre)
    callers.call("13900000008", "95501", keys=[Key(800, "0")], hold_ms=20_000)
    callers.call("13900000009", "95502", keys=[Key(800, "5"), Key(800, "5"), Key(800, "5")], hold_ms=20_000)
    callers.call("13900000010", "95503", hold_ms=70_000)  # says and presses nothing
    await callers.all_ended()
    outcomes = await centre.router.wait_for_records("outcome", 3)
    called = {record["uniqueid"]: record["called"] for record in centre.router.records("decision")}
    keys = {called[outcome["uniqueid"]]: outcome["keys"] for outcome in outcomes}
    assert keys == {"95501": ["person"], "95502": ["invalid"] * 3, "95503": ["silence"] * 2}
    assert {outcome["ended"] for outcome in outcomes} == {"answered"}
    assert all(outcome["queue"] == "agents" and outcome["touched_assistant"] for outcome in outcomes)


async def test_a_call_that_nobody_can_take_is_offered_again_and_not_dropped(centre_of: Callable[..., Any]) -> None:
    rules = (PROJECT / "config" / "routing.yaml").read_text().replace("queue: senior-care", "queue: no-such-queue")
    centre = await centre_of(callers=SAMPLE, rules=rules, agents={"agent1": 500})
    callers = Callers(centre)
    callers.call("13900000001", hold_ms=40_000)
    await callers.all_ended()
    (outcome,) = await centre.router.wait_for_records("outcome", 1)
    assert (outcome["ended"], outcome["answered_by"], outcome["queue"]) == ("answered", "agent1", "agents")
