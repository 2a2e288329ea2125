from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import pytest

from router.callers import health
from router.callers.health import RegistryHealth
from router.errors import Problem
from router.journal import conditions as conditions_module
from router.journal.conditions import (
    ASTERISK_NOT_LINKED,
    CALLS_NOT_ROUTED,
    EVERY_CONDITION,
    JOURNAL_NOT_WRITTEN,
    MOST_ACTIVE,
    MOST_HELD,
    NOTHING_SPOKEN,
    OF_THE_REGISTRY,
    REDIS_NOT_ANSWERING,
    ROUTER_AWAY,
    ROUTER_HUNG,
    RULES_REFUSED,
    ActiveCondition,
    AsteriskState,
    Conditions,
    wrong_now,
)
from router.journal.records import ConditionRecord
from router.reloading.keeper import RulesStatus

START = datetime(2026, 11, 25, 9, 0, 0, tzinfo=UTC)
FINE = RulesStatus("3f2a9c51d0e7", START, START)
REFUSED = RulesStatus("3f2a9c51d0e7", START, START, START, problems=(Problem("routing.yaml", 3, 1, "wrong"),))
UP = AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=0.4)
REDIS = {("", REDIS_NOT_ANSWERING): "Redis does not answer at 192.0.2.1:6379"}
UNWRITTEN = {("", JOURNAL_NOT_WRITTEN): "the disk is full"}


class Journal:
    def __init__(self) -> None:
        self.records: list[ConditionRecord] = []
        self.full = False
        self.refused = 0

    def write(self, record: ConditionRecord) -> bool:
        if self.full:
            self.refused += 1
            return False
        self.records.append(record)
        return True

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(record.node, record.what, record.state) for record in self.records]


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def conditions(journal: Journal) -> Conditions:
    return Conditions(journal.write)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_what_is_wrong_is_told_when_it_begins_and_when_it_is_over(conditions: Conditions, journal: Journal) -> None:
    conditions.look(at(0), {})
    conditions.look(at(1), REDIS)
    conditions.look(at(2), REDIS)
    conditions.look(at(3), {})
    assert journal.told == [("", REDIS_NOT_ANSWERING, "began"), ("", REDIS_NOT_ANSWERING, "ended")]
    assert [record.time for record in journal.records] == [at(1), at(3)]
    assert journal.records[0].why == "Redis does not answer at 192.0.2.1:6379"


def test_the_same_for_another_reason_is_no_news_and_is_shown_with_it(conditions: Conditions, journal: Journal) -> None:
    conditions.look(at(1), REDIS)
    conditions.look(at(2), {("", REDIS_NOT_ANSWERING): "two of them"})
    assert len(journal.records) == 1
    assert conditions.active == (ActiveCondition("", REDIS_NOT_ANSWERING, "two of them", since=at(1)),)


def test_the_same_of_another_asterisk_is_another(conditions: Conditions, journal: Journal) -> None:
    conditions.look(at(1), {("pbx1", ASTERISK_NOT_LINKED): "lost"})
    conditions.look(at(2), {("pbx1", ASTERISK_NOT_LINKED): "lost", ("pbx2", ASTERISK_NOT_LINKED): "lost"})
    conditions.look(at(3), {("pbx2", ASTERISK_NOT_LINKED): "lost"})
    assert journal.told == [
        ("pbx1", ASTERISK_NOT_LINKED, "began"),
        ("pbx2", ASTERISK_NOT_LINKED, "began"),
        ("pbx1", ASTERISK_NOT_LINKED, "ended"),
    ]
    assert [condition.node for condition in conditions.active] == ["pbx2"]


def test_an_orderly_end_is_told_and_the_next_start_ends_it(conditions: Conditions, journal: Journal) -> None:
    conditions.stopped(at(5))
    Conditions(journal.write).started(at(60))
    assert journal.told == [("", ROUTER_AWAY, "began"), ("", ROUTER_AWAY, "ended")]
    assert [record.time for record in journal.records] == [at(5), at(60)]


def test_a_journal_that_was_not_written_is_told_once_it_is_again_with_its_losses(
    conditions: Conditions, journal: Journal
) -> None:
    conditions.look(at(0), {}, lost=0)
    journal.full = True
    conditions.look(at(1), UNWRITTEN | REDIS, lost=3)
    conditions.look(at(2), UNWRITTEN, lost=40)
    assert journal.refused == 0, "nothing more is lost by telling of it"
    assert [condition.what for condition in conditions.active] == [JOURNAL_NOT_WRITTEN]
    journal.full = False
    conditions.look(at(3), {}, lost=41)
    assert journal.told == [
        ("", JOURNAL_NOT_WRITTEN, "began"),
        ("", REDIS_NOT_ANSWERING, "began"),
        ("", REDIS_NOT_ANSWERING, "ended"),
        ("", JOURNAL_NOT_WRITTEN, "ended"),
    ]
    assert [record.time for record in journal.records] == [at(1), at(1), at(2), at(3)]
    assert journal.records[-1].why == "41 records were lost"


def test_losses_between_two_looks_are_told_too(conditions: Conditions, journal: Journal) -> None:
    conditions.look(at(1), {}, lost=0)
    conditions.look(at(2), {}, lost=1)
    conditions.look(at(3), {}, lost=1)
    assert journal.told == [("", JOURNAL_NOT_WRITTEN, "began"), ("", JOURNAL_NOT_WRITTEN, "ended")]
    assert {record.why for record in journal.records} == {"1 record was lost"}


def test_each_time_tells_of_its_own_losses(conditions: Conditions, journal: Journal) -> None:
    for second, lost in ((1, 2), (3, 7)):
        conditions.look(at(second), UNWRITTEN, lost=lost)
        conditions.look(at(second + 1), {}, lost=lost)
    assert [record.why for record in journal.records if record.state == "ended"] == [
        "2 records were lost",
        "5 records were lost",
    ]


