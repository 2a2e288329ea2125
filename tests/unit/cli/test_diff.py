from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.errors import HistoryError
from router.journal.hashing import caller_key
from router.reloading.history import RulesHistory
from router.rules.book import load_rules
from tests.unit.journal.samples import OUTCOME
from tests.unit.journal.test_difference import ASSISTANT, CARE, recorded

PROGRAM = Path(sys.executable).with_name("elder-router")
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
OLD = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
rules:
  - {name: seniors, when: {age_band: senior}, then: {to: care, head_start: 5m, speech: unhurried}}
  - {name: rest, then: {to: assistant}}
fallback: {to: people}
"""
PASSED = (
    "no protected caller (senior) loses a person, a head start or an overflow or waits longer for it, and no others "
    "join their queue or get further ahead of them. How busy a queue is, is not judged."
)
UNPROTECTED = OLD.replace("protected: [senior]", "protected: []").replace("to: care, head_start: 5m", "to: assistant")


class Place:
    """A folder with a settings file, the rules in force and their history, the journal and its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "elder-router.yaml"
        self.settings.write_text(
            "asterisk:\n  - {name: pbx1, secret_file: not-for-everyone}\nrules: routing.yaml\n"
            "rules_history: history\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
        )
        self.rules = self.write("routing.yaml", OLD)
        self.version = load_rules(self.rules).version
        self.key = folder / "callers.key"
        self.key.write_bytes(b"k" * 32)
        self.key.chmod(0o600)
        self.history = RulesHistory(folder / "history")
        self.journal = folder / "journal.jsonl"
        self.record(2, 3)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def new(self, text: str) -> Path:
        return self.write("new.yaml", text)

    def line(self, number: int, kind: dict[str, Any], **more: object) -> bytes:
        moment = (AT + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
        e164 = f"+861390000{number:04d}"
        fields = {
            "uniqueid": f"179000000{number}.{number}",
            "at": moment,
            "caller": f"+86139****{number:04d}",
            "caller_key": caller_key(b"k" * 32, e164),
            "rules_version": self.version,
            **more,
        }
        return orjson.dumps(recorded(kind, fields)) + b"\n"

    def record(self, seniors: int, adults: int, **more: object) -> bytes:
        """Write a journal of so many calls, an outcome after each."""
        outcome = orjson.dumps(OUTCOME.model_dump(mode="json")) + b"\n"
        kinds = [CARE] * seniors + [ASSISTANT] * adults
        content = b"".join(self.line(number, kind, **more) + outcome for number, kind in enumerate(kinds))
        self.journal.write_bytes(content)
        return content

    def diff(self, *words: str | Path, stdin: bytes | None = None) -> Result:
        arguments = ["--config", str(self.settings), "diff", *map(str, words)]
        return CliRunner(env={"COLUMNS": "100"}).invoke(main, arguments, input=stdin)

    def plain(self, result: Result) -> list[str]:
        return self.without_folder(result.stdout)

    def said(self, result: Result) -> list[str]:
        return self.without_folder(result.stderr)

    def without_folder(self, text: str) -> list[str]:
        return text.replace(f"{self.folder}/", "").splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def replaced(*pairs: tuple[str, str], text: str = OLD) -> str:
    for old, new in pairs:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_the_same_rules_route_nobody_differently(place: Place) -> None:
    result = place.diff(place.rules)
    assert (result.exit_code, result.stderr) == (0, "")
    assert place.plain(result) == [
        f"new rules           routing.yaml, version {place.version}",
        f"decided by          version {place.version}",
        "journal             journal.jsonl",
        "made                2026-03-02 09:00:00 to 2026-03-02 09:00:04 CST",
        "compared            5 decisions",
        "routed differently  0 (0.00%)",
        "",
        "age band            decisions  routed differently",
        "adult                       3                   0",
        "senior (protected)          2                   0",
        "",
        f"GATE: passed: {PASSED}",
    ]


def test_who_would_be_routed_differently_is_shown_and_the_gate_closes(place: Place) -> None:
    new = place.new(
        replaced(
            ("{to: care, head_start: 5m", "{to: care, head_start: 3m"),
            ("{name: rest, then: {to: assistant}}", "{name: '[b]rest[/b]', then: {to: people, agent_label: new}}"),
            ("  assistant: {context: router-assistant}\n", ""),
        )
    )
    result = place.diff(new, "--examples", "1")
    assert (result.exit_code, result.stderr) == (3, "")
    assert place.plain(result) == [
        f"new rules           new.yaml, version {load_rules(new).version}",
        f"decided by          version {place.version}",
        "journal             journal.jsonl",
        "made                2026-03-02 09:00:00 to 2026-03-02 09:00:04 CST",
        "compared            5 decisions",
        "routed differently  5 (100.00%)",
        "",
        "age band            decisions  routed differently",
        "adult                       3                   3  100.00%",
        "senior (protected)          2                   2  100.00%",
        "",
        "From → to, most decisions first:",
        "",
        "        3  assistant (context router-assistant, no agent label)",
        "           → people (queue agents, head start 0s, agent label new)",
        "           like  2026-03-02 09:00:02  +86139****0002 (adult) called 95500, call 1790000002.2 on pbx1",
        '                 "rest" → "[b]rest[/b]"',
        "",
        "        2  care (head start 5m)",
        "           → care (head start 3m)",
        "           like  2026-03-02 09:00:00  +86139****0000 (senior) called 95500, call 1790000000.0 on pbx1",
        '                 "seniors"',
        "",
        "GATE: not passed: 2 decisions leave protected callers (senior) worse off:",
        "",
        "  waits behind: a smaller head start",
        "        2  senior: queue senior-care (head start 5m, overflow after 1m to agents) → queue senior-care (head "
        "start 3m, overflow after 1m to agents); no others before, no others now",
        "           like  2026-03-02 09:00:00  +86139****0000 (senior) called 95500, call 1790000000.0 on pbx1",
        '                 "seniors"',
    ]


def test_others_ahead_close_the_gate_for_those_whose_own_route_is_the_same(place: Place) -> None:
    new = place.new(
        replaced(
            ("{name: rest, then: {to: assistant}}", "{name: rest, then: {to: care, head_start: 10m}}"),
            ("  assistant: {context: router-assistant}\n", ""),
        )
    )
    result = place.diff(new, "--examples", "0")
    assert result.exit_code == 3
    assert place.plain(result)[-4:] == [
        "GATE: not passed: 2 decisions leave protected callers (senior) worse off:",
        "",
        "  waits behind: others join their queue",
        "        2  senior: queue senior-care (head start 5m, overflow after 1m to agents); no others before, "
        "up to 5m behind others now",
    ]


def test_a_smaller_head_start_that_is_still_the_largest_is_told_to_be(place: Place) -> None:
    others = ("{name: rest, then: {to: assistant}}", "{name: rest, then: {to: care}}")
    place.rules.write_text(replaced(others))
    place.version = load_rules(place.rules).version
    lines = [place.line(1, CARE), place.line(2, CARE, age_band="adult", rule="rest", head_start_s=0)]
    place.journal.write_bytes(b"".join(lines))
    result = place.diff(place.new(replaced(others, ("head_start: 5m", "head_start: 4m"))), "--examples", "0")
    assert result.exit_code == 3
    assert place.plain(result)[-1].endswith(
        "; 5m ahead of all others before, 4m ahead of all others now, though ahead of all others still"
    )


def test_bands_that_only_the_rules_in_force_protect_are_protected(place: Place) -> None:
    result = place.diff(place.new(UNPROTECTED), "--examples", "0")
    assert result.exit_code == 3
    assert place.plain(result)[-3:] == [
        "",
        "  loses a person",
        "        2  senior: queue senior-care (head start 5m, overflow after 1m to agents) → context router-assistant",
    ]


def test_bands_that_only_earlier_rules_protected_are_protected_too(place: Place) -> None:
    place.history.record(load_rules(place.rules), AT)
    place.write("routing.yaml", UNPROTECTED)
    result = place.diff(place.new(UNPROTECTED))
    assert result.exit_code == 3
    assert "To know:" not in result.stdout


def test_where_the_rules_of_that_time_are_not_kept_that_is_told_and_every_band_counts(place: Place) -> None:
    place.write("routing.yaml", UNPROTECTED)
    result = place.diff(place.new(UNPROTECTED), "--examples", "0")
    assert result.exit_code == 3
    assert place.plain(result)[-7:] == [
        "To know:",
        f"  - the rules of version {place.version} are not to be had, so that it is not known which age bands they "
        "protected: name them by --rules, or where they are kept by --history. Until then, every age band counts as "
        "protected",
        "",
        "GATE: not passed: 2 decisions leave protected callers (adult, senior) worse off:",
        "",
        "  loses a person",
        "        2  senior: queue senior-care (head start 5m, overflow after 1m to agents) → context router-assistant",
    ]
    others = place.diff(place.new(replaced(("then: {to: assistant}", "then: {to: care, head_start: 9m}"))))
    assert "  waits behind: others join their queue" in place.plain(others), "adults are others while nobody knows"
    gone = place.diff(place.new(UNPROTECTED.replace("senior", "aged")), "--examples", "0")
    assert gone.exit_code == 3
    assert "GATE: not passed: 2 decisions leave protected callers (adult, senior) worse off:" in gone.stdout
    assert (
        "  - 2 decisions are of the age band `senior`, which the new rules do not define: they count as of unknown "
        "age, as the router takes them"
    ) in place.plain(gone)


def test_rules_in_force_that_are_wrong_are_told_of(place: Place) -> None:
    place.rules.write_text("nonsense: 1\n")
    result = place.diff(place.new(OLD))
    assert result.exit_code == 0
    assert "  - the rules in force are wrong and were not looked at: routing.yaml:1:1: error: " in "\n".join(
        place.plain(result)
    )


def test_a_history_that_may_not_be_read_is_told_of(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> RulesHistory:
        raise HistoryError(f"{folder} cannot be read: Permission denied")

    monkeypatch.setattr(sys.modules["router.cli.diff"], "history_in", refuse)
    place.write("routing.yaml", UNPROTECTED)
    assert "  - the history of the rules was not looked at: history cannot be read: Permission denied" in place.plain(
        place.diff(place.new(UNPROTECTED))
    )


def test_no_age_band_protected_is_told(place: Place) -> None:
    place.rules.write_text(UNPROTECTED)
    place.version = load_rules(place.rules).version
    place.record(2, 3)
    result = place.diff(place.rules)
    assert result.exit_code == 0
    assert (
        "GATE: no age band is protected, neither by the new rules nor by the old ones that are known."
    ) in place.plain(result)


def test_what_the_gate_leaves_to_people_is_told(place: Place) -> None:
    elder = replaced(
        ("{name: senior, from: 60}]", "{name: senior, from: 60}, {name: elder, from: 75}]"),
        ("protected: [senior]", "protected: [senior, elder]"),
        (
            "  - {name: rest,",
            "  - {name: elders, when: {age_band: elder}, then: {to: care, head_start: 8m}}\n  - {name: rest,",
        ),
    )
    place.rules.write_text(elder)
    place.version = load_rules(place.rules).version
    elders = {"age_band": "elder", "rule": "elders", "head_start_s": 480, "speech": "standard"}
    with place.journal.open("wb") as stream:
        stream.writelines(
            [place.line(1, CARE), place.line(2, CARE), place.line(3, CARE, channel_language="zh", **elders)]
        )
    new = place.new(replaced(("head_start: 8m", "head_start: 2h"), (", speech: unhurried", ""), text=elder))
    result = place.diff(new)
    assert result.exit_code == 0
    assert place.plain(result)[-5:-1] == [
        "To know:",
        "  - 2 decisions of `senior` would have callers of other protected age bands further ahead of them in the "
        "queue senior-care; the gate leaves that to you",
        "  - 2 decisions of protected callers would be spoken to faster; the gate leaves that to you",
        "",
    ]
    gate = json.loads(place.diff(new, "--json").stdout)["gate"]
    assert gate["outranked"] == [{"band": "senior", "queue": "senior-care", "calls": 2}]
    assert (gate["passed"], gate["spoken_to_faster"]) == (True, 2)


def test_a_profile_that_is_spoken_faster_is_told_of_although_its_name_is_the_same(place: Place) -> None:
    result = place.diff(place.new(replaced(("{rate: 0.85}", "{rate: 0.95}"))))
    assert "routed differently  0 (0.00%)" in place.plain(result)
    assert (
        "  - 2 decisions of protected callers would be spoken to faster; the gate leaves that to you"
    ) in place.plain(result)


def test_a_gate_that_cannot_see_protected_callers_is_not_passed(place: Place) -> None:
    place.record(0, 3)
    with place.journal.open("ab") as stream:
        stream.writelines([place.line(7, CARE, at="x"), place.line(8, CARE, at="x")])
    result = place.diff(place.rules)
    assert result.exit_code == 2
    assert place.plain(result)[-1] == (
        "GATE: cannot be told (senior): 2 decisions of protected callers could not be put to the new rules."
    )
    gate = json.loads(place.diff(place.rules, "--json").stdout)["gate"]
    assert (gate["passed"], gate["cannot_be_told"]) == (
        False,
        "2 decisions of protected callers could not be put to the new rules",
    )
    place.record(0, 3)
    with place.journal.open("ab") as stream:
        stream.writelines([place.line(7, ASSISTANT, at="x")])  # nobody protected
    assert place.diff(place.rules).exit_code == 0
    place.rules.write_text(UNPROTECTED)
    place.version = load_rules(place.rules).version
    place.record(0, 3)
    with place.journal.open("ab") as stream:
        stream.writelines([place.line(7, CARE, at="x"), b"nonsense\n", place.line(8, CARE, schema_version="\x1b[2J")])
    result = place.diff(place.rules)
    assert result.exit_code == 0, "nobody is protected"
    assert "has the schema_version \\u001b[2J; here 1 is read" in result.stderr


def test_damaged_lines_speak_against_the_gate_where_they_are_more_than_a_hundredth(place: Place) -> None:
    lines = [place.line(number % 9, CARE) for number in range(99)]
    place.journal.write_bytes(b"".join([*lines, b"nonsense\n"]))
    assert place.diff(place.rules).exit_code == 0
    place.journal.write_bytes(b"".join([*lines[1:], b"nonsense\n"]))
    result = place.diff(place.rules)
    assert result.exit_code == 2
    assert place.plain(result)[-1] == (
        "GATE: cannot be told (senior): 1 of 99 lines are no records, and whose they were is not known."
    )


def test_what_the_records_do_not_tell_is_told(place: Place) -> None:
    new = place.new(
        replaced(
            ("rules:\n", "rules:\n  - {name: again, when: {repeat: {calls: 3, within: 24h}}, then: {to: people}}\n"),
        )
    )
    result = place.diff(new)
    assert result.exit_code == 0
    assert (
        "  - `repeat`: the new rules ask for how often a caller has called, which 5 decisions do not tell; taken as "
        "not matching"
    ) in place.plain(result)
    assert place.plain(result)[-1] == (
        "GATE: passed, as far as 0 of 2 decisions of protected callers, 0 of 3 decisions of others tell: " + PASSED
    )
    busy = "rules:\n  - {name: busy, when: {queue: {people: {waiting_over: 9}}}, then: {to: people}}\n"
    assert (
        "  - `queue`: the new rules ask for the state of the queue of `people`, which 5 decisions do not tell; taken "
        "as not matching"
    ) in place.plain(place.diff(place.new(replaced(("rules:\n", busy)))))


def test_calls_counted_within_a_shorter_time_are_told_of(place: Place) -> None:
    again = "rules:\n  - {name: again, when: {repeat: {calls: 3, within: %s}}, then: {to: people}}\n"
    place.rules.write_text(replaced(("rules:\n", again % "1h")))
    place.version = load_rules(place.rules).version
    place.record(1, 1, earlier_calls_s=[])
    result = place.diff(place.new(replaced(("rules:\n", again % "24h"))))
    assert (
        f"  - the new rules count calls within 24h; of 2 decisions, those of version {place.version}, only calls "
        "within 1h are known"
    ) in place.plain(result)


# The key


LISTED = replaced(
    ("rules:\n", 'rules:\n  - {name: known, when: {caller: "+8613900000004"}, then: {to: people, head_start: 1m}}\n')
)


def test_callers_that_the_rules_name_are_told_by_the_key(place: Place) -> None:
    result = place.diff(place.new(LISTED), "--json")
    (change,) = json.loads(result.stdout)["changes"]
    assert [example["uniqueid"] for example in change["examples"]] == ["1790000004.4"]


def test_rules_that_name_callers_are_not_put_to_records_without_the_key(place: Place) -> None:
    new = place.new(LISTED)
    place.key.unlink()
    result = place.diff(new)
    assert (result.exit_code, result.stdout) == (2, "")
    assert place.said(result) == [
        "callers.key: error: the secret for caller keys cannot be read or created: No such file or directory",
        'new.yaml: error: names callers (in the rule "known"), whom the journal has as keyed hashes only; the key is '
        "needed to tell them",
    ]
    assert not place.key.exists(), "a key is made by the router alone"
    bare = CliRunner().invoke(main, ["diff", str(new), "--journal", str(place.journal)])
    assert bare.exit_code == 2
    assert place.said(bare) == [
        'new.yaml: error: names callers (in the rule "known"), whom the journal has as keyed hashes only; name the '
        "file with the key by --secret-file, or the settings file by --config"
    ]


def test_rules_that_name_none_need_no_key(place: Place) -> None:
    place.key.unlink()
    assert place.diff(place.rules).exit_code == 0


# The journals


def test_journals_are_read_in_the_order_given_compressed_or_not(place: Place) -> None:
    content = place.record(1, 1)
    packed = place.folder / "a.gz"
    packed.write_bytes(gzip.compress(content))
    for words in (
        ("--journal", packed, "--journal", place.journal),
        ("--journal", packed, place.journal),  # as a shell's * gives them
        (packed, place.journal),
    ):
        found = json.loads(place.diff(place.rules, *words, "--json").stdout)
        assert (found["compared"], found["complaints"]) == (4, [])


def test_the_journal_of_the_settings_is_read_after_what_was_rotated_away_from_it_last(place: Place) -> None:
    """Right after that it holds minutes of calls."""
    last, before = place.folder / "journal.jsonl.1", place.folder / "journal.jsonl.2.gz"
    last.write_bytes(place.record(4, 0))
    before.write_bytes(gzip.compress(place.record(9, 0)))
    place.record(0, 1)
    result = place.diff(place.rules)
    assert "journals            journal.jsonl.1, journal.jsonl" in place.plain(result)
    assert "compared            5 decisions" in place.plain(result)
    place.journal.unlink()
    assert "journal             journal.jsonl.1" in place.plain(place.diff(place.rules))
    last.unlink()
    before.unlink()
    assert place.said(place.diff(place.rules)) == ["journal.jsonl: cannot be read: No such file or directory"]


def test_no_journal_is_read_twice(place: Place) -> None:
    result = place.diff(place.rules, place.journal, place.journal)
    assert (result.exit_code, place.said(result)) == (
        2,
        ["journal.jsonl: is named twice; its calls would count twice, so name it once"],
    )


def test_dash_is_standard_input(place: Place) -> None:
    result = place.diff(place.rules, "--journal", "-", "--json", stdin=gzip.compress(place.record(4, 0)))
    assert json.loads(result.stdout)["compared"] == 4


def test_bad_lines_and_journals_cut_short_are_told_of_and_the_rest_counts(place: Place) -> None:
    lines = place.record(2, 1).splitlines(keepends=True)
    place.journal.write_bytes(
        b"".join([lines[0], b"nonsense\n", *lines[1:], place.line(9, CARE, called=None), b'{"rec'])
    )
    noise = [place.line(number % 9, ASSISTANT, uniqueid=os.urandom(500).hex()) for number in range(900)]
    cut = place.folder / "cut.gz"
    cut.write_bytes(gzip.compress(b"".join(noise))[:-9000])
    new = place.new(replaced(("rules:\n", "rules:\n  - {name: l, when: {called: '1*'}, then: {to: people}}\n")))
    result = place.diff(new, cut, place.journal, "--json")
    assert result.exit_code == 2, "the last is a senior's"
    found = json.loads(result.stdout)
    assert 800 < found["compared"] < 900 + 3
    assert found["not_compared"]["bad_lines"] == 2
    assert place.said(result) == [
        "cut.gz: its compressed data end too soon, as while it is being written; what comes before that counts",
        "2 lines are no records and do not count:",
        "journal.jsonl:2: is no JSON: invalid literal, expected 'null'",
        "journal.jsonl:8: is no decision that can be replayed: node, uniqueid, caller, called or rule is no text",
    ]


def test_since_and_until_are_in_the_zone_of_the_rules(place: Place) -> None:
    def compared(*words: str) -> tuple[int, int]:
        found = json.loads(place.diff(place.rules, "--json", *words).stdout)
        return found["compared"], found["not_compared"]["outside_of_time"]

    assert compared("--since", "2026-03-02 09:00:01") == (4, 1)
    assert compared("--until", "2026-03-02 09:00:01") == (1, 4)
    assert compared("--since", "2026-03-02T01:00:01Z", "--until", "2026-03-02 09:00:03") == (2, 3)
    assert compared("--since", "2026-03-02 09:00:01", "--until", "2100-12-31T23:59-12:00") == (4, 1)
    for far in ("0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"):
        result = place.diff(place.rules, "--until", far)
        assert (result.exit_code, "--until: write a year from 2000 to 2100" in result.stderr) == (2, True)
    wrong = place.diff(place.rules, "--since", "yesterday")
    assert wrong.exit_code == 2
    assert 'Invalid value for --since: write a time like "2026-11-23 09:00"' in wrong.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ["empty: no decision is in there; nothing was compared"]),
        (
            ("--since", "2027-01-01"),
            ["journal.jsonl: no decision lies in the time asked for, and 5 lie outside; see --since"],
        ),
    ],
)
def test_nothing_compared_is_no_gate_passed(place: Place, words: Sequence[str], said: list[str]) -> None:
    empty = place.write("empty", "")
    result = place.diff(place.rules, *words, *(() if words else (empty,)))
    assert (result.exit_code, result.stdout, place.said(result)) == (2, "", said)


