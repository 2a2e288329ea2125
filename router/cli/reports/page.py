"""A report as one page for a browser and for paper: no scripts, nothing from outside, no text left unescaped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from router.cli.reports import charts
from router.cli.reports.measures import BY_NAME, IN_GROUPS, MEASURES, Change, Measure, change, said, said_share
from router.cli.reports.notes import notes
from router.cli.reports.shown import SECTIONS, Shown
from router.cli.reports.terminal import headline, moment, name_of
from router.cli.reports.words import Words
from router.cli.tracing import printable
from router.journal.counting.figures import NOTHING, Tally

_TEMPLATES: Final = Path(__file__).parent / "templates"
_CARDS: Final = ("without_assistant", "answered_within_15s", "service_level", "wait_median_s", "wait_95th_s")
_MOST_ROWS: Final = 100
_ENOUGH: Final = 30  # offered calls in an hour, for it to be called the worst
_MOST_TROUBLES: Final = 50


@dataclass(frozen=True, slots=True)
class _Cell:
    """A figure, and what became of it if that is told; `verdict` is in words, `kind` for its colour."""

    value: str
    by: str = ""
    verdict: str = ""
    kind: str = ""


def as_page(shown: Shown, words: Words) -> str:
    """The whole page as HTML."""
    older = shown.now.protected if shown.now.protected.calls else NOTHING
    bands = shown.rows("band")
    return _template().render(
        words=words,
        says=words.says,
        title=f"{words.says['title']}: {words.span(shown.asked)}",
        span=words.span(shown.asked),
        before=words.before(shown.asked),
        is_compared=shown.is_compared,
        headline=printable(headline(shown, words)),
        cards=list(_cards(shown, words, older)),
        overall=list(_overall(shown, words)),
        sections=[section for name in SECTIONS if (section := _section(shown, words, name))],
        reasons=[(words.says[what], _reasons(shown, words, what)) for what in ("fallback", "unknown")],
        troubles=list(_troubles(shown, words)),
        more_troubles=max(0, len(shown.now.troubles) - _MOST_TROUBLES),
        share_chart=charts.by_hour_share(shown, words.says["older_short"], words.says["all"]),
        calls_chart=charts.by_hour_calls(shown, words.says["older_short"], words.says["others_short"]),
        waits_chart=charts.by_hour_waits(shown, words.says["median"], words.says["95th"]),
        waits_of=words.says["older_short" if shown.now.protected.calls else "all"],
        band_bars=charts.by_band(bands, [printable(name_of("band", row.name, words)) for row in bands]),
        band_legend=[words.figure(name, shown.now.within_s) for name in ("without_assistant", "answered_within_15s")],
        texts=_texts(shown, words),
        notes=[printable(note) for note in notes(shown, words)],
        made=printable(_made(shown, words)),
        width=charts.WIDTH,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _cards(shown: Shown, words: Words, older: Tally) -> Iterator[tuple[str, _Cell, str]]:
    """The figures of older callers that stand out: name, figure, what to see it beside."""
    for name in _CARDS:
        beside = f"{words.says['all']}: {said(BY_NAME[name].value(shown.now.overall))}"
        if name == "service_level":
            beside += f"; {words.says['promised'].format(percent=f'{shown.percent:g}%')}"
        yield (
            words.figure(name, shown.now.within_s),
            _cell(shown, words, BY_NAME[name], older, shown.before.protected),
            beside,
        )


def _overall(shown: Shown, words: Words) -> Iterator[tuple[str, _Cell, _Cell]]:
    for measure in MEASURES:
        yield (
            words.figure(measure.name, shown.now.within_s),
            _cell(shown, words, measure, shown.now.protected, shown.before.protected),
            _cell(shown, words, measure, shown.now.overall, shown.before.overall),
        )


def _cell(shown: Shown, words: Words, measure: Measure, now: Tally, before: Tally) -> _Cell:
    value = said(measure.value(now))
    what: Change | None = change(measure, now, before) if shown.is_compared else None
    if what is None or what.verdict == "same":
        return _Cell(value)
    return _Cell(value, what.text, words.verdicts[what.verdict], what.verdict)


def _section(shown: Shown, words: Words, section: str) -> dict[str, Any] | None:
    """A table: its title, heads, rows of a name and figures, and how many rows are left out."""
    rows = shown.rows(section)
    if not rows:
        return None
    kept = rows[:_MOST_ROWS] if section in {"hour", "day"} else _busiest(rows)
    return {
        "title": words.sections[section],
        "head": words.says[f"head_{section}"],
        "heads": [words.figure(measure.name, shown.now.within_s, short=True) for measure in IN_GROUPS],
        "rows": [
            (printable(name_of(section, row.name, words)), [said(measure.value(row.now)) for measure in IN_GROUPS])
            for row in kept
        ],
        "more": len(rows) - len(kept),
    }


def _busiest(rows: list[Any]) -> list[Any]:
    least = sorted((row.now.calls for row in rows), reverse=True)[:_MOST_ROWS][-1]
    return [row for row in rows if row.now.calls >= least][:_MOST_ROWS]


def _reasons(shown: Shown, words: Words, what: str) -> list[tuple[str, str, str]]:
    return [
        (printable(words.reason(one.name)), f"{one.now:,}", f"{one.before:,}")
        for one in shown.reasons(what)[:_MOST_ROWS]
    ]


def _troubles(shown: Shown, words: Words) -> Iterator[tuple[str, ...]]:
    for one in shown.now.troubles[:_MOST_TROUBLES]:
        yield (
            printable(one.what),
            printable(one.node or "–"),
            moment(one.began, shown.zone, words.says["before_span"]),
            moment(one.ended, shown.zone, words.says["still"]),
            printable(one.why),
        )


def _texts(shown: Shown, words: Words) -> dict[str, str]:
    """What the charts say, for whoever does not see them."""
    hours = shown.rows("hour")
    busiest = max(hours, key=lambda row: row.now.calls)
    texts = {"calls": words.says["busiest"].format(hour=busiest.name, calls=f"{busiest.now.calls:,}")}
    by_hour = shown.now.protected_by_hour
    enough = {hour: tally for hour, tally in by_hour.items() if tally.offered >= _ENOUGH}
    shares = [(tally.answered_within_15s, hour) for hour, tally in (enough or by_hour).items() if tally.offered]
    if shares:
        share, hour = min(shares, key=lambda one: (one[0].value or 0.0, one[1]))
        texts["share"] = words.says["worst"].format(hour=f"{hour:02}:00", share=said_share(share))
    waits = [(tally.wait_95th_s, hour) for hour, tally in (enough or by_hour).items() if tally.wait_95th_s is not None]
    if waits:
        wait_s, hour = max(waits, key=lambda one: (one[0], -one[1]))
        texts["waits"] = words.says["longest_waits"].format(hour=f"{hour:02}:00", wait=said(wait_s))
    return texts


def _made(shown: Shown, words: Words) -> str:
    files = shown.journals
    journals = str(files[0]) if len(files) == 1 else words.says["journals"].format(count=len(files))
    at = shown.made.astimezone(shown.zone)
    return words.says["made"].format(moment=f"{at:%Y-%m-%d %H:%M}", journals=journals, zone=shown.zone.key)
