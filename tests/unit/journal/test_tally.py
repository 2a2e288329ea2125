"""What a tally counts record by record is what the engine counts out of the whole journal, however the day is cut."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.journal import tally as module
from router.journal.counting.count import count
from router.journal.counting.figures import Figures, Span
from router.journal.counting.figures import Tally as Expected
from router.journal.records import DecisionRecord, Ending, OutcomeRecord, Record
from router.journal.tally import Counts, Day, Tally, day_of
from tests.unit.journal.samples import CONDITION, decision, outcome

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 26, 4, tzinfo=UTC)
DAY = day_of(NOON.timestamp(), ZONE)
PROTECTED = frozenset({"elder"})
WITHIN_S = 20.0


def empty(*, is_whole: bool = True) -> Tally:
    return Tally(DAY, protected_now=PROTECTED, within_s=WITHIN_S, is_whole=is_whole)


def tallied(records: Sequence[Record], *, is_whole: bool = True) -> Tally:
    tally = empty(is_whole=is_whole)
    for record in records:
        tally.take(record)
    return tally


def begun(uniqueid: str, at: datetime = NOON, **changed: Any) -> DecisionRecord:  # noqa: ANN401
    return decision(uniqueid).model_copy(update={"time": at, "age_band": "elder", "protected": True} | changed)


def over(uniqueid: str, ended: Ending = Ending.ANSWERED, **changed: Any) -> OutcomeRecord:  # noqa: ANN401
    return outcome(uniqueid).model_copy(update={"time": NOON, "ended": ended, "wait_s": 11.5} | changed)


def counted(records: Sequence[Record]) -> Figures:
    """What the report counts of the same records."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "journal.jsonl"
        # `record` stands first in a line that the journal's writer wrote, and in these.
        file.write_text("".join(json.dumps(record.model_dump(mode="json")) + "\n" for record in records))
        span = Span(datetime.fromtimestamp(DAY.start_s, UTC), datetime.fromtimestamp(DAY.end_s, UTC))
        return count([file], span, ZONE, PROTECTED, WITHIN_S)


def as_told(expected: Expected) -> Counts:
    return Counts(
        calls=expected.calls,
        seen=expected.ended,
        unseen=expected.unseen,
        answered=expected.answered,
        abandoned=expected.abandoned,
        abandoned_short=expected.abandoned_short,
        self_served=expected.self_served,
        hung_up_early=expected.hung_up_early,
        by_person=expected.without_assistant,
        within_15=expected.in_time_published,
        within=expected.in_time,
        fallback=expected.fallback,
        longest_wait_s=expected.wait_longest_s or 0.0,
    )


def same(tally: Tally, figures: Figures) -> None:
    assert tally.of_all() == as_told(figures.overall)
    assert tally.of_all().under_way == figures.overall.under_way
    assert tally.of_all().offered == figures.overall.offered
    assert tally.of_protected() == as_told(figures.protected)
    assert {band or "": counts for band, counts in tally.by_band().items()} == {
        band: as_told(expected) for band, expected in figures.by_band.items()
    }
    assert tally.fallback == dict(figures.fallback)
    assert tally.unknown == dict(figures.unknown)


BANDS = st.sampled_from(["elder", "adult", None])
WAITS = (
    st.none()
    | st.sampled_from([0.0, 4.999, 5.0, 5.001, 15.0, 15.001, 20.0, 20.001])
    | st.floats(0, 300).map(lambda wait_s: round(wait_s, 3))
)
REASONS = st.sampled_from(["", "", "", "heartbeat", "deadline"])


@st.composite
def one_call(draw: st.DrawFn) -> list[tuple[datetime, DecisionRecord | OutcomeRecord]]:
    uniqueid = f"{draw(st.integers(0, 10**9))}.{draw(st.integers(0, 10**9))}"
    node = draw(st.sampled_from(["pbx1", "pbx2"]))
    at = NOON + timedelta(seconds=draw(st.integers(-13 * 3600, 13 * 3600)))
    band, reason = draw(BANDS), draw(REASONS)
    told: list[tuple[datetime, DecisionRecord | OutcomeRecord]] = []
    for ask in range(1, draw(st.integers(1, 3)) + 1):
        asked = begun(
            uniqueid,
            at,
            node=node,
            ask=ask,
            age_band=band,
            band_source="registry" if band else draw(st.sampled_from(["unknown", "no_number", "lookup_failed"])),
            protected=draw(st.sampled_from([None, band == "elder"])),
            fallback=reason if draw(st.booleans()) else "",
        )
        told.append((at, asked))
        at += timedelta(seconds=draw(st.integers(1, 4000)))
    for _ in range(draw(st.integers(0, 2))):
        ended = draw(st.sampled_from(Ending))
        end = over(uniqueid, ended, node=node, wait_s=draw(WAITS), touched_assistant=draw(st.booleans()))
        told.append((at, end.model_copy(update={"time": at, "fallback": reason if draw(st.booleans()) else ""})))
        at += timedelta(seconds=draw(st.integers(1, 4000)))
        if ended is not Ending.UNSEEN:
            break
    return told


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    calls = draw(st.lists(one_call(), max_size=12, unique_by=lambda call: call[0][1].uniqueid))
    told = [one for call in calls for one in call]
    return [record for _, record in sorted(told, key=lambda one: one[0])]


