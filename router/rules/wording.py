"""What is wrong with a file, said to someone who knows neither YAML's parser nor Python.

A schema says what it expects in its fields' descriptions, each a phrase that completes "it must be …"; so
that one sentence serves every kind of mistake, and no wording of pydantic's ever reaches the reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from ruamel.yaml.error import MarkedYAMLError

from router.rules.scalars import quoted

Path: TypeAlias = tuple[str | int, ...]

_MAX_LISTED: Final = 12

_INDENT = "the indentation does not fit: start this line in the same column as the entries it belongs with"
_UNEXPECTED = "this does not fit here: check the line above for a missing quote, comma or dash, and the indentation"
_COLON = (
    "this `:` does not fit here: check that the line starts in the same column as its neighbours and that "
    "the line above is complete; text that holds a `:` goes in quotes"
)
_QUOTE = "a quote is opened here and never closed"
_LIST = (
    "a list that begins here with [ is not finished: a comma or the closing ] is missing; text that begins with [ goes "
    "in quotes"
)
_GROUP = (
    "a group that begins here with { is not finished: a comma or the closing } is missing; text that begins with { "
    "goes in quotes"
)
# The parser notices these where it gives up, often lines later; what must be mended is where they begin.
_OPENED: Final = (_QUOTE, _LIST, _GROUP)
_SYNTAX: Final = (
    ("mapping values are not allowed here", _COLON),
    ("sequence entries are not allowed here", "a list cannot begin here: put the dash on a line of its own"),
    ("mapping keys are not allowed here", "a `?` cannot stand here: put the text in quotes"),
    ("expected ',' or ']'", _LIST),
    ("expected ',' or '}'", _GROUP),
    ("found unexpected end of stream", _QUOTE),
    ("found unexpected document separator", _QUOTE),
    ("cannot start any token", "text must not begin with this character: put it in quotes"),
    ("could not find expected ':'", "a `:` is missing after this line's first word"),
    (
        "expected alphabetic or numeric",
        "a word that begins with * or & has a meaning of its own: put it in quotes",
    ),
    ("unknown escape character", "a backslash means something in double quotes: use 'single quotes' instead"),
    (
        "expected chomping or indentation",
        "text that begins with | or > has a meaning of its own: put it in quotes",
    ),
    ("expected the node content", "a bracket is closed here that was never opened"),
    (
        "expected <block end>, but found '<scalar>'",
        "text follows a closing quote or bracket: put quotes around the whole value, or around nothing",
    ),
    ("expected <block end>, but found ','", _UNEXPECTED),
    ("expected <block end>", _INDENT),
    ("expected '<document start>'", _INDENT),
)
# Chinese input methods type these; to YAML they are letters.
_FULL_WIDTH = re.compile("[：，［］｛｝“”‘’＂－]")
_NO_COLON = re.compile(r" *(?:- +)?[A-Za-z_][A-Za-z0-9_-]* *(：|:(?=[^\s:/]))")
_NO_COLON_SAID: Final = {
    "：": "this ： is full-width; type the ASCII character : and a space instead",
    ":": "a colon must have a space after it",
}
_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")
_GROUP_EXAMPLE = re.compile(r"\{.*\}")
_GLUED_COLON = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*(?::\S|：)")


def listed(names: Iterable[str]) -> str:
    """`a, b, c` for a message, cut after a dozen."""
    every = list(names)
    cut = every[:_MAX_LISTED]
    return ", ".join(cut) + (f" and {len(every) - len(cut)} more" if len(every) > len(cut) else "")


def nearest(word: str, names: Iterable[str]) -> str:
    """The one of `names` that `word` may be meant for; empty when none is close."""
    by_lower = {name.lower(): name for name in names}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`did you mean x? ` when one of `names` is close to `word`, else nothing."""
    near = nearest(word, names)
    return f"did you mean `{near}`? " if near else ""


