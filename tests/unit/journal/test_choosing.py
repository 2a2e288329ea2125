from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router.journal import choosing
from router.journal.choosing import begin_with, can_be_chosen, first_record
from router.journal.stream import STDIN

from .samples import DECISION

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)


def day(number: int) -> datetime:
    return MIDNIGHT + timedelta(days=number)


def journal(folder: Path, number: int, *, run: str = "", seq: int | None = None, packed: bool = False) -> Path:
    """A journal that begins with that day."""
    record = DECISION.model_copy(update={"time": day(number), "run": run, "seq": seq})
    content = record.model_dump_json().encode() + b"\n"
    path = folder / f"j.{number}{'.gz' * packed}"
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("moment", "index"),
    [(-1.0, 0), (0.5, 0), (1.0, 0), (1.01, 1), (2.5, 2), (9.0, 3)],
    ids=["before all", "first day", "midnight", "after midnight", "third day", "now"],
)
def test_what_happened_at_a_moment_is_in_the_journal_that_had_begun(
    tmp_path: Path, moment: float, index: int, packed: bool
) -> None:
    files = [journal(tmp_path, number, packed=packed) for number in range(4)]
    assert begin_with(files, day(0) + timedelta(days=moment)) == index


def test_the_beginning_of_the_run_is_looked_for_in_earlier_journals(tmp_path: Path) -> None:
    files = [journal(tmp_path, number, run="a" if number else "z", seq=number * 10 or 5) for number in range(4)]
    assert begin_with(files, day(3) + timedelta(hours=1)) == 0, "where the run before ended, it began"
    files[2] = journal(tmp_path, 2, run="a", seq=1)
    assert begin_with(files, day(3) + timedelta(hours=1)) == 2


def test_so_much_of_earlier_journals_is_read_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [journal(tmp_path, number, run="a", seq=number + 5) for number in range(4)]
    monkeypatch.setattr(choosing, "LOOK_BACK_BYTES", files[0].stat().st_size)
    assert begin_with(files, day(3) + timedelta(hours=1)) == 2
    packed = [journal(tmp_path, number, run="a", seq=number + 5, packed=True) for number in range(4)]
    monkeypatch.setattr(choosing, "LOOK_BACK_BYTES", packed[0].stat().st_size * 9)
    assert begin_with(packed, day(3) + timedelta(hours=1)) == 3


def test_a_journal_of_which_nothing_is_known_may_hold_it(tmp_path: Path) -> None:
    files = [journal(tmp_path, number) for number in range(4)]
    files[1].write_bytes(b"\x1f\x8bdamaged")
    assert begin_with(files, day(2) + timedelta(hours=1)) == 1
    assert begin_with(files, day(3) + timedelta(hours=1)) == 3


@pytest.mark.parametrize(
    "content", [b"", b"nonsense\n", b"[]\n", b'{"time":"2026-11-20T00:00:00"}\n', b"\x28\xb5\x2f\xfd"]
)
def test_a_file_that_is_no_journal_has_no_first_record(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert first_record(path) is None


def test_what_is_read_once_is_not_chosen_from(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    there = journal(tmp_path, 1)
    assert can_be_chosen([there, tmp_path / "missing"])
    assert not can_be_chosen([there, pipe])
    assert not can_be_chosen([STDIN])
    assert first_record(pipe) is None
    assert first_record(STDIN) is None


def test_what_may_not_be_looked_at_is_left_to_who_reads_it(tmp_path: Path) -> None:
    """A folder without permission, or, here where root may do anything, a name that is too long."""
    strange = tmp_path / ("x" * 300)
    assert can_be_chosen([strange])
    assert first_record(strange) is None
    assert begin_with([strange], day(1)) == 0
