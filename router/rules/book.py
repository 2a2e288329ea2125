"""A rules file, checked and ready to decide calls.

`RuleBook.decide` is the only place where rules are matched: the daemon, `explain`, the replay of a log and
the tests all call it and read the trace it returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from router.callers.bands import AgeBand, AgeBands
from router.callers.past import read_choice
from router.errors import ConfigurationError, Problem
from router.rules.calendars import Calendar, CalendarClock
from router.rules.conditions import QueueIs, RepeatIs
from router.rules.document import Source, load_document, read_source, validate
from router.rules.hours import Hours
from router.rules.lists import MAX_LIST_BYTES, CallerList, ReadList, parse_list
from router.rules.model import (
    ContextTarget,
    Decision,
    Facts,
    Overflow,
    QueueTarget,
    RuleTrace,
    SpeechFrom,
    SpeechProfile,
    Target,
)
from router.rules.pace import profile_chosen
from router.rules.rule import Rule
from router.rules.schema import (
    STANDARD_SPEECH,
    CalendarEntry,
    OverflowEntry,
    RuleEntry,
    RulesFile,
    SpeechEntry,
    TargetEntry,
)
from router.rules.semantics import check_semantics, check_unused, list_names
from router.rules.soundness import check_soundness
from router.rules.values import FALLBACK_RULE
from router.rules.when import conditions_of

# Enough of a SHA-256 to tell apart every rules file a centre will ever have, and to be read out on the phone.
VERSION_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules in force. Immutable: a reload makes another, and calls being decided keep theirs.

    Attributes:
        version: Begins the SHA-256 of the file as it lies on disk (`sha256sum` shows the same); where it names lists of
            callers, that of all the files.
        files: Name → content of what it was read from, the rules file first, then the lists.
        repeat_within_s: The longest span in which a rule counts a caller's calls; 0 if none does.
        queues: Asterisk's names of all queues that calls are sent to or whose state is asked for.
    """

    version: str
    files: Mapping[str, bytes] = field(repr=False)
    timezone: str
    bands: AgeBands
    protected: frozenset[str]
    speech: Mapping[str, SpeechProfile]
    targets: Mapping[str, Target]
    calendars: tuple[Calendar, ...]
    rules: tuple[Rule, ...]
    fallback: QueueTarget
    repeat_within_s: float
    queues: frozenset[str]
    _matched: tuple[RuleTrace, ...] = field(repr=False)
    _clock: CalendarClock = field(repr=False, compare=False)

    def decide(self, facts: Facts) -> Decision:
        """The decision of the first rule that matches, with the trace of all rules up to it.

        Pure, and never raises: the last rule has no conditions.
        """
        if facts.calendars is None and self.calendars:
            facts = facts.with_calendars(self._clock.open_at(facts.at))
        trace: list[RuleTrace] = []
        for index, rule in enumerate(self.rules):
            if (failure := rule.failure(facts)) is not None:
                trace.append(failure)
                continue
            trace.append(self._matched[index])
            speech, speech_from = rule.speech, _BY_RULE
            if facts.choice:
                speech, speech_from = self._speech_chosen(facts.choice, rule)
            return Decision(
                rule.name,
                rule.target,
                rule.head_start_s,
                speech,
                rule.agent_label,
                tuple(trace),
                self.version,
                rule.language,
                rule.note,
                facts.calendars or _NO_CALENDARS,
                speech_from,
            )
        return self.fallback_decision()

    def _speech_chosen(self, choice: str, rule: Rule) -> tuple[SpeechProfile, SpeechFrom]:
        """How to speak to a caller who has chosen before: stronger than what a rule says for callers like them."""
        chosen = read_choice(choice)
        if chosen is None or not chosen.pace or chosen.pace in rule.paces:
            return rule.speech, _BY_RULE
        return profile_chosen(chosen, rule.speech, self.speech), "choice"

    def fallback_decision(self) -> Decision:
        """For a call the rules could not be asked about: the fallback's queue, standard speech."""
        return Decision(FALLBACK_RULE, self.fallback, 0, self.speech[STANDARD_SPEECH], "", (), self.version)


_NO_CALENDARS: Final[frozenset[str]] = frozenset()
_BY_RULE: Final[SpeechFrom] = "rule"


def load_rules(path: Path) -> RuleBook:
    """Read and check a rules file, and the lists of callers beside it that it names.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; carries every problem.
    """
    book, problems = check_file(path)
    if book is None:
        raise ConfigurationError(problems)
    return book


def check_file(path: Path) -> tuple[RuleBook | None, list[Problem]]:
    """The rules of a file, or None where anything is wrong with it; and every problem, warnings included."""
    source = read_source(path)
    if isinstance(source, Problem):
        return None, [source]
    return rules_from(source, lambda name: read_source(path.with_name(name), MAX_LIST_BYTES))


def source_of_text(text: str, file: str = "rules") -> Source:
    """Text that did not come from a file, as if it had."""
    return Source(file, text, text.encode("utf-8", "surrogatepass"))


def _no_list(name: str) -> Problem:
    return Problem(name, 0, 0, "there is no such file; check the path")


