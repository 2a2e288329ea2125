"""Whatever somebody saves as a rules file, checking it ends, and what is loaded decides every call.

And what is loaded is what every other reader of YAML would read, and is the same when a program writes it anew.
"""

from __future__ import annotations

import io
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.errors import Problem
from router.rules.book import RuleBook, rules_from, source_of_text
from router.rules.document import Source, load_document
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


LISTS = {"vip.txt": "+8613900000001\n+8610*\n", "others.txt": "+1*\n"}


def read_list(name: str) -> Source | Problem:
    return source_of_text(LISTS[name], name) if name in LISTS else Problem(name, 0, 0, "there is no such file")


def check(text: str) -> None:
    book, problems = rules_from(source_of_text(text), read_list)
    has_errors = any(problem.severity == "error" for problem in problems)
    assert (book is None) == has_errors
    assert problems == sorted(problems)
    for problem in problems:
        assert str(problem).isprintable()
        assert 0 <= problem.line <= text.count("\n") + text.count("\r") + 1
    if book is None:
        return
    event("loaded")
    every_reader_reads_the_same(text)
    written_anew_it_is_the_same(text, book)
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


def told_apart(value: object) -> object:
    """A value that is unequal where only the type differs, as 1 and true do not."""
    match value:
        case dict():
            return {told_apart(key): told_apart(item) for key, item in value.items()}
        case list():
            return [told_apart(item) for item in value]
        case _:
            return type(value).__name__, value


def every_reader_reads_the_same(text: str) -> None:
    """As YAML 1.1 and as YAML 1.2; or a reader refuses it, as some of 1.1 do with a `:` in braces."""
    ours = told_apart(load_document(text, "rules").data)
    for version in ((1, 1), (1, 2)):
        yaml = YAML(typ="safe", pure=True)
        yaml.version = version
        try:
            theirs = yaml.load(text)
        except (YAMLError, ValueError, AttributeError):
            assert version == (1, 1), text
            continue
        assert told_apart(theirs) == ours, version


class _Quoting(SafeRepresenter):
    """Writes plain values; text in quotes, as everything that our reader might take for something else must be."""


def _text(representer: _Quoting, value: str) -> ScalarNode:
    return representer.represent_scalar("tag:yaml.org,2002:str", value, style='"')


def _decimal(representer: _Quoting, value: float) -> ScalarNode:
    return representer.represent_scalar("tag:yaml.org,2002:float", format(Decimal(str(value)), "f"))


_Quoting.add_representer(str, _text)
_Quoting.add_representer(float, _decimal)


def written(data: object) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Quoting
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel's says None
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def written_anew_it_is_the_same(text: str, book: RuleBook) -> None:
    again, problems = rules_from(source_of_text(written(load_document(text, "rules").data)), read_list)
    assert again is not None, problems
    compared = [field.name for field in fields(RuleBook) if field.compare and field.name not in {"version", "files"}]
    assert {name: getattr(again, name) for name in compared} == {name: getattr(book, name) for name in compared}


words = st.text("0123456789._+-eExXobTZyYnNoOfFaAlLiIsS=<~:,&*!|>%@`#?{}[]'\" ", min_size=1, max_size=8)


@pytest.mark.parametrize("around", ["a: {}\n", "{{a: {}}}\n", "- {}\n", "[{}]\n", "{}: 1\n"])
@given(words)
def test_a_word_that_is_taken_means_the_same_to_every_reader(around: str, word: str) -> None:
    text = around.format(word)
    document = load_document(text, "f")
    assume(document.data is not None and not document.problems)
    every_reader_reads_the_same(text)


def one_or_many(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))


durations = st.sampled_from(["1m", "90s", "2h", "1d"])
whens = st.fixed_dictionaries(
    {},
    optional={
        "age_band": one_or_many(["minor", "elder", "unknown"]),
        "called": one_or_many([95519, "9551*", "10*", "+8610"]),
        "caller": one_or_many(["vip.txt", "others.txt", "+8613912345678", "+86139*", "+*"]),
        "anonymous": st.booleans(),
        "language": one_or_many(["en", "zh_CN"]),
        "calendar": one_or_many(["open", "night", "summer"]),
        "outside_calendar": one_or_many(["open", "night", "summer"]),
        "choice": one_or_many(["slower", "normal", "person", "none"]),
        "repeat": st.fixed_dictionaries({"calls": st.integers(2, 21), "within": durations}),
        "queue": st.dictionaries(
            st.sampled_from(["people", "care"]),
            st.one_of(
                st.just({"waiting_over": 3}),
                st.just({"waiting_under": 9, "agents_free_over": 0}),
                durations.map(lambda wait: {"longest_wait_over": wait}),
            ),
            min_size=1,
        ),
        "rollout": st.sampled_from(["5%", "12.5 %", "100%"]),
    },
)
thens = st.fixed_dictionaries(
    {"to": st.sampled_from(["people", "care"])},
    optional={
        "head_start": st.sampled_from(["0s", "5m"]),
        "speech": st.sampled_from(["standard", "slow"]),
        "agent_label": st.sampled_from(["60+", "22:30", "on", "老人"]),
        "language": st.sampled_from(["zh", "en_GB"]),
        "note": st.sampled_from(["a note", "0800", "~", "it's one, [really]", "true", "1.0"]),
    },
)
rule_files = st.builds(
    lambda drawn, overflow, on_holidays: {
        "timezone": "Asia/Shanghai",
        "age_bands": [{"name": "minor", "from": 0}, {"name": "elder", "from": 75}],
        "protected": ["elder"],
        "speech": {"slow": {"rate": 0.85, "sentence_pause": "400ms", "gain_db": 3}},
        "targets": {"people": {"queue": "agents"}, "care": {"queue": "care", "overflow": overflow}},
        "calendars": {
            "open": {"hours": "Mo-Fr 09:00-21:00; Sa-Su 09:00-18:00", "holidays": "CN", "holiday_hours": on_holidays},
            "night": {"hours": "22:00-06:00"},
            "summer": {"hours": "Mo-Fr 08:00-20:00"},
        },
        "rules": [
            *(
                {"name": f"r{n}", **({"when": when} if when else {}), "then": then}
                for n, (when, then) in enumerate(drawn)
            ),
            {"name": "22:30", "then": {"to": "people"}},
        ],
        "fallback": {"to": "people"},
    },
    st.lists(st.tuples(whens, thens), max_size=4),
    st.fixed_dictionaries({"after": st.sampled_from(["60s", "2h"]), "to": st.just("people")}),
    st.sampled_from(["10:00-16:00", "off"]),
)


@given(rule_files)
def test_rules_with_all_conditions_are_the_same_to_every_reader_and_writer(data: dict[str, Any]) -> None:
    check(written(data))


@given(rule_files, st.integers(0, 5_000), st.integers(0, 2), st.one_of(st.sampled_from(WORDS), st.text(max_size=2)))
def test_careless_edits_of_those_end_in_rules_or_in_problems(
    data: dict[str, Any], start: int, length: int, word: str
) -> None:
    text = written(data)
    start %= len(text)
    check(text[:start] + word + text[start + length :])
