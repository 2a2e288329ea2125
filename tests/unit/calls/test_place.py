"""The place in a queue is counted as Asterisk orders it; the wait is told from answers seen, or not at all."""

from __future__ import annotations

import asyncio

import pytest
from asterisk.ami import Event, SimpleAction
from hypothesis import given
from hypothesis import strategies as st

from router.calls.place import (
    FEWEST_INTERVALS,
    FRESH_S,
    INTERVALS_WITHIN_S,
    LONGEST_TOLD_S,
    MOST_QUEUES,
    Answers,
    QueueListings,
    Waiting,
    expected_wait_s,
)
from router.calls.promote import Entry
from router.errors import SpeechError

priorities = st.integers(-(2**31), 2**31 - 1)


def queue_of(*waiting: int | None, free: int = 0) -> Waiting:
    """Callers of these priorities, as Asterisk would order them."""
    ordered = sorted(waiting, key=lambda priority: -(priority or 0))
    return Waiting(tuple(Entry("agents", n, f"ch{n}", f"{n}.0", 0, p) for n, p in enumerate(ordered, 1)), free, 3)


def test_a_newcomer_stands_behind_all_of_the_same_or_a_higher_priority() -> None:
    waiting = queue_of(30, 20, 20, 10)
    assert [waiting.place_of("new", priority) for priority in (31, 30, 20, 15, 10, 1)] == [1, 2, 4, 4, 5, 5]
    assert queue_of().place_of("new", 0) == 1


def test_who_waits_already_has_the_place_that_asterisk_says() -> None:
    assert queue_of(30, 20, 10).place_of("2.0", 99) == 2


def test_a_priority_that_is_not_known_is_taken_for_the_lowest_and_never_promises_too_much() -> None:
    assert queue_of(30, 20).place_of("new", None) == 3
    assert queue_of(30, None).place_of("new", 40) == 2


@given(st.lists(priorities, max_size=30), priorities, priorities)
def test_a_higher_priority_never_stands_further_back(waiting: list[int], one: int, other: int) -> None:
    queue = queue_of(*waiting)
    low, high = sorted((one, other))
    assert 1 <= queue.place_of("new", high) <= queue.place_of("new", low) <= 1 + len(waiting)


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1e5)), min_size=2, max_size=2))
def test_the_wait_told_never_falls_as_place_and_interval_grow(pairs: list[tuple[int, float]]) -> None:
    (place, interval), (other_place, other_interval) = pairs
    nearer = expected_wait_s(min(place, other_place), min(interval, other_interval))
    further = expected_wait_s(max(place, other_place), max(interval, other_interval))
    assert further is None or (nearer is not None and 30 <= nearer <= further <= LONGEST_TOLD_S)


def test_the_wait_is_told_in_whole_minutes_and_later_in_steps_of_five() -> None:
    assert [expected_wait_s(1, s) for s in (1, 29, 31, 89, 91, 240, 12 * 60, 13 * 60)] == [
        30,
        30,
        60,
        60,
        120,
        240,
        600,
        900,
    ]
    assert expected_wait_s(100, 60) is None
    assert expected_wait_s(3, None) is None


def busy(answers: Answers, times: list[float], queue: str = "agents") -> None:
    for at in times:
        answers.note(queue, 1000, at)


def test_the_interval_is_the_mean_of_what_was_seen_while_callers_waited() -> None:
    answers = Answers()
    busy(answers, [0, 10, 30, 60])
    assert answers.interval_s("agents", 60) == pytest.approx(20)
    assert answers.interval_s("other", 60) is None


def test_before_three_intervals_nothing_is_told_and_old_ones_are_forgotten() -> None:
    answers = Answers()
    busy(answers, [0, 10, 20])
    assert answers.interval_s("agents", 20) is None
    busy(answers, [30])
    assert answers.interval_s("agents", 30) is not None
    assert answers.interval_s("agents", 31 + INTERVALS_WITHIN_S) is None


def test_a_quiet_time_is_not_taken_for_slow_agents() -> None:
    answers = Answers()
    busy(answers, [0, 10, 20, 30])
    answers.note("agents", 2, 830)  # called two seconds ago: the queue was empty before
    answers.note("agents", 10, 840)
    assert answers.interval_s("agents", 840) == pytest.approx(10)


