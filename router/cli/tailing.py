"""What `elder-router tail` reads and hands on: what lies in a journal already, then what happens.

Lines come from `router.journal.follow`, calls from `joining`; how they are shown is a view's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from router.cli.tail_filters import Wanted
from router.cli.tail_past import Apart, Past
from router.cli.tail_views import View
from router.journal.follow import Following
from router.journal.joining import JoinedCalls, Told
from router.journal.records import ConditionRecord

POLL_S: Final = 0.05


class Tailing:
    """Reads one journal, and shows what is asked for: of what lies there a line a call, then what happens.

    Args:
        following: The journal's lines.
        joined: Makes calls of them.
        wanted: Which of them are shown.
        view: Where.
        most_lines: So many of what lies there already, the last ones; None: all.
    """

    def __init__(
        self, following: Following, joined: JoinedCalls, wanted: Wanted, view: View, *, most_lines: int | None
    ) -> None:
        self._following = following
        self._joined = joined
        self._wanted = wanted
        self._view = view
        self._past: Past | None = Past()
        self._last: deque[Told | Apart] | None = None if most_lines is None else deque(maxlen=most_lines)
        self._has_told_of_bad = False

    def step(self) -> bool:
        """Read and show the next lines; False if there are none for now.

        Raises:
            JournalError: The journal cannot be read.
        """
        lines = self._following.read()
        for line in lines:
            news = self._joined.take(line)
            if news is None:
                continue
            item = news if isinstance(news, Told) else (news, line)
            if self._past is None:
                self._show(item)
            else:
                self._come(self._past.take(item))
        if not lines and self._past is not None:
            self._come(self._past.rest())
            self._past = None
            for item in self._last or ():
                self._show(item)
            self._last = None
        self._complain()
        return bool(lines)

    def run(self) -> None:
        """Go on until nobody looks any more.

        Raises:
            JournalError: The journal cannot be read.
        """
        while True:
            if not self.step():
                if not self._view.rest():
                    return
                time.sleep(POLL_S)

    def run_to_the_end(self) -> None:
        """Show what lies there.

        Raises:
            JournalError: The journal cannot be read, or there is none.
        """
        while self.step():
            pass

    def _come(self, items: Iterable[Told | Apart]) -> None:
        """Show what lies there, or keep the last of it until its end is seen."""
        for item in items:
            if self._last is None:
                self._show(item)
            elif self._is_shown(item):
                self._last.append(item)

    def _is_shown(self, item: Told | Apart) -> bool:
        if isinstance(item, Told):
            return self._wanted.shows(item.call)
        record = item[0]
        if not self._wanted.concerns(record.node):
            return False
        return isinstance(record, ConditionRecord) or not self._wanted.is_selective

    def _show(self, item: Told | Apart) -> None:
        if not self._is_shown(item):
            return
        if isinstance(item, Told):
            self._view.call(item)
        else:
            self._view.apart(*item)

    def _complain(self) -> None:
        for complaint in self._following.complaints():
            self._view.complain(complaint)
        if self._joined.bad and not self._has_told_of_bad:
            self._has_told_of_bad = True
            self._view.complain(f"a line of the journal is no record and is passed over: {self._joined.first_bad}")
