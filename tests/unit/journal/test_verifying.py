from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router.journal import verifying
from router.journal.reader import MAX_LINE_BYTES, journal_files
from router.journal.records import Record
from router.journal.verifying import Kind, Verified, files_and_living, verify
from router.journal.writer import JournalWriter

from .samples import CONDITION, decision, outcome

BEGAN = datetime(2026, 11, 25, 1, tzinfo=UTC)


def at(record: Record, minute: float, seq: int | None = None, run: str = "aaaa0001") -> bytes:
    changed: dict[str, object] = {"time": BEGAN + timedelta(minutes=minute), "seq": seq, "run": run if seq else ""}
    if record.record == "outcome":
        changed["duration_s"] = 60.0
    return record.model_copy(update=changed).model_dump_json().encode() + b"\n"


def whole(calls: Iterable[int], seq: int = 1, run: str = "aaaa0001") -> list[bytes]:
    """Calls that begin a minute after each other and last one."""
    lines = []
    for call in calls:
        lines += [at(decision(f"{call}.0"), call, seq, run), at(outcome(f"{call}.0"), call + 1, seq + 1, run)]
        seq += 2
    return lines


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Verified]:
    """What is found in files of these lines, oldest first; the newest is the one being written."""

    def found(*files: Sequence[bytes] | bytes, **options: datetime) -> Verified:
        paths = []
        for number, lines in enumerate(files, 1):
            path = tmp_path / f"j{number}"
            path.write_bytes(lines if isinstance(lines, bytes) else b"".join(lines))
            paths.append(path)
        return verify(paths, living=paths[-1], **options)  # type: ignore[arg-type]

    return found


def told(found: Verified) -> list[str]:
    return [str(finding).rpartition("/")[2] for finding in found.findings]


def test_a_whole_journal_is_whole_over_rotations_and_restarts(found: Callable[..., Verified]) -> None:
    lines = [*whole(range(10)), at(CONDITION, 10, 21), *whole(range(10, 20), run="aaaa0002")]
    verified = found(lines[:13], gzip.compress(b"".join(lines[13:30])), lines[30:])
    assert told(verified) == []
    assert verified.is_whole
    assert verified.records == {"decision": 20, "outcome": 20, "condition": 1}
    assert (verified.lines, verified.under_way, verified.missing, verified.notes) == (41, 0, 0, [])
    assert verified.first == BEGAN
    assert verified.last == BEGAN + timedelta(minutes=20)


def test_what_was_written_before_records_had_numbers_is_whole_too(found: Callable[..., Verified]) -> None:
    lines = [at(record, call) for call in range(5) for record in (decision(f"{call}.0"), outcome(f"{call}.0"))]
    assert found(lines).is_whole


def test_lines_that_are_no_records_are_told_by_file_and_line(found: Callable[..., Verified]) -> None:
    lines = whole(range(2))
    lines[1:1] = [
        b"\n",
        b'{"record":"deci\n',
        b'{"record":"decision","node":1}\n',
        b'"' + b"x" * MAX_LINE_BYTES + b'"\n',
    ]
    verified = found(lines)
    assert [line[:21] for line in told(verified)] == [
        "j1:3: is no record: I",
        "j1:4: is no record: d",
        "j1:5: is no record: l",
    ]
    assert verified.counts == {Kind.NO_RECORD: 3}


@pytest.mark.parametrize(
    ("order", "says", "missing"),
    [
        ([0, 1, 4, 5], "before this, 3 to 4 of the run aaaa0001 are missing", 2),
        ([0, 1, 2, 3, 3, 4, 5], "4 of the run aaaa0001 is there twice", 0),
    ],
)
def test_records_that_are_missing_or_there_twice_are_told(
    found: Callable[..., Verified], order: list[int], says: str, missing: int
) -> None:
    lines = whole(range(3))
    verified = found([lines[index] for index in order])
    assert says in told(verified)[0]
    assert verified.missing == missing


def test_a_record_out_of_order_is_told_and_is_not_missing(found: Callable[..., Verified]) -> None:
    lines = whole(range(3))
    lines[2], lines[4] = lines[4], lines[2]
    verified = found(lines)
    assert verified.counts[Kind.OUT_OF_ORDER] == 2
    assert verified.missing == 0


def test_a_file_that_is_not_there_is_seen_by_the_numbers(found: Callable[..., Verified]) -> None:
    lines = whole(range(9))
    assert told(found(lines[:6], lines[12:])) == ["j2:1: before this, 7 to 12 of the run aaaa0001 are missing"]
    again = whole(range(9, 12), run="aaaa0002")
    assert told(found(lines, again[2:])) == [
        "j2:1: the run aaaa0002 begins with number 3: the 2 records before are missing"
    ]