def test_calls_that_no_rule_decided_are_none_to_compare(place: Place) -> None:
    place.record(2, 0, rule="", fallback="timeout")
    result = place.diff(place.rules)
    assert result.exit_code == 2
    assert place.said(result) == ["journal.jsonl: of 2 calls there, the rules decided none; nothing was compared"]
    with place.journal.open("ab") as stream:
        stream.write(place.line(5, CARE))
    assert "not compared        2 that went to people without the rules being asked" in place.plain(
        place.diff(place.rules)
    )


def test_a_journal_that_cannot_be_read_is_told(place: Place) -> None:
    result = place.diff(place.rules, "--journal", place.folder / "none")
    assert (result.exit_code, place.said(result)) == (2, ["none: cannot be read: No such file or directory"])


def test_without_settings_and_journal_it_is_asked_for(place: Place) -> None:
    result = CliRunner().invoke(main, ["diff", str(place.rules)])
    assert result.exit_code == 2
    assert "where is the journal? name it with --journal, or the settings file with --config" in result.stderr


def test_new_rules_that_are_wrong_are_told_line_by_line(place: Place) -> None:
    new = place.new(
        OLD.replace("to: care,", "to: cares,").replace("fallback: {to: people}", "fallback: {to: assistant}")
    )
    result = place.diff(new)
    assert (result.exit_code, result.stdout) == (2, "")
    said = place.said(result)
    assert [line.partition(" error: ")[0] for line in said] == ["new.yaml:10:58:", "new.yaml:12:16:"]
    assert "did you mean `care`?" in said[0]


