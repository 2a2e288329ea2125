"""Lists of callers in files of their own, beside the rules."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.number import PhoneNumber
from router.errors import Problem
from router.rules.book import check_file, load_rules, source_of_text
from router.rules.conditions import CallerIs, NumberPatterns
from router.rules.examples import examples_by_fact
from router.rules.lists import MAX_LIST_BYTES, MAX_PROBLEMS, parse_list
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


def said(text: str) -> tuple[frozenset[str], list[str]]:
    patterns, problems = parse_list(source_of_text(text, "vip.txt"))
    return patterns, [str(problem) for problem in problems]


def test_numbers_beginnings_and_comments_are_read() -> None:
    text = "\ufeff# those\r\n+8613900000001\r\n\n  +861390*  # and these\r+1*\n+8613900000001\n"
    assert said(text.removeprefix("\ufeff")) == (frozenset({"+8613900000001", "+861390*", "+1*"}), [])


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
        'vip.txt:2:1: error: a number needs + and its country code, like +8613912345678 or +8610*; found "x"'
    ]


def test_a_list_of_something_else_is_not_reported_line_by_line() -> None:
    problems = parse_list(source_of_text("no number\n" * 1000, "vip.txt"))[1]
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].message == "there may be more wrong after this; mend these first"


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


def callers_found(*lists: list[str]) -> list[str]:
    """The callers that stand for every class of these lists."""
    conditions = [CallerIs(NumberPatterns.of(patterns), "") for patterns in lists]
    examples = examples_by_fact(conditions, ["young"], [])["caller"]
    return [example.facts.caller.e164 for example in examples if isinstance(example.facts.caller, PhoneNumber)]


def test_the_example_of_all_others_is_never_a_listed_number() -> None:
    # Every number that the search for an unlisted one would think of first, of every length.
    for node in ("+8", "+86139", "+8613900"):
        thought_of = [f"{node}1".ljust(end, fill) for end in range(6, 17) for fill in "0123456789"]
        listed = [number for number in [f"{node}000000", *thought_of] if len(number) > 5]
        found = callers_found(listed)
        others = [number for number in found if number.startswith(f"{node}1") and number not in listed]
        assert others, node


@given(st.lists(st.from_regex(r"\+1[12]{4,5}", fullmatch=True), min_size=1, max_size=60, unique=True))
def test_every_list_leaves_an_example_of_its_own_and_one_of_another(listed: list[str]) -> None:
    found = callers_found(listed, ["+1*"])
    assert set(found) & set(listed)
    assert any(number.startswith("+1") and number not in listed for number in found)
    assert any(not number.startswith("+1") for number in found)
