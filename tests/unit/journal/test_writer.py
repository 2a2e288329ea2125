from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.journal.reader import BadLine
from router.journal.records import DecisionRecord, OutcomeRecord, Record
from router.journal.writer import JournalWriter

from .reading import records_in
from .samples import CONDITION, DECISION, OUTCOME, RUN, TESTDATA, decision


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def journal(path: Path, clock: Clock) -> Iterator[JournalWriter]:
    writer = JournalWriter(path, clock=clock, run=RUN)
    yield writer
    writer.close()


def uniqueids(path: Path) -> list[str]:
    read = records_in(path)
    assert not [line for line in read if isinstance(line, BadLine)]
    return [line.uniqueid for line in read if isinstance(line, DecisionRecord | OutcomeRecord)]


@pytest.mark.parametrize(("name", "record"), [("decision", DECISION), ("outcome", OUTCOME), ("condition", CONDITION)])
def test_a_record_is_written_as_its_golden_line(journal: JournalWriter, path: Path, name: str, record: Record) -> None:
    assert journal.write(record)
    assert path.read_bytes() == (TESTDATA / f"{name}.json").read_bytes()


def test_a_record_is_in_the_file_when_write_returns(journal: JournalWriter, path: Path) -> None:
    for index in range(3):
        assert journal.write(decision(f"1.{index}")) is True
        assert uniqueids(path) == [f"1.{seen}" for seen in range(index + 1)]
    assert (journal.written, journal.lost, journal.healthy) == (3, 0, True)


