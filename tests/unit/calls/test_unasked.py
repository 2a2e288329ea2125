from pathlib import Path

from router.calls.unasked import LOOKUPS_AT_ONCE
from router.journal.records import DecisionRecord, OutcomeRecord

from .rig import ELDER, Rig, asks, hangs_up, soon, working_desk
from .wire import user_event

MANY = 3000  # more than may be decided at once


def fall_back(rig: Rig, count: int) -> list[str]:
    calls = [f"1763888000.{number}" for number in range(count)]
    for call in calls:
        rig.desk.on_event(user_event("RouteFallback", Call=call, LinkedCall=call, Reason="heartbeat"))
    return calls


async def test_who_asks_is_answered_though_thousands_that_fell_back_are_still_to_be_looked_up(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.bands[ELDER] = "elder"
        rig.registry.open.clear()
        calls = fall_back(rig, MANY)
        asks(rig, "1763888645.42")
        await soon(lambda: len(rig.registry.asked) > LOOKUPS_AT_ONCE)
        assert rig.desk.counts.turned_away == 0
        assert len(rig.registry.asked) == LOOKUPS_AT_ONCE + 1
        rig.registry.open.set()
        await rig.settled()
    decisions = rig.all_of(DecisionRecord)
    assert {record.uniqueid for record in decisions if record.fallback} == set(calls)
    assert {(record.age_band, record.protected) for record in decisions} == {("elder", True)}
    assert [record.uniqueid for record in decisions if record.applied] == ["1763888645.42"]


async def test_the_outcome_of_a_call_that_fell_back_stands_behind_its_decision(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.open.clear()
        calls = fall_back(rig, 2 * LOOKUPS_AT_ONCE)
        hangs_up(rig, calls[-1])
        rig.registry.open.set()
        await rig.settled()
    (outcome,) = rig.all_of(OutcomeRecord)
    last = rig.records()[-1]
    assert (outcome.uniqueid, last) == (calls[-1], outcome)


async def test_a_router_that_ends_writes_them_without_looking_up_the_rest(tmp_path: Path) -> None:
    async with working_desk(tmp_path) as rig:
        rig.registry.bands[ELDER] = "elder"
        rig.registry.open.clear()
        calls = fall_back(rig, 3 * LOOKUPS_AT_ONCE)
        await soon(lambda: len(rig.registry.asked) == LOOKUPS_AT_ONCE)
        await rig.desk.close(patience_s=0.0)
        rig.registry.open.set()
    decisions = rig.all_of(DecisionRecord)
    assert {record.uniqueid for record in decisions} == set(calls)
    assert len(rig.registry.asked) == LOOKUPS_AT_ONCE
    assert sum(record.band_source == "registry" for record in decisions) == LOOKUPS_AT_ONCE
    assert sum(record.band_source == "not_asked" for record in decisions) == 2 * LOOKUPS_AT_ONCE
