from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.journal.records import Record
from router.journal.writer import JournalWriter
from router.web.journal import JournalMetrics
from tests.unit.journal.samples import DECISION

from .test_calls import told

NAME = "elder_router_journal"


class Full(JournalWriter):
    """A journal whose disk is full when it is said to be."""

    full = False

    def write(self, record: Record) -> bool:
        if self.full:
            self.lost += 1
            self.healthy = False
            return False
        self.healthy = True
        return super().write(record)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Full]:
    writer = Full(tmp_path / "journal.jsonl")
    yield writer
    writer.close()


def test_records_written_through_it_are_in_the_journal_and_timed(writer: Full) -> None:
    ticks = iter((10.0, 10.0002, 20.0, 20.3))
    metrics = JournalMetrics(writer, clock=lambda: next(ticks))
    assert metrics.write(DECISION)
    assert metrics.write(DECISION)
    every = told(metrics)
    assert len(writer.path.read_bytes().splitlines()) == every[f"{NAME}_records_written_total"] == 2
    assert every[f"{NAME}_write_seconds_count"] == 2
    assert every[f"{NAME}_write_seconds_sum"] == pytest.approx(0.3002)
    assert every[f"{NAME}_write_seconds_bucket{{le=0.00025}}"] == 1
    assert every[f"{NAME}_file_bytes"] == writer.path.stat().st_size
    assert every[f"{NAME}_free_bytes"] > 0


def test_it_is_behind_since_the_first_lost_record_until_one_is_written(writer: Full) -> None:
    now = [100.0]
    metrics = JournalMetrics(writer, clock=lambda: now[0])
    assert told(metrics)[f"{NAME}_lag_seconds"] == 0
    writer.full = True
    for now[0] in (110.0, 130.0):
        assert not metrics.write(DECISION)
    now[0] = 150.0
    every = told(metrics)
    assert (every[f"{NAME}_lag_seconds"], every[f"{NAME}_healthy"]) == (40, 0)
    assert every[f"{NAME}_records_lost_total"] == 2
    writer.full = False
    assert metrics.write(DECISION)
    every = told(metrics)
    assert (every[f"{NAME}_lag_seconds"], every[f"{NAME}_healthy"]) == (0, 1)


def test_without_its_file_nothing_is_said_of_a_size(writer: Full) -> None:
    writer.path.unlink()
    every = told(JournalMetrics(writer))
    assert f"{NAME}_file_bytes" not in every
    assert every[f"{NAME}_records_written_total"] == 0
