from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from router.callers.loading.steps import Step
from router.cli import import_progress as module
from router.cli.import_progress import FIRST_LINE_S, LINE_EVERY_S, Lines, Rates, import_progress


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_and_time_left_are_of_this_run_not_of_an_earlier_one() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert rates.said(Step("reading", 5_000_000, 10_000_000, "rows")) == "5,000,000 of 10,000,000 rows"
    clock.now_s += 10
    said = rates.said(Step("reading", 6_000_000, 10_000_000, "rows"))
    assert said == "6,000,000 of 10,000,000 rows, 100,000/s, 0:00:40 left"


def test_each_kind_of_work_has_its_own_rate() -> None:
    clock = Clock()
    rates = Rates(clock)
    rates.said(Step("reading", 0, 1_000_000, "rows"))
    clock.now_s += 100
    assert rates.said(Step("loading", 0, 1_000_000)) == "0 of 1,000,000 callers"
    clock.now_s += 2
    assert rates.said(Step("loading", 500_000, 1_000_000)).endswith("250,000/s, 0:00:02 left")


def test_what_has_no_total_or_is_no_count_is_told_without() -> None:
    rates = Rates(Clock())
    assert rates.said(Step("reading", 7, None, "rows")) == "7 rows"
    assert rates.said(Step("looking", 25, 100, "bytes")) == "25 %"
    assert rates.said(Step("waiting for replicas", 0, None)) == ""
    assert rates.said(Step("waiting until nobody looks", 58, None, "s")) == "58 s left"


def test_without_a_terminal_a_line_comes_after_two_seconds_then_every_ten() -> None:
    clock, said = Clock(), list[tuple[float, str]]()
    lines = Lines(clock, lambda line: said.append((clock.now_s - 1000.0, line)))
    for tenth in range(250):
        clock.now_s = 1000.0 + tenth / 10
        lines(Step("loading", 1000 * tenth, None))
    assert [at for at, _ in said] == [FIRST_LINE_S, FIRST_LINE_S + LINE_EVERY_S, FIRST_LINE_S + 2 * LINE_EVERY_S]
    assert said[0][1] == "loading: 20,000 callers, 10,000/s"


def test_a_note_is_told_at_once_and_once() -> None:
    said: list[str] = []
    lines = Lines(Clock(), said.append)
    for _ in range(3):
        lines(Step("reading", 0, None, "rows", "what had been read is not used, as the file has changed"))
    assert said == ["what had been read is not used, as the file has changed"]


def test_time_left_of_200_million_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shown = Clock(), io.StringIO()
    monkeypatch.setattr(module, "Rates", lambda: Rates(clock))
    with import_progress(Console(file=shown, force_terminal=True, width=80)) as watch:
        watch(Step("removing what is left of others", 0, None))
        watch(Step("loading", 0, 200_000_000))
        clock.now_s += 200
        watch(Step("loading", 120_000_000, 200_000_000))
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue().rpartition("loading")[2])
    assert "120,000,000 of 200,000,000 callers, 600,000/s, 0:02:13 left" in line