def test_two_routers_that_write_one_journal_by_mistake_are_told_of_once(found: Callable[..., Verified]) -> None:
    mine, theirs = whole(range(3)), whole(range(10, 13), run="bbbb0002")
    mixed = [line for both in zip(mine, theirs, strict=True) for line in both]
    result = found(mixed)
    assert result.is_whole
    assert [note.rpartition("/")[2] for note in result.notes] == [
        "j1:3: the runs bbbb0002 and aaaa0001 take turns: two routers write this journal; give each one its own"
    ]


def test_a_router_that_was_restarted_and_journals_of_two_are_no_turns(found: Callable[..., Verified]) -> None:
    restarted = found([*whole(range(3)), *whole(range(10, 13), run="bbbb0002")], whole([13], 7, run="bbbb0002"))
    assert (restarted.is_whole, restarted.notes) == (True, [])
    theirs = whole(range(10, 13), run="bbbb0002")
    two = found(whole([0, 1]), theirs[:4], whole([2], seq=5), theirs[4:])
    assert (two.is_whole, two.notes) == (True, [])


@pytest.mark.parametrize("before", [[], [whole([9], run="bbbb0002")]])
def test_files_in_the_wrong_order_hold_nothing_twice_and_miss_nothing(
    found: Callable[..., Verified], before: list[list[bytes]]
) -> None:
    result = found(*before, whole([3, 4], seq=5), whole([1, 2]))
    assert result.counts[Kind.OUT_OF_ORDER] == 4
    assert (result.counts[Kind.TWICE], result.counts[Kind.MISSING], result.missing) == (0, 0, 0)


def test_a_rotation_while_files_are_read_takes_nothing_away_and_brings_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    older = tmp_path / "journal.jsonl.20261125T000000Z"
    older.write_bytes(b"".join(whole([1])))
    path.write_bytes(b"".join(whole([2], seq=3)))

    def rotate(_: int) -> None:
        if not (rotated := tmp_path / "journal.jsonl.20261126T000000Z").exists():
            path.rename(rotated)
            path.write_bytes(b"".join(whole([3], seq=5)))

    files, opened = files_and_living(path)
    assert opened is not None
    with opened:
        result = verify(files, living=files[-1], opened=opened, on_read=rotate)
    assert result.is_whole
    assert result.lines == 4
    assert result.files == (str(older), str(path))


def test_a_rotation_while_names_are_read_is_no_gap_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(whole([1])))
    rotated = tmp_path / "journal.jsonl.20261126T000000Z"
    listed = journal_files

    def rotating(journal: Path) -> list[Path]:
        names = listed(journal)
        if not rotated.exists():
            path.rename(rotated)
            path.write_bytes(b"".join(whole([2], seq=3)))
        return names

    monkeypatch.setattr(verifying, "journal_files", rotating)
    files, opened = files_and_living(path)
    assert files == [rotated, path]
    assert opened is not None
    with opened:
        assert verify(files, living=path, opened=opened).lines == 4


def test_a_name_that_was_just_taken_for_the_journal_brings_nothing_twice(tmp_path: Path) -> None:
    path, taken = tmp_path / "journal.jsonl", tmp_path / "journal.jsonl.20261126T000000Z"
    path.write_bytes(b"".join(whole([1])))
    taken.touch()
    files, opened = files_and_living(path)
    path.replace(taken)
    assert opened is not None
    with opened:
        result = verify(files, living=path, opened=opened)
    assert (result.is_whole, result.lines) == (True, 2)


def test_without_the_journal_itself_what_was_rotated_away_is_read(tmp_path: Path) -> None:
    rotated = tmp_path / "journal.jsonl.20261126T000000Z"
    rotated.touch()
    assert files_and_living(tmp_path / "journal.jsonl") == ([rotated], None)


def test_that_the_oldest_file_is_not_the_first_there_was_is_no_finding(found: Callable[..., Verified]) -> None:
    verified = found(whole(range(9))[4:])
    assert verified.is_whole
    assert verified.notes[0].endswith("the run aaaa0001 begins with number 5: the 4 records before are in no file here")


def test_a_call_that_was_decided_and_did_not_end_is_told_unless_it_may_be_under_way(
    found: Callable[..., Verified],
) -> None:
    lines = [at(decision("lost"), 0), at(decision("late"), 300), at(decision("late"), 301), at(outcome("x"), 301)]
    verified = found([at(decision("x"), 0), *lines])
    assert told(verified) == ["j1:2: the call pbx1 lost has no outcome"]
    assert verified.under_way == 1


def test_a_call_that_asked_again_is_one_call_and_told_of_where_it_began(found: Callable[..., Verified]) -> None:
    lines = [at(decision("1.0", ask=ask), ask) for ask in (1, 2)] + [
        at(decision("2.0", ask=ask), ask) for ask in (1, 2)
    ]
    verified = found([*lines, at(outcome("1.0"), 3), at(CONDITION, 300)])
    assert told(verified) == ["j1:3: the call pbx1 2.0 has no outcome"]


