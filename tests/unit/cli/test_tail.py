from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.cli.tail_filters import since_given
from router.journal.hashing import caller_key
from router.journal.records import Ending
from tests.unit.cli.tailed import RULES, condition, decided, ended, promotion, write

PROGRAM = Path(sys.executable).with_name("elder-router")
DEADLINE_S = 20
CALLS = (
    decided(1),
    decided(2, "adult"),
    decided(3, "senior"),
    decided(4, None),
    ended(2, Ending.SELF_SERVED),
    decided(5, "elder", fallback="deadline", applied=False, rule="", target="people", queue="agents"),
    ended(1),
    ended(3, Ending.ABANDONED, wait_s=131.0),
)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "routing.yaml"
    file.write_text(RULES)
    return file


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def tail(journal: Path, *words: str, **options: Any) -> Result:  # noqa: ANN401
    rules = journal.with_name("routing.yaml")
    command = ["tail", "--journal", str(journal), "--rules", str(rules), "--no-follow", *words]
    return CliRunner().invoke(main, command, **options)


def lines(journal: Path, *words: str) -> list[str]:
    result = tail(journal, *words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def uniqueids(journal: Path, *words: str) -> list[str]:
    events = [json.loads(line) for line in lines(journal, "--json", *words)]
    return [event["decision"]["uniqueid"].removesuffix(".0") for event in events if "decision" in event]


def test_each_call_of_the_past_is_one_aligned_line_in_the_order_of_the_decisions(journal: Path, rules: Path) -> None:
    assert rules.exists()
    write(journal, *CALLS)
    assert lines(journal) == [
        "2025-11-26 09:00:01  +86139****0001  elder*    seniors reach a person  senior-care                unhurried"
        "     1.8  1.0                         answered after 12 s by PJSIP/1001",
        "2025-11-26 09:00:02  +86139****0001  adult     everyone else           assistant                  standard "
        "     1.8  2.0                         self-served",
        "2025-11-26 09:00:03  +86139****0001  senior*   seniors reach a person  senior-care                unhurried"
        "     1.8  3.0                         abandoned after 2 min 11 s",
        "2025-11-26 09:00:04  +86139****0001  unknown   everyone else           assistant                  standard "
        "     1.8  4.0                         under way",
        "2025-11-26 09:00:05  +86139****0001  elder*    ! fallback: deadline    people                     unhurried"
        "     1.8  5.0                         under way",
    ]


def test_without_rules_times_are_in_utc_and_columns_as_wide_as_usual(journal: Path) -> None:
    write(journal, decided(1))
    assert lines(journal)[0].startswith("2025-11-26 01:00:01  +86139****0001  elder*    seniors reach a person   ")


def test_rules_that_are_wrong_are_said_to_be_and_calls_are_shown(journal: Path, rules: Path) -> None:
    rules.write_text("timezone: [")
    write(journal, decided(1))
    result = tail(journal)
    assert result.exit_code == 0
    assert result.stderr.startswith("the rules are wrong; times are in UTC: ")
    assert "2025-11-26 01:00:01" in result.stdout


@pytest.mark.usefixtures("rules")
def test_every_ending_has_its_words(journal: Path) -> None:
    write(journal, *(decided(number) for number in range(1, 9)))
    write(journal, ended(1, answered_by=""), ended(2, Ending.ABANDONED), ended(3, Ending.SELF_SERVED))
    write(journal, ended(4, Ending.HUNG_UP_EARLY), ended(5, Ending.UNSEEN), ended(6, queue="agents"))
    write(journal, decided(7, ask=2, target="people"))
    write(journal, ended(8, Ending.ABANDONED, wait_s=None))
    shown = [line.split("1.8  ")[1].split(maxsplit=1)[1] for line in lines(journal)]
    assert shown == [
        "answered after 12 s",
        "abandoned after 12 s",
        "self-served",
        "hung up early",
        "end unseen",
        "answered after 12 s by PJSIP/1001",
        "under way, then to people",
        "abandoned",
    ]
    assert "senior-care > agents" in lines(journal)[5], "where it was answered, if that is elsewhere"


@pytest.mark.usefixtures("rules")
def test_what_is_wrong_is_said_with_a_sign(journal: Path) -> None:
    write(journal, decided(1, applied=False, not_applied_why="Asterisk refused X: no such channel"))
    write(journal, condition(2), condition(3, state="ended", why=""), promotion(4, 1))
    write(journal, promotion(5, 1, done=False, not_done_why="left the queue", to_position=None, why=""))
    call, *others = lines(journal)
    assert "! not applied: Asterisk refused X: no such channel" in call
    assert others == [
        "2025-11-26 09:00:02  ! began: asterisk not linked (pbx1): the connection was lost",
        "2025-11-26 09:00:03  over: asterisk not linked (pbx1)",
        "2025-11-26 09:00:04  promoted: call 1.0 in senior-care from place 5 to 1, by alice: calls for the third time",
        "2025-11-26 09:00:05  ! not promoted (left the queue): call 1.0 in senior-care from place 5, by alice",
    ]


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--band elder", "15"),
        ("--band senior --band unknown", "34"),
        ("--outcome answered", "1"),
        ("--outcome self-served --outcome abandoned", "23"),
        ("--outcome under_way", "45"),
        ("--outcome fallback", "5"),
        ("--outcome fallback --outcome answered", "15"),
        ("--band elder --outcome under_way", "5"),
        ("--outcome unseen", ""),
        ("--queue agents", "5"),
        ("--queue senior-care", "13"),
        ("--node pbx1", "12345"),
        ("--node pbx2", ""),
        ("-n 2", "45"),
        ("-n 0", ""),
        ("-n 1 --outcome answered", "1"),
    ],
)
def test_filters_must_all_hold(journal: Path, words: str, shown: str) -> None:
    write(journal, *CALLS)
    assert "".join(uniqueids(journal, *words.split())) == shown


