from __future__ import annotations

from router.cli.tail_past import Apart, Past
from router.journal.joining import JoinedCalls, Told
from router.journal.records import Record
from tests.unit.cli.tailed import condition, decided, ended


def come(past: Past, *records: Record) -> list[str]:
    """What comes back: calls with how far they have come, conditions by their sign."""
    joined = JoinedCalls()
    found: list[Told | Apart] = []
    for record in records:
        line = record.model_dump_json().encode()
        news = joined.take(line)
        assert news is not None
        found += past.take(news if isinstance(news, Told) else (news, line))
    return [_said(item) for item in found]


def _said(item: Told | Apart) -> str:
    return f"{item.call.uniqueid} {item.happened.value}" if isinstance(item, Told) else "!"


def test_calls_come_once_they_have_ended_and_in_the_order_of_their_decisions() -> None:
    past = Past()
    assert come(past, decided(1), decided(2), condition(3), ended(2), decided(4), ended(1)) == [
        "1.0 ended", "2.0 ended", "!",
    ]  # fmt: skip
    assert [_said(item) for item in past.rest()] == ["4.0 decided"]
    assert list(past.rest()) == []


def test_of_more_than_may_wait_the_first_come_as_they_are_and_again_at_their_end() -> None:
    past = Past(most_waiting=2)
    assert come(past, decided(1), decided(2), decided(3), ended(1), ended(2), ended(3)) == [
        "1.0 decided", "1.0 ended", "2.0 ended", "3.0 ended",
    ]  # fmt: skip


def test_a_call_that_came_back_is_told_of_once() -> None:
    past = Past()
    assert come(past, decided(1), decided(1, ask=2), ended(1)) == ["1.0 ended"]
