"""What the engine is told, in its own language. No text of a journal and no name of a file is ever part of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from router.journal.counting.figures import PUBLISHED_WITHIN_S, SHORT_S, Span
from router.journal.counting.sources import Compression
from router.journal.reader import MAX_LINE_BYTES
from router.journal.records import SCHEMA_VERSION

# What is asked for of a record; whatever else is in its line, the trace above all, is passed over.
_FIELDS: Final = {
    **dict.fromkeys(("record", "time", "node", "uniqueid", "age_band", "band_source", "rule", "target"), "VARCHAR"),
    **dict.fromkeys(("queue", "fallback", "ended", "run", "what", "state", "why"), "VARCHAR"),
    **dict.fromkeys(("schema_version", "ask"), "BIGINT"),
    **dict.fromkeys(("protected", "touched_assistant"), "BOOLEAN"),
    "wait_s": "DOUBLE",
}
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2099
"""What was written before or after was not written by a router; so far from now, moments cannot even be shown."""
# No zone changes its clocks twice within it.
_STEP: Final = timedelta(days=1)
_COLUMNS: Final = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in _FIELDS.items()) + "}"

RECORDS: Final = "CREATE TABLE records AS SELECT * FROM ({sources})"
"""All records of kinds that count, each line once."""

# A line that is no record at all has nothing in any column. Times are in milliseconds, as exact as records tell them.
_SOURCE: Final = f"""
SELECT
  filename AS source,
  record,
  CASE WHEN try_cast(time AS TIMESTAMPTZ) BETWEEN TIMESTAMPTZ '{FIRST_YEAR}-01-01' AND TIMESTAMPTZ '{LAST_YEAR}-12-31'
    THEN epoch_ms(try_cast(time AS TIMESTAMPTZ)) END AS at_ms,
  node, uniqueid, ask, age_band, band_source, protected, rule, target, queue,
  nullif(fallback, '') AS fallback,
  ended, touched_assistant,
  try_cast(round(wait_s * 1000) AS INTEGER) AS wait_ms,
  run, what, state, why,
  CASE
    WHEN record IS NULL THEN true
    WHEN record NOT IN ('decision', 'outcome', 'condition') THEN false
    ELSE schema_version IS DISTINCT FROM {SCHEMA_VERSION} OR at_ms IS NULL OR node IS NULL
      OR (record <> 'condition' AND uniqueid IS NULL)
  END AS is_bad
FROM read_ndjson(?, columns = {_COLUMNS}, compression = 'COMPRESSION', ignore_errors = true, filename = true,
                 maximum_object_size = {MAX_LINE_BYTES + 1})
WHERE is_bad OR record IN ('decision', 'outcome', 'condition')
"""  # noqa: S608 - of constants alone


def source(compression: Compression) -> str:
    """What reads the journals of one kind, whose paths are its parameter."""
    return _SOURCE.replace("COMPRESSION", compression)


READ: Final = """
SELECT source, count(*) FILTER (is_bad), count(*) FILTER (NOT is_bad AND record = 'decision'),
       count(*) FILTER (NOT is_bad AND record = 'outcome')
