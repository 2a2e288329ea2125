"""The day so far is counted by another process: all of the day's files, none twice, none of this run's records."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.errors import JournalError
from router.journal import day_so_far as module
from router.journal import opening
from router.journal.day_so_far import EarlierRuns, count_into
from router.journal.reader import journal_files
from router.journal.records import Ending, Record
from router.journal.tally import Tally
from router.journal.writer import JournalWriter

from .test_tally import DAY, NOON, PROTECTED, WITHIN_S, begun, empty, over

THIS_RUN = "0000cafe"


def written(file: Path, records: Sequence[Record], run: str = "5f0c21aa") -> None:
    journal = JournalWriter(file, run=run)
    for record in records:
        assert journal.write(record)
    journal.close()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A day in four files, of which this run has written one record."""
    file = tmp_path / "journal.jsonl"
    days: list[tuple[str, list[Record]]] = [
        ("journal.jsonl.20261125T160000Z", [begun("0.0", NOON - timedelta(days=1)), begun("0.1", NOON)]),
        ("journal.jsonl.20261126T020000Z", [begun("1.0"), over("1.0"), begun("2.0")]),
        ("journal.jsonl.20261126T030000Z", [over("2.0", Ending.ABANDONED), begun("3.0")]),
    ]
    for name, records in days:
        written(tmp_path / name, records)
    packed = tmp_path / days[1][0]
    packed.with_name(packed.name + ".gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    written(file, [over("0.0"), over("0.1")])
    written(file, [over("3.0")], THIS_RUN)
    at_s = NOON.timestamp()
    for each in tmp_path.iterdir():
        os.utime(each, (at_s, at_s))
    return file


async def test_another_process_counts_the_whole_day_but_this_run(journal: Path) -> None:
    tally = await EarlierRuns(journal, THIS_RUN).counted(empty())
    counts = tally.of_all()
    assert (counts.calls, counts.answered, counts.abandoned, counts.under_way) == (4, 2, 1, 1)
    later = Tally(DAY, protected_now=PROTECTED, within_s=WITHIN_S, is_whole=False)
    later.take(over("3.0"))
    later.join(tally)
    assert (later.of_all().calls, later.of_all().answered, later.of_all().under_way) == (4, 3, 0)


async def test_of_no_journal_nothing_is_counted(tmp_path: Path) -> None:
    tally = await EarlierRuns(tmp_path / "journal.jsonl", THIS_RUN).counted(empty())
    assert tally.of_all().calls == 0


async def test_what_cannot_be_read_is_told(journal: Path) -> None:
    damaged = journal.with_name("journal.jsonl.20261126T020000Z.gz")
    content = bytearray(damaged.read_bytes())
    content[40:60] = bytes(20)
    damaged.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"):
        await EarlierRuns(journal, THIS_RUN).counted(empty())


async def test_a_file_that_ends_too_soon_counts_as_far_as_it_goes_and_is_told_of_by_its_name(journal: Path) -> None:
    (packed,) = journal.parent.glob("*.gz")
    packed.write_bytes(packed.read_bytes()[:-4])
    with capture_logs() as logs:
        tally = await EarlierRuns(journal, THIS_RUN).counted(empty())
    assert tally.of_all().calls == 4
    (line,) = logs
    assert line["event"] == "not all of the day so far counted"
    assert line["reason"].startswith(f"{packed}: its compressed data end too soon")


async def test_a_damaged_file_is_told_of_by_its_name(journal: Path) -> None:
    (packed,) = journal.parent.glob("*.gz")
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    packed.write_bytes(content)
    with pytest.raises(JournalError, match=f"^{re.escape(str(packed))}: its compressed data are damaged"):
        await EarlierRuns(journal, THIS_RUN).counted(empty())


async def test_a_count_that_takes_too_long_is_given_up_and_its_process_ended(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = journal.with_name("journal.jsonl.9")
    os.mkfifo(pipe)  # opening it waits for ever
    begun_processes: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def remembered(*words: str, **options: Any) -> asyncio.subprocess.Process:  # noqa: ANN401
        begun_processes.append(await start(*words, **options))
        return begun_processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remembered)
    with pytest.raises(JournalError, match="within 0 s"):
        await EarlierRuns(journal, THIS_RUN).counted(empty(), within_s=0.3)
    assert begun_processes[0].returncode == -9


async def test_a_process_that_breaks_is_told_of(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(JournalError, match="status 1"):
        await EarlierRuns(journal, THIS_RUN).counted(empty())


def test_files_from_long_before_the_day_are_not_read(journal: Path) -> None:
    old = journal.with_name("journal.jsonl.20261120T160000Z")
    written(old, [begun("8.0")])
    os.utime(old, (DAY.start_s - module.MARGIN_S - 1,) * 2)
    tally = empty()
    count_into(tally, journal, THIS_RUN)
    assert tally.of_all().calls == 4
    again = empty()
    written(journal, [begun("9.0", ask=2)])  # first decided in a file that is not read
    count_into(again, journal, THIS_RUN)
    assert again.of_all().calls == 4


def test_a_file_rotated_while_the_files_are_opened_is_neither_missed_nor_read_twice(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = journal_files
    turns = iter([True])

    def rotated_behind(path: Path) -> list[Path]:
        files = listed(path)
        if next(turns, False):
            journal.rename(journal.with_name("journal.jsonl.20261126T040000Z"))
            journal.touch()
        return files

    monkeypatch.setattr(opening, "journal_files", rotated_behind)
    tally = empty()
    count_into(tally, journal, THIS_RUN)
    assert (tally.of_all().calls, tally.of_all().answered) == (4, 2)


def test_lines_that_no_router_wrote_are_passed_over(journal: Path) -> None:
    lines = [{"record": "decision", "schema_version": 1}, {"record": "outcome", "schema_version": 1, "node": 3}]
    lines.append({"record": "decision", "schema_version": 1, "time": "x", "node": "a", "uniqueid": "b", "ask": "c"})
    with journal.open("a") as stream:
        stream.write("".join(json.dumps(line) + "\n" for line in lines) + "no json\n")
    tally = empty()
    count_into(tally, journal, THIS_RUN)
    assert tally.of_all().calls == 4


def test_it_runs_at_the_lowest_priority(journal: Path) -> None:
    code = (
        "import os, router.journal.day_so_far as m\n"
        "m.count_into = lambda *_: print(os.getpriority(os.PRIO_PROCESS, 0))\n"
        f"m._answer({json.dumps({'journal': str(journal), 'run': '', 'into': empty().as_fields()})!r}.encode())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "19"
