"""The files of the catalogue, `config/prompts/*.yaml`, field by field; read all together.

Every description completes the sentence "it must be …". What one file says is checked here by itself; what
several files say of one prompt, in `catalogue`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from router.errors import Problem
from router.rules.document import Document, load_document, read_source, validate
from router.speech.profile import is_language
from router.speech.template import NAME, parse_template
from router.speech.values import Kind

# A sentence of 300 characters takes some 20 s, more than anybody should be told in one breath.
LONGEST_SENTENCE_CHARACTERS: Final = 300
MOST_SENTENCES: Final = 30
MOST_FILES: Final = 100

_SOUND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}(?:/[A-Za-z0-9][A-Za-z0-9_-]{0,39}){0,3}")
# What a Chinese keyboard writes instead of { and }, and voices would pass over with the name between them.
_FULL_WIDTH = re.compile("[｛｝]")


def _is_sentence(text: str) -> str:
    if not text.isprintable():
        raise ValueError("write one sentence on one line, without tabs or other control characters")
    if not any(c.isalnum() for c in text):
        raise ValueError("there are no words in this sentence; write some, or remove it")
    if found := _FULL_WIDTH.search(text):
        raise ValueError(f"this {found[0]} is full-width; values go between the ASCII characters {{ and }}")
    parse_template(text)
    return text


def _names_language(text: str) -> str:
    if not is_language(text):
        raise ValueError("this is not a language; write it like en, zh or en_GB")
    first, *others = text.replace("-", "_").split("_")
    if (named := "_".join([first.lower(), *others])) != text:
        raise ValueError(f"write {named}: the channels of Asterisk that speak it name it so")
    return text


def _is_sound(text: str) -> str:
    if not _SOUND.fullmatch(text) or text.startswith("elder/"):
        raise ValueError("must be a sound of Asterisk's own, as it is named without its language, like digits/1")
    return text


def _is_variable(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("must be a name of small letters and _, like position")
    return text


_Id = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="a name of small letters, digits and -, 40 at most")
]
_Language = Annotated[str, AfterValidator(_names_language), Field(description="a language, like en, zh or en_GB")]
_Sentence = Annotated[
    str,
    Field(max_length=LONGEST_SENTENCE_CHARACTERS, description='text in quotes, like "Please stay on the line."'),
    # Last, or the length would be that of no text in pydantic's eyes.
    AfterValidator(_is_sentence),
]
_Sentences = Annotated[
    list[_Sentence],
    Field(
        min_length=1,
        max_length=MOST_SENTENCES,
        description="a list of sentences, each on a line of its own that begins with `- `",
    ),
]
_VariableName = Annotated[str, AfterValidator(_is_variable), Field(description="a name of small letters and _")]
_RecordingPath = Annotated[
    str, Field(min_length=1, max_length=4096, description="a recording's path, from this file's folder")
]


class Entry(BaseModel):
    """One prompt. Without `use`, it adds languages to the prompt of the same name in another file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    use: Annotated[
        str | None,
        Field(min_length=1, max_length=LONGEST_SENTENCE_CHARACTERS, description="a text: where callers hear this"),
    ] = None
    text: Annotated[
        dict[_Language, _Sentences],
        Field(min_length=1, description='sentences by language, like {en: ["Please stay on the line."]}'),
    ]
    variables: Annotated[
        dict[_VariableName, Annotated[Kind, Field(description="a kind of value")]],
        Field(description="kinds of values by name, like {position: number}"),
    ] = {}
    essential: Annotated[
        int | None,
        Field(ge=1, le=MOST_SENTENCES, description="the number of the most important sentence, counted from 1"),
    ] = None
    sound: Annotated[
        str | None, AfterValidator(_is_sound), Field(description="a sound of Asterisk's own, like digits/1")
    ] = None
    recording: Annotated[
        dict[_Language, _RecordingPath],
        Field(description="recordings by language, like {zh: studio/greeting.wav}"),
    ] = {}


class PromptsFile(BaseModel):
    """A whole file, below the key that its document is given."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    prompts: Annotated[dict[_Id, Entry], Field(min_length=1, description="prompts by name")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands, for problems that show only when all files are read."""

    document: Document
    id: str

    def problem(self, *path: str | int, message: str, at_key: bool = False) -> Problem:
        """A problem with what stands at `path` in the entry."""
        return self.document.problem((_ROOT, self.id, *path), message, at_key=at_key or not path)

    @property
    def says(self) -> str:
        """`greeting.yaml, line 3`, for another place's message."""
        line, _ = self.document.key_position((_ROOT, self.id))
        return f"{Path(self.document.file).name}, line {line}"


# The fields' names lead pydantic's findings to their places; the prompts' own have no field, and get one.
_ROOT: Final = "prompts"


def read_entries(path: Path) -> tuple[list[tuple[Place, Entry]], list[Problem]]:
    """Read a file of prompts, or all `*.yaml` of a folder, in the order of their names.

    Returns:
        The entries of the files that are right by themselves, and everything that is wrong with the others.
    """
    files, problems = _files_of(path)
    entries: list[tuple[Place, Entry]] = []
    for file in files:
        source = read_source(file)
        if isinstance(source, Problem):
            problems.append(source)
            continue
        document = _below_root(load_document(source.text, source.file))
        checked, found = validate(document, PromptsFile)
        problems += found
        if checked is not None:
            entries += [(Place(document, name), entry) for name, entry in checked.prompts.items()]
    return entries, problems


def _files_of(path: Path) -> tuple[list[Path], list[Problem]]:
    if not path.is_dir():
        return [path], []
    try:
        names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        return [], [Problem(str(path), 0, 0, f"this folder cannot be read: {error.strerror}")]
    files = [path / name for name in names if name.endswith(".yaml")]
    problems = [
        Problem(str(path / name), 0, 0, "rename this file to end in .yaml, as only those are read")
        for name in names
        if name.lower().endswith((".yml", ".yaml")) and not name.endswith(".yaml")
    ]
    if not files and not problems:
        problems.append(Problem(str(path), 0, 0, "no file in this folder ends in .yaml; put the prompts there"))
    if len(files) > MOST_FILES:
        return [], [Problem(str(path), 0, 0, f"more than {MOST_FILES} files; is this the folder of prompts?")]
    return files, problems


def _below_root(document: Document) -> Document:
    if document.data is None:
        return document
    return replace(
        document,
        data={_ROOT: document.data},
        value_places={(_ROOT, *path): place for path, place in document.value_places.items()},
        key_places={(_ROOT, *path): place for path, place in document.key_places.items()},
    )
