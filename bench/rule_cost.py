"""What deciding costs by the number of rules, beside a general rule engine on the same rules and calls.

rule-engine's `Chain` takes the first rule that matches, as the router does. It is used the fastest way it has, of those
tried: types not declared, `getattr` as the resolver, facts worked out beforehand. It says which rule matched and
nothing of the others; the router's time includes its trace.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from statistics import median

import rule_engine
from rich.console import Console

from bench.plan import Plan
from bench.rule_sets import Calls, RuleSpec, Thing, rules_of, rules_text
from lab.processes import LabError
from router.callers.number import PhoneNumber, masked
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.journal.writer import JournalWriter
from router.rules.book import RuleBook, rules_from, source_of_text
from router.rules.model import Decision, Facts

ROUND_S = 0.1
"""A round goes over its calls as often as this takes, the shortest time that noise does not drown."""
RECORDED_CALLS = 200
"""So many of the calls have their records written, over and over."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What each round took of each engine, per decision or per load."""

    ours: list[float]
    theirs: list[float]


@dataclass(frozen=True, slots=True)
class Deciding:
    """One kind of calls. `asked` is how many rules are asked on average, the matching one included.

    `decide_us` is of one decision, `record_us` of making and writing its record, `record_bytes` that record's size.
    """

    which: str
    asked: float
    decide_us: Timed
    record_us: list[float]
    record_bytes: float


@dataclass(frozen=True, slots=True)
class AtSize:
    """Everything at one number of rules."""

    rules: int
    file_bytes: int
    load_ms: Timed
    first: Deciding
    any: Deciding
    last: Deciding

    @property
    def kinds(self) -> tuple[Deciding, Deciding, Deciding]:
        """All kinds of calls, the cheapest first."""
        return self.first, self.any, self.last


def measure_rules(scratch: Path, plan: Plan, console: Console) -> list[AtSize]:
    """Measure at each number of rules.

    Raises:
        LabError: The engines do not choose the same rule for some call, or the rules are refused.
    """
    console.print("[bold]==>[/] rules")
    scratch.mkdir(parents=True, exist_ok=True)
    found = []
    for number in plan.rules:
        found.append(_measure(rules_of(number), scratch, plan))
        for deciding in found[-1].kinds:
            us = deciding.decide_us
            console.print(
                f"    {number} rules, {deciding.which} matches: {median(us.ours):.2f} µs, rule-engine "
                f"{median(us.theirs):.2f} µs, record {median(deciding.record_us):.0f} µs"
            )
    return found


def _measure(specs: list[RuleSpec], scratch: Path, plan: Plan) -> AtSize:
    text = rules_text(specs)
    book, chain = _load(text), _compile(specs)
    chance, number = Calls(), plan.rule_calls
    to_the_last = (facts for facts in iter(chance.unlisted, None) if book.decide(facts).rule == specs[-1].name)
    kinds = {
        "first": [chance.fitting(specs[0]) for _ in range(number)],
        "any": [chance.fitting_any(specs) for _ in range(number)],
        "last": list(islice(to_the_last, number)),
    }
    deciding = {}
    with _memory_as_in_the_daemon():
        for which, calls in kinds.items():
            calls.sort(key=attrgetter("at"))  # as they come, so that calls of a minute find the same calendars open
            things = [Thing(facts) for facts in calls]
            asked = _verify(specs, book, chain, calls, things)
            ours, theirs = _rounds_of(book.decide, calls), _rounds_of(chain.evaluate, things)
            decide_us = _alternate(plan.rule_rounds, ours, theirs, scale=1e6)
            journal = scratch / f"{len(specs)} {which}.jsonl"
            record_us, record_bytes = _records(book, calls, journal, plan.rule_rounds)
            deciding[which] = Deciding(which, asked, decide_us, record_us, record_bytes)
        load_ms = _alternate(
            plan.rule_rounds, lambda: _once_s(_load, text), lambda: _once_s(_compile, specs), scale=1e3
        )
    return AtSize(len(specs), len(text.encode()), load_ms, **deciding)


