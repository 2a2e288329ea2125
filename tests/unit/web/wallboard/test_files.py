"""What the browser is given: whole in both languages, of no outside host, and with no script in its markup."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

from router.journal.conditions import EVERY_CONDITION
from router.journal.records import Ending
from router.web.wallboard.files import LANGUAGES, language_of, page_files

FILES = page_files()
FOLDER = files("router.web.wallboard") / "page"
SCRIPTS = {name: content.decode() for name, (_, content) in FILES.given.items() if name.endswith(".js")}


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_every_word_is_there_in_every_language_with_the_same_gaps() -> None:
    english, chinese = (FILES.words[language] for language in LANGUAGES)
    assert list(english) == list(chinese)
    for name, text in english.items():
        assert placeholders(text) == placeholders(chinese[name]), name
        assert text.strip(), name


def test_every_word_that_the_page_asks_for_is_there() -> None:
    asked = set(re.findall(r'data-(?:words|label)="([^"]+)"', FILES.page))
    for script in SCRIPTS.values():
        asked |= set(re.findall(r'\bword\("([\w.]+)"', script))
    assert asked <= set(FILES.words["en"])
    assert len(asked) > 40


def test_everything_that_can_be_wrong_and_every_ending_has_words() -> None:
    words = FILES.words["zh"]
    assert {name for name in words if name.startswith("what.")} == {f"what.{what}" for what in EVERY_CONDITION}
    assert {f"ended.{ended}" for ended in Ending} <= set(words)


def test_every_element_that_a_script_looks_for_is_in_the_page() -> None:
    for script in SCRIPTS.values():
        for name in re.findall(r'(?:\bat|getElementById)\("([\w-]+)"\)', script):
            assert f'id="{name}"' in FILES.page, name


def test_nothing_is_fetched_from_another_host() -> None:
    for file in FOLDER.iterdir():
        text = file.read_text()
        addresses = set(re.findall(r"https?:[^\"' )]+|url\([^)]*\)|@import[^;]*", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file.name


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_put_in_text_and_never_markup(name: str) -> None:
    for means in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc"):
        assert means not in SCRIPTS[name]


def test_markup_holds_no_script_and_no_style_of_its_own() -> None:
    for text in (FILES.page, FILES.login("en")):
        scripts = re.findall(r"<script([^>]*)>", text)
        assert all('src="' in one or 'type="application/json"' in one for one in scripts)
        assert not re.search(r"<[^>]*\s(?:on\w+|style)=", text)
        assert "<style" not in text


def test_words_in_the_page_cannot_end_their_element() -> None:
    told = FILES.page.partition('id="words">')[2].partition("</script>")[0]
    assert "<" not in told
    assert json.loads(told) == {language: dict(FILES.words[language]) for language in LANGUAGES}


def test_the_page_says_its_version() -> None:
    assert f'<meta name="version" content="{FILES.version}">' in FILES.page
    assert "{{" not in FILES.page


def test_the_login_form_speaks_both_languages_and_says_what_was_wrong() -> None:
    assert "访问令牌" in FILES.login("zh")
    assert "That is not the token" in FILES.login("en", "login.wrong")
    assert "{{" not in FILES.login("zh", "login.held_off")


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        *(("", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,zh;q=0.5", "en"), ("fr, de;q=0.7", "en")),
        *(("fr,zh-TW;q=0.5", "zh"), ("ZH", "zh"), (";,;", "en")),
    ],
)
def test_whoever_asks_for_a_language_is_spoken_to_in_it(wanted: str, language: str) -> None:
    assert language_of(wanted) == language