@settings(max_examples=60, deadline=None)
@given(journals())
def test_a_day_is_counted_as_the_report_counts_it(records: list[Record]) -> None:
    same(tallied(records), counted(records))


@settings(max_examples=60, deadline=None)
@given(journals(), st.data())
def test_a_day_cut_anywhere_and_joined_is_counted_the_same(records: list[Record], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), min_size=1, max_size=2)))
    parts = [records[a:b] for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True)]
    whole = tallied(records)
    joined = Tally.of_fields(json.loads(json.dumps(tallied(parts[0]).as_fields())))
    for part in parts[1:]:
        later = tallied(part, is_whole=False)
        later.join(joined)
        joined = later
    assert joined.of_all() == whole.of_all()
    assert joined.of_protected() == whole.of_protected()
    assert joined.by_band() == whole.by_band()
    assert (joined.fallback, joined.unknown) == (whole.fallback, whole.unknown)
    assert joined.not_counted == 0


def test_thresholds_are_met_by_waits_of_just_as_long() -> None:
    tally = tallied([one for n, wait in enumerate((15.0, 15.001, 20.0, 20.001)) for one in ended_after(n, wait)])
    counts = tally.of_all()
    assert (counts.within_15, counts.within, counts.answered, counts.longest_wait_s) == (1, 3, 4, 20.001)


def ended_after(number: int, wait_s: float) -> Iterator[Record]:
    yield begun(f"{number}.0")
    yield over(f"{number}.0", wait_s=wait_s)


def test_a_call_belongs_to_the_day_in_which_it_was_first_decided() -> None:
    midnight = datetime.fromtimestamp(DAY.end_s, UTC)
    before, after = begun("1.0", midnight - timedelta(milliseconds=1)), begun("2.0", midnight)
    again = begun("1.0", midnight + timedelta(minutes=1), ask=2)
    tally = tallied([before, after, again])
    assert tally.of_all().calls == 1
    following = tallied([before]).next_day(day_of(DAY.end_s, ZONE), protected_now=PROTECTED)
    for record in (after, again, over("1.0"), over("2.0")):
        following.take(record)
    assert (following.of_all().calls, following.of_all().answered) == (1, 1)


def test_a_transferred_call_first_seen_by_a_later_part_is_counted_once_when_the_earlier_is_known() -> None:
    earlier = tallied([begun("1.0")])
    later = tallied([begun("1.0", ask=2), over("1.0"), begun("2.0", ask=2, fallback="deadline")], is_whole=False)
    assert later.of_all().calls == 0
    later.join(earlier)
    assert (later.of_all().calls, later.of_all().answered, later.of_all().fallback) == (2, 1, 1)


def test_who_saw_the_end_is_believed_and_not_who_was_away() -> None:
    tally = tallied([begun("1.0"), over("1.0", Ending.UNSEEN)])
    assert (tally.of_all().unseen, tally.of_all().seen, tally.of_all().under_way) == (1, 0, 0)
    tally.take(over("1.0", Ending.ABANDONED))
    assert (tally.of_all().unseen, tally.of_all().abandoned) == (0, 1)


def test_records_that_do_not_tell_are_of_callers_protected_now() -> None:
    tally = tallied([begun("1.0", protected=None), begun("2.0", protected=None, age_band="adult")])
    assert (tally.of_all().calls, tally.of_protected().calls) == (2, 1)


def test_other_records_and_ends_of_unknown_calls_count_for_nothing() -> None:
    assert tallied([CONDITION, over("9.0")]).of_all() == Counts()


def test_days_are_as_long_as_the_zone_makes_them() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    lengths = [day_of(datetime(2026, *day, 12, tzinfo=UTC).timestamp(), berlin) for day in ((3, 29), (10, 25), (7, 1))]
    assert [(day.end_s - day.start_s) / 3600 for day in lengths] == [23, 25, 24]
    assert Day("2026-11-26", DAY.start_s, DAY.start_s + 86_400) == DAY


def test_parts_of_two_days_are_not_joined() -> None:
    other = Tally(day_of(DAY.end_s, ZONE), protected_now=PROTECTED, within_s=WITHIN_S)
    with pytest.raises(ValueError, match="2026-11-27"):
        empty(is_whole=False).join(other)


def test_what_is_kept_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 3)
    monkeypatch.setattr(module, "MOST_ASIDE", 2)
    monkeypatch.setattr(module, "MOST_REASONS", 2)
    tally = tallied([begun(f"{n}.0", fallback=f"reason {n}") for n in range(5)])
    assert (tally.of_all().calls, tally.not_counted) == (5, 2)
    assert tally.fallback == {"reason 0": 1, "reason 1": 1, "other": 3}
    assert tallied([over(f"{n}.0") for n in range(5)], is_whole=False).not_counted == 3
