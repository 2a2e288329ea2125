"""Text that nobody prepared, as an installer's dialplan sends it, taken apart into sentences."""

from __future__ import annotations

import re
from typing import Final

from router.errors import SpeechError
from router.speech.catalogue_file import LONGEST_SENTENCE_CHARACTERS
from router.speech.sentence import Sentence

# A minute and more of speech, and more than an AMI event carries besides its other headers.
LONGEST_TEXT_CHARACTERS: Final = 1000

# A sentence ends at a Chinese mark wherever it stands, at another before a space: 3.5 is one number. Titles end none.
_END = re.compile(
    r"(?<=[。！？；])(?![”’」』）])|(?<=[。！？][”’」』）])"
    r"|(?<=[.!?…])(?<!\bMr\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bNo\.)(?<!\bMrs\.)\s|(?<=[.!?][\"')\u201d])\s"
)
_BREATH = re.compile(r"(?<=[，、；：])|(?<=[,;:])\s|\s")


def sentences_of_text(text: str) -> tuple[Sentence, ...]:
    """The sentences of a text; one that is too long to be said in one breath is parted at a comma, else a space.

    Raises:
        SpeechError: The text is empty or too long, or holds characters that nobody can say.
    """
    plain = " ".join(text.split())
    if not any(c.isalnum() for c in plain):
        raise SpeechError("there are no words in this text; send some")
    if len(plain) > LONGEST_TEXT_CHARACTERS:
        raise SpeechError(f"this text has {len(plain)} characters; send {LONGEST_TEXT_CHARACTERS} at most")
    if not plain.isprintable():
        odd = next(c for c in plain if not c.isprintable())
        raise SpeechError(f"the character U+{ord(odd):04X} in this text cannot be said; take it out")
    parts = (part.strip() for part in _END.split(plain))
    pieces = [piece for part in parts if part for piece in _in_breaths(part)]
    return tuple(Sentence((piece,)) for piece in _with_words(pieces))


def _in_breaths(sentence: str) -> list[str]:
    pieces: list[str] = []
    rest = sentence
    while len(rest) > LONGEST_SENTENCE_CHARACTERS:
        head = rest[:LONGEST_SENTENCE_CHARACTERS]
        cuts = [match.end() for match in _BREATH.finditer(head) if 0 < match.end() < len(head)]
        commas = [cut for cut in cuts if head[:cut].rstrip()[-1:] in "，、；：,;:"]
        cut = (commas or cuts or [len(head)])[-1]
        pieces.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return [*pieces, rest] if rest else pieces


def _with_words(pieces: list[str]) -> list[str]:
    """Lone punctuation, as in `… and so on. . .`, is nothing to say."""
    return [piece for piece in pieces if any(c.isalnum() for c in piece)]
