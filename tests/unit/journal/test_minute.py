from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from router.journal.conditions import REDIS_NOT_ANSWERING, REGISTRY_STALE, ROUTER_AWAY
from router.journal.minute import Away, ConditionsSeen, Minute, began_at, minute_of, moment_of
from router.journal.records import ConditionRecord, Record

from .samples import DECISION, OUTCOME

AT = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
FIRST, SECOND = "aaaa0001", "bbbb0002"


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


class Told:
    """Records as a writer numbers them."""

    def __init__(self) -> None:
        self.fields: list[dict[str, Any]] = []
        self.conditions = ConditionsSeen()
        self._seqs: dict[str, int] = {}

    def add(self, record: Record, run: str = FIRST, lost: int = 0) -> Told:
        seq = self._seqs[run] = self._seqs.get(run, 0) + 1 + lost
        record = record.model_copy(update={"run": run, "seq": seq})
        self.fields.append(record.model_dump(mode="json"))
        if isinstance(record, ConditionRecord):
            self.conditions.take(record)
        return self

    def call(self, seconds: float, run: str = FIRST, lost: int = 0, **changed: Any) -> Told:  # noqa: ANN401
        at = {"time": after(seconds), "at": after(seconds), "uniqueid": f"{seconds}.1"}
        return self.add(DECISION.model_copy(update=at | changed), run, lost)

    def condition(self, seconds: float, what: str, state: str, run: str = FIRST, node: str = "") -> Told:
        fields: dict[str, Any] = {"time": after(seconds), "what": what, "state": state, "node": node, "why": "x"}
        return self.add(ConditionRecord(**fields), run)

    def minute(self) -> Minute:
        return minute_of(AT, "pbx1", self.fields, self.conditions)


def test_a_minute_without_trouble_is_well_and_counts_its_calls() -> None:
    minute = Told().call(-61).call(-60).call(0).call(60).call(61).minute()
    assert (minute.calls, minute.is_well) == (3, True)
    assert (minute.begins, minute.ends) == (after(-60), after(60))
    assert minute.slowest_ms == pytest.approx(0.295)


TROUBLES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"fallback": "deadline", "applied": False}, {"fell_back": {"deadline": 1}}),
    ({"applied": False}, {"not_applied": 1}),
    ({"band_source": "lookup_failed"}, {"lookups_failed": 1}),
    ({"apply_ms": 700.0}, {"slowest_ms": 700.295}),
]


@pytest.mark.parametrize(("changed", "told"), TROUBLES)
def test_whatever_was_wrong_with_one_call_is_counted(changed: dict[str, Any], told: dict[str, Any]) -> None:
    minute = Told().call(0).call(1, **changed).minute()
    assert {name: getattr(minute, name) for name in told} == told
    assert not minute.is_well
    assert Told().call(0).call(1, node="pbx2", **changed).minute().is_well, "another Asterisk's call is not ours"
    assert Told().call(0).call(100, **changed).minute().is_well, "nor one of another minute"


def test_a_fallback_that_only_the_outcome_tells_of_counts() -> None:
    outcome = OUTCOME.model_copy(update={"time": after(3), "uniqueid": "0.1", "fallback": "deadline"})
    minute = Told().call(0, uniqueid="0.1").add(outcome).minute()
    assert minute.fell_back == {"deadline": 1}
    late = Told().call(0, uniqueid="0.1", applied=False).add(outcome).minute()
    assert (late.fell_back, late.not_applied) == ({"deadline": 1}, 0), "one call, once"


def test_records_that_are_missing_are_counted_where_they_are() -> None:
    assert Told().call(-50).call(0, lost=3).minute().lost == 3
    assert Told().call(-100).call(10, lost=3).minute().lost == 3, "lost at some time in between"
    assert Told().call(-100).call(-90, lost=3).call(0).minute().lost == 0, "lost before"
    assert Told().call(0).call(70).call(80, lost=3).minute().lost == 0, "lost after"
    assert Told().call(0, lost=9).minute().lost == 0, "the beginning is not here, which is no loss"
    assert Told().call(0).call(1, SECOND, lost=2).minute().lost == 2, "a run begins with the number 1"


def test_records_of_before_there_were_numbers_are_not_missed() -> None:
    told = Told().call(0).call(1)
    for fields in told.fields:
        fields.update(run="", seq=None)
    assert told.minute().is_well


@pytest.mark.parametrize(
    ("silence", "away"),
    [
        ((-30, 20), [Away(after(-30), after(20), was_stopped=False)]),
        ((-300, 300), [Away(after(-300), after(300), was_stopped=False)]),
        ((-300, -61), []),
        ((61, 300), []),
    ],
)
def test_a_silence_between_two_runs_is_the_router_being_away(silence: tuple[int, int], away: Sequence[Away]) -> None:
    assert list(Told().call(silence[0]).call(silence[1], SECOND).minute().away) == away


