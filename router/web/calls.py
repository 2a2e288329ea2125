"""How calls are, for Prometheus: counted as their records are written, by the words of `docs/figures.md`.

    elder_router_decisions_total{band,target,rule,reason}      decisions; `reason` is how it came, see `reason_of`
    elder_router_decision_seconds{stage}                       histogram; lookup, decide, apply, and whole for all three
    elder_router_fallbacks_total{reason}                       calls that the dialplan sent to people by itself
    elder_router_outcomes_total{band,protected,ended,assistant}  calls that are over, by how they ended
    elder_router_queue_wait_seconds{band,protected,ended}      histogram; waits of those answered, and of those who left

A decision is counted when it is made and an outcome when the call is over, each once, since the start. `report` and the
wallboard count calls by the moment of their first decision, so that an hour's figures differ by the calls that were
under way at its ends.

What comes from outside is bounded: the dialplan's reasons are the known ones or `other`, and beyond `MOST_SERIES`
combinations of bands, rules and targets, or `MOST_GROUPS` bands, which only ever new rules could make, all others are
counted as `other`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final, NamedTuple

from prometheus_client import Counter, Histogram, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from router.journal.records import DecisionRecord, Ending, OutcomeRecord, Record
from router.journal.settings import USUAL_SERVICE_LEVEL
from router.rules.book import RuleBook

FALLBACKS: Final[dict[str, str]] = {
    "heartbeat": "heartbeat",
    "deadline": "deadline",
    "no-such-context": "no_such_context",
}
"""The dialplan's reasons → what metrics call them."""

OTHER: Final = "other"
UNKNOWN_BAND: Final = "unknown"
ALL_STAGES: Final = "whole"

STAGE_BUCKETS_S: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
"""A lookup takes 0.3 ms and its deadline is 50 ms; the dialplan waits for 1.9 s."""

WAIT_BUCKETS_S: Final = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0)
"""5 s is where an abandoned call is no longer short, 15 s what hotlines publish, 20 s the usual service level."""

MOST_SERIES: Final = 2000
MOST_GROUPS: Final = 100
"""Age bands told apart in outcomes, for as long as the router runs, those of earlier rules included."""
MOST_OPEN: Final = 200_000
"""Calls whose outcome is awaited, as many as a desk takes in hand; beyond it the oldest are counted as of an unknown
band when they end."""

# A moment of creation for each series would double what is told, and a restart is seen without.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's, without types


def reason_of(record: DecisionRecord) -> str:
    """How a decision came about, in one of six words.

    `rule`: the rules' decision was applied. `not_applied`: it was not, and what became of the call is not told, most
    likely the caller was gone. `fallback_…`: the dialplan went on by itself, for its reason in `FALLBACKS` or another.
    """
    if record.fallback:
        return f"fallback_{FALLBACKS.get(record.fallback, OTHER)}"
    return "rule" if record.applied else "not_applied"


class _Open(NamedTuple):
    """What an outcome does not tell of its call; shared by most calls of a band."""

    band: str
    protected: str
    fell_back: bool


