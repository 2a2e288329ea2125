from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it comes without types
import pytest

from router.journal.schema import journal_schema, schema_text

from .samples import TESTDATA

PUBLISHED = Path(__file__).parents[3] / "docs" / "journal.schema.json"


def test_the_published_schema_is_that_of_the_records() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), "run `make schema`"


def test_the_schema_is_one_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(journal_schema())


@pytest.mark.parametrize("name", ["decision", "outcome"])
def test_golden_lines_satisfy_the_schema(name: str) -> None:
    line = json.loads((TESTDATA / f"{name}.json").read_bytes())
    validator = jsonschema.Draft202012Validator(journal_schema())
    validator.validate(line)
    for change in ({"record": "rumour"}, {"colour": "red"}, {"ask": 0}):
        assert not validator.is_valid({**line, **change})
