"""One cause, one problem: whatever single thing is wrong with a file that uses all of the language."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.errors import Problem
from router.rules.book import rules_from, source_of_text
from router.rules.document import Document, DocumentPath, load_document
from router.rules.schema import RulesFile
from tests.unit.rules.test_editor_schema import every_model

ALL = """\
timezone: Asia/Shanghai
age_bands:
  - {name: adult, from: 0}
  - {name: senior, from: 60}
protected: [senior]
speech:
  standard: {rate: 1.0}
  unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s, gain_db: 3, value_pause: 250ms}
  slow: {rate: 0.7, menu_options: 2, repeat_essential: true}
targets:
  people: {queue: agents}
  people2: {queue: more}
  care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant: {context: router-assistant}
calendars:
  open: {hours: "Mo-Fr 09:00-21:00", holidays: CN, holiday_hours: "10:00-16:00"}
  summer: {hours: "Jul-Aug 08:00-20:00"}
rules:
  - name: older callers
    when: {age_band: senior}
    then: {to: care, head_start: 5m, speech: unhurried, agent_label: "60+", language: zh, note: they come first}
  - name: who calls and who is called
    when: {called: 95519, caller: "+8610*", anonymous: false, language: en, choice: [slower, none]}
    then: {to: people, overflow: {after: 30s, to: people2}}
  - name: when and how things are
    when:
      calendar: open
      outside_calendar: summer
      repeat: {calls: 3, within: 24h}
      rollout: 20%
      queue:
        people: {waiting_over: 3, waiting_under: 9, longest_wait_over: 1m, longest_wait_under: 9m}
        care: {agents_free_over: 0, agents_free_under: 5}
    then: {to: people}
  - name: everyone else
    then: {to: assistant}
fallback: {to: people}
"""

DOCUMENT = load_document(ALL, "f")
KEYS = {info.alias or name for model in every_model(RulesFile) for name, info in model.model_fields.items()}
NAMED = {"speech", "targets", "calendars", "queue"}  # whose keys are names that people give


def problems_of(text: str) -> list[Problem]:
    return rules_from(source_of_text(text, "f"))[1]


def edited(place: tuple[int, int], old: str, new: str) -> str:
    lines = ALL.splitlines(keepends=True)
    line, column = place
    before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
    assert after.startswith(old), (place, old)
    return "".join([*lines[: line - 1], before + new + after.removeprefix(old), *lines[line:]])


def keys_of(document: Document) -> Iterator[DocumentPath]:
    for path in document.key_places:
        parent = path[-2] if len(path) > 1 else ""
        if not (parent in NAMED and isinstance(document.value(path[:-1], None), dict) and path[-1] not in KEYS):
            yield path


def scalars_of(document: Document) -> Iterator[tuple[DocumentPath, str]]:
    """Every value that is no group and no list, and how it is written."""
    lines = ALL.splitlines()
    for path, (line, column) in document.value_places.items():
        if not isinstance(document.value(path, None), dict | list):
            rest = lines[line - 1][column - 1 :]
            end = rest.index('"', 1) + 1 if rest.startswith('"') else min(rest.find(c) % 999 for c in ",}]\0")
            yield path, rest[:end]


def names_of(document: Document) -> Iterator[DocumentPath]:
    """Every key that is a name which people give, where it is given."""
    for path in document.key_places:
        if len(path) == 2 and path[0] in NAMED:
            yield path


def name(path: DocumentPath) -> str:
    return ".".join(map(str, path))


def test_the_file_uses_every_key_and_has_no_problem() -> None:
    assert problems_of(ALL) == []
    assert {path[-1] for path in keys_of(DOCUMENT)} == KEYS


@pytest.mark.parametrize("path", list(keys_of(DOCUMENT)), ids=name)
def test_a_misspelt_key_is_one_problem_that_says_what_was_meant(path: DocumentPath) -> None:
    key = str(path[-1])
    (problem,) = problems_of(edited(DOCUMENT.key_places[path], key, f"{key}x"))
    assert (problem.line, problem.column) == DOCUMENT.key_places[path]
    assert problem.message.startswith(f"unknown key `{key}x`; did you mean `{key}`? the keys here are ")


@pytest.mark.parametrize("new", ["{}", "[]", "{a: b}", "[[x]]", "~", "on", "0800", '""', '"\\u200b"', "-1", "1e3"])
@pytest.mark.parametrize(("path", "old"), list(scalars_of(DOCUMENT)), ids=str)
def test_a_value_that_cannot_be_is_one_problem_where_it_stands(path: DocumentPath, old: str, new: str) -> None:
    problems = problems_of(edited(DOCUMENT.value_places[path], old, new))
    assert len(problems) <= 1 or {(p.line, p.column) for p in problems} == {DOCUMENT.value_places[path]}, problems


@pytest.mark.parametrize("new", ["pe ople", "0800", "on", '""', "老", "x" * 32, "<<", "{a: b}"])
@pytest.mark.parametrize("path", list(names_of(DOCUMENT)), ids=name)
def test_a_name_that_cannot_be_is_one_problem_where_it_is_given(path: DocumentPath, new: str) -> None:
    problems = problems_of(edited(DOCUMENT.key_places[path], str(path[-1]), new))
    assert {(p.line, p.column) for p in problems} == {DOCUMENT.key_places[path]}, problems


@pytest.mark.parametrize("section", ["timezone", "age_bands", "protected", "targets", "rules", "fallback"])
def test_a_section_that_is_missing_is_one_problem(section: str) -> None:
    line, _ = DOCUMENT.key_places[(section,)]
    following = [place[0] for path, place in DOCUMENT.key_places.items() if len(path) == 1 and place[0] > line]
    lines = ALL.splitlines(keepends=True)
    (problem,) = problems_of("".join([*lines[: line - 1], *lines[min(following, default=999) - 1 :]]))
    assert problem.message.startswith(f"`{section}` is missing; it is ")
