"""A call of the past, out of the journal: what was decided and why, and the rules of that time asked once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.callers.past import choice_in_words
from router.calls.verdict import channel_language
from router.cli.options import CouldNotRunError, history_in, history_option
from router.cli.past_records import records_of
from router.cli.recognising import recogniser_for
from router.cli.tracing import (
    decision_as_plain,
    facts_grid,
    json_text,
    printable,
    show_table,
    shown_text,
    speech_in_words,
    steps_table,
    target_in_words,
)
from router.errors import ConfigurationError, HistoryError
from router.journal.reader import journal_files
from router.journal.records import DecisionRecord, OutcomeRecord
from router.journal.replay import facts_of
from router.journal.stream import STDIN
from router.rules.book import RuleBook, load_rules
from router.rules.conditions import NOT_KNOWN, queue_in_words
from router.rules.durations import in_words, roughly_in_words
from router.rules.model import Decision, QueueState, QueueTarget
from router.rules.recorded import Recogniser
from router.rules.schema import STANDARD_SPEECH, UNKNOWN_BAND

_FOUND, _NOT_FOUND_OR_DIFFERENT = 0, 1


@dataclass(frozen=True, slots=True)
class Again:
    """The rules of a decision asked once more. `decision` is None where they could not be, and `why` says it.

    `differing` names what they decide otherwise now; `same_words` tells whether every rule gives its answer in the
    words recorded, which a later program may have others for.
    """

    book: RuleBook | None
    decision: Decision | None
    differing: tuple[str, ...] = ()
    same_words: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call by its uniqueid, and where to look for what is known of it; `journals` are named oldest first."""

    uniqueid: str
    journals: tuple[Path, ...]
    history: Path | None
    rules_file: Path | None
    secret_file: Path | None

    def show(self, console: Console, *, as_json: bool) -> int:
        """Print every decision about the call, and its outcome; returns the exit status.

        Raises:
            CouldNotRunError: The call is not found, and not every journal could be read.
        """
        found = records_of(self.uniqueid, self.journals)
        if not found.decisions:
            where = ", ".join("standard input" if path == STDIN else str(path) for path in self.journals)
            what = f"no decision about the call {self.uniqueid} is in {where}"
            if not found.is_all:
                raise CouldNotRunError("\n".join([*found.complaints, f"{what}, as far as that could be read"]))
            for line in (*found.complaints, what):
                click.echo(printable(line), err=True)
            return _NOT_FOUND_OR_DIFFERENT
        for line in found.complaints:
            click.echo(printable(line), err=True)
        again = self.again(found.decisions)
        if as_json:
            stories = [
                {"record": fields, "again": _again_as_plain(entry)}
                for (fields, _), entry in zip(found.decisions, again, strict=True)
            ]
            outcomes = [outcome.model_dump(mode="json") for outcome in found.outcomes]
            click.echo(json_text({"decisions": stories, "outcomes": outcomes}))
        else:
            for (_, record), entry in zip(found.decisions, again, strict=True):
                _print_decision(console, record, entry)
            for outcome in found.outcomes:
                console.print(shown_text(_outcome_in_words(outcome)))
        return _NOT_FOUND_OR_DIFFERENT if any(entry.differing for entry in again) else _FOUND

    def again(self, decisions: Sequence[tuple[Mapping[str, Any], DecisionRecord]]) -> list[Again]:
        """Ask the rules of each decision once more, with what they were asked then."""
        books: dict[str, tuple[RuleBook, Recogniser] | str] = {}
        answers = []
        for fields, record in decisions:
            version = record.rules_version
            if not record.rule:
                answers.append(Again(None, None, why="the rules were not asked: the call went to people by itself"))
                continue
            if version not in books:
                try:
                    book = self._book(version)
                    books[version] = book, recogniser_for(book, f"version {version}", self.secret_file)
                except (ConfigurationError, HistoryError) as error:
                    books[version] = str(error)
            match books[version]:
                case str(why):
                    answers.append(Again(None, None, why=why))
                case (book, recogniser):
                    answers.append(_asked_again(book, recogniser, fields, record))
        return answers

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


