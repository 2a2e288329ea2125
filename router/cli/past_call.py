"""A call of the past, out of the journal: what was decided and why, and the rules of that time asked once more."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.callers.past import NO_CHOICE
from router.cli.tracing import decision_as_plain, show_table
from router.errors import ConfigurationError, HistoryError, JournalError, Problem
from router.journal.hashing import caller_key, read_secret
from router.journal.reader import journal_files, lines_of, open_journal
from router.journal.records import DecisionRecord, OutcomeRecord, parse_record
from router.journal.replay import facts_of
from router.reloading.history import RulesHistory
from router.rules.book import RuleBook, load_rules
from router.rules.conditions import NOT_KNOWN, CallerIs, queue_in_words
from router.rules.durations import in_words
from router.rules.model import Decision, QueueState, QueueTarget
from router.rules.recorded import Recogniser
from router.rules.schema import UNKNOWN_BAND

_FOUND, _NOT_FOUND_OR_DIFFERENT, _COULD_NOT_RUN = 0, 1, 2


class _CouldNotRunError(click.ClickException):
    exit_code = _COULD_NOT_RUN


@dataclass(frozen=True, slots=True)
class Again:
    """The rules of a decision asked once more. `decision` is None where they could not be, and `why` says it."""

    book: RuleBook | None
    decision: Decision | None
    same: bool
    why: str


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call by its uniqueid, and where to look for what is known of it."""

    uniqueid: str
    journals: tuple[Path, ...]
    history: Path | None
    rules_file: Path | None
    secret_file: Path | None

    def show(self, console: Console, *, as_json: bool) -> int:
        """Print every decision about the call, and its outcome; returns the exit status."""
        decisions, outcomes, damaged = self._records()
        if damaged:
            lines = f"{damaged} line{'s' if damaged > 1 else ''} that name{'s' if damaged == 1 else ''} it"
            click.echo(f"{lines} cannot be read as records", err=True)
        if not decisions:
            click.echo(f"no decision about the call {self.uniqueid} is in {self._places()}", err=True)
            return _NOT_FOUND_OR_DIFFERENT
        again = self.again(decisions)
        if as_json:
            stories = [
                {
                    "record": fields,
                    "again": {
                        "same": entry.same,
                        "why_not": entry.why,
                        "decision": decision_as_plain(entry.decision) if entry.decision else None,
                    },
                }
                for (fields, _), entry in zip(decisions, again, strict=True)
            ]
            outcome_fields = [outcome.model_dump(mode="json") for outcome in outcomes]
            click.echo(json.dumps({"decisions": stories, "outcomes": outcome_fields}, ensure_ascii=False, indent=2))
        else:
            for (_, record), entry in zip(decisions, again, strict=True):
                _print_decision(console, record, entry)
            for outcome in outcomes:
                console.print(Text(_outcome_in_words(outcome)))
        differs = any(entry.decision is not None and not entry.same for entry in again)
        return _NOT_FOUND_OR_DIFFERENT if differs else _FOUND

    def _places(self) -> str:
        return ", ".join(str(path) for path in self.journals)

    def _records(self) -> tuple[list[tuple[dict[str, Any], DecisionRecord]], list[OutcomeRecord], int]:
        """The decisions and outcomes of the call, and how many lines that name it are no records."""
        damaged = 0
        decisions: list[tuple[dict[str, Any], DecisionRecord]] = []
        outcomes: list[OutcomeRecord] = []
        for line in self._lines():
            try:
                fields = orjson.loads(line)
                record = parse_record(line)
            except (orjson.JSONDecodeError, JournalError):
                damaged += 1
                continue
            if record.uniqueid != self.uniqueid:
                continue
            if isinstance(record, DecisionRecord):
                decisions.append((fields, record))
            elif isinstance(record, OutcomeRecord):
                outcomes.append(record)
        return decisions, outcomes, damaged

    def _lines(self) -> Iterator[bytes]:
        """The lines that hold the uniqueid; the newest file that has any is enough, and the one before it."""
        needle = self.uniqueid.encode("utf-8", "surrogateescape")
        found_in = 0
        for path in self.journals:
            found = False
            try:
                with open_journal(path) as stream:
                    for line in lines_of(stream):
                        if needle in line:
                            found = True
                            yield line
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise _CouldNotRunError(f"{path}: cannot be read: {error}") from error
            found_in += found or bool(found_in)
            if found_in > 1:
                return

    def again(self, decisions: Sequence[tuple[dict[str, Any], DecisionRecord]]) -> list[Again]:
        """Ask the rules of each decision once more, with what they were asked then."""
        books: dict[str, tuple[RuleBook, Recogniser] | str] = {}
        answers = []
        for fields, record in decisions:
            version = record.rules_version
            if not record.rule:
                why = "the rules were not asked: the call went to people by itself"
                answers.append(Again(None, None, same=True, why=why))
                continue
            if version not in books:
                try:
                    book = self._book(version)
                    books[version] = book, self._recogniser(book)
                except (ConfigurationError, HistoryError) as error:
                    books[version] = str(error)
            match books[version]:
                case str(why):
                    answers.append(Again(None, None, same=True, why=why))
                case (book, recogniser):
                    decision = book.decide(facts_of(fields, recogniser, version))
                    answers.append(Again(book, decision, same=_is_as_recorded(decision, record), why=""))
        return answers

    def _book(self, version: str) -> RuleBook:
        """The rules of a version: those on disk, or those kept."""
        if self.rules_file is not None and self.rules_file.exists():
            try:
                if (book := load_rules(self.rules_file)).version == version:
                    return book
            except ConfigurationError:
                pass  # what lies on disk is wrong, and so not what was in force
        if self.history is None:
            raise HistoryError("where earlier rules are kept is not known; name the settings file with --config")
        entry = RulesHistory(self.history).find(version)
        return load_rules(entry.folder / entry.rules_name)

    def _recogniser(self, book: RuleBook) -> Recogniser:
        """Tells callers whom a rule names; needs the journal's key only if one does."""
        names_callers = any(isinstance(condition, CallerIs) for rule in book.rules for condition in rule.conditions)
        if not names_callers:
            return Recogniser(lambda _: "")
        if self.secret_file is None:
            message = "these rules name callers, whom only the key of the journal's hashes tells; give --secret-file"
            raise ConfigurationError([Problem("the journal's key", 0, 0, message)])
        secret = read_secret(self.secret_file)
        return Recogniser(lambda number: caller_key(secret, number))


