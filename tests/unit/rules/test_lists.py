"""Lists of callers in files of their own, beside the rules."""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from types import FrameType, ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import PhoneNumber
from router.errors import Problem
from router.rules.book import check_file, load_rules, source_of_text
from router.rules.conditions import CallerIs, Condition, NumberPatterns
from router.rules.examples import examples_by_fact
from router.rules.listed_numbers import ListedNumbers
from router.rules.lists import MAX_BEGINNINGS, MAX_LIST_BYTES, MAX_PROBLEMS, parse_list
from router.rules.model import Facts

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: young, from: 0}, {name: old, from: 60}]
protected: [old]
targets: {people: {queue: agents}, vips: {queue: vips}, assistant: {context: router-assistant}}
rules:
  - {name: old, when: {age_band: old}, then: {to: people}}
  - {name: vip, when: {caller: [vip.txt, "+8610*"]}, then: {to: vips}}
  - {name: both, when: {caller: both.txt}, then: {to: people}}
  - {name: rest, then: {to: assistant}}
fallback: {to: people}
"""
FACTS = Facts(PhoneNumber("+8613900000001"), "95519", "en", "young", datetime(2026, 11, 23, 9, tzinfo=UTC))


def write(folder: Path, **lists: str | bytes) -> Path:
    for name, content in lists.items():
        (folder / f"{name}.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    path = folder / "routing.yaml"
    path.write_text(RULES)
    return path


def said(text: str) -> tuple[set[str], list[str]]:
    callers, problems = parse_list(source_of_text(text, "vip.txt"))
    return {*callers.numbers, *(f"{each}*" for each in callers.beginnings)}, [str(problem) for problem in problems]


def test_numbers_beginnings_and_comments_are_read() -> None:
    text = "\ufeff# those\r\n+8613900000001\r\n\n  +861390*  # and these\r+1*\n+8613900000001\n"
    assert said(text.removeprefix("\ufeff")) == ({"+8613900000001", "+861390*", "+1*"}, [])


@pytest.mark.parametrize(
    "entry",
    [
        *("13900000001", "+86 139", "+0139*", "+86139", "*", "+86**", "86139*", "+1390000000123456"),
        *("＋8613900000001", "+8613900000001\u200b"),
    ],
)
def test_what_is_no_number_is_placed_in_the_list(entry: str) -> None:
    patterns, problems = said(f"# a line\n+8613900000001\n   {entry}\n")
    is_fine = entry == "+86139"  # a short number of five digits
    assert patterns == ({"+8613900000001", "+86139"} if is_fine else {"+8613900000001"})
    assert [problem.partition(" error")[0] for problem in problems] == ([] if is_fine else ["vip.txt:3:4:"])


def test_lines_are_counted_as_editors_count_them() -> None:
    assert said("# a\u2028b\x0bc\x85d\nx\n")[1] == [
        'vip.txt:2:1: error: a number needs + and its country code, like +8613900000005 or +8610*; found "x"'
    ]


def test_a_list_of_something_else_is_not_reported_line_by_line() -> None:
    problems = parse_list(source_of_text("no number\n" * 1000, "vip.txt"))[1]
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].message == "there may be more wrong after this; mend these first"


def test_more_beginnings_than_can_be_proved_are_refused_where_they_begin() -> None:
    every = [f"+86{number:06}*" for number in range(100_000, 100_000 + MAX_BEGINNINGS)]
    assert said("\n".join([*every, *every, "+8613900000001"]))[1] == []
    assert said("\n".join([*every, "  +8620*", "nonsense"]))[1] == [
        "vip.txt:10001:3: error: a list may have 10,000 beginnings of numbers (with *), and this is one more; "
        "write whole numbers, or shorter beginnings that each stand for several"
    ]


def test_lists_of_more_beginnings_together_than_can_be_proved_are_told_of(tmp_path: Path) -> None:
    vip, both = (
        "\n".join(f"+86{number * 6_180_339_887 % 10**10:010}*" for number in range(start, start + MAX_BEGINNINGS))
        for start in (10_000_000, 40_000_000)
    )
    _, problems = check_file(write(tmp_path, vip=vip, both=both))
    assert [problem.message for problem in problems] == [
        "these rules combine in too many ways to prove that every protected caller reaches a person; put the rules for "
        "protected age bands first, or use fewer different lists of numbers"
    ]


def test_lists_beside_the_rules_are_read_and_decide(tmp_path: Path) -> None:
    book = load_rules(write(tmp_path, vip="+8613900000001\n+8620*\n", both="+8613900000001\n+8613900000002\n"))
    callers = {"+8613900000001": "vip", "+862012345678": "vip", "+861012345678": "vip", "+8613900000002": "both"}
    for number, rule in {**callers, "+8613900000003": "rest"}.items():
        assert book.decide(replace(FACTS, caller=PhoneNumber(number))).rule == rule
    assert book.decide(FACTS).trace[-1].matched
    assert "+8613900000001" not in str(book.decide(replace(FACTS, caller=PhoneNumber("+8613900000003"))).trace)


def test_the_version_is_of_all_the_files(tmp_path: Path) -> None:
    path = write(tmp_path, vip="+1*\n", both="+2*\n")
    book = load_rules(path)
    assert list(book.files) == ["routing.yaml", "vip.txt", "both.txt"]
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in book.files}
    every = "".join(f"{digest}  {name}\n" for name, digest in digests.items())  # as sha256sum prints them
    assert book.version == hashlib.sha256(every.encode()).hexdigest()[:12]
    write(tmp_path, both="+2*\n\n")
    assert load_rules(path).version != book.version


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file; check the path"),
        (b"\0", "this is not a text file in UTF-8; save it as plain text, encoding UTF-8"),
        ("老".encode("gbk"), "this character is not UTF-8; save the file with encoding UTF-8"),
        (b"#" * (MAX_LIST_BYTES + 1), "the file is larger than 8192 KiB; is it the right one?"),
    ],
)
def test_a_list_that_cannot_be_read_is_told_of_where_it_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = write(tmp_path, both="+2*\n", **({} if content is None else {"vip": content}))
    book, problems = check_file(path)
    assert book is None
    said = f"the list vip.txt, beside this file, cannot be used: {message}"
    assert problems == [Problem(str(path), 7, 33, said)]


def test_a_list_of_three_hundred_thousand_is_loaded_proved_and_asked(tmp_path: Path) -> None:
    numbers = [f"+86139{number:08}" for number in range(0, 600_000, 2)]
    book = load_rules(write(tmp_path, vip="\n".join(numbers), both="\n".join([*numbers[:1000], "+86139*"])))
    assert [rule.name for rule in book.rules] == ["old", "vip", "both", "rest"]
    for number, rule in {"+8613900000002": "vip", "+8613900599998": "vip", "+8613900599999": "both"}.items():
        assert book.decide(replace(FACTS, caller=PhoneNumber(number))).rule == rule


def test_a_list_that_another_covers_is_found(tmp_path: Path) -> None:
    numbers = "\n".join(f"+86139{number:08}" for number in range(1000))
    _, problems = check_file(write(tmp_path, vip=numbers + "\n+861380*\n", both=numbers))
    (problem,) = problems
    assert problem.message == (
        'this rule can never be reached: the rules "old", "vip" together before it take every call it is for; '
        "move it up or remove it"
    )


LARGE = 100_000


@pytest.fixture(scope="module")
def rules_of_a_large_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # In no order: one that Python's sort finds would save it the work.
    numbers = [f"+86139{number * 61_803_399 % 10**8:08}" for number in range(LARGE)]
    return write(tmp_path_factory.mktemp("large"), vip="\n".join(numbers), both="\n".join([*numbers[:9000], "+8620*"]))


def test_no_step_of_loading_a_large_list_takes_long(rules_of_a_large_list: Path) -> None:
    """Calls wait for every call of C that a reload makes, as no other thread can break it off."""
    began: list[float] = []
    longest = (0.0, "")

    def look(_frame: FrameType, event: str, called: object) -> None:
        nonlocal longest
        if event == "c_call":
            began.append(time.thread_time())
        elif event in {"c_return", "c_exception"} and began:
            longest = max(longest, (time.thread_time() - began.pop(), repr(called)))

    gc.disable()  # which would look through all that the tests have made, in whichever call comes then
    sys.setprofile(look)
    try:
        load_rules(rules_of_a_large_list)
    finally:
        sys.setprofile(None)
        gc.enable()
    took_s, called = longest
    assert took_s < 0.005, called


def test_rules_with_a_large_list_are_few_objects_that_are_soon_freed(rules_of_a_large_list: Path) -> None:
    seen: set[int] = set()
    held: set[int] = set()
    book = load_rules(rules_of_a_large_list)
    todo: list[object] = [book.rules]
    while todo:
        here = todo.pop()
        if id(here) in seen or isinstance(here, type | ModuleType):
            continue
        seen.add(id(here))
        if isinstance(here, ListedNumbers):
            held.add(len(here))
        todo += gc.get_referents(here)
    assert held == {LARGE, 9000}
    assert len(seen) < LARGE / 20


def callers_found(*lists: list[str], in_files: bool = False) -> list[str]:
    """The callers that stand for every class of these lists."""
    if not in_files:
        return callers_told_apart([CallerIs(NumberPatterns.of(patterns), "") for patterns in lists])
    files = [parse_list(source_of_text("\n".join(patterns)))[0] for patterns in lists]
    return callers_told_apart([CallerIs(NumberPatterns.of([], [callers]), "") for callers in files])


def callers_told_apart(conditions: Sequence[Condition]) -> list[str]:
    examples = examples_by_fact(conditions, ["young"], [])["caller"]
    return [example.facts.caller.e164 for example in examples if isinstance(example.facts.caller, PhoneNumber)]


@pytest.mark.parametrize("in_files", [False, True])
def test_the_example_of_all_others_is_never_a_listed_number(*, in_files: bool) -> None:
    # Every number that the search for an unlisted one would think of first, of every length.
    for node in ("+8", "+86139", "+8613900"):
        thought_of = [f"{node}1".ljust(end, fill) for end in range(6, 17) for fill in "0123456789"]
        listed = [number for number in [f"{node}000000", *thought_of] if len(number) > 5]
        found = callers_found(listed, in_files=in_files)
        others = [number for number in found if number.startswith(f"{node}1") and number not in listed]
        assert others, node


@given(st.lists(st.from_regex(r"\+1[12]{4,5}", fullmatch=True), min_size=1, max_size=60, unique=True))
def test_every_list_leaves_an_example_of_its_own_and_one_of_another(listed: list[str]) -> None:
    found = callers_found(listed, ["+1*"])
    assert set(found) & set(listed)
    assert any(number.startswith("+1") and number not in listed for number in found)
    assert any(not number.startswith("+1") for number in found)


EVERY_NUMBER = ["+1" + "".join(digits) for digits in product("123", repeat=4)]
SOME_NUMBERS = st.lists(st.from_regex(r"\+1[12]{4}|\+1[12]{1,2}\*", fullmatch=True), max_size=6)


@given(
    st.lists(SOME_NUMBERS.filter(bool), min_size=1, max_size=3),
    st.lists(st.tuples(SOME_NUMBERS, st.sets(st.integers(0, 2))), min_size=1, max_size=4),
)
def test_whoever_rules_tell_apart_by_their_lists_has_an_example(
    lists: list[list[str]], asked: list[tuple[list[str], set[int]]]
) -> None:
    read = [parse_list(source_of_text("\n".join(numbers)))[0] for numbers in lists]
    conditions = [
        CallerIs(NumberPatterns.of(written, [read[n] for n in named if n < len(read)]), "") for written, named in asked
    ]

    def taken(number: str) -> tuple[bool, ...]:
        return tuple(condition.accepts(replace(FACTS, caller=PhoneNumber(number))) for condition in conditions)

    assert {taken(number) for number in EVERY_NUMBER} <= {taken(number) for number in callers_told_apart(conditions)}


def test_of_a_class_the_first_number_stands_for_it_whichever_share_it_is_in() -> None:
    numbers = [f"+86139{number * 61_803_399 % 10**8:08}" for number in range(1, 5000)]
    callers, _ = parse_list(source_of_text("\n".join(numbers)))
    found = callers_told_apart([CallerIs(NumberPatterns.of([], [callers]), "")])
    assert [number for number in found if number in callers.numbers] == [min(numbers)]
