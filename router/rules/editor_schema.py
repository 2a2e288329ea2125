"""JSON Schema of the files that people edit, for editors that complete and check while one types.

An editor sees the form only: whether a name is defined, hours can be read or a protected caller reaches a person, is
told by `elder-router check`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

from router.rules.durations import in_words
from router.rules.schema import RulesFile

RULES_SCHEMA_NAME: Final = "routing.schema.json"

_NULL: Final = {"type": "null"}
# Bounds on what a duration or a share comes to, which are none on its text.
_BOUNDS: Final = frozenset({"ge", "gt", "le", "lt"})


def rules_schema_text() -> str:
    """The schema of a rules file as it is published."""
    return editor_schema_text(RulesFile, "The routing rules of elder-router")


def editor_schema_text(model: type[BaseModel], title: str) -> str:
    """A schema as the published file holds it."""
    return json.dumps(editor_schema(model, title), indent=2, ensure_ascii=False) + "\n"


def editor_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """The schema (draft 2020-12) of a file that becomes `model`, as people write it."""
    made = model.model_json_schema(schema_generator=_WithoutTitles)
    for definition in (made, *made.get("$defs", {}).values()):
        definition.pop("title", None)  # a class's name
    schema: dict[str, Any] = _as_written(made)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


class _WithoutTitles(GenerateJsonSchema):
    """A title that only spells a key in capitals is none; those that say what a key is for stay."""

    def field_title_should_be_set(self, schema: JsonSchemaValue | CoreSchema) -> bool:  # noqa: ARG002 - pydantic's
        """Whether to make one up."""
        return False


def _as_written(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """A key is left out and not null; its title and description are one text; only names as they must be are taken."""
    if isinstance(schema, list):
        return [_as_written(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _as_written(value) for key, value in schema.items() if key not in _BOUNDS}
    if isinstance(choices := kept.get("anyOf"), list) and _NULL in choices:
        present = [choice for choice in choices if choice != _NULL]
        del kept["anyOf"]
        kept = {**kept, "anyOf": present} if len(present) > 1 else {**present[0], **kept}
    _describe(kept)
    _default(kept)
    if "patternProperties" in kept:
        kept.pop("propertyNames", None)
        kept["additionalProperties"] = False
    return kept


def _describe(schema: dict[str, Any]) -> None:
    title, description = schema.get("title"), schema.get("description")
    if isinstance(title, str) and isinstance(description, str):
        del schema["title"]
        schema["description"] = f"{title[0].upper()}{title[1:]}. It must be {description}."


def _default(schema: dict[str, Any]) -> None:
    """Only a default that one could write is worth an editor's offer."""
    default = schema.get("default")
    if default in (None, "", [], {}):
        schema.pop("default", None)
    elif schema.get("type") == "string" and isinstance(default, int | float):
        schema["default"] = in_words(default)
