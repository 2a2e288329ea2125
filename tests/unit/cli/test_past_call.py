from __future__ import annotations

import gzip
import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from router.callers.number import PhoneNumber, masked
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.cli.asking_again import RulesOfThen
from router.cli.explain import explain
from router.journal.hashing import caller_key, load_or_create_secret, rollout_place
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.reloading.history import RulesHistory
from router.rules.book import load_rules
from router.rules.model import Facts, QueueState

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
speech: {unhurried: {rate: 0.85}}
targets:
  people: {queue: agents}
  assistant: {context: router-assistant}
calendars: {open: {hours: "Mo-Fr 09:00-21:00", holidays: CN}}
rules:
  - {name: busy, when: {queue: {people: {waiting_over: 10}}}, then: {to: people}}
  - {name: north, when: {caller: ["+8613900*", "+8613800000001"], calendar: open}, then: {to: people, head_start: 1m}}
  - {name: trial, when: {rollout: 50%}, then: {to: people}}
  - {name: seniors, when: {age_band: senior}, then: {to: people}}
  - {name: rest, then: {to: assistant}}
fallback: {to: people}
"""
AT = datetime(2026, 11, 23, 2, 30, 15, 250_000, tzinfo=UTC)
PROGRAM = Path(sys.executable).with_name("elder-router")
CALLER = PhoneNumber("+8613900000001")


class Place:
    """A journal, the rules and their history, as a running router leaves them."""

    def __init__(self, path: Path) -> None:
        self.rules = path / "routing.yaml"
        self.rules.write_text(RULES, encoding="utf-8")
        self.journal = path / "journal.jsonl"
        self.history = path / "history"
        self.secret_file = path / "callers.key"
        self.secret = load_or_create_secret(self.secret_file)
        self.book = load_rules(self.rules)
        RulesHistory(self.history).record(self.book, AT)

    def decided(
        self, caller: PhoneNumber = CALLER, uniqueid: str = "1795401015.7", band: str = "adult", choice: str = ""
    ) -> DecisionRecord:
        key = caller_key(self.secret, caller.e164)
        queues = {"agents": QueueState(4, 61, 0)}
        facts = Facts(caller, "95519", "en", band, AT, queues, (120.0,), choice, rollout_place(key))
        handled = Handled(caller, applied=True, age_band=band, band_source="registry", facts=facts)
        handled.decision = self.book.decide(facts)
        handled.lookup_ms, handled.decide_ms, handled.apply_ms = 0.3, 0.1, 1.1
        request = Request(uniqueid, uniqueid, 1, "PJSIP/x", caller.e164, False, "95519", "en")
        shown = masked(caller)
        return decision_record(
            *(request, handled),
            node="pbx1",
            fallback="",
            book=self.book,
            caller_masked=shown,
            caller_key=key,
            full_caller=None,
        )

    def write(self, *records: DecisionRecord | OutcomeRecord, name: str = "journal.jsonl") -> None:
        content = b"".join(record.model_dump_json().encode() + b"\n" for record in records)
        path = self.journal.with_name(name)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    def explain(self, uniqueid: str, *more: str, key: bool = True) -> Result:
        options = {"--rules": self.rules, "--history": self.history}
        if key:
            options["--secret-file"] = self.secret_file
        words = [word for option, value in options.items() for word in (option, str(value))]
        return CliRunner().invoke(
            explain, ["--call", uniqueid, *words, "--journal-file", str(self.journal), *more], env={"COLUMNS": "100"}
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


OUTCOME = OutcomeRecord(
    time=AT,
    node="pbx1",
    uniqueid="1795401015.7",
    linkedid="1795401015.7",
    ask=1,
    ended=Ending.ANSWERED,
    answered_by="agent1",
    queue="agents",
    wait_s=4.1,
    keys=("person",),
)


def test_a_past_call_tells_how_old_the_registry_was(place: Place) -> None:
    place.write(place.decided().model_copy(update={"registry_age_s": 27_941.25}))
    assert "adult: found in the registry; the registry was 7h 45m old" in place.explain("1795401015.7").stdout


def test_a_past_call_is_told_rule_by_rule_and_its_rules_are_asked_again(place: Place) -> None:
    place.write(place.decided(uniqueid="1.1"), place.decided(), OUTCOME)
    result = place.explain("1795401015.7")
    assert result.exit_code == 0, result.output
    told = [" ".join(line.split()) for line in result.stdout.splitlines() if line.strip()]
    version = place.book.version
    assert told == [
        "call 1795401015.7 on pbx1, Monday 2026-11-23 10:30:15 CST",
        "caller +86139****0001",
        "ended answered by agent1 after 4s",
        "recognised adult: found in the registry",
        "called 95519, language en",
        "calendars open: open",
        "before 2m ago",
        "queues agents: 4 waiting, longest 61s, 0 free",
        "rule answer",
        "1 busy queue is people: 4 waiting, longest 61s, 0 free, not people: waiting over 10",
        "2 north matched",
        "3 trial not asked",
        "4 seniors not asked",
        "5 rest not asked",
        "rule north",
        "target people: queue agents",
        "head start 1m: ranked as if they had waited that long already",
        "prompts standard: the usual speed, 5s for a key",
        "applied yes, after 1.5 ms",
        "keys asked for a person",
        "waited 4s in agents",
        "over by 10:30:15",
        "our systems nothing known to be wrong",
        "looked at 10:29:15 to 10:31:15: 2 calls, slowest decision 1.5 ms",
        f"asked again, the rules of version {version} decide the same",
    ]
    assert CALLER.e164 not in result.output


def test_the_callers_own_choice_of_speech_is_told_and_what_they_chose_in_the_call(place: Place) -> None:
    outcome = OUTCOME.model_copy(update={"choice": "normal:standard+person"})
    place.write(place.decided(choice="slower:unhurried"), outcome)
    told = [" ".join(line.split()) for line in place.explain("1795401015.7").stdout.splitlines()]
    assert "remembered slower (unhurried)" in told
    spoken = "0.85 of the usual speed, 5s for a key"
    assert f"prompts unhurried (the caller's own choice; the rule says standard): {spoken}" in told
    assert f"asked again, the rules of version {place.book.version} decide the same" in told
    assert "chose normal (standard), person, for next time too where that is remembered" in told


def test_a_record_from_before_choices_of_speech_is_read_as_the_rules_own(place: Place) -> None:
    fields = place.decided().model_dump(mode="json")
    del fields["speech_from"]
    place.journal.write_text(json.dumps(fields) + "\n")
    result = place.explain("1795401015.7")
    assert (result.exit_code, "prompts      standard: the usual" in result.stdout) == (0, True)


def test_the_rules_of_that_time_are_found_in_the_history_when_others_lie_on_disk(place: Place) -> None:
    place.write(place.decided())
    version = place.book.version
    place.rules.write_text(RULES.replace("+8613900*", "+8613700*"), encoding="utf-8")
    assert f"the rules of version {version} decide the same" in place.explain("1795401015.7").stdout
    place.rules.write_text("nonsense", encoding="utf-8")
    assert f"the rules of version {version} decide the same" in place.explain("1795401015.7").stdout


def test_rules_that_are_not_kept_any_more_are_not_asked_and_the_record_speaks(place: Place) -> None:
    record = place.decided().model_copy(update={"rules_version": "0123456789ab"})
    place.write(record)
    result = place.explain("1795401015.7")
    assert result.exit_code == 0
    assert "2  north  matched" in result.stdout
    assert "not asked again: " in result.stdout
    assert "0123456789ab" in result.stdout


def test_a_record_that_its_rules_contradict_is_told_of_loudly(place: Place) -> None:
    place.write(place.decided().model_copy(update={"target": "assistant"}))
    result = place.explain("1795401015.7")
    assert result.exit_code == 1
    assert "decide differently: people (queue agents)" in result.stdout


OTHERWISE: list[tuple[dict[str, Any], str]] = [
    ({"rule": "seniors"}, "rule"),
    ({"target": "assistant"}, "target"),
    ({"queue": "elsewhere"}, "queue"),
    ({"head_start_s": 61}, "head start"),
    ({"speech": "unhurried"}, "speech"),
    ({"speech_from": "choice"}, "whose speech it is"),
    ({"agent_label": "60+"}, "agent label"),
    ({"overflow_s": 30, "overflow_queue": "care"}, "overflow, overflow queue"),
    ({"note": "a word"}, "note"),
    ({"channel_language": "zh"}, "language"),
    ({"trace": ()}, "the rules' answers"),
]


@pytest.mark.parametrize(("changed", "named"), OTHERWISE, ids=[named for _, named in OTHERWISE])
def test_whatever_else_was_decided_is_named(place: Place, changed: dict[str, Any], named: str) -> None:
    place.write(place.decided().model_copy(update=changed))
    result = place.explain("1795401015.7")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == (
        f"asked again, the rules of version {place.book.version} decide differently: people (queue agents) by the rule "
        f'"north"; not as recorded: {named}'
    )
    told = json.loads(place.explain("1795401015.7", "--json").stdout)["decisions"][0]["again"]
    assert (told["same"], told["differing"]) == (False, named.split(", "))


def test_answers_in_other_words_are_the_same_answers(place: Place) -> None:
    record = place.decided()
    first, *others = record.trace
    place.write(record.model_copy(update={"trace": (first.model_copy(update={"wanted": "people: many"}), *others)}))
    result = place.explain("1795401015.7")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith(" decide the same, in other words")
    told = json.loads(place.explain("1795401015.7", "--json").stdout)["decisions"][0]["again"]
    assert (told["same"], told["same_words"]) == (True, False)


def test_what_records_did_not_hold_yet_is_not_compared(place: Place) -> None:
    fields = place.decided().model_dump(mode="json")
    for name in ("agent_label", "note", "overflow_s", "overflow_queue"):
        del fields[name]
    place.journal.write_text(json.dumps(fields) + "\n")
    assert place.explain("1795401015.7").exit_code == 0


def test_a_record_that_cannot_be_put_to_rules_again_is_shown_without(place: Place) -> None:
    place.write(place.decided().model_copy(update={"caller_key": "no hash"}))
    result = place.explain("1795401015.7")
    assert result.exit_code == 0
    assert "not asked again: the record does not tell what the rules were asked with: ValueError" in result.stdout


def test_nothing_of_a_journal_reaches_the_terminal_as_a_command(place: Place) -> None:
    odd = "\x1b[2J\x9b2J"
    texts = ("called", "language", "band_detail", "note", "rule", "node", "not_applied_why", "target", "agent_label")
    record = place.decided().model_copy(update=dict.fromkeys((*texts, "rules_version", "queue", "fallback"), odd))
    steps = tuple(step.model_copy(update={"rule": odd, "saw": odd, "wanted": odd}) for step in record.trace)
    changed = {"trace": steps, "applied": False, "queues": {odd: (1, 2, 3)}, "calendars": (odd,)}
    place.write(record.model_copy(update=changed), OUTCOME.model_copy(update={"answered_by": odd, "keys": (odd,)}))
    for more in ((), ("--json",)):
        output = place.explain("1795401015.7", *more).output
        assert "u001b[2J" in output
        assert not {"\x1b", "\x9b"} & set(output)
    assert not {"\x1b", "\x9b"} & set(place.explain(odd).output)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--caller", "+8613900000001"), "--caller cannot be given with --call"),
        (("--band", "senior"), "--band cannot be given with --call"),
        (("--at", "2026-11-23 09:00"), "--at cannot be given with --call"),
        (("--queue", "people:waiting=1"), "--queue cannot be given with --call"),
        (("--language", "en"), "--language cannot be given with --call"),
        (("--redis", "redis://127.0.0.1:1/0"), "--redis cannot be given with --call"),
        (("more.jsonl",), "what is more.jsonl? journals are named with --journal"),
    ],
)
def test_what_says_nothing_of_a_past_call_is_refused(place: Place, more: tuple[str, ...], said: str) -> None:
    place.write(place.decided())
    result = place.explain("1795401015.7", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Error: {said}" in " ".join(result.stderr.split())


def test_a_call_without_a_name_is_refused(place: Place) -> None:
    result = place.explain("")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: Invalid value for --call: give the call's uniqueid, as the journal has it"
    )


@pytest.mark.parametrize("option", ["--journal", "--history"])
def test_where_to_look_for_a_past_call_needs_the_call(place: Place, option: str) -> None:
    result = CliRunner().invoke(explain, ["--rules", str(place.rules), "--band", "adult", option, str(place.history)])
    assert result.exit_code == 2
    said = f"Error: {option} is about a call of the past; name the call with --call UNIQUEID, or with "
    said += "--caller NUMBER and --at TIME"
    assert result.stderr.splitlines()[-1] == said


def test_a_history_that_may_not_be_read_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    place.write(place.decided())
    place.rules.write_text("nonsense", encoding="utf-8")
    monkeypatch.setattr(os, "scandir", refused)
    result = place.explain("1795401015.7")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        f"not asked again: {place.history} cannot be read: Permission denied; do this as root, or as the router's user"
    )


def test_without_the_key_rules_that_name_callers_are_not_asked_again(place: Place) -> None:
    place.write(place.decided())
    result = place.explain("1795401015.7", key=False)
    assert result.exit_code == 0
    assert "2  north    matched" in result.stdout
    assert "not asked again: " in result.stdout
    version = place.book.version
    assert result.stdout.splitlines()[-1] == (
        f'not asked again: version {version}: error: names callers (in the rule "north"), whom the journal has as '
        "keyed hashes only; name the file with the key by --secret-file, or the settings file by --config"
    )


def test_a_line_without_an_end_is_passed_over_and_a_strange_name_found_nowhere(place: Place) -> None:
    place.write(place.decided())
    with place.journal.open("ab") as journal:
        journal.write(b'"1795401015.7"' * 200_000)
    assert place.explain("1795401015.7").exit_code == 0
    assert place.explain("\udcff").exit_code == 1


def test_a_call_is_found_in_what_was_rotated_away_and_compressed(place: Place) -> None:
    place.write(place.decided(uniqueid="2.1"))
    place.write(place.decided(uniqueid="3.1"), name="journal.jsonl.1")
    place.write(place.decided(), OUTCOME, name="journal.jsonl.2.gz")
    assert place.explain("1795401015.7").exit_code == 0
    assert place.explain("3.1").exit_code == 0


def test_journals_are_named_oldest_first_as_several_words_and_compressed_or_not(place: Place) -> None:
    first, second = place.decided(), place.decided().model_copy(update={"ask": 2})
    place.write(first, name="old.jsonl.gz")
    place.write(second, OUTCOME, name="new.jsonl")
    old, new = (str(place.journal.with_name(name)) for name in ("old.jsonl.gz", "new.jsonl"))
    told = json.loads(place.explain("1795401015.7", "--journal", old, new, "--json").stdout)
    assert [story["record"]["ask"] for story in told["decisions"]] == [1, 2]
    repeated = place.explain("1795401015.7", "--journal", old, "--journal", new, "--json")
    assert json.loads(repeated.stdout) == told
    assert place.explain("1795401015.7", "--journal", old, old, "--json").stdout.count('"ask": 1') == 1


def test_a_journal_is_read_from_a_pipe_and_from_standard_input(place: Place) -> None:
    place.write(place.decided(), OUTCOME)
    options = ["--rules", str(place.rules), "--secret-file", str(place.secret_file), "--call", "1795401015.7"]
    for journal in ("<(cat JOURNAL)", "- < JOURNAL", "<(gzip -c JOURNAL)"):
        words = [shlex.join([str(PROGRAM), "explain", *options, "--journal"]), journal.replace("JOURNAL", "$0")]
        done = subprocess.run(
            ["bash", "-c", " ".join(words), str(place.journal)], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"the rules of version {place.book.version} decide the same" in done.stdout


def test_a_call_that_is_not_there_is_said_so(place: Place) -> None:
    place.write(place.decided())
    result = place.explain("1795401015.70")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"no decision about the call 1795401015.70 is in {place.journal}\n"


def test_a_damaged_compressed_journal_ends_with_2_and_its_name(place: Place) -> None:
    place.write(place.decided())
    damaged = place.journal.with_name("journal.jsonl.1.gz")
    damaged.write_bytes(gzip.compress(b"x" * 10_000)[:20])
    result = place.explain("9.9")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"{damaged}: its compressed data end too soon, as while it is being written; what comes before that counts\n"
        f"no decision about the call 9.9 is in {damaged}, {place.journal}, as far as that could be read\n"
    )
    found = place.explain("1795401015.7")
    assert found.exit_code == 0
    assert str(damaged) in found.stderr


@pytest.mark.parametrize("name", ["journal.jsonl.1.zst", "other.zst"])
def test_a_journal_in_a_format_that_is_not_read_is_no_journal_without_the_call(place: Place, name: str) -> None:
    strange = place.journal.with_name(name)
    strange.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    result = place.explain("9.9", *(("--journal", str(strange)) if name == "other.zst" else ()))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == (
        f"{strange}: is compressed with zstd, which is not read here; pipe it: zstdcat FILE | … -"
    )


def test_a_journal_that_is_not_there_is_said_so(place: Place) -> None:
    result = place.explain("9.9")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"{place.journal}: cannot be read: No such file or directory"


def test_a_journal_that_cannot_be_looked_at_is_said_so(place: Place) -> None:
    strange = place.journal.with_name("x" * 300)
    result = place.explain("9.9", "--journal", str(strange))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[0] == f"{strange}: cannot be read: File name too long"


def test_a_line_that_names_the_call_and_is_no_record_is_told_of(place: Place) -> None:
    place.write(place.decided())
    with place.journal.open("ab") as journal:
        journal.write(b'{"record":"decision","uniqueid":"1795401015.7"\n')
    result = place.explain("1795401015.7")
    assert result.exit_code == 0
    assert result.stderr == f"{place.journal}: 1 line that names it cannot be read as a record\n"


def test_json_holds_the_records_and_the_second_answer(place: Place) -> None:
    place.write(place.decided(), OUTCOME)
    told: Any = json.loads(place.explain("1795401015.7", "--json").stdout)
    (story,) = told["decisions"]
    assert story["record"]["rule"] == story["again"]["decision"]["rule"] == "north"
    assert story["again"]["same"]
    assert told["outcomes"][0]["answered_by"] == "agent1"


def test_a_thousand_recorded_calls_explained_again_are_decided_the_same(place: Place) -> None:
    records = []
    for number in range(1000):
        operator = (37, 38, 39)[number % 3]
        caller = PhoneNumber(f"+861{operator}{number * 7_919_317 % 100_000_000:08d}")
        records.append(place.decided(caller, f"1795401015.{number}", ("adult", "senior")[number % 2]))
    place.write(*records)
    assert len({record.rule for record in records}) >= 4
    told = [json.loads(line) for line in place.journal.read_text().splitlines()]
    one = place.explain("1795401015.999", "--json")
    assert one.exit_code == 0
    again = _explained_again(place, told)
    assert again == [(record.rule, record.target, [step.rule for step in record.trace]) for record in records]


def _explained_again(place: Place, told: list[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """What `explain --call` asks again, for many calls without a process each."""
    rules = RulesOfThen(place.rules, place.history, place.secret_file)
    found = []
    for again in rules.again([(fields, DecisionRecord.model_validate(fields, strict=False)) for fields in told]):
        assert (again.differing, again.same_words) == ((), True)
        assert again.decision is not None
        decision = again.decision
        found.append((decision.rule, decision.target.name, [step.rule for step in decision.trace]))
    return found