class CallMetrics(Collector):
    """Counts records; `take` is a listener of `TellingJournal`.

    Args:
        within_s: The centre's own service level in seconds, which becomes a bucket of waits.
    """

    def __init__(self, within_s: float = USUAL_SERVICE_LEVEL.within_s) -> None:
        self._decisions = Counter(
            "elder_router_decisions",
            "Decisions by the caller's age band, target, rule and how they came.",
            ["band", "target", "rule", "reason"],
            registry=None,
        )
        self._stages = Histogram(
            "elder_router_decision_seconds",
            "How long deciding took, by stage.",
            ["stage"],
            registry=None,
            buckets=STAGE_BUCKETS_S,
        )
        self._fallbacks = Counter(
            "elder_router_fallbacks",
            "Calls that the dialplan sent to people by itself, by its reason.",
            ["reason"],
            registry=None,
        )
        self._outcomes = Counter(
            "elder_router_outcomes",
            "Calls that are over, by age band, by how they ended and whether the assistant was heard.",
            ["band", "protected", "ended", "assistant"],
            registry=None,
        )
        self._waits = Histogram(
            "elder_router_queue_wait_seconds",
            "From joining the first queue until a person answered or the caller left.",
            ["band", "protected", "ended"],
            registry=None,
            buckets=sorted({*WAIT_BUCKETS_S, float(within_s)}),
        )
        # Looking a series up takes longer than counting, so they are kept. Those that exist from the start are told
        # as 0: a rate that begins with its first sample would never show the first fallback.
        self._of_stage = {stage: self._stages.labels(stage) for stage in ("lookup", "decide", "apply", ALL_STAGES)}
        self._of_fallback = {reason: self._fallbacks.labels(reason) for reason in (*FALLBACKS.values(), OTHER)}
        self._of_decision: dict[tuple[str, str, str, str], Counter] = {}
        self._of_outcome: dict[tuple[str, str, str, str], Counter] = {}
        self._of_wait: dict[tuple[str, str, str], Histogram] = {}
        self._open: dict[tuple[str, str], _Open] = {}
        self._groups: dict[tuple[str, str], _Open] = {}
        self._not_seen = self._group(None, protected=False)

    def take(self, record: Record) -> None:
        """Count one record."""
        if isinstance(record, DecisionRecord):
            self._decided(record)
        elif isinstance(record, OutcomeRecord):
            self._ended(record)

    def expect(self, rules: RuleBook) -> None:
        """Tell outcomes, and decisions of calls that fell back unasked, as 0 for each age band until there are some.

        Prometheus sees no increase in a series that begins with its first sample: after each restart, whatever happened
        before the first scrape would be missing from every rate: most of all what fell back while the router was away.
        """
        for band in rules.bands.names:
            self._group(band, band in rules.protected)
        for band, reason in product((*rules.bands.names, UNKNOWN_BAND), self._of_fallback):
            labels = (band, rules.fallback.name, "", f"fallback_{reason}")
            self._of_decision[labels] = self._decisions.labels(*labels)

    def adopt(self, decisions: Iterable[DecisionRecord]) -> None:
        """Know of calls that an earlier run decided and whose end is still to come; they are not counted anew."""
        for record in decisions:
            self._follow(record)

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for metric in (self._decisions, self._stages, self._fallbacks, self._outcomes, self._waits):
            yield from metric.collect()

    def _decided(self, record: DecisionRecord) -> None:
        labels = (record.age_band or UNKNOWN_BAND, record.target, record.rule, reason_of(record))
        counter = self._of_decision.get(labels)
        if counter is None:
            if len(self._of_decision) >= MOST_SERIES:
                labels = (OTHER, OTHER, OTHER, labels[3])
            counter = self._of_decision[labels] = self._decisions.labels(*labels)
        counter.inc()
        whole_ms = 0.0
        stages = (("lookup", record.lookup_ms), ("decide", record.decide_ms), ("apply", record.apply_ms))
        for stage, took_ms in stages:
            if took_ms is not None:
                self._of_stage[stage].observe(took_ms / 1000)
                whole_ms += took_ms
        if record.apply_ms is not None:
            self._of_stage[ALL_STAGES].observe(whole_ms / 1000)
        if record.fallback and not self._fell_back_before(record):
            self._count_fallback(record.fallback)
        self._follow(record)

    def _ended(self, record: OutcomeRecord) -> None:
        open_ = self._open.pop((record.node, record.uniqueid), self._not_seen)
        if record.fallback and not open_.fell_back:
            self._count_fallback(record.fallback)
        assistant = "yes" if record.touched_assistant else "no"
        labels = (open_.band, open_.protected, record.ended.value, assistant)
        self._of_outcome[labels].inc()
        if record.wait_s is not None and record.ended in _OFFERED:
            self._of_wait[labels[:3]].observe(record.wait_s)

    def _group(self, band: str | None, protected: bool) -> _Open:
        """The band that a call counts under, whose series are there from then on."""
        band, is_protected = band or UNKNOWN_BAND, "yes" if protected else "no"
        if (band, is_protected) not in self._groups and len(self._groups) >= MOST_GROUPS:
            band = OTHER
        if (group := self._groups.get((band, is_protected))) is None:
            group = self._groups[band, is_protected] = _Open(band, is_protected, fell_back=False)
            for ended, assistant in product(Ending, ("yes", "no")):
                labels = (band, is_protected, ended.value, assistant)
                self._of_outcome[labels] = self._outcomes.labels(*labels)
            for ended in _OFFERED:
                waits = (band, is_protected, ended.value)
                self._of_wait[waits] = self._waits.labels(*waits)
        return group

    def _count_fallback(self, reason: str) -> None:
        self._of_fallback[FALLBACKS.get(reason, OTHER)].inc()

    def _fell_back_before(self, record: DecisionRecord) -> bool:
        return self._open.get((record.node, record.uniqueid), self._not_seen).fell_back

    def _follow(self, record: DecisionRecord) -> None:
        key = (record.node, record.uniqueid)
        first = self._open.get(key)  # a call belongs to the band of its first decision
        if first is None:
            if len(self._open) >= MOST_OPEN:
                del self._open[next(iter(self._open))]
            first = self._group(record.age_band, bool(record.protected))
            self._open[key] = first
        if record.fallback and not first.fell_back:
            self._open[key] = first._replace(fell_back=True)


_OFFERED: Final = frozenset({Ending.ANSWERED, Ending.ABANDONED})
