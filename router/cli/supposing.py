"""A hypothetical call from the options of the command line: what it is supposed to be, else what the registry says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import wraps
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from router.callers.number import Caller, NoNumber, PhoneNumber, parse_caller
from router.callers.past import MOST_EARLIER_CALLS, choice_in_words
from router.callers.registry import BandLookup, BandSource, Registry
from router.cli.options import ChoiceText, RegistryPlace, moment_given, registry_options, secret_file_option
from router.errors import ConfigurationError, RegistryError
from router.journal.hashing import caller_key, read_secret, rollout_place
from router.rules.book import RuleBook
from router.rules.conditions import NOT_KNOWN, QUEUE_FACT, queue_in_words
from router.rules.durations import in_words, parse_duration_s, parse_whole_seconds
from router.rules.model import Facts, QueueState, QueueTarget
from router.rules.schema import UNKNOWN_BAND
from router.rules.wording import did_you_mean, listed

_QUEUE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*):((?:[a-z_]+=[^,=]+)(?:,[a-z_]+=[^,=]+)*)")
_STANDARD_INPUT = "-"
_WHOLE_NUMBER = re.compile(r"[0-9]{1,6}")
_PERCENT = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,2})?)%?")


@dataclass(frozen=True, slots=True)
class Supposed:
    """A call that has not happened, as the options have it; what they leave out is None or empty."""

    caller: str
    called: str
    language: str
    at: str | None
    band: str | None
    choice: str | None
    earlier: tuple[str, ...]
    queues: tuple[str, ...]
    rollout: str | None
    place: RegistryPlace
    secret_file: Path | None

    def facts(self, book: RuleBook) -> tuple[Facts, str]:
        """The facts to ask the rules with, and where the age band comes from.

        Raises:
            click.BadParameter: An option does not say what it should.
        """
        zone = ZoneInfo(book.timezone)
        caller: Caller
        from_input = self.caller == _STANDARD_INPUT
        caller = self.place.number(_STANDARD_INPUT) if from_input else parse_caller(self.caller, self.place.home_region)
        if self.band is not None:
            # Who is not looked up has chosen nothing and never called; of a call without a number nothing is known.
            nothing, never = (None, None) if isinstance(caller, NoNumber) else ("", ())
            lookup = BandLookup(_named_band(self.band, book), BandSource.REGISTRY, "", 0.0, nothing, never)
            source = "given"
        else:
            lookup = _lookup(self.place, caller, book.repeat_within_s)
            source = f"{lookup.source}: {lookup.detail}" if lookup.detail else str(lookup.source)
        facts = Facts(
            caller=caller,
            called=self.called,
            language=self.language,
            # A band that the rules do not define counts as not known, as when the call comes.
            age_band=lookup.band if lookup.band in book.bands.names else None,
            at=datetime.now(zone) if self.at is None else moment_given("--at", self.at, zone),
            queues=_queues(self.queues, book),
            earlier_calls_s=_earlier(self.earlier) if self.earlier else lookup.earlier_calls_s,
            choice=lookup.choice if self.choice is None else self.choice,
            rollout=_place(self.rollout) if self.rollout is not None else self._place_of(caller, book),
        )
        return facts, source

    def _place_of(self, caller: Caller, book: RuleBook) -> float | None:
        """The caller's own place, which only the journal's key can tell; asked only if some rule cares."""
        if not isinstance(caller, PhoneNumber) or not asks_for(book, "rollout"):
            return None
        hint = "say which place to suppose, with --rollout 15%"
        if self.secret_file is None:
            raise click.UsageError(
                f"a rule has a roll-out, in which a caller's place comes from the journal's key: {hint}, or name the "
                "settings file with --config"
            )
        try:
            return rollout_place(caller_key(read_secret(self.secret_file), caller.e164))
        except ConfigurationError as error:
            raise click.UsageError(f"{error}\na rule has a roll-out, which needs it: {hint}") from error


def call_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that describe a call, gathered into one argument `supposed`."""

    @click.option("--caller", metavar="NUMBER", default="", help="The caller's number; withheld if not given.")
    @click.option("--called", metavar="NUMBER", default="", help="The number that was called.")
    @click.option(
        "--at",
        metavar="TIME",
        help='When: "2026-11-23 09:00", or 09:00 for today, in the rules\' time zone. [default: now]',
    )
    @click.option("--band", metavar="NAME", help="The caller's age band, or `unknown`; the registry is not asked.")
    @click.option("--language", default="en", show_default=True, help="The channel's language.")
    @click.option(
        "--queue",
        "queues",
        multiple=True,
        metavar="TARGET:STATE",
        help="A queue's state: people:waiting=12,longest_wait=4m,agents_free=0 (0 if left out). May be given again. "
        "[default: not known]",
    )
    @click.option(
        "--earlier",
        multiple=True,
        metavar="AGO",
        help="An earlier call of the caller, like 2h ago. May be given again.",
    )
    @click.option(
        "--choice",
        type=ChoiceText(),
        metavar="CHOICE",
        help="What the caller has had remembered: slower, normal, person, none; or with the profile, slower:slow.",
    )
    @click.option("--rollout", metavar="PLACE", help="The caller's place in roll-outs, like 15%. [default: their own]")
    @secret_file_option
    @registry_options
    @wraps(command)
    def with_call(
        *,
        caller: str,
        called: str,
        at: str | None,
        band: str | None,
        language: str,
        queues: tuple[str, ...],
        earlier: tuple[str, ...],
        choice: str | None,
        rollout: str | None,
        secret_file: Path | None,
        place: RegistryPlace,
        **others: object,
    ) -> None:
        described = (caller, called, language, at, band, choice, earlier, queues, rollout)
        supposed = Supposed(*described, place, secret_file)
        command(supposed=supposed, **others)

    return with_call


