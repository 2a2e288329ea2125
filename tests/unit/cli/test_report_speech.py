from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lab.speech_report import PAGE, example, replaced
from router.cli import main
from tests.unit.journal.calls import decided, ended, lines

PROGRAM = Path(sys.executable).with_name("elder-router")
TRIAL = "trial of slow speech"
RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}, {name: elder, from: 75}]
protected: []
speech: {slow: {rate: 0.7}, unhurried: {rate: 0.85}, standard: {rate: 1.0}}
targets:
  people: {queue: agents}
rules:
  - {name: all, then: {to: people}}
fallback: {to: people}
"""
BY_CHANCE = [
    record
    for number in range(400)
    for record in (
        decided(number, rule=TRIAL, speech="slow")
        if number % 2
        else decided(number, rule="rest", speech="standard", left_out_by=[TRIAL]),
        ended(number, keys=["repeat"] if number % (10 if number % 2 else 4) in {0, 1} else []),
    )
]


def write(journal: Path, records: Iterable[dict[str, Any]]) -> Path:
    journal.write_bytes(b"".join(lines(list(records))))
    return journal


def report(*words: str | Path, rules: Path | None = None, **options: Any) -> Result:  # noqa: ANN401
    where = ("--rules", rules or "nowhere.yaml")
    return CliRunner().invoke(main, ["report", "speech", *map(str, (*where, *words))], **options)


def as_json(*words: str | Path, rules: Path | None = None) -> dict[str, Any]:
    result = report(*words, "--json", rules=rules)
    assert result.exit_code == 0, result.output
    plain: dict[str, Any] = json.loads(result.stdout)
    return plain


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "routing.yaml"
    file.write_text(RULES)
    return file


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write(tmp_path / "journal.jsonl", BY_CHANCE)


def test_shares_stand_beside_each_other_with_their_intervals(journal: Path, rules: Path) -> None:
    out = report("--journal", journal, rules=rules).output
    assert "decided  2026-11-09 09:00:00 to 2026-11-09 15:39:00 CST\ncounted  400 calls\n" in out
    assert "elder                              standard                 slow\n" in out, "the faster first"
    assert "asked to hear it again    50.0% (43.1–56.9)    20.0% (15.0–26.1)\n" in out
    assert "fell silent *                0.0% (0.0–1.9)       0.0% (0.0–1.9)\n" in out


def test_a_trial_is_found_and_its_groups_are_compared(journal: Path, rules: Path) -> None:
    out = report("--journal", journal, rules=rules).output
    assert (
        'Callers within the roll-out of "trial of slow speech" (A) against those whom it alone left out (B), each by '
        "their first call:\n"
    ) in out
    assert "  A  spoken to: slow 100%; sent to: senior-care, head start 300 s 100%\n" in out
    assert "asked to hear it again   20.0%   50.0%  −30.0 (−38.5 to −20.8)  fewer\n" in out
    assert "fell silent *             0.0%    0.0%      0.0 (−1.9 to +1.9)  alike within 1.9\n" in out
    assert "9 comparisons are made" in out


def test_json_has_all_of_it_as_numbers(journal: Path) -> None:
    plain = as_json("--journal", journal)
    slow, standard = plain["groups"]
    assert (slow["age_band"], slow["speech"], slow["calls"], slow["met_assistant"]) == ("elder", "slow", 200, 200)
    assert slow["measures"]["repeated"] == {
        "happened": 40, "of": 200, "of_assistant": False, "share": 0.2,
        "low": pytest.approx(0.15045, abs=1e-5), "high": pytest.approx(0.26086, abs=1e-5),
    }  # fmt: skip
    assert standard["measures"]["repeated"]["share"] == 0.5
    (trial,) = plain["comparisons"]
    repeated = next(one for one in trial["differences"] if one["measure"] == "repeated")
    assert repeated["verdict"] == "fewer"
    assert repeated["difference"] == pytest.approx(-0.3)
    assert trial["within"] == {
        "callers": 200, "speech": {"slow": 200}, "sent_to": {"senior-care, head start 300 s": 200},
        "by_choice_left_out": 0,
    }  # fmt: skip
    assert plain["not_counted"]["no_outcome"] == 0


def test_a_few_calls_are_said_to_be_few(tmp_path: Path) -> None:
    out = report("--journal", write(tmp_path / "j", BY_CHANCE[:12])).output
    assert "asked to hear it again   33.3%   66.7%  −33.3 (−71.8 to +31.6)  too few to tell\n" in out


def test_without_a_roll_out_it_is_said_that_profiles_are_no_chance(tmp_path: Path) -> None:
    out = report("--journal", write(tmp_path / "j", [decided(1), ended(1)])).output
    assert "Callers within" not in out
    assert "which profile callers were given is no chance here" in out


def test_a_trial_makes_no_comparison_of_the_columns(journal: Path) -> None:
    said = "the columns by profile hold all calls"
    assert any(said in note for note in as_json("--journal", journal)["notes"])
    named = as_json("--journal", journal, "--compare", TRIAL, "rest")
    assert not any(said in note for note in named["notes"])


def test_two_rules_are_compared_when_named_with_a_warning(journal: Path) -> None:
    out = report("--journal", journal, "--compare", "rest", TRIAL).output
    assert 'Callers of "rest" (A) against those of "trial of slow speech" (B)' in out
    assert "is no chance: the callers themselves may differ" in out


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("trial of slow spech", "rest"), '"trial of slow spech"; did you mean "trial of slow speech"?'),
        (("rest", "zzz"), '"zzz"; rules that did: rest, trial of slow speech'),
    ],
)
def test_a_rule_that_decided_nothing_is_told_with_what_was_meant(
    journal: Path, names: tuple[str, str], why: str
) -> None:
    result = report("--journal", journal, "--compare", *names)
    assert result.exit_code == 2
    assert result.stderr == f"--compare: no call here was decided by a rule {why}\n"


def test_a_rule_is_not_compared_with_itself(journal: Path) -> None:
    result = report("--journal", journal, "--compare", "rest", "rest")
    assert result.exit_code == 2
    assert "name two different rules" in result.stderr


def test_groups_by_rule(journal: Path) -> None:
    plain = as_json("--journal", journal, "--by", "rule")
    assert [(group["rule"], group["calls"]) for group in plain["groups"]] == [(TRIAL, 200), ("rest", 200)]


def test_what_is_not_counted_is_told(tmp_path: Path) -> None:
    records = [
        decided(1),
        ended(1),
        decided(2),
        ended(3),
        decided(4),
        ended(4, ended="unseen"),
        decided(5, applied=False),
    ]
    journal = write(tmp_path / "j", records)
    with journal.open("a") as file:
        file.write("half a li\n")
    result = report("--journal", journal)
    for line in (
        "1 without an outcome: under way, or ended unrecorded",
        "1 with an outcome and no decision in these journals",
        "1 that ended while the router was away, unseen",
        "1 whose decision did not reach Asterisk, so that nobody was spoken to accordingly",
        "1 that may be in a line that could not be read",
    ):
        assert f"not counted  {line}\n" in result.stdout
    assert "1 line is no record and does not count:" in result.stderr


def test_callers_by_choice_stand_by_themselves(tmp_path: Path) -> None:
    out = report("--journal", write(tmp_path / "j", [decided(1, speech_from="choice"), ended(1), decided(2), ended(2)]))
    assert "unhurried, by choice" in out.output
    assert "they are unlike others, and in no comparison" in out.output


def test_what_would_mislead_is_told(tmp_path: Path) -> None:
    same = [
        *(decided(1, rule=TRIAL), ended(1), decided(2, left_out_by=[TRIAL], rule="rest", target="people"), ended(2)),
        *(decided(3, rule=TRIAL, speech_from="choice"), ended(3)),
    ]
    notes = as_json("--journal", write(tmp_path / "j", [*same[2:4], *same]))["notes"]
    assert any("both groups were spoken to in unhurried" in note for note in notes)
    assert any("sent to different places" in note for note in notes)
    assert any("1 caller was spoken to by their own earlier choice" in note for note in notes)


def test_unlike_shares_of_the_assistant_are_told(tmp_path: Path) -> None:
    records = [
        record
        for number in range(100)
        for record in (
            decided(number, **({"rule": TRIAL, "speech": "slow"} if number % 2 else {"left_out_by": [TRIAL]})),
            ended(number, touched_assistant=bool(number % 2), ended="answered"),
        )
    ]
    notes = as_json("--journal", write(tmp_path / "j", records))["notes"]
    assert any("so that the rows marked * compare unlike callers" in note for note in notes)


def test_a_roll_out_that_was_changed_is_told(tmp_path: Path) -> None:
    before, after = decided(0, left_out_by=[TRIAL]), decided(1, left_out_by=[TRIAL])
    for share, warned in (("below 50", False), ("below 80", True)):
        after["trace"][0]["wanted"] = share
        notes = as_json("--journal", write(tmp_path / "j", [before, ended(0), after, ended(1)]))["notes"]
        assert any("its roll-out was changed (below 50, below 80)" in note for note in notes) == warned


def test_several_trials_at_once_are_warned_of(tmp_path: Path) -> None:
    records = [
        record
        for number in range(4)
        for record in (decided(number, left_out_by=["one", "two"][: 1 + number % 2]), ended(number))
    ]
    notes = as_json("--journal", write(tmp_path / "j", records))["notes"]
    assert any("several rules have a roll-out" in note for note in notes)


def test_only_the_time_asked_for_counts_in_the_zone_of_the_rules(journal: Path, rules: Path) -> None:
    plain = as_json("--journal", journal, "--since", "2026-11-09 09:10", "--until", "2026-11-09 09:20", rules=rules)
    assert sum(group["calls"] for group in plain["groups"]) == 10
    assert plain["not_counted"]["elsewhen"] == 390


def test_journals_may_be_compressed_many_or_piped(tmp_path: Path) -> None:
    older, newer = BY_CHANCE[:101], BY_CHANCE[101:]  # a call's outcome is in the journal after its decision's
    packed = tmp_path / "journal.jsonl.1.gz"
    packed.write_bytes(gzip.compress(b"".join(lines(older))))
    journal = write(tmp_path / "journal.jsonl", newer)
    assert sum(group["calls"] for group in as_json("--journal", packed, journal)["groups"]) == 400
    piped = report("--journal", "-", "--json", input=b"".join(lines(BY_CHANCE)))
    assert sum(group["calls"] for group in json.loads(piped.stdout)["groups"]) == 400


def test_the_settings_file_names_the_journal_and_all_that_was_rotated_away_comes_first(
    tmp_path: Path, rules: Path
) -> None:
    (tmp_path / "journal.jsonl.1.gz").write_bytes(gzip.compress(b"".join(lines(BY_CHANCE[101:201]))))
    (tmp_path / "journal.jsonl.2.gz").write_bytes(gzip.compress(b"".join(lines(BY_CHANCE[:101]))))
    write(tmp_path / "journal.jsonl", BY_CHANCE[201:])
    settings = tmp_path / "elder-router.yaml"
    settings.write_text(
        f"asterisk:\n  - {{name: pbx1, secret_file: none}}\nrules: {rules.name}\n"
        "journal: {file: journal.jsonl, secret_file: callers.key}\n"
    )
    result = CliRunner().invoke(main, ["--config", str(settings), "report", "speech", "--json"])
    plain = json.loads(result.stdout)
    assert sum(group["calls"] for group in plain["groups"]) == 400
    assert plain["not_counted"]["no_decision"] == 0


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([], "no call in there was decided and ended; there is nothing to count"),
        ([decided(1)], "1 call was decided and has no outcome; is it under way still?"),
        ([ended(1)], "there are outcomes and no decisions before them; name the journals in the order of their time"),
    ],
)
def test_nothing_to_count_is_an_error_that_says_why(tmp_path: Path, records: list[dict[str, Any]], why: str) -> None:
    journal = write(tmp_path / "j", records)
    result = report("--journal", journal)
    assert result.exit_code == 2
    assert result.stderr == f"{journal}: {why}\n"


def test_no_call_in_the_time_asked_for(journal: Path) -> None:
    result = report("--journal", journal, "--since", "2026-12-01")
    assert result.exit_code == 2
    assert "no call lies in the time asked for, and 400 lie outside; see --since" in result.stderr


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    result = report("--journal", tmp_path / "none")
    assert result.exit_code == 2
    assert result.stderr == f"{tmp_path / 'none'}: cannot be read: No such file or directory\n"


def test_without_a_journal_it_asks_for_one() -> None:
    result = report()
    assert result.exit_code == 2
    assert "where is the journal?" in result.stderr


def test_rules_that_are_wrong_are_told_of_and_not_needed(journal: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rules: 5\n")
    result = report("--journal", journal, rules=wrong)
    assert result.exit_code == 0
    assert "the rules are wrong; times are in UTC:" in result.stderr
    assert "2026-11-09 07:39:00 UTC" in result.stdout


def test_no_control_characters_of_a_journal_reach_the_terminal(tmp_path: Path) -> None:
    bad = "a\x1b[31m[red]\u202e"
    records = [decided(1, rule=bad, speech=bad, age_band=bad, target=bad), ended(1)]
    journal = write(tmp_path / "j", records)
    for words in (("--by", "rule"), ("--compare", bad, "x"), ("--json",)):
        result = report("--journal", journal, *words)
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output
    assert "[red]" in report("--journal", journal).output


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_terminal_holds_it(columns: int, tmp_path: Path, rules: Path) -> None:
    three = [
        record
        for number in range(60)
        for record in (
            decided(
                number,
                speech=["standard", "unhurried", "slow"][number % 3],
                rule=f"callers of 60 and over reach a person {number % 3}",
                left_out_by=[TRIAL],
            ),
            ended(number),
        )
    ]
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "50", "TERM": "dumb"}
    command = [
        *(str(PROGRAM), "report", "speech", "--rules", str(rules), "--by", "rule"),
        *("--journal", str(write(tmp_path / "j", [*three, *BY_CHANCE]))),
    ]
    with subprocess.Popen(command, env=environment, stdout=its, stderr=subprocess.DEVNULL) as process:
        os.close(its)
        read = b""
        try:
            while part := os.read(ours, 65536):
                read += part
        except OSError:
            pass  # the end of a terminal is an error on Linux
        os.close(ours)
        assert process.wait(timeout=20) == 0
    text = read.decode().replace("\r\n", "\n")
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text.replace(", …", ""), "nothing is cut off"
    assert "perhaps" in text


def test_the_example_in_the_documentation_is_what_is_printed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == replaced(text, "trial", example()), "run `python -m lab speech-report --example`"
