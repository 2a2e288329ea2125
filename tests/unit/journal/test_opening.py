from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from router.errors import JournalError
from router.journal import opening
from router.journal.opening import opened_at_once
from router.journal.reader import journal_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal, and a file that was rotated away from it."""
    path = tmp_path / "journal.jsonl"
    path.write_text("new")
    path.with_name("journal.jsonl.20261125T000000Z").write_text("old")
    return path


@pytest.fixture
def few_files() -> Iterator[None]:
    """So few open files are allowed that sixty are too many, unless somebody asks for more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def read_at_once(path: Path) -> list[str]:
    with ExitStack() as stack:
        return [stream.read().decode() for _, stream in opened_at_once(path, stack)]


def test_files_come_oldest_first(path: Path) -> None:
    assert read_at_once(path) == ["old", "new"]


def test_what_is_rotated_while_files_are_opened_is_there_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter((True,))

    def rotating(journal: Path) -> list[Path]:
        files = journal_files(journal)
        if next(looks, False):
            path.rename(path.with_name("journal.jsonl.20261126T000000Z"))
            path.write_text("newest")
        return files

    monkeypatch.setattr(opening, "journal_files", rotating)
    assert read_at_once(path) == ["old", "new", "newest"]


@pytest.mark.usefixtures("few_files")
def test_months_of_hourly_files_are_not_too_many(path: Path) -> None:
    for number in range(60):
        path.with_name(f"journal.jsonl.20261124T0000{number:02}Z").touch()
    assert len(read_at_once(path)) == 62


def test_a_file_that_cannot_be_opened_is_told_by_its_name(path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(JournalError, match=r"journal\.jsonl: cannot be read: Is a directory"):
        read_at_once(path)
