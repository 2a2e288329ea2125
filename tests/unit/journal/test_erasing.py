from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import PhoneNumber, masked
from router.journal.erasing import ERASED, Erasing
from router.journal.hashing import caller_key
from router.journal.records import DecisionRecord, PromotionRecord, TraceStep, parse_record
from router.journal.replay import facts_of
from router.rules.recorded import Recogniser, RecordedCaller

from .samples import DECISION, OUTCOME

NUMBER = PhoneNumber("+8613900000001")
SECRET = b"s" * 32
KEY = caller_key(SECRET, NUMBER.e164)
ERASING = Erasing(NUMBER, KEY)
THEIRS = DECISION.model_copy(
    update={
        "caller": masked(NUMBER),
        "caller_key": KEY,
        "full_caller": NUMBER.e164,
        "earlier_calls_s": (61.5, 3_600.25),
        "trace": (
            TraceStep(rule="known", matched=False, failed="caller", wanted="one of 3", saw=masked(NUMBER)),
            TraceStep(rule="half", matched=False, failed="rollout", wanted="below 50", saw="place 61.23"),
            TraceStep(rule="often", matched=False, failed="repeat", wanted="3 calls", saw="2 calls"),
        ),
    }
)


def line_of(record: DecisionRecord | PromotionRecord) -> bytes:
    return record.model_dump_json().encode() + b"\n"


def erased(record: DecisionRecord) -> DecisionRecord:
    line = ERASING.line(line_of(record))
    assert len(line) == len(line_of(record))
    read = parse_record(line)
    assert isinstance(read, DecisionRecord)
    return read


def test_a_decision_keeps_what_the_call_was_and_loses_whose_it_was() -> None:
    left = erased(THEIRS)
    assert (left.caller, left.caller_key, left.full_caller, left.earlier_calls_s) == (ERASED, "", None, None)
    assert [step.saw for step in left.trace] == ["+*************", "place **.**", "2 calls"]
    gone = {"caller", "caller_key", "full_caller", "earlier_calls_s", "trace"}
    assert left.model_dump(exclude=gone) == THEIRS.model_dump(exclude=gone)
    raw = ERASING.line(line_of(THEIRS))
    for trace_of_them in (KEY.encode(), b"13900000001", b"0001", b"61.23", b"61.5"):
        assert trace_of_them not in raw


def test_records_of_others_and_of_calls_without_a_number_are_left_alone() -> None:
    for record in (DECISION, DECISION.model_copy(update={"caller_key": "", "caller": "anonymous"})):
        assert ERASING.line(line_of(record)) == line_of(record)
    # Shown alike, and somebody else.
    alike = THEIRS.model_copy(update={"caller_key": "f" * 16, "full_caller": None})
    assert ERASING.line(line_of(alike)) == line_of(alike)


def test_the_number_in_somebodys_own_words_loses_its_digits() -> None:
    why = 'she said "call me on +8613900000001", not 86139000000019'
    asked = PromotionRecord(
        time=OUTCOME.time, node="pbx1", uniqueid="1.1", linkedid="1.1", by="root", by_uid=0, why=why, done=True
    )
    line = ERASING.line(line_of(asked))
    assert len(line) == len(line_of(asked))
    read = parse_record(line)
    assert isinstance(read, PromotionRecord)
    assert read.why == 'she said "call me on +*************", not 86139000000019'


@pytest.mark.parametrize(
    ("e164", "words", "left"),
    [
        ("+8613900000001", "13900000001 called", "*********** called"),
        ("+8613900000001", "008613900000001", "***************"),
        ("+8613900000001", "113900000001", "113900000001"),
        ("+491763888645", "01763888645, not 1763888645.42", "***********, not 1763888645.42"),
        ("+491763888645", "+491763888645", "+************"),
        ("+8613900000001", "call 139 0000 0001 or 139-0000-0001", "call *** **** **** or ***-****-****"),
        ("+8613900000001", "+86 139-0000-0001, 0086 13900000001", "+** ***-****-****, **** ***********"),
        ("+8613900000001", "1 139 0000 00012", "1 139 0000 00012"),
        ("+491763888645", "0176 3888645, not 1763888645.42", "**** *******, not 1763888645.42"),
    ],
)
def test_numbers_as_people_write_them_and_never_the_name_of_a_call(e164: str, words: str, left: str) -> None:
    line = json.dumps({"record": "promotion", "why": words}, separators=(",", ":")).encode()
    assert json.loads(Erasing(PhoneNumber(e164), KEY).line(line))["why"] == left