def rules_from(source: Source, read_list: ReadList = _no_list) -> tuple[RuleBook | None, list[Problem]]:
    """Check a rules file's text and make it ready.

    Args:
        source: The rules file.
        read_list: Reads a list of callers that it names.

    Returns:
        The rules, or None when there is any error; and all problems, warnings included, in the file's order.
    """
    document = load_document(source.text, source.file)
    checked, problems = validate(document, RulesFile)
    lists: dict[str, CallerList] = {}
    files = {Path(source.file).name: source.raw}
    if document.data is not None:
        # The same place can be wrong in form and in meaning; its form is said first, its meaning once that is
        # right.
        known = {(problem.line, problem.column) for problem in problems} | document.doubtful
        problems += [p for p in check_semantics(document) if (p.line, p.column) not in known]
        for name, place in list_names(document).items():
            read = read_list(name)
            if isinstance(read, Problem):
                problems.append(
                    document.problem(place, f"the list {name}, beside this file, cannot be used: {read.message}")
                )
            else:
                files[name] = read.raw
                lists[name], wrong = parse_list(read)
                problems += wrong
    if checked is None or _has_errors(problems):
        return None, sorted(problems)
    book = _make(checked, files, lists)
    unsound = check_soundness(document, book.rules, book.bands.names, book.protected, book.calendars)
    problems = sorted([*problems, *check_unused(document), *unsound])
    return (None if _has_errors(problems) else book), problems


def _has_errors(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _version(files: Mapping[str, bytes]) -> str:
    digests = [hashlib.sha256(content).hexdigest() for content in files.values()]
    if len(digests) > 1:
        named = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, files, strict=True))
        digests = [hashlib.sha256(named.encode()).hexdigest()]
    return digests[0][:VERSION_LENGTH]


def _make(file: RulesFile, files: Mapping[str, bytes], lists: Mapping[str, CallerList]) -> RuleBook:
    """Resolve every name; the file has been checked."""
    version = _version(files)
    targets = {name: _target(name, entry, file.targets) for name, entry in file.targets.items()}
    speech = {name: _speech(name, entry) for name, entry in file.speech.items()}
    speech.setdefault(STANDARD_SPEECH, _speech(STANDARD_SPEECH, SpeechEntry(rate=1.0)))
    queues = {name: target.queue for name, target in targets.items() if isinstance(target, QueueTarget)}
    rules = tuple(
        Rule(
            name=entry.name,
            conditions=conditions_of(entry.when, lists=lists, queues=queues),
            target=_rule_target(entry, targets, file.targets),
            head_start_s=entry.then.head_start,
            speech=speech[entry.then.speech],
            agent_label=entry.then.agent_label,
            language=entry.then.language or "",
            note=entry.then.note,
            says_speech="speech" in entry.then.model_fields_set,
        )
        for entry in file.rules
    )
    fallback = targets[file.fallback.to]
    if not isinstance(fallback, QueueTarget):
        raise TypeError("the fallback is not a queue, which semantics should have refused")
    calendars = tuple(_calendar(name, entry) for name, entry in file.calendars.items())
    conditions = [condition for rule in rules for condition in rule.conditions]
    return RuleBook(
        version=version,
        files=MappingProxyType(dict(files)),
        timezone=file.timezone,
        bands=AgeBands(tuple(AgeBand(entry.name, entry.from_years) for entry in file.age_bands)),
        protected=frozenset(file.protected),
        speech=MappingProxyType(speech),
        targets=MappingProxyType(targets),
        calendars=calendars,
        rules=rules,
        fallback=fallback,
        repeat_within_s=max((c.within_s for c in conditions if isinstance(c, RepeatIs)), default=0.0),
        queues=frozenset(queues.values()) | {c.queue for c in conditions if isinstance(c, QueueIs)},
        _matched=tuple(RuleTrace(rule.name, matched=True) for rule in rules),
        _clock=CalendarClock(calendars, ZoneInfo(file.timezone)),
    )


def _rule_target(entry: RuleEntry, targets: Mapping[str, Target], entries: Mapping[str, TargetEntry]) -> Target:
    """A rule's target, with the rule's own overflow where it has one."""
    target = targets[entry.then.to]
    if entry.then.overflow is None or not isinstance(target, QueueTarget):
        return target
    return replace(target, overflow=_overflow(entry.then.overflow, entries))


def _calendar(name: str, entry: CalendarEntry) -> Calendar:
    on_holidays = None if entry.holiday_hours is None else Hours(entry.holiday_hours)
    return Calendar(name, Hours(entry.hours), entry.holidays, on_holidays)


def _target(name: str, entry: TargetEntry, targets: Mapping[str, TargetEntry]) -> Target:
    if entry.queue is not None:
        return QueueTarget(name, entry.queue, _overflow(entry.overflow, targets))
    return ContextTarget(name, entry.context or "")


def _overflow(entry: OverflowEntry | None, targets: Mapping[str, TargetEntry]) -> Overflow | None:
    return None if entry is None else Overflow(entry.after, entry.to, targets[entry.to].queue or "")


def _speech(name: str, entry: SpeechEntry) -> SpeechProfile:
    return SpeechProfile(
        name,
        entry.rate,
        entry.sentence_pause,
        entry.digit_timeout,
        entry.gain_db,
        entry.value_pause,
        entry.menu_options,
        entry.repeat_essential,
    )
