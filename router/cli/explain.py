"""`elder-router explain`: what is decided for one call, and why, rule by rule.

Asks `RuleBook.decide`, as the daemon does, and shows the trace it returns; nothing is matched here. A call of the past
is `past_call`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.cli.options import rules_option
from router.cli.past_call import PastCall, past_call_options
from router.cli.supposing import Supposed, call_options, facts_in_words
from router.cli.tracing import console_for_answers, decision_as_plain, show_table, trace_table
from router.errors import ConfigurationError
from router.rules.book import RuleBook, load_rules
from router.rules.conditions import shown_caller
from router.rules.model import Decision, Facts, QueueTarget
from router.rules.schema import UNKNOWN_BAND


@click.command("explain")
@call_options
@rules_option
@past_call_options
@click.option("--json", "as_json", is_flag=True, help="Print the facts and the decision as JSON.")
def explain(*, past: PastCall | None, supposed: Supposed, rules_path: Path, as_json: bool) -> None:
    """Show where a call goes, and why: every rule in its order, and the first condition of it that did not hold.

    Of a call that has not happened, the options say what it is like. Of one that has, `--call` finds what the journal
    holds, and the rules of that time, as long as they are kept, are asked once more.

    Exits 0 with a decision; 1 when the journal has no such call, or when the rules decide it differently today; 2 when
    the rules, a file or an option are wrong.
    """
    console = console_for_answers()
    if past is not None:
        raise SystemExit(past.show(console, as_json=as_json))
    try:
        book = load_rules(rules_path)
    except ConfigurationError as error:
        raise _RulesWrongError(str(error)) from error
    facts, source = supposed.facts(book)
    decision = book.decide(facts)
    if as_json:
        click.echo(json.dumps(_as_plain(facts, source, decision), ensure_ascii=False, indent=2))
    else:
        _print(console, book, facts, source, decision)


class _RulesWrongError(click.ClickException):
    """The rules cannot be loaded; each problem is a line of its own."""

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(self.message, err=True)


def _as_plain(facts: Facts, source: str, decision: Decision) -> dict[str, object]:
    return {
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
    """Texts from the file go into `Text`, so that brackets in them are not taken for rich's markup."""
    call = _grid()
    call.add_row("caller", Text(shown_caller(facts.caller)))
    call.add_row("age band", Text(f"{facts.age_band or UNKNOWN_BAND} ({source.replace('_', ' ', 1)})"))
    call.add_row("called", Text(facts.called or "not given"))
    call.add_row("language", Text(facts.language))
    call.add_row("at", Text(f"{facts.at:%A %Y-%m-%d %H:%M %Z}"))
    for name, value in facts_in_words(book, facts, decision.calendars):
        call.add_row(name, Text(value))
    show_table(console, call)
    console.print()
    show_table(console, trace_table(book, decision))
    console.print()
    show_table(console, decision_table(decision))


def decision_table(decision: Decision) -> Table:
    """What was decided, for people."""
    result = _grid()
    result.add_row("rule", Text(decision.rule))
    result.add_row("target", Text(_target(decision)))
    result.add_row("head start", f"{decision.head_start_s} s")
    result.add_row("speech", Text(f"{decision.speech.name} (rate {decision.speech.rate:g})"))
    if decision.language:
        result.add_row("language", Text(decision.language))
    result.add_row("agent label", Text(decision.agent_label or "none"))
    if decision.note:
        result.add_row("note", Text(decision.note))
    result.add_row("rules version", decision.rules_version)
    return result


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    return grid


def _target(decision: Decision) -> str:
    target = decision.target
    if not isinstance(target, QueueTarget):
        return f"{target.name}: context {target.context}"
    overflow = target.overflow
    onward = f", after {overflow.after_s} s queue {overflow.queue}" if overflow else ""
    return f"{target.name}: queue {target.queue}{onward}"
