"""How far a load has come, in a file of the work folder that is there whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, Field, ValidationError

from router.callers.feed.manifest import replace_file
from router.callers.generation import Generation
from router.callers.keys import TAGS

FULL, DELTA = "full-load.json", "delta-load.json"
NOTHING: Final = "nothing"

_Checkpoint = TypeVar("_Checkpoint", bound=BaseModel)


class Replaced(BaseModel):
    """A generation that is no longer in force, and whose buckets are to be removed."""

    generation: int
    buckets: int


class FullCheckpoint(BaseModel):
    """Of a full load.

    Attributes:
        base: What was in force when it began, see `fingerprint`.
        planned: The generation, with what has been loaded of it so far.
        parts: How many were loaded.
        sizes: How many callers each of those had.
        fullest: The key of its fullest bucket so far.
        switched_at: Epoch seconds; None before.
        replaced: What was in force before.
    """

    base: str
    planned: Generation
    parts: Annotated[int, Field(ge=0, le=TAGS)] = 0
    sizes: Annotated[list[int], Field(max_length=TAGS)] = []
    fullest: str = ""
    switched_at: float | None = None
    replaced: Replaced | None = None


class DeltaCheckpoint(BaseModel):
    """Of a delta that was counted and is being applied.

    Attributes:
        base: What was in force when it was counted.
        feed: The delta's identity.
        planned: What will be in force when all is applied.
        changes: `[stored before, stored after, how many]`, 0 for nothing stored.
        parts: How many were applied.
    """

    base: str
    feed: str
    planned: Generation
    changes: list[tuple[int, int, int]]
    parts: Annotated[int, Field(ge=0, le=TAGS)] = 0


def fingerprint(text: bytes | None) -> str:
    """Tells what is in force from what was in force at another time."""
    return NOTHING if text is None else hashlib.sha256(text).hexdigest()


def read_checkpoint(folder: Path, name: str, kind: type[_Checkpoint]) -> _Checkpoint | None:
    """What is there; None too for what cannot be used, as work is then done again."""
    try:
        return kind.model_validate_json((folder / name).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_checkpoint(folder: Path, name: str, checkpoint: BaseModel) -> None:
    """Put it there, on the disk, at once.

    Raises:
        OSError: The disk is full, or the folder may not be written.
    """
    replace_file(folder / name, checkpoint.model_dump_json().encode())


def remove_checkpoint(folder: Path, name: str) -> None:
    """It is done."""
    (folder / name).unlink(missing_ok=True)