@pytest.mark.usefixtures("rules")
def test_rules_are_asked_for_by_their_names(journal: Path) -> None:
    write(journal, *CALLS)
    assert uniqueids(journal, "--rule", "seniors reach a person") == ["1", "3"]


@pytest.mark.usefixtures("rules")
def test_a_call_that_ended_in_another_queue_is_found_by_either(journal: Path) -> None:
    write(journal, decided(1), ended(1, queue="agents"))
    assert uniqueids(journal, "--queue", "agents") == uniqueids(journal, "--queue", "senior-care") == ["1"]


@pytest.mark.usefixtures("rules")
def test_conditions_are_shown_whatever_calls_are_asked_for_but_those_of_another_asterisk(journal: Path) -> None:
    write(journal, decided(1, "adult"), condition(2), condition(3, node="pbx2"), condition(4, node=""), promotion(5, 1))
    assert [line[19:39] for line in lines(journal, "--band", "elder", "--node", "pbx1")] == ["  ! began: asterisk "] * 2


@pytest.mark.usefixtures("rules")
def test_names_that_the_rules_do_not_have_are_doubted_and_looked_for_all_the_same(journal: Path) -> None:
    write(journal, decided(1, rule="the old rule"))
    result = tail(journal, "--band", "eldr", "--rule", "the old rule", "--queue", "agent")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        '--band: the rules in force have no age band "eldr"; did you mean `elder`?',
        '--rule: the rules in force have no rule "the old rule"; they have everyone else, seniors reach a person',
        '--queue: the rules in force have no queue "agent"; did you mean `agents`?',
    ]
    assert uniqueids(journal, "--rule", "the old rule") == ["1"]


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("written", ["+8613900000001", "139 0000 0001", "008613900000001", "-"])
def test_a_caller_is_found_by_the_number_though_none_is_stored(journal: Path, written: str) -> None:
    secret = journal.with_name("callers.key")
    secret.write_bytes(b"k" * 32)
    secret.chmod(0o600)
    key = caller_key(b"k" * 32, "+8613900000001")
    write(journal, decided(1), decided(2, caller_key=key), ended(2))
    assert b"3900000001" not in journal.read_bytes()
    result = tail(journal, "--caller", written, "--secret-file", str(secret), "--json", input="+8613900000001\n")
    (event,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (event["event"], event["decision"]["uniqueid"]) == ("ended", "2.0")


def test_what_is_no_number_and_a_missing_key_are_refused_with_what_to_do(journal: Path) -> None:
    write(journal, decided(1))
    result = tail(journal, "--caller", "abc")
    assert (result.exit_code, result.stderr) == (2, "abc is no telephone number; write it like +8613900000001\n")
    result = tail(journal, "--caller", "+8613900000001")
    assert result.exit_code == 2
    assert "name the file with the key by --secret-file" in result.stderr


@pytest.mark.usefixtures("rules")
def test_since_shows_all_calls_decided_from_then_on(journal: Path) -> None:
    write(journal, *(decided(number) for number in range(60)), ended(1))
    assert uniqueids(journal, "--since", "2025-11-26 09:00:30") == [str(number) for number in range(30, 60)]
    assert uniqueids(journal, "--since", "2025-11-26T01:00:58+00:00") == ["58", "59"]
    assert uniqueids(journal, "--since", "2025-11-26 09:00", "-n", "2") == ["58", "59"]


ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2025, 11, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("09:00", NOW - timedelta(minutes=30)),
        ("2025-11-25 09:00", NOW - timedelta(days=1, minutes=30)),
        ("22:00", datetime(2025, 11, 25, 22, tzinfo=ZONE)),
        ("2025-11-26 22:00", datetime(2025, 11, 26, 22, tzinfo=ZONE)),
        ("2025-11-25", datetime(2025, 11, 25, tzinfo=ZONE)),
        ("2025-11-26T01:00:00+00:00", NOW - timedelta(minutes=30)),
    ],
)
def test_since_is_so_long_ago_or_a_time_of_day_when_it_was_last_or_a_whole_time(text: str, moment: datetime) -> None:
    assert since_given(text, ZONE, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "30", "25:00", "", "99999d", "1999-01-01"])
