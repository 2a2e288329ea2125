"""The journal's contract as a JSON Schema (draft 2020-12), for readers in other languages."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from router.journal.records import SCHEMA_VERSION, ConditionRecord, DecisionRecord, OutcomeRecord, PromotionRecord


def journal_schema() -> dict[str, Any]:
    """One schema that every line of a journal satisfies: a decision, an outcome, a promotion or a condition."""
    references, definitions = models_json_schema(
        [(kind, "serialization") for kind in (DecisionRecord, OutcomeRecord, PromotionRecord, ConditionRecord)],
        ref_template="#/$defs/{model}",
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of the elder-router journal, schema version {SCHEMA_VERSION}",
        "oneOf": list(references.values()),
        "$defs": definitions["$defs"],
    }


def schema_text() -> str:
    """The schema as the published file holds it."""
    return json.dumps(journal_schema(), indent=2, ensure_ascii=False) + "\n"
