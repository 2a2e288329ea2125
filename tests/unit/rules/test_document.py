from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from router.errors import Problem
from router.rules.document import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    Document,
    load_document,
    open_ordinary,
    read_source,
    validate,
)
from router.rules.durations import DurationS, parse_duration_s, parse_whole_seconds


def load(text: str) -> Document:
    return load_document(text, "f")


def said(text: str) -> list[str]:
    return [str(problem) for problem in load(text).problems]


def test_values_keep_their_kind_and_know_their_place() -> None:
    document = load('a: [1, -2.5, true, x y, "1"]\nb:\n  c: |\n    long\n    text\n')
    assert document.data == {"a": [1, -2.5, True, "x y", "1"], "b": {"c": "long\ntext\n"}}
    assert document.problems == ()
    assert document.position(("a", 1)) == (1, 8)
    assert document.position(("b", "c")) == (3, 6)
    assert document.key_position(("b", "c")) == (3, 3)
    assert document.position(("b", "c", "nothing", 5)) == (3, 6)
    assert document.position(("absent",)) == (1, 1)


@pytest.mark.parametrize(
    "word",
    [
        *("22:30", "1:20:30", "-1:20", "0800", "-07", "00", "+8610", "+1.5", "2026-11-23", "2026-11-23 09:00"),
        *("on", "Off", "YES", "no", "0x1F", "0o17", "0b1", "1_000", "1e3", "1.5e-3", ".5", "5.", ".inf", "-.INF"),
        *(".nan", "12_3.4_5e+6", "9" * 16, "9" * 5000, "1." + "0" * 40, "y", "N", "=", "-_1", "+_"),
    ],
)
def test_a_word_that_readers_disagree_about_is_refused_unless_quoted(word: str) -> None:
    assert len(load(f"a: {word}").problems) == 1
    assert load(f"a: {word}").problems[0].column == 4
    assert load(f"- {word}").problems
    assert load(f'a: "{word}"').data == {"a": word}
    assert load(f'a: "{word}"').problems == ()


@pytest.mark.parametrize(
    "word", ["955*", "9:99", "10%", "127.0.0.1", "127.0.0.1:5038", "08a", "none", "nowhere", "a:b"]
)
def test_ordinary_words_need_no_quotes(word: str) -> None:
    assert load(f"a: {word}").data == {"a": word}
    assert load(f"a: {word}").problems == ()


def test_a_repeated_key_keeps_the_first_value_and_its_places() -> None:
    document = load("a: {x: 1}\nb: 2\na: {x: 3, z: 4}\na: {x: 3, z: 4}\n")
    assert document.data == {"a": {"x": 1}, "b": 2}
    assert [(p.line, p.column) for p in document.problems] == [(3, 1), (4, 1)]
    assert document.position(("a", "x")) == (1, 8)


def test_keys_must_be_words() -> None:
    assert said("1: a\n") == ['f:1:1: error: a key must be a word; put it in quotes: "1"']
    assert len(said("? [a, b]\n: c\n? {d: e}\n: f\n")) == 2
    assert len(said("on: a\n")) == 1
    assert said("~: a\n") == ['f:1:1: error: a key must be a word; put it in quotes: "~"']


def test_a_value_that_is_absent_is_placed_at_its_key() -> None:
    assert said("a:\nb: 1\n") == ["f:1:1: error: `a` has no value; give it one, or remove the line"]
    assert said("a: null\n") == ["f:1:4: error: `a` has no value; give it one, or remove the line"]
    assert len(said("a:\n  -\n  - 1\n")) == 1


def test_yaml_directives_are_refused() -> None:
    assert len(said("%YAML 1.1\n---\na: 1\n")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 20_000,
        "- " * 50_000,
        "? " * 50_000,
        "[[[[\n" * 20_000,
        "a: &a [*a, *a]\n",
        '"' + "\\" * 100_001 + '"',
        "x" * (MAX_FILE_BYTES + 1),
        "\ud800",
        'a: "\\UFFFFFFFF"',
        'a: "\\ud800"',
    ],
    ids=range(11),
)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    start = time.process_time()
    document = load(text)
    assert document.problems
    assert time.process_time() - start < 5


