"""`explain --caller NUMBER --at TIME`: when it is about a call of the past, and which."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from router.cli.explain import explain
from router.journal.records import DecisionRecord, OutcomeRecord
from router.journal.seeking import MOST_CALLS

from .stories import AT, CALLER, OTHER, Centre, Lines, centre_in, decided, ended, fell_back, forgotten, named

SPAN = "no decision about a call of +86139****0001 within 15m of Wednesday 2026-11-25 10:30 CST is in"


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return centre_in(tmp_path)


def told(
    centre: Centre, *words: str, number: str = CALLER.e164, at: str = "2026-11-25 10:30", given: str = ""
) -> Result:
    options = [*centre.options(), "--caller", number, "--at", at, *words]
    return CliRunner().invoke(explain, options, input=given)


def call(centre: Centre, seconds: float, number: int, **changed: Any) -> list[DecisionRecord | OutcomeRecord]:  # noqa: ANN401
    """A call of the caller, so long after half past ten, answered."""
    at = AT - timedelta(seconds=15) + timedelta(seconds=seconds)
    return [
        decided(centre.book(), at, number=number, **changed),
        ended(named(at, number), at + timedelta(seconds=30), wait_s=float(number)),
    ]


def test_more_calls_than_are_told_are_not_counted_as_those_that_are(centre: Centre) -> None:
    lines = Lines().starts("aaaa0001", AT - timedelta(hours=1))
    for number in range(MOST_CALLS + 5):
        lines.add(*call(centre, float(number), number))
    centre.journal.write_bytes(lines.text())
    assert told(centre).stdout.startswith(f"{MOST_CALLS} calls or more are near that time; the nearest is told:")


def test_a_time_of_day_alone_is_today_in_the_rules_zone(centre: Centre) -> None:
    centre.journal.write_bytes(Lines().starts("aaaa0001", AT).text())
    today = datetime.now(ZoneInfo("Asia/Shanghai"))
    assert f"within 15m of {today:%A %Y-%m-%d} 00:00 CST is in" in told(centre, at="00:00").stderr


def test_the_callers_call_nearest_to_the_time_is_told_and_the_others_are_listed(centre: Centre) -> None:
    lines = Lines().starts("aaaa0001", AT - timedelta(hours=1))
    for seconds, number in ((-800, 1), (-60, 2), (100, 3), (1000, 4)):
        lines.add(*call(centre, seconds, number))
        lines.add(decided(centre.book(), AT, OTHER, number=90 + number))
    centre.journal.write_bytes(lines.text())
    result = told(centre)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:7] == [
        "3 calls are near that time; the nearest is told:",
        "   2026-11-25 10:16:40  1795573000.1  senior-care  answered by PJSIP/agent-7 after 1s",
        ">  2026-11-25 10:29:00  1795573740.2  senior-care  answered by PJSIP/agent-7 after 2s",
        "   2026-11-25 10:31:40  1795573900.3  senior-care  answered by PJSIP/agent-7 after 3s",
        "for another one of them: explain --call UNIQUEID",
        "",
        "call         1795573740.2 on pbx1, Wednesday 2026-11-25 10:29:00 CST",
    ]
    assert CALLER.e164 not in result.output
    one = told(centre, at="2026-11-25 10:46:40", number="139 0000 0001")
    assert one.stdout.startswith("2 calls are near that time")
    assert "call         1795574800.4 on pbx1" in one.stdout
    further = told(centre, "--within", "1h", "--json")
    story = json.loads(further.stdout)
    assert (story["kind"], len(story["others"])) == ("past", 3)
    assert story["decisions"][0]["around"]["calls"] == 1
    assert [other["outcomes"][0]["wait_s"] for other in story["others"]] == [3.0, 1.0, 4.0]


def test_the_number_is_read_from_standard_input(centre: Centre) -> None:
    centre.journal.write_bytes(Lines().add(*call(centre, 15, 7)).text())
    assert "1795573815.7 on pbx1" in told(centre, number="-", given="13900000001\n").stdout
    both = told(centre, "--journal", "-", number="-", given="13900000001\n")
    assert both.exit_code == 2
    assert "give only one of them on standard input" in " ".join(both.stderr.split())


def test_a_supposed_callers_number_is_read_from_standard_input(centre: Centre) -> None:
    result = told(centre, "--band", "adult", number="-", given="13900000001\n")
    assert result.stdout.split()[:5] == ["call", "supposed:", "nobody", "called", "caller"]
    assert "+86139****0001" in result.stdout


def test_a_call_that_is_not_there_is_said_so_with_what_to_do(centre: Centre) -> None:
    centre.journal.write_bytes(Lines().add(*call(centre, 1000, 7)).text())
    result = told(centre)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{SPAN} {centre.journal}",
        "look further with --within 2h; or, to ask where a supposed call of that time would go, give its --band too",
    ]


def test_a_caller_who_was_forgotten_is_not_found(centre: Centre) -> None:
    centre.journal.write_bytes(forgotten(Lines().add(*call(centre, 15, 7)).text()))
    assert told(centre).exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--band", "senior"),
        ("--called", "95519", "--band", "adult"),
        ("--band", "adult", "--queue", "people:waiting=1"),
    ],
)
def test_whatever_else_is_said_of_a_call_makes_it_a_supposed_one(centre: Centre, words: tuple[str, ...]) -> None:
    centre.journal.write_bytes(Lines().add(*call(centre, 15, 7)).text())
    result = told(centre, *words)
    assert result.exit_code == 0
    assert result.stdout.split()[:4] == ["call", "supposed:", "nobody", "called"]
    assert json.loads(told(centre, *words, "--json").stdout)["kind"] == "supposed"


def test_a_time_to_come_is_a_supposed_calls(centre: Centre) -> None:
    centre.journal.write_bytes(b"")
    result = told(centre, at="2099-11-25 10:30")
    assert "the registry cannot be asked without; name the band with --band" in result.stderr  # as of a supposed call
    wrong = told(centre, "--within", "1h", at="2099-11-25 10:30")
    assert wrong.exit_code == 2
    assert "that lies in the future, and --within is about the past" in wrong.stderr


def test_without_a_journal_it_is_a_supposed_call(centre: Centre) -> None:
    options = ["--rules", str(centre.rules), "--caller", CALLER.e164, "--at", "2026-11-25 10:30"]
    assert "name the band with --band" in CliRunner().invoke(explain, options).stderr
    asked = CliRunner().invoke(explain, [*options, "--within", "1h"])
    assert "where is the journal?" in asked.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--within", "2"), "2 has no unit"),
        (("--within", "8d"), "write a time of up to 7d"),
        (("--within", "0s"), "write a time of up to 7d"),
        (("--within", "1h", "--band", "adult"), "--within is about a call of the past, --band is given too"),
    ],
)
def test_what_cannot_be_looked_for_says_why(centre: Centre, words: tuple[str, ...], said: str) -> None:
    result = told(centre, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_without_the_key_no_caller_is_found_and_that_is_said(centre: Centre) -> None:
    centre.journal.write_bytes(Lines().add(*call(centre, 15, 7)).text())
    centre.secret.unlink()
    result = told(centre)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "callers.key" in result.stderr


def test_what_is_no_number_is_refused(centre: Centre) -> None:
    centre.journal.write_bytes(b"")
    result = told(centre, number="anonymous")
    assert result.exit_code == 2
    assert "this is no caller's number (withheld)" in " ".join(result.stderr.split())


def test_a_call_of_while_the_router_was_away_is_found_by_when_it_came_in(centre: Centre) -> None:
    lines = Lines().starts("aaaa0001", AT - timedelta(hours=1)).stops(AT - timedelta(seconds=40))
    back = AT + timedelta(hours=2)
    lines.starts("bbbb0002", back).add(fell_back(centre.book(), AT, back + timedelta(seconds=1)))
    centre.journal.write_bytes(lines.text())
    result = told(centre)
    assert result.exit_code == 0
    assert "Wednesday 2026-11-25 10:30:15 CST" in result.stdout
    assert "the router was away: stopped at 10:29:35, there again at 12:30:15" in result.stdout


def test_of_a_call_that_was_transferred_the_beginning_is_told_too(centre: Centre) -> None:
    first = AT - timedelta(hours=1)
    lines = Lines().add(decided(centre.book(), first, number=7))
    lines.add(decided(centre.book(), AT, uniqueid=named(first), ask=2), ended(named(first), AT + timedelta(60), ask=2))
    centre.journal.write_bytes(lines.text())
    told_of = json.loads(told(centre, "--json").stdout)
    assert [each["record"]["ask"] for each in told_of["decisions"]] == [1, 2]


def test_only_the_journals_of_that_time_are_read(centre: Centre) -> None:
    """Those before cannot hold it, and a damaged one among them is not complained of."""
    days = [AT - timedelta(days=back) for back in (3, 2, 1)]
    for number, day in enumerate(days):
        name = f"journal.jsonl.{day:%Y%m%dT000000Z}.gz"
        content = gzip.compress(Lines().add(decided(centre.book(), day, number=number)).text())
        centre.journal.with_name(name).write_bytes(content if number else content[:60] + bytes(60))
    centre.journal.write_bytes(Lines().add(*call(centre, 15, 7)).text())
    result = told(centre)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1795573815.7 on pbx1" in result.stdout
    yesterday = told(centre, at="2026-11-24 10:30")
    assert f"{named(days[2], 2)} on pbx1" in yesterday.stdout
