"""The prompts at every speed, in the cache directory: Asterisk's core sounds and the router's own."""

from __future__ import annotations

import asyncio

from lab.asterisk_server import asterisk_root
from lab.centre import ELDER_ROUTER
from lab.places import PROJECT, SOUNDS
from lab.processes import LabError


async def main() -> int:
    """Build what changed; quick when nothing did."""
    cores = sorted((asterisk_root() / "usr/share/asterisk/sounds").glob("en_US_*"))
    if not cores:
        raise LabError("no core sounds with this Asterisk: run `make setup`")
    config = PROJECT / "config"
    process = await asyncio.create_subprocess_exec(
        ELDER_ROUTER, "prompts", "build", "--sounds", str(SOUNDS), "--core", f"en={cores[0]}",
        "--prompts", str(config / "prompts"), "--rules", str(config / "routing.yaml"),
        "--language", "en", "--language", "zh",
    )  # fmt: skip
    return await process.wait()