def test_a_record_that_was_cut_off_is_no_record_afterwards_either_and_has_nothing_of_the_caller() -> None:
    whole = line_of(THEIRS)
    for end in range(len(whole)):
        cut = whole[:end]
        left = ERASING.line(cut)
        assert len(left) == len(cut)
        assert KEY.encode() not in left
        if KEY.encode() in cut:
            assert masked(NUMBER).encode() not in left


def test_spaces_after_colons_do_not_matter() -> None:
    spaced = orjson.dumps(orjson.loads(line_of(THEIRS)), option=orjson.OPT_INDENT_2).replace(b"\n", b" ")
    left = ERASING.line(spaced)
    assert len(left) == len(spaced)
    assert orjson.loads(left)["caller_key"] == ""
    assert orjson.loads(left)["full_caller"] is None


def test_the_rules_can_still_be_asked_and_know_the_caller_for_nobody() -> None:
    fields = orjson.loads(ERASING.line(line_of(THEIRS.model_copy(update={"full_caller": None}))))
    facts = facts_of(fields, Recogniser(lambda number: caller_key(SECRET, number)), "another")
    assert isinstance(facts.caller, RecordedCaller)
    assert not facts.caller.is_one_of([frozenset({NUMBER.e164})], frozenset({"+86", "+"}))
    assert (facts.rollout, facts.earlier_calls_s, facts.age_band) == (None, None, "elder")


@pytest.mark.parametrize("e164", ["+12345", "+8613900000001", "+123456789012345", "+4930123456", "+39061234567"])
def test_every_number_is_long_enough_for_the_word_that_replaces_it(e164: str) -> None:
    number = PhoneNumber(e164)
    record = DECISION.model_copy(update={"caller": masked(number), "caller_key": KEY})
    read = parse_record(Erasing(number, KEY).line(line_of(record)))
    assert isinstance(read, DecisionRecord)
    assert (read.caller, read.caller_key) == (ERASED, "")


TEXT = st.text(max_size=30) | st.sampled_from(
    [f'"caller_key":"{KEY}"', '","caller":"x', f"\\{KEY}", "place 61.23", masked(NUMBER), NUMBER.e164, "\u2028"]
)


@given(st.lists(TEXT, min_size=5, max_size=5), st.booleans())
def test_whatever_texts_stand_in_a_record_it_stays_one_of_the_same_length(texts: list[str], theirs: bool) -> None:
    label, note, detail, saw, agent = (text.encode("utf-8", "replace").decode() for text in texts)
    changed: dict[str, Any] = {"agent_label": label, "note": note, "band_detail": detail, "not_applied_why": agent}
    changed["trace"] = (TraceStep(rule="r", matched=False, failed="caller", wanted="x", saw=saw),)
    record = (THEIRS if theirs else DECISION).model_copy(update=changed)
    line = line_of(record)
    left = ERASING.line(line)
    assert len(left) == len(line)
    read = parse_record(left)
    assert isinstance(read, DecisionRecord)
    assert read.uniqueid == record.uniqueid
    assert read.caller_key == ("" if theirs else record.caller_key)
    assert KEY.encode() not in left


def test_the_golden_line_of_a_decision_is_what_is_erased_from() -> None:
    golden = (Path(__file__).parent / "testdata" / "decision.json").read_bytes()
    left = Erasing(NUMBER, "0123456789abcdef").line(golden)
    assert (len(left), orjson.loads(left)["caller"]) == (len(golden), ERASED)