def test_the_file_is_appended_to_and_not_for_everybody(path: Path) -> None:
    before = os.umask(0)
    try:
        for uniqueid in ("1.1", "1.2"):
            writer = JournalWriter(path)
            writer.write(decision(uniqueid))
            writer.close()
    finally:
        os.umask(before)
    assert uniqueids(path) == ["1.1", "1.2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_line_ends_in_values_do_not_end_the_line(journal: JournalWriter, path: Path) -> None:
    journal.write(DECISION.model_copy(update={"agent_label": "a\nb\r\u2028\u0085\x00c"}))
    assert path.read_bytes().count(b"\n") == 1
    (read,) = records_in(path)
    assert not isinstance(read, BadLine)


def test_half_a_surrogate_pair_costs_a_character_and_not_the_record(journal: JournalWriter, path: Path) -> None:
    assert journal.write(DECISION.model_copy(update={"agent_label": "6\ud8000+"}))
    (read,) = records_in(path)
    assert read == DECISION.model_copy(update={"agent_label": "6?0+"})


def test_a_line_cut_off_by_a_crash_spoils_no_other(path: Path) -> None:
    path.write_bytes(b'{"record":"deci')
    writer = JournalWriter(path)
    writer.write(decision("1.1"))
    writer.write(decision("1.2"))
    writer.close()
    first, *others = records_in(path)
    assert isinstance(first, BadLine)
    assert [line.uniqueid for line in others if isinstance(line, DecisionRecord | OutcomeRecord)] == ["1.1", "1.2"]
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("create", [True, False])
def test_a_rotated_file_is_left_after_the_interval(
    journal: JournalWriter, path: Path, clock: Clock, create: bool
) -> None:
    rotated = path.with_name("journal.jsonl.1")
    journal.write(decision("1.1"))
    path.rename(rotated)
    if create:
        path.touch()
    journal.write(decision("1.2"))
    clock.now_s += 1.0
    journal.write(decision("1.3"))
    assert uniqueids(rotated) == ["1.1", "1.2"]
    assert uniqueids(path) == ["1.3"]


def test_reopen_leaves_a_rotated_file_at_once(journal: JournalWriter, path: Path) -> None:
    path.rename(path.with_name("journal.jsonl.1"))
    journal.reopen()
    journal.write(decision("1.1"))
    assert uniqueids(path) == ["1.1"]


def test_a_file_cut_to_nothing_is_written_from_its_start(journal: JournalWriter, path: Path) -> None:
    journal.write(decision("1.1"))
    os.truncate(path, 0)
    journal.write(decision("1.2"))
    assert uniqueids(path) == ["1.2"]


def test_a_rotation_that_cannot_be_followed_keeps_writing_where_it_was(
    journal: JournalWriter, path: Path, clock: Clock
) -> None:
    rotated = path.with_name("journal.jsonl.1")
    path.rename(rotated)
    path.mkdir()  # stands for a new file that we may not write, which does not stop root
    clock.now_s += 1.0
    with capture_logs() as logs:
        assert journal.write(decision("1.1"))
    assert [entry["event"] for entry in logs] == ["journal_rotation_not_followed"]
    assert uniqueids(rotated) == ["1.1"]
    path.rmdir()
    clock.now_s += 1.0
    assert journal.write(decision("1.2"))
    assert uniqueids(path) == ["1.2"]


def test_a_full_device_is_counted_and_complained_about_once_a_minute(clock: Clock) -> None:
    with capture_logs() as logs:
        writer = JournalWriter(Path("/dev/full"), clock=clock)
        for _ in range(120):
            assert writer.write(DECISION) is False
            clock.now_s += 1.0
        writer.close()
    assert (writer.written, writer.lost, writer.healthy) == (0, 120, False)
    assert [entry["lost"] for entry in logs] == [1, 61]
    assert os.strerror(errno.ENOSPC) in logs[0]["why"]


def test_a_directory_that_is_missing_is_written_to_once_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "log" / "journal.jsonl"
    with capture_logs() as logs:
        writer = JournalWriter(path)
        healthy_at_first = writer.healthy
        assert not writer.write(decision("1.1"))
        assert not writer.write(decision("1.2"))
        path.parent.mkdir()
        assert writer.write(decision("1.3"))
        writer.close()
    assert (healthy_at_first, writer.healthy) == (False, True)
    assert uniqueids(path) == ["1.3"]
    assert [(entry["event"], entry["lost"]) for entry in logs] == [
        ("journal_not_written", 0),
        ("journal_writing_again", 2),
    ]


def test_a_directory_that_is_deleted_loses_records_until_it_is_back(path: Path, clock: Clock) -> None:
    path = path.parent / "log" / path.name
    path.parent.mkdir()
    writer = JournalWriter(path, clock=clock)
    shutil.rmtree(path.parent)
    clock.now_s += 1.0
    assert not writer.write(decision("1.1"))
    path.parent.mkdir()
    assert writer.write(decision("1.2"))
    writer.close()
    assert uniqueids(path) == ["1.2"]


def test_a_pipe_that_nobody_reads_does_not_stop_the_router(path: Path) -> None:
    os.mkfifo(path)
    writer = JournalWriter(path)
    assert [writer.write(DECISION) for _ in range(200)][-1] is False
    writer.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB, where the test may mount one; elsewhere the limits below stand for it."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        assert os.geteuid() != 0, f"a file system could not be mounted: {mounted.stderr.decode()}"
        pytest.skip("mounting needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_holds_whole_lines_and_writing_goes_on_when_there_is_space(tiny_disk: Path) -> None:
    path = tiny_disk / "journal.jsonl"
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 32768)
    with capture_logs() as logs:
        writer = JournalWriter(path)
        taken = [writer.write(decision(f"1.{index}")) for index in range(200)]
        assert taken[0] is True
        assert taken[-1] is False
        assert path.read_bytes().endswith(b"\n")
        ballast.unlink()
        assert writer.write(decision("2.1"))
        writer.close()
    expected = [f"1.{index}" for index, was_taken in enumerate(taken) if was_taken]
    assert uniqueids(path) == [*expected, "2.1"]
    assert writer.lost == taken.count(False)
    assert [entry["event"] for entry in logs] == ["journal_not_written", "journal_writing_again"]
    assert logs[-1]["lost"] == writer.lost


UNDER_A_LIMIT = """
import sys
from pathlib import Path
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from router.journal.records import parse_record
from router.journal.writer import JournalWriter
record = parse_record(Path(sys.argv[2]).read_bytes())
writer = JournalWriter(Path(sys.argv[1]))
print(*[int(writer.write(record.model_copy(update={"uniqueid": f"1.{index}"}))) for index in range(8)], writer.lost)
"""


def test_a_line_that_the_kernel_takes_in_part_is_cut_back(path: Path) -> None:
    """RLIMIT_FSIZE makes a real short write, then EFBIG."""
    size = len((TESTDATA / "decision.json").read_bytes())
    limit = 3 * size + size // 2

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    ran = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, str(path), str(TESTDATA / "decision.json")],
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    *taken, lost = map(int, ran.stdout.split())
    assert taken.count(1) == 3
    assert taken[3:] == [0] * 5
    assert lost == 5
    assert uniqueids(path) == ["1.0", "1.1", "1.2"]
    assert "journal_not_written" in ran.stderr


def test_a_part_that_cannot_be_cut_back_is_ended_by_the_next_line(
    journal: JournalWriter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write

    def half(descriptor: int, content: bytes) -> int:
        return real_write(descriptor, content[: len(content) // 2])

    def refuse(_descriptor: int, _length: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        patch.setattr(os, "ftruncate", refuse)
        assert not journal.write(decision("1.1"))
    assert journal.write(decision("1.2"))
    assert journal.write(decision("1.3"))
    first, *others = records_in(path)
    assert isinstance(first, BadLine)
    assert [line.uniqueid for line in others if isinstance(line, DecisionRecord | OutcomeRecord)] == ["1.2", "1.3"]
