"""The catalogue of prompts, `config/prompts.yaml`: what is said, in each language, and where.

    greeting:
      use: the first words of every call
      text:
        en: ["Welcome, and thank you for calling."]

Every mistake in the file is reported at once, each with its line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from router.errors import ConfigurationError, Problem
from router.speech.profile import is_language

# A sentence of 300 characters takes some 20 s, more than anybody should be told in one breath.
LONGEST_SENTENCE_CHARACTERS: Final = 300
_LARGEST_FILE_BYTES: Final = 1_000_000

_Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
_Sentence = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SENTENCE_CHARACTERS)]
_Sentences = Annotated[list[_Sentence], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Attributes:
        id: Its file's name: `sounds/<language>/elder/<id>.wav`.
        use: Where callers hear it, for whoever edits the text.
        text: Sentences by language.
    """

    id: str
    use: str
    text: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All prompts, in the file's order."""

    prompts: tuple[Prompt, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language that some prompt is in, in the order of their first appearance."""
        return tuple(dict.fromkeys(language for prompt in self.prompts for language in prompt.text))


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    use: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SENTENCE_CHARACTERS)]
    text: Annotated[dict[str, _Sentences], Field(min_length=1)]


_FILE = TypeAdapter(Annotated[dict[_Id, _Entry], Field(min_length=1)])


def load_catalogue(path: Path) -> Catalogue:
    """Read the catalogue.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; `problems` holds all that is.
    """
    document = _parsed(path)
    problems: list[Problem] = []
    entries: Mapping[str, _Entry] = {}
    try:
        entries = _FILE.validate_python(document)
    except ValidationError as error:
        problems = [_problem(path, document, details) for details in error.errors(include_url=False)]
    problems += _problems_with_words(path, document)
    if problems:
        raise ConfigurationError(sorted(problems))
    return Catalogue(
        tuple(
            Prompt(name, entry.use, {language: tuple(said) for language, said in entry.text.items()})
            for name, entry in entries.items()
        )
    )


def _parsed(path: Path) -> object:
    """The file as ruamel's containers, which know their lines."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from error
    if len(content) > _LARGEST_FILE_BYTES:
        raise ConfigurationError([Problem(str(path), 0, 0, "is larger than 1 MB: this is not a prompt catalogue")])
    try:
        document: object = YAML(typ="rt", pure=True).load(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(str(path), line, 1, "is not UTF-8: save the file as UTF-8")]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = next(iter((error.problem or "this is not YAML").splitlines()), "")
        raise ConfigurationError([Problem(str(path), line, column, said)]) from error
    except YAMLError as error:
        raise ConfigurationError([Problem(str(path), 0, 0, str(error).splitlines()[0])]) from error
    return document


def _problems_with_words(path: Path, document: object) -> Iterable[Problem]:
    """What the types do not say: a language may be a directory, and a sentence is one line."""
    for name, entry in _items(document):
        for language, sentences in _items(entry.get("text") if isinstance(entry, CommentedMap) else None):
            place = (name, "text", language)
            if not isinstance(language, str) or not is_language(language):
                yield _at(path, document, place, f"{language!r} is not a language; write it like en, zh or en_GB")
            for index, sentence in enumerate(sentences if isinstance(sentences, CommentedSeq) else ()):
                if isinstance(sentence, str) and not (sentence.strip() and sentence.isprintable()):
                    message = "write one sentence on one line, without tabs or other control characters"
                    yield _at(path, document, (*place, index), message)


def _items(node: object) -> Iterable[tuple[object, object]]:
    return node.items() if isinstance(node, CommentedMap) else ()


def _problem(path: Path, document: object, details: ErrorDetails) -> Problem:
    """One of pydantic's findings, in words for whoever edits the file."""
    place = details["loc"]
    last = str(place[-1]) if place else ""
    match details["type"]:
        case "missing":
            message = f"`{place[0]}` has no `{last}`: every prompt has `use` (where it is heard) and `text`"
        case "extra_forbidden":
            nearest = difflib.get_close_matches(last, ("use", "text"), n=1)
            hint = f"did you mean `{nearest[0]}`?" if nearest else "a prompt has only `use` and `text`"
            message = f"`{last}` is not known here: {hint}"
        case "string_pattern_mismatch":
            message = f"`{place[0]}` cannot name a prompt: use small letters, digits and - (40 at most)"
        case "string_type":
            message = 'this must be text: put it in quotes, like "Please stay on the line."'
        case "list_type":
            message = "this must be a list of sentences, each on a line of its own that begins with `- `"
        case "string_too_long":
            message = f"this is longer than {LONGEST_SENTENCE_CHARACTERS} characters: make it several sentences"
        case "dict_type" | "model_type" | "model_attributes_type":
            message = (
                f"`{last}` must hold sentences by language, like en: and zh:"
                if last == "text"
                else "this must be a group of prompts, each with `use` and `text`"
            )
        case "too_short" | "string_too_short":
            message = "this is empty: write at least one sentence, or remove it"
        case _:
            message = details["msg"]
    return _at(path, document, place, message)


def _at(path: Path, document: object, place: Sequence[object], message: str) -> Problem:
    """A problem at the deepest node of `place` that the document has."""
    line, column, node = 0, 0, document
    for step in place:
        if isinstance(node, CommentedMap) and step in node:
            line, column = node.lc.key(step)
        elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
            line, column = node.lc.item(step)
        else:
            break
        node = node[step]
        line, column = line + 1, column + 1
    return Problem(str(path), line, column, message)
