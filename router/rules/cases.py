"""Test cases that operations write beside the rules: a call, and what must be decided for it.

The rules are asked through `RuleBook.decide`, as they are for every call; nothing is matched here. The command
`elder-router test` shows what comes out, and the running router takes no rules that fail a case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from router.callers.number import Caller, NoNumber, NoNumberReason, PhoneNumber
from router.callers.past import NO_CHOICE
from router.errors import Problem
from router.rules.book import RuleBook
from router.rules.cases_schema import CallEntry, CaseEntry, CasesFile, ExpectEntry, wall_time
from router.rules.document import (
    NO_SUCH_FILE,
    Document,
    DocumentPath,
    Source,
    load_document,
    read_source,
    validate,
)
from router.rules.durations import in_words, parse_duration_s
from router.rules.model import Decision, Facts, QueueState, QueueTarget
from router.rules.scalars import quoted
from router.rules.schema import UNKNOWN_BAND
from router.rules.wording import did_you_mean, listed

CASES_NAME: Final = "routing-tests.yaml"
"""The name of the file of cases beside the rules, where no other is named."""

NO_MATTER_WHEN: Final = datetime.fromtimestamp(0, UTC)
"""When a call comes whose case does not say so: only calendars ask, and with those it has to."""

Value: TypeAlias = str | int | tuple[int, str] | None
"""Something decided: a name or a text, the seconds of a head start, an overflow's seconds and target."""


@dataclass(frozen=True, slots=True)
class Case:
    """A call, and what must be decided for it, by the keys of `expect` that are given. Stands at `line` of `file`."""

    name: str
    file: str
    line: int
    column: int
    facts: Facts
    expected: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of `expect` that was decided otherwise, both sides in words."""

    key: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What was decided for a case; it passed when there are no differences."""

    case: Case
    decision: Decision
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class CasesReport:
    """What became of every case, and the names of the rules that decided none of them, in the rules' order."""

    results: tuple[CaseResult, ...]
    unreached: tuple[str, ...]

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """The cases that were decided otherwise than they expect."""
        return tuple(result for result in self.results if not result.passed)


def load_cases(path: Path, book: RuleBook) -> tuple[tuple[Case, ...] | None, list[Problem]]:
    """Read a file of cases for these rules.

    Returns:
        The cases, or None where anything is wrong; and everything that is.
    """
    source = read_source(path)
    return (None, [source]) if isinstance(source, Problem) else cases_from(source, book)


def cases_from(source: Source, book: RuleBook) -> tuple[tuple[Case, ...] | None, list[Problem]]:
    """The same of a file that has been read."""
    document = load_document(source.text, source.file)
    checked, problems = validate(document, CasesFile)
    # The form of a place is said first, its meaning once that is right.
    known = {(problem.line, problem.column) for problem in problems} | document.doubtful
    meanings = _CasesDocument(document, book).problems()
    problems = sorted([*problems, *(p for p in meanings if (p.line, p.column) not in known)])
    if checked is None or problems:
        return None, problems
    return tuple(_case(entry, document, index, book) for index, entry in enumerate(checked.tests)), []


def run_cases(book: RuleBook, cases: Iterable[Case]) -> CasesReport:
    """Have the rules decide every case."""
    results = tuple(_run(book, case) for case in cases)
    reached = {result.decision.rule for result in results}
    return CasesReport(results, tuple(rule.name for rule in book.rules if rule.name not in reached))


def check_cases(book: RuleBook, path: Path) -> list[Problem]:
    """What keeps these rules from being used: a case that fails, or a file of cases with a mistake.

    Nobody has to write cases: a file that is not there is no problem.
    """
    cases, problems = load_cases(path, book)
    if cases is None:
        return [problem for problem in problems if problem.message != NO_SUCH_FILE]
    return [_failure(result) for result in run_cases(book, cases).failed]