def past_call_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a call of the past, gathered into one argument `past`; None without one."""

    @click.option("--call", "uniqueid", metavar="UNIQUEID", help="A call of the past, by Asterisk's name for it.")
    @click.option(
        "--journal",
        "journals",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="With --call: where to look, newest first. May be given again. [default: as the settings file says, and "
        "what was rotated away from there]",
    )
    @click.option(
        "--history",
        "history_folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="With --call: where versions of the rules are kept. [default: as the settings file says]",
    )
    @click.option("--journal-file", hidden=True, type=click.Path(path_type=Path), help="What the settings file says.")
    @wraps(command)
    def with_past(
        *,
        uniqueid: str | None,
        journals: tuple[Path, ...],
        journal_file: Path | None,
        history_folder: Path | None,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        past = None
        if uniqueid is not None:
            every = journals or (tuple(journal_files(journal_file)) if journal_file else ())
            if not every:
                raise click.UsageError("where is the journal? name the settings file with --config, or --journal FILE")
            past = PastCall(
                uniqueid, every, history_folder, others["rules_path"], others["supposed"].secret_file
            )  # fmt: skip
        command(past=past, **others)

    return with_past


def _is_as_recorded(decision: Decision, record: DecisionRecord) -> bool:
    trace = [asdict(step) for step in decision.trace] == [step.model_dump() for step in record.trace]
    return trace and (decision.rule, decision.target.name, decision.head_start_s, decision.speech.name) == (
        record.rule,
        record.target,
        record.head_start_s,
        record.speech,
    )


def _print_decision(console: Console, record: DecisionRecord, again: Again) -> None:
    zone = ZoneInfo(again.book.timezone) if again.book else None
    asked_at = (record.at or record.time).astimezone(zone)
    call = _grid()
    call.add_row("call", Text(f"{record.uniqueid} on {record.node}" + (f", request {record.ask}" * (record.ask > 1))))
    call.add_row("at", Text(f"{asked_at:%A %Y-%m-%d %H:%M:%S %Z}"))
    call.add_row("caller", Text(record.caller))
    source = record.band_source.replace("_", " ") + (f": {record.band_detail}" if record.band_detail else "")
    call.add_row("age band", Text(f"{record.age_band or UNKNOWN_BAND} ({source})"))
    call.add_row("called", Text(record.called))
    call.add_row("language", Text(record.language))
    for name, value in _facts_in_words(record):
        call.add_row(name, Text(value))
    show_table(console, call)
    console.print()
    rules = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "rule", "answer"):
        rules.add_column(title)
    for number, step in enumerate(record.trace, 1):
        answer = f"{step.failed} is {step.saw or '(empty)'}, not {step.wanted}"
        shown = Text("matched", style="bold green") if step.matched else Text(answer)
        rules.add_row(str(number), Text(step.rule), shown)
    for number, rule in enumerate(again.book.rules[len(record.trace) :] if again.book else (), len(record.trace) + 1):
        rules.add_row(str(number), Text(rule.name), Text("not asked", style="dim"))
    show_table(console, rules)
    console.print()
    show_table(console, _result(record))
    console.print(_again_in_words(record, again))


def _result(record: DecisionRecord) -> Table:
    result = _grid()
    result.add_row("rule", Text(record.rule or "none"))
    where = f"queue {record.queue}" if record.queue else f"context {record.context}"
    onward = f", after {record.overflow_s} s queue {record.overflow_queue}" if record.overflow_s else ""
    result.add_row("target", Text(f"{record.target}: {where}{onward}"))
    result.add_row("head start", f"{record.head_start_s} s")
    result.add_row("speech", Text(record.speech or "standard"))
    result.add_row("agent label", Text(record.agent_label or "none"))
    if record.note:
        result.add_row("note", Text(record.note))
    result.add_row("rules version", record.rules_version or "none")
    took = sum(ms for ms in (record.lookup_ms, record.decide_ms, record.apply_ms) if ms is not None)
    result.add_row("applied", Text(f"yes, after {took:.1f} ms" if record.applied else f"no: {record.not_applied_why}"))
    if record.fallback:
        result.add_row("fallback", Text(f"{record.fallback}: the dialplan sent the call to people by itself"))
    return result


def _again_in_words(record: DecisionRecord, again: Again) -> Text:
    if again.decision is None:
        return Text(f"not asked again: {again.why}", style="dim")
    if again.same:
        return Text(f"asked again, the rules of version {record.rules_version} decide the same", style="green")
    target = again.decision.target
    where = f"queue {target.queue}" if isinstance(target, QueueTarget) else f"context {target.context}"
    return Text(
        f"asked again, the rules of version {record.rules_version} decide differently: {target.name} ({where}) by the "
        f'rule "{again.decision.rule}"',
        style="bold red",
    )


def _facts_in_words(record: DecisionRecord) -> Iterator[tuple[str, str]]:
    if record.calendars:
        yield "calendars open", ", ".join(record.calendars)
    if record.choice is not None:
        yield "choice remembered", record.choice or NO_CHOICE
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
    return f"outcome: {said}{by}{wait}{keys}"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    return grid
