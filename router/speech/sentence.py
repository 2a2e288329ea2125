"""A sentence ready to be spoken: words between pauses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence.

    Attributes:
        phrases: What is said in one go, at least one, none of them blank. Between two lies the profile's
            `value_pause_s`: before and after a number, between groups of digits.
        essential: Whether it is said again at the prompt's end to those who want that.
    """

    phrases: tuple[str, ...]
    essential: bool = False

    @property
    def text(self) -> str:
        """All of it, as one would write it."""
        return " ".join(self.phrases)