def asks_for(book: RuleBook, fact: str) -> bool:
    """Whether any rule has a condition on a fact; `queue ` asks for any queue's."""
    return any(condition.fact.startswith(fact) for rule in book.rules for condition in rule.conditions)


def _named_band(name: str, book: RuleBook) -> str | None:
    if name == UNKNOWN_BAND:
        return None
    if name not in book.bands.names:
        near = did_you_mean(name, book.bands.names)
        raise click.BadParameter(
            f"there is no age band {name!r}; {near}defined are {listed(book.bands.names)}, {UNKNOWN_BAND}",
            param_hint="--band",
        )
    return name


def _lookup(place: RegistryPlace, caller: Caller, within_s: float) -> BandLookup:
    """What the registry says, the earlier calls among it if some rule looks back; the call itself is not noted."""

    async def look_up(registry: Registry) -> BandLookup:
        found = await registry.lookup(caller)
        if not within_s or isinstance(caller, NoNumber) or found.source is BandSource.LOOKUP_FAILED:
            return found
        return replace(found, earlier_calls_s=await registry.earlier_calls(caller, time.time(), within_s))

    try:
        found = place.run(look_up)
    except RegistryError as error:
        raise click.UsageError(f"the caller's earlier calls could not be looked up: {error}; give --earlier") from error
    except ConfigurationError as error:
        raise click.UsageError(f"{error}\nthe registry cannot be asked without; name the band with --band") from error
    if found.source is BandSource.LOOKUP_FAILED:
        click.echo("the registry could not be asked: name the band with --band", err=True)
    return found


def _earlier(texts: Iterable[str]) -> tuple[float, ...]:
    try:
        return tuple(sorted(parse_duration_s(text) for text in texts)[:MOST_EARLIER_CALLS])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--earlier") from error


def _queues(texts: Iterable[str], book: RuleBook) -> dict[str, QueueState]:
    found: dict[str, QueueState] = {}
    for text in texts:
        target, state = _queue(text, book)
        if target.queue in found:
            raise click.BadParameter(f"the queue of {target.name} is given twice; give it once", param_hint="--queue")
        found[target.queue] = state
    return found


def _queue(text: str, book: RuleBook) -> tuple[QueueTarget, QueueState]:
    """`people:waiting=12` as that target and its queue's state."""
    queues = [name for name, target in book.targets.items() if isinstance(target, QueueTarget)]
    match = _QUEUE.fullmatch(text)
    if match is None:
        raise click.BadParameter(
            f"write a target and its state, like people:waiting=12,longest_wait=4m,agents_free=0, not {text[:40]!r}",
            param_hint="--queue",
        )
    target = book.targets.get(match[1])
    if not isinstance(target, QueueTarget):
        near = did_you_mean(match[1], queues)
        raise click.BadParameter(
            f"there is no queue {match[1]!r}; {near}the targets that are one are {listed(queues)}", param_hint="--queue"
        )
    given = dict.fromkeys(_QUANTITIES, 0)
    for part in match[2].split(","):
        name, _, value = part.partition("=")
        if name not in _QUANTITIES:
            near = did_you_mean(name, _QUANTITIES)
            raise click.BadParameter(
                f"a queue has no {name!r}; {near}it has {listed(_QUANTITIES)}", param_hint="--queue"
            )
        try:
            given[name] = _QUANTITIES[name](value)
        except ValueError as error:
            raise click.BadParameter(f"{name}: {error}", param_hint="--queue") from error
    if given["longest_wait"] and not given["waiting"]:
        raise click.BadParameter("where nobody waits there is no longest wait; give waiting too", param_hint="--queue")
    return target, QueueState(given["waiting"], given["longest_wait"], given["agents_free"])


def _whole_number(text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError(f"write a whole number, like 12, not {text[:20]!r}")
    return int(text)


_QUANTITIES: Mapping[str, Callable[[str], int]] = {
    "waiting": _whole_number,
    "longest_wait": parse_whole_seconds,
    "agents_free": _whole_number,
}


def _place(text: str) -> float:
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise click.BadParameter("write a place from 0% up to, but not, 100%, like 15%", param_hint="--rollout")
    return float(match[1])


def facts_in_words(book: RuleBook, facts: Facts, calendars: frozenset[str]) -> list[tuple[str, str]]:
    """The facts beyond caller and number that some rule asks for, each with its name, for people."""
    rows = []
    if asks_for(book, "calendar"):
        rows.append(("calendars open", listed(sorted(calendars)) or "none"))
    if asks_for(book, "choice") or facts.choice:
        rows.append(("choice remembered", NOT_KNOWN if facts.choice is None else choice_in_words(facts.choice)))
    if asks_for(book, "repeat"):
        earlier = facts.earlier_calls_s
        shown = NOT_KNOWN if earlier is None else listed(f"{in_words(round(ago))} ago" for ago in earlier) or "none"
        rows.append(("earlier calls", shown))
    if asks_for(book, "rollout"):
        rows.append(("roll-out place", "none" if facts.rollout is None else f"{facts.rollout:.2f}"))
    for name, target in book.targets.items():
        if isinstance(target, QueueTarget) and asks_for(book, f"{QUEUE_FACT}{target.queue}"):
            state = facts.queues.get(target.queue)
            rows.append((f"queue {name}", NOT_KNOWN if state is None else queue_in_words(state)))
    return rows