def say_syntax_error(error: MarkedYAMLError, lines: Sequence[str]) -> tuple[int, int, str]:
    """An error of the YAML parser.

    Args:
        error: What the parser raised.
        lines: The text it read.

    Returns:
        Line and column, from 1 (0 where the parser gives none), and what to say.
    """
    problem = error.problem or ""
    unforeseen = f"this cannot be read as YAML ({problem})"
    sentence = next((said for sign, said in _SYNTAX if sign in problem), unforeseen)
    mark = error.problem_mark or error.context_mark
    if sentence in _OPENED and error.context_mark:
        mark = error.context_mark
    if mark is None:
        return 0, 0, sentence
    line, column = mark.line + 1, mark.column + 1
    # A colon that is none shows only when the next line that says something is read.
    for number in (line, _line_before(line, lines)):
        if 0 < number <= len(lines) and (match := _NO_COLON.match(lines[number - 1])):
            return number, match.end(), _NO_COLON_SAID[match[1]]
    if line <= len(lines) and (match := _FULL_WIDTH.search(lines[line - 1])):
        sentence += f"; if the full-width {match[0]} is meant for more than text, type the ASCII character"
    return line, column, sentence


def _line_before(line: int, lines: Sequence[str]) -> int:
    """The number of the nearest line above that is neither empty nor a comment; 0 where there is none."""
    for number in range(min(line - 1, len(lines)), 0, -1):
        if (text := lines[number - 1].strip()) and not text.startswith("#"):
            return number
    return 0


def say_schema_error(detail: ErrorDetails, model: type[BaseModel]) -> tuple[Path, bool, str]:
    """One entry of a pydantic `ValidationError` as a sentence.

    Returns:
        The path of the value at fault in the document, whether its key and not its value is at fault, and
        what to say of it.
    """
    loc = detail["loc"]
    is_name = bool(loc) and loc[-1] == "[key]"
    spot = _find(model, loc)
    path: Path = loc[: spot.depth]
    sentence = _sentence(detail, path, spot)
    match detail["type"]:
        case "extra_forbidden":
            return path, True, sentence
        case "missing":
            return path[:-1], False, sentence
        case _:
            return path, is_name, sentence


def without_echoes(details: Sequence[ErrorDetails], model: type[BaseModel]) -> list[ErrorDetails]:
    """Without the keys that are missing because they are there and misspelt, of which the misspelt key tells."""
    misspelt = {
        (*detail["loc"][:-1], near)
        for detail in details
        if detail["type"] == "extra_forbidden"
        and (near := nearest(str(detail["loc"][-1]), _find(model, detail["loc"]).siblings))
    }
    return [detail for detail in details if detail["type"] != "missing" or detail["loc"] not in misspelt]


def _sentence(detail: ErrorDetails, path: Path, spot: _Spot) -> str:
    key = next((f"`{step}`" for step in reversed(path) if isinstance(step, str)), "the file")
    found = detail["input"]
    shown = "a secret" if spot.is_secret else _shown(found)
    match detail["type"]:
        case "extra_forbidden":
            near = did_you_mean(str(path[-1]), spot.siblings)
            sentence = f"unknown key {key}; {near}the keys here are {listed(spot.siblings)}"
        case "missing":
            sentence = f"{key} is missing; it is {spot.description}"
        case "literal_error" | "enum":
            near = did_you_mean(str(found), spot.choices)
            sentence = f"{key} must be one of {listed(spot.choices)}; found {shown}; {near}".rstrip("; ")
        case "value_error":
            said = str(detail["ctx"]["error"])
            sentence = f"{key} {said}" if said.startswith("must ") else f"{key}: {said}"
        case "too_long":
            most, actual = detail["ctx"]["max_length"], detail["ctx"]["actual_length"]
            sentence = f"{key} may hold at most {most} entries; found {actual}"
        case "string_too_long" if isinstance(found, str):
            sentence = f"{key} may hold at most {detail['ctx']['max_length']} characters; found {len(found)}"
        case "model_type" | "model_attributes_type":
            each = f"each entry of {key}" if path and isinstance(path[-1], int) else key
            sentence = (
                f"{each} must be a group of keys ({listed(spot.siblings)}); found {shown}{_group_hint(found, spot)}"
            )
        case _:
            sentence = f"{key} must be {spot.description or 'something else'}; found {shown}"
    return sentence


