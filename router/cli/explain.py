"""`elder-router explain`: what would be decided for one call, and why, rule by rule.

Asks `RuleBook.decide`, as the daemon does, and shows the trace it returns; nothing is matched here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.callers.number import Caller, masked, parse_caller
from router.callers.registry import BandSource
from router.cli.options import RegistryPlace, registry_options, rules_option
from router.errors import ConfigurationError
from router.rules.book import RuleBook, load_rules
from router.rules.model import Decision, Facts, QueueTarget
from router.rules.schema import UNKNOWN_BAND
from router.rules.wording import did_you_mean, listed


@dataclass(frozen=True, slots=True)
class _KnownBand:
    """An age band and where it comes from; `band` is None when it is not known."""

    band: str | None
    source: str


@click.command("explain")
@click.option("--caller", "caller_text", required=True, metavar="NUMBER", help="The caller's number; '' if withheld.")
@click.option("--called", required=True, metavar="NUMBER", help="The number that was called.")
@click.option(
    "--at", "at_text", metavar="TIME", help='When: "2026-11-23 09:00", in the rules\' time zone. [default: now]'
)
@click.option("--band", metavar="NAME", help="The caller's age band, or `unknown`; the registry is not asked.")
@click.option("--language", default="en", show_default=True, help="The channel's language.")
@rules_option
@registry_options
@click.option("--json", "as_json", is_flag=True, help="Print the facts and the decision as JSON.")
def explain(
    *,
    caller_text: str,
    called: str,
    at_text: str | None,
    band: str | None,
    language: str,
    rules_path: Path,
    place: RegistryPlace,
    as_json: bool,
) -> None:
    """Show what the rules decide for one call, and why.

    Exits 0 with a decision, 2 when the rules or an option are wrong.
    """
    try:
        book = load_rules(rules_path)
    except ConfigurationError as error:
        raise _RulesWrongError(str(error)) from error
    caller = parse_caller(caller_text, place.home_region)
    known = _lookup(place, caller) if band is None else _named_band(band, book)
    at = _moment(at_text, ZoneInfo(book.timezone))
    facts = Facts(caller=caller, called=called, language=language, age_band=known.band, at=at)
    decision = book.decide(facts)
    if as_json:
        click.echo(json.dumps(_as_plain(facts, known, decision), ensure_ascii=False, indent=2))
    else:
        _print(Console(highlight=False), book, facts, known, decision)


class _RulesWrongError(click.ClickException):
    """The rules cannot be loaded; each problem is a line of its own."""

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(self.message, err=True)


def _named_band(name: str, book: RuleBook) -> _KnownBand:
    if name == UNKNOWN_BAND:
        return _KnownBand(None, "given")
    if name not in book.bands.names:
        near = did_you_mean(name, book.bands.names)
        raise click.BadParameter(
            f"there is no age band {name!r}; {near}defined are {listed(book.bands.names)}, {UNKNOWN_BAND}",
            param_hint="--band",
        )
    return _KnownBand(name, "given")


def _lookup(place: RegistryPlace, caller: Caller) -> _KnownBand:
    try:
        found = place.run(lambda registry: registry.lookup(caller))
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--redis") from error
    if found.source is BandSource.LOOKUP_FAILED:
        click.echo("the registry could not be asked: name the band with --band", err=True)
    return _KnownBand(found.band, f"{found.source}: {found.detail}" if found.detail else str(found.source))


def _moment(text: str | None, timezone: ZoneInfo) -> datetime:
    if text is None:
        return datetime.now(timezone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter('write a time like "2026-11-23 09:00"', param_hint="--at") from error
    return moment.astimezone(timezone) if moment.tzinfo else moment.replace(tzinfo=timezone)


def _as_plain(facts: Facts, known: _KnownBand, decision: Decision) -> dict[str, object]:
    target = asdict(decision.target)
    kind = "queue" if isinstance(decision.target, QueueTarget) else "context"
    return {
        "facts": {
            "caller": masked(facts.caller),
            "called": facts.called,
            "language": facts.language,
            "age_band": facts.age_band,
            "age_band_source": known.source,
            "at": facts.at.isoformat(),
        },
        "decision": {**asdict(decision), "target": {"kind": kind, **target}},
    }


def _print(console: Console, book: RuleBook, facts: Facts, known: _KnownBand, decision: Decision) -> None:
    """Texts from the file go into `Text`, so that brackets in them are not taken for rich's markup."""
    call = _grid()
    call.add_row("caller", Text(masked(facts.caller)))
    source = known.source.replace("_", " ", 1)
    call.add_row("age band", Text(f"{facts.age_band or UNKNOWN_BAND} ({source})"))
    call.add_row("called", Text(facts.called))
    call.add_row("language", Text(facts.language))
    call.add_row("at", Text(f"{facts.at:%Y-%m-%d %H:%M %Z}"))
    console.print(call)
    console.print()

    rules = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "rule", "answer"):
        rules.add_column(title)
    for number, rule in enumerate(book.rules, start=1):
        trace = decision.trace[number - 1] if number <= len(decision.trace) else None
        if trace is None:
            answer = Text("not asked", style="dim")
        elif trace.matched:
            answer = Text("matched", style="bold green")
        else:
            answer = Text(f"{trace.failed} is {trace.saw or '(empty)'}, not {trace.wanted}")
        rules.add_row(str(number), Text(rule.name), answer)
    console.print(rules)
    console.print()

    result = _grid()
    result.add_row("rule", Text(decision.rule))
    result.add_row("target", Text(_target(decision)))
    result.add_row("head start", f"{decision.head_start_s} s")
    result.add_row("speech", Text(f"{decision.speech.name} (rate {decision.speech.rate:g})"))
    result.add_row("agent label", Text(decision.agent_label or "none"))
    result.add_row("rules version", decision.rules_version)
    console.print(result)


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