def rule_lines(book: RuleBook) -> Mapping[str, int]:
    """The line of each rule in the rules file, by the rule's name."""
    file, raw = next(iter(book.files.items()))
    document = load_document(raw.decode("utf-8-sig"), file)
    return {rule.name: document.position(("rules", index, "name"))[0] for index, rule in enumerate(book.rules)}


def _run(book: RuleBook, case: Case) -> CaseResult:
    decision = book.decide(case.facts)
    got = _decided(decision)
    differences = tuple(
        Difference(key, _shown(key, value), _shown(key, got[key]))
        for key, value in case.expected.items()
        if got[key] != value
    )
    return CaseResult(case, decision, differences)


def _decided(decision: Decision) -> dict[str, Value]:
    """What was decided, by the keys of `expect`."""
    overflow = decision.target.overflow if isinstance(decision.target, QueueTarget) else None
    return {
        "to": decision.target.name,
        "rule": decision.rule,
        "head_start": decision.head_start_s,
        "speech": decision.speech.name,
        "agent_label": decision.agent_label,
        "language": decision.language,
        "overflow": None if overflow is None else (overflow.after_s, overflow.to),
        "note": decision.note,
    }


_TEXTS: Final = frozenset({"rule", "agent_label", "language", "note"})


def _shown(key: str, value: Value) -> str:
    match value:
        case None:
            return "none"
        case int():
            return in_words(value)
        case (after_s, to):
            return f"{{after: {in_words(after_s)}, to: {to}}}"
        case str():
            return f'"{value}"' if key in _TEXTS else value


def _failure(result: CaseResult) -> Problem:
    case = result.case
    expected = listed(f"`{difference.key}` {difference.expected}" for difference in result.differences)
    got = listed(difference.got for difference in result.differences)
    decided = f'the rules decide {got} (rule "{result.decision.rule}")'
    return Problem(case.file, case.line, case.column, f'the case "{case.name}" expects {expected}, and {decided}')


def _case(entry: CaseEntry, document: Document, index: int, book: RuleBook) -> Case:
    """The file has been checked."""
    line, column = document.position(("tests", index, "name"))
    return Case(entry.name, document.file, line, column, _facts(entry.call, book), _expected(entry.expect))


def _facts(call: CallEntry, book: RuleBook) -> Facts:
    caller: Caller
    if call.caller is not None:
        caller = PhoneNumber(call.caller)
    else:
        # Without a word on the number it is one that cannot be used, which nobody withheld.
        caller = NoNumber(NoNumberReason.WITHHELD if call.anonymous else NoNumberReason.SHORT, "")
    at = NO_MATTER_WHEN if call.at is None else wall_time(call.at).replace(tzinfo=ZoneInfo(book.timezone))
    targets = {name: target for name, target in book.targets.items() if isinstance(target, QueueTarget)}
    return Facts(
        caller=caller,
        called=call.called,
        language=call.language,
        age_band=None if call.band == UNKNOWN_BAND else call.band,
        at=at,
        queues={
            targets[name].queue: QueueState(state.waiting, state.longest_wait, state.agents_free)
            for name, state in call.queue.items()
        },
        earlier_calls_s=None if call.earlier_calls is None else tuple(sorted(call.earlier_calls)),
        choice="" if call.choice == NO_CHOICE else call.choice,
        rollout=call.rollout,
    )


def _expected(expect: ExpectEntry) -> Mapping[str, Value]:
    every: dict[str, Value] = dict(expect)
    if (overflow := expect.overflow) is not None:
        every["overflow"] = (overflow.after, overflow.to)
    return MappingProxyType({key: value for key, value in every.items() if key in expect.model_fields_set})


