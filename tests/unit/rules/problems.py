"""Everything wrong with rules, whichever way a test holds them."""

from __future__ import annotations

from pathlib import Path

from router.errors import Problem
from router.rules.book import check_file, rules_from, source_of_text


def check_rules(path_or_text: Path | str) -> list[Problem]:
    """Every problem of a rules file (a `Path`) or of its text (a `str`), warnings included."""
    if isinstance(path_or_text, str):
        return rules_from(source_of_text(path_or_text))[1]
    return check_file(path_or_text)[1]
