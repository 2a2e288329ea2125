"""`elder-router tail` beside a real writer in another process, at the rate of a very busy hotline."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.terminal import on_terminal
from tests.unit.cli.tailed import RULES

PROGRAM = Path(sys.executable).with_name("elder-router")
CALLS_PER_S = 500
FOR_S = 4
ROTATE_BYTES = 400_000  # some ten times in that time
pytestmark = pytest.mark.timeout(120)


def writing(journal: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lab.paced_journal", str(journal), str(CALLS_PER_S), str(FOR_S), str(ROTATE_BYTES)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_500_decisions_a_second_come_once_each_and_in_order_across_rotations(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    command = [str(PROGRAM), "tail", "--journal", str(journal), "--json", "-n", "100000"]
    out = tmp_path / "out"
    with out.open("wb") as stream, subprocess.Popen(command, stdout=stream) as tail, writing(journal) as writer:
        said, _ = writer.communicate()
        calls, rotations = map(int, said.split())
        deadline_s = time.monotonic() + 20
        while out.read_bytes().count(b'{"event":"ended"') < calls and time.monotonic() < deadline_s:
            time.sleep(0.1)
        tail.kill()
    events = [json.loads(line) for line in out.read_bytes().splitlines()]
    told = [(event["event"], int(event["decision"]["uniqueid"].rpartition(".")[2])) for event in events]
    decided = [number for event, number in told if event == "decided"]
    ended = [number for event, number in told if event == "ended"]
    assert rotations > 5
    assert ended == list(range(calls))
    assert decided == sorted(set(decided))
    missing = set(range(calls)) - set(decided)
    assert len(missing) < calls / 2, "only those that had ended before it began have one line"


def test_a_terminal_keeps_up_and_has_every_call(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    (tmp_path / "routing.yaml").write_text(RULES)
    rules = str(tmp_path / "routing.yaml")
    command = [str(PROGRAM), "tail", "--journal", str(journal), "--rules", rules, "-n", "100000"]
    with on_terminal(command, columns=200, lines=40) as terminal, writing(journal) as writer:
        while writer.poll() is None:
            terminal.read(0.2)
        assert writer.stdout is not None
        calls, _ = map(int, writer.stdout.read().split())
        terminal.until(lambda shown: any(" 0 under way" in line for line in shown))
        every = [re.search(r"1790000000\.(\d+)", line) for line in terminal.above() + terminal.seen()]
        numbers = {int(match[1]) for match in every if match}
        assert numbers == set(range(calls))
        assert len(terminal.seen()) == 40
