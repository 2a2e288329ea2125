"""Which calls `elder-router tail` shows: what its options ask for, all of which must hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from router.cli.options import moment_given
from router.journal.joining import JoinedCall
from router.journal.records import DecisionRecord, Ending
from router.rules.book import RuleBook
from router.rules.durations import parse_duration_s
from router.rules.scalars import quoted
from router.rules.schema import UNKNOWN_BAND
from router.rules.wording import did_you_mean, listed

UNDER_WAY: Final = "under_way"
_LONGEST_AGO: Final = timedelta(days=3650)
FALLBACK: Final = "fallback"
OUTCOMES: Final = (*(str(ending) for ending in Ending), FALLBACK, UNDER_WAY)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of calls; empty for anything.

    Attributes:
        bands: Age bands, among them perhaps `unknown`.
        caller_key: The journal's key of one caller.
    """

    bands: frozenset[str] = frozenset()
    outcomes: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    caller_key: str = ""

    @property
    def is_selective(self) -> bool:
        """Whether anything is asked of calls."""
        return self != Wanted()

    def takes(self, decision: DecisionRecord) -> bool:
        """Whether a call may be one of these, by its first decision. Its queue and its outcome can still change."""
        return (
            (not self.bands or (decision.age_band or UNKNOWN_BAND) in self.bands)
            and (not self.rules or decision.rule in self.rules)
            and (not self.nodes or decision.node in self.nodes)
            and (not self.caller_key or decision.caller_key == self.caller_key)
        )

    def shows(self, call: JoinedCall) -> bool:
        """Whether a call that may be one is, as far as it has come."""
        if self.queues and call.queue not in self.queues and not (call.outcome and call.outcome.queue in self.queues):
            return False
        return not self.outcomes or not self.outcomes.isdisjoint(_outcomes_of(call))

    def concerns(self, node: str) -> bool:
        """Whether what is wrong with one Asterisk, or with all if `node` is empty, is of interest."""
        return not self.nodes or not node or node in self.nodes

    def in_words(self) -> str:
        """What is asked, for people."""
        asked = (("band", self.bands), ("outcome", self.outcomes), ("rule", self.rules), ("queue", self.queues))
        parts = [f"{name} {' or '.join(sorted(values))}" for name, values in (*asked, ("node", self.nodes)) if values]
        return ", ".join([*parts, *(["one caller"] if self.caller_key else [])])


class _Outcome(click.Choice[str]):
    """An outcome, as the journal has it or with dashes."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click."""
        return super().convert(value.replace("-", "_"), param, ctx)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that ask for calls, gathered into one argument `wanted`, without its caller."""

    @click.option(
        "--band", "bands", multiple=True, metavar="NAME", help="Callers of this age band; `unknown` is one too."
    )
    @click.option(
        "--outcome",
        "outcomes",
        multiple=True,
        type=_Outcome(OUTCOMES),
        help="Calls that ended so, that fell back, or that have not ended.",
    )
    @click.option("--rule", "rules", multiple=True, metavar="NAME", help="Calls that this rule decided.")
    @click.option(
        "--queue", "queues", multiple=True, metavar="NAME", help="Calls sent to this queue, or that ended there."
    )
    @click.option("--node", "nodes", multiple=True, metavar="NAME", help="Calls of this Asterisk.")
    @wraps(command)
    def with_wanted(*args: object, **words: Any) -> None:  # noqa: ANN401 - click's
        bands, outcomes, rules, queues, nodes = (
            frozenset[str](words.pop(name)) for name in ("bands", "outcomes", "rules", "queues", "nodes")
        )
        wanted = Wanted(bands=bands, outcomes=outcomes, rules=rules, queues=queues, nodes=nodes)
        command(*args, wanted=wanted, **words)

    return with_wanted


def _outcomes_of(call: JoinedCall) -> Iterator[str]:
    yield str(call.outcome.ended) if call.outcome else UNDER_WAY
    if call.fallback:
        yield FALLBACK


def doubts(wanted: Wanted, book: RuleBook) -> Iterator[str]:
    """What of it the rules in force do not know: misspelt, or of other rules, which the journal may hold as well."""
    rules = [rule.name for rule in book.rules]
    yield from _doubted("--band", wanted.bands, (*book.bands.names, UNKNOWN_BAND), "age band")
    yield from _doubted("--rule", wanted.rules, rules, "rule")
    yield from _doubted("--queue", wanted.queues, book.queues, "queue")


def _doubted(option: str, asked: Iterable[str], known: Collection[str], what: str) -> Iterator[str]:
    for name in sorted(asked):
        if name not in known:
            hint = did_you_mean(name, known) or f"they have {listed(sorted(known))}"
            yield f"{option}: the rules in force have no {what} {quoted(name)}; {hint.strip()}"


def since_given(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The moment that `--since` means: a time, or a time of day when it was last, or so long ago.

    Raises:
        click.BadParameter: It is none of these.
    """
    with suppress(ValueError):
        ago = timedelta(seconds=parse_duration_s(text))
        if ago > _LONGEST_AGO:
            raise click.BadParameter("write at most 3650d", param_hint="--since")
        return now - ago
    today = now.astimezone(zone).date()
    is_of_day = ":" in text and len(text) <= len("00:00:00")
    try:
        moment = moment_given("--since", f"{today} {text}" if is_of_day else text, zone)
        if is_of_day and moment > now:  # after midnight, 22:00 is that of the evening before
            moment = moment_given("--since", f"{today - timedelta(days=1)} {text}", zone)
    except click.BadParameter as error:
        if "year" in error.message:
            raise
        what = 'write how long ago, like 30m, or a time, like 09:00 or "2026-11-23 09:00"'
        raise click.BadParameter(what, param_hint="--since") from error
    return moment
