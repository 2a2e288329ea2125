from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import duckdb
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import JournalError
from router.journal import opening
from router.journal.counting.count import _engine, _run, count, count_spans
from router.journal.counting.figures import NOTHING, Figures, Share, Span, Tally
from router.journal.counting.sources import Sources
from router.journal.reader import journal_files
from tests.unit.journal.calls import decided, lines
from tests.unit.journal.counting.days import CARE, DAY, REST, SHANGHAI, at, call, condition, day_of, write
from tests.unit.journal.counting.reference import figures_of

THE_DAY = day_of("2026-11-25")
OLDER = ("senior", "elder")


def counted(file: Path, span: Span = THE_DAY, zone: ZoneInfo = SHANGHAI) -> Figures:
    return count([file], span, zone, OLDER, 20.0)


@pytest.fixture
def figures(tmp_path: Path) -> Figures:
    return counted(write(tmp_path / "journal.jsonl", DAY))


def test_all_figures_of_a_day_are_those_counted_by_hand(figures: Figures) -> None:
    assert figures.overall == Tally(
        calls=17, under_way=1, unseen=1, answered=9, in_time_published=5, in_time=7, abandoned=3, abandoned_short=1,
        without_assistant=6, self_served=2, hung_up_early=1, fallback=2,
        wait_median_s=15.0, wait_95th_s=75.5, wait_longest_s=90.0,
    )  # fmt: skip
    assert figures.overall.offered == 12
    assert figures.overall.ended == 15


def test_protected_callers_stand_together(figures: Figures) -> None:
    older = figures.protected
    assert older == Tally(
        calls=10, under_way=1, unseen=1, answered=5, in_time_published=3, in_time=4, abandoned=2, abandoned_short=1,
        without_assistant=4, self_served=0, hung_up_early=1, fallback=0,
        wait_median_s=15.0, wait_95th_s=75.5, wait_longest_s=90.0,
    )  # fmt: skip
    assert older.share_without_assistant == Share(4, 8), "hung up early included, unseen and under way not"
    assert older.answered_within_15s == Share(3, 7), "15 s are within 15 s; abandoned calls count against it"
    assert older.service_level == Share(4, 7)
    assert older.abandon_rate == Share(2, 7)


def test_each_group_has_its_own_calls(figures: Figures) -> None:
    assert {band: tally.calls for band, tally in figures.by_band.items()} == {
        "elder": 4, "senior": 6, "adult": 3, "": 4,
    }  # fmt: skip
    assert {hour: tally.calls for hour, tally in figures.by_hour.items()} == {0: 1, 9: 3, 10: 7, 12: 5, 23: 1}
    assert {hour: tally.answered for hour, tally in figures.protected_by_hour.items()} == {9: 3, 10: 2}
    assert {rule: tally.calls for rule, tally in figures.by_rule.items()} == {
        "older callers": 10, "everybody else": 6, "": 1,
    }  # fmt: skip
    assert {target: tally.calls for target, tally in figures.by_target.items()} == {
        "senior-care": 10, "assistant": 6, "people": 1,
    }  # fmt: skip
    assert {day: tally.calls for day, tally in figures.by_day.items()} == {date(2026, 11, 25): 17}


def test_queues_have_the_offered_calls_by_where_they_ended(figures: Figures) -> None:
    care, agents = figures.by_queue["senior-care"], figures.by_queue["agents"]
    assert figures.by_queue.keys() == {"senior-care", "agents"}
    assert (care.calls, care.answered, care.abandoned, care.wait_longest_s) == (4, 3, 1, 15.001)
    assert (agents.calls, agents.answered, agents.abandoned, agents.wait_longest_s) == (8, 6, 2, 90.0)


def test_fallback_and_unknown_are_told_by_why(figures: Figures) -> None:
    assert figures.fallback == {"heartbeat": 1, "deadline": 1}
    assert figures.unknown == {"unknown": 1, "no_number": 1, "lookup_failed": 1, "not_asked": 1}


