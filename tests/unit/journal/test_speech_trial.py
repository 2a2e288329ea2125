from __future__ import annotations

from typing import Any

import pytest

from router.journal.speech_report import MEASURES, SpeechReport
from router.journal.speech_trial import Difference, Trial, Trials
from tests.unit.journal.calls import decided, ended

TRIAL = "trial of slow speech"
WITHIN: dict[str, Any] = {"rule": TRIAL, "speech": "slow"}
WITHOUT: dict[str, Any] = {"left_out_by": [TRIAL]}
A_CALLER = "00000000000000ff"


def tried(*records: dict[str, Any], compared: tuple[str, str] | tuple[()] = (), most_callers: int = 1000) -> Trials:
    trials = Trials(compared, most_callers)
    report = SpeechReport(on_decided=trials.decided)
    for record in records:
        assert report.take(record) == ""
    report.close()
    return trials


def only(trials: Trials) -> Trial:
    (trial,) = trials
    return trial


def callers(trial: Trial) -> tuple[int, int]:
    within, without = (sum(one.total() for one in side.stories.values()) for side in (trial.within, trial.without))
    return within, without


def one(trials: Trials, measure: str) -> Difference:
    (found,) = (each for each in trials.differences(only(trials)) if each.measure.name == measure)
    return found


