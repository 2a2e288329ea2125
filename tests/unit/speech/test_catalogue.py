from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from router.errors import ConfigurationError, SpeechError
from router.speech.catalogue import Catalogue, load_catalogue
from router.speech.sentence import Sentence

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "config" / "prompts"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "prompts.md").read_text(), re.MULTILINE | re.DOTALL)

NEEDED_BY_THE_DIALPLAN = {
    *("greeting", "connecting-person", "menu", "hours", "claims", "not-understood", "silence", "goodbye"),
    *("queue-wait", "all-busy", "sorry-trouble", "slower-now", "normal-now", "slowest-already", "waiting-keys"),
    *(f"menu-{option}" for option in ("hours", "claims", "wait", "slower", "normal", "repeat", "person", "more")),
    *("place", "place-next", "place-and-wait", "place-next-and-wait", "place-before", "place-after"),
    *("wait-for-person", "nobody-waiting", "callers-waiting-before", "callers-waiting-after"),
}
# What main/say.c plays for a channel in `zh`, and apps/app_queue.c by default.
NEEDED_BY_ASTERISK = {
    *(f"digits/{number}" for number in (*range(11), *range(20, 100, 10))),
    *(f"digits/{word}" for word in ("hundred", "thousand", "wan", "yi", "minus", "star", "pound", "year", "day")),
    *(f"digits/{word}" for word in ("today", "yesterday", "oclock", "a-m", "p-m")),
    *("minute", "second"),
    *(f"digits/day-{day}" for day in range(7)),
    *(f"digits/mon-{month}" for month in range(12)),
    *(f"queue-{word}" for word in ("youarenext", "thereare", "callswaiting", "holdtime", "minute", "minutes")),
    *(f"queue-{word}" for word in ("seconds", "thankyou", "quantity1", "quantity2", "reporthold", "periodic-announce")),
}
# Values that fit every kind's name in the shipped prompts.
VALUES = {
    "position": "3",
    "wait": "240",
    "waiting": "2",
    "amount": "1234.50 CNY",
    "date": "2026-11-25",
    "time": "14:30",
    "digits": "13900000001",
}


def catalogue_of(folder: Path, **files: str) -> Catalogue:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load_catalogue(folder)


