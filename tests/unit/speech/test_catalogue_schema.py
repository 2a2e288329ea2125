"""The JSON Schema that editors read: it takes what the catalogue takes, and refuses what is wrong in form."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it comes without types
import pytest

from router.rules.document import load_document
from router.speech.catalogue_schema import PROMPTS_SCHEMA_NAME, prompts_schema_text

CONFIG = Path(__file__).parents[3] / "config"
FILES = sorted((CONFIG / "prompts").rglob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(json.loads(prompts_schema_text()))


def test_the_published_schema_is_that_of_the_models() -> None:
    assert (CONFIG / PROMPTS_SCHEMA_NAME).read_text(encoding="utf-8") == prompts_schema_text(), "run `make schema`"
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_shipped_files_satisfy_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert list(VALIDATOR.iter_errors(load_document(text, file.name).data)) == []
    if file.parent.name == "prompts":
        assert text.splitlines()[0] == f"# yaml-language-server: $schema=../{PROMPTS_SCHEMA_NAME}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": {"use": "x"}},
        {"a": {"use": "x", "text": {"en": "Hello."}}},
        {"a": {"use": "x", "text": {"en": ["Hello."]}, "esential": 1}},
        {"a": {"use": "x", "text": {"en": ["Hello."]}, "variables": {"n": "numbr"}}},
        {"A b": {"use": "x", "text": {"en": ["Hello."]}}},
        {},
    ],
)
def test_mistakes_of_form_are_refused(wrong: object) -> None:
    assert list(VALIDATOR.iter_errors(wrong))
