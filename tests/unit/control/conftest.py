from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, as a socket's path must be."""
    with tempfile.TemporaryDirectory(prefix="elder-") as name:
        yield Path(name)