def _group(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _lasts(duration: object) -> bool:
    try:
        return parse_duration_s(duration) > 0
    except ValueError:
        return False


class _CasesDocument:
    """A document of cases read leniently: what has the wrong shape counts as absent, the schema complains of it."""

    def __init__(self, document: Document, book: RuleBook) -> None:
        self._document = document
        self._book = book
        self._bands = (*book.bands.names, UNKNOWN_BAND)
        self._queues = [name for name, target in book.targets.items() if isinstance(target, QueueTarget)]
        tests = _group(document.data).get("tests")
        self._tests = [_group(test) for test in tests] if isinstance(tests, list) else []

    def problems(self) -> Iterator[Problem]:
        """Names that the rules do not have, and calls that cannot be."""
        seen: dict[str, int] = {}
        for index, test in enumerate(self._tests):
            path = ("tests", index)
            if isinstance(name := test.get("name"), str):
                if name in seen:
                    line, _ = self._document.position(("tests", seen[name], "name"))
                    message = f"a second case is called {quoted(name)} (first in line {line}); give each its own name"
                    yield self._document.problem((*path, "name"), message)
                seen.setdefault(name, index)
            if isinstance(call := test.get("call"), dict):
                yield from self._call((*path, "call"), call)
                yield from self._when((*path, "call"), call)
            if isinstance(expect := test.get("expect"), dict):
                yield from self._expect((*path, "expect"), expect)

    def _call(self, path: DocumentPath, call: dict[str, Any]) -> Iterator[Problem]:
        yield from self._unknown((*path, "band"), "age band", call.get("band"), self._bands)
        if call.get("anonymous") is True and "caller" in call:
            message = "an anonymous caller has no number; remove `caller`, or `anonymous`"
            yield self._document.problem((*path, "caller"), message, at_key=True)
        for name, state in _group(call.get("queue")).items():
            place = (*path, "queue", name)
            yield from self._queue(place, name, at_key=True)
            if _group(state).get("waiting") == 0 and _lasts(_group(state).get("longest_wait")):
                message = "nobody has waited where nobody waits; write 0s, or how many are `waiting`"
                yield self._document.problem((*place, "longest_wait"), message)

    def _when(self, path: DocumentPath, call: dict[str, Any]) -> Iterator[Problem]:
        if "at" not in call:
            if self._book.calendars:
                message = (
                    "`at` is missing: what these rules decide depends on when a call comes; add a time, like "
                    'at: "2026-11-25 12:00"'
                )
                yield self._document.problem(path, message)
            return
        try:
            wall = wall_time(call["at"]) if isinstance(call["at"], str) else None
        except ValueError:
            return
        zone = ZoneInfo(self._book.timezone)
        if wall and wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
            message = f"the clocks of {zone.key} are put forward over this time, so that it never comes; write another"
            yield self._document.problem((*path, "at"), message)

    def _expect(self, path: DocumentPath, expect: dict[str, Any]) -> Iterator[Problem]:
        if not expect:
            yield self._document.problem(path, "`expect` is empty; say what must be decided, like {to: people}")
        book = self._book
        yield from self._unknown((*path, "to"), "target", expect.get("to"), book.targets)
        yield from self._unknown((*path, "speech"), "speech profile", expect.get("speech"), book.speech)
        yield from self._unknown((*path, "rule"), "rule", expect.get("rule"), [rule.name for rule in book.rules])
        yield from self._queue((*path, "overflow", "to"), _group(expect.get("overflow")).get("to"))

    def _queue(self, path: DocumentPath, name: object, *, at_key: bool = False) -> Iterator[Problem]:
        yield from self._unknown(path, "target", name, self._book.targets, at_key=at_key)
        if isinstance(name, str) and name in self._book.targets and name not in self._queues:
            message = f"the target `{name}` is not a queue; the queues are {listed(self._queues)}"
            yield self._document.problem(path, message, at_key=at_key)

    def _unknown(
        self, path: DocumentPath, what: str, name: object, names: Iterable[str], *, at_key: bool = False
    ) -> Iterator[Problem]:
        known: Sequence[str] = list(names)
        if isinstance(name, str) and name not in known:
            message = f"the rules have no {what} `{name[:80]}`; {did_you_mean(name, known)}they have {listed(known)}"
            yield self._document.problem(path, message, at_key=at_key)
