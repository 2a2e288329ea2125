from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.journal.speech_report import MEASURES, Group, SpeechReport, Stories
from router.journal.speech_trial import Trials
from router.journal.stream import RecordStream
from tests.unit.journal.calls import BEGAN, decided, ended, lines

MEASURE = {measure.name: measure for measure in MEASURES}
ELDER = Group("elder", "unhurried")


def reported(*records: dict[str, Any], **options: Any) -> SpeechReport:  # noqa: ANN401
    report = SpeechReport(**options)
    for record in records:
        assert report.take(record) == ""
    report.close()
    return report


def only(report: SpeechReport) -> Stories:
    (stories,) = report.groups.values()
    return stories


@pytest.mark.parametrize(
    ("measure", "key"),
    [
        ("repeated", "repeat"), ("slowed", "slower"), ("sped_up", "normal"), ("silent", "silence"),
        ("wrong_key", "invalid"), ("asked_for_person", "person"),
    ],
)  # fmt: skip
def test_a_key_counts_once_a_call_however_often_it_is_pressed(measure: str, key: str) -> None:
    report = reported(
        decided(1), ended(1, keys=[key, "2", key]), decided(2), ended(2, keys=["2"]), decided(3), ended(3, keys=[])
    )
    assert only(report).share(MEASURE[measure]) == (1, 3)
    assert sum(only(report).share(one)[0] for name, one in MEASURE.items() if name not in {measure, "self_served"}) == 0


@pytest.mark.parametrize(
    ("how", "measures"),
    [
        ("answered", {"reached_person"}), ("abandoned", {"hung_up"}), ("hung_up_early", {"hung_up"}),
        ("self_served", {"self_served"}),
    ],
)  # fmt: skip
def test_an_ending_counts_where_it_belongs(how: str, measures: set[str]) -> None:
    report = reported(decided(1), ended(1, ended=how, keys=[]))
    assert {name for name, measure in MEASURE.items() if only(report).share(measure)[0]} == measures


def test_what_can_happen_in_the_assistant_only_is_a_share_of_calls_that_met_it() -> None:
    waited = {"touched_assistant": False, "ended": "answered", "keys": ["slower"]}
    report = reported(decided(1), ended(1, keys=["silence"]), decided(2), ended(2, **waited))
    assert only(report).total() == 2
    assert only(report).total(assistant=True) == 1
    of = {name: only(report).share(measure)[1] for name, measure in MEASURE.items()}
    assert {name for name, calls in of.items() if calls == 1} == {
        "silent", "wrong_key", "asked_for_person", "self_served",
    }  # fmt: skip
    assert only(report).share(MEASURE["slowed"]) == (1, 2), "the key for slower speech works while waiting, too"


def test_calls_are_joined_by_node_and_uniqueid() -> None:
    report = reported(
        decided(1), decided(1, node="pbx2", speech="standard"), ended(1, node="pbx2", keys=["repeat"]), ended(1)
    )
    assert report.groups[Group("elder", "standard")].share(MEASURE["repeated"]) == (1, 1)
    assert report.groups[ELDER].share(MEASURE["repeated"]) == (0, 1)


def test_groups_are_made_by_band_profile_and_choice_and_by_rule_if_asked() -> None:
    calls = [
        decided(1), ended(1), decided(2, age_band=None, rule="others"), ended(2), decided(3, speech="slow"), ended(3),
        decided(4, speech_from="choice"), ended(4), decided(5, speech_from="rule", rule="others"), ended(5),
    ]  # fmt: skip
    assert {group: stories.total() for group, stories in reported(*calls).groups.items()} == {
        ELDER: 2, Group("", "unhurried"): 1, Group("elder", "slow"): 1, Group("elder", "unhurried", choice=True): 1,
    }  # fmt: skip
    by_rule = reported(*calls, by_rule=True).groups
    assert by_rule[Group("elder", "unhurried", rule="others")].total() == 1
    assert by_rule[Group("elder", "unhurried", rule="seniors reach a person")].total() == 1