def _load(text: str) -> RuleBook:
    """Read, check and prove a rules file."""
    book, problems = rules_from(source_of_text(text))
    if book is None:
        raise LabError("the bench's rules are refused:\n" + "\n".join(map(str, problems[:5])))
    return book


def _compile(specs: Sequence[RuleSpec]) -> rule_engine.Chain:
    context = rule_engine.Context(resolver=getattr)
    return rule_engine.Chain([(spec.expression(), spec.name) for spec in specs], context=context)


def _verify(
    specs: Sequence[RuleSpec],
    book: RuleBook,
    chain: rule_engine.Chain,
    calls: Sequence[Facts],
    things: Sequence[Thing],
) -> float:
    """See that both engines choose the same rule for every call; how many rules are asked on average."""
    place = {spec.name: index for index, spec in enumerate(specs, 1)}
    asked = 0
    for facts, thing in zip(calls, things, strict=True):
        ours, theirs = book.decide(facts).rule, chain.evaluate(thing)
        if ours != theirs:
            raise LabError(f'the engines differ on {facts}: the router takes "{ours}", rule-engine "{theirs}"')
        asked += place[ours]
    return asked / len(calls)


def _rounds_of(decide: Callable[..., object], calls: Sequence[object]) -> Callable[[], float]:
    """A function that goes over the calls for `ROUND_S` and returns the seconds of one decision."""
    passes = math.ceil(ROUND_S / _pass_s(decide, calls))

    def one_round() -> float:
        return sum(_pass_s(decide, calls) for _ in range(passes)) / passes / len(calls)

    return one_round


def _pass_s(decide: Callable[..., object], calls: Sequence[object]) -> float:
    began = time.perf_counter()
    for call in calls:
        decide(call)
    return time.perf_counter() - began


def _once_s(load: Callable[..., object], *words: object) -> float:
    began = time.perf_counter()
    load(*words)
    return time.perf_counter() - began


def _alternate(rounds: int, ours: Callable[[], float], theirs: Callable[[], float], *, scale: float) -> Timed:
    """Both in turn, the one that is first in one round second in the next."""
    timed = Timed([], [])
    for number in range(rounds):
        both = [(ours, timed.ours), (theirs, timed.theirs)]
        for measure, into in both if number % 2 == 0 else reversed(both):
            into.append(measure() * scale)
    return timed


def _records(book: RuleBook, calls: Sequence[Facts], journal: Path, rounds: int) -> tuple[list[float], float]:
    """Make and write the records of these calls as the daemon does: µs of one in each round, and its bytes."""
    writer = JournalWriter(journal)
    caller = PhoneNumber("+8613900000001")

    def write(call: tuple[Facts, Decision]) -> None:
        facts, decision = call
        writer.write(
            decision_record(
                Request(
                    uniqueid="pbx1-1790000000.1",
                    linkedid="pbx1-1790000000.1",
                    ask=1,
                    channel="PJSIP/trunk-00000001",
                    caller=caller.e164,
                    restricted=False,
                    called=facts.called,
                    language=facts.language,
                ),
                Handled(
                    caller=caller,
                    age_band=facts.age_band,
                    band_source="registry" if facts.age_band else "unknown",
                    decision=decision,
                    applied=True,
                    lookup_ms=0.5,
                    decide_ms=0.05,
                    apply_ms=0.5,
                ),
                node="pbx1",
                fallback="",
                book=book,
                caller_masked=masked(caller),
                caller_key="0123456789abcdef",
                full_caller=None,
            )
        )

    one_round = _rounds_of(write, [(facts, book.decide(facts)) for facts in calls[:RECORDED_CALLS]])
    record_us = [one_round() * 1e6 for _ in range(rounds)]
    writer.close()
    if writer.lost:
        raise LabError(f"{journal}: {writer.lost} records could not be written; is the disk full?")
    size_bytes = journal.stat().st_size / writer.written
    journal.unlink()
    return record_us, size_bytes


@contextmanager
def _memory_as_in_the_daemon() -> Iterator[None]:
    """Leave what is there to itself, and look for garbage as seldom as the daemon does (`router.cli.run`)."""
    threshold = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
