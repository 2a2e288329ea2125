"""The pictures in the documentation show what is there now."""

from __future__ import annotations

import re

from lab.places import PROJECT
from lab.screens import MADE_FROM, made_from
from lab.screens_wallboard import IMAGES


def test_pictures_are_made_from_what_is_there_now() -> None:
    assert MADE_FROM.read_text() == made_from(), "run `make screenshots`, and look at the pictures"


def test_every_picture_is_shown_and_every_one_shown_is_there() -> None:
    pages = [PROJECT / "README.md", *PROJECT.glob("docs/*.md")]
    shown = {name for page in pages for name in re.findall(r"images/([\w.-]+\.(?:png|svg))", page.read_text())}
    assert shown == {file.name for file in IMAGES.iterdir() if file != MADE_FROM}
