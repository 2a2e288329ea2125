from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import JournalError
from router.journal.reader import MAX_LINE_BYTES, journal_files, journal_tail, refuse_unseen
from router.journal.records import Record

from .samples import decision, outcome


def lines(*records: Record) -> bytes:
    return b"".join(record.model_dump_json().encode() + b"\n" for record in records)


def journal(tmp_path: Path, content: bytes, name: str = "journal.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def open_ids(path: Path, max_bytes: int | None = None) -> list[str]:
    tail = journal_tail(path) if max_bytes is None else journal_tail(path, max_bytes)
    return sorted(uniqueid for _, uniqueid in tail.open)


def test_decisions_stay_open_until_their_outcome(tmp_path: Path) -> None:
    content = lines(decision("1.1"), decision("1.2"), outcome("1.1"), decision("1.3"), outcome("1.3"))
    path = journal(tmp_path, content)
    assert open_ids(path) == ["1.2"]
    assert journal_tail(path).told_of("pbx1") == {"1.1", "1.2", "1.3"}
    assert [record.uniqueid for record in journal_tail(path).open_on("pbx1")] == ["1.2"]


def test_the_same_uniqueid_on_two_nodes_is_two_calls(tmp_path: Path) -> None:
    path = journal(tmp_path, lines(decision("1.1", "pbx1"), decision("1.1", "pbx2"), outcome("1.1", "pbx1")))
    tail = journal_tail(path)
    assert tail.open_on("pbx1") == []
    assert [record.node for record in tail.open_on("pbx2")] == ["pbx2"]


def test_of_several_decisions_for_a_call_the_last_one_is_open(tmp_path: Path) -> None:
    path = journal(tmp_path, lines(decision("1.1", ask=1), decision("1.1", ask=2)))
    assert [record.ask for record in journal_tail(path).open.values()] == [2]


def test_a_decision_in_the_file_rotated_last_is_closed_by_the_new_one(tmp_path: Path) -> None:
    journal(tmp_path, lines(decision("1.1"), decision("1.2")), "journal.jsonl.1")
    path = journal(tmp_path, lines(outcome("1.1"), decision("1.3")))
    assert open_ids(path) == ["1.2", "1.3"]


def test_the_files_before_are_looked_into_whoever_rotated_them_and_compressed_with_gzip(tmp_path: Path) -> None:
    packed = journal(tmp_path, gzip.compress(lines(decision("1.1"), decision("1.2"))), "journal.jsonl.2.gz")
    journal(tmp_path, lines(decision("1.3"), outcome("1.1")), "journal.jsonl.20261125T160000Z")
    os.utime(packed, (0, 0))
    path = journal(tmp_path, lines(decision("1.4")))
    assert open_ids(path) == ["1.2", "1.3", "1.4"]
    one = len(lines(decision("1.4")))
    of_the_newest_two = one + len(lines(decision("1.3"), outcome("1.1")))
    assert open_ids(path, of_the_newest_two) == ["1.3", "1.4"]
    assert open_ids(path, of_the_newest_two + one) == ["1.2", "1.3", "1.4"]


@pytest.mark.parametrize(
    "content",
    [b"BZh9....", b"", b"\x1f\x8b", gzip.compress(b"", mtime=0)[:-4] + b"\xff\xff\xff\x7f"],
    ids=["bzip2", "empty", "cut gzip", "a gzip that lies of its size"],
)
def test_behind_a_file_that_cannot_be_looked_into_nothing_is_taken_for_open(tmp_path: Path, content: bytes) -> None:
    """Its outcomes may be in there."""
    journal(tmp_path, lines(decision("1.1")), "journal.jsonl.3")
    journal(tmp_path, content, f"journal.jsonl.2.{'bz2' if content.startswith(b'BZ') else 'gz'}")
    path = journal(tmp_path, lines(decision("1.2")))
    assert open_ids(path) == ["1.2"]


def test_nothing_there_is_nothing_open(tmp_path: Path) -> None:
    assert journal_tail(tmp_path / "missing").open == {}
    assert journal_tail(tmp_path).open == {}
    assert open_ids(journal(tmp_path, b"")) == []


def test_only_the_tail_is_read_and_from_the_first_whole_line(tmp_path: Path) -> None:
    one = lines(decision("1.1"))
    path = journal(tmp_path, lines(*(decision(f"1.{index}") for index in range(1, 5))))
    journal(tmp_path, lines(decision("0.1")), "journal.jsonl.1")
    assert open_ids(path, 2 * len(one)) == ["1.3", "1.4"]
    assert open_ids(path, 2 * len(one) + 1) == ["1.3", "1.4"]
    assert open_ids(path, 2 * len(one) - 1) == ["1.4"]
    assert open_ids(path, 4 * len(one)) == ["1.1", "1.2", "1.3", "1.4"]
    assert open_ids(path, 5 * len(one)) == ["0.1", "1.1", "1.2", "1.3", "1.4"]
    assert open_ids(path, 0) == []


def test_lines_that_are_no_records_are_passed_over(tmp_path: Path) -> None:
    odd = b'null\n[1]\n{"record":"decision","node":"pbx1","uniqueid":"1.9"}\n{"node":1}\n\xff\n'
    assert open_ids(journal(tmp_path, odd + lines(decision("1.1")) + b'{"record":"outcome"')) == ["1.1"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary())
def test_any_bytes_can_be_read(tmp_path: Path, content: bytes) -> None:
    path = journal(tmp_path, content)
    journal_tail(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak_bytes(path: Path) -> int:
        tracemalloc.start()
        try:
            journal_tail(path)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    closed = lines(decision("1.1"), outcome("1.1"))
    small = journal(tmp_path, closed * 50, "small.jsonl")
    large = journal(tmp_path, closed * 1000, "large.jsonl")
    peak_bytes(small)
    assert peak_bytes(large) < 1.5 * peak_bytes(small)


def test_an_overlong_line_costs_no_other(tmp_path: Path) -> None:
    overlong = b'"' + b"x" * (2 * MAX_LINE_BYTES) + b'"\n'
    assert open_ids(journal(tmp_path, lines(decision("1.1")) + overlong + lines(decision("1.2")))) == ["1.1", "1.2"]


def test_a_journal_and_what_was_rotated_away_newest_first(tmp_path: Path) -> None:
    names = ["journal.jsonl", "journal.jsonl.1", "journal.jsonl.2.gz", "journal.jsonl.3.zst", "journal.jsonl.10.xz"]
    for name in (*names, "journal.jsonl.old", "journal.jsonl.1.bak"):
        journal(tmp_path, b"", name)
    assert [path.name for path in journal_files(tmp_path / "journal.jsonl")] == names
    assert journal_files(tmp_path / "none") == []


def test_where_nothing_may_be_looked_at_no_journal_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    path = journal(tmp_path, b"")
    monkeypatch.setattr(os, "stat", refused)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    assert journal_files(path) == []


def test_a_journal_that_may_not_be_looked_at_is_told_from_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_unseen(tmp_path / "journal.jsonl")
    refuse_unseen(tmp_path / "no-folder" / "journal.jsonl")

    def refused(_: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(JournalError, match="Permission denied; do this as root, or as the router's user"):
        refuse_unseen(tmp_path / "journal.jsonl")