def test_a_router_that_was_stopped_is_told_from_one_that_crashed() -> None:
    told = Told().call(-50).condition(-30, ROUTER_AWAY, "began").condition(20, ROUTER_AWAY, "ended", SECOND)
    minute = told.call(30, SECOND).minute()
    assert minute.away == (Away(after(-30), after(20), was_stopped=True),)
    assert minute.wrong == (), "it is told once"


def test_a_router_that_was_not_there_before_or_after_is_told_so() -> None:
    began = Told().condition(-10, ROUTER_AWAY, "ended").call(0)
    assert began.minute().away == (Away(None, after(-10), was_stopped=False),)
    stopped = Told().call(0).condition(10, ROUTER_AWAY, "began")
    assert stopped.minute().away == (Away(after(10), None, was_stopped=True),)


@pytest.mark.parametrize(
    ("span", "is_told"),
    [((-500, -61), False), ((-500, -59), True), ((-500, None), True), ((59, 500), True), ((61, None), False)],
)
def test_a_condition_is_told_that_held_at_some_time_of_the_minute(span: tuple[int, int | None], is_told: bool) -> None:
    began, over = span
    told = Told().call(-600).condition(began, REDIS_NOT_ANSWERING, "began").call(0)
    if over is not None:
        told.condition(over, REDIS_NOT_ANSWERING, "ended")
    wrong = told.minute().wrong
    assert bool(wrong) is is_told
    if wrong:
        assert (wrong[0].since, wrong[0].until) == (after(began), None if over is None else after(over))


def test_what_was_wrong_in_an_earlier_run_is_over_with_it() -> None:
    told = Told().condition(-900, REGISTRY_STALE, "began").call(-800)
    told.condition(-500, ROUTER_AWAY, "ended", SECOND).call(0, SECOND)
    assert told.minute().wrong == ()
    crashed = Told().condition(-900, REGISTRY_STALE, "began").call(-800).call(0, SECOND)
    assert crashed.minute().wrong == ()
    restarted = Told().condition(-900, REGISTRY_STALE, "began").call(-800)
    restarted.condition(-20, ROUTER_AWAY, "ended", SECOND).call(0, SECOND)
    assert [wrong.until for wrong in restarted.minute().wrong] == [after(-20)]


def test_what_was_wrong_with_another_asterisk_is_not_told() -> None:
    assert Told().condition(-20, "asterisk not linked", "began", node="pbx2").call(0).minute().is_well
    told = Told().condition(-20, "asterisk not linked", "began", node="pbx1").call(0).minute()
    assert [wrong.node for wrong in told.wrong] == ["pbx1"]


def test_lines_that_tell_nothing_are_passed_over() -> None:
    told = Told().call(0)
    told.fields[:0] = [{}, {"time": 5}, {"time": "2026-11-25T02:30:00Z"}, {"time": "soon", "record": "decision"}]
    told.fields.append({"record": "decision", "time": "2026-11-25T02:30:00Z", "node": "pbx1", "uniqueid": 5})
    assert told.minute().is_well


def test_times_that_cannot_be_are_no_sign_of_a_router() -> None:
    told = Told().call(0)
    last = {"record": "condition", "time": "9999-12-31T23:59:59-14:00", "node": "", "what": ROUTER_AWAY}
    told.fields.append({**last, "state": "ended", "run": SECOND, "seq": 1})
    assert told.minute().is_well


def test_a_fallback_for_a_reason_that_is_no_text_counts_all_the_same() -> None:
    told = Told().call(0).add(OUTCOME.model_copy(update={"time": after(9), "uniqueid": "0.1"}))
    told.fields[-1]["fallback"] = ["deadline"]
    assert sum(told.minute().fell_back.values()) == 1


@pytest.mark.parametrize(
    ("uniqueid", "epoch"),
    [("1795573815.7", 1795573815), ("pbx1-1795573815.70", 1795573815), ("1.1", None), ("x1795573815.7", None)],
)
def test_a_channels_name_tells_when_it_was_made(uniqueid: str, epoch: int | None) -> None:
    assert began_at(uniqueid) == (None if epoch is None else datetime.fromtimestamp(epoch, UTC))


def test_the_moment_of_a_call_is_when_it_asked() -> None:
    fields: dict[str, Any] = {"time": "2026-11-25T03:00:00Z", "uniqueid": f"{int(AT.timestamp())}.1"}
    assert moment_of(fields | {"at": "2026-11-25T02:59:59Z"}) == datetime(2026, 11, 25, 2, 59, 59, tzinfo=UTC)
    assert moment_of(fields) == datetime(2026, 11, 25, 3, tzinfo=UTC)
    assert moment_of(fields | {"fallback": "heartbeat"}) == AT, "recorded when the router was there again"
    later = fields | {"fallback": "heartbeat", "time": "2026-11-25T02:00:00Z"}
    assert moment_of(later) == datetime(2026, 11, 25, 2, tzinfo=UTC), "a channel is not made after its record"
