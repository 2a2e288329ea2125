from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from router.cli.call_search import Found, look_for
from router.journal.records import Record
from router.journal.seeking import Sought
from router.journal.stream import STDIN
from tests.unit.journal.samples import DECISION, OUTCOME

AT = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
KEY = DECISION.caller_key
CALLER = Sought(caller_key=KEY, at=AT, within=timedelta(minutes=15))


def decided(hours: float, uniqueid: str, node: str = "pbx1", ask: int = 1) -> Record:
    at = AT + timedelta(hours=hours)
    return DECISION.model_copy(update={"time": at, "at": at, "uniqueid": uniqueid, "node": node, "ask": ask})


def ended(hours: float, uniqueid: str, node: str = "pbx1") -> Record:
    return OUTCOME.model_copy(update={"time": AT + timedelta(hours=hours), "uniqueid": uniqueid, "node": node})


def journal(folder: Path, name: str, *records: Record) -> Path:
    path = folder / name
    path.write_bytes(b"".join(record.model_dump_json().encode() + b"\n" for record in records))
    return path


def told(found: Found) -> list[tuple[str, int, int]]:
    """Of each call found: its Asterisk, how many decisions and how many outcomes."""
    return [(call.node, len(call.decisions), len(call.outcomes)) for call in found.calls]


@pytest.mark.parametrize("uniqueid", ["a-name-of-its-own", "1795573800.1"])
def test_a_call_over_midnight_is_found_in_both_journals(tmp_path: Path, uniqueid: str) -> None:
    files = [
        journal(tmp_path, "j.2", decided(-48, "other")),
        journal(tmp_path, "j.1", decided(-24, "other"), decided(0, uniqueid)),
        journal(tmp_path, "j", decided(0.1, "other"), ended(0.2, uniqueid)),
    ]
    assert told(look_for(Sought(uniqueid=uniqueid), files)) == [("pbx1", 1, 1)]


def test_a_call_whose_name_tells_another_time_is_found_all_the_same(tmp_path: Path) -> None:
    """The clock of that Asterisk is wrong by a day."""
    name = f"{int((AT + timedelta(hours=24)).timestamp())}.1"
    files = [
        journal(tmp_path, "j.1", decided(-1, "other"), decided(0, name), ended(0.1, name)),
        journal(tmp_path, "j", decided(23, "other")),
    ]
    assert told(look_for(Sought(uniqueid=name), files)) == [("pbx1", 1, 1)]


def test_standard_input_is_read_once_whatever_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = journal(tmp_path, "j", decided(0, "a-name-of-its-own"), ended(0.1, "a-name-of-its-own"))
    stdin = SimpleNamespace(buffer=io.BytesIO(path.read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert told(look_for(Sought(uniqueid="a-name-of-its-own"), [STDIN])) == [("pbx1", 1, 1)]


def test_the_beginning_of_a_transferred_call_is_that_of_its_own_asterisk(tmp_path: Path) -> None:
    name = f"{int(AT.timestamp()) - 7200}.1"
    path = journal(
        tmp_path,
        "j",
        decided(-2, name, "pbx2"),
        decided(-2, name, "pbx1"),
        ended(-1, name, "pbx2"),
        decided(0, name, "pbx1", ask=2),
        ended(0.1, name, "pbx1"),
    )
    found = look_for(CALLER, [path])
    assert told(found) == [("pbx1", 2, 1)]
    assert [len(minutes) for minutes in found.minutes] == [2]


def test_a_journal_without_it_is_no_reason_to_complain(tmp_path: Path) -> None:
    path = journal(tmp_path, "j", decided(0, "other"))
    found = look_for(Sought(uniqueid="1795573800.1"), [path])
    assert (found.calls, found.complaints, found.is_all) == ((), (), True)
