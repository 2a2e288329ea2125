"""How the journal is, for Prometheus.

    elder_router_journal_records_written_total   since the start
    elder_router_journal_records_lost_total      that could not be written and are gone
    elder_router_journal_healthy                 0 while the last record could not be written
    elder_router_journal_lag_seconds             how far the journal is behind, see below
    elder_router_journal_write_seconds           histogram; how long it took until the kernel had a record
    elder_router_journal_file_bytes              of the file that is written now
    elder_router_journal_free_bytes              left to us on its disk

A record is written before the call goes on, with nothing between the two that could pile up. So the journal is behind
by as long as the writing of one record takes, which the histogram tells; `lag` is 0, except while records are lost:
then it is the time since the first of them, which whoever reads the journal does not know of.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.journal.records import Record
from router.journal.writer import JournalWriter

WRITE_BUCKETS_S: Final = (0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0)
"""A record takes some 0.03 ms; the last ones are a disk that stalls, and calls with it."""

_NAME: Final = "elder_router_journal"


class JournalMetrics(Collector):
    """How the journal is. Records are written through it, so that it sees how long that takes.

    Args:
        writer: The journal.
        clock: Monotonic seconds.
    """

    def __init__(self, writer: JournalWriter, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._writer = writer
        self._clock = clock
        self._behind_since: float | None = None
        self._writes = Histogram(
            f"{_NAME}_write_seconds",
            "How long it took until the kernel had a record.",
            registry=None,
            buckets=WRITE_BUCKETS_S,
        )

    def write(self, record: Record) -> bool:
        """Write one record, as `JournalWriter.write` does, which it is left to."""
        began = self._clock()
        written = self._writer.write(record)
        ended = self._clock()
        self._writes.observe(ended - began)
        if written:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = ended
        return written

    def collect(self) -> Iterator[Metric]:
        """One sample of each; of its file and disk only while they are to be seen."""
        writer, behind_since = self._writer, self._behind_since
        yield CounterMetricFamily(f"{_NAME}_records_written", "Records written.", value=writer.written)
        yield CounterMetricFamily(f"{_NAME}_records_lost", "Records that could not be written.", value=writer.lost)
        what = "0 while the last record could not be written."
        yield GaugeMetricFamily(f"{_NAME}_healthy", what, value=float(writer.healthy))
        what = "Seconds since the first of the records that are being lost; 0 while they are written."
        lag_s = 0.0 if behind_since is None else self._clock() - behind_since
        yield GaugeMetricFamily(f"{_NAME}_lag_seconds", what, value=lag_s)
        yield from self._writes.collect()
        try:
            size = writer.path.stat().st_size
            disk = os.statvfs(writer.path.parent)
        except OSError:
            return
        yield GaugeMetricFamily(f"{_NAME}_file_bytes", "Size of the file that is written now.", value=size)
        what = "Bytes left to us on the journal's disk."
        yield GaugeMetricFamily(f"{_NAME}_free_bytes", what, value=disk.f_bavail * disk.f_frsize)
