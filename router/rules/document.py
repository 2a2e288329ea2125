"""A YAML file as plain values that know where they stood, for every file that people edit.

Reads the small part of YAML that means the same to every reader, and refuses the rest with what to write
instead: duplicate keys, words read differently by different programs (see `scalars`), anchors, aliases, merge
keys, tags, tabs, several documents, keys without a value. Knows nothing of what the values are for: that is
the pydantic model given to `validate`.

The parser is ruamel.yaml's event parser, which does not recurse; values are built here, so that no YAML
constructs objects and every size has a limit.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from router.errors import Problem
from router.rules.scalars import printable, quoted, resolve_plain
from router.rules.wording import say_schema_error, say_syntax_error, without_echoes

# A thousand rules with a comment each are a quarter of this; parsing this much takes about a second and a
# half.
MAX_FILE_BYTES: Final = 256 * 1024
# The deepest field of any file here is the sixth level.
MAX_DEPTH: Final = 16
MAX_MESSAGE_CHARACTERS: Final = 600
_GROUP_AS_KEY: Final = "(a group)"  # the key where none can be said

DocumentPath: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]

# What no text editor shows: controls, other line ends, zero-width and direction marks, and halves of
# characters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufffe\uffff]"
)
_ODD_INDENT = re.compile(r"^ *[^\S \r\n]")
_LINE_END = re.compile(r"\r\n|\n|\r")

NO_SUCH_FILE: Final = "there is no such file; check the path"
"""What `read_source` says of a file that is not there: some files need not be."""

_NO_ORDINARY_FILE: Final = "this is no ordinary file but a pipe, a socket or a device; put a file there"
_UNREADABLE: Final[Mapping[int, str]] = {
    errno.ENOENT: NO_SUCH_FILE,
    errno.EISDIR: "this is a directory; name a file in it",
    errno.EACCES: "you may not read this file; check its owner and mode",
    errno.EPERM: "you may not read this file; check its owner and mode",
    errno.ENXIO: _NO_ORDINARY_FILE,
}

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Source:
    """A file as read: its text without a byte-order mark, and its bytes."""

    file: str
    text: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain values (dict with text keys, list, str, int, float, bool) and the place of each.

    `data` is None when nothing could be read; `problems` then says why. Otherwise `problems` holds what must
    be changed although a value could be read, in the file's order. What stands at the places of `doubtful` was read
    otherwise than it was meant, of which `problems` tell; other complaints of it would be echoes.
    """

    file: str
    data: Any
    problems: tuple[Problem, ...]
    value_places: Mapping[DocumentPath, Place] = field(repr=False)
    key_places: Mapping[DocumentPath, Place] = field(repr=False)
    doubtful: frozenset[Place] = field(default=frozenset(), repr=False)

    def position(self, path: DocumentPath) -> Place:
        """Line and column, from 1, of the value at `path`, or of the nearest thing around it that exists."""
        while path and path not in self.value_places:
            path = path[:-1]
        return self.value_places.get(path, (1, 1))

    def key_position(self, path: DocumentPath) -> Place:
        """Line and column, from 1, of the key at the end of `path`; of its value where it has no key."""
        return self.key_places.get(path) or self.position(path)

    def value(self, path: DocumentPath, otherwise: object) -> object:
        """What stands at `path`; `otherwise` where nothing does."""
        value = self.data
        for step in path:
            match value:
                case dict() if step in value:
                    value = value[step]
                case list() if isinstance(step, int) and step < len(value):
                    value = value[step]
                case _:
                    return otherwise
        return value

    def problem(self, path: DocumentPath, message: str, *, at_key: bool = False, warning: bool = False) -> Problem:
        """A problem with the value (or the key) at `path`."""
        line, column = self.key_position(path) if at_key else self.position(path)
        return Problem(self.file, line, column, _one_line(message), "warning" if warning else "error")


