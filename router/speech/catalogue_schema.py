"""JSON Schema of the files of prompts, for editors that complete and check while one types.

An editor sees the form only; whether sentences fit their values and one another, `elder-router prompts check` tells.
"""

from __future__ import annotations

import json
from typing import Final

from router.rules.editor_schema import editor_schema
from router.speech.catalogue_file import PromptsFile

PROMPTS_SCHEMA_NAME: Final = "prompts.schema.json"


def prompts_schema_text() -> str:
    """The schema as it is published."""
    schema = editor_schema(PromptsFile, "What callers of elder-router hear")
    # A file's prompts stand at its top; the key that the model has them below is not written.
    (prompts,) = schema["properties"].values()
    whole = {"$schema": schema["$schema"], "title": schema["title"], **prompts, "$defs": schema["$defs"]}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
