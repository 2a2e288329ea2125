"""A sentence with gaps for values, as the catalogue has it.

    You are [number {position}] in the queue.

A value is a phrase of its own, with the profile's pause before and after it, so that the number stands out.
Square brackets keep words together with it. Punctuation behind a value belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")

_TOKEN = re.compile(r"\{([^{}\[\]]*)\}|([\[\]{}])|([^{}\[\]]+)")
_WORD = re.compile(r"\w")
_CLOSING = re.compile(r"[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a value goes."""

    name: str


Part: TypeAlias = tuple[str | Gap, ...]
"""What is said in one go: words, or a value, or both together."""


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence, taken apart."""

    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The values that it needs, in their order."""
        gaps = (token.name for part in self.parts for token in part if isinstance(token, Gap))
        return tuple(dict.fromkeys(gaps))

    def filled(self, values: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """The sentence's phrases.

        Args:
            values: For each name, the phrases that its value is said in, at least one.
        """
        phrases: list[str] = []
        follows_value = False
        for part in self.parts:
            for phrase in _said(part, values):
                text = phrase
                if follows_value and (closing := _CLOSING.match(text)):
                    phrases[-1] += closing[0]
                    text = text[closing.end() :]
                if text.strip():
                    phrases.append(text.strip())
                follows_value = False
            follows_value = any(isinstance(token, Gap) for token in part)
        return tuple(_without_lone_marks(phrases))


def parse_template(text: str) -> Template:
    """Take a sentence apart.

    Raises:
        ValueError: Braces or brackets do not fit together; the message says what to write.
    """
    parts: list[Part] = []
    together: list[str | Gap] | None = None
    for match in _TOKEN.finditer(text):
        piece = _token(match)
        if piece == "[" and together is None:
            together = []
        elif piece == "]" and together is not None:
            if not any(isinstance(entry, Gap) for entry in together):
                raise ValueError("square brackets keep words together with a value, like [number {position}]")
            parts.append(tuple(together))
            together = None
        elif isinstance(piece, str) and piece in "[]":
            raise ValueError(f"a {piece} stands here that has no partner; write pairs, like [number {{position}}]")
        elif together is not None:
            together.append(piece)
        else:
            parts.append((piece,))
    if together is not None:
        raise ValueError("a [ stands here that has no partner; write pairs, like [number {position}]")
    return Template(tuple(parts))


def _token(match: re.Match[str]) -> str | Gap:
    name, mark, words = match.groups()
    if name is not None:
        if not NAME.fullmatch(name):
            raise ValueError("the name of a value goes between braces, like {position}: small letters and _")
        return Gap(name)
    if mark in ("{", "}"):
        raise ValueError(f"a {mark} stands here that has no partner; values go in a pair, like {{position}}")
    return str(mark or words)


def _said(part: Part, values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    current = ""
    for token in part:
        if isinstance(token, str):
            current += token
            continue
        first, *others = values[token.name]
        current += first
        for phrase in others:
            yield current
            current = phrase
    yield current


def _without_lone_marks(phrases: Sequence[str]) -> list[str]:
    """Punctuation alone is nothing to say: it goes with the words before it, at the beginning with those after."""
    said: list[str] = []
    for phrase in phrases:
        if said and not (_WORD.search(phrase) and _WORD.search(said[-1])):
            said[-1] += phrase
        else:
            said.append(phrase)
    return said