# JSON, terminals


def test_json_holds_everything(place: Place) -> None:
    new = place.new(UNPROTECTED)
    result = place.diff(new, "--json", "--examples", "1")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    example = {
        "time": "2026-03-02T01:00:00+00:00",
        "node": "pbx1",
        "uniqueid": "1790000000.0",
        "caller": "+86139****0000",
        "called": "95500",
        "age_band": "senior",
        "old_rule": "seniors",
        "new_rule": "seniors",
    }
    assert found == {
        "new_rules": str(new),
        "rules_version": load_rules(new).version,
        "journals": [str(place.journal)],
        "versions": {place.version: 5},
        "first": "2026-03-02T01:00:00+00:00",
        "last": "2026-03-02T01:00:04+00:00",
        "compared": 5,
        "differ": 2,
        "not_compared": {"fell_back": 0, "undecided": 0, "outside_of_time": 0, "bad_lines": 0},
        "bands": [
            {
                "band": "adult",
                "protected": False,
                "defined": True,
                "compared": 3,
                "differ": 0,
                "not_told": 0,
                "refused": 0,
            },
            {
                "band": "senior",
                "protected": True,
                "defined": True,
                "compared": 2,
                "differ": 2,
                "not_told": 0,
                "refused": 0,
            },
        ],
        "changes": [
            {
                "from": {
                    "target": "care",
                    "queue": "senior-care",
                    "context": "",
                    "head_start_s": 300,
                    "speech": "unhurried",
                    "language": "",
                    "agent_label": "",
                    "overflow_s": 60,
                    "overflow_queue": "agents",
                },
                "to": {
                    "target": "assistant",
                    "queue": "",
                    "context": "router-assistant",
                    "head_start_s": 0,
                    "speech": "unhurried",
                    "language": "",
                    "agent_label": "",
                    "overflow_s": None,
                    "overflow_queue": "",
                },
                "calls": 2,
                "examples": [example],
            }
        ],
        "changes_left_out": {"kinds": 0, "calls": 0},
        "gate": {
            "passed": False,
            "cannot_be_told": "",
            "protected": ["senior"],
            "worse_off": [
                {
                    "harm": "loses_person",
                    "band": "senior",
                    "queue": "",
                    "from": {
                        "queue": "senior-care",
                        "context": "",
                        "head_start_s": 300,
                        "overflow_s": 60,
                        "overflow_queue": "agents",
                    },
                    "to": {
                        "queue": "",
                        "context": "router-assistant",
                        "head_start_s": 0,
                        "overflow_s": None,
                        "overflow_queue": "",
                    },
                    "others_ahead_s": {"from": None, "to": None},
                    "calls": 2,
                    "examples": [example],
                }
            ],
            "outranked": [],
            "spoken_to_faster": 0,
        },
        "not_told": [],
        "notes": [],
        "complaints": [],
    }