def group(first: int, number: int, happened: int, key: str, **how: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [
        record
        for each in range(first, first + number)
        for record in (decided(each, **how), ended(each, keys=[key] if each < first + happened else []))
    ]


def test_callers_within_a_roll_out_are_compared_with_those_whom_it_alone_left_out() -> None:
    trials = tried(
        decided(0, **WITHOUT), ended(0, keys=["repeat"]),
        decided(1, **WITHIN), ended(1, keys=[]),
        decided(2, rule="other"), ended(2),
        decided(3, **WITHOUT), ended(3, keys=[]),
    )  # fmt: skip
    assert only(trials).rule == TRIAL
    assert callers(only(trials)) == (1, 2)
    found = one(trials, "repeated")
    assert (found.within, found.without, found.points) == ((0, 1), (1, 2), -0.5)
    assert only(trials).within.profiles == {"slow": 1}
    assert only(trials).without.profiles == {"unhurried": 2}


def test_who_would_not_have_matched_the_rule_anyway_is_not_compared() -> None:
    closed = {"rule": TRIAL, "matched": False, "failed": "calendar", "wanted": "open", "saw": "none open"}
    trials = tried(
        decided(0, **WITHOUT), ended(0), decided(1, trace=[closed]), ended(1), decided(2, **WITHIN), ended(2)
    )
    assert callers(only(trials)) == (1, 1)


def test_no_rule_with_a_roll_out_no_comparison() -> None:
    assert not list(tried(decided(1), ended(1)))


def test_bands_are_compared_by_themselves_and_only_where_both_sides_have_callers() -> None:
    trials = tried(
        *group(0, 2, 1, "repeat", **WITHOUT),
        *group(10, 2, 1, "repeat", **WITHIN),
        *group(20, 2, 1, "repeat", age_band="senior", **WITHOUT),
    )
    assert {each.band for each in trials.differences(only(trials))} == {"elder"}
    assert len(trials.differences(only(trials))) == len(MEASURES)


def test_each_caller_counts_once_by_their_first_call() -> None:
    first = [decided(0, caller_key=A_CALLER, **WITHOUT), ended(0, keys=["repeat"])]
    later = [
        record
        for each in range(1, 9)
        for record in (decided(each, caller_key=A_CALLER, **WITHOUT), ended(each, keys=[]))
    ]
    trials = tried(*first, *later)
    assert only(trials).without.stories["elder"].share(MEASURES[0]) == (1, 1)


def test_who_was_spoken_to_by_choice_is_left_out_even_later() -> None:
    trials = tried(
        *(decided(0, **WITHOUT), ended(0)),
        *(decided(1, caller_key=A_CALLER, speech_from="choice", **WITHIN), ended(1)),
        *(decided(2, caller_key=A_CALLER, **WITHIN), ended(2)),
    )
    assert callers(only(trials)) == (0, 1)
    assert only(trials).within.by_choice == 1


def test_a_caller_without_a_number_is_in_no_roll_out() -> None:
    assert not list(tried(decided(0, caller_key="", **WITHOUT), ended(0)))


def test_calls_that_nobody_saw_end_are_not_compared() -> None:
    trials = tried(decided(0, **WITHOUT), ended(0, ended="unseen"), decided(1, **WITHOUT))
    assert callers(only(trials)) == (0, 0)


def test_callers_are_remembered_up_to_a_bound_and_those_beyond_are_told_of() -> None:
    trials = tried(*group(0, 5, 0, "", **WITHOUT), most_callers=3)
    assert callers(only(trials)) == (0, 3)
    assert trials.callers == 3
    assert trials.no_longer_counted == 2


def test_two_rules_that_are_named_are_compared_whatever_roll_outs_there_are() -> None:
    trials = tried(
        *group(0, 4, 1, "repeat", rule="A"), *group(10, 5, 2, "repeat", rule="B"), *group(20, 3, 3, "repeat", **WITHIN),
        *group(30, 2, 0, "", **WITHOUT), compared=("A", "B"),
    )  # fmt: skip
    assert (only(trials).rule, only(trials).other) == ("A", "B")
    assert one(trials, "repeated").within == (1, 4)
    assert one(trials, "repeated").without == (2, 5)
    assert {"A", "B", TRIAL} <= trials.rules


@pytest.mark.parametrize(
    ("within", "without", "verdict"),
    [
        ((10, 1000), (200, 1000), "fewer"),
        ((200, 1000), (10, 1000), "more"),
        ((40, 500), (62, 500), "perhaps fewer"),
        ((62, 500), (40, 500), "perhaps more"),
        ((100, 2000), (101, 2000), "alike"),
        ((1, 9), (2, 10), "too few to tell"),
        ((0, 1), (0, 1), "too few to tell"),
    ],
)
def test_the_verdict_says_no_more_than_the_calls_do(
    within: tuple[int, int], without: tuple[int, int], verdict: str
) -> None:
    key = "repeat"
    trials = tried(
        *group(0, without[1], without[0], key, **WITHOUT), *group(10_000, within[1], within[0], key, **WITHIN),
        most_callers=10_000,
    )  # fmt: skip
    found = one(trials, "repeated")
    assert (found.within, found.without) == (within, without)
    assert found.verdict == verdict


def test_nobody_on_one_side_is_too_few_to_tell() -> None:
    """The measures of the assistant, where the callers of one side waited for people instead."""
    waiting = {"touched_assistant": False, "ended": "answered", "keys": []}
    trials = tried(decided(0, **WITHOUT), ended(0), decided(1, **WITHIN), ended(1, **waiting))
    assert one(trials, "silent").verdict == "too few to tell"
    assert not one(trials, "silent").is_told


def test_the_more_is_compared_the_surer_a_difference_must_be() -> None:
    alone = tried(*group(0, 400, 60, "repeat", **WITHOUT), *group(1000, 400, 34, "repeat", **WITHIN))
    few = one(alone, "repeated")
    many = tried(
        *group(0, 400, 60, "repeat", **WITHOUT),
        *group(1000, 400, 34, "repeat", **WITHIN),
        *(
            record
            for number in range(40)
            for how in (WITHOUT, WITHIN)
            for record in group(2000 + 100 * number + 10 * (how is WITHIN), 1, 0, "", age_band=f"b{number}", **how)
        ),
    )
    (same,) = (each for each in many.differences(only(many)) if (each.band, each.measure.name) == ("elder", "repeated"))
    assert same.interval == few.interval
    assert same.sure.low < few.sure.low
    assert few.sure.high < same.sure.high