def test_since_that_is_no_time_says_how_to_write_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write"):
        since_given(text, ZONE, NOW)


@pytest.mark.usefixtures("rules")
def test_json_has_the_decision_and_the_outcome_of_a_call_together(journal: Path) -> None:
    write(journal, decided(1), ended(1), decided(2), condition(3), promotion(4, 2))
    first, second, third, fourth = [json.loads(line) for line in lines(journal, "--json")]
    assert first == {
        "event": "ended",
        "decision": json.loads(decided(1).model_dump_json()),
        "outcome": json.loads(ended(1).model_dump_json()),
    }
    assert second == {"event": "decided", "decision": json.loads(decided(2).model_dump_json())}
    assert third == {"event": "condition", "condition": json.loads(condition(3).model_dump_json())}
    assert fourth == {"event": "promotion", "promotion": json.loads(promotion(4, 2).model_dump_json())}


HOSTILE = "\x1b]0;owned\x07\u202eab\u2028"


@pytest.mark.usefixtures("rules")
def test_nothing_that_a_terminal_would_obey_comes_out(journal: Path) -> None:
    call = decided(1, HOSTILE, rule=HOSTILE, target=HOSTILE, speech=HOSTILE, caller=HOSTILE)
    write(journal, call, ended(1, answered_by=HOSTILE, queue=HOSTILE), condition(2, what="x", why=HOSTILE))
    write(journal, promotion(3, 1, why=HOSTILE, by=HOSTILE))
    for words in ((), ("--json",)):
        out = tail(journal, *words).stdout
        assert out.replace("\n", "").isprintable()
        assert "\\u001b]0;owned\\u0007\\u202eab\\u2028" in out
    first = json.loads(lines(journal, "--json")[0])
    assert first["decision"]["rule"] == HOSTILE, "what reads JSON gets the text as it is"


@pytest.mark.usefixtures("rules")
def test_lines_that_are_no_records_are_told_of_once(journal: Path) -> None:
    write(journal, b"{}", decided(1), b"[]", b"\xff\xfe", b'{"record":"decision"}')
    result = tail(journal)
    assert len(result.stdout.splitlines()) == 1
    (complaint,) = result.stderr.splitlines()
    assert complaint.startswith("a line of the journal is no record and is passed over: ")


@pytest.mark.usefixtures("rules")
def test_compressed_older_files_are_read(journal: Path) -> None:
    write(journal, *(decided(number) for number in range(3)))
    packed = journal.with_name("journal.jsonl.20251126T010100Z.gz")
    packed.write_bytes(gzip.compress(journal.read_bytes()))
    journal.unlink()
    write(journal, ended(1), decided(3))
    assert uniqueids(journal, "--since", "2025-11-26 09:00") == ["0", "1", "2", "3"]
    assert uniqueids(journal, "--since", "2025-11-26 09:00", "--outcome", "answered") == ["1"]


def test_a_journal_that_is_not_there_is_an_error_where_nothing_is_waited_for(journal: Path) -> None:
    result = tail(journal)
    assert (result.exit_code, result.stderr) == (2, f"{journal}: there is no journal; it begins with the first call\n")


