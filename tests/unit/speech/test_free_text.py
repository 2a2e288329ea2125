from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import SpeechError
from router.speech.catalogue import sentences_of_text
from router.speech.catalogue_file import LONGEST_SENTENCE_CHARACTERS
from router.speech.free_text import LONGEST_TEXT_CHARACTERS


def said(text: str) -> list[str]:
    return [sentence.text for sentence in sentences_of_text(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello.", ["Hello."]),
        ("Hello. Are you there?  Yes!", ["Hello.", "Are you there?", "Yes!"]),
        ("Dr. Li owes 3.5 yuan. Really", ["Dr. Li owes 3.5 yuan.", "Really"]),
        ("您好。您的余额是3.5元！再见", ["您好。", "您的余额是3.5元！", "再见"]),
        ("他说：“好。”再见。", ["他说：“好。”", "再见。"]),
        ("one\ntwo\tthree", ["one two three"]),
        ("wait … and see. . .", ["wait …", "and see."]),
    ],
)
def test_text_is_parted_where_its_sentences_end(text: str, sentences: list[str]) -> None:
    assert said(text) == sentences


def test_a_sentence_too_long_for_one_breath_is_parted_at_a_comma() -> None:
    parts = said("x" * 200 + ", " + "y" * 50 + " " + "z" * 200)
    assert parts == ["x" * 200 + ",", "y" * 50 + " " + "z" * 200]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "there are no words"),
        (" …! ", "there are no words"),
        ("a" * (LONGEST_TEXT_CHARACTERS + 1), "send 1000 at most"),
        ("a\x01b", r"U\+0001 in this text cannot be said"),
        ("a\u202eb", r"U\+202E"),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(SpeechError, match=complaint):
        sentences_of_text(text)


@given(st.text(min_size=1, max_size=900))
def test_whatever_is_sent_every_sentence_is_short_and_has_words_and_no_letter_is_lost(text: str) -> None:
    try:
        sentences = sentences_of_text(text)
    except SpeechError:
        return
    for sentence in sentences:
        assert len(sentence.text) <= LONGEST_SENTENCE_CHARACTERS
        assert any(c.isalnum() for c in sentence.text)
    letters = [c for c in text if c.isalnum()]
    assert [c for sentence in sentences for c in sentence.text if c.isalnum()] == letters
