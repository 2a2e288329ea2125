"""The rules of a recorded decision asked once more, with what they were asked then.

The rules of that time are those on disk, or of the versions kept. What is decided differently is named: then the
record, the rules or the program is not what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from router.calls.verdict import channel_language
from router.cli.options import history_in
from router.cli.recognising import recogniser_for
from router.cli.tracing import decision_as_plain, shown_text
from router.errors import ConfigurationError, HistoryError
from router.journal.erasing import ERASED
from router.journal.records import DecisionRecord
from router.journal.replay import facts_of
from router.rules.book import RuleBook, load_rules
from router.rules.model import Decision, QueueTarget
from router.rules.recorded import Recogniser


@dataclass(frozen=True, slots=True)
class Again:
    """The rules of a decision asked once more. `decision` is None where they could not be, and `why` says it.

    `book` is the rules of that time, None where they are not to be had.

    `differing` names what they decide otherwise now; `same_words` tells whether every rule gives its answer in the
    words recorded, which a later program may have others for.
    """

    book: RuleBook | None
    decision: Decision | None
    differing: tuple[str, ...] = ()
    same_words: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class RulesOfThen:
    """Where the rules that decided are to be had: the file of those in force, and the folder of earlier ones."""

    rules_file: Path | None
    history: Path | None
    secret_file: Path | None

    def again(self, decisions: Sequence[tuple[Mapping[str, Any], DecisionRecord]]) -> list[Again]:
        """Ask the rules of each decision once more, with what they were asked then."""
        books: dict[str, RuleBook | str] = {}
        answers = []
        for fields, record in decisions:
            version = record.rules_version
            if not record.rule:
                answers.append(Again(None, None, why="the rules were not asked: the call went to people by itself"))
                continue
            if version not in books:
                try:
                    books[version] = self._book(version)
                except (ConfigurationError, HistoryError) as error:
                    books[version] = str(error)
            match books[version]:
                case str(why):
                    answers.append(Again(None, None, why=why))
                case book:
                    answers.append(self._asked(book, fields, record))
        return answers

    def zone(self) -> ZoneInfo | None:
        """The time zone of the rules in force, for a call that no rules decided; None where they are not to be had."""
        try:
            return ZoneInfo(load_rules(self.rules_file).timezone) if self.rules_file is not None else None
        except ConfigurationError:
            return None

    def _asked(self, book: RuleBook, fields: Mapping[str, Any], record: DecisionRecord) -> Again:
        if record.caller == ERASED:
            return Again(book, None, why="the caller was forgotten, and with them what the rules were asked")
        try:
            recogniser = recogniser_for(book, f"version {record.rules_version}", self.secret_file)
        except ConfigurationError as error:
            return Again(book, None, why=str(error))
        return _asked_again(book, recogniser, fields, record)

    def _book(self, version: str) -> RuleBook:
        """The rules of a version: those on disk, or those kept."""
        if self.rules_file is not None:
            try:
                if (book := load_rules(self.rules_file)).version == version:
                    return book
            except ConfigurationError:
                pass  # what lies on disk is wrong, or nothing does: that was not in force
        if self.history is None:
            raise HistoryError("where earlier rules are kept is not known; name the settings file with --config")
        entry = history_in(self.history).find(version)
        return load_rules(entry.folder / entry.rules_name)


def _asked_again(book: RuleBook, recogniser: Recogniser, fields: Mapping[str, Any], record: DecisionRecord) -> Again:
    try:
        facts = facts_of(fields, recogniser, record.rules_version)
    except (KeyError, TypeError, ValueError) as error:
        return Again(book, None, why=f"the record does not tell what the rules were asked with: {error!r}")
    decision = book.decide(facts)
    worded = [step.model_dump() for step in record.trace] == [asdict(step) for step in decision.trace]
    return Again(book, decision, tuple(_differing(book, decision, fields, record)), same_words=worded)


def _differing(book: RuleBook, decision: Decision, fields: Mapping[str, Any], record: DecisionRecord) -> Iterator[str]:
    """What is decided otherwise than the record has it; what was not yet recorded then is not compared."""
    target = decision.target
    now: dict[str, object] = {
        "rule": decision.rule,
        "target": target.name,
        "head_start_s": decision.head_start_s,
        "speech": decision.speech.name,
        "speech_from": decision.speech_from,
        "agent_label": decision.agent_label,
        "note": decision.note,
    }
    if isinstance(target, QueueTarget):
        now |= {
            "queue": target.queue,
            "overflow_s": target.overflow.after_s if target.overflow else None,
            "overflow_queue": target.overflow.queue if target.overflow else "",
        }
    else:
        now["context"] = target.context
    yield from (_NAMES.get(name, name) for name, value in now.items() if name in fields and fields[name] != value)
    if record.applied:
        spoken = channel_language(decision.language or record.language, decision.speech, frozenset(book.speech))
        if spoken.removesuffix(f"_{decision.speech.name}") != record.channel_language.removesuffix(f"_{record.speech}"):
            yield "language"
    if [(step.rule, step.matched, step.failed) for step in record.trace] != [
        (step.rule, step.matched, step.failed) for step in decision.trace
    ]:
        yield "the rules' answers"


_NAMES = {
    "head_start_s": "head start",
    "speech_from": "whose speech it is",
    "agent_label": "agent label",
    "overflow_s": "overflow",
    "overflow_queue": "overflow queue",
}


def again_in_words(record: DecisionRecord, again: Again) -> Text:
    """What came of asking once more, for people."""
    if again.decision is None:
        return shown_text(f"not asked again: {again.why}", "dim")
    asked = f"asked again, the rules of version {record.rules_version} decide"
    if not again.differing:
        apart = "" if again.same_words else ", in other words"
        return shown_text(f"{asked} the same{apart}", "green")
    target = again.decision.target
    where = f"queue {target.queue}" if isinstance(target, QueueTarget) else f"context {target.context}"
    decided = f'{target.name} ({where}) by the rule "{again.decision.rule}"'
    return shown_text(f"{asked} differently: {decided}; not as recorded: {', '.join(again.differing)}", "bold red")


def again_as_plain(again: Again) -> dict[str, object]:
    """The same for JSON."""
    return {
        "same": not again.differing,
        "differing": list(again.differing),
        "same_words": again.same_words,
        "why_not": again.why,
        "decision": decision_as_plain(again.decision) if again.decision else None,
    }
