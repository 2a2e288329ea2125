from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.journal.conditions import ASTERISK_NOT_LINKED, ROUTER_AWAY
from router.journal.records import Record
from router.journal.seeking import MOST_CALLS, Seeker, Sought

from .samples import CONDITION, DECISION, OUTCOME

AT = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
KEY, OTHER_KEY = "0123456789abcdef", "fedcba9876543210"


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def decided(seconds: float, uniqueid: str, key: str = OTHER_KEY, **changed: Any) -> Record:  # noqa: ANN401
    fields = {"time": after(seconds), "at": after(seconds), "uniqueid": uniqueid, "caller_key": key}
    return DECISION.model_copy(update=fields | changed)


def ended(seconds: float, uniqueid: str) -> Record:
    return OUTCOME.model_copy(update={"time": after(seconds), "uniqueid": uniqueid})


def lines(records: Sequence[Record]) -> list[bytes]:
    return [record.model_dump_json().encode() for record in records]


def sought_in(sought: Sought, *blocks: Sequence[Record]) -> tuple[Seeker, int]:
    """The seeker, and how many blocks it wanted."""
    seeker = Seeker(sought)
    for number, block in enumerate(blocks, 1):
        seeker.take(lines(block))
        if seeker.is_done:
            return seeker, number
    return seeker, len(blocks)


CALLER = Sought(caller_key=KEY, at=AT, within=timedelta(minutes=15))


def test_a_call_is_found_with_all_its_records_and_nobody_elses() -> None:
    seeker, _ = sought_in(
        Sought(uniqueid="1.1"),
        [decided(0, "11.1"), decided(1, "1.1"), decided(2, "1.11"), ended(3, "11.1")],
        [decided(60, "1.1", ask=2), ended(100, "1.1"), decided(101, "2.2", linkedid="1.1")],
    )
    (call,) = seeker.calls()
    assert [record.ask for _, record in call.decisions] == [1, 2]
    assert [outcome.uniqueid for outcome in call.outcomes] == ["1.1"]
    assert [minute.calls for minute in seeker.minutes(call)] == [3, 4]


def test_reading_ends_with_the_minute_and_the_outcome() -> None:
    _, wanted = sought_in(
        Sought(uniqueid="1.1"),
        [decided(0, "1.1")],
        [decided(30, "2.1"), ended(31, "1.1")],
        [decided(70, "3.1")],  # belongs to nothing, which is only known now
        [decided(80, "4.1")],
    )
    assert wanted == 3


def test_an_outcome_is_looked_for_a_day() -> None:
    hours = [[decided(3600 * hour, f"9.{hour}")] for hour in range(1, 30)]
    _, wanted = sought_in(Sought(uniqueid="1.1"), [decided(0, "1.1")], *hours)
    assert wanted == 26


def test_a_callers_calls_are_those_within_the_time_nearest_first() -> None:
    seeker, _ = sought_in(
        CALLER,
        [decided(-901, "1.1", KEY), decided(-900, "2.1", KEY), decided(-10, "3.1"), ended(-9, "1.1")],
        [decided(20, "4.1", KEY), ended(21, "2.1"), decided(400, "5.1", KEY), ended(401, "4.1")],
        [decided(901, "6.1", KEY), ended(902, "5.1")],
    )
    assert [call.uniqueid for call in seeker.calls()] == ["4.1", "5.1", "2.1"]
    assert [len(call.outcomes) for call in seeker.calls()] == [1, 1, 1]
    assert [len(seeker.minutes(call)) for call in seeker.calls()] == [1, 0, 0], "one is told whole"
    assert seeker.minutes(seeker.calls()[0])[0].calls == 2


def test_reading_for_a_caller_ends_behind_the_time_and_the_outcomes() -> None:
    late = [[decided(1000 + number, f"7.{number}")] for number in range(5)]
    assert sought_in(CALLER, [decided(0, "1.1", KEY), ended(10, "1.1")], *late)[1] == 3
    assert sought_in(CALLER, [decided(0, "1.1", KEY)], *late)[1] == 6, "its outcome is not there yet"
    assert sought_in(CALLER, *late)[1] == 2, "nobody called"