def open_ordinary(path: Path, *, follow_links: bool = True) -> BinaryIO:
    """Open a file to be read, and nothing but a file: opening a pipe waits for a writer, for ever.

    Raises:
        OSError: It cannot be opened; ENXIO, with words for people, where it is a pipe, a socket or a device.
        ValueError: No file can have such a name.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow_links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:  # the kernel's word for a socket
            raise OSError(errno.ENXIO, _NO_ORDINARY_FILE, str(path)) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.ENXIO, _NO_ORDINARY_FILE, str(path))


def read_source(path: Path, max_bytes: int = MAX_FILE_BYTES) -> Source | Problem:
    """Read a file that people edit: UTF-8, with or without a byte-order mark, up to `max_bytes`.

    Returns:
        Its text, or the one problem that kept it from being read.
    """
    try:
        with open_ordinary(path) as stream:
            raw = stream.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        known = _UNREADABLE.get(error.errno or 0) if isinstance(error, OSError) else None
        return Problem(str(path), 0, 0, known or f"the file cannot be read: {error}")
    return source_of(raw, str(path), max_bytes)


def source_of(raw: bytes, file: str, max_bytes: int = MAX_FILE_BYTES) -> Source | Problem:
    """The same of a file's content that is at hand."""
    if len(raw) > max_bytes:
        return Problem(file, 0, 0, f"the file is larger than {max_bytes // 1024} KiB; is it the right one?")
    if b"\0" in raw:
        return Problem(file, 0, 0, "this is not a text file in UTF-8; save it as plain text, encoding UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        return Problem(file, line, column, "this character is not UTF-8; save the file with encoding UTF-8")
    return Source(file, text, raw)


def load_document(text: str, file: str) -> Document:
    """Read YAML text; whatever it holds, the answer is a `Document` and never an exception.

    Args:
        text: The file's content.
        file: Its name, for the problems.
    """
    if len(text) > MAX_FILE_BYTES:
        size = f"the file is larger than {MAX_FILE_BYTES // 1024} KiB; is it the right one?"
        return _unread(file, [Problem(file, 0, 0, size)])
    if problems := _character_problems(text, file):
        return _unread(file, problems)
    builder = _Builder(file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
            if builder.stopped:
                return _unread(file, builder.problems)
    except MarkedYAMLError as error:
        line, column, message = say_syntax_error(error, _LINE_END.split(text))
        return _unread(file, [*builder.problems, Problem(file, line, column, _one_line(message))])
    except (YAMLError, ValueError, OverflowError) as error:
        # `\U` escapes beyond Unicode and the like: the scanner's own `chr` fails.
        first_line = _one_line(str(error).partition("\n")[0])
        return _unread(file, [*builder.problems, Problem(file, 0, 0, f"this is not YAML: {first_line}")])
    return builder.document()


def validate(document: Document, model: type[ModelT]) -> tuple[ModelT | None, list[Problem]]:
    """Check a document against a pydantic model.

    Returns:
        The model, or None when there is any error; and all problems, the document's own among them, in the
        file's order. Their words come from the fields' descriptions, which complete the sentence "it must be
        …".
    """
    problems = list(document.problems)
    checked: ModelT | None = None
    if document.data is not None:
        try:
            checked = model.model_validate(document.data)
        except ValidationError as error:
            # What the document itself says of a place is the cause; the model's complaint would be its echo.
            known = {(problem.line, problem.column) for problem in problems} | document.doubtful
            for detail in without_echoes(error.errors(include_url=False), model):
                # As it stands in the file, not as a validator made something of it.
                detail["input"] = document.value(detail["loc"], detail["input"])
                path, at_key, message = say_schema_error(detail, model)
                problem = document.problem(path, message, at_key=at_key)
                if (problem.line, problem.column) not in known:
                    problems.append(problem)
    problems = sorted(set(problems))
    return (None if problems else checked), problems


def _unread(file: str, problems: list[Problem]) -> Document:
    return Document(file, None, tuple(sorted(set(problems))), {}, {})


def _character_problems(text: str, file: str) -> list[Problem]:
    """Characters that look like nothing or like something else; at most one a line."""
    problems = []
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if (tab := line.find("\t")) >= 0:
            problems.append(Problem(file, number, tab + 1, "a tab looks like spaces but is none; use spaces"))
        elif match := _INVISIBLE.search(line):
            code = f"U+{ord(match[0]):04X}"
            problems.append(
                Problem(file, number, match.start() + 1, f"an invisible character ({code}) stands here; delete it")
            )
        elif match := _ODD_INDENT.match(line):
            message = "a wide or non-breaking space stands here; indent with ordinary spaces"
            problems.append(Problem(file, number, match.end(), message))
    return problems


@dataclass(slots=True)
class _Frame:
    """One mapping or list under construction. `key` is the key that waits for its value."""

    container: dict[str, Any] | list[Any]
    path: DocumentPath
    key: str | None = None
    key_place: Place = (1, 1)
    is_key: bool = False  # this group stands where a key should
    in_braces: bool = False  # written {like: this}, all on a line
    is_repeated: bool = False  # the waiting key is a duplicate; its value is read and dropped
    last: DocumentPath = ()  # the value before


class _Builder:
    """Puts parser events together to values and places, collecting what must be refused on the way."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self.stopped = False
        self._file = file
        self._root: Any = None
        self._frames: list[_Frame] = []
        self._value_places: dict[DocumentPath, Place] = {}
        self._key_places: dict[DocumentPath, Place] = {}
        self._doubtful: set[Place] = set()
        self._documents = 0

    def document(self) -> Document:
        if self._root is None and not self.problems:
            self.problems.append(Problem(self._file, 0, 0, "the file is empty"))
        return Document(
            self._file,
            self._root,
            tuple(sorted(set(self.problems))),
            self._value_places,
            self._key_places,
            frozenset(self._doubtful),
        )

    def take(self, event: Event) -> None:
        match event:
            case DocumentStartEvent():
                self._start_document(event)
            case MappingEndEvent() | SequenceEndEvent():
                frame = self._frames.pop()
                if frame.is_key:
                    self._frames[-1].key, self._frames[-1].is_repeated = _GROUP_AS_KEY, False
            case NodeEvent():
                self._take_node(event)
            case _:
                pass

    def _refuse(self, place: Place, message: str) -> None:
        self.problems.append(Problem(self._file, *place, _one_line(message)))

    def _start_document(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        place = _place(event)
        if event.version or event.tags:
            self._refuse(place, "remove the lines that begin with % before ---")
        if self._documents > 1:
            self._refuse(place, "a second document begins here (---); keep one per file")
            self.stopped = True

    def _take_node(self, event: NodeEvent) -> None:
        place = _place(event)
        if isinstance(event, AliasEvent):
            what = f"*{event.anchor} refers to another place in the file"
            self._refuse(place, f"{what}; write the value out, or put it in quotes if the * is meant")
            self._put("", place)
            return
        if event.anchor is not None:
            self._refuse(place, f"&{event.anchor} marks a value for reuse; remove it and write the value out")
        if getattr(event, "ctag", None) is not None:
            self._refuse(place, "a value must not begin with !; remove the !… or put the value in quotes")
        if isinstance(event, ScalarEvent):
            self._take_scalar(event, place)
        else:
            is_list = isinstance(event, SequenceStartEvent)
            in_braces = not is_list and bool(getattr(event, "flow_style", None))
            self._open([] if is_list else {}, place, in_braces=in_braces)

    def _take_scalar(self, event: ScalarEvent, place: Place) -> None:
        frame = self._frames[-1] if self._frames else None
        is_plain = not event.style
        value, surprise = resolve_plain(event.value) if is_plain else (event.value, "")
        if not is_plain and (match := _INVISIBLE.search(event.value)):
            surprise = f"the escape for U+{ord(match[0]):04X} makes an invisible character; remove it"
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            if is_plain and event.value == "<<":
                surprise = "<< merges another group into this one; write its keys out"
            elif not surprise and not isinstance(value, str):
                surprise = f"a key must be a word; put it in quotes: {quoted(event.value)}"
            if surprise:
                self._refuse(place, surprise)
            self._set_key(event.value, place)
            return
        if value is None and not surprise:
            # An absent value has no place of its own: the parser gives the next thing's.
            if frame is None:
                return
            place = frame.key_place if frame.key is not None and not event.value else place
            name = f"`{frame.key}` has no value" if frame.key is not None else "this entry is empty"
            surprise = f"{name}; give it one, or remove {'it' if frame.in_braces else 'the line'}"
            if frame.in_braces and frame.container:
                # A number that stands alone is no key that needs quotes.
                self.problems = [p for p in self.problems if (p.line, p.column) != place]
                self._doubtful.add(self._value_places[frame.last])
                surprise += (
                    "; a list needs brackets, like [a, b], text with a comma quotes, a decimal a point, like 0.85"
                )
        if surprise:
            self._refuse(place, surprise)
        self._put(value, place)

    def _set_key(self, key: str, place: Place) -> None:
        frame = self._frames[-1]
        frame.key, frame.key_place, frame.is_repeated = key, place, False
        path = (*frame.path, key)
        if path in self._key_places:
            frame.is_repeated = True
            line = self._key_places[path][0]
            is_entry = bool(frame.path) and isinstance(frame.path[-1], int) and not frame.in_braces
            keep = "keep one, or begin a new entry with a dash" if is_entry else "keep one"
            self._refuse(place, f"the key `{key}` stands here a second time (first in line {line}); {keep}")
        else:
            self._key_places[path] = place

    def _open(self, container: dict[str, Any] | list[Any], place: Place, *, in_braces: bool) -> None:
        if len(self._frames) >= MAX_DEPTH:
            self._refuse(place, f"more than {MAX_DEPTH} levels of nesting; is a bracket missing?")
            self.stopped = True
            return
        parent = self._frames[-1] if self._frames else None
        is_key = parent is not None and isinstance(parent.container, dict) and parent.key is None
        if is_key:
            self._refuse(place, "a key must be a word, not a group; put text with brackets in quotes")
            path: DocumentPath = (*parent.path, _GROUP_AS_KEY) if parent else ()
            if parent is not None:
                parent.key_place = place
            self._key_places.setdefault(path, place)
        else:
            path = self._put(container, place)
        self._frames.append(_Frame(container, path, is_key=is_key, in_braces=in_braces))

    def _put(self, value: object, place: Place) -> DocumentPath:
        """Attach a value where the parser stands; returns its path."""
        if not self._frames:
            self._root = value
            self._value_places[()] = place
            return ()
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            path: DocumentPath = (*frame.path, len(frame.container))
            frame.container.append(value)
        else:
            key = frame.key if frame.key is not None else ""
            # A repeated key's group gets a path that nothing asks for, so that the first one's places stay.
            path = (*frame.path, f"{key} at {place}" if frame.is_repeated else key)
            if not frame.is_repeated:
                frame.container[key] = value
            frame.key = None
        frame.last = path
        self._value_places.setdefault(path, place)
        return path


def _one_line(message: str) -> str:
    """A word may hold, escaped, what no terminal should be sent, and be as long as the file."""
    cut = message if len(message) <= MAX_MESSAGE_CHARACTERS else message[: MAX_MESSAGE_CHARACTERS - 1] + "…"
    return printable(cut)


def _place(event: Event) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