def test_the_same_uniqueid_on_two_asterisks_is_two_calls(found: Callable[..., Verified]) -> None:
    lines = [at(decision("1.0", node), 0) for node in ("pbx1", "pbx2")] + [at(outcome("1.0", "pbx1"), 1)]
    verified = found([*lines, *(at(record, 300) for record in (decision("2.0"), outcome("2.0")))])
    assert told(verified) == ["j1:2: the call pbx2 1.0 has no outcome"]


def test_a_call_that_ends_twice_or_was_never_decided_is_told(found: Callable[..., Verified]) -> None:
    lines = [*whole(range(3)), at(outcome("1.0"), 9), at(outcome("never"), 60)]
    verified = found(lines)
    assert told(verified) == [
        "j1:7: the call pbx1 1.0 has an outcome before",
        "j1:8: the call pbx1 never has no decision before",
    ]


def test_a_call_that_was_decided_before_the_oldest_file_is_no_finding(found: Callable[..., Verified]) -> None:
    assert found([at(decision("1.0"), 0), at(outcome("before"), 0.5), at(outcome("1.0"), 1)]).is_whole


def test_what_is_remembered_is_bounded(found: Callable[..., Verified], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "MOST_OPEN", 10)
    monkeypatch.setattr(verifying, "MOST_ENDED", 10)
    verified = found([at(decision(f"{call}.0"), call) for call in range(60)])
    assert verified.counts == {Kind.NO_OUTCOME: 50}
    assert verified.under_way == 10
    twice = [*whole(range(30)), at(outcome("25.0"), 31, 61)]
    assert found(twice).counts == {Kind.TWO_OUTCOMES: 1}
    long_ago = [*whole(range(30)), at(outcome("1.0"), 31, 61)]
    assert found(long_ago).counts == {Kind.NO_DECISION: 1}, "that it ended was forgotten"


def test_of_each_kind_only_the_first_are_kept(found: Callable[..., Verified]) -> None:
    verified = found([b"x\n"] * 1000)
    assert verified.counts == {Kind.NO_RECORD: 1000}
    assert len(verified.findings) == verifying.MOST_TOLD_OF_A_KIND


def test_files_that_are_cut_off_are_told_and_the_rest_is_read(found: Callable[..., Verified]) -> None:
    lines = whole(range(200))
    packed = gzip.compress(b"".join(lines[:100]), mtime=0)[:-30]
    verified = found(packed, b"".join(lines[100:200]) + lines[200][:50], lines[200:])
    assert [line for line in told(verified) if ":" not in line[:5]] == []
    cut = [finding for finding in verified.findings if finding.kind is Kind.CUT_OFF]
    assert [Path(each.file).name for each in cut] == ["j1", "j2"]
    assert cut[1].what == "ends in the middle of a line"


def test_the_last_line_of_the_journal_being_written_may_be_half_there(found: Callable[..., Verified]) -> None:
    lines = whole(range(3))
    assert found(b"".join(lines) + lines[0][:40]).is_whole


def test_a_file_that_is_damaged_is_told_and_the_others_are_read(found: Callable[..., Verified], tmp_path: Path) -> None:
    verified = found(b"\x1f\x8bxxxxxxxxxxxxxxxxxxxxx", whole(range(3)))
    assert verified.counts[Kind.UNREADABLE] == 1
    assert verified.lines == 6
    (tmp_path / "folder").mkdir()
    assert verify([tmp_path / "none", tmp_path / "folder"]).counts == {Kind.UNREADABLE: 2}


def test_only_the_time_asked_for_is_told_of(found: Callable[..., Verified]) -> None:
    lines = [b"x\n", *whole(range(10)), b"y\n", *whole(range(400, 410), seq=31), b"z\n"]
    assert found(lines).counts == {Kind.NO_RECORD: 3, Kind.MISSING: 1}
    # A line without a time is of the time of the record before it.
    later = found(lines, since=BEGAN + timedelta(minutes=380))
    assert (later.counts, later.missing) == ({Kind.NO_RECORD: 2, Kind.MISSING: 1}, 10)
    before = found(lines, until=BEGAN + timedelta(minutes=380))
    assert (before.counts, before.missing) == ({Kind.NO_RECORD: 2}, 0)


def test_what_the_writer_writes_is_whole_and_what_it_loses_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path)
    writer.write(decision("1.0"))
    writer.close()
    path.rename(tmp_path / "away")
    path.mkdir()
    assert not writer.write(decision("2.0"))
    path.rmdir()
    writer.write(outcome("1.0"))
    writer.close()
    verified = verify([tmp_path / "away", path])
    assert (verified.counts, verified.missing) == ({Kind.MISSING: 1}, 1)


def test_memory_does_not_grow_with_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "MOST_ENDED", 500)

    def peak(calls: int) -> int:
        path = tmp_path / "journal.jsonl"
        path.write_bytes(b"".join(whole(range(calls))))
        tracemalloc.start()
        try:
            assert verify([path]).is_whole
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(6000) < 1.2 * peak(2000)