def test_a_journal_that_may_not_be_looked_at_is_said_to_be(journal: Path) -> None:
    write(journal, decided(1))
    result = tail(journal / "below")
    assert (result.exit_code, result.stderr) == (2, f"{journal}/below: cannot be read: Not a directory\n")


def test_without_a_journal_named_it_is_said_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["tail", "--no-follow"])
    assert result.exit_code == 2
    assert "name it with --journal, or the settings file with --config" in result.stderr


@contextmanager
def followed(journal: Path, *words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:  # noqa: ANN401
    rules = journal.with_name("routing.yaml")
    command = [str(PROGRAM), "tail", "--journal", str(journal), "--rules", str(rules), *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(stream: IO[str] | None) -> str:
    """The next line; an empty one at the end. The test's own time limit is the deadline."""
    assert stream is not None
    return stream.readline().rstrip("\n")


@pytest.mark.usefixtures("rules")
@pytest.mark.timeout(DEADLINE_S)
def test_in_a_pipe_a_call_is_a_line_when_decided_and_one_when_ended(journal: Path) -> None:
    write(journal, decided(1), decided(2), ended(1))
    with followed(journal) as process:
        assert line_of(process.stdout).endswith("answered after 12 s by PJSIP/1001")
        assert line_of(process.stdout).endswith("2.0                         under way")
        write(journal, ended(2, Ending.ABANDONED), decided(3))
        assert line_of(process.stdout).endswith("2.0                         abandoned after 12 s")
        assert line_of(process.stdout).endswith("3.0                         under way")
        journal.rename(journal.with_name("journal.jsonl.1"))
        write(journal, ended(3))
        assert line_of(process.stdout).endswith("3.0                         answered after 12 s by PJSIP/1001")


@pytest.mark.usefixtures("rules")
@pytest.mark.timeout(DEADLINE_S)
def test_json_of_what_happens_has_the_decision_first_and_then_both(journal: Path) -> None:
    with followed(journal, "--json") as process:
        assert line_of(process.stderr) == f"{journal}: there is no journal yet; waiting for it"
        write(journal, decided(1))
        assert json.loads(line_of(process.stdout))["event"] == "decided"
        write(journal, decided(1, ask=2), ended(1))
        again, end = json.loads(line_of(process.stdout)), json.loads(line_of(process.stdout))
        assert (again["event"], again["decision"]["ask"]) == ("decided", 2)
        assert (end["event"], end["decision"]["ask"], end["outcome"]["ended"]) == ("ended", 1, "answered")


@pytest.mark.usefixtures("rules")
@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_it_without_a_word(journal: Path, number: signal.Signals, status: int) -> None:
    write(journal, decided(1))
    with followed(journal) as process:
        line_of(process.stdout)
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE_S)
        assert (out, err, process.returncode) == ("", "", status)


@pytest.mark.usefixtures("rules")
@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.parametrize("is_busy", [True, False])
def test_it_ends_quietly_when_nobody_reads_any_more(journal: Path, is_busy: bool) -> None:
    write(journal, *(decided(number) for number in range(2_000 if is_busy else 1)))
    with followed(journal, "-n", "2000") as process:
        line_of(process.stdout)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=DEADLINE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_full_disk_ends_it_with_a_sentence(journal: Path, words: list[str]) -> None:
    write(journal, decided(1))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "tail", "--journal", journal, "--no-follow", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "what is shown cannot be written: No space left on device\n")


@pytest.mark.timeout(DEADLINE_S)
def test_a_journal_that_may_not_be_read_ends_it_with_what_to_do(journal: Path) -> None:
    journal.mkdir()
    write(journal / "x", decided(1))
    with followed(journal) as process:
        assert process.wait(timeout=DEADLINE_S) == 2
        assert line_of(process.stderr) == f"{journal}: is no file; name the journal itself"


@pytest.mark.usefixtures("rules")
@pytest.mark.timeout(60)
def test_of_a_large_past_each_call_comes_once(journal: Path) -> None:
    calls = 5_000
    for number in range(calls):
        write(journal, decided(number))
    for number in range(0, calls, 2):
        write(journal, ended(number))
    began = time.monotonic()
    found = uniqueids(journal, "--since", "2025-11-26 09:00")
    assert found == [str(number) for number in range(calls)]
    assert time.monotonic() - began < DEADLINE_S
