"""The figures of docs/figures.md counted once more, record by record, as they read: for comparison only."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from router.journal.counting.figures import Figures, Span, Tally


def figures_of(
    records: Sequence[dict[str, Any]], span: Span, zone: ZoneInfo, protected_now: Collection[str], within_s: float
) -> Figures:
    calls: dict[tuple[str, str], list[dict[str, Any]]] = {}
    ends: dict[tuple[str, str], dict[str, Any]] = {}
    late: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        key = (record["node"], record["uniqueid"])
        if record["record"] == "decision":
            calls.setdefault(key, []).append(record)
        elif record["record"] == "outcome":
            ends.setdefault(key, record)
            late.setdefault(key, []).append(record)
    told = []
    for key, decisions in calls.items():
        decisions.sort(key=lambda decision: (decision["ask"], decision["time"]))
        first, end = decisions[0], ends.get(key)
        at = datetime.fromisoformat(first["time"])
        if not span.begin <= at < span.end:
            continue
        fallbacks = [one["fallback"] for one in [*decisions, *late.get(key, [])] if one["fallback"]]
        protected = first["protected"] if first["protected"] is not None else first["age_band"] in protected_now
        told.append((first, end, at.astimezone(zone), fallbacks[0] if fallbacks else "", protected))

    def tally(chosen: Iterable[Any]) -> Tally:
        chosen = list(chosen)
        ended = [end for _, end, *_ in chosen if end]
        of = {name: [end for end in ended if end["ended"] == name] for name in _ENDINGS}
        waits = sorted(end["wait_s"] for end in of["answered"] if end["wait_s"] is not None)
        every = [end["wait_s"] for end in of["answered"] + of["abandoned"] if end["wait_s"] is not None]
        return Tally(
            calls=len(chosen),
            under_way=len(chosen) - len(ended),
            unseen=len(of["unseen"]),
            answered=len(of["answered"]),
            in_time_published=sum(wait <= 15 for wait in waits),
            in_time=sum(wait <= within_s for wait in waits),
            abandoned=len(of["abandoned"]),
            abandoned_short=sum(end["wait_s"] is not None and end["wait_s"] <= 5 for end in of["abandoned"]),
            without_assistant=sum(not end["touched_assistant"] for end in of["answered"]),
            self_served=len(of["self_served"]),
            hung_up_early=len(of["hung_up_early"]),
            fallback=sum(bool(fallback) for *_, fallback, _ in chosen),
            wait_median_s=_nearest_rank(waits, 50),
            wait_95th_s=_nearest_rank(waits, 95),
            wait_longest_s=max(every, default=None),
        )

    def by(of: Any) -> dict[Any, Tally]:  # noqa: ANN401 - any question to a call
        names = {of(call) for call in told} - {None}
        return {name: tally(call for call in told if of(call) == name) for name in names}

    def many(of: Any) -> dict[Any, int]:  # noqa: ANN401 - see above
        return {name: one.calls for name, one in by(of).items()}

    return Figures(
        span,
        within_s,
        overall=tally(told),
        protected=tally(call for call in told if call[4]),
        by_band=by(lambda call: call[0]["age_band"] or ""),
        by_hour=by(lambda call: call[2].hour),
        protected_by_hour=by(lambda call: call[2].hour if call[4] else None),
        by_day=by(lambda call: call[2].date()),
        by_queue=by(lambda call: call[1]["queue"] if call[1] and call[1]["ended"] in _OFFERED else None),
        by_rule=by(lambda call: call[0]["rule"]),
        by_target=by(lambda call: call[0]["target"]),
        fallback=many(lambda call: call[3] or None),
        unknown=many(lambda call: call[0]["band_source"] if call[0]["age_band"] is None else None),
    )


_ENDINGS = ("answered", "abandoned", "self_served", "hung_up_early", "unseen")
_OFFERED = ("answered", "abandoned")


def _nearest_rank(waits: Sequence[float], percent: int) -> float | None:
    return waits[math.ceil(len(waits) * percent / 100) - 1] if waits else None
