"""The files that are made from the models: JSON Schemas and the page of the rules. `make schema` writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lab.places import PROJECT
from router.journal.schema import schema_text
from router.rules.cases_schema import cases_schema_text
from router.rules.editor_schema import rules_schema_text
from router.rules.reference import reference
from router.speech.catalogue_schema import PROMPTS_SCHEMA_NAME, prompts_schema_text

GENERATED: Final[Mapping[Path, Callable[[], str]]] = {
    PROJECT / "docs" / "journal.schema.json": schema_text,
    PROJECT / "config" / "routing.schema.json": rules_schema_text,
    PROJECT / "config" / "routing-tests.schema.json": cases_schema_text,
    PROJECT / "config" / PROMPTS_SCHEMA_NAME: prompts_schema_text,
    PROJECT / "docs" / "rules.md": reference,
}


async def main() -> int:
    """Write what has changed, and say what that was."""
    for path, text in GENERATED.items():
        if path.read_text(encoding="utf-8") != (made := text()):
            path.write_text(made, encoding="utf-8")
            print(f"written: {path.relative_to(PROJECT)}")
    return 0