def test_a_transferred_call_stays_the_call_it_was_first(tmp_path: Path) -> None:
    first = call(1, "09:59:00", "elder", wait=30.0, queue="agents", **CARE)
    again = decided(1, age_band="adult", protected=False, ask=2, time=at("10:05:00"), fallback="deadline", **REST)
    figures = counted(write(tmp_path / "j", [again, *first]))
    assert (figures.overall.calls, figures.protected.calls, figures.overall.fallback) == (1, 1, 1)
    assert (list(figures.by_hour), list(figures.by_rule), figures.fallback) == ([9], ["older callers"], {"deadline": 1})


def test_a_call_belongs_to_the_day_in_which_it_was_first_decided(tmp_path: Path) -> None:
    before = call(1, "23:59:59", wait=2.0, **CARE)
    before[0]["time"] = at("23:59:59.999", "2026-11-24")
    again = decided(1, ask=2, time=at("00:10:00"), age_band="elder", **CARE)
    midnight = call(2, "00:00:00", wait=2.0, **CARE)
    file = write(tmp_path / "j", [*before, again, *midnight])
    today, yesterday = count_spans([file], [THE_DAY, day_of("2026-11-24")], SHANGHAI).figures
    assert (today.overall.calls, yesterday.overall.calls) == (1, 1)
    assert today.by_hour.keys() == {0}
    assert yesterday.by_hour.keys() == {23}


def test_an_outcome_of_the_next_day_belongs_to_its_call(tmp_path: Path) -> None:
    records = call(1, "23:59:00", wait=2.0, **CARE)
    records[1]["time"] = at("00:20:00", "2026-11-26")
    assert counted(write(tmp_path / "j", records)).overall.answered == 1


