"""How hard the property tests look: HYPOTHESIS_PROFILE=long, as `make fuzz` says, looks for long."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: on a busy machine a slow example is no finding.
settings.register_profile("default", deadline=None)
settings.register_profile("long", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