def test_of_a_caller_who_never_stops_calling_the_nearest_calls_are_kept() -> None:
    calls = [decided(seconds, f"{seconds}.1", KEY) for seconds in range(-800, 800, 5)]
    seeker, _ = sought_in(CALLER, *[calls[start : start + 10] for start in range(0, len(calls), 10)])
    found = seeker.calls()
    assert len(found) == MOST_CALLS
    assert max(abs(call.moment - AT) for call in found if call.moment) <= timedelta(seconds=50)
    assert len(seeker.minutes(found[0])) == 1


def test_what_stood_before_the_call_is_remembered_over_a_gap_in_time() -> None:
    """The router was away for an hour; the call fell back meanwhile."""
    blocks = [[decided(-7200 + number, f"8.{number}", run="aaaa", seq=number + 1)] for number in range(20)]
    epoch = f"{int(AT.timestamp())}.1"
    late = decided(3600, epoch, at=None, fallback="heartbeat", applied=False, run="bbbb", seq=1)
    other = decided(3601, f"{int(AT.timestamp())}.2", at=None, fallback="heartbeat", applied=False, run="bbbb", seq=2)
    seeker, _ = sought_in(Sought(uniqueid=epoch), *blocks, [late], [other, ended(3700, epoch)])
    (minute,) = seeker.minutes(seeker.calls()[0])
    assert (minute.away[0].since, minute.away[0].until) == (after(-7181), after(3600))
    assert minute.fell_back == {"heartbeat": 2}


def test_the_whole_minute_before_is_remembered_however_small_the_blocks() -> None:
    before = [[decided(number, f"8.{number}")] for number in range(-90, 0)]
    seeker, _ = sought_in(Sought(uniqueid="1.1"), *before, [decided(0, "1.1")])
    assert seeker.minutes(seeker.calls()[0])[0].calls == 61


def test_only_so_many_blocks_are_remembered() -> None:
    seeker = Seeker(Sought(uniqueid="none"))
    for number in range(2000):
        seeker.take(lines([decided(number, f"8.{number}")]))
    assert len(seeker._recent) <= 130, "two minutes of them"
    for number in range(2000):
        seeker.take(lines([decided(2000, f"9.{number}")]))
    assert len(seeker._recent) <= 256, "however many there are in one second"


def test_what_was_wrong_since_an_earlier_block_is_told() -> None:
    condition = CONDITION.model_copy(update={"time": after(-5000), "run": "aaaa", "seq": 1})
    seeker, _ = sought_in(
        Sought(uniqueid="1.1"),
        [condition],
        *[[decided(-4000 + number * 100, f"7.{number}", run="aaaa", seq=number + 2)] for number in range(40)],
        [decided(0, "1.1", run="aaaa", seq=42)],
    )
    (minute,) = seeker.minutes(seeker.calls()[0])
    assert [wrong.since for wrong in minute.wrong] == [after(-5000)]
    assert minute.known_since is None


def test_what_is_not_known_of_the_runs_beginning_is_said() -> None:
    seeker, _ = sought_in(Sought(uniqueid="1.1"), [decided(-500, "7.1", run="a", seq=9), decided(0, "1.1", run="a")])
    assert seeker.minutes(seeker.calls()[0])[0].known_since == after(-500)
    seeker, _ = sought_in(Sought(uniqueid="1.1"), [decided(-500, "7.1", run="z", seq=9), decided(0, "1.1", run="a")])
    assert seeker.minutes(seeker.calls()[0])[0].known_since is None


def test_a_line_with_a_number_beyond_all_bounds_is_damaged_and_no_error() -> None:
    seeker = Seeker(Sought(uniqueid="1.1"))
    (line,) = lines([decided(0, "1.1")])
    seeker.take([line.replace(b'"ask":1', b'"ask":1' + b"0" * 400)])
    assert (seeker.damaged, seeker.calls()) == (1, [])


def test_lines_that_name_it_and_are_no_records_are_counted() -> None:
    seeker = Seeker(Sought(uniqueid="1.1"))
    seeker.take([b'{"record":"decision","uniqueid":"1.1"', b"nonsense", b'{"record":"condition",', b'"1.1"'])
    assert (seeker.damaged, seeker.calls()) == (2, [])


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_nothing_that_stands_in_a_file_stops_it(content: list[bytes]) -> None:
    seeker = Seeker(Sought(uniqueid="1.1"))
    whole = lines([decided(0, "1.1")])
    seeker.take([*content, *whole, *(line + b' "1.1"' for line in content)])
    assert len(seeker.calls()) == 1
    seeker.minutes(seeker.calls()[0])