def test_no_more_changes_are_shown_than_anybody_reads(place: Place) -> None:
    labels = [place.line(number % 9, ASSISTANT, agent_label=f"label {number}") for number in range(60)]
    place.journal.write_bytes(b"".join([*labels, labels[7]]))
    result = place.diff(place.rules, "--examples", "0")
    shown = place.plain(result)
    assert sum(line == "           → assistant (no agent label)" for line in shown) == 50
    assert "        2  assistant (agent label label 7)" in shown
    assert "       10  others, of 10 kinds" in shown
    found = json.loads(place.diff(place.rules, "--json").stdout)
    assert (len(found["changes"]), found["changes_left_out"]) == (50, {"kinds": 10, "calls": 10})


def test_what_a_terminal_would_obey_is_not_shown(place: Place) -> None:
    bad = dict.fromkeys(
        ("called", "target", "queue", "agent_label", "rules_version", "overflow_queue"), "a\x1b[2J\x9bb"
    )
    for changes in (*({name: text} for name, text in bad.items()), bad):
        place.record(1, 0, **changes)
        as_json = place.diff(place.new(UNPROTECTED), "--json").output
        assert "\x9b" not in as_json
        assert json.loads(as_json)["compared"] == 1
        result = place.diff(place.new(UNPROTECTED))
        assert "\x1b" not in result.output
        assert "\x9b" not in result.output
        assert "a\\u001b[2J\\u009bb" in result.stdout


def test_on_a_terminal_a_bar_shows_how_far_it_is_and_goes_away(place: Place) -> None:
    outside, inside = pty.openpty()
    try:
        done = subprocess.run(
            [PROGRAM, "--config", place.settings, "diff", place.rules],
            stdout=subprocess.PIPE,
            stderr=inside,
            env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
            timeout=60,
            check=False,
        )
    finally:
        os.close(inside)
    told = b""
    try:
        while chunk := os.read(outside, 65536):
            told += chunk
    except OSError:  # Linux says so when nobody holds the other end any more
        pass
    finally:
        os.close(outside)
    assert done.returncode == 0
    assert b"GATE: passed" in done.stdout
    assert b"\x1b" not in done.stdout
    assert re.search(rb"reading decisions .*bytes", told)