def _group_hint(found: object, spot: _Spot) -> str:
    """How to make a group of what stands in a group's place."""
    if isinstance(found, str) and _GLUED_COLON.match(found):
        return "; a colon must be an ASCII one and have a space after it"
    if isinstance(found, str) and spot.first_is_text:
        if _WORD.fullmatch(found):
            return f"; do you mean {{{spot.siblings[0]}: {found}}}?"
        if spot.first_suffices and " " in found:
            return f"; do you mean {{{spot.siblings[0]}: {quoted(found)}}}?"
    example = _GROUP_EXAMPLE.search(spot.description)
    return f"; write it like {example[0]}" if example else ""


def _shown(found: object) -> str:
    match found:
        case bool():
            return str(found).lower()
        case str():
            return quoted(found)
        case dict():
            return "a group of keys"
        case list():
            return "an empty list" if not found else "a list"
        case None:
            return "nothing"
        case _:
            return str(found)[:40]


@dataclass(slots=True)
class _Spot:
    """What a schema says of one place: how many steps of the path lead there, and what is expected."""

    depth: int = 0
    description: str = ""
    siblings: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    is_secret: bool = False
    # Of a group: whether its first key holds text, and whether it needs no other.
    first_is_text: bool = False
    first_suffices: bool = False


def _find(model: type[BaseModel], loc: Path) -> _Spot:
    """Follow a pydantic error's location through the schema's types."""
    spot = _Spot()
    here: Any = model
    # A name that is wrong comes as (…, the name, "[key]").
    is_name = bool(loc) and loc[-1] == "[key]"
    for step in loc[:-2] if is_name else loc:
        here, described = _unwrap(here)
        spot.description = described or spot.description
        origin = get_origin(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {info.alias or name: info for name, info in here.model_fields.items()}
            spot.siblings = tuple(fields)
            spot.depth += 1
            if step not in fields:
                return spot
            here = fields[str(step)].annotation
            spot.description = fields[str(step)].description or ""
        elif origin is dict:
            here = get_args(here)[1]
            spot.depth += 1
        elif origin in {list, tuple}:
            here = get_args(here)[0]
            spot.depth += 1
        else:
            break
    here, described = _unwrap(here)
    if is_name and get_origin(here) is dict:
        spot.depth += 1
        here, described = _unwrap(get_args(here)[0])
    spot.description = described or spot.description
    if isinstance(here, type) and issubclass(here, BaseModel):
        spot.siblings = tuple(info.alias or name for name, info in here.model_fields.items())
        first, *others = here.model_fields.values()
        spot.first_is_text = _unwrap(first.annotation)[0] is str
        spot.first_suffices = first.is_required() and not any(other.is_required() for other in others)
    if get_origin(here) is Literal:
        spot.choices = tuple(str(choice) for choice in get_args(here))
    elif isinstance(here, type) and issubclass(here, Enum):
        spot.choices = tuple(str(member.value) for member in here)
    spot.is_secret = here in {SecretStr, SecretBytes}
    return spot


def _unwrap(annotation: Any) -> tuple[Any, str]:  # noqa: ANN401 - a type expression has no narrower type
    """A type without `Annotated` and `| None`, and the description found on the way."""
    description = ""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *metadata = get_args(annotation)
            for entry in metadata:
                if isinstance(entry, FieldInfo) and entry.description:
                    description = entry.description
        elif origin in {Union, UnionType}:
            present = [part for part in get_args(annotation) if part is not type(None)]
            if len(present) != 1:
                return annotation, description
            annotation = present[0]
        else:
            return annotation, description
