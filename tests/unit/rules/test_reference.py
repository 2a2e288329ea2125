"""docs/rules.md: current, complete, and every file shown on it loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.rules.book import rules_from, source_of_text
from router.rules.document import load_document
from router.rules.hours import Hours
from router.rules.lists import parse_list
from router.rules.reference import reference
from router.rules.schema import RulesFile, WhenEntry
from tests.unit.rules.test_editor_schema import every_model

PUBLISHED = Path(__file__).parents[3] / "docs" / "rules.md"
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```", reference(), re.MULTILINE | re.DOTALL)
FILES = [text for kind, text in BLOCKS if kind == "yaml"]
(LIST,) = (text for kind, text in BLOCKS if kind == "text")


def test_the_published_page_is_current() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == reference(), "run `make schema`"


@pytest.mark.parametrize("text", FILES, ids=range(len(FILES)))
def test_every_file_on_the_page_loads_without_a_problem(text: str) -> None:
    book, problems = rules_from(source_of_text(text), lambda name: source_of_text(LIST, name))
    assert problems == []
    assert book is not None


def test_the_list_on_the_page_is_one() -> None:
    callers, problems = parse_list(source_of_text(LIST, "vip.txt"))
    assert (len(callers.numbers), len(callers.beginnings), problems) == (1, 1, [])


def test_every_key_is_on_the_page_and_says_what_it_is_for() -> None:
    for model in every_model(RulesFile):
        for name, info in model.model_fields.items():
            row = f"| `{info.alias or name}` | {info.title} | {info.description} |"
            assert info.title, name
            assert info.description, name
            assert row in reference(), name


def test_every_condition_is_used_by_a_file_on_the_page() -> None:
    used = {
        key
        for text in FILES
        for rule in load_document(text, "f").data["rules"]
        for key in rule.get("when", {})
    }  # fmt: skip
    assert used >= WhenEntry.model_fields.keys() - {"anonymous"}


def test_the_hours_on_the_page_can_be_read() -> None:
    hours = re.findall(r"^\| `([^`]+)` \| (?!without quotes|a number would)", _section("Calendars"), re.MULTILINE)
    assert len(hours) >= 6
    for text in hours:
        Hours(text)


def test_the_words_on_the_page_are_refused() -> None:
    words = re.findall(r"^\| `([^`]+)` \|", _section("Words that are refused without quotes"), re.MULTILINE)
    assert len(words) >= 8
    for word in words:
        assert load_document(f"a: {word}\n", "f").problems


def _section(heading: str) -> str:
    return reference().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