def test_calls_that_tell_nothing_are_counted_apart() -> None:
    report = reported(
        decided(1),
        *(decided(2), ended(2, ended="unseen", touched_assistant=False)),
        *(decided(3, rule="", speech=""), ended(3)),
        *(decided(4, applied=False), ended(4)),
        ended(5),
        *(decided(6), decided(6, ask=2, speech="standard"), ended(6)),
    )
    apart = report.apart
    assert (apart.no_outcome, apart.unseen, apart.undecided, apart.not_applied, apart.no_decision) == (1, 1, 1, 1, 1)
    assert apart.asked_again == 1
    assert {group: stories.total() for group, stories in report.groups.items()} == {ELDER: 1}, "as first decided"


def test_only_calls_decided_within_the_time_asked_for_count_and_their_outcomes_are_no_strays() -> None:
    calls = [record for number in range(10) for record in (decided(number), ended(number))]
    report = reported(*calls, since=BEGAN + timedelta(minutes=2), until=BEGAN + timedelta(minutes=5))
    assert only(report).total() == 3
    assert report.apart.elsewhen == 7
    assert report.apart.no_decision == 0
    assert (report.first, report.last) == (BEGAN + timedelta(minutes=2), BEGAN + timedelta(minutes=4))


def test_what_is_waited_for_is_bounded_and_the_oldest_is_given_up() -> None:
    report = reported(*(decided(number) for number in range(5)), ended(0), ended(4), most_open=3)
    assert only(report).total() == 1
    assert report.apart.no_outcome == 4
    assert report.apart.no_decision == 1


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (ended(1, ended="gone"), "cannot be counted: 'gone' is missing or unknown"),
        (ended(1, keys=None), "cannot be counted: 'NoneType' object is not iterable"),
        (ended(1, keys=[["1"]]), "cannot be counted: unhashable type: 'list'"),
        (ended(1, touched_assistant="yes"), "cannot be counted: touched_assistant is neither true nor false"),
        (ended(1, node=None), "cannot be counted: node or uniqueid is no text"),
        (decided(1, at="yesterday"), "cannot be counted: Invalid isoformat string: 'yesterday'"),
        (decided(1, at="2026-11-09T01:00:00"), "cannot be counted: its time has no zone"),
        (decided(1, at="1970-01-01T00:00:00Z"), "cannot be counted: it was made in no year from 2000 to 2100"),
        (decided(1, speech=5), "cannot be counted: speech is no text"),
        (decided(1, age_band=["elder"]), "cannot be counted: age_band is no text"),
        (
            decided(1, trace=[{"rule": None, "failed": "rollout", "wanted": "below 50"}]),
            "cannot be counted: a rule of its trace, or what that wanted, is no text",
        ),
    ],
)
def test_a_record_that_no_router_writes_is_refused_with_its_reason(record: dict[str, Any], why: str) -> None:
    assert SpeechReport().take(record) == why


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_whatever_a_line_holds_the_report_goes_on(data: st.DataObject) -> None:
    trials = Trials()
    report = SpeechReport(on_decided=trials.decided)
    for record in (decided(1, left_out_by=["trial"]), decided(2, rule="trial"), ended(1), ended(2)):
        name = data.draw(st.sampled_from(sorted(record)))
        if name != "record":
            changed = {key: value for key, value in record.items() if key != name}
            record = changed if data.draw(st.booleans()) else {**changed, name: data.draw(JSON)}  # noqa: PLW2901 - spoilt
        assert isinstance(report.take(record), str)
    report.close()
    for trial in trials:
        trials.differences(trial)


def test_a_stream_gives_both_kinds_and_the_trace_only_where_it_is_asked_for(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    records = [decided(1, left_out_by=["trial"]), ended(1), decided(2), ended(2), {"record": "promotion"}, {"a": 1}]
    journal.write_bytes(b"".join(lines([record for record in records if "record" in record])) + b'{"a": 1}\nnone\n')
    stream = RecordStream([journal], stdin=io.BytesIO(), kinds=("decision", "outcome"), trace_if=b'"failed":"rollout"')
    found = list(stream)
    assert [(one["record"], "trace" in one) for one in found] == [
        ("decision", True), ("outcome", False), ("decision", False), ("outcome", False),
    ]  # fmt: skip
    read = stream.read
    assert (read.decisions, read.outcomes, read.others, read.bad) == (2, 2, 1, 2)
    stream.refuse("is not to be used")
    assert (read.decisions, read.outcomes, read.bad) == (2, 1, 3)


def test_a_promotion_is_no_part_of_a_call_s_story() -> None:
    assert json.loads(next(lines([{"record": "promotion"}]))) == {"record": "promotion"}
