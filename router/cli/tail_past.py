"""What a journal holds already when `elder-router tail` begins: a line a call, though it was decided and has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from router.journal.joining import MOST_UNDER_WAY, Happened, Told
from router.journal.records import ConditionRecord, PromotionRecord

Apart: TypeAlias = tuple[ConditionRecord | PromotionRecord, bytes]
"""What is no part of a call, and its line."""


@dataclass(slots=True)
class _Waiting:
    """In the order in which calls were decided. What is no call has no end to be waited for."""

    item: Told | Apart

    @property
    def is_settled(self) -> bool:
        return not isinstance(self.item, Told) or self.item.happened is Happened.ENDED


class Past:
    """Holds back calls until they have ended, so that each comes once and in the order in which they were decided.

    Args:
        most_waiting: So many are held back. Of more, the first come as they are, and once more when they have ended.
    """

    def __init__(self, most_waiting: int = MOST_UNDER_WAY) -> None:
        self._most_waiting = most_waiting
        self._waiting: deque[_Waiting] = deque()
        self._by_call: dict[tuple[str, str], _Waiting] = {}

    def take(self, item: Told | Apart) -> Iterator[Told | Apart]:
        """Take what happened; what need not wait any longer comes back."""
        if isinstance(item, Told):
            key = (item.call.node, item.call.uniqueid)
            if item.happened is Happened.SENT_ON:
                return
            if item.happened is Happened.DECIDED:
                self._append(item)
                self._by_call[key] = self._waiting[-1]
            elif waiting := self._by_call.pop(key, None):
                waiting.item = item
            else:
                yield item  # it has been shown without its end
        else:
            self._append(item)
        while self._waiting and (self._waiting[0].is_settled or len(self._waiting) > self._most_waiting):
            yield self._first()

    def rest(self) -> Iterator[Told | Apart]:
        """All that is still held back, as it is by now."""
        while self._waiting:
            yield self._first()

    def _append(self, item: Told | Apart) -> None:
        self._waiting.append(_Waiting(item))

    def _first(self) -> Told | Apart:
        item = self._waiting.popleft().item
        if isinstance(item, Told) and item.happened is Happened.DECIDED:
            self._by_call.pop((item.call.node, item.call.uniqueid), None)
        return item
