"""A report as plain values: JSON, and a tidy table for spreadsheets and databases, one figure a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from router.cli.reports.measures import MEASURES, change
from router.cli.reports.notes import notes
from router.cli.reports.shown import SECTIONS, Shown
from router.cli.reports.words import words_in
from router.cli.tracing import printable
from router.journal.counting.figures import Figures, Share, Span, Tally

HEAD: Final = ("period", "section", "name", "figure", "value", "unit")
# A spreadsheet takes what begins with one of these for a formula.
_FORMULA: Final = ("=", "+", "-", "@")
_UNITS: Final = {"calls": "calls", "share": "of 1", "seconds": "s"}


def as_plain(shown: Shown) -> dict[str, Any]:
    """Everything for JSON: shares from 0 to 1 with what they are of, waits in seconds, moments in the report's zone."""
    return {
        "journals": [str(file) for file in shown.journals],
        "not_read": [str(file) for file in shown.counted.left_out],
        "timezone": shown.zone.key,
        "span": _span(shown.asked.span),
        "before_span": _span(shown.asked.before),
        "service_level": {"within_s": shown.now.within_s, "promised": shown.percent / 100},
        "figures": _figures(shown, shown.now),
        "before": _figures(shown, shown.before) if shown.is_compared else None,
        "changes": {
            whom: _changes(getattr(shown.now, whom), getattr(shown.before, whom))
            for whom in ("protected", "overall")
            if shown.is_compared
        },
        "notes": list(notes(shown, words_in("en"))),
    }


def _span(span: Span) -> dict[str, str]:
    return {"from": span.begin.isoformat(), "to": span.end.isoformat()}


def _figures(shown: Shown, figures: Figures) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "overall": _tally(figures.overall),
        "protected": _tally(figures.protected),
    }
    for section in SECTIONS:
        plain[f"by_{section}"] = [
            {"name": name or None, **_tally(tally)} for name, tally in shown.groups(section, figures)
        ]
    plain["fallback"] = dict(figures.fallback)
    plain["unknown"] = dict(figures.unknown)
    plain["conditions"] = [
        {
            "what": one.what,
            "node": one.node or None,
            "why": one.why,
            "began": _iso(one.began, shown),
            "ended": _iso(one.ended, shown),
            "is_over": one.is_over,
        }
        for one in figures.troubles
    ]
    return plain


def _iso(moment: datetime | None, shown: Shown) -> str | None:
    return moment.astimezone(shown.zone).isoformat() if moment else None


def _tally(tally: Tally) -> dict[str, Any]:
    return {measure.name: _value(measure.value(tally)) for measure in MEASURES}


def _value(value: object) -> object:
    if isinstance(value, Share):
        return {"share": value.value, "happened": value.happened, "of": value.of}
    return value


def _changes(now: Tally, before: Tally) -> dict[str, Any]:
    found = {measure.name: change(measure, now, before) for measure in MEASURES}
    return {name: {"by": one.text, "verdict": one.verdict} for name, one in found.items() if one}


def as_csv(shown: Shown) -> str:
    """Everything as CSV, `HEAD` first. Texts that a spreadsheet would take for a formula have a ' before them.

    Control characters are escaped, as everywhere.
    """
    into = io.StringIO()
    writer = csv.writer(into, lineterminator="\r\n")
    writer.writerow(HEAD)
    for row in _rows(shown):
        writer.writerow([_cell(value) for value in row])
    return into.getvalue()


def _rows(shown: Shown) -> Iterator[tuple[object, ...]]:
    spans = (("this", shown.asked.span, shown.now), ("before", shown.asked.before, shown.before))
    for period, span, figures in spans:
        yield period, "report", "", "from", span.begin.isoformat(), "time"
        yield period, "report", "", "to", span.end.isoformat(), "time"
        yield period, "report", "", "service level within", figures.within_s, "s"
        yield from _of_tally(period, "overall", "", figures.overall)
        yield from _of_tally(period, "protected", "", figures.protected)
        for section in SECTIONS:
            for name, tally in shown.groups(section, figures):
                yield from _of_tally(period, section, name, tally)
        for what in ("fallback", "unknown"):
            for name, calls in sorted(getattr(figures, what).items()):
                yield period, what, name, "calls", calls, "calls"
        for one in figures.troubles:
            name = f"{one.what} ({one.node})" if one.node else one.what
            yield period, "condition", name, "began", _iso(one.began, shown) or "", "time"
            yield period, "condition", name, "ended", _iso(one.ended, shown) or "", "time"


def _of_tally(period: str, section: str, name: str, tally: Tally) -> Iterator[tuple[object, ...]]:
    for measure in MEASURES:
        value = measure.value(tally)
        if isinstance(value, Share):
            value = None if value.value is None else round(value.value, 6)
        yield period, section, name, measure.name, "" if value is None else value, _UNITS[measure.kind]


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)  # `--csv -` goes to a terminal
    return f"'{text}" if text.startswith(_FORMULA) else text
