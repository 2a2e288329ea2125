"""Where the lab finds things: the project's files, and what set-up keeps in the user's cache directory."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "elder-router"
ROOTFS = CACHE / "asterisk"
"""The root file system with Asterisk in it, where the system has none of its own."""
SOUNDS = CACHE / "sounds"
"""Asterisk's core sounds and the router's prompts at every speed."""
