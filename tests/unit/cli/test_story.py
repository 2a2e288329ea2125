from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from router.cli.asking_again import RulesOfThen
from router.cli.call_search import look_for
from router.cli.explain import explain
from router.cli.story import Story, print_story, zone_of
from router.cli.story_words import cause_in_words, ending_in_words, keys_in_words
from router.journal.records import ConditionRecord, Ending
from router.journal.seeking import Sought

from .stories import (
    AT,
    CALLER,
    STORIES,
    Centre,
    Lines,
    abandoned,
    centre_in,
    ended,
    forgotten,
    named,
    redis_down,
    unseen,
    usual,
)

TESTDATA = Path(__file__).parent / "testdata"


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return centre_in(tmp_path)


def told(centre: Centre, *more: str) -> Result:
    return CliRunner().invoke(explain, [*centre.options(), *(more or ("--call", named(AT)))])


@pytest.mark.parametrize("name", STORIES)
def test_the_story_of_a_call_is_told_in_its_golden_words(centre: Centre, name: str) -> None:
    text = STORIES[name](centre.book()).text()
    centre.journal.write_bytes(forgotten(text) if name == "forgotten" else text)
    result = told(centre)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (TESTDATA / f"story-{name}.txt").read_text(encoding="utf-8")
    assert CALLER.e164[-8:] not in result.stdout


def screen(centre: Centre, *, colours: bool = False) -> str:
    """The story of the call on a terminal of 80 columns."""
    found = look_for(Sought(uniqueid=named(AT)), (centre.journal,))
    again = RulesOfThen(centre.rules, None, centre.secret).again(found.calls[0].decisions)
    shown = io.StringIO()
    console = Console(
        file=shown, force_terminal=True, width=80, color_system="standard" if colours else None, highlight=False
    )
    print_story(console, Story(found.calls[0], found.minutes[0], again, zone_of(again, None), found.ends[0]))
    return shown.getvalue()


@pytest.mark.parametrize("name", STORIES)
def test_a_story_fits_a_screen(centre: Centre, name: str) -> None:
    centre.journal.write_bytes(STORIES[name](centre.book()).text())
    lines = screen(centre).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert len(lines) <= (60 if name == "transferred" else 45)


def test_what_went_wrong_is_red_and_what_went_well_is_not(centre: Centre) -> None:
    centre.journal.write_bytes(redis_down(centre.book()).text())
    red = "".join(re.findall(r"\x1b\[1;31m(.*?)\x1b\[0m", screen(centre, colours=True)))
    for trouble in ("redis not answering", "the registry could not be asked", "temporary failure", "2 records"):
        assert trouble in red
    centre.journal.write_bytes(usual(centre.book()).text())
    assert "\x1b[1;31m" not in screen(centre, colours=True)


def test_a_hundred_rules_that_were_not_asked_do_not_fill_the_screen(centre: Centre) -> None:
    more = "".join(f"  - {{name: n{n}, when: {{called: '9{n:03}'}}, then: {{to: people}}}}\n" for n in range(100))
    rules = centre.rules.read_text()
    last = "  - {name: everyone"
    centre.rules.write_text(rules.replace(last, more + last), encoding="utf-8")
    centre.journal.write_bytes(usual(centre.book()).text())
    assert len(screen(centre).splitlines()) <= 45
    assert "and 96 more that were not asked" in told(centre).stdout


def test_json_has_the_whole_story(centre: Centre) -> None:
    centre.journal.write_bytes(redis_down(centre.book()).text())
    story: Any = json.loads(told(centre, "--call", named(AT), "--json").stdout)
    assert story["kind"] == "past"
    (decision,) = story["decisions"]
    around = decision["around"]
    assert (around["is_well"], around["lookups_failed"], around["lost"], around["calls"]) == (False, 2, 2, 2)
    (wrong,) = around["wrong"]
    assert (wrong["what"], wrong["since"], wrong["until"]) == (
        *("redis not answering", "2026-11-25T02:29:50.000Z"),
        "2026-11-25T02:30:45.000Z",
    )
    assert (story["outcomes"][0]["ended"], story["promotions"], story["others"]) == ("hung_up_early", [], [])