def past_call_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a call of the past, gathered into one argument `past`; None without one."""

    @click.argument("more_journals", metavar="", nargs=-1, type=_JOURNAL)
    @click.option("--call", "uniqueid", metavar="UNIQUEID", help="A call of the past, by Asterisk's name for it.")
    @click.option(
        "--journal",
        "journals",
        metavar="FILE...",
        multiple=True,
        type=_JOURNAL,
        help="With --call: journals, in the order of their time; - is standard input. Plain or compressed (gzip, "
        "bzip2, xz). [default: as the settings file says, and what was rotated away from there]",
    )
    @history_option("With --call: ")
    @click.option("--journal-file", hidden=True, type=_JOURNAL, help="What the settings file says.")
    @wraps(command)
    def with_past(
        *,
        uniqueid: str | None,
        journals: tuple[Path, ...],
        more_journals: tuple[Path, ...],
        journal_file: Path | None,
        history_folder: Path | None,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        context = click.get_current_context()
        if more_journals and not journals:
            raise click.UsageError(f"what is {printable(str(more_journals[0]))}? journals are named with --journal")
        past = None
        if uniqueid is None:
            if given := _given(context, _ONLY_WITH_CALL.__contains__):
                raise click.UsageError(f"{given} is about a call of the past; name the call with --call UNIQUEID")
        else:
            if given := _given(context, lambda name: name not in _ONLY_WITH_CALL | _WITH_CALL_TOO):
                what = "what that call was like is in the journal"
                raise click.UsageError(f"{given} cannot be given with --call: {what}; leave out the one or the other")
            if not uniqueid:
                raise click.BadParameter("give the call's uniqueid, as the journal has it", param_hint="--call")
            every = (*journals, *more_journals)
            if not every and journal_file:
                every = tuple(reversed(journal_files(journal_file))) or (journal_file,)
            if not every:
                raise click.UsageError("where is the journal? name the settings file with --config, or --journal FILE")
            rules_file, secret_file = others["rules_path"], others["supposed"].secret_file
            past = PastCall(uniqueid, tuple(dict.fromkeys(every)), history_folder, rules_file, secret_file)
        command(past=past, **others)

    return with_past


_JOURNAL = click.Path(path_type=Path, readable=False)
_ONLY_WITH_CALL = frozenset({"uniqueid", "journals", "more_journals", "history_folder", "journal_file"})
_WITH_CALL_TOO = frozenset({"rules_path", "secret_file", "as_json"})


def _given(context: click.Context, wanted: Callable[[str], bool]) -> str:
    """The first of the command's options that the command line has, of those wanted; "" if there is none."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if wanted(name) and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            return parameter.opts[0]
    return ""


def _print_decision(console: Console, record: DecisionRecord, again: Again) -> None:
    zone = ZoneInfo(again.book.timezone) if again.book else None
    asked_at = (record.at or record.time).astimezone(zone)
    call = facts_grid()
    request = f", request {record.ask}" * (record.ask > 1)
    call.add_row("call", shown_text(f"{record.uniqueid} on {record.node}{request}"))
    call.add_row("at", shown_text(f"{asked_at:%A %Y-%m-%d %H:%M:%S %Z}"))
    call.add_row("caller", shown_text(record.caller))
    source = record.band_source.replace("_", " ") + (f": {record.band_detail}" if record.band_detail else "")
    if record.registry_age_s is not None:
        source += f"; the registry was {roughly_in_words(record.registry_age_s)} old"
    call.add_row("age band", shown_text(f"{record.age_band or UNKNOWN_BAND} ({source})"))
    call.add_row("called", shown_text(record.called))
    call.add_row("language", shown_text(record.language))
    for name, value in _facts_in_words(record):
        call.add_row(shown_text(name), shown_text(value))
    show_table(console, call)
    console.print()
    behind = again.book.rules[len(record.trace) :] if again.book else ()
    show_table(console, steps_table(record.trace, (rule.name for rule in behind)))
    console.print()
    show_table(console, _result(record, again.book))
    console.print(_again_in_words(record, again))


def _result(record: DecisionRecord, book: RuleBook | None) -> Table:
    result = facts_grid()
    result.add_row("rule", shown_text(record.rule or "none"))
    overflow = (record.overflow_s, record.overflow_queue) if record.overflow_s is not None else None
    target = target_in_words(record.target, queue=record.queue, context=record.context, overflow=overflow)
    result.add_row("target", shown_text(target))
    result.add_row("head start", f"{record.head_start_s} s")
    speech = speech_in_words(record.speech or STANDARD_SPEECH, record.speech_from, record.rule, book)
    result.add_row("speech", shown_text(speech))
    result.add_row("agent label", shown_text(record.agent_label or "none"))
    if record.note:
        result.add_row("note", shown_text(record.note))
    result.add_row("rules version", shown_text(record.rules_version or "none"))
    took = sum(ms for ms in (record.lookup_ms, record.decide_ms, record.apply_ms) if ms is not None)
    applied = f"yes, after {took:.1f} ms" if record.applied else f"no: {record.not_applied_why}"
    result.add_row("applied", shown_text(applied))
    if record.fallback:
        result.add_row("fallback", shown_text(f"{record.fallback}: the dialplan sent the call to people by itself"))
    return result


def _again_in_words(record: DecisionRecord, again: Again) -> Text:
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


def _again_as_plain(again: Again) -> dict[str, object]:
    return {
        "same": not again.differing,
        "differing": list(again.differing),
        "same_words": again.same_words,
        "why_not": again.why,
        "decision": decision_as_plain(again.decision) if again.decision else None,
    }


def _facts_in_words(record: DecisionRecord) -> Iterator[tuple[str, str]]:
    if record.calendars:
        yield "calendars open", ", ".join(record.calendars)
    if record.choice is not None:
        yield "choice remembered", choice_in_words(record.choice)
    if record.earlier_calls_s is not None:
        yield "earlier calls", ", ".join(f"{in_words(round(ago))} ago" for ago in record.earlier_calls_s) or "none"
    for name, state in record.queues.items():
        yield f"queue {name}", queue_in_words(QueueState(*state))
    if not record.queues:
        yield "queues", NOT_KNOWN


def _outcome_in_words(outcome: OutcomeRecord) -> str:
    said = outcome.ended.value.replace("_", " ")
    by = f" by {outcome.answered_by}" if outcome.answered_by else ""
    wait = f" after {outcome.wait_s:.0f} s" if outcome.wait_s is not None else ""
    keys = f"; keys: {', '.join(outcome.keys)}" if outcome.keys else ""
    choice = f"; chose {choice_in_words(outcome.choice)}" if outcome.choice else ""
    return f"outcome: {said}{by}{wait}{keys}{choice}"