FROM records GROUP BY source
"""
"""What was read of each source: bad lines, decisions, outcomes."""

TROUBLES: Final = """
SELECT run, node, what, state, coalesce(why, ''), at_ms
FROM records WHERE record = 'condition' AND NOT is_bad ORDER BY at_ms, state DESC
"""
RUNS: Final = "SELECT coalesce(run, ''), min(at_ms), max(at_ms) FROM records WHERE NOT is_bad GROUP BY 1 ORDER BY 2"
DECIDED: Final = "SELECT min(at_ms), max(at_ms) FROM records WHERE record = 'decision' AND NOT is_bad"

# The parameters are the bands that are protected now, and whether files of before were left out: a call whose first
# decision is not there was decided in one of them then. Of a call that asked several times the first decision counts;
# `any_fallback` is that of whichever record tells of one. If a router that was away wrote `unseen`, and another one saw
# the end, what was seen counts.
CALLS: Final = """
CREATE TABLE calls AS
WITH decided AS (
  SELECT node, uniqueid, at_ms, ask, age_band, band_source, protected, rule, target, any_fallback
  FROM (
    SELECT *,
      row_number() OVER (PARTITION BY node, uniqueid ORDER BY ask, at_ms) AS nth,
      min_by(fallback, ask) OVER (PARTITION BY node, uniqueid) AS any_fallback
    FROM records WHERE record = 'decision' AND NOT is_bad
  ) WHERE nth = 1
),
ended AS (
  SELECT node, uniqueid, ended, queue, touched_assistant, wait_ms, any_fallback
  FROM (
    SELECT *,
      row_number() OVER (PARTITION BY node, uniqueid ORDER BY ended = 'unseen', at_ms) AS nth,
      min_by(fallback, at_ms) OVER (PARTITION BY node, uniqueid) AS any_fallback
    FROM records WHERE record = 'outcome' AND NOT is_bad
  ) WHERE nth = 1
)
SELECT
  {span} AS span,
  coalesce(age_band, '') AS band,
  CASE WHEN age_band IS NULL THEN coalesce(band_source, '') END AS unknown_why,
  coalesce(protected, list_contains(?, age_band), false) AS is_protected,
  coalesce(rule, '') AS rule,
  coalesce(target, '') AS target,
  ({local_ms} // 3600000) % 24 AS hour,
  {local_ms} // 86400000 AS day,
  coalesce(decided.any_fallback, ended.any_fallback) AS fallback,
  ended,
  CASE WHEN ended IN ('answered', 'abandoned') THEN coalesce(queue, '') END AS queue,
  coalesce(touched_assistant, false) AS touched_assistant,
  wait_ms
FROM decided LEFT JOIN ended USING (node, uniqueid)
WHERE {span} IS NOT NULL AND (coalesce(decided.ask, 1) = 1 OR NOT ?)
"""

GROUPS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    *((name,) for name in ("band", "is_protected", "hour", "day", "queue", "rule", "target")),
    ("is_protected", "hour"),
)
"""What is counted by: nothing, each of these columns of `calls`, and two of them together."""

_MEASURES: Final = f"""
  count(*),
  count(*) FILTER (ended IS NULL),
  count(*) FILTER (ended = 'unseen'),
  count(*) FILTER (ended = 'answered'),
  count(*) FILTER (ended = 'answered' AND wait_ms <= {PUBLISHED_WITHIN_S * 1000:.0f}),
  count(*) FILTER (ended = 'answered' AND wait_ms <= {{within_ms}}),
  count(*) FILTER (ended = 'abandoned'),
  count(*) FILTER (ended = 'abandoned' AND wait_ms <= {SHORT_S * 1000:.0f}),
  count(*) FILTER (ended = 'answered' AND NOT touched_assistant),
  count(*) FILTER (ended = 'self_served'),
  count(*) FILTER (ended = 'hung_up_early'),
  count(*) FILTER (fallback IS NOT NULL),
  quantile_disc(wait_ms, 0.5) FILTER (ended = 'answered'),
  quantile_disc(wait_ms, 0.95) FILTER (ended = 'answered'),
  max(wait_ms) FILTER (ended IN ('answered', 'abandoned'))
"""

REASONS: Final = """
SELECT span, 'fallback', fallback, count(*) FROM calls WHERE fallback IS NOT NULL GROUP BY ALL
UNION ALL SELECT span, 'unknown', unknown_why, count(*) FROM calls WHERE unknown_why IS NOT NULL GROUP BY ALL
"""


def tallies(group: Sequence[str], within_s: float) -> str:
    """What counts by one of `GROUPS`: a row has the span, the group's values, and what a `Tally` has, in its order.

    One statement each: percentiles need all waits at once, which the engine does not put on disk.
    """
    columns = ", ".join(("span", *group))
    measures = _MEASURES.format(within_ms=round(within_s * 1000))
    return f"SELECT {columns}, {measures} FROM calls GROUP BY {columns}"  # noqa: S608 - of constants and a number


def span_of(spans: Sequence[Span]) -> str:
    """An expression: which of the spans, by its number, a call was decided in; none otherwise."""
    cases = (f"WHEN at_ms >= {_ms(one.begin)} AND at_ms < {_ms(one.end)} THEN {n}" for n, one in enumerate(spans))
    return f"CASE {' '.join(cases)} END"


def local_ms(spans: Sequence[Span], zone: ZoneInfo) -> str:
    """An expression: what a clock on the wall showed when a call was decided, as milliseconds since 1970 there."""
    begin, end = min(span.begin for span in spans), max(span.end for span in spans)
    moment = begin.astimezone(UTC)
    offset, cases = _offset_ms(moment, zone), ""
    while moment < end:
        after = moment + _STEP
        if (other := _offset_ms(after, zone)) != offset:
            cases += f"WHEN at_ms < {_ms(_change(moment, after, zone))} THEN {offset} "
            offset = other
        moment = after
    return f"(at_ms + {f'CASE {cases}ELSE {offset} END' if cases else offset})"


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of a zone were changed between two moments, to the second."""
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if _offset_ms(middle, zone) == _offset_ms(before, zone):
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _offset_ms(moment: datetime, zone: ZoneInfo) -> int:
    return (moment.astimezone(zone).utcoffset() or timedelta()) // timedelta(milliseconds=1)


def _ms(moment: datetime) -> int:
    return -((datetime(1970, 1, 1, tzinfo=UTC) - moment) // timedelta(milliseconds=1))
