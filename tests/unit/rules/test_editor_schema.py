"""The JSON Schema that editors read: it takes what the router takes, and refuses what is wrong in form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]  # it comes without types
import pytest
from pydantic import BaseModel

from router.rules.document import load_document, read_source
from router.rules.editor_schema import RULES_SCHEMA_NAME, editor_schema, rules_schema_text
from router.rules.reference import reference
from tests.unit.rules.problems import check_rules

CONFIG = Path(__file__).parents[3] / "config"
TESTDATA = Path(__file__).parent / "testdata"
SCHEMA = json.loads(rules_schema_text())
SHOWN = re.findall(r"^```yaml\n(.*?)^```", reference(), re.MULTILINE | re.DOTALL)

# Mistakes of form; what a name means, and whether hours can be read, no schema tells.
FORM = [
    *("actions-misspelt", "age-in-words", "band-key-misspelt", "calendar-hours-missing", "calendar-key-misspelt"),
    *("calendar-without-group", "calendars-misspelt", "caller-without-country-code", "choice-misspelt"),
    *("conditions-misspelt", "hours-too-long", "item-instead-of-group", "key-missing", "key-misspelt"),
    *("language-with-hyphen", "list-as-called-number", "list-with-path", "no-unit", "note-too-long"),
    *("queue-bound-misspelt", "queue-bound-without-side", "queue-bounds-out-of-range", "queue-without-target"),
    *("queue-longest-wait-without-unit", "queue-name-injects", "rate-out-of-range", "repeat-key-misspelt"),
    *("repeat-without-group", "rollout-as-fraction", "rollout-without-percent", "rule-overflow-without-group"),
    *("speech-name-with-underscore", "targets-misspelt", "when-misspelt"),
]


def every_model(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those of its fields."""

    def of(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - a type expression
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from every_model(annotation)
        for part in get_args(annotation):
            yield from of(part)

    yield model
    for info in model.model_fields.values():
        yield from of(info.annotation)


def data_of(path_or_text: Path | str) -> Any:  # noqa: ANN401 - a document's
    text = path_or_text if isinstance(path_or_text, str) else path_or_text.read_text(encoding="utf-8-sig")
    return load_document(text, "f").data


def wrong_with(data: object) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(data)]


def test_the_published_schema_is_that_of_the_models() -> None:
    published = (CONFIG / RULES_SCHEMA_NAME).read_text(encoding="utf-8")
    assert published == rules_schema_text(), "run `make schema`"


def test_the_schema_is_one_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_rules_name_it_and_satisfy_it() -> None:
    source = read_source(CONFIG / "routing.yaml")
    assert not hasattr(source, "message")
    text = (CONFIG / "routing.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={RULES_SCHEMA_NAME}"
    assert wrong_with(data_of(text)) == []


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_every_file_of_the_reference_satisfies_it(text: str) -> None:
    assert wrong_with(data_of(text)) == []


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.yaml")), ids=lambda path: path.stem)
def test_it_takes_what_is_right_and_refuses_what_is_wrong_in_form(path: Path) -> None:
    problems = check_rules(path)
    if all(problem.severity == "warning" for problem in problems):
        assert wrong_with(data_of(path)) == []
    if path.stem in FORM:
        assert wrong_with(data_of(path)) != []


def test_the_list_of_mistakes_of_form_names_files_there_are() -> None:
    assert set(FORM) <= {path.stem for path in TESTDATA.glob("*.yaml")}


def test_nothing_in_it_is_pydantic_s() -> None:
    text = rules_schema_text()
    for word in ('"title": "Age', '"null"', '"ge":', '"le":', '"title": "WhenEntry"', 'default": []', 'default": 0,'):
        assert word not in text
    when = SCHEMA["$defs"]["WhenEntry"]["properties"]
    assert when["rollout"]["description"].startswith("The caller is one of this share")
    assert SCHEMA["$defs"]["ThenEntry"]["properties"]["head_start"]["default"] == "0s"
    assert SCHEMA["properties"]["targets"]["additionalProperties"] is False
    choices = json.dumps(when["choice"])
    assert all(choice in choices for choice in ("slower", "normal", "person", "none"))


def test_each_key_of_any_file_may_have_its_purpose_and_its_form_in_one_text() -> None:
    class Small(BaseModel):
        """A group."""

        plain: int = 3

    schema = editor_schema(Small, "A small file")
    assert schema["title"] == "A small file"
    assert schema["properties"] == {"plain": {"type": "integer", "default": 3}}
