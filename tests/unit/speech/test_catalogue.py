from __future__ import annotations

from pathlib import Path

import pytest

from router.errors import ConfigurationError
from router.speech.catalogue import load_catalogue

SHIPPED = Path(__file__).parents[3] / "config" / "prompts"

NEEDED_BY_THE_DIALPLAN = {
    *("greeting", "connecting-person", "menu", "hours", "claims", "not-understood", "silence"),
    *("goodbye", "queue-wait", "all-busy", "sorry-trouble"),
}


def problems_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load_catalogue(path)
    return [str(problem).replace(f"{path}:", "") for problem in raised.value.problems]


def test_the_shipped_catalogue_has_every_prompt_in_english_and_mandarin() -> None:
    catalogue = load_catalogue(SHIPPED)
    assert {prompt.id for prompt in catalogue.prompts} >= NEEDED_BY_THE_DIALPLAN
    assert all(set(prompt.text) == {"en", "zh"} for prompt in catalogue.prompts)
    assert catalogue.languages == ("en", "zh")


def test_a_prompt_keeps_its_sentences_apart_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "prompts.yaml"
    path.write_text('hello:\n  use: first\n  text:\n    en: ["One.", "Two."]\n')
    (prompt,) = load_catalogue(path).prompts
    assert (prompt.id, prompt.use, prompt.text) == ("hello", "first", {"en": ("One.", "Two.")})


def test_every_mistake_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
hello:
  use: first words
  txt:
    en: ["Hello."]
Bad Name:
  use: somewhere
  text:
    en: Hello.
bye:
  use: last words
  text:
    en:
      - "Bye."
      - 12
    en/../..: ["x"]
    zh: []
"""
    assert problems_of(tmp_path, text) == [
        "1:1: error: `hello` has no `text`: every prompt has `use` (where it is heard) and `text`",
        "3:3: error: `txt` is not known here: did you mean `text`?",
        "5:1: error: `Bad Name` cannot name a prompt: use small letters, digits and - (40 at most)",
        "8:5: error: this must be a list of sentences, each on a line of its own that begins with `- `",
        '14:9: error: this must be text: put it in quotes, like "Please stay on the line."',
        "15:5: error: 'en/../..' is not a language; write it like en, zh or en_GB",
        "16:5: error: this is empty: write at least one sentence, or remove it",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [\n", "2:1"),
        ("a:\n  use: x\n  text: {en: [x]}\na:\n  use: y\n  text: {en: [y]}\n", "4:1"),
        ("just words\n", ""),
        ("", ""),
        ("a: 1\n", "1:1"),
        ("{}\n", ""),
        ("a:\n  use: x\n  text: {}\n", "3:3"),
    ],
)
def test_what_is_no_catalogue_is_refused_where_it_is_wrong(tmp_path: Path, text: str, place: str) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert f"{place}: error: " in problem if place else problem.endswith(problem.partition(" error: ")[2])


@pytest.mark.parametrize("sentence", ["a\\tb", "a\\u0001b", "a\\nb", " "])
def test_a_sentence_with_control_characters_is_refused(tmp_path: Path, sentence: str) -> None:
    (problem,) = problems_of(tmp_path, f'a:\n  use: x\n  text:\n    en:\n      - "{sentence}"\n')
    assert problem.startswith("5:9: error: write one sentence on one line")


def test_a_file_that_is_not_utf8_says_so_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.yaml"
    path.write_bytes(b"a:\n  use: \xff\n")
    with pytest.raises(ConfigurationError, match=r":2:1: error: is not UTF-8"):
        load_catalogue(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: error: cannot be read"):
        load_catalogue(tmp_path / "nowhere.yaml")
