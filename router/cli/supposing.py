"""A hypothetical call from the options of the command line: what it is supposed to be, else what the registry says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from router.callers.number import Caller, PhoneNumber, parse_caller
from router.callers.past import CHOICES, MOST_EARLIER_CALLS, NO_CHOICE
from router.callers.registry import BandLookup, BandSource
from router.cli.options import RegistryPlace, registry_options
from router.errors import ConfigurationError
from router.journal.hashing import caller_key, read_secret, rollout_place
from router.rules.book import RuleBook
from router.rules.conditions import NOT_KNOWN, QUEUE_FACT, queue_in_words
from router.rules.durations import in_words, parse_duration_s, parse_whole_seconds
from router.rules.model import Facts, QueueState, QueueTarget
from router.rules.schema import UNKNOWN_BAND
from router.rules.wording import did_you_mean, listed

_QUEUE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*):((?:[a-z_]+=[^,=]+)(?:,[a-z_]+=[^,=]+)*)")
_PERCENT = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,2})?)%?")
_QUANTITIES: Mapping[str, Callable[[str], int]] = {
    "waiting": int,
    "longest_wait": parse_whole_seconds,
    "agents_free": int,
}


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
        caller = parse_caller(self.caller, self.place.home_region)
        lookup = None if self.band is not None else _lookup(self.place, caller)
        if lookup is None:
            band, source = _named_band(self.band or "", book), "given"
        else:
            # A band that the rules do not define counts as not known, as when the call comes.
            band = lookup.band if lookup.band in book.bands.names else None
            source = f"{lookup.source}: {lookup.detail}" if lookup.detail else str(lookup.source)
        known_choice = lookup.choice if lookup is not None else ""
        facts = Facts(
            caller=caller,
            called=self.called,
            language=self.language,
            age_band=band,
            at=_moment(self.at, ZoneInfo(book.timezone)),
            queues=dict(_queue(text, book) for text in self.queues),
            earlier_calls_s=_earlier(self.earlier),
            choice=known_choice if self.choice is None else self.choice.replace(NO_CHOICE, ""),
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
    @click.option("--at", metavar="TIME", help='When: "2026-11-23 09:00", in the rules\' time zone. [default: now]')
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
    @click.option("--choice", type=click.Choice([*CHOICES, NO_CHOICE]), help="What the caller has had remembered.")
    @click.option("--rollout", metavar="PLACE", help="The caller's place in roll-outs, like 15%. [default: their own]")
    @click.option(
        "--secret-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The key of the journal's hashes. [default: as the settings file says]",
    )
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
        supposed = Supposed(
            caller, called, language, at, band, choice, earlier, queues, rollout, place, secret_file
        )  # fmt: skip
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


def _lookup(place: RegistryPlace, caller: Caller) -> BandLookup:
    try:
        found = place.run(lambda registry: registry.lookup(caller))
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--redis") from error
    if found.source is BandSource.LOOKUP_FAILED:
        click.echo("the registry could not be asked: name the band with --band", err=True)
    return found


def _moment(text: str | None, timezone: ZoneInfo) -> datetime:
    if text is None:
        return datetime.now(timezone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter('write a time like "2026-11-23 09:00"', param_hint="--at") from error
    return moment.astimezone(timezone) if moment.tzinfo else moment.replace(tzinfo=timezone)


def _earlier(texts: Iterable[str]) -> tuple[float, ...]:
    try:
        return tuple(sorted(parse_duration_s(text) for text in texts)[:MOST_EARLIER_CALLS])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--earlier") from error


def _queue(text: str, book: RuleBook) -> tuple[str, QueueState]:
    """`people:waiting=12` as Asterisk's name of that target's queue and its state."""
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
            wrong = str(error) if name == "longest_wait" else f"{name} must be a whole number, not {value[:20]!r}"
            raise click.BadParameter(wrong, param_hint="--queue") from error
    return target.queue, QueueState(given["waiting"], given["longest_wait"], given["agents_free"])


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
    if asks_for(book, "choice"):
        rows.append(("choice remembered", NOT_KNOWN if facts.choice is None else facts.choice or NO_CHOICE))
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
