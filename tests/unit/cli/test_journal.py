from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.journal.writer import JournalWriter
from tests.unit.journal.samples import decision, outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of three calls, in the order in which a router writes them, the last under way."""
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, run="5f0c21aa")
    for record in (decision("1.0"), decision("2.0"), outcome("1.0"), outcome("2.0"), decision("3.0")):
        writer.write(record)
    writer.close()
    return path


def verify(*words: str, code: int, given: bytes = b"", settings: Path | None = None) -> Result:
    before = ["--config", str(settings)] if settings else []
    result = CliRunner().invoke(main, [*before, "journal", "verify", *words], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


def test_a_whole_journal_is_said_to_be_whole_and_how_many_calls_are_under_way(path: Path) -> None:
    assert verify("--journal", str(path), code=0).stdout.splitlines() == [
        "1 file, 5 lines: 3 decisions, 2 outcomes; 2025-11-23T09:04:05Z to 2025-11-23T09:09:00Z",
        "1 call may be under way: decided lately, and not ended yet",
        "whole: nothing is missing, twice or unreadable, and each call has its outcome",
    ]


def test_what_is_wrong_is_told_by_file_and_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x1b[31mno record\n" + b"".join(lines[2:]))
    told = verify("--journal", str(path), code=1).stdout
    assert "\x1b" not in told
    lines_told = told.splitlines()
    assert lines_told[0].startswith(f"{path}:2: is no record: ")
    assert lines_told[1] == f"{path}:3: before this, 2 of the run 5f0c21aa is missing"
    assert lines_told[-1] == "not whole: is no record (1); records are missing (1)"


def test_the_settings_file_says_where_the_journal_is_and_all_that_was_rotated_away_is_read(path: Path) -> None:
    settings = path.with_name("elder-router.yaml")
    settings.write_text(
        "asterisk:\n  - {name: pbx1, secret_file: not-for-everyone}\n"
        "rules: routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
    )
    lines = path.read_bytes().splitlines(keepends=True)
    packed = path.with_name("journal.jsonl.20251123T160000Z.gz")
    packed.write_bytes(gzip.compress(b"".join(lines[:2])))
    path.write_bytes(b"".join(lines[2:]))
    found = json.loads(verify("--json", code=0, settings=settings).stdout)
    assert found["files"] == [str(packed), str(path)]
    assert (found["whole"], found["lines"], found["under_way"], found["missing"]) == (True, 5, 1, 0)
    packed.unlink()
    path.unlink()
    assert "has the router run yet?" in verify(code=2, settings=settings).stderr


def test_findings_as_json(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    found = json.loads(verify("--journal", str(path), "--json", code=1).stdout)
    assert found["whole"] is False
    assert found["missing"] == 1
    assert found["counts"] == {"missing": 1}
    assert found["findings"][0] == {
        "kind": "missing",
        "file": str(path),
        "line": 3,
        "what": "before this, 3 of the run 5f0c21aa is missing",
    }


def test_a_journal_may_come_through_a_pipe(path: Path) -> None:
    assert "whole" in verify("--journal", "-", code=0, given=path.read_bytes()).stdout
    assert "can be read once" in verify("--journal", "-", "-", code=2).stderr


def test_a_journal_that_cannot_be_read_is_another_matter_than_one_that_is_not_whole(path: Path) -> None:
    told = verify("--journal", str(path.with_name("none")), str(path), code=2).stdout
    assert "none: cannot be read: No such file" in told
    assert "5 lines" in told


def test_without_a_journal_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "where is the journal?" in verify(code=2).stderr


def test_only_a_span_is_told_of(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"no record\n")
    verify("--journal", str(path), "--since", "2025-11-23 10:00", code=0)
    verify("--journal", str(path), "--until", "2025-11-23 08:00", code=0)
    verify("--journal", str(path), "--since", "2025-11-23 08:00", code=1)
    assert "write a time like" in verify("--journal", str(path), "--since", "noon", code=2).stderr


def test_of_many_findings_the_first_are_shown_and_the_rest_counted(path: Path) -> None:
    path.write_bytes(b"no record\n" * 2000)
    told = verify("--journal", str(path), code=1).stdout.splitlines()
    assert len(told) == 53
    assert told[50] == "… and 1,950 more of which it is to be said: is no record"
    assert told[-1] == "not whole: is no record (2,000)"


def test_a_journal_that_may_not_be_looked_at_is_another_matter_than_one_that_is_not_there(path: Path) -> None:
    assert "Not a directory" in verify("--journal-file", str(path / "below"), code=2).stderr
    assert "has the router run yet?" in verify("--journal-file", str(path.with_name("other")), code=2).stderr