def test_what_could_not_be_written_is_written_at_the_next_look(conditions: Conditions, journal: Journal) -> None:
    journal.full = True
    conditions.look(at(1), REDIS)
    assert journal.refused == 1
    journal.full = False
    conditions.look(at(2), REDIS)
    assert journal.told == [("", REDIS_NOT_ANSWERING, "began")]
    assert journal.records[0].time == at(1)


def test_there_is_a_bound_on_how_much_is_told_apart(conditions: Conditions, journal: Journal) -> None:
    many = {(f"pbx{n}", ASTERISK_NOT_LINKED): "lost" for n in range(MOST_ACTIVE + 7)}
    conditions.look(at(1), many)
    assert len(conditions.active) == len(journal.records) == MOST_ACTIVE
    conditions.look(at(2), {("pbx-before", ASTERISK_NOT_LINKED): "lost"} | many)
    assert len(conditions.active) == len(journal.records) == MOST_ACTIVE


def test_there_is_a_bound_on_what_is_held_while_the_journal_is_not_written(
    conditions: Conditions, journal: Journal
) -> None:
    for second in range(MOST_HELD + 1):
        conditions.look(at(second), UNWRITTEN | (REDIS if second % 2 else {}))
    conditions.look(at(MOST_HELD + 2), {})
    assert len(journal.records) == MOST_HELD
    assert journal.records[-1].what == JOURNAL_NOT_WRITTEN


def test_words_are_cut_to_what_a_record_holds(conditions: Conditions, journal: Journal) -> None:
    conditions.look(at(1), {("", RULES_REFUSED): "w" * 2000})
    assert len(journal.records[0].why) == 500


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert wrong_now([UP], RegistryHealth(), FINE, is_journal_written=True) == {}


@pytest.mark.parametrize(
    ("state", "what", "why"),
    [
        (
            AsteriskState("pbx1", is_linked=False, link="refused"),
            ASTERISK_NOT_LINKED,
            "no manager connection (refused)",
        ),
        (
            AsteriskState("pbx1", is_linked=True, link="up"),
            CALLS_NOT_ROUTED,
            "linked, and not ready for calls yet; see the router's log",
        ),
        (
            AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True),
            CALLS_NOT_ROUTED,
            "it has not taken the heartbeat",
        ),
        (
            AsteriskState("pbx1", is_linked=True, link="up", is_taken_up=True, heartbeat_age_s=3.6),
            CALLS_NOT_ROUTED,
            "it last took the heartbeat 4 s ago",
        ),
    ],
)
def test_an_asterisk_whose_calls_are_not_answered_is_wrong(state: AsteriskState, what: str, why: str) -> None:
    assert wrong_now([state], RegistryHealth(), FINE, is_journal_written=True) == {("pbx1", what): why}


def test_everything_else_that_is_wrong_is_gathered() -> None:
    by_other_ways = {ROUTER_AWAY, ROUTER_HUNG, ASTERISK_NOT_LINKED, CALLS_NOT_ROUTED}
    registry = RegistryHealth(warnings=dict.fromkeys(OF_THE_REGISTRY, "words"))
    wrong = wrong_now([UP], registry, REFUSED, is_journal_written=False, not_spoken="no espeak-ng here")
    assert {what for _, what in wrong} == set(EVERY_CONDITION) - by_other_ways
    assert wrong["", NOTHING_SPOKEN] == "no espeak-ng here"
    assert wrong["", RULES_REFUSED] == (
        "the rules on disk are refused since 2026-11-25T09:00:00+00:00, version 3f2a9c51d0e7 stays in force; "
        "run `elder-router check`"
    )


def test_whatever_the_registry_warns_of_has_its_phrase() -> None:
    warnings = {health.REDIS, health.STALE, health.BANDS_DIFFER, health.EMPTY, health.UNUSABLE, health.LIMITS}
    assert set(OF_THE_REGISTRY) == warnings


def test_every_phrase_fits_a_record_and_says_what_it_means() -> None:
    text = inspect.getsource(conditions_module)
    for what in EVERY_CONDITION:
        ConditionRecord(time=START, what=what, state="began")
        assert f'Final = "{what}"\n"""' in text, what


def test_a_router_that_hung_says_so_once_it_goes_on_with_when_it_was(journal: Journal) -> None:
    clock = [100.0]
    conditions = Conditions(journal.write, clock=lambda: clock[0])
    conditions.started(START)
    clock[0] += 3.0
    conditions.look(START + timedelta(seconds=3), {})
    assert journal.told == [("", ROUTER_AWAY, "ended")], "so long the dialplan waits for a heartbeat"
    clock[0] += 8.0
    conditions.look(START + timedelta(seconds=11), {})
    began, ended = journal.records[1:]
    assert (began.what, began.state, began.time) == (ROUTER_HUNG, "began", START + timedelta(seconds=3))
    assert (ended.what, ended.state, ended.time) == (ROUTER_HUNG, "ended", START + timedelta(seconds=11))
    assert "for 8 s" in began.why
    clock[0] += 1.0
    conditions.look(START + timedelta(seconds=12), {})
    assert len(journal.records) == 3
    assert conditions.active == ()


def test_a_clock_that_is_set_is_no_router_that_hung(journal: Journal) -> None:
    clock = [100.0]
    conditions = Conditions(journal.write, clock=lambda: clock[0])
    conditions.started(START)
    clock[0] += 1.0
    conditions.look(START + timedelta(hours=1), {})
    assert [what for _, what, _ in journal.told] == [ROUTER_AWAY]
