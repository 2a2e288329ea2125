"""What the README shows is what the commands print."""

from __future__ import annotations

from lab.walk import README, replaced, walk


async def test_the_readmes_walk_shows_what_the_commands_print() -> None:
    text = README.read_text(encoding="utf-8")
    assert replaced(text, await walk()) == text, "run `make readme`"
