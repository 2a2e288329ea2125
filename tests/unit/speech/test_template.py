from __future__ import annotations

import pytest

from router.speech.template import parse_template

VALUES = {"n": ["3"], "wait": ["about 4 minutes"], "date": ["Wednesday", "November 25th", "20 26"]}


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        ("Please stay on the line.", ("Please stay on the line.",)),
        ("You are number {n} in the queue.", ("You are number", "3", "in the queue.")),
        ("You are [number {n}] in the queue.", ("You are", "number 3", "in the queue.")),
        ("The wait is {wait}.", ("The wait is", "about 4 minutes.")),
        ("{n}", ("3",)),
        ("您排在[第{n}位]，请稍等。", ("您排在", "第3位，", "请稍等。")),
        ("On {date}, at {n}.", ("On", "Wednesday", "November 25th", "20 26,", "at", "3.")),
        ("[on {date} or so]", ("on Wednesday", "November 25th", "20 26 or so")),
        ("[from {n} to {n}]", ("from 3 to 3",)),
        ("“{n}” is next.", ("“3”", "is next.")),
        ("{n} {wait}", ("3", "about 4 minutes")),
        ("Number {n} (of many)", ("Number", "3", "(of many)")),
    ],
)
def test_a_value_is_a_phrase_of_its_own_with_the_marks_behind_it(sentence: str, phrases: tuple[str, ...]) -> None:
    assert parse_template(sentence).filled(VALUES) == phrases


def test_the_names_of_values_are_told_once_each_in_order() -> None:
    assert parse_template("[a {second}] {first} {second}").names == ("second", "first")


@pytest.mark.parametrize(
    "sentence", ["[a]", "[[{n}]]", "a ] b", "a [ {n}", "{", "}", "{}", "{N}", "{a b}", "{n", "{{n}}"]
)
def test_pairs_that_do_not_fit_are_refused(sentence: str) -> None:
    with pytest.raises(ValueError, match="like"):
        parse_template(sentence)
