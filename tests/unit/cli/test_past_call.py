from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from router.callers.number import PhoneNumber, masked
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.cli.explain import explain
from router.cli.past_call import PastCall
from router.journal.hashing import caller_key, load_or_create_secret, rollout_place
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.reloading.history import RulesHistory
from router.rules.book import load_rules
from router.rules.model import Facts, QueueState

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}]
protected: [senior]
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
        self, caller: PhoneNumber = CALLER, uniqueid: str = "1795401015.7", band: str = "adult"
    ) -> DecisionRecord:
        key = caller_key(self.secret, caller.e164)
        facts = Facts(
            caller, "95519", "en", band, AT, {"agents": QueueState(4, 61, 0)}, (120.0,), "", rollout_place(key)
        )  # fmt: skip
        handled = Handled(caller, applied=True, age_band=band, band_source="registry", facts=facts)
        handled.decision = self.book.decide(facts)
        handled.lookup_ms, handled.decide_ms, handled.apply_ms = 0.3, 0.1, 1.1
        request = Request(uniqueid, uniqueid, 1, "PJSIP/x", caller.e164, False, "95519", "en")
        return decision_record(
            request, handled, node="pbx1", fallback="", book=self.book, caller_masked=masked(caller), caller_key=key,
            full_caller=None,
        )  # fmt: skip

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
    time=AT, node="pbx1", uniqueid="1795401015.7", linkedid="1795401015.7", ask=1, ended=Ending.ANSWERED,
    answered_by="agent1", queue="agents", wait_s=4.1, keys=("person",),
)  # fmt: skip


def test_a_past_call_is_told_rule_by_rule_and_its_rules_are_asked_again(place: Place) -> None:
    place.write(place.decided(uniqueid="1.1"), place.decided(), OUTCOME)
    result = place.explain("1795401015.7")
    assert result.exit_code == 0, result.output
    told = [" ".join(line.split()) for line in result.stdout.splitlines() if line.strip()]
    version = place.book.version
    assert told == [
        "call 1795401015.7 on pbx1",
        "at Monday 2026-11-23 10:30:15 CST",
        "caller +86139****0001",
        "age band adult (registry)",
        "called 95519",
        "language en",
        "calendars open open",
        "choice remembered none",
        "earlier calls 2m ago",
        "queue agents 4 waiting, longest 61s, 0 free",
        "rule answer",
        "1 busy queue is people: 4 waiting, longest 61s, 0 free, not people: waiting over 10",
        "2 north matched",
        "3 trial not asked",
        "4 seniors not asked",
        "5 rest not asked",
        "rule north",
        "target people: queue agents",
        "head start 60 s",
        "speech standard",
        "agent label none",
        f"rules version {version}",
        "applied yes, after 1.5 ms",
        f"asked again, the rules of version {version} decide the same",
        "outcome: answered by agent1 after 4 s; keys: person",
    ]
    assert CALLER.e164 not in result.output


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


def test_without_the_key_rules_that_name_callers_are_not_asked_again(place: Place) -> None:
    place.write(place.decided())
    result = place.explain("1795401015.7", key=False)
    assert result.exit_code == 0
    assert "2  north  matched" in result.stdout
    assert "not asked again: " in result.stdout
    assert "give --secret-file" in " ".join(result.stdout.split())


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


def test_a_call_that_is_not_there_is_said_so(place: Place) -> None:
    place.write(place.decided())
    result = place.explain("1795401015.70")
    assert result.exit_code == 1
    assert "no decision about the call 1795401015.70 is in" in result.stderr


def test_a_damaged_compressed_journal_ends_with_2_and_its_name(place: Place) -> None:
    place.write(place.decided())
    damaged = place.journal.with_name("journal.jsonl.1.gz")
    damaged.write_bytes(gzip.compress(b"x" * 10_000)[:20])
    result = place.explain("9.9")
    assert result.exit_code == 2
    assert "journal.jsonl.1.gz" in result.stderr


def test_a_line_that_names_the_call_and_is_no_record_is_told_of(place: Place) -> None:
    place.write(place.decided())
    with place.journal.open("ab") as journal:
        journal.write(b'{"record":"decision","uniqueid":"1795401015.7"\n')
    result = place.explain("1795401015.7")
    assert result.exit_code == 0
    assert "1 line that names it cannot be read as records" in result.stderr


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
    past = PastCall("", (), place.history, place.rules, place.secret_file)
    found = []
    for again in past.again([(fields, DecisionRecord.model_validate(fields, strict=False)) for fields in told]):
        assert again.same
        assert again.decision is not None
        decision = again.decision
        found.append((decision.rule, decision.target.name, [step.rule for step in decision.trace]))
    return found
