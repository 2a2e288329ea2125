"""What a caller's earlier calls may have left behind: the words for it, shared by the registry and the rules."""

from __future__ import annotations

from typing import Final

CHOICES: Final = ("slower", "normal", "person")
"""What a caller can choose during a call and have remembered."""

MOST_EARLIER_CALLS: Final = 20
"""Earlier calls of one caller that are kept and counted; who called more often is known well enough."""

NO_CHOICE: Final = "none"
"""How the lack of a choice is written."""
