"""`elder-router explain`: what is decided for one call, and why, rule by rule.

Asks `RuleBook.decide`, as the daemon does, and shows the trace it returns; nothing is matched here. A call of the past,
and what became of it, is `past_call`'s.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from router.cli.options import CouldNotRunError, rules_option
from router.cli.past_call import PastCall, past_call_options
from router.cli.supposing import Supposed, call_options, facts_in_words
from router.cli.tracing import (
    console_for_answers,
    decision_as_plain,
    facts_grid,
    json_text,
    show_table,
    shown_text,
    speech_in_words,
    target_in_words,
    trace_table,
)
from router.errors import ConfigurationError
from router.rules.book import RuleBook, load_rules
from router.rules.conditions import shown_caller
from router.rules.model import Decision, Facts, QueueTarget, Target
from router.rules.schema import UNKNOWN_BAND


@click.command("explain")
@call_options
@rules_option
@past_call_options
@click.option("--json", "as_json", is_flag=True, help="Print the facts and the decision as JSON.")
def explain(*, past: PastCall | None, supposed: Supposed, rules_path: Path, as_json: bool) -> None:
    """Show where a call goes, and why: every rule in its order, and the first condition of it that did not hold.

    Of a supposed call, the options say what it is like. Of one of the past, the whole story is told, as after a
    complaint: how the caller was recognised, what was decided and why, what they pressed, how long they waited, who
    answered, and what was wrong with our systems in that minute. The rules of that time, as long as they are kept, are
    asked once more.

    A call of the past is one named by `--call`; or the caller's nearest to a time, by `--caller NUMBER --at TIME` and
    nothing else about the call, where that time lies in the past and there is a journal. NUMBER may be -, for a line of
    standard input. The answer says which of the two it is about.

    Exits 0 with a decision; 1 when the journal has no such call, or when the rules decide it differently today; 2 when
    the rules, a file or an option are wrong.
    """
    console = console_for_answers()
    if past is not None:
        raise SystemExit(past.show(console, as_json=as_json))
    try:
        book = load_rules(rules_path)
    except ConfigurationError as error:
        raise CouldNotRunError(str(error)) from error
    facts, source = supposed.facts(book)
    decision = book.decide(facts)
    if as_json:
        click.echo(json_text(_as_plain(facts, source, decision)))
    else:
        _print(console, book, facts, source, decision)


def _as_plain(facts: Facts, source: str, decision: Decision) -> dict[str, object]:
    return {
        "kind": "supposed",
        "facts": {
            "caller": shown_caller(facts.caller),
            "called": facts.called,
            "language": facts.language,
            "age_band": facts.age_band,
            "age_band_source": source,
            "at": facts.at.isoformat(),
            "queues": {
                name: {
                    "waiting": state.waiting,
                    "longest_wait_s": state.longest_wait_s,
                    "agents_free": state.agents_free,
                }
                for name, state in facts.queues.items()
            },
            "earlier_calls_s": facts.earlier_calls_s,
            "choice": facts.choice,
            "rollout": facts.rollout,
        },
        "decision": decision_as_plain(decision),
    }


def _print(console: Console, book: RuleBook, facts: Facts, source: str, decision: Decision) -> None:
    call = facts_grid()
    call.add_row("call", "supposed: nobody called")
    call.add_row("caller", shown_text(shown_caller(facts.caller)))
    call.add_row("age band", shown_text(f"{facts.age_band or UNKNOWN_BAND} ({source.replace('_', ' ', 1)})"))
    call.add_row("called", shown_text(facts.called or "not given"))
    call.add_row("language", shown_text(facts.language))
    call.add_row("at", shown_text(f"{facts.at:%A %Y-%m-%d %H:%M %Z}"))
    for name, value in facts_in_words(book, facts, decision.calendars):
        call.add_row(shown_text(name), shown_text(value))
    show_table(console, call)
    console.print()
    show_table(console, trace_table(book, decision))
    console.print()
    show_table(console, _decision_table(book, decision))


def _decision_table(book: RuleBook, decision: Decision) -> Table:
    """What was decided, for people."""
    result = facts_grid()
    result.add_row("rule", shown_text(decision.rule))
    result.add_row("target", shown_text(_target(decision.target)))
    result.add_row("head start", f"{decision.head_start_s} s")
    spoken = decision.speech
    speech = speech_in_words(spoken.name, decision.speech_from, decision.rule, book, spoken.rate)
    result.add_row("speech", shown_text(speech))
    if decision.language:
        result.add_row("language", shown_text(decision.language))
    result.add_row("agent label", shown_text(decision.agent_label or "none"))
    if decision.note:
        result.add_row("note", shown_text(decision.note))
    result.add_row("rules version", decision.rules_version)
    return result


def _target(target: Target) -> str:
    if not isinstance(target, QueueTarget):
        return target_in_words(target.name, queue="", context=target.context, overflow=None)
    overflow = (target.overflow.after_s, target.overflow.queue) if target.overflow else None
    return target_in_words(target.name, queue=target.queue, context="", overflow=overflow)