def test_nothing_of_any_record_reaches_the_terminal_as_a_command(centre: Centre) -> None:
    odd = "\x1b[2J\x9b2J\u202e[red]"
    lines = redis_down(centre.book())
    changes: dict[str, dict[str, Any]] = {
        "decision": dict.fromkeys(
            ("called", "language", "band_detail", "note", "target", "agent_label", "age_band", "context"), odd
        )
        | {"registry_age_s": None, "overflow_s": 60, "overflow_queue": odd, "queue": odd, "fallback": odd},
        "outcome": {"answered_by": odd, "queue": odd, "keys": (odd,), "fallback": odd, "choice": odd, "wait_s": 1.0},
        "condition": {"why": odd},
    }
    lines.records = [record.model_copy(update=changes[record.record]) for record in lines.records]
    centre.journal.write_bytes(lines.text())
    for more in ((), ("--json",)):
        output = told(centre, "--call", named(AT), *more).output
        assert "u001b[2J" in output
        assert not {"\x1b", "\x9b", "\u202e"} & set(output)


def test_json_has_what_was_wrong_around_an_end_that_nobody_saw(centre: Centre) -> None:
    ends = []
    for story in (usual, unseen):
        centre.journal.write_bytes(story(centre.book()).text())
        ends.append(json.loads(told(centre, "--call", named(AT), "--json").stdout)["around_end"])
    assert ends[0] is None
    assert [away["until"] for away in ends[1]["away"]] == ["2026-11-25T02:40:15.000Z"]


def test_a_call_without_an_outcome_says_so(centre: Centre) -> None:
    lines = usual(centre.book())
    del lines.records[-1]
    centre.journal.write_bytes(lines.text())
    assert "no outcome is in the journal: the call is under way, or its record was lost" in told(centre).stdout


def test_a_fallback_after_the_decision_is_told(centre: Centre) -> None:
    lines = usual(centre.book())
    lines.records[-1] = lines.records[-1].model_copy(update={"fallback": "no-such-context"})
    centre.journal.write_bytes(lines.text())
    said = (
        "fallback     the rules name a context that the dialplan does not have (no-such-context): the dialplan sent it"
    )
    assert said in told(centre).stdout


def test_who_asked_for_a_person_and_went_before_a_queue_was_reached_waited_nowhere() -> None:
    gone = ended("1.1", AT, ended=Ending.ABANDONED, answered_by="", queue="", wait_s=None, keys=("person",))
    assert ending_in_words(gone) == ("abandoned: gone after asking for a person, before a queue was reached", True)


def test_what_began_on_another_day_is_told_with_its_date(centre: Centre) -> None:
    lines = Lines().starts("aaaa0001", AT - timedelta(days=2))
    lines.add(ConditionRecord(time=AT - timedelta(days=1), what="registry stale", state="began"))
    lines.add(*(record for record in usual(centre.book()).records if record.record != "condition"))
    centre.journal.write_bytes(lines.text())
    assert "our systems  registry stale, from 2026-11-24 10:30:15 on\n" in told(centre).stdout


def test_an_overflow_is_told_with_both_queues(centre: Centre) -> None:
    centre.journal.write_bytes(abandoned(centre.book()).text())
    assert "2m 15s in all: in senior-care, and after 1m there (overflow) in agents" in told(centre).stdout


@pytest.mark.parametrize(
    ("cause", "is_abandoned", "said", "is_trouble"),
    [
        (16, False, "normal: one of the two hung up, which of them it does not tell (cause 16)", False),
        (16, True, "the caller hung up, most likely (cause 16, normal)", False),
        (38, True, "the network was out of order (cause 38)", True),
        (99, False, "see ITU-T Q.850 (cause 99)", True),
    ],
)
def test_a_hangup_cause_says_as_much_as_it_can(cause: int, is_abandoned: bool, said: str, is_trouble: bool) -> None:
    assert cause_in_words(cause, is_abandoned=is_abandoned) == (said, is_trouble)


def test_keys_are_told_in_words() -> None:
    assert keys_in_words(("1", "slower", "person")) == (
        "chose 1 in the menu, asked for slower speech, asked for a person"
    )


def test_a_call_of_another_asterisk_of_the_same_name_is_told_too(centre: Centre) -> None:
    lines = usual(centre.book())
    other = [
        record.model_copy(update={"node": "pbx2"})
        for record in lines.records
        if record.record != "condition" and record.uniqueid == named(AT)
    ]
    lines.add(*other, ended("1.1", AT))
    centre.journal.write_bytes(lines.text())
    stdout = told(centre).stdout
    assert f"{named(AT)} on pbx1" in stdout
    assert f"{named(AT)} on pbx2" in stdout