def problems_of(folder: Path, **files: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        catalogue_of(folder, **files)
    return [str(problem).replace(f"{folder}/", "") for problem in raised.value.problems]


def test_the_shipped_catalogue_has_every_prompt_in_english_and_mandarin() -> None:
    catalogue = load_catalogue(SHIPPED)
    assert {prompt.id for prompt in catalogue.prompts} >= NEEDED_BY_THE_DIALPLAN
    assert catalogue.languages == ("en", "zh")
    assert all(set(prompt.text) == {"en", "zh"} for prompt in catalogue.prompts if not prompt.core_sound)


def test_everything_that_the_dialplan_plays_is_in_the_catalogue() -> None:
    known = {prompt.id for prompt in load_catalogue(SHIPPED).prompts if not prompt.variables}
    dialplan = "".join(file.read_text() for file in (ROOT / "dialplans").glob("*.conf"))
    # Each option of the menu is played by its name, elder/menu-${…}: those are among the needed above.
    assert set(re.findall(r"elder/([a-z][a-z-]*[a-z])\b(?!-)", dialplan)) <= known


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_documentation_are_right(tmp_path: Path, text: str) -> None:
    adds_language = "use:" not in text
    files = {"example": text} | ({"first": "greeting:\n  use: x\n  text: {en: [Hello.]}\n"} if adds_language else {})
    assert catalogue_of(tmp_path, **files).prompts


def test_asterisks_own_words_are_there_for_mandarin_which_has_no_recordings() -> None:
    words = {prompt.sound: prompt for prompt in load_catalogue(SHIPPED).prompts if prompt.core_sound}
    assert words.keys() >= NEEDED_BY_ASTERISK
    assert all(set(prompt.text) == {"zh"} for prompt in words.values())
    assert words["digits/20"].text == {"zh": ("二十",)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_shipped_prompt_can_be_said_with_values(language: str) -> None:
    catalogue = load_catalogue(SHIPPED)
    for prompt in catalogue.prompts:
        if language in prompt.text:
            for sentence in catalogue.say(prompt.id, language, VALUES):
                assert not set("{}[]") & set(sentence.text)
                assert all(any(c.isalnum() for c in phrase) for phrase in sentence.phrases)


def test_cantonese_is_added_by_copying_its_file_beside_the_others(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    shutil.copy(SHIPPED / "examples" / "yue.yaml", tmp_path)
    catalogue = load_catalogue(tmp_path)
    assert catalogue.languages == ("en", "zh", "yue")
    assert all("yue" in prompt.text for prompt in catalogue.prompts if not prompt.core_sound)
    # Asterisk counts in `yue` as in English: from 11 to 19 each has a word.
    assert {f"digits/{n}" for n in range(20)} <= {p.sound for p in catalogue.prompts if "yue" in p.text}
    place = catalogue.say("place-and-wait", "yue", VALUES)
    assert [sentence.phrases for sentence in place] == [("你而家排", "第三位。"), ("仲要等", "大約四分鐘。")]


def test_examples_in_a_folder_below_are_not_built_unless_copied() -> None:
    assert "yue" not in load_catalogue(SHIPPED).languages


def test_a_prompt_keeps_its_sentences_apart_and_in_order(tmp_path: Path) -> None:
    text = 'hello:\n  use: first\n  essential: 2\n  text:\n    en: ["One.", "Two."]\n'
    (prompt,) = catalogue_of(tmp_path, a=text).prompts
    assert (prompt.id, prompt.use, prompt.text, prompt.sound) == (
        "hello",
        "first",
        {"en": ("One.", "Two.")},
        "elder/hello",
    )
    assert prompt.sentences("en") == (Sentence(("One.",)), Sentence(("Two.",), essential=True))


def test_a_file_by_itself_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "prompts.yaml").write_text('a:\n  use: x\n  text: {en: ["A."]}\n')
    assert load_catalogue(tmp_path / "prompts.yaml").prompt("a").text == {"en": ("A.",)}


def test_another_file_adds_a_language(tmp_path: Path) -> None:
    first = "one:\n  use: x\n  sound: digits/1\n  text: {zh: [一]}\n"
    catalogue = catalogue_of(tmp_path, b=first, a="one:\n  text: {fr: [un]}\n")
    assert catalogue.prompt("one").text == {"zh": ("一",), "fr": ("un",)}
    assert catalogue.prompt("one").sound == "digits/1"


def test_a_recording_is_found_from_the_folder_of_the_file_that_names_it(tmp_path: Path) -> None:
    text = "a:\n  use: x\n  text: {en: [A.]}\n  recording: {en: studio/a.wav}\n"
    assert catalogue_of(tmp_path, a=text).prompt("a").recording == {"en": tmp_path / "studio" / "a.wav"}


PLACE = """\
place:
  use: to waiting callers
  variables: {position: number, wait: wait}
  essential: 1
  text:
    en: ["You are [number {position}] in the queue.", "The wait is {wait}."]
    zh: ["您排在[第{position}位]。", "还要等{wait}。"]
"""


@pytest.mark.parametrize("language", ["zh", "zh_slow", "zh_CN", "zh_CN_unhurried"])
def test_a_channel_language_is_stripped_to_one_that_the_prompt_has(tmp_path: Path, language: str) -> None:
    said = catalogue_of(tmp_path, a=PLACE).say("place", language, VALUES)
    assert said == (Sentence(("您排在", "第三位。"), essential=True), Sentence(("还要等", "大约四分钟。")))


@pytest.mark.parametrize(
    ("prompt", "language", "values", "said"),
    [
        ("plaec", "en", {}, r'no prompt is called "plaec"; did you mean `place`\?'),
        ("other", "en", {}, r'no prompt is called "other"; `elder-router prompts list` has all'),
        ("place", "fr_slow", VALUES, r'place is not in "fr_slow"; it is in en, zh; write its text'),
        ("place", "", VALUES, r'place is not in ""'),
        ("place", "en", {"wait": "1"}, r"place needs a value for position \(number\); send position=…"),
        (
            "place",
            "en",
            {"wait": "1", "position": "x"},
            r'position of the prompt place: "x" cannot be said; give a whole',
        ),
    ],
)
def test_what_cannot_be_said_is_told_with_what_to_do(
    tmp_path: Path, prompt: str, language: str, values: dict[str, str], said: str
) -> None:
    with pytest.raises(SpeechError, match=said):
        catalogue_of(tmp_path, a=PLACE).say(prompt, language, values)


def test_every_mistake_in_every_file_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    first = """\
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
    EN-gb: ["Bye."]
"""
    second = """\
place:
  use: x
  variables: {position: number, other: amuont}
  essential: 0
  text:
    en:
      - "You are [number {position} in the queue."
      - "Two words] in brackets."
      - "[Only words.]"
      - "{Position}"
      - "{position"
      - "..."
      - "Two\\nlines"
      - "第｛position｝位"
  sound: ../digits/1
  text: {fr: [a]}
"""
    assert problems_of(tmp_path, first=first, second=second, third="- a\n") == [
        "first.yaml:3:3: error: unknown key `txt`; did you mean `text`? the keys here are use, text, variables, "
        "essential, sound, recording",
        'first.yaml:5:1: error: `Bad Name` must be a name of small letters, digits and -, 40 at most; found "Bad Name"',
        "first.yaml:8:9: error: `en` must be a list of sentences, each on a line of its own that begins with `- `; "
        'found "Hello."',
        'first.yaml:14:9: error: `en` must be text in quotes, like "Please stay on the line."; found 12',
        "first.yaml:15:5: error: `en/../..`: this is not a language; write it like en, zh or en_GB",
        "first.yaml:16:9: error: `zh` must be a list of sentences, each on a line of its own that begins with `- `; "
        "found an empty list",
        "first.yaml:17:5: error: `EN-gb`: write en_gb: the channels of Asterisk that speak it name it so",
        "second.yaml:3:40: error: `other` must be one of number, count, digits, amount, date, time, wait, text; "
        'found "amuont"; did you mean `amount`?',
        "second.yaml:4:14: error: `essential` must be the number of the most important sentence, counted from 1; "
        "found 0",
        "second.yaml:7:9: error: `en`: a [ stands here that has no partner; write pairs, like [number {position}]",
        "second.yaml:8:9: error: `en`: a ] stands here that has no partner; write pairs, like [number {position}]",
        "second.yaml:9:9: error: `en`: square brackets keep words together with a value, like [number {position}]",
        "second.yaml:10:9: error: `en`: the name of a value goes between braces, like {position}: small letters and _",
        "second.yaml:11:9: error: `en`: a { stands here that has no partner; values go in a pair, like {position}",
        "second.yaml:12:9: error: `en`: there are no words in this sentence; write some, or remove it",
        "second.yaml:13:9: error: `en`: write one sentence on one line, without tabs or other control characters",
        "second.yaml:14:9: error: `en`: this ｛ is full-width; values go between the ASCII characters { and }",
        "second.yaml:15:10: error: `sound` must be a sound of Asterisk's own, as it is named without its language, "
        "like digits/1",
        "second.yaml:16:3: error: the key `text` stands here a second time (first in line 5); keep one",
        "third.yaml:1:1: error: `prompts` must be prompts by name; found a list",
    ]


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("[number {position}] is yours.", "text that begins with [ goes in quotes"),
        ("{position} is yours.", "put quotes around the whole value, or around nothing"),
    ],
)
def test_a_sentence_that_begins_with_its_value_and_has_no_quotes_is_told_to(
    tmp_path: Path, sentence: str, said: str
) -> None:
    text = f"place:\n  use: x\n  variables: {{position: number}}\n  text:\n    en:\n      - {sentence}\n"
    assert said in " ".join(problems_of(tmp_path, a=text))


