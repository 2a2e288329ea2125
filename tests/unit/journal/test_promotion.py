from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it comes without types
import pytest
from pydantic import ValidationError

from router.journal.reader import BadLine, journal_tail
from router.journal.records import PromotionRecord, parse_record
from router.journal.schema import journal_schema
from router.journal.writer import JournalWriter

from .reading import records_in
from .samples import DECISION, OUTCOME, RUN, TESTDATA

PROMOTION = PromotionRecord(
    time=datetime(2025, 11, 23, 17, 6, 0, 1_999, tzinfo=timezone(timedelta(hours=8))),
    node="pbx1",
    uniqueid="1763888645.42",
    linkedid="1763888645.42",
    queue="senior-care",
    from_position=7,
    to_position=1,
    by="root (sudo by alice)",
    by_uid=0,
    why="has fallen, help is on the way",
    done=True,
    not_done_why="",
    run=RUN,
    seq=1,
)


def test_the_golden_line_is_read_as_the_record_it_was_written_from(tmp_path: Path) -> None:
    golden = (TESTDATA / "promotion.json").read_bytes()
    assert parse_record(golden) == PROMOTION
    writer = JournalWriter(tmp_path / "journal.jsonl", run=RUN)
    assert writer.write(PROMOTION)
    writer.close()
    assert (tmp_path / "journal.jsonl").read_bytes() == golden


def test_the_golden_line_satisfies_the_schema() -> None:
    line = json.loads((TESTDATA / "promotion.json").read_bytes())
    validator = jsonschema.Draft202012Validator(journal_schema())
    validator.validate(line)
    for change in ({"done": "perhaps"}, {"colour": "red"}, {"by_uid": -1}, {"why": "x" * 201}):
        assert not validator.is_valid({**line, **change})


@pytest.mark.parametrize("change", [{"by_uid": -1}, {"from_position": -1}, {"why": "x" * 201}, {"done": None}])
def test_what_the_schema_does_not_allow_is_no_record(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PromotionRecord.model_validate({**PROMOTION.model_dump(), **change})


def test_it_stands_among_the_records_of_its_call_and_leaves_the_decision_open(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path)
    for record in (DECISION, PROMOTION):
        writer.write(record)
    assert [line.record for line in records_in(path) if not isinstance(line, BadLine)] == ["decision", "promotion"]
    assert [decision.uniqueid for decision in journal_tail(path).open_on("pbx1")] == [DECISION.uniqueid]
    writer.write(OUTCOME)
    writer.write(PROMOTION)  # refused, for whoever asks too late
    writer.close()
    assert journal_tail(path).open == {}


def test_a_call_of_which_it_alone_tells_is_not_one_that_has_its_records(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path)
    writer.write(PROMOTION)
    writer.close()
    assert journal_tail(path).told_of("pbx1") == frozenset()