def test_hours_follow_the_zones_clocks_when_they_change(tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    utc = ["2026-10-24T22:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T22:30", "2026-10-25T23:00"]
    records = [decided(n, time=f"{moment}:00.000Z", ask=1) for n, moment in enumerate(utc)]
    figures = counted(write(tmp_path / "j", records), day_of("2026-10-25", berlin), berlin)
    hours = {hour: tally.calls for hour, tally in figures.by_hour.items()}
    assert hours == {0: 1, 2: 2, 23: 1}, "the day has 25 hours, and 2 o'clock twice"
    spring = [decided(n, time=f"2026-03-29T{moment}:00.000Z", ask=1) for n, moment in enumerate(["00:59", "01:00"])]
    figures = counted(write(tmp_path / "s", spring), day_of("2026-03-29", berlin), berlin)
    assert list(figures.by_hour) == [1, 3], "there is no 2 o'clock"


def test_an_empty_journal_has_no_figures(tmp_path: Path) -> None:
    empty = write(tmp_path / "j", [])
    assert counted(empty) == Figures(THE_DAY, 20.0)
    assert counted(empty).overall == NOTHING


def test_calls_under_way_alone_have_no_shares(tmp_path: Path) -> None:
    figures = counted(write(tmp_path / "j", call(1, "09:00:00", end=None)))
    assert figures.overall == Tally(calls=1, under_way=1)
    assert figures.overall.answered_within_15s.value is None
    assert figures.by_queue == {}


def test_records_of_before_protected_and_run_were_kept_count_by_the_bands_protected_now(tmp_path: Path) -> None:
    records = call(1, "09:00:00", "senior", wait=1.0) + call(2, "09:00:00", "adult", wait=1.0)
    for record in records:
        for name in ("protected", "run", "seq"):
            record.pop(name, None)
    assert counted(write(tmp_path / "j", records)).protected.calls == 1


def test_what_a_record_says_of_protection_is_stronger_than_the_rules_of_now(tmp_path: Path) -> None:
    records = call(1, "09:00:00", "senior", wait=1.0, protected=False)
    records += call(2, "09:00:00", "adult", wait=1.0, protected=True)
    figures = counted(write(tmp_path / "j", records))
    assert figures.protected.calls == 1
    assert figures.by_band["adult"].calls == 1


def test_an_end_that_was_seen_counts_before_unseen(tmp_path: Path) -> None:
    records = call(1, "09:00:00", end="unseen") + call(1, "09:00:01", wait=3.0)[1:]
    assert counted(write(tmp_path / "j", records)).overall.answered == 1


def test_a_fallback_counts_whichever_end_tells_of_it(tmp_path: Path) -> None:
    records = call(1, "09:00:00", end="unseen", end_fallback="heartbeat") + call(1, "09:00:01", wait=3.0)[1:]
    assert counted(write(tmp_path / "j", records)).fallback == {"heartbeat": 1}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gz", "bz2", "xz"])
def test_compressed_journals_count_like_plain_ones(
    tmp_path: Path, pack: Callable[[bytes], bytes], figures: Figures
) -> None:
    # Told by its first bytes: the name says nothing.
    half = len(DAY) // 2
    one, other = tmp_path / "old.txt", tmp_path / "new"
    one.write_bytes(pack(b"".join(lines(DAY[:half]))))
    other.write_bytes(b"".join(lines(DAY[half:])))
    assert count([one, other], THE_DAY, SHANGHAI, OLDER) == figures


def test_gzip_files_of_several_members_are_read_whole(tmp_path: Path, figures: Figures) -> None:
    file = tmp_path / "j.gz"
    file.write_bytes(b"".join(gzip.compress(line) for line in lines(DAY)))
    assert counted(file) == figures


def test_standard_input_and_pipes_are_read(figures: Figures) -> None:
    stdin = io.BytesIO(gzip.compress(b"".join(lines(DAY))))
    assert count_spans([Path("-")], [THE_DAY], SHANGHAI, OLDER, stdin=stdin).figures == (figures,)
    read, written = os.pipe()
    with os.fdopen(written, "wb") as into:
        into.write(b"".join(lines(DAY)))
    try:
        assert counted(Path(f"/dev/fd/{read}")) == figures
    finally:
        os.close(read)


@pytest.mark.parametrize("name", ["*.jsonl", "a[b].jsonl", "it's; DROP TABLE records--", 'q"uote\n.gz', "{x}.jsonl"])
def test_names_of_files_are_neither_patterns_nor_statements(tmp_path: Path, name: str, figures: Figures) -> None:
    write(tmp_path / "other.jsonl", call(99, "09:00:00"))
    write(tmp_path / "ab.jsonl", call(98, "09:00:00"))
    assert counted(write(tmp_path / name, DAY)) == figures


@pytest.mark.parametrize("text", ["'; DROP TABLE records; --", "x' OR '1'='1", "\x00", "{span}", "COMPRESSION", "名"])
def test_texts_of_records_are_never_statements(tmp_path: Path, text: str) -> None:
    records = call(1, "09:00:00", text, wait=1.0, queue=text, rule=text, target=text, fallback=text)
    figures = count([write(tmp_path / "j", records)], THE_DAY, SHANGHAI, [text], 20.0)
    assert list(figures.by_rule) == list(figures.by_queue) == list(figures.by_band) == [text]
    assert figures.fallback == {text: 1}


def test_bad_lines_are_counted_and_named_and_the_others_count(tmp_path: Path, figures: Figures) -> None:
    good = list(lines(DAY))
    bad = [b"no json\n", b"[1]\n", b'{"record":"decision"}\n', b"\xff\n", b'{"record": 7}\n', b"\0\0\n"]
    no_time = orjson.dumps({**DAY[0], "time": "late", "uniqueid": "x"}) + b"\n"
    file = tmp_path / "j"
    file.write_bytes(b"".join([good[0], *bad, b"\n", b"  \n", no_time, *good[1:], good[0][:40]]))
    result = count_spans([file], [THE_DAY], SHANGHAI, OLDER)
    assert result.figures == (figures,)
    assert [one.line for one in result.read.bad_lines] == [2, 3, 4, 5, 6]
    assert result.read.complaints()[0].startswith("7 lines are no records"), "not counting the one being written"
    assert f"{file}:2: is no JSON" in result.read.complaints()[1]


def test_a_last_line_that_is_being_written_is_no_complaint(tmp_path: Path, figures: Figures) -> None:
    file = tmp_path / "j"
    file.write_bytes(b"".join(lines(DAY)) + b'{"record":"decision","ti')
    result = count_spans([file], [THE_DAY], SHANGHAI, OLDER)
    assert (result.figures, result.read.complaints()) == ((figures,), [])


def test_records_of_another_schema_and_unknown_kinds_do_not_count(tmp_path: Path, figures: Figures) -> None:
    newer = [{**record, "schema_version": 2, "uniqueid": "n"} for record in call(50, "09:00:00")]
    other = [{"record": "weather", "schema_version": 9, "node": "pbx1", "time": at("09:00:00"), "uniqueid": "w"}]
    result = count_spans([write(tmp_path / "j", [*DAY, *newer, *other])], [THE_DAY], SHANGHAI, OLDER)
    assert result.figures == (figures,)
    assert result.read.bad == 2
    assert "schema_version 2" in result.read.complaints()[1]


def test_odd_values_neither_stop_the_count_nor_make_numbers_up(tmp_path: Path) -> None:
    odd = call(1, "09:00:00", wait=1e300) + call(2, "09:00:00", wait=None)
    odd[0] |= {"protected": "perhaps", "rule": None, "target": {"a": 1}}
    figures = counted(write(tmp_path / "j", odd))
    assert (figures.overall.answered, figures.overall.in_time, figures.overall.wait_median_s) == (2, 0, None)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "294247-01-10T04:00:54.775806Z", "infinity"]
)
def test_moments_at_the_ends_of_time_are_bad_lines(tmp_path: Path, figures: Figures, time: str) -> None:
    records = [{**record, "time": time} for record in call(30, "09:00:00")]
    result = count_spans([write(tmp_path / "j", [*records, *DAY])], [THE_DAY], SHANGHAI, OLDER)
    assert result.figures == (figures,)
    assert (result.read.bad, [line.line for line in result.read.bad_lines]) == (2, [1, 2])


