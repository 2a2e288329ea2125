"""Whatever somebody saves as a rules file, checking it ends, and what is loaded decides every call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.rules.book import rules_from, source_of_text
from router.rules.model import Facts, QueueTarget

SHIPPED = (Path(__file__).parents[2] / "config" / "routing.yaml").read_text(encoding="utf-8")
WORDS = [
    *("when: ", "then: ", "to: ", "people", "senior", "unknown", "[", "]", "{", "}", ": ", ", ", "- ", "\n", "  "),
    *('"', "'", "#", "&a ", "*a", "!!str ", "on", "22:30", "0800", "+8610*", "95*", "true", "5m", "\t", "：", "\u200b"),
]
AT = datetime.fromtimestamp(0, UTC)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """The shipped file after a few careless edits."""
    text = SHIPPED
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.one_of(st.sampled_from(WORDS), st.text(max_size=4))) + text[end:]
    return text


def check(text: str) -> None:
    book, problems = rules_from(source_of_text(text))
    has_errors = any(problem.severity == "error" for problem in problems)
    assert (book is None) == has_errors
    assert problems == sorted(problems)
    for problem in problems:
        assert str(problem).isprintable()
        assert 0 <= problem.line <= text.count("\n") + text.count("\r") + 1
    if book is None:
        return
    for band in (*book.bands.names, None):
        for caller in (PhoneNumber("+8613912345678"), NoNumber(NoNumberReason.WITHHELD, "")):
            decision = book.decide(Facts(caller, "95519", "en", band, AT))
            assert decision.trace[-1].rule == decision.rule
            if band in book.protected:
                assert isinstance(decision.target, QueueTarget)


@given(damaged())
def test_careless_edits_end_in_rules_or_in_problems(text: str) -> None:
    check(text)


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_words_thrown_together_end_in_problems(text: str) -> None:
    check(text)


@given(st.text(max_size=200))
def test_any_text_ends_in_problems(text: str) -> None:
    check(text)
