"""What the browser is given: a page, its style, its scripts and its words, read once from `page/`.

None of it holds anything of a call, so that styles and scripts are given to everybody; figures come by events.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

PAGE: Final = "index.html"
LOGIN: Final = "login.html"
LANGUAGES: Final = ("en", "zh")
"""The first is spoken to those who ask for none of them."""

KINDS: Final[Mapping[str, str]] = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Files of these endings are given by their name, and nothing else is."""


@dataclass(frozen=True, slots=True)
class PageFiles:
    """All of it.

    Attributes:
        version: Changes with any of it: a page of another version loads itself anew.
        page: The wallboard.
        given: Name → kind and content of what belongs to it.
        words: Of each language.
    """

    version: str
    page: str
    given: Mapping[str, tuple[str, bytes]]
    words: Mapping[str, Mapping[str, str]]
    _login: str

    def login(self, language: str, said: str = "", *, is_asked: bool = False) -> str:
        """The login form.

        Args:
            language: One of `LANGUAGES`.
            said: Which of the words is said above it: what was wrong.
            is_asked: Whether the address asked for the language, which then goes for the page behind it too.
        """
        words = self.words[language]
        asked = f"?lang={language}" if is_asked else ""
        texts = {name: words[f"login.{name}"] for name in ("title", "token", "enter")}
        return _filled(self._login, texts | {"language": language, "said": words[said] if said else "", "asked": asked})


def language_of(wanted: str) -> str:
    """The first of `LANGUAGES` in an Accept-Language header, whatever its weight."""
    for part in wanted.lower().split(","):
        name = part.strip().partition(";")[0].partition("-")[0]
        if name in LANGUAGES:
            return name
    return LANGUAGES[0]


def page_files() -> PageFiles:
    """Read all of it."""
    folder = files(__package__) / "page"
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    whole = hashlib.sha256(b"".join(name.encode() + contents[name] for name in sorted(contents)))
    version = whole.hexdigest()[:12]
    words = {language: json.loads(contents[f"words.{language}.json"]) for language in LANGUAGES}
    # In a script element nothing but `</script` and `<!--` would be read as anything but text.
    told = json.dumps(words, ensure_ascii=False).replace("<", "\\u003c")
    page = contents[PAGE].decode().replace("{{words}}", told).replace("{{version}}", version)
    given = {
        name: (kind, content)
        for name, content in contents.items()
        for ending, kind in KINDS.items()
        if name.endswith(ending)
    }
    return PageFiles(version, page, given, words, contents[LOGIN].decode())


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", html.escape(value))
    return text