def test_a_busy_time_counts_although_callers_with_a_head_start_are_answered_first() -> None:
    answers = Answers()
    for at in (0, 60, 120, 180):
        answers.note("agents", 5, at)  # they came five seconds ago, and went to the front
    assert answers.interval_s("agents", 180) is None, "it is not known yet whether anybody else waited"
    answers.note("agents", 250, 240)
    assert answers.interval_s("agents", 240) == pytest.approx(60)


def test_what_lies_before_the_longest_wait_stays_unknown() -> None:
    answers = Answers()
    for at in (0, 600, 610, 620):
        answers.note("agents", 5, at)
    answers.note("agents", 30, 630)
    assert answers.interval_s("agents", 630) == pytest.approx(10)


@given(st.lists(st.floats(0.1, 60), min_size=FEWEST_INTERVALS, max_size=60))
def test_the_interval_lies_between_the_shortest_and_the_longest(lengths: list[float]) -> None:
    answers, at = Answers(), 0.0
    answers.note("agents", 0, at)
    for length in lengths:
        at += length
        answers.note("agents", length, at)
    interval = answers.interval_s("agents", at)
    assert interval is not None
    assert min(lengths) - 1e-6 <= interval <= max(lengths) + 1e-6


def test_a_flood_of_queue_names_is_not_kept() -> None:
    answers = Answers()
    for n in range(3 * MOST_QUEUES):
        busy(answers, [0, 1, 2, 3], f"q{n}")
    assert len(answers._last_at) == MOST_QUEUES
    assert len(answers._intervals) <= MOST_QUEUES


class Asterisk:
    """Lists one queue, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send_for_list(self, action: SimpleAction) -> list[Event]:
        self.asked.append(action.name)
        await self.open.wait()
        if action.name == "QueueSummary":
            return [Event("QueueSummary", {"Queue": action.keys["Queue"], "Available": "2", "LoggedIn": "5"})]
        if action.keys["Queue"] == "none":
            return []
        return [
            Event("QueueParams", {"Queue": action.keys["Queue"]}),
            Event("QueueEntry", {"Queue": action.keys["Queue"], "Position": "1", "Uniqueid": "1.0", "Priority": "7"}),
            Event("QueueEntry", {"Queue": "another", "Position": "1", "Uniqueid": "2.0", "Priority": "7"}),
        ]


async def test_a_queue_is_listed_with_its_callers_and_its_free_agents() -> None:
    listings = QueueListings(Asterisk().send_for_list, lambda: 0.0)
    waiting = await listings.waiting("agents")
    assert [entry.uniqueid for entry in waiting.entries] == ["1.0"]
    assert (waiting.agents_free, waiting.agents) == (2, 5)


async def test_nobody_is_next_in_a_queue_that_does_not_exist() -> None:
    with pytest.raises(SpeechError, match="no queue 'none'"):
        await QueueListings(Asterisk().send_for_list, lambda: 0.0).waiting("none")


async def test_callers_who_ask_together_share_a_listing_and_later_ones_get_a_new_one() -> None:
    asterisk, now = Asterisk(), [0.0]
    listings = QueueListings(asterisk.send_for_list, lambda: now[0])
    await asyncio.gather(*(listings.waiting("agents") for _ in range(50)))
    assert asterisk.asked.count("QueueStatus") == 1
    now[0] = FRESH_S
    await listings.waiting("agents")
    assert asterisk.asked.count("QueueStatus") == 2


async def test_when_who_asked_first_gives_up_the_next_one_asks() -> None:
    asterisk = Asterisk()
    asterisk.open.clear()
    listings = QueueListings(asterisk.send_for_list, lambda: 0.0)
    first = asyncio.create_task(listings.waiting("agents"))
    second = asyncio.create_task(listings.waiting("agents"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    asterisk.open.set()
    assert (await second).agents_free == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_listings_of_many_queues_are_not_kept() -> None:
    now = [0.0]
    listings = QueueListings(Asterisk().send_for_list, lambda: now[0])
    for n in range(500):
        now[0] += 1
        await listings.waiting(f"q{n}")
    assert len(listings._listed) <= 2
    assert len(listings._turns) <= 2
