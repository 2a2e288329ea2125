from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.journal.counting.figures import Span
from router.journal.counting.troubles import Said, paired, within

NINE = datetime(2026, 11, 25, 9, tzinfo=UTC)


def said(minute: int, state: str, what: str = "registry does not answer", run: str = "a", node: str = "") -> Said:
    return Said(run, node, what, state, "why", NINE + timedelta(minutes=minute))


def minutes(*records: Said, run_ended: dict[str, datetime | None] | None = None) -> list[tuple[int | None, int | None]]:
    def minute(moment: datetime | None) -> int | None:
        return None if moment is None else (moment - NINE) // timedelta(minutes=1)

    return [(minute(one.began), minute(one.ended)) for one in paired(records, run_ended or {})]


def test_what_began_is_over_when_it_says_so() -> None:
    assert minutes(said(0, "began"), said(5, "ended"), said(7, "began"), said(8, "ended")) == [(0, 5), (7, 8)]


def test_what_is_said_again_began_when_it_was_said_first() -> None:
    assert minutes(said(0, "began"), said(3, "began"), said(5, "ended")) == [(0, 5)]


def test_each_asterisk_and_each_thing_stand_by_themselves() -> None:
    records = (said(0, "began", node="pbx1"), said(1, "began", node="pbx2"), said(2, "ended", node="pbx1"))
    assert minutes(*records) == [(0, 2), (1, None)]
    assert minutes(said(0, "began", "a"), said(1, "ended", "b")) == [(None, 1), (0, None)]


def test_what_is_wrong_when_a_run_ends_is_over_with_it() -> None:
    ended: dict[str, datetime | None] = {"a": NINE + timedelta(minutes=9), "b": None}
    assert minutes(said(0, "began"), said(20, "began", run="b"), run_ended=ended) == [(0, 9), (20, None)]


def test_what_ended_in_another_run_did_not_end_this_ones() -> None:
    assert minutes(said(0, "began"), said(5, "ended", run="b")) == [(None, 5), (0, None)]


def test_a_span_has_all_that_was_there_at_any_moment_of_it() -> None:
    span = Span(NINE, NINE + timedelta(minutes=10))
    records = [
        said(-9, "began", "over before"), said(-1, "ended", "over before"),
        said(-9, "began", "into it"), said(0, "ended", "into it"),
        said(9, "began", "out of it"), said(30, "ended", "out of it"),
        said(10, "began", "after it"), said(11, "ended", "after it"),
        said(-9, "began", "all the time"),
    ]  # fmt: skip
    found = within(paired(sorted(records, key=lambda one: one.at), {}), span)
    assert [one.what for one in found] == ["all the time", "into it", "out of it"]