@pytest.mark.parametrize("time", ["2026-11-25T02:30:00", "9999-99-99T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_times_that_are_none_are_passed_over(time: str) -> None:
    fields = json.loads(decided(0, "2.1").model_dump_json()) | {"time": time}
    seeker = Seeker(Sought(uniqueid="1.1"))
    seeker.take([json.dumps(fields, separators=(",", ":")).encode(), *lines([decided(0, "1.1"), ended(9, "1.1")])])
    assert seeker.minutes(seeker.calls()[0])[0].calls >= 1


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:01:00Z"])
def test_a_record_of_the_call_at_a_time_that_cannot_be_is_damaged(time: str) -> None:
    seeker = Seeker(Sought(uniqueid="1.1"))
    for changed in ({"time": time}, {"at": time}):
        fields = json.loads(decided(0, "1.1").model_dump_json()) | changed
        seeker.take([json.dumps(fields).encode()])
    condition = json.loads(CONDITION.model_dump_json()) | {"time": time}
    seeker.take([json.dumps(condition, separators=(",", ":")).encode()])
    seeker.take(lines([decided(0, "1.1")]))
    assert (seeker.damaged, [minute.wrong for minute in seeker.minutes(seeker.calls()[0])]) == (2, [()])


def test_a_time_that_another_program_wrote_as_a_number_is_read() -> None:
    fields = json.loads(decided(0, "1.1").model_dump_json()) | {"time": int(AT.timestamp()), "at": None}
    seeker = Seeker(Sought(uniqueid="1.1"))
    seeker.take([json.dumps(fields).encode()])
    (call,) = seeker.calls()
    assert call.moment == AT
    assert len(seeker.minutes(call)) == 1


def fell_back_late(uniqueid: str, written: float, key: str = OTHER_KEY) -> Record:
    """One that fell back while nobody was there to see it; its name tells when it called."""
    return decided(written, uniqueid, key, at=None, fallback="heartbeat", applied=False)


def condition(seconds: float, what: str, state: str, node: str = "", run: str = "run") -> Record:
    changed = {"time": after(seconds), "what": what, "state": state, "node": node, "run": run}
    return CONDITION.model_copy(update=changed)


def test_a_call_of_a_long_time_without_a_router_is_found_among_thousands_that_are_written_after_it() -> None:
    back = 3600.0
    name = f"{int(AT.timestamp())}.7"
    others = [[fell_back_late(f"{int(AT.timestamp())}.{n}1", back + n)] for n in range(1, 8)]
    seeker, _ = sought_in(
        CALLER,
        [decided(-1200, "1.1"), ended(-1190, "1.1")],
        [condition(back, ROUTER_AWAY, "ended", run="next")],
        *others,
        [fell_back_late(name, back + 9, KEY)],
        [decided(back + 10, "3.1")],
    )
    (call,) = seeker.calls()
    assert call.uniqueid == name


def test_a_call_of_an_asterisk_that_was_not_linked_is_found_though_another_one_went_on() -> None:
    back = 7200.0
    name = f"{int(AT.timestamp())}.7"
    went_on = [[decided(minute * 60.0, f"9.{minute}")] for minute in range(-20, 120)]
    seeker, wanted = sought_in(
        CALLER,
        [condition(-1300, ASTERISK_NOT_LINKED, "began", "pbx2")],
        *went_on,
        [condition(back, ASTERISK_NOT_LINKED, "ended", "pbx2")],
        [decided(back + 1, "9.9")],
        [fell_back_late(name, back + 2, KEY)],
        *([decided(back + 60.0 * minute, f"8.{minute}"), ended(back + 60.0 * minute, name)] for minute in range(1, 30)),
    )
    (call,) = seeker.calls()
    assert call.uniqueid == name
    assert wanted < len(went_on) + 20, "nothing is read that cannot tell of it"


def test_links_that_come_and_go_later_do_not_have_everything_read() -> None:
    later = [
        [condition(1100 + 60.0 * minute, ASTERISK_NOT_LINKED, state, "pbx2") for state in ("began", "ended")]
        for minute in range(60)
    ]
    _, wanted = sought_in(CALLER, [decided(-60, "1.1")], [decided(1000, "2.1")], *later)
    assert wanted < 10