def test_what_files_say_of_one_prompt_must_fit_together(tmp_path: Path) -> None:
    first = """\
place:
  use: x
  variables: {position: number, wiat: wait}
  essential: 2
  text:
    en: ["{position}", "{wait}"]
    zh: ["第{position}"]
one:
  use: x
  sound: digits/1
  text: {zh: [一]}
uno:
  use: x
  sound: digits/1
  recording: {fr: x.wav}
  text: {zh: [一]}
balance:
  use: x
  variables: {amount: amount}
  recording: {en: x.wav}
  text: {en: ["{amount}"]}
"""
    second = """\
place:
  essential: 1
  text:
    en: ["a", "b"]
one:
  use: other
  text: {yue: [一]}
three:
  text: {zh: [三]}
"""
    assert problems_of(tmp_path, first=first, second=second) == [
        "first.yaml:3:33: error: no sentence says {wiat}; put it into one, or take it out of `variables`",
        "first.yaml:6:24: error: `wait` is no variable of this; did you mean `wiat`?",
        "first.yaml:7:5: error: `essential` is sentence 2, and in zh there is 1 sentence; write as many",
        "first.yaml:14:10: error: digits/1 is said by `one` already (first.yaml, line 8); keep one",
        "first.yaml:15:15: error: write under `text` what the recording in fr says, for those who cannot hear it",
        "first.yaml:19:3: error: a prompt with variables is spoken during calls and cannot have a `recording`; "
        "remove one of the two",
        "second.yaml:2:3: error: `essential` is the same in every language: it belongs beside `use` "
        "(first.yaml, line 1)",
        "second.yaml:4:5: error: `place` is in en already (first.yaml, line 1); keep one",
        "second.yaml:5:1: error: `one` stands in first.yaml, line 8 already; rename one, or leave out `use` here "
        "to add languages",
        "second.yaml:8:1: error: `use` is missing: say where callers hear `three`, as no other file has it",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [\n", "a.yaml:2:1: error: a bracket is closed here"),
        ("a:\n  use: x\n  text: {en: [x]}\na:\n  use: z\n  text: {en: [z]}\n", "a.yaml:4:1: error: the key `a` stands"),
        ("just words\n", "a.yaml:1:1: error: `prompts` must be prompts by name"),
        ("", "a.yaml: error: the file is empty"),
        ("a: 1\n", "a.yaml:1:4: error: `a` must be a group of keys (use, text,"),
        ("{}\n", "a.yaml:1:1: error: `prompts` must be prompts by name"),
        ("a:\n  use: x\n  text: {}\n", "a.yaml:3:9: error: `text` must be sentences by language"),
        ("a:\n  use: x\n  text: {en: [off]}\n", "a.yaml:3:15: error: off means false to some programs"),
        ("a:\n  use: &x x\n  text: {en: [a]}\n", "a.yaml:2:8: error: &x marks a value for reuse"),
        ('a:\n  use: x\n  text: {en: ["a\\u0001b"]}\n', "a.yaml:3:15: error: the escape for U+0001"),
        (f"a:\n  use: x\n  text: {{en: [{'x' * 301}]}}\n", "a.yaml:3:15: error: `en` may hold at most 300 characters"),
    ],
)
def test_what_is_no_catalogue_is_refused_where_it_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems_of(tmp_path, a=text)
    assert found.startswith(problem)


def test_a_file_that_is_not_utf8_says_so_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a:\n  use: \xff\n")
    with pytest.raises(ConfigurationError, match=r"a\.yaml:2:8: error: this character is not UTF-8"):
        load_catalogue(tmp_path)


def test_files_that_would_not_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("")
    assert problems_of(tmp_path) == ["a.yml: error: rename this file to end in .yaml, as only those are read"]


def test_a_folder_without_prompts_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no file in this folder ends in \.yaml"):
        load_catalogue(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere: error: there is no such file"):
        load_catalogue(tmp_path / "nowhere")


def test_a_file_with_mistakes_does_not_make_what_others_add_to_it_look_wrong(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, a="a:\n  use: x\n  text: {en: []}\n", b="a:\n  text: {fr: [b]}\n")
    assert problem.startswith("a.yaml:3:14:")
