"""Asterisk's own queue log: `epoch|uniqueid|queue|agent|event|…`, a witness that is not the router."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class QueueLog:
    """By uniqueid: the queue entered first, the agent who answered, and how long callers waited, in whole seconds.

    Answers are in their order.
    """

    entered: dict[str, str] = field(default_factory=dict)
    answered_by: dict[str, str] = field(default_factory=dict)
    answered_after_s: dict[str, int] = field(default_factory=dict)
    abandoned_after_s: dict[str, int] = field(default_factory=dict)


def read_queue_log(file: Path) -> QueueLog:
    """Read the queue log; one that is not there is empty."""
    log = QueueLog()
    for line in file.read_text(errors="replace").splitlines() if file.exists() else ():
        match line.split("|"):
            case [_, uniqueid, queue, _, "ENTERQUEUE", *_]:
                log.entered.setdefault(uniqueid, queue)
            case [_, uniqueid, _, agent, "CONNECT", hold_s, *_]:
                log.answered_by.setdefault(uniqueid, agent)
                log.answered_after_s.setdefault(uniqueid, int(hold_s))
            case [_, uniqueid, _, _, "ABANDON", _, _, wait_s, *_]:
                log.abandoned_after_s[uniqueid] = int(wait_s)
    return log
