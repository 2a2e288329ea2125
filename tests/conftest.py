"""How hard the property tests look: HYPOTHESIS_PROFILE=long, as `make fuzz` says, looks for long. And the log."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# No deadline: on a busy machine a slow example is no finding.
settings.register_profile("default", deadline=None)
settings.register_profile("long", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Commands silence the log of their process, which here is that of all tests."""
    yield
    structlog.reset_defaults()
