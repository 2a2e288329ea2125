"""The board shows who waits, the day so far, agents, what is wrong and the last decisions: of this moment, bounded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from router.calls.agents import AgentCounts, Agents
from router.journal.conditions import ActiveCondition, AsteriskState
from router.journal.records import Ending
from router.rules.model import QueueState
from router.web.wallboard import board as module
from router.web.wallboard.board import Seen
from tests.unit.journal.samples import CONDITION
from tests.unit.journal.test_tally import NOON

from .boards import BOOK, UP, Centre, begun, drawn, over


def test_who_waits_is_told_by_band_with_the_longest_wait() -> None:
    centre = Centre()
    now = centre.monotonic_s
    calls = [
        centre.call("1", 5.25),
        centre.call("2", 61.0),
        centre.call("3", 7.0, "senior"),
        centre.call("4", 90.0, "adult"),
        centre.call("5", 3.0, None),
        centre.call("6", None),  # in the assistant
        centre.call("7", 100.0, answered_at=now - 1),
        centre.call("8", 200.0, abandoned_at=now - 1),
    ]
    centre.seen = [Seen(UP, {call.uniqueid: call for call in calls})]
    waiting = drawn(centre.board())["waiting"]
    assert waiting["protected"] == {"waiting": 3, "longest_s": 61.0}
    assert waiting["all"] == {"waiting": 5, "longest_s": 90.0}
    assert [(one["band"], one["protected"], one["waiting"], one["longest_s"]) for one in waiting["bands"]] == [
        *(("elder", True, 2, 61.0), ("senior", True, 1, 7.0), ("adult", False, 1, 90.0)),
        *(("minor", False, 0, 0.0), (None, False, 1, 3.0)),
    ]


def test_callers_of_several_asterisks_are_counted_together() -> None:
    centre = Centre()
    centre.seen = [Seen(UP, {"1": centre.call("1", 5)}), Seen(UP, {"1": centre.call("1", 9)})]
    assert drawn(centre.board())["waiting"]["protected"] == {"waiting": 2, "longest_s": 9.0}


def test_others_have_their_turn_while_many_calls_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 10)
    centre = Centre()
    centre.seen = [Seen(UP, {str(n): centre.call(str(n), n) for n in range(35)})]
    looking = centre.board().look()
    turns = 0
    while next(looking, "done") != "done":
        turns += 1
    assert turns == 4
    assert drawn(centre.board())["waiting"]["all"] == {"waiting": 35, "longest_s": 34.0}


def test_todays_figures_are_those_of_the_records() -> None:
    board = Centre().board()
    for record in (begun("1.0"), over("1.0"), begun("2.0", age_band="adult", protected=False, fallback="deadline")):
        board.take(record)
    board.take(CONDITION)
    today = drawn(board)["today"]
    assert (today["state"], today["date"], today["percent"], today["within_s"]) == ("counted", "2026-11-26", 80, 20)
    assert (today["all"]["calls"], today["all"]["under_way"], today["all"]["fallback"]) == (2, 1, 1)
    protected = today["protected"]
    assert (protected["calls"], protected["offered"], protected["within_15"], protected["by_person"]) == (1, 1, 1, 1)
    assert today["fallback"] == {"deadline": 1}
    assert [one["band"] for one in today["bands"]] == ["elder", "senior", "adult", "minor", None]


def test_while_the_day_is_being_counted_no_figure_is_told() -> None:
    board = Centre().board(is_whole=False)
    board.take(begun("1.0"))
    today = drawn(board)["today"]
    assert today["state"] == "counting"
    assert "all" not in today


def test_what_earlier_runs_wrote_is_joined_to_what_this_one_writes() -> None:
    board = Centre().board(is_whole=False)
    earlier = board.uncounted()
    earlier.take(begun("1.0"))
    board.take(over("1.0"))
    board.take(begun("2.0"))
    board.counted(earlier)
    today = drawn(board)["today"]
    assert today["state"] == "counted"
    assert (today["all"]["calls"], today["all"]["answered"]) == (2, 1)


def test_if_the_day_could_not_be_counted_the_page_says_since_when_it_is() -> None:
    centre = Centre()
    board = centre.board(is_whole=False)
    board.take(begun("1.0"))
    board.not_counted()
    today = drawn(board)["today"]
    assert (today["state"], today["since_s"], today["all"]["calls"]) == ("partly", NOON.timestamp(), 1)
    centre.now = NOON + timedelta(days=1)
    assert drawn(board)["today"]["state"] == "counted"


def test_a_new_day_begins_at_midnight_of_the_rules_zone() -> None:
    centre = Centre()
    board = centre.board()
    board.take(begun("1.0"))
    centre.now = NOON + timedelta(hours=11, minutes=59)
    assert drawn(board)["today"]["all"]["calls"] == 1
    centre.now = NOON + timedelta(hours=12)
    today = drawn(board)["today"]
    assert (today["date"], today["all"]["calls"]) == ("2026-11-27", 0)
    board.take(over("1.0"))
    assert drawn(board)["today"]["all"]["answered"] == 0


def test_a_record_of_the_new_day_begins_it_though_nobody_looks() -> None:
    centre = Centre()
    board = centre.board()
    board.take(begun("1.0"))
    board.take(begun("2.0", time=NOON + timedelta(hours=13)))
    assert board.day.date == "2026-11-27"
    assert drawn(board)["today"]["all"]["calls"] == 1


def test_a_count_that_comes_after_midnight_is_of_use_for_calls_under_way_alone() -> None:
    centre = Centre()
    board = centre.board(is_whole=False)
    earlier = board.uncounted()
    earlier.take(begun("1.0"))
    centre.now = NOON + timedelta(hours=13)
    drawn(board)
    board.take(begun("1.0", ask=2, time=centre.now))
    board.counted(earlier)
    assert drawn(board)["today"]["all"]["calls"] == 0


def test_queues_are_those_of_the_rules_over_all_asterisks() -> None:
    centre = Centre()
    agents = Agents(AgentCounts(free=1, talking=2), {"agents": AgentCounts(free=1, talking=1)})
    centre.seen = [
        Seen(UP, {}, {"agents": QueueState(2, 30, 1), "elsewhere": QueueState(9, 9, 9)}, agents),
        Seen(UP, {}, {"agents": QueueState(1, 44, 0)}, Agents(AgentCounts(paused=1))),
    ]
    picture = drawn(centre.board())
    assert picture["queues"] == [{"queue": "agents", "waiting": 3, "longest_s": 44, "free": 1, "logged_in": 2}]
    assert picture["agents"] == {"free": 1, "ringing": 0, "talking": 2, "paused": 1, "unavailable": 0}


def test_agents_that_are_not_known_are_not_told_as_none() -> None:
    centre = Centre(seen=[Seen(UP, {}, {"agents": QueueState(0, 0, 0)})])
    picture = drawn(centre.board())
    assert picture["agents"] is None
    assert picture["queues"][0]["logged_in"] is None


def test_what_is_wrong_and_how_it_stands_with_each_asterisk_is_told() -> None:
    away = AsteriskState("pbx2", is_linked=False, link="waiting")
    centre = Centre(
        seen=[Seen(UP, {}), Seen(away, {})],
        conditions=[ActiveCondition("pbx2", "asterisk not linked", "no manager connection", NOON)],
    )
    picture = drawn(centre.board())
    assert picture["conditions"] == [
        {"node": "pbx2", "what": "asterisk not linked", "why": "no manager connection", "since_s": NOON.timestamp()}
    ]
    assert [(one["name"], one["linked"], one["why"]) for one in picture["links"]] == [
        ("pbx1", True, ""),
        ("pbx2", False, "no manager connection (waiting)"),
    ]
    assert (picture["rules"], picture["zone"]) == (BOOK.version, "Asia/Shanghai")


def test_the_last_decisions_are_told_newest_first_with_what_became_of_them() -> None:
    board = Centre().board()
    for n in range(60):
        board.take(begun(f"{n}.0", lookup_ms=0.3, decide_ms=0.1, apply_ms=1.02))
    board.take(over("59.0", ended=Ending.ABANDONED, wait_s=7.5, answered_by="", fallback="deadline"))
    board.take(over("0.0"))
    last = drawn(board)["last"]
    assert [line["call"] for line in last] == [f"{n}.0" for n in range(59, 9, -1)]
    assert (last[0]["ended"], last[0]["wait_s"], last[0]["fallback"]) == ("abandoned", 7.5, "deadline")
    assert (last[1]["ended"], last[1]["caller"], last[1]["ms"]) == (None, "+86139****0001", 1.4)


def test_no_full_number_is_ever_told() -> None:
    board = Centre().board()
    board.take(begun("1.0", full_caller="+8613900000001"))
    assert b"+8613900000001" not in orjson.dumps(drawn(board))


def test_a_decision_that_was_not_applied_says_why() -> None:
    board = Centre().board()
    board.take(begun("1.0", applied=False, not_applied_why="Asterisk refused ELDER_TARGET: No such channel"))
    board.take(begun("2.0", applied=False, not_applied_why="the router was not asked", fallback="heartbeat"))
    last = drawn(board)["last"]
    assert (last[0]["fallback"], last[0]["wrong"]) == ("heartbeat", "")
    assert last[1]["wrong"].startswith("Asterisk refused")


def test_what_is_kept_and_told_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FOLLOWED", 55)
    conditions = [ActiveCondition("", "what", "w" * 1000, NOON)] * 500
    board = Centre(conditions=conditions, seen=[Seen(UP, {})] * 300).board()
    for n in range(100):
        board.take(begun(f"{n}.0", rule="r" * 5000))
    picture = drawn(board)
    assert (len(picture["last"]), len(picture["conditions"]), len(picture["links"])) == (50, 100, 100)
    assert len(picture["last"][0]["rule"]) == len(picture["conditions"][0]["why"]) == 200
    assert len(board._last._lines) == 55


def test_bands_that_the_rules_no_longer_have_are_told_behind_theirs() -> None:
    centre = Centre()
    board = centre.board()
    board.take(begun("1.0", age_band="pensioner"))
    centre.seen = [Seen(UP, {"2": replace(centre.call("2", 4), band="pensioner")})]
    picture = drawn(board)
    for told in (picture["today"]["bands"], picture["waiting"]["bands"]):
        assert [one["band"] for one in told] == ["elder", "senior", "adult", "minor", "pensioner", None]
