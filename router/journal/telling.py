"""A journal that tells others of each record: metrics, the wallboard. Whatever they do, calls go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from router.journal.records import Record

_log = structlog.get_logger(__name__)

Listener = Callable[[Record], object]


class Writes(Protocol):
    """Where records go."""

    def write(self, record: Record) -> bool:
        """Write one record; False if it was lost, which is the journal's to complain of."""


class TellingJournal:
    """Writes each record, and then tells of it, in this order.

    Args:
        journal: Where it is written.
        listeners: Who is told, whether it could be written or not; they must be quick. One that raises is logged and
            told of the next record all the same.
    """

    def __init__(self, journal: Writes, listeners: Sequence[Listener]) -> None:
        self._journal = journal
        self._listeners = tuple(listeners)

    def write(self, record: Record) -> bool:
        """Write one record and tell of it; False if it was lost."""
        written = self._journal.write(record)
        for listener in self._listeners:
            try:
                listener(record)
            except Exception:  # noqa: BLE001 - the boundary of one listener: calls have nothing to do with it
                _log.exception("record not told of", record=record.record)
        return written
