"""docs/complaints.md: what it shows is what is printed, and its options exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.cli.explain import explain

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "complaints.md").read_text(encoding="utf-8")
STORIES = ROOT / "tests" / "unit" / "cli" / "testdata"


@pytest.mark.parametrize("name", ["usual", "router-away"])
def test_a_story_on_the_page_is_as_it_is_told(name: str) -> None:
    story = (STORIES / f"story-{name}.txt").read_text(encoding="utf-8")
    assert "\n".join(f"    {line}".rstrip() for line in story.splitlines()) in PAGE


def test_every_option_on_the_page_is_one_of_the_command() -> None:
    known = {option for parameter in explain.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z]+", PAGE)) <= known
