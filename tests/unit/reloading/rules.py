"""Small rules that load in a moment, in versions that differ."""

from __future__ import annotations

from pathlib import Path

from router.rules.book import RuleBook, load_rules

RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: any, from: 0}]
protected: []
targets: {people: {queue: agents}}
rules:
  - name: the usual
    then: {to: people}
fallback: {to: people}
"""
WITH_LIST = RULES.replace(
    "rules:\n", "rules:\n  - name: known\n    when: {caller: known.txt}\n    then: {to: people, head_start: 1m}\n"
)
BROKEN = RULES.replace("then: {to: people}", "then: {to: peple}")
CASES = """\
tests:
  - name: everyone
    call: {caller: "+8613900000001", called: "95500"}
    expect: {rule: the usual}
"""
"""Which RULES pass."""


def cases_for(name: str) -> str:
    """Cases that only rules `named` so pass."""
    return CASES.replace("the usual", name)


def named(name: str) -> str:
    """Rules whose one rule is called so: each name is a version of its own."""
    return RULES.replace("the usual", name)


def book_of(folder: Path, text: str) -> RuleBook:
    """Load rules that lie in a folder as routing.yaml."""
    folder.mkdir(exist_ok=True)
    file = folder / "routing.yaml"
    file.write_text(text)
    return load_rules(file)
