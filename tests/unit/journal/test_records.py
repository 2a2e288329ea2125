from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from router.errors import JournalError
from router.journal.records import DecisionRecord, OutcomeRecord, Record, parse_record

from .samples import CONDITION, DECISION, OUTCOME, TESTDATA


@pytest.mark.parametrize(("name", "record"), [("decision", DECISION), ("outcome", OUTCOME), ("condition", CONDITION)])
def test_a_golden_line_is_read_as_the_record_it_was_written_from(name: str, record: Record) -> None:
    assert parse_record((TESTDATA / f"{name}.json").read_bytes()) == record


def test_a_decision_written_before_the_age_of_the_registry_was_recorded_is_read() -> None:
    line = (TESTDATA / "decision.json").read_text().replace('"registry_age_s":27941.25,', "")
    assert parse_record(line.encode()) == DECISION.model_copy(update={"registry_age_s": None})


def test_a_decision_written_before_it_was_recorded_whether_its_band_was_protected_is_read() -> None:
    line = (TESTDATA / "decision.json").read_text().replace(',"protected":true,"run":"5f0c21aa","seq":1', "")
    assert parse_record(line.encode()) == DECISION.model_copy(update={"protected": None, "run": "", "seq": None})


def test_times_are_utc_to_the_millisecond() -> None:
    assert DECISION.time == datetime(2025, 11, 23, 9, 4, 5, 678_000, tzinfo=UTC)
    assert DECISION.model_dump(mode="json")["time"] == "2025-11-23T09:04:05.678Z"
    assert OUTCOME.model_dump(mode="json")["time"] == "2025-11-23T09:09:00.000Z"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-08:00"])
def test_a_time_that_not_every_zone_can_tell_is_no_record(time: str) -> None:
    line = (TESTDATA / "decision.json").read_text().replace("2025-11-23T09:04:05.678Z", time)
    with pytest.raises(JournalError, match=r"time: .*is in no year from 1970 to 9990"):
        parse_record(line.encode())


def test_durations_are_rounded_to_three_digits() -> None:
    assert DECISION.lookup_ms == 0.264


@pytest.mark.parametrize(
    "change",
    [
        {"time": datetime(2025, 11, 23)},  # noqa: DTZ001 - a time without a zone is what must be refused
        {"ask": 0},
        {"head_start_s": -1},
        {"lookup_ms": -0.1},
        {"lookup_ms": float("nan")},
        {"lookup_ms": float("inf")},
        {"band_source": "guess"},
        {"record": "outcome"},
        {"colour": "red"},
    ],
)
def test_what_the_schema_does_not_allow_is_no_record(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DecisionRecord.model_validate({**DECISION.model_dump(), **change})


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        OUTCOME.queue = "agents"  # type: ignore[misc]  # what must not work


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "Invalid JSON"),
        (b'{"record":"decision"', "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"{}", "Unable to extract tag"),
        (b'{"record":"rumour"}', "does not match any of the expected tags"),
        (b'{"record":"outcome"}', "outcome.time: Field required"),
    ],
)
def test_a_line_that_is_no_record_says_why(line: bytes, message: str) -> None:
    with pytest.raises(JournalError, match=message):
        parse_record(line)


def test_an_error_does_not_repeat_what_was_in_the_line() -> None:
    line = OUTCOME.model_dump_json().replace('"ended":"answered"', '"ended":"+8613900000001"')
    with pytest.raises(JournalError) as raised:
        parse_record(line.encode())
    assert "13900000001" not in str(raised.value)


def test_an_outcome_needs_no_more_than_whose_it_is_and_how_it_ended() -> None:
    needed = {"time", "node", "uniqueid", "linkedid", "ask", "ended"}
    assert {name for name, field in OutcomeRecord.model_fields.items() if field.is_required()} == needed
