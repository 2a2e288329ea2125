"""What goes to Redis and what comes back."""

from __future__ import annotations

from typing import Any, TypeAlias

Command: TypeAlias = tuple[str | bytes | int | float, ...]
Reply: TypeAlias = Any
"""What Redis answers: bytes, a whole number, None, a list of these, or a `ResponseError` that was not raised."""
