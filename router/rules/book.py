"""A rules file, checked and ready to decide calls.

`RuleBook.decide` is the only place where rules are matched: the daemon, `explain`, the replay of a log and
the tests all call it and read the trace it returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from router.callers.bands import AgeBand, AgeBands
from router.errors import ConfigurationError, Problem
from router.rules.conditions import conditions_of
from router.rules.document import Document, Source, load_document, read_source, validate
from router.rules.model import (
    ContextTarget,
    Decision,
    Facts,
    Overflow,
    QueueTarget,
    RuleTrace,
    SpeechProfile,
    Target,
)
from router.rules.proof import ProofTooLargeError, prove
from router.rules.rule import Rule
from router.rules.schema import (
    FALLBACK_RULE,
    STANDARD_SPEECH,
    OverflowEntry,
    RulesFile,
    SpeechEntry,
    TargetEntry,
)
from router.rules.semantics import check_semantics, check_unused
from router.rules.wording import listed

# Enough of a SHA-256 to tell apart every rules file a centre will ever have, and to be read out on the phone.
VERSION_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules in force. Immutable: a reload makes another, and calls being decided keep theirs.

    `version` begins the SHA-256 of the file as it lies on disk (`sha256sum` shows the same).
    """

    version: str
    timezone: str
    bands: AgeBands
    protected: frozenset[str]
    speech: Mapping[str, SpeechProfile]
    targets: Mapping[str, Target]
    rules: tuple[Rule, ...]
    fallback: QueueTarget
    _matched: tuple[RuleTrace, ...] = field(repr=False)

    def decide(self, facts: Facts) -> Decision:
        """The decision of the first rule that matches, with the trace of all rules up to it.

        Pure, and never raises: the last rule has no conditions.
        """
        trace: list[RuleTrace] = []
        for index, rule in enumerate(self.rules):
            if (failure := rule.failure(facts)) is not None:
                trace.append(failure)
                continue
            trace.append(self._matched[index])
            return Decision(
                rule.name,
                rule.target,
                rule.head_start_s,
                rule.speech,
                rule.agent_label,
                tuple(trace),
                self.version,
            )
        return self.fallback_decision()

    def fallback_decision(self) -> Decision:
        """For a call the rules could not be asked about: the fallback's queue, standard speech."""
        return Decision(FALLBACK_RULE, self.fallback, 0, self.speech[STANDARD_SPEECH], "", (), self.version)


def load_rules(path: Path) -> RuleBook:
    """Read and check a rules file.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; carries every problem.
    """
    source = read_source(path)
    if isinstance(source, Problem):
        raise ConfigurationError([source])
    book, problems = rules_from(source)
    if book is None:
        raise ConfigurationError(problems)
    return book


def check_rules(path_or_text: Path | str) -> list[Problem]:
    """Everything wrong with a rules file (a `Path`) or its text (a `str`), warnings included."""
    if isinstance(path_or_text, str):
        return rules_from(source_of_text(path_or_text))[1]
    source = read_source(path_or_text)
    return [source] if isinstance(source, Problem) else rules_from(source)[1]


def source_of_text(text: str, file: str = "rules") -> Source:
    """Text that did not come from a file, as if it had."""
    return Source(file, text, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def rules_from(source: Source) -> tuple[RuleBook | None, list[Problem]]:
    """Check a rules file's text and make it ready.

    Returns:
        The rules, or None when there is any error; and all problems, warnings included, in the file's order.
    """
    document = load_document(source.text, source.file)
    checked, problems = validate(document, RulesFile)
    if document.data is not None:
        # The same place can be wrong in form and in meaning; its form is said first, its meaning once that is
        # right.
        known = {(problem.line, problem.column) for problem in problems}
        problems += [p for p in check_semantics(document) if (p.line, p.column) not in known]
    if checked is None or _has_errors(problems):
        return None, sorted(problems)
    book = _make(checked, source.sha256[:VERSION_LENGTH])
    problems = sorted([*problems, *check_unused(document), *_proof_problems(book, document)])
    return (None if _has_errors(problems) else book), problems


def _has_errors(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _make(file: RulesFile, version: str) -> RuleBook:
    """Resolve every name; the file has been checked."""
    targets = {name: _target(name, entry, file.targets) for name, entry in file.targets.items()}
    speech = {name: _speech(name, entry) for name, entry in file.speech.items()}
    speech.setdefault(STANDARD_SPEECH, _speech(STANDARD_SPEECH, SpeechEntry(rate=1.0)))
    rules = tuple(
        Rule(
            name=entry.name,
            conditions=conditions_of(entry.when),
            target=targets[entry.then.to],
            head_start_s=entry.then.head_start,
            speech=speech[entry.then.speech],
            agent_label=entry.then.agent_label,
        )
        for entry in file.rules
    )
    fallback = targets[file.fallback.to]
    if not isinstance(fallback, QueueTarget):
        raise TypeError("the fallback is not a queue, which semantics should have refused")
    return RuleBook(
        version=version,
        timezone=file.timezone,
        bands=AgeBands(tuple(AgeBand(entry.name, entry.from_years) for entry in file.age_bands)),
        protected=frozenset(file.protected),
        speech=MappingProxyType(speech),
        targets=MappingProxyType(targets),
        rules=rules,
        fallback=fallback,
        _matched=tuple(RuleTrace(rule.name, matched=True) for rule in rules),
    )


def _target(name: str, entry: TargetEntry, targets: Mapping[str, TargetEntry]) -> Target:
    if entry.queue is not None:
        return QueueTarget(name, entry.queue, _overflow(entry.overflow, targets))
    return ContextTarget(name, entry.context or "")


def _overflow(entry: OverflowEntry | None, targets: Mapping[str, TargetEntry]) -> Overflow | None:
    return None if entry is None else Overflow(entry.after, entry.to, targets[entry.to].queue or "")


def _speech(name: str, entry: SpeechEntry) -> SpeechProfile:
    return SpeechProfile(name, entry.rate, entry.sentence_pause, entry.digit_timeout, entry.gain_db)


def _proof_problems(book: RuleBook, document: Document) -> list[Problem]:
    """What can only be seen by looking at all possible calls."""
    rules = book.rules
    try:
        unreachable, unprotected = prove(rules, book.bands.names, book.protected)
    except ProofTooLargeError:
        message = (
            "these rules combine in too many ways to prove that every protected caller reaches a person; put "
            "the rules for protected age bands first, or use fewer different lists of numbers"
        )
        return [document.problem(("rules",), message, at_key=True)]
    problems = []
    for hidden in unreachable:
        if not hidden.hidden_by:
            message = "this rule can never match: its conditions exclude each other"
        else:
            names = listed(f'"{rules[index].name}"' for index in hidden.hidden_by)
            who = f"rule {names}" if len(hidden.hidden_by) == 1 else f"the rules {names} together"
            takes = "takes" if len(hidden.hidden_by) == 1 else "take"
            message = (
                f"this rule can never be reached: {who} before it {takes} every call it is for; move it up or remove it"
            )
        problems.append(document.problem(("rules", hidden.rule, "name"), message))
    for gap in unprotected:
        rule = rules[gap.rule]
        example = f" (for example: {gap.example})" if gap.example else ""
        bands = f"age band{'s' if len(gap.bands) > 1 else ''} " + listed(f"`{band}`" for band in gap.bands)
        message = (
            f"callers of the protected {bands} do not reach a person here{example}: the rule "
            f'"{rule.name}" takes them to `{rule.target.name}`, which is not a queue; put a rule before it '
            "that sends them to one"
        )
        problems.append(document.problem(("rules", gap.rule, "then", "to"), message))
    return problems
