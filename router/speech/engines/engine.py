"""What every engine can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Engine(Protocol):
    """Anything that can speak."""

    @property
    def native_rate(self) -> bool:
        """Whether it can speak at another rate by itself; otherwise its sound is stretched."""
        ...

    @property
    def takes_pauses(self) -> bool:
        """Whether it puts the pauses between phrases itself; otherwise it is given one phrase at a time."""
        ...

    def identity(self, language: str) -> str:
        """What, beside text and rate, decides how it sounds: engine, version, voice. It holds no secret.

        A change makes prompts be made again.

        Raises:
            SpeechError: the engine has no voice for the language.
        """
        ...

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,
        rate: float,
        pause_s: float = 0.0,
        *,
        deadline_s: float | None = None,
    ) -> bytes:
        """Speak one sentence.

        Args:
            phrases: What to say, at least one; exactly one where the engine takes no pauses.
            language: Such as `en` or `zh_CN`.
            rate: Against the voice's usual speed. It need not be met exactly; the caller measures.
            pause_s: Silence between two phrases.
            deadline_s: How long it may take; without it, the engine's own limit holds.

        Returns:
            A WAV of any sample rate, with or without silence around the speech.

        Raises:
            SpeechError: it could not be spoken, or not in time.
        """
        ...