def test_a_file_begun_while_a_clock_was_wrong_is_read(tmp_path: Path, figures: Figures) -> None:
    records = [{**record, "time": at("09:00:00", "2036-01-01")} for record in call(30, "09:00:00")]
    file = write(tmp_path / "j", [*records, *DAY])
    os.utime(file, (datetime.fromisoformat(at("23:59:59.999")).timestamp(),) * 2)
    assert counted(file) == figures


def test_a_line_longer_than_any_record_does_not_stop_the_count(tmp_path: Path, figures: Figures) -> None:
    file = write(tmp_path / "j", DAY)
    with file.open("ab") as into:
        into.write(b'{"record":"decision","x":"' + b"x" * 40_000_000 + b'"}\n')
    result = count_spans([file], [THE_DAY], SHANGHAI, OLDER)
    assert result.figures == (figures,)
    assert result.read.bad == 1


def test_compressed_data_that_end_too_soon_count_as_far_as_they_go(tmp_path: Path) -> None:
    noise = random.Random(1)  # noqa: S311 - guards no secret
    records = [r for n in range(3000) for r in call(n, "09:00:00", wait=1.0, note=str(noise.random()))]
    packed = gzip.compress(b"".join(lines(records)))
    file = tmp_path / "j.gz"
    file.write_bytes(packed[: len(packed) // 2])
    result = count_spans([file], [THE_DAY], SHANGHAI, OLDER)
    assert 1000 < result.figures[0].overall.calls < 2000
    assert result.read.warnings == [
        f"{file}: its compressed data end too soon, as while it is being written; what comes before that counts"
    ]


def test_damaged_compressed_data_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    noise = random.Random(1)  # noqa: S311 - guards no secret
    records = [r for n in range(3000) for r in call(n, "09:00:00", wait=1.0, note=str(noise.random()))]
    packed = bytearray(gzip.compress(b"".join(lines(records))))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\x55" * 40
    file = tmp_path / "j.gz"
    file.write_bytes(packed)
    with pytest.raises(JournalError, match=r"j\.gz: its compressed data are damaged after line"):
        counted(file)


def test_a_journal_that_is_not_there_or_there_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="nowhere: cannot be read: No such file"):
        counted(tmp_path / "nowhere")
    file = write(tmp_path / "j", DAY)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(JournalError, match="its calls would count twice"):
        count([file, tmp_path / "link"], THE_DAY, SHANGHAI)


def test_files_of_other_times_are_not_read(tmp_path: Path, figures: Figures) -> None:
    old, now, later = (tmp_path / name for name in ("old", "now", "later"))
    old.write_bytes(b"not looked at\n")
    long_before = (THE_DAY.begin - timedelta(hours=1)).timestamp()
    os.utime(old, (long_before, long_before))
    again = decided(60, ask=2, time=at("00:00:10"), age_band="elder")  # its first decision is in the old one
    write(now, [again, *DAY])
    within = THE_DAY.begin.timestamp() + 86_399  # as one that was rotated away just then
    os.utime(now, (within, within))
    write(later, [decided(70, time="2026-11-29T00:00:00.000Z"), decided(71, time=at("09:00:00"))])
    after = THE_DAY.end.timestamp() + 4 * 86_400
    os.utime(later, (after, after))
    result = count_spans([old, now, later], [THE_DAY], SHANGHAI, OLDER)
    assert result.left_out == (old, later)
    assert result.figures == (figures,)
    assert count([now], THE_DAY, SHANGHAI, OLDER).overall.calls == 18, "with no file left out, what is there counts"


def test_a_journal_rotated_while_it_is_opened_is_counted_whole_and_once(
    tmp_path: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, rotated = tmp_path / "journal.jsonl", tmp_path / "journal.jsonl.20261125T160000Z"
    write(journal, DAY)
    turns = iter([True])

    def rotated_behind(path: Path) -> list[Path]:
        files = journal_files(path)
        if next(turns, False):
            journal.rename(rotated)
            journal.touch()
        return files

    monkeypatch.setattr(opening, "journal_files", rotated_behind)
    result = count_spans(journal, [THE_DAY], SHANGHAI, OLDER)
    assert result.figures == (figures,)
    assert result.journals == (rotated, journal)


@pytest.mark.parametrize("is_removed", [False, True], ids=["renamed", "compressed, and removed"])
def test_a_journal_rotated_while_it_is_counted_is_counted_all_the_same(
    tmp_path: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch, *, is_removed: bool
) -> None:
    journal, turns = write(tmp_path / "journal.jsonl", DAY), iter([True])

    def rotated_before(engine: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[object]) -> None:
        if next(turns, False):
            journal.unlink() if is_removed else journal.rename(tmp_path / "rotated")
        _run(engine, statement, parameters)

    monkeypatch.setattr("router.journal.counting.count._run", rotated_before)
    assert counted(journal) == figures


def test_the_engine_opens_nothing_but_the_journals_and_loads_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    file = write(tmp_path / "j", DAY)
    with Sources([file], [THE_DAY], tmp_path, stdin=io.BytesIO()) as sources, _engine(tmp_path, sources) as engine:
        for statement in (
            f"SELECT * FROM read_text('{secret}')",  # noqa: S608 - the test's own
            f"COPY records TO '{tmp_path / 'out'}'",
            f"ATTACH '{tmp_path / 'other.db'}'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            "SET memory_limit = '100GB'",
        ):
            with pytest.raises(duckdb.Error):
                engine.execute(statement)


def test_ctrl_c_interrupts_the_engine_at_once() -> None:
    interrupted = threading.Event()

    class Engine:
        def execute(self, _statement: str, _parameters: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted.wait(20)

        def interrupt(self) -> None:
            interrupted.set()

    with pytest.raises(KeyboardInterrupt):
        _run(cast("duckdb.DuckDBPyConnection", Engine()), "", [])


def test_what_was_wrong_is_told_for_every_span_it_reached_into(tmp_path: Path) -> None:
    before = condition("23:00:00", "began", "asterisk not linked", node="pbx1", why="refused")
    before["time"] = at("23:00:00", "2026-11-24")
    records = [
        before, *DAY, condition("00:10:00", "ended", "asterisk not linked", node="pbx1"),
        condition("09:00:00", "began"), condition("09:30:00", "began"), condition("10:00:00", "ended"),
        condition("11:00:00", "began", run="next"), {**call(30, "11:30:00")[0], "run": "next"},
        condition("12:00:00", "began", "rules not loaded", run="last"),
    ]  # fmt: skip
    today, other = count_spans([write(tmp_path / "j", records)], [THE_DAY, day_of("2026-11-23")], SHANGHAI).figures
    told = [(one.what, one.node, one.began, one.ended, one.is_over) for one in today.troubles]
    assert told == [
        ("asterisk not linked", "pbx1", _utc(before["time"]), _utc(at("00:10:00")), True),
        ("registry does not answer", "", _utc(at("09:00:00")), _utc(at("10:00:00")), True),
        ("registry does not answer", "", _utc(at("11:00:00")), _utc(at("11:30:00")), True),
        ("rules not loaded", "", _utc(at("12:00:00")), None, False),
    ]
    assert other.troubles == ()


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_NAMES = st.sampled_from(["senior", "elder", "adult", None])
_MOMENTS = st.integers(0, 3 * 86_400_000 - 1)
_WAITS = st.none() | st.sampled_from([0.0, 4.999, 5.0, 5.001, 14.999, 15.0, 15.001, 20.0, 20.001]) | st.integers(
    0, 600_000
).map(lambda ms: ms / 1000)  # fmt: skip
_CALLS = st.fixed_dictionaries(
    {
        "ms": _MOMENTS,
        "node": st.sampled_from(["pbx1", "pbx2"]),
        "band": _NAMES,
        "source": st.sampled_from(["registry", "unknown", "no_number", "lookup_failed", "not_asked"]),
        "protected": st.sampled_from([True, False, None]),
        "rule": st.sampled_from(["a", "b", ""]),
        "target": st.sampled_from(["people", "assistant"]),
        "fallback": st.sampled_from(["", "", "heartbeat", "deadline"]),
        "end": st.sampled_from([None, "answered", "answered", "abandoned", "self_served", "hung_up_early", "unseen"]),
        "wait": _WAITS,
        "queue": st.sampled_from(["agents", "senior-care"]),
        "met": st.booleans(),
        "end_fallback": st.sampled_from(["", "", "no-such-context"]),
        "again_ms": st.none() | st.integers(1, 7_200_000),
    }
)
_BEGIN = datetime(2026, 11, 24, tzinfo=SHANGHAI)
_LAST_MS = 259_199_999


def _records(calls: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    records = []
    for number, one in enumerate(calls):
        time = _iso(one["ms"])
        first = decided(
            number, node=one["node"], time=time, age_band=one["band"], band_source=one["source"], ask=1,
            protected=one["protected"], rule=one["rule"], target=one["target"], fallback=one["fallback"],
        )  # fmt: skip
        records.append(first)
        if one["again_ms"] is not None:
            again = {
                # Within the days that any record is of: a file that begins after them is rightly left out unread.
                "time": _iso(min(one["ms"] + one["again_ms"], _LAST_MS)),
                "ask": 2,
                "rule": "again",
                "fallback": "",
                "age_band": None,
            }
            records.append({**first, **again})
        if one["end"] is not None:
            outcome = call(number, "00:00:00", end=one["end"], wait=one["wait"], queue=one["queue"], met=one["met"],
                           end_fallback=one["end_fallback"])[1]  # fmt: skip
            records.append({**outcome, "node": one["node"], "time": time})
    chance.shuffle(records)
    return records


def _iso(ms: int) -> str:
    moment = (_BEGIN + timedelta(milliseconds=ms)).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@settings(max_examples=40)
@given(calls=st.lists(_CALLS, max_size=60), within_s=st.sampled_from([10.0, 15.0, 20.0]), chance=st.randoms())
def test_any_journal_has_the_figures_that_counting_record_by_record_gives(
    tmp_path_factory: pytest.TempPathFactory, calls: list[dict[str, Any]], within_s: float, chance: random.Random
) -> None:
    records = _records(calls, chance)
    file = write(tmp_path_factory.mktemp("any") / "j", records)
    spans = [THE_DAY, day_of("2026-11-24")]
    found = count_spans([file], spans, SHANGHAI, OLDER, within_s).figures
    assert list(found) == [figures_of(records, span, SHANGHAI, OLDER, within_s) for span in spans]