def test_nesting_ends_at_the_cap() -> None:
    assert load("[" * MAX_DEPTH + "]" * MAX_DEPTH).problems == ()
    assert "nesting" in said("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[0]


def test_what_a_message_repeats_cannot_reach_into_the_terminal() -> None:
    for message in said('"\\e[31m": 1\n"\\e[31m": 2\n') + said('a: !<\x7e> "\\e"\n'):
        assert message.isprintable()


@given(st.text(alphabet=st.sampled_from(list("ab:-,[]{}\"'#&*!|>?%@` \n\t0128.~<=：\u3000\ufeff")), max_size=60))
def test_any_text_becomes_a_document_with_places_or_with_reasons(text: str) -> None:
    document = load(text)
    assert document.data is not None or document.problems
    for problem in document.problems:
        assert str(problem).isprintable()


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    level: Literal["debug", "info", "warning"] = Field(description="a level")
    password: SecretStr | None = Field(default=None, min_length=8, description="a password of 8 characters or more")
    wait: DurationS = Field(default=1.0, le=5, description="a time up to 5s")


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    inner: _Inner = Field(description="a group")
    many: list[_Inner] = Field(default=[], description="a list of groups")
    ports: list[int] = Field(default=[], description="a list of port numbers, like [5038]")


def problems_of(text: str) -> list[str]:
    model, problems = validate(load(text), _Outer)
    assert (model is None) == bool(problems)
    return [str(problem) for problem in problems]


def test_a_document_that_fits_becomes_the_model() -> None:
    model, problems = validate(load("inner: {level: info, wait: 2s}\nports: [1, 2]\n"), _Outer)
    assert problems == []
    assert model is not None
    assert (model.inner.wait, model.ports) == (2.0, [1, 2])


def test_a_choice_names_the_choices_and_the_nearest() -> None:
    assert problems_of("inner: {level: warnign}\n") == [
        'f:1:16: error: `level` must be one of debug, info, warning; found "warnign"; did you mean `warning`?'
    ]


def test_a_secret_is_not_repeated() -> None:
    (problem,) = problems_of("inner: {level: info, password: hunter2}\n")
    assert "hunter2" not in problem
    assert "a password of 8 characters or more; found a secret" in problem


def test_list_entries_and_missing_groups_are_said_where_they_belong() -> None:
    assert problems_of("inner: {level: info}\nmany: [{level: info}, 3]\nports: [1, x]\n") == [
        "f:2:23: error: each entry of `many` must be a group of keys (level, password, wait); found 3",
        'f:3:12: error: `ports` must be a list of port numbers, like [5038]; found "x"',
    ]
    assert problems_of("many: []\n") == ["f:1:1: error: `inner` is missing; it is a group"]
    assert problems_of("- 1\n") == ["f:1:1: error: the file must be a group of keys (inner, many, ports); found a list"]


def test_a_bool_is_no_number_and_text_is_no_number() -> None:
    assert len(problems_of('inner: {level: info}\nports: [true, "5038", 1.0]\n')) == 3


def test_a_surprise_and_its_echo_are_one_problem() -> None:
    assert len(problems_of("inner: {level: on}\n")) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("400ms", 0.4), ("60s", 60.0), ("5m", 300.0), ("1h", 3600.0), ("1.5s", 1.5), ("0s", 0.0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", 5, 0.5, "5 m", "m", "-5s", "5M", "1h30m", "５s", True, None, [], "1" * 99 + "s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_duration_s(text)


def test_parts_of_a_second_are_refused_where_asterisk_takes_none() -> None:
    assert parse_whole_seconds("2000ms") == 2
    with pytest.raises(ValueError, match="write 2s"):
        parse_whole_seconds("1600ms")


NO_ORDINARY_FILE = "this is no ordinary file but a pipe, a socket or a device; put a file there"


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def make_way_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_pipe, NO_ORDINARY_FILE),
        (make_socket, NO_ORDINARY_FILE),
        (make_way_to_a_device, NO_ORDINARY_FILE),
        (Path.mkdir, "this is a directory; name a file in it"),
    ],
)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], said: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path = Path("f.yaml")
    make(path)
    assert read_source(path) == Problem("f.yaml", 0, 0, said)


def test_a_link_to_a_file_is_read_unless_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a: 1\n")
    (tmp_path / "link").symlink_to("file")
    with open_ordinary(tmp_path / "link") as stream:
        assert stream.read() == b"a: 1\n"
    with pytest.raises(OSError, match="symbolic links"):
        open_ordinary(tmp_path / "link", follow_links=False)


@pytest.mark.timeout(5)
def test_what_was_refused_is_not_left_open(tmp_path: Path) -> None:
    make_pipe(tmp_path / "pipe")
    before = os.dup(0)
    os.close(before)
    for path in (tmp_path / "pipe", tmp_path):
        assert isinstance(read_source(path), Problem)
    now = os.dup(0)  # takes the lowest number that is free
    os.close(now)
    assert now == before
